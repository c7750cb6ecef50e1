#include "lru_model.h"

#include <assert.h>
#include <stdlib.h>

struct node {
    uint32_t newer, older; /* 0: none; keys count from 1 here */
    uint32_t bytes;        /* 0: not there */
};

struct lru_model {
    size_t bytes, bytes_max;
    uint32_t newest, oldest;
    struct node nodes[];
};

struct lru_model *lru_model_new(uint32_t keys, size_t bytes_max) {
    struct lru_model *lru = calloc(1, sizeof(*lru) + ((size_t)keys + 1) * sizeof(struct node));
    assert(lru != NULL);
    lru->bytes_max = bytes_max;
    return lru;
}

void lru_model_free(struct lru_model **lru) {
    free(*lru);
    *lru = NULL;
}

static void unlink_node(struct lru_model *lru, uint32_t i) {
    struct node *n = &lru->nodes[i];
    *(n->newer != 0 ? &lru->nodes[n->newer].older : &lru->newest) = n->older;
    *(n->older != 0 ? &lru->nodes[n->older].newer : &lru->oldest) = n->newer;
}

static void link_newest(struct lru_model *lru, uint32_t i) {
    lru->nodes[i].newer = 0;
    lru->nodes[i].older = lru->newest;
    *(lru->newest != 0 ? &lru->nodes[lru->newest].newer : &lru->oldest) = i;
    lru->newest = i;
}

bool lru_model_get(struct lru_model *lru, uint32_t key) {
    uint32_t i = key + 1;
    if (lru->nodes[i].bytes == 0)
        return false;
    unlink_node(lru, i);
    link_newest(lru, i);
    return true;
}

void lru_model_put(struct lru_model *lru, uint32_t key, size_t bytes) {
    uint32_t i = key + 1;
    assert(lru->nodes[i].bytes == 0 && bytes > 0 && bytes <= lru->bytes_max);
    lru->nodes[i].bytes = (uint32_t)bytes;
    lru->bytes += bytes;
    link_newest(lru, i);
    while (lru->bytes > lru->bytes_max) {
        uint32_t last = lru->oldest;
        unlink_node(lru, last);
        lru->bytes -= lru->nodes[last].bytes;
        lru->nodes[last].bytes = 0;
    }
}
