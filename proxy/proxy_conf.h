/*
 * proxy_conf: the proxy's options, declared once. Owned by main; workers borrow it read-only (a
 * reload hands them a new one).
 */
#ifndef RINGFENCE_PROXY_CONF_H
#define RINGFENCE_PROXY_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_row;

struct proxy_conf {
    char *bind;                    /* "localhost" */
    int64_t port;                  /* 6379 */
    bool port_shared;              /* false */
    char *ring_file;               /* "configs/ring.conf" */
    char *users_file;              /* "": everybody may do everything */
    bool protected_mode;           /* true: without users, on loopback addresses only */
    int64_t auth_timeout_s;        /* 10 */
    int64_t unauthenticated_max;   /* 1000 clients, over all workers */
    int64_t workers;               /* 0: one per core, at most 8 */
    int64_t clients_max;           /* 10000 */
    int64_t request_timeout_ms;    /* 200: reads, retries included */
    int64_t write_timeout_ms;      /* 2000 */
    int64_t connect_timeout_ms;    /* 500: to a node */
    int64_t node_retry_max_ms;     /* 1000: longest pause between tries to reach a node */
    int64_t node_probation_max_ms; /* 10000: longest time that a node that flaps is not trusted */
    int64_t health_interval_ms;    /* 500: each node is asked for its status this often */
    int64_t pipeline_max;  /* 1024: requests of one client that may be unanswered; further ones wait
                              in its socket */
    int64_t batch_rest_us; /* 40: while several clients wait, a worker rests so long between two
                              turns; 0: never */
    int64_t transaction_commands_max; /* 1024: queued between MULTI and EXEC; keys watched */
    int64_t transaction_bytes_max;    /* 4mb of them */
    int64_t node_inflight_max; /* 65536: unanswered requests per node and worker; beyond: BUSY */
    int64_t tracking_table_max_keys; /* 1000000, over all workers */
    int64_t subscriptions_max;       /* 100000, over all workers */
    int64_t patterns_max;            /* 1000, likewise */
    int64_t args_max;                /* 4096 arguments of one request */
    int64_t key_bytes_max;           /* 1024 */
    int64_t value_bytes_max;         /* 1mb */
    int64_t output_bytes_max;  /* 64mb of replies that one client has not read: then it is closed */
    int64_t clients_bytes_max; /* 160mb of all clients' buffers: then the largest go; 0: no limit */
    int64_t drain_ms;          /* 10000: after SIGTERM clients may finish this long */
    int64_t client_idle_s;     /* 0: never closed for idleness */
    int64_t slowlog_log_slower_than; /* 10000 us; -1: nothing is slow */
    int64_t slowlog_max_len;         /* 128 requests, of each worker */
    int64_t hotkeys_sample; /* 32: one request in so many is counted for RF.HOTKEYS; 0: none */
    int64_t
        hot_cache_bytes;    /* 0: of each worker, for values of its hottest keys; 0: none is kept */
    int64_t hot_cache_rate; /* 1000 requests a second for one key: then it is hot */
    int64_t hot_cache_ms;   /* 100: a value is kept no longer */
    bool allow_monitor;     /* false */
    int64_t monitor_sample; /* 1: one request in so many is shown by MONITOR */
    bool allow_debug;       /* false */
    int64_t log_level;      /* index into debug, info, warn, error */
    char *compat_redis_version; /* "7.4.0": what HELLO and INFO say for clients that ask */
};

/** proxy_conf_rows(count_out): the table of rows (see conf.h). */
const struct conf_row *proxy_conf_rows(size_t *count_out);

#endif
