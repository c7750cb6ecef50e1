/*
 * Micro benchmark of what a key passes through: its hash, the ring, the cache (2 * 10^5 items of 16
 * + 100 bytes).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"
#include "../common/ring.h"
#include "../node/cache.h"
#include "micro.h"

enum { ITEMS = 200000, KEY_BYTES = 16, VALUE_BYTES = 100, NODES = 3, STEP = 7919 /* a prime */ };

struct bench {
    struct ring *ring;
    struct cache *cache;
    char value[VALUE_BYTES];
    char keys[2 * ITEMS][KEY_BYTES]; /* those behind ITEMS are in no cache */
};

static struct span key_of(const struct bench *b, uint64_t i) {
    return span_of(b->keys[i], KEY_BYTES);
}

static uint64_t ring_of(void *ctx, uint64_t calls) {
    const struct bench *b = ctx;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < calls; i++)
        sum += ring_lookup(b->ring, hash_ring(key_of(b, i * STEP % ITEMS)));
    return sum;
}

static uint64_t get(const struct bench *b, uint64_t calls, uint64_t from) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < calls; i++) {
        struct cache_item item;
        struct span key = key_of(b, from + i * STEP % ITEMS);
        sum += cache_get(b->cache, key, cache_hash(b->cache, key), &item);
    }
    return sum;
}

static uint64_t get_hit(void *ctx, uint64_t calls) {
    return get(ctx, calls, 0);
}

static uint64_t get_miss(void *ctx, uint64_t calls) {
    return get(ctx, calls, ITEMS);
}

static uint64_t put(const struct bench *b, uint64_t calls, uint64_t from, uint64_t version) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < calls; i++) {
        const struct cache_item item = {
            .value = span_of(b->value, VALUE_BYTES), .version = version + i, .epoch = 1};
        struct span key = key_of(b, from + i * STEP % ITEMS);
        sum += cache_put(b->cache, key, cache_hash(b->cache, key), &item);
    }
    return sum;
}

static uint64_t put_again(void *ctx, uint64_t calls) {
    return put(ctx, calls, 0, 2);
}

static uint64_t put_new_and_drop(void *ctx, uint64_t calls) {
    const struct bench *b = ctx;
    uint64_t sum = put(b, calls, ITEMS, 1);
    for (uint64_t i = 0; i < calls; i++) {
        struct span key = key_of(b, ITEMS + i * STEP % ITEMS);
        sum += cache_drop(b->cache, key, cache_hash(b->cache, key));
    }
    return sum;
}

static const struct micro BENCHES[] = {{"ring_lookup", ring_of},
                                       {"cache_get_hit", get_hit},
                                       {"cache_get_miss", get_miss},
                                       {"cache_put_again", put_again},
                                       {"cache_put_drop", put_new_and_drop}};

static bool prepare(struct bench *b) {
    struct ring_member members[NODES] = {0};
    for (int i = 0; i < NODES; i++) {
        members[i].weight = 1;
        snprintf(members[i].name, sizeof(members[i].name), "node%d", i + 1);
    }
    b->ring = ring_build(members, NODES);
    b->cache = cache_new((size_t)256 << 20, 1);
    if (b->ring == NULL || b->cache == NULL)
        return false;
    for (uint64_t i = 0; i < 2 * ITEMS; i++) {
        char text[KEY_BYTES + 1];
        snprintf(text, sizeof(text), "bench:%010llu", (unsigned long long)i);
        memcpy(b->keys[i], text, KEY_BYTES);
    }
    return put(b, ITEMS, 0, 1) == ITEMS;
}

int main(int argc, char **argv) {
    struct bench *b = calloc(1, sizeof(*b));
    if (b == NULL || !prepare(b)) {
        fprintf(stderr, "no memory\n");
        return EXIT_FAILURE;
    }
    int code = micro_main(argc, argv, BENCHES, sizeof(BENCHES) / sizeof(BENCHES[0]), b);
    cache_free(&b->cache);
    ring_free(&b->ring);
    free(b);
    return code;
}
