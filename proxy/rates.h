/*
 * rates: how much of some counters came per second lately, for INFO's instantaneous figures. Looked
 * at by the worker's slow timer, so that nothing is done per request. Embedded by value in the
 * worker; knows no clock.
 */
#ifndef RINGFENCE_RATES_H
#define RINGFENCE_RATES_H

#include <stdint.h>

#include "../common/stats.h"

enum { RATES_COUNT = 3 };

struct rates {
    int64_t since_us; /* 0: not looked at yet */
    uint64_t then[RATES_COUNT];
};

/** rates_tick(r, stats, now_us): set the gauges PROXY_STAT_*_RATE of a worker's block to what its
 * counters grew by per second since the last call; a counter that was reset in between is taken to
 * have begun at 0. `now_us`: a monotonic clock, above 0; a call in the same microsecond changes
 * nothing. Cost: a few loads and divisions. */
void rates_tick(struct rates *r, stats_value *stats, int64_t now_us);

#endif
