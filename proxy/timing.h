/*
 * timing: how often each command was asked for and how long it took, for one worker: from the turn
 * of the loop that read it to the one that had its answer. Written by the worker alone, read by
 * any.
 */
#ifndef RINGFENCE_TIMING_H
#define RINGFENCE_TIMING_H

#include "../common/command.h"
#include "../common/stats.h"

/* Bucket i counts times of up to 2^i us (and above those of the bucket before); the last one the
 * rest. */
enum { TIMING_BUCKETS = 26 };

struct timing_row {
    stats_value calls, usec;      /* of those that were executed */
    stats_value rejected, failed; /* refused before; answered with an error */
    stats_value timed;            /* calls whose time is in the buckets */
    stats_value buckets[TIMING_BUCKETS];
};

struct timing {
    struct timing_row rows[COMMAND_COUNT_OF];
};

/** timing_bucket(usec): the bucket of a time. */
static inline unsigned timing_bucket(uint64_t usec) {
    unsigned bucket = usec <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(usec - 1);
    return bucket < TIMING_BUCKETS ? bucket : TIMING_BUCKETS - 1;
}

/** timing_add(row, usec): one call took so long. Cost: a few nanoseconds. */
static inline void timing_add(struct timing_row *row, uint64_t usec) {
    stats_add(&row->calls, 1);
    stats_add(&row->timed, 1);
    stats_add(&row->usec, usec);
    stats_add(&row->buckets[timing_bucket(usec)], 1);
}

/** timing_reset(timing): as if nothing had been asked for. By its worker. */
static inline void timing_reset(struct timing *timing) {
    stats_value *values = &timing->rows[0].calls;
    for (size_t i = 0; i < sizeof(*timing) / sizeof(*values); i++)
        stats_set(&values[i], 0);
}

#endif
