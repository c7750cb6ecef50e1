/*
 * sweep: rows whose time is over are deleted as DEL would, so that who keeps copies hears of it and
 * the table does not fill up. Readers do not need it: to them an expired row is absent anyway. One
 * node at a time (a lock in the database), bounded batches, a bounded rate. Knows no clock. Owned
 * by main.
 */
#ifndef RINGFENCE_SWEEP_H
#define RINGFENCE_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

struct sweep {
    struct store_query query;
    struct store *store;
    int64_t interval_ms; /* 0: never */
    int64_t now_mono_ms, next_mono_ms;
    bool asked;
    uint64_t *swept;
};

/** sweep_init(sweep, store, interval_ms, batch, swept): every `interval_ms` up to `batch` rows; ten
 * times as often while there are that many. Rows are counted in `swept`. Both outlive it. */
void sweep_init(struct sweep *sweep, struct store *store, int64_t interval_ms, uint32_t batch,
                uint64_t *swept);

/** sweep_tick(sweep, now_mono_ms): ask if it is time. */
void sweep_tick(struct sweep *sweep, int64_t now_mono_ms);

#endif
