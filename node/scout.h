/*
 * scout: one light connection to each server that conninfo names, which asks it every 250 ms who it
 * is, so that a promotion is seen wherever the node's connections are, and a server that comes back
 * is tried by one connection at a time. Fills `hosts`. Owned by the node's main; freed after all
 * that borrow its hosts.
 */
#ifndef RINGFENCE_SCOUT_H
#define RINGFENCE_SCOUT_H

#include <stdint.h>

struct event_base;
struct hosts;
struct hosts_handlers;
struct scouts;

/**
 * scouts_new(base, conninfo, handlers, ctx): start. The servers are those of conninfo's host,
 * hostaddr and port, a service file's or the environment's. `conninfo` and `handlers` are borrowed.
 * NULL without memory.
 */
struct scouts *scouts_new(struct event_base *base, const char *conninfo,
                          const struct hosts_handlers *handlers, void *ctx);
void scouts_free(struct scouts **scouts);

/** scouts_tick(scouts, now_mono_ms): questions and reconnects; call it every 50 ms or so. */
void scouts_tick(struct scouts *scouts, int64_t now_mono_ms);

struct hosts *scouts_hosts(struct scouts *scouts);

#endif
