/*
 * env: what the parts of one worker are given: one value, filled by the worker, borrowed by all.
 */
#ifndef RINGFENCE_ENV_H
#define RINGFENCE_ENV_H

#include <stdint.h>

#include "../common/stats.h"

struct channels;
struct conn_loop;
struct event_base;
struct evdns_base;
struct gathers;
struct hotkeys;
struct local_server;
struct monitor;
struct near;
struct pause;
struct proxy_conf;
struct slowlog;
struct timing;
struct topology;
struct tracking;

struct proxy_env {
    const struct proxy_conf *conf;
    struct event_base *base;
    struct evdns_base *dns; /* made at first use of a name; see upstream_resolve.h */
    struct conn_loop *loop;
    struct topology *topology;
    struct tracking *tracking;
    struct gathers *gathers;   /* memory of requests for keys on several nodes */
    struct channels *channels; /* or NULL: nobody can subscribe */
    const struct local_server *server;
    stats_value *stats;      /* [PROXY_STAT_COUNT] */
    struct timing *timing;   /* of this worker, or NULL */
    struct slowlog *slowlog; /* of all workers, or NULL */
    struct hotkeys *hotkeys; /* of all workers, or NULL */
    struct near *near;       /* copies of the hottest keys, or NULL */
    struct pause *pause;     /* of all workers */
    struct monitor *monitor; /* of all workers, or NULL: nobody can */
    unsigned worker;         /* its number there */
};

#endif
