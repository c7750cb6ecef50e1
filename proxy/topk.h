/*
 * topk: the most frequent keys of a stream, and how often each comes, in bounded memory:
 * Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements
 * in Data Streams", ICDT 2005) with counts that decay (Cormode, Shkapenyuk, Srivastava, Xu,
 * "Forward Decay", ICDE 2009: what is old keeps its weight and what is new weighs more, so no
 * counter is ever touched for its age). A key's count is at most too high by what it took over from
 * the key whose counter it got; that is kept, and rates are said without it: never too high, but
 * for the luck of the sample. Pure: time is an argument, in microseconds of any clock that does not
 * go back. Knows no threads. Owned by hotkeys.
 */
#ifndef RINGFENCE_TOPK_H
#define RINGFENCE_TOPK_H

#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct topk;

struct topk_row {
    struct span key;   /* borrowed until the next topk_add() */
    double per_second; /* at least */
};

/** topk_new(counters, half_life_us, seed): nothing counted yet. `counters`: keys that are counted
 * at once, at most 32767; a key whose share is above 1 / counters is among them. `half_life_us`:
 * what is so old counts half. `seed`: of the hash of keys. NULL without memory. */
struct topk *topk_new(size_t counters, int64_t half_life_us, uint64_t seed);
void topk_free(struct topk **t);

/** topk_add(t, key, weight, now_us): it came `weight` times. Returns topk_rate(). Copies the key;
 * without memory for that it is not counted. Cost: O(length + log counters), memory only when a
 * counter first gets a key of that length. */
double topk_add(struct topk *t, struct span key, uint32_t weight, int64_t now_us);

/** topk_rate(t, key, now_us): how often it comes per second, at least; 0 when it is not counted.
 * topk_total(t, now_us): how often all keys come together. Averages over the last few half-lives,
 * or since the first key came if that is less. */
double topk_rate(const struct topk *t, struct span key, int64_t now_us);
double topk_total(const struct topk *t, int64_t now_us);

/** topk_rows(t, now_us, out): all keys that are counted, in no order. `out` has room for
 * `counters`. Returns how many. */
size_t topk_rows(const struct topk *t, int64_t now_us, struct topk_row *out);

#endif
