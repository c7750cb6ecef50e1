/*
 * Micro benchmark of what grows with a house: a lookup in rings of 3 and 1,000 nodes, and a read of
 * a cache of 10^5 and 10^7 keys (100-byte values, copied out as a reply is), 16 of them in a batch
 * as a node reads what clients pipeline, and each alone. Prints `name ns`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../common/hash.h"
#include "../common/ring.h"
#include "../node/cache.h"
#include "draw.h"

enum { CALLS = 1 << 19, ROUNDS = 3, KEY_BYTES = 16, VALUE_BYTES = 100, BATCH_MAX = 16 };

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others may use the machine */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void write_key(char *to, uint64_t n) {
    memcpy(to, "bench:", 6);
    for (int i = KEY_BYTES - 1; i >= 6; i--, n /= 10)
        to[i] = (char)('0' + n % 10);
}

/* The ranks are drawn before the clock starts. */
static uint32_t *draw_ranks(uint64_t keys) {
    struct draw d;
    uint32_t *ranks = malloc(CALLS * sizeof(*ranks));
    if (ranks == NULL)
        abort();
    draw_init(&d, 1, keys, 0);
    for (int i = 0; i < CALLS; i++)
        ranks[i] = (uint32_t)draw_key(&d);
    return ranks;
}

static void ring(const char *name, unsigned nodes) {
    struct ring_member *members = calloc(nodes, sizeof(*members));
    for (unsigned i = 0; members != NULL && i < nodes; i++) {
        members[i].weight = 1;
        snprintf(members[i].name, sizeof(members[i].name), "node%u", i + 1);
    }
    struct ring *r = members == NULL ? NULL : ring_build(members, nodes);
    if (r == NULL)
        abort();
    uint32_t *ranks = draw_ranks(10000000);
    uint64_t best = UINT64_MAX;
    volatile uint64_t sink = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t began = now_ns();
        for (int i = 0; i < CALLS; i++) {
            char key[KEY_BYTES];
            write_key(key, ranks[i]);
            sink += ring_lookup(r, hash_ring(span_of(key, KEY_BYTES)));
        }
        uint64_t took = now_ns() - began;
        best = took < best ? took : best;
    }
    printf("%s %.1f\n", name, (double)best / CALLS);
    free(ranks);
    free(members);
    ring_free(&r);
}

static struct cache *make_cache(uint64_t keys) {
    static char value[VALUE_BYTES];
    struct cache *cache = cache_new((size_t)8 << 30, 1);
    for (uint64_t i = 0; cache != NULL && i < keys; i++) {
        char key[KEY_BYTES];
        write_key(key, i);
        const struct span k = span_of(key, KEY_BYTES);
        const struct cache_item item = {
            .value = span_of(value, sizeof(value)), .version = 1, .epoch = 1};
        if (!cache_put(cache, k, cache_hash(cache, k), &item))
            abort();
    }
    return cache;
}

/* As a node answers what was read from a client at once: memory is asked for a batch of keys before
 * the first of them is answered (handlers_gets()). */
static void read_batch(struct cache *cache, const uint32_t *ranks, int count, char *out) {
    char keys[BATCH_MAX][KEY_BYTES];
    uint64_t hashes[BATCH_MAX];
    for (int i = 0; i < count; i++) {
        write_key(keys[i], ranks[i]);
        hashes[i] = cache_hash(cache, span_of(keys[i], KEY_BYTES));
        if (count > 1)
            cache_prefetch(cache, hashes[i]);
    }
    for (int i = 0; count > 1 && i < count; i++)
        cache_prefetch_entry(cache, hashes[i]);
    for (int i = 0; i < count; i++) {
        struct cache_item item;
        if (!cache_get(cache, span_of(keys[i], KEY_BYTES), hashes[i], &item))
            abort();
        memcpy(out + (size_t)i * VALUE_BYTES, item.value.ptr, item.value.len);
    }
}

static void reads(const char *name, struct cache *cache, uint64_t keys, int batch) {
    uint32_t *ranks = draw_ranks(keys);
    static char out[64 << 10];
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t began = now_ns();
        for (int i = 0; i < CALLS; i += batch)
            read_batch(cache, ranks + i, batch, out + (size_t)(i % 512) * VALUE_BYTES);
        uint64_t took = now_ns() - began;
        best = took < best ? took : best;
    }
    printf("%s %.1f\n", name, (double)best / CALLS);
    free(ranks);
}

static void keys(uint64_t count, const char *batched, const char *alone) {
    struct cache *cache = make_cache(count);
    reads(batched, cache, count, BATCH_MAX);
    reads(alone, cache, count, 1);
    cache_free(&cache);
}

int main(void) {
    ring("ring_3", 3);
    ring("ring_1000", 1000);
    keys(100000, "keys_1e5", "alone_1e5");
    keys(10000000, "keys_1e7", "alone_1e7");
    return 0;
}
