/*
 * hotkeys: which keys are asked for most, for all workers: each counts a sample of its own requests
 * (topk.h), and whoever asks gets the sum. A worker's table is locked only while one of its samples
 * is written, one request in dozens, or while it is read. Owned by main; borrowed by workers.
 */
#ifndef RINGFENCE_HOTKEYS_H
#define RINGFENCE_HOTKEYS_H

#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct hotkeys;

enum {
    HOTKEYS_COUNTERS = 256,   /* keys that a worker counts at once */
    HOTKEYS_HALF_LIFE_S = 10, /* a request that is so old counts half */
    HOTKEYS_PER_REQUEST = 64, /* keys of one request that are counted */
};

struct hotkeys_row {
    struct span key;
    double per_second;
};

/* What was asked for; one block of memory, freed by hotkeys_release(). */
struct hotkeys_list {
    struct hotkeys_row *rows; /* the hottest first; keys of the same rate in byte order */
    size_t count;
    double per_second; /* of all keys together, those that are not listed too */
};

/** hotkeys_new(workers, seed): `seed` of the hashes and of the samples. NULL without memory. */
struct hotkeys *hotkeys_new(unsigned workers, uint64_t seed);
void hotkeys_free(struct hotkeys **h);

/** hotkeys_add(h, worker, now_us, key, weight): `worker` met this key, and speaks for `weight`
 * requests. From its thread. Returns how often it is asked for it per second, at least. Cost: a
 * lock that nobody else holds, and topk_add(). */
double hotkeys_add(struct hotkeys *h, unsigned worker, int64_t now_us, struct span key,
                   uint32_t weight);

/** hotkeys_gap(h, worker, mean): how many requests on the next sample is: random, evenly from 1 to
 * 2 * mean - 1, so that no rhythm of the requests hides a key. From its thread. */
uint32_t hotkeys_gap(struct hotkeys *h, unsigned worker, uint32_t mean);

/** hotkeys_rate(h, now_us, key): how often all workers are asked for it per second, at least; 0
 * when it is not among those that are counted. */
double hotkeys_rate(struct hotkeys *h, int64_t now_us, struct span key);

/** hotkeys_list(h, now_us, out): all keys that are counted. Returns false without memory; else
 * release it. */
bool hotkeys_list(struct hotkeys *h, int64_t now_us, struct hotkeys_list *out);
void hotkeys_release(struct hotkeys_list *list);

#endif
