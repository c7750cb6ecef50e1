/*
 * hash: the two uses of XXH3. The ring's hash is fixed for ever (two builds must place a key the
 * same); the table's hash is seeded per process so that nobody outside can aim keys at one bucket.
 * Source: xxHash, https://github.com/Cyan4973/xxHash (XXH3 is stable since 0.8.0).
 */
#ifndef RINGFENCE_HASH_H
#define RINGFENCE_HASH_H

#include <stdint.h>

#include "span.h"

/**
 * hash_tag(key): the part of a key that places it: what is between the first '{' and the next '}'
 * when that is not empty, else the whole key. Borrows from `key`.
 */
struct span hash_tag(struct span key);

/** hash_ring(key): XXH3_64bits of hash_tag(key), seed 0. Cost: O(length). */
uint64_t hash_ring(struct span key);

/**
 * hash_point(name, index): place of point `index` of the node `name`: XXH3_64bits_withSeed of the
 * index as eight bytes, the lowest first; the seed is XXH3_64bits of the name.
 */
uint64_t hash_point(struct span name, uint64_t index);

/** hash_table(key, seed): XXH3_64bits_withSeed of the whole key. Cost: O(length). */
uint64_t hash_table(struct span key, uint64_t seed);

/** hash_seed(): 64 random bits from the kernel. Falls back to the clock and the pid; never fails.
 */
uint64_t hash_seed(void);

#endif
