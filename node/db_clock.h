/*
 * db_clock: does the database's clock run beside ours? Expiry is by the database's clock, deadlines
 * in the cache are by our monotonic one: when the first is set, or has drifted away, what was
 * computed from it is wrong. Pure: times come in as arguments. Embedded by value.
 */
#ifndef RINGFENCE_DB_CLOCK_H
#define RINGFENCE_DB_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { DB_CLOCK_TOLERANCE_MS = 100 };

/* Bounds of the difference, database minus monotonic. All zero is a clock that was never seen. */
struct db_clock {
    bool known;
    int64_t low_ms, high_ms;
};

/**
 * db_clock_saw(clock, sent_mono_ms, heard_mono_ms, db_ms): the database read its clock as `db_ms`
 * some time between the two. Returns by how many ms it is surely off what it was, more than the
 * tolerance (and takes the new difference from there on), or 0. A slow answer proves nothing.
 */
int64_t db_clock_saw(struct db_clock *clock, int64_t sent_mono_ms, int64_t heard_mono_ms,
                     int64_t db_ms);

#endif
