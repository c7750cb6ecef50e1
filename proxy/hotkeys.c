#include "hotkeys.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/random.h"
#include "topk.h"

struct table {
    pthread_mutex_t lock; /* of topk */
    struct topk *topk;
    uint64_t random; /* the worker's own */
};

struct hotkeys {
    unsigned workers;
    struct table tables[];
};

struct hotkeys *hotkeys_new(unsigned workers, uint64_t seed) {
    struct hotkeys *h = calloc(1, sizeof(*h) + workers * sizeof(h->tables[0]));
    if (h == NULL)
        return NULL;
    for (; h->workers < workers; h->workers++) {
        struct table *t = &h->tables[h->workers];
        t->topk = topk_new(HOTKEYS_COUNTERS, HOTKEYS_HALF_LIFE_S * INT64_C(1000000), seed);
        t->random = (seed + h->workers + 1) * 0x9E3779B97F4A7C15u | 1;
        if (t->topk == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
            topk_free(&t->topk);
            hotkeys_free(&h);
            return NULL;
        }
    }
    return h;
}

void hotkeys_free(struct hotkeys **pointer) {
    struct hotkeys *h = *pointer;
    *pointer = NULL;
    if (h == NULL)
        return;
    for (unsigned w = 0; w < h->workers; w++) {
        topk_free(&h->tables[w].topk);
        pthread_mutex_destroy(&h->tables[w].lock);
    }
    free(h);
}

double hotkeys_add(struct hotkeys *h, unsigned worker, int64_t now_us, struct span key,
                   uint32_t weight) {
    struct table *t = &h->tables[worker];
    pthread_mutex_lock(&t->lock);
    double rate = topk_add(t->topk, key, weight, now_us);
    pthread_mutex_unlock(&t->lock);
    return rate;
}

uint32_t hotkeys_gap(struct hotkeys *h, unsigned worker, uint32_t mean) {
    return 1 +
           (uint32_t)((random_next(&h->tables[worker].random) >> 32) % (2 * (uint64_t)mean - 1));
}

double hotkeys_rate(struct hotkeys *h, int64_t now_us, struct span key) {
    double sum = 0;
    for (unsigned w = 0; w < h->workers; w++) {
        pthread_mutex_lock(&h->tables[w].lock);
        sum += topk_rate(h->tables[w].topk, key, now_us);
        pthread_mutex_unlock(&h->tables[w].lock);
    }
    return sum;
}

/* ---- the sum of the workers ---- */

static int by_key(const void *a, const void *b) {
    return span_compare(((const struct hotkeys_row *)a)->key, ((const struct hotkeys_row *)b)->key);
}

static int by_rate(const void *a, const void *b) {
    const struct hotkeys_row *x = a, *y = b;
    return x->per_second != y->per_second ? (x->per_second < y->per_second ? 1 : -1) : by_key(a, b);
}

/* The rows of one worker, their keys' bytes copied behind `keys`: the rows point there once all are
 * in, since it may move. */
static void read_table(struct table *t, int64_t now_us, struct hotkeys_list *out,
                       struct topk_row *room, struct buf *keys) {
    pthread_mutex_lock(&t->lock);
    size_t count = topk_rows(t->topk, now_us, room);
    out->per_second += topk_total(t->topk, now_us);
    for (size_t i = 0; i < count; i++) {
        out->rows[out->count++] = (struct hotkeys_row){{NULL, room[i].key.len}, room[i].per_second};
        buf_append_span(keys, room[i].key);
    }
    pthread_mutex_unlock(&t->lock);
}

static void point_at(struct hotkeys_list *list, const char *keys) {
    for (size_t i = 0; i < list->count; i++) {
        list->rows[i].key.ptr = keys;
        keys += list->rows[i].key.len;
    }
}

/* Rows of the same key, of several workers, become one. */
static void merge(struct hotkeys_list *list) {
    size_t kept = 0;
    qsort(list->rows, list->count, sizeof(list->rows[0]), by_key);
    for (size_t i = 0; i < list->count; i++) {
        if (kept != 0 && by_key(&list->rows[kept - 1], &list->rows[i]) == 0)
            list->rows[kept - 1].per_second += list->rows[i].per_second;
        else
            list->rows[kept++] = list->rows[i];
    }
    list->count = kept;
    qsort(list->rows, list->count, sizeof(list->rows[0]), by_rate);
}

bool hotkeys_list(struct hotkeys *h, int64_t now_us, struct hotkeys_list *out) {
    struct buf keys;
    struct topk_row *room = malloc(HOTKEYS_COUNTERS * sizeof(*room));
    *out = (struct hotkeys_list){0};
    out->rows = malloc((size_t)h->workers * HOTKEYS_COUNTERS * sizeof(out->rows[0]));
    buf_init(&keys, 0);
    for (unsigned w = 0; w < h->workers && room != NULL && out->rows != NULL; w++)
        read_table(&h->tables[w], now_us, out, room, &keys);
    struct hotkeys_row *whole =
        room == NULL || out->rows == NULL || keys.failed
            ? NULL
            : realloc(out->rows, out->count * sizeof(out->rows[0]) + buf_len(&keys) + 1);
    free(room);
    if (whole == NULL) {
        free(out->rows);
        buf_release(&keys);
        out->rows = NULL;
        return false;
    }
    char *bytes = (char *)(whole + out->count);
    if (buf_len(&keys) != 0)
        memcpy(bytes, buf_head(&keys), buf_len(&keys));
    buf_release(&keys);
    out->rows = whole;
    point_at(out, bytes);
    merge(out);
    return true;
}

void hotkeys_release(struct hotkeys_list *list) {
    free(list->rows);
    *list = (struct hotkeys_list){0};
}
