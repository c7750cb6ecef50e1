/*
 * proxy_stats: the proxy's counters, declared once. One block per worker, written by that worker
 * alone, read by any.
 */
#ifndef RINGFENCE_PROXY_STATS_H
#define RINGFENCE_PROXY_STATS_H

#include "../common/stats.h"

enum proxy_stat {
    PROXY_STAT_CLIENTS,             /* gauge: connected */
    PROXY_STAT_CONNECTIONS,         /* accepted in all */
    PROXY_STAT_CONNECTIONS_REFUSED, /* over clients_max */
    PROXY_STAT_COMMANDS,            /* processed */
    PROXY_STAT_BYTES_IN,
    PROXY_STAT_BYTES_OUT,
    PROXY_STAT_ERRORS, /* error replies */
    PROXY_STAT_PROTOCOL_ERRORS,
    PROXY_STAT_DENIED_AUTH,    /* wrong passwords */
    PROXY_STAT_DENIED_COMMAND, /* NOPERM */
    PROXY_STAT_DENIED_KEY,
    PROXY_STAT_UNAUTHENTICATED_CLOSED, /* did not authenticate in time, or made room */
    PROXY_STAT_CLIENTS_OVERFLOWED,     /* closed for reading too slowly */
    PROXY_STAT_CLIENTS_EVICTED,        /* closed as all had too much */
    PROXY_STAT_CLIENTS_BYTES,          /* gauge: memory of their buffers */
    PROXY_STAT_FORWARDED,              /* requests sent to nodes */
    PROXY_STAT_LATE,                   /* answered late by a node (a miss or a write) */
    PROXY_STAT_SPLIT,                  /* requests split over several nodes */
    PROXY_STAT_RETRIED,                /* moved on to the next owner */
    PROXY_STAT_REROUTED,               /* sent past a node that is down */
    PROXY_STAT_TIMEOUTS,
    PROXY_STAT_UNCERTAIN,
    PROXY_STAT_NODEDOWN,
    PROXY_STAT_BUSY,
    PROXY_STAT_WAITED,      /* held back for program order (rule 5) */
    PROXY_STAT_DROP_FAILED, /* an owner could not be told of a multi-key write (rule 11) */
    PROXY_STAT_NODE_CONNECTS,
    PROXY_STAT_NODE_LOST,
    PROXY_STAT_NODE_HUNG,        /* fell silent while answers were awaited */
    PROXY_STAT_NODE_PROBATIONS,  /* came back after flapping, and were not trusted at once */
    PROXY_STAT_TRACKING_CLIENTS, /* gauges: see tracking.h */
    PROXY_STAT_TRACKING_KEYS,
    PROXY_STAT_TRACKING_ITEMS,
    PROXY_STAT_TRACKING_PREFIXES,
    PROXY_STAT_TRACKING_TOLD,
    PROXY_STAT_TRACKING_TOLD_ALL,
    PROXY_STAT_HOT_HITS, /* see near.h */
    PROXY_STAT_HOT_FILLS,
    PROXY_STAT_HOT_DROPS,
    PROXY_STAT_HOT_ITEMS, /* gauges */
    PROXY_STAT_HOT_BYTES,
    PROXY_STAT_PUBSUB_CLIENTS, /* gauge */
    PROXY_STAT_EVENTS_TOLD,
    PROXY_STAT_EVENT_GAPS,
    PROXY_STAT_MONITOR_LOST,
    PROXY_STAT_COMMANDS_RATE, /* gauges: per second, see rates.h */
    PROXY_STAT_BYTES_IN_RATE,
    PROXY_STAT_BYTES_OUT_RATE,
    PROXY_STAT_RELOADS, /* rings adopted */
    PROXY_STAT_COUNT    /* number of rows; not a counter */
};

/** proxy_stats_row(stat): its row; never NULL. Names are Redis' where Redis has the figure.
 * Section "ring": every worker counts the same event, so the largest is shown, not the sum. */
const struct stats_row *proxy_stats_row(enum proxy_stat stat);

#endif
