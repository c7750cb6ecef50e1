/*
 * cache_race: one seeded stream of reads through the node's cache and through an exact LRU of the
 * same bytes: who misses more? A miss is followed by a put, as a read-through cache does.
 */
#ifndef RINGFENCE_CACHE_RACE_H
#define RINGFENCE_CACHE_RACE_H

#include <stddef.h>
#include <stdint.h>

enum cache_race_scan {
    CACHE_RACE_NO_SCAN,
    CACHE_RACE_SCAN_OLD, /* runs of keys in order, as an export of the table reads them */
    CACHE_RACE_SCAN_NEW, /* runs of keys that were never read and never will be again */
};

struct cache_race_conf {
    uint64_t seed;
    uint32_t keys;
    double exponent;      /* of Zipf's law */
    uint32_t drift_reads; /* each so many reads a new key becomes the most popular, and the others
                             fall by one rank; 0: never */
    enum cache_race_scan scan;
    uint32_t scan_percent, scan_run;           /* share of all reads; length of one run */
    uint32_t value_bytes_min, value_bytes_max; /* drawn per key, evenly in the logarithm */
    size_t bytes_max;
    uint32_t requests, warm_up; /* those of the warm-up come first and are not counted */
};

enum {
    CACHE_RACE_KEY_BYTES = 16,
    CACHE_RACE_LRU_BYTES = 40, /* what an item costs in the LRU beyond key and value */
};

struct cache_race_result {
    uint64_t requests, misses, lru_misses;
    uint64_t first_reads;  /* of their keys: misses that nobody can avoid */
    uint64_t ideal_misses; /* of a cache that always holds the keys that are the most popular now */
};

/** cache_race_run(conf, out): deterministic for a given `conf`. */
void cache_race_run(const struct cache_race_conf *conf, struct cache_race_result *out);

/** cache_race_bytes(conf): what all keys of the table would take in the LRU. */
size_t cache_race_bytes(const struct cache_race_conf *conf);

#endif
