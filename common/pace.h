/*
 * pace: how long a loop rests between two turns so that more work comes together. A loop that is
 * faster than its peers wakes for every single message, and pays a wake-up and a write of its own
 * for each; a short rest while many wait lets one turn serve them all. Pure: no clock, no sleep.
 */
#ifndef RINGFENCE_PACE_H
#define RINGFENCE_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    int64_t rest_us;    /* the rest between two turns; 0: never */
    uint32_t crowd_min; /* it rests only while at least so many wait */
    uint32_t crowd;     /* its own: those who waited lately, in 16ths */
};

/** pace_rest_us(pace, waiting, turn_us): how long to rest after a turn that took `turn_us` and left
 * `waiting` others waiting. 0 for a turn so long that enough has come together meanwhile, so a loop
 * that has more to do than it can loses little to it. */
int64_t pace_rest_us(struct pace *pace, uint32_t waiting, int64_t turn_us);

/** pace_is_crowded(pace): whether at least `crowd_min` waited lately, as it was last told. */
bool pace_is_crowded(const struct pace *pace);

#endif
