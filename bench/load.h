/*
 * load: the load generator's parts: options, one thread's connections, figures.
 */
#ifndef RINGFENCE_BENCH_LOAD_H
#define RINGFENCE_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"

enum load_op { LOAD_GET, LOAD_SET, LOAD_MGET, LOAD_OPS };
enum load_proto { LOAD_RESP, LOAD_MEMCACHED };

struct load_conf {
    char *host;
    int64_t port;
    int64_t protocol; /* enum load_proto */
    int64_t clients, threads, pipeline;
    int64_t seconds, warmup_s;
    int64_t requests; /* 0: by time alone */
    int64_t
        rate; /* requests a second over all clients; 0: closed loop, as fast as they are answered */
    int64_t keys;
    char *zipf;                /* exponent, "0" for uniform */
    int64_t gets, sets, mgets; /* weights of the mix */
    int64_t mget_keys_min, mget_keys_max;
    int64_t value_min, value_max; /* bytes; sizes are drawn log-uniformly between */
    bool json_values;
    char *prefix;
    int64_t seed;
    int64_t key_offset; /* added to each rank: other offsets, other keys (cold ones) */
    bool once;          /* every key exactly once instead of drawn: to fill, or to read cold */
    char *json_file;
    bool timeline;
    bool quiet;
    char *pids; /* "name=pid,name=pid": whose CPU time to report */
};

struct load_figures {
    struct histogram latency_ns[LOAD_OPS];
    uint64_t errors, nulls, bytes_in, bytes_out;
    char first_error[128];
};

struct load_thread;

/** load_thread_start(conf, index, start_us): a thread with its share of the clients; they begin at
 * `start_us` and count from the end of the warm-up. NULL when connecting fails (said on stderr). */
struct load_thread *load_thread_start(const struct load_conf *conf, unsigned index,
                                      int64_t start_us);

/** load_thread_done(t): requests answered so far, warm-up included; read from any thread. */
uint64_t load_thread_done(const struct load_thread *t);

/** load_thread_measuring(t): its share is still running. */
bool load_thread_running(const struct load_thread *t);

/** load_thread_join(t, into): wait, add its figures, free it. */
void load_thread_join(struct load_thread **t, struct load_figures *into);

#endif
