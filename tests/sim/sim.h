/*
 * sim: one seeded run of a whole Ringfence in one process: real proxies and nodes over a model of
 * PostgreSQL, the network and time (docs/simulation.md). Everything that happens is an event of one
 * heap, and every choice comes from one seed, so a run replays exactly. For tests only.
 */
#ifndef RINGFENCE_SIM_H
#define RINGFENCE_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/span.h"

enum {
    SIM_KEYS_MAX = 12,
    SIM_NODES_MAX = 4,
    SIM_PROXIES = 2,
    SIM_CLIENTS_MAX = 6,
    SIM_OP_KEYS_MAX = 4,
    SIM_TEXT_BYTES = 32,
};

struct sim;
struct conn_loop;

/* Who an event happens to. While it is stopped (SIGSTOP), its events wait. */
struct sim_process {
    struct sim *sim;
    const char *name;
    int64_t stopped_until_us;
    struct sim_deferred *first, *last; /* what came meanwhile */
};

typedef void sim_event_fn(struct sim *sim, void *ctx, uint64_t arg);

/* ---- sim_core.c: time, chance, memory, the trace ---- */

/** sim_at(sim, process, at_us, fn, ctx, arg): call `fn` then; `process` may be NULL. */
void sim_at(struct sim *sim, struct sim_process *process, int64_t at_us, sim_event_fn *fn,
            void *ctx, uint64_t arg);

/** sim_in(): the same, from now on. */
void sim_in(struct sim *sim, struct sim_process *process, int64_t in_us, sim_event_fn *fn,
            void *ctx, uint64_t arg);

/** sim_stop(sim, process, for_us): SIGSTOP, and SIGCONT after that time. sim_go_on(): now. */
void sim_stop(struct sim *sim, struct sim_process *process, int64_t for_us);
void sim_go_on(struct sim *sim, struct sim_process *process);

int64_t sim_now_us(const struct sim *sim);

/** sim_random(sim, n): 0 .. n-1. sim_between(sim, low, high): both included. sim_chance(sim,
 * permille). */
uint64_t sim_random(struct sim *sim, uint64_t n);
int64_t sim_between(struct sim *sim, int64_t low, int64_t high);
bool sim_chance(struct sim *sim, unsigned permille);

/** sim_alloc(sim, size): zeroed, until the end of the run. */
void *sim_alloc(struct sim *sim, size_t size);

/** sim_trace(sim, fmt, ...): a line of the trace; costs nothing unless this run is traced. */
#define sim_trace(sim, ...)                                                                        \
    do {                                                                                           \
        if (__builtin_expect(sim_is_traced(sim), 0))                                               \
            sim_trace_line(sim, __VA_ARGS__);                                                      \
    } while (0)
bool sim_is_traced(const struct sim *sim);
void sim_trace_line(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** sim_violation(sim, fmt, ...): a promise was broken: the run ends here; the first one counts. */
void sim_violation(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- what a run is like, drawn from its seed ---- */

enum sim_fault {
    SIM_FAULT_LANE = 1 << 0,        /* a node's connection to PostgreSQL breaks */
    SIM_FAULT_FEED = 1 << 1,        /* the listening one does, or goes silent */
    SIM_FAULT_FEED_SLOW = 1 << 2,   /* what it delivers comes late */
    SIM_FAULT_DB_RESTART = 1 << 3,  /* without loss */
    SIM_FAULT_DB_FAILOVER = 1 << 4, /* with loss; the old server may live on */
    SIM_FAULT_PARTITION = 1 << 5,   /* a node cannot reach PostgreSQL */
    SIM_FAULT_STATEMENTS = 1 << 6,  /* statements are refused, or find rows locked */
    SIM_FAULT_STALL = 1 << 7,       /* a node is stopped for a while */
    SIM_FAULT_CRASH = 1 << 8,       /* a node dies and comes back empty */
    SIM_FAULT_LINK = 1 << 9,        /* a connection between proxy and node breaks or goes silent */
    SIM_FAULT_RING = 1 << 10,       /* the ring is edited */
    SIM_FAULT_CLIENT = 1 << 11,     /* a client leaves */
    SIM_FAULT_NOTIFY = 1 << 12,     /* somebody else NOTIFYs on our channel */
    SIM_FAULT_PROXY = 1 << 13,      /* a proxy ends in the midst of it, and is started again */
    SIM_FAULT_EVICT = 1 << 14,
};

struct sim_profile {
    bool linear;  /* only faults under which keys stay linearizable */
    bool hot;     /* proxies keep copies of the hottest keys */
    bool replica; /* nodes may fill from one */
    unsigned nodes, clients, keys;
    unsigned pure_keys; /* the first ones are never edited by SQL */
    unsigned faults;    /* enum sim_fault */
    int64_t load_us, settle_us;
    int64_t net_us_max, statement_us_max, feed_us_max, think_us_max;
    unsigned slow_permille; /* statements that take twenty times as long */
    int64_t fault_every_us, edit_every_us, evict_every_us;
    const unsigned *mix; /* how often each kind of request comes, out of a thousand */
    int64_t replica_age_ms;
    unsigned sync_permille; /* commits that wait for a synchronous standby before they are shown */
    int64_t sync_us_max;
    int64_t fence_ms, beat_ms, stale_max_ms, read_timeout_ms, write_timeout_ms;
    size_t value_bytes, cache_bytes;
    unsigned pipeline; /* requests that a client has open at most */
    unsigned read_lanes, write_lanes;
};

const struct sim_profile *sim_profile(const struct sim *sim);

/* ---- its parts ---- */

struct sim_parts {
    struct sim_net *net;
    struct sim_db *db;
    struct sim_waits *waits;      /* NULL: no commit waits */
    struct sim_replica *replicas; /* [SIM_REPLICAS], or NULL */
    struct sim_node *nodes;       /* [profile.nodes] */
    struct sim_proxy *proxies;    /* [SIM_PROXIES] */
    struct sim_client *clients;   /* [profile.clients] */
    struct sim_check *check;
};
struct sim_parts *sim_parts(struct sim *sim);

/** sim_loading(sim): clients still begin new requests, and things may still break. */
bool sim_loading(const struct sim *sim);

/** sim_calm(sim, us): a longest delay; when the load is over, a fraction of it. */
int64_t sim_calm(const struct sim *sim, int64_t us);

/** sim_key(sim, i): its text. sim_key_index(key): which one it is. */
struct span sim_key(struct sim *sim, unsigned i);
unsigned sim_key_index(struct span key);

/** sim_value_text(sim, value, out): the payload that stands for a value id; `out` has room for
 * profile.value_bytes + SIM_TEXT_BYTES. sim_value_id(text): the id; 0 if it is none of ours. */
struct span sim_value_text(struct sim *sim, uint32_t value, char *out);
uint32_t sim_value_id(struct span text);

/* ---- a run ---- */

struct sim_result {
    bool failed;
    char violation[400];
    uint64_t events, ops;
};

/** sim_run(seed, regime, trace, result): one run; `regime`: of sim_regime(), or NULL: which one is
 * up to the seed. With `trace` its last lines are printed to stderr. */
void sim_run(uint64_t seed, const char *regime, bool trace, struct sim_result *result);

/** sim_regime(i): what runs of a kind have in common, by name; NULL: there is no i-th one. */
const char *sim_regime(unsigned i);

/** sim_crashed(): it crashed: what the trace has, if there is one. */
void sim_crashed(void);

/** sim_release(): the memory that runs share. */
void sim_release(void);

#endif
