/*
 * tick: a timer for time-outs, quick while somebody waits and slow at rest. Owned by whoever made
 * it.
 */
#ifndef RINGFENCE_TICK_H
#define RINGFENCE_TICK_H

#include <stdbool.h>

struct event_base;
struct tick;

enum { TICK_MS = 10, TICK_AT_REST_MS = 100, TICK_HELD_UP_MS = 500 };

/**
 * Called at each tick, from the loop. `held_up`: it comes late by 500 ms or more, since the process
 * was stopped or had no processor. What arrived meanwhile is not read yet (after SIGCONT libevent
 * runs timers first), so nothing may be given up now: time-outs are for the next tick. Returns
 * whether nobody waits for anything: then the next one comes in 100 ms, else in 10 ms.
 */
typedef bool tick_fn(void *ctx, bool held_up);

/** tick_new(base, cb, ctx): the first call in 10 ms. NULL without memory. */
struct tick *tick_new(struct event_base *base, tick_fn *cb, void *ctx);
void tick_free(struct tick **tick);

/** tick_wake(tick): somebody waits from now on, so the next call comes in 10 ms at most. Cheap. */
void tick_wake(struct tick *tick);

#endif
