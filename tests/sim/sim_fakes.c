#include "sim_fakes.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/clock.h"
#include "../../node/feed_pg.h"
#include "../../node/store_pg.h"
#include "../../proxy/upstream_resolve.h"

static struct sim
    *current; /* whoever asks for the time has nothing to tell us which run it is in */

void sim_fakes_begin(struct sim *sim) {
    current = sim;
}

/* ---- the clock ---- */

int64_t clock_mono_us(void) {
    return sim_now_us(current);
}

int64_t clock_mono_ms(void) {
    return sim_now_us(current) / 1000;
}

int64_t clock_wall_us(void) {
    return sim_now_us(current) + (int64_t)1700000000 * 1000000;
}

int64_t clock_wall_ms(void) {
    return clock_wall_us() / 1000;
}

/* ---- libevent's timers: the base is the process ---- */

struct sim_timer {
    struct event event; /* first: its address is the event's */
    struct sim_process *process;
    event_callback_fn callback;
    void *arg;
    int64_t every_us;
    uint64_t armed; /* rises with each event_add() and event_del() */
    bool persists;
};

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
                        event_callback_fn callback, void *arg) {
    struct sim_process *process = (struct sim_process *)base;
    struct sim_timer *timer = sim_alloc(process->sim, sizeof(*timer));
    timer->process = process;
    timer->callback = callback;
    timer->arg = arg;
    timer->persists = (what & EV_PERSIST) != 0;
    return &timer->event;
}

static void on_timer(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_timer *timer = ctx;
    if (timer->armed != arg)
        return;
    if (timer->persists)
        sim_in(sim, timer->process, timer->every_us, on_timer, timer, arg);
    timer->callback(-1, EV_TIMEOUT, timer->arg);
}

int event_add(struct event *event, const struct timeval *in) {
    struct sim_timer *timer = (struct sim_timer *)event;
    timer->every_us = (int64_t)in->tv_sec * 1000000 + in->tv_usec;
    sim_in(timer->process->sim, timer->process, timer->every_us, on_timer, timer, ++timer->armed);
    return 0;
}

int event_del(struct event *event) {
    ((struct sim_timer *)event)->armed++;
    return 0;
}

void event_free(struct event *event) {
    event_del(event);
}

/* ---- names of hosts ---- */

struct upstream_resolve *upstream_resolve_start(const struct proxy_env *env, const char *host,
                                                uint16_t port, unsigned turn,
                                                upstream_resolve_fn *cb, void *ctx) {
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    cb(ctx, (const struct sockaddr *)&to, sizeof(to));
    return NULL;
}

void upstream_resolve_cancel(struct upstream_resolve **resolve) {
    *resolve = NULL;
}

/* ---- figures that RF.STATUS shows ---- */

void store_pg_figures(const struct store *store, struct store_figures *out) {
    *out = (struct store_figures){.last_error = ""};
}

int feed_pg_is_up(const struct feed_pg *feed) {
    return 1;
}

uint64_t feed_pg_reconnects(const struct feed_pg *feed) {
    return 0;
}

/* ---- places ---- */

uint16_t sim_node_port(unsigned node) {
    return (uint16_t)(7000 + node);
}

uint16_t sim_proxy_port(unsigned proxy) {
    return (uint16_t)(6000 + proxy);
}
