/*
 * health: when a node that was lost is tried again, and when it is given requests again. Policy
 * alone: time and randomness come in as arguments; knows no sockets and no ring. A node that breaks
 * once comes back at once; one that breaks soon after it came back (it flaps) waits longer each
 * time: it is connected but on probation, while the next owners serve its keys. Embedded by value.
 */
#ifndef RINGFENCE_HEALTH_H
#define RINGFENCE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

struct health_conf {
    int64_t retry_min_us, retry_max_us;         /* pauses between tries to connect; they double */
    int64_t probation_min_us, probation_max_us; /* they double with each flap; max 0: none */
    int64_t stable_us; /* lost within this time after its probation: that was a flap */
};

struct health {
    bool up;
    bool failed;        /* lost, or not reached, since it was up last */
    bool came_back;     /* it is up after it had failed */
    uint32_t flaps;     /* in a row */
    int64_t pause_us;   /* the last pause between tries; 0: the next is the shortest */
    int64_t retry_us;   /* when to try again */
    int64_t trusted_us; /* of a node that is up: when its probation ends */
};

/** health_init(h): a node that nobody has tried to reach yet. */
void health_init(struct health *h);

/** health_up(h, conf, now_us): it was reached and has answered. */
void health_up(struct health *h, const struct health_conf *conf, int64_t now_us);

/**
 * health_down(h, conf, now_us, random): it was lost, hangs, or could not be reached. `random`: any
 * 64 bits; the pause until the next try is between its half and its whole, so that proxies do not
 * come back in step.
 */
void health_down(struct health *h, const struct health_conf *conf, int64_t now_us, uint64_t random);

/** health_may_try(h, now_us): the pause is over. */
bool health_may_try(const struct health *h, int64_t now_us);

/** health_is_trusted(h, now_us): it is up, and not on probation. */
bool health_is_trusted(const struct health *h, int64_t now_us);

#endif
