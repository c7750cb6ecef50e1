/*
 * cache: the node's in-memory hash table with a byte budget. No I/O, no clock, no SQL.
 * Entries lie back to back in segments that form two FIFO logs (small and main): S3-FIFO eviction,
 * no list pointers, no malloc per entry. The index is a linear hash table of cache-line buckets (7
 * slots of 16-bit tag and 48-bit pointer, and an overflow link) that grows one bucket per insert,
 * so nothing ever pauses. Sources: Yang et al., "FIFO queues are all you need for cache eviction"
 * (S3-FIFO), SOSP 2023; Litwin, "Linear Hashing", VLDB 1980; Yang et al., "Segcache", NSDI 2021
 * (segments). Owned by the node's main; used by through only.
 */
#ifndef RINGFENCE_CACHE_H
#define RINGFENCE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct cache;

struct cache_item {
    struct span value;   /* ignored when absent */
    uint64_t version;    /* 0 when absent */
    uint32_t epoch;      /* in which it was fetched; 0: suspect */
    bool absent;         /* the database said: no active row. Never promoted: evicted first */
    int64_t deadline_ms; /* monotonic; 0: never expires */
};

struct cache_stats {
    uint64_t items, absent_items;
    uint64_t bytes_used; /* memory held: segments, index, ghost */
    uint64_t bytes_live; /* keys and values of live entries */
    uint64_t evicted, inserted, promoted, splits;
    uint64_t passed; /* entries that the hand passed */
};

/** cache_item_bytes(key_len, value_len, expires): what an item takes with its header, but for its
 * place in the index. */
size_t cache_item_bytes(size_t key_len, size_t value_len, bool expires);

/** cache_new(bytes_max, seed): an empty table. `bytes_max`: everything it may hold, at least 4 MiB.
 * NULL without memory. */
struct cache *cache_new(size_t bytes_max, uint64_t seed);
void cache_free(struct cache **cache);

/** cache_hash(cache, key): the hash that every call below takes: hash_table() with this cache's
 * seed. */
uint64_t cache_hash(const struct cache *cache, struct span key);

/** cache_get(cache, key, hash, out): true if there is an entry (also an absent or suspect one: the
 * caller judges). Counts as a use. `out` borrows until the next put, drop or clear. Cost: two cache
 * lines and the entry. */
bool cache_get(struct cache *cache, struct span key, uint64_t hash, struct cache_item *out);

/** cache_prefetch(cache, hash), cache_prefetch_entry(cache, hash): cache_get() of this hash
 * follows: let memory bring the bucket, then, some other work later, the entry. For several keys at
 * once: their waits for memory pass together. */
void cache_prefetch(const struct cache *cache, uint64_t hash);
void cache_prefetch_entry(const struct cache *cache, uint64_t hash);

/** cache_peek(): the same without counting as a use. */
bool cache_peek(const struct cache *cache, struct span key, uint64_t hash, struct cache_item *out);

/**
 * cache_put(cache, key, hash, item): insert or replace; evicts as needed, a bounded number of
 * entries per call in the common case. Copies. Returns false, with any old entry dropped, when the
 * item is larger than an eighth of the budget or memory ran out. `key` at most 65,535 bytes.
 * Neither key nor value may point into the cache.
 */
bool cache_put(struct cache *cache, struct span key, uint64_t hash, const struct cache_item *item);

/** cache_drop(cache, key, hash): remove; true if there was one. */
bool cache_drop(struct cache *cache, struct span key, uint64_t hash);

/** cache_suspect(cache, key, hash): set its epoch to 0; true if there is one. */
bool cache_suspect(struct cache *cache, struct span key, uint64_t hash);

/** cache_clear(cache): forget everything. Cost: O(segments). */
void cache_clear(struct cache *cache);

/** cache_stats_get(cache, out): figures as of now. O(1). */
void cache_stats_get(const struct cache *cache, struct cache_stats *out);

#endif
