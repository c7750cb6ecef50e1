#include "tick.h"

#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>

#include "clock.h"

struct tick {
    struct event *timer;
    tick_fn *cb;
    void *ctx;
    bool rests;
    int64_t due_mono_ms;
};

static bool arm(struct tick *t, bool rests) {
    const struct timeval in = {.tv_usec = (rests ? TICK_AT_REST_MS : TICK_MS) * 1000};
    t->rests = rests;
    t->due_mono_ms = clock_mono_ms() + (rests ? TICK_AT_REST_MS : TICK_MS);
    return event_add(t->timer, &in) == 0; /* which needs memory the first time only */
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    struct tick *t = arg;
    bool held_up = clock_mono_ms() - t->due_mono_ms >= TICK_HELD_UP_MS;
    arm(t, t->cb(t->ctx, held_up) && !held_up);
}

struct tick *tick_new(struct event_base *base, tick_fn *cb, void *ctx) {
    struct tick *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->cb = cb;
    t->ctx = ctx;
    t->timer = evtimer_new(base, on_timer, t);
    if (t->timer == NULL || !arm(t, false))
        tick_free(&t);
    return t;
}

void tick_free(struct tick **pointer) {
    struct tick *t = *pointer;
    *pointer = NULL;
    if (t == NULL)
        return;
    if (t->timer != NULL)
        event_free(t->timer);
    free(t);
}

void tick_wake(struct tick *t) {
    if (t->rests)
        arm(t, false);
}
