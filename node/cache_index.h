/*
 * cache_index: from a hash to an entry. A linear hash table of cache-line buckets: 7 slots of 16
 * bits of the hash and a 48-bit pointer, and a link to an overflow bucket. It grows by one bucket
 * per insert, so no call ever rehashes it. Source: Litwin, "Linear Hashing: A new tool for file and
 * table addressing", VLDB 1980. Embedded by value in the cache.
 */
#ifndef RINGFENCE_CACHE_INDEX_H
#define RINGFENCE_CACHE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"
#include "cache_pages.h"

struct cache_ahead;
struct cache_bucket;
struct cache_entry;

struct cache_index {
    uint64_t seed; /* of hash_table(): splitting hashes keys again */
    struct cache_bucket **chunks;
    size_t chunks_count, chunks_cap;
    uint64_t buckets; /* in use */
    uint64_t items;
    struct cache_bucket *spare;  /* free overflow buckets */
    struct cache_bucket **pools; /* what overflow buckets are cut from */
    size_t pools_count, pools_cap;
    struct cache_pages pages; /* what chunks are cut from */
    size_t bytes;             /* memory held */
    uint64_t splits;
};

/** cache_index_init(x, seed, mapping_bytes, ahead): an empty table, whose memory comes in mappings
 * of so many bytes (see cache_pages.h); false without memory. cache_index_release(x): free it. */
bool cache_index_init(struct cache_index *x, uint64_t seed, size_t mapping_bytes,
                      struct cache_ahead *ahead);
void cache_index_release(struct cache_index *x);

/** cache_index_clear(x): empty again, its memory given back to the system. Cost: O(memory). */
void cache_index_clear(struct cache_index *x);

/** cache_index_growth_max(x): memory that the next insert may take, at most. */
size_t cache_index_growth_max(const struct cache_index *x);

/** cache_index_find(x, key, hash): the slot of the entry with this key, or NULL. Valid until the
 * next insert or removal. */
uint64_t *cache_index_find(const struct cache_index *x, struct span key, uint64_t hash);

/** cache_index_prefetch(x, hash): let memory bring the bucket. cache_index_guess(x, hash): the
 * first entry in it whose slot looks like the hash, likely the one with the key; or NULL. It is not
 * looked at. */
void cache_index_prefetch(const struct cache_index *x, uint64_t hash);
const struct cache_entry *cache_index_guess(const struct cache_index *x, uint64_t hash);

/** cache_index_entry(slot): the entry in a slot. */
static inline struct cache_entry *cache_index_entry(uint64_t slot) {
    return (struct cache_entry *)(uintptr_t)(slot & 0xFFFFFFFFFFFFu);
}

/** cache_index_point(slot, hash, entry): let a slot point to `entry`. */
void cache_index_point(uint64_t *slot, uint64_t hash, const struct cache_entry *entry);

/** cache_index_insert(x, hash, entry): add an entry whose key is not there; splits at most one
 * bucket. False without memory. */
bool cache_index_insert(struct cache_index *x, uint64_t hash, const struct cache_entry *entry);

/** cache_index_remove(x, slot, hash): take out the entry in a slot that cache_index_find() returned
 * for `hash`. */
void cache_index_remove(struct cache_index *x, uint64_t *slot, uint64_t hash);

#endif
