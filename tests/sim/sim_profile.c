/* What a run is like: drawn from its seed, and by the regime that the seed falls into. */
#include <string.h>

#include "sim_client.h"
#include "sim_core.h"

enum { CACHE_BYTES = 4 << 20 };

static int64_t pick(struct sim *sim, const int64_t *choices, unsigned count) {
    return choices[sim_random(sim, count)];
}
#define PICK(sim, ...)                                                                             \
    pick(sim, (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* Under these the keys that nobody edits stay linearizable: each has one owner all the time. */
enum {
    LINEAR_FAULTS = SIM_FAULT_LANE | SIM_FAULT_FEED | SIM_FAULT_FEED_SLOW | SIM_FAULT_DB_RESTART |
                    SIM_FAULT_PARTITION | SIM_FAULT_STATEMENTS | SIM_FAULT_STALL |
                    SIM_FAULT_CLIENT | SIM_FAULT_NOTIFY | SIM_FAULT_PROXY | SIM_FAULT_EVICT,
    ALL_FAULTS = (SIM_FAULT_EVICT << 1) - 1,
};

static unsigned draw_faults(struct sim *sim, bool linear) {
    unsigned possible = linear ? LINEAR_FAULTS : ALL_FAULTS, faults = 0;
    if (sim_chance(sim, 150))
        return 0;
    for (unsigned bit = 1; bit <= SIM_FAULT_EVICT; bit <<= 1) {
        if ((possible & bit) != 0 && sim_chance(sim, bit == SIM_FAULT_EVICT ? 700 : 350))
            faults |= bit;
    }
    return faults;
}

static void draw(struct sim *sim) {
    struct sim_profile *p = &sim->profile;
    p->linear = sim_chance(sim, 500);
    p->nodes = (unsigned)PICK(sim, 1, 2, 2, 3, 3, 4);
    p->clients = (unsigned)sim_between(sim, 2, SIM_CLIENTS_MAX);
    p->keys = (unsigned)PICK(sim, 1, 2, 3, 4, 6, 12);
    p->pure_keys = (unsigned)PICK(sim, 0, (int64_t)p->keys / 2, p->keys);
    if (p->linear && p->pure_keys == 0)
        p->pure_keys = p->keys;
    p->faults = draw_faults(sim, p->linear);
    p->load_us = PICK(sim, 200000, 400000, 700000);
    /* Two write time-outs and more: a link that died in silence is found by the write behind the
     * first, unless a probe came before. */
    p->settle_us = 1500000;
    p->net_us_max = PICK(sim, 100, 1000, 4000, 8000);
    p->statement_us_max = PICK(sim, 300, 1500, 5000, 12000);
    p->feed_us_max = PICK(sim, 100, 1000, 5000, 20000);
    p->think_us_max = PICK(sim, 2000, 6000, 15000);
    p->slow_permille = (unsigned)PICK(sim, 10, 60, 250);
    p->evict_every_us = PICK(sim, 1000, 5000, 20000);
    p->mix = sim_client_mix((unsigned)sim_random(sim, SIM_MIXES));
    p->fault_every_us = PICK(sim, 10000, 30000, 100000);
    p->edit_every_us = PICK(sim, 2000, 8000, 30000);
    p->fence_ms = PICK(sim, 100, 200);
    p->beat_ms = 25;
    p->stale_max_ms = PICK(sim, 0, 200, 1000);
    p->read_timeout_ms = PICK(sim, 30, 60);
    p->write_timeout_ms = PICK(sim, 60, 250);
    p->pipeline = (unsigned)PICK(sim, 1, 1, 2, 4);
    p->read_lanes = (unsigned)PICK(sim, 1, 2, 2);
    p->write_lanes = (unsigned)PICK(sim, 1, 1, 2);
    p->cache_bytes = CACHE_BYTES;
    if (sim_chance(sim, 60)) { /* a cache that cannot hold all keys */
        p->value_bytes = 20000;
        p->cache_bytes = 400 << 10;
        p->load_us = 200000;
        p->think_us_max = 15000;
    }
}

/* A few keys that are mostly read, so that copies are given. */
static void make_hot(struct sim_profile *p, bool calm) {
    p->hot = true;
    p->keys = p->keys < 3 ? p->keys : 3;
    p->pure_keys = p->pure_keys < p->keys ? p->pure_keys : p->keys;
    p->mix = sim_client_mix(SIM_MIX_HOT);
    p->think_us_max = 1500;
    p->edit_every_us = 30000;
    if (calm)
        p->faults = 0;
}

/* Much is asked for: with large values a run would have no room. */
static void make_small(struct sim_profile *p) {
    p->value_bytes = 0;
    p->cache_bytes = CACHE_BYTES;
}

/* Keys come back to nodes that have old copies of them, and no database: what proxies take for hot
 * there must not outlive it. */
static void make_blind(struct sim *sim, struct sim_profile *p) {
    make_small(p);
    p->linear = false;
    p->nodes = 2;
    p->pure_keys = 0;
    p->read_lanes = 1;
    p->stale_max_ms = 1000;
    p->faults = SIM_FAULT_PARTITION | SIM_FAULT_RING | SIM_FAULT_LANE;
    p->fault_every_us = PICK(sim, 5000, 10000, 20000);
    p->edit_every_us = PICK(sim, 8000, 30000);
    p->load_us = 700000;
}

/* Nodes may fill from a replica, and have cause to: keys that are asked for again soon after they
 * were evicted. */
static void make_replica(struct sim *sim, struct sim_profile *p) {
    p->replica = true;
    p->replica_age_ms = PICK(sim, 40, p->fence_ms);
    p->faults |= p->hot ? 0 : SIM_FAULT_EVICT;
    p->evict_every_us = PICK(sim, 500, 2000, 5000);
}

/* Much at once of few keys that nobody edits: fills and writes that cross each other, from more
 * than one node, long before the feed tells of them. */
static void make_crossing(struct sim *sim, struct sim_profile *p) {
    make_small(p);
    p->linear = true;
    p->nodes = (unsigned)PICK(sim, 2, 2, 3);
    p->clients = SIM_CLIENTS_MAX;
    p->keys = p->pure_keys = (unsigned)PICK(sim, 2, 3, 4);
    p->faults = SIM_FAULT_EVICT | SIM_FAULT_NOTIFY |
                (sim_chance(sim, 500) ? SIM_FAULT_LANE | SIM_FAULT_STATEMENTS : 0);
    p->load_us = 200000;
    p->statement_us_max = PICK(sim, 1500, 5000);
    p->feed_us_max = PICK(sim, 5000, 20000);
    p->think_us_max = 2000;
    p->slow_permille = 250;
    p->mix = sim_client_mix(SIM_MIX_CROSSING);
    p->fault_every_us = PICK(sim, 2000, 10000);
    p->evict_every_us = PICK(sim, 500, 2000);
    p->pipeline = (unsigned)PICK(sim, 1, 1, 2);
    p->read_lanes = (unsigned)PICK(sim, 2, 3);
}

/* Servers that lose what nodes have read, and hand out its numbers again soon; the old ones live
 * on, and are met again. */
static void make_failover(struct sim *sim, struct sim_profile *p) {
    make_small(p);
    p->linear = false;
    p->keys = (unsigned)PICK(sim, 1, 2, 3);
    p->pure_keys = 0;
    p->faults = SIM_FAULT_DB_FAILOVER | (p->faults & (SIM_FAULT_FEED | SIM_FAULT_LANE));
    p->load_us = 400000;
    p->feed_us_max = PICK(sim, 100, 1000);
    p->slow_permille = 10;
    p->think_us_max = PICK(sim, 2000, 6000, 15000);
    p->fault_every_us = PICK(sim, 30000, 60000);
    p->edit_every_us = PICK(sim, 2000, 8000, 30000);
}

/* Standbys that are behind just as nodes hear that they cannot rely on them: gaps in the feed, late
 * news, edits between a floor's two questions. */
static void make_behind(struct sim *sim, struct sim_profile *p) {
    make_small(p);
    p->nodes = (unsigned)PICK(sim, 1, 2, 2);
    p->keys = (unsigned)PICK(sim, 4, 12); /* a floor serves each of them once */
    p->pure_keys = sim_chance(sim, 500) ? 0 : p->keys / 2;
    p->faults =
        SIM_FAULT_EVICT | (unsigned)PICK(sim, 0, SIM_FAULT_NOTIFY, SIM_FAULT_FEED, SIM_FAULT_LANE,
                                         SIM_FAULT_FEED_SLOW, SIM_FAULT_FEED_SLOW);
    p->load_us = 400000;
    p->feed_us_max = PICK(sim, 100, 1000, 20000);
    /* Quick, and patient: a standby that does not answer once is left alone until the end. */
    p->net_us_max = PICK(sim, 100, 1000);
    p->statement_us_max = PICK(sim, 300, 1500);
    p->read_timeout_ms = 300;
    p->think_us_max =
        PICK(sim, 2000, 2000, 15000); /* so that some keys are asked for once in a floor */
    p->slow_permille = (unsigned)PICK(sim, 10, 100);
    p->mix = sim_client_mix(SIM_MIX_READS);
    p->fault_every_us = PICK(sim, 10000, 30000, 60000);
    p->edit_every_us = PICK(sim, 2000, 5000, 10000);
    p->evict_every_us = PICK(sim, 200, 500);
    p->replica_age_ms = PICK(sim, 40, p->fence_ms);
}

/* Commits that wait for a synchronous standby: the others show them before their own server does.
 */
static void make_ahead(struct sim *sim, struct sim_profile *p) {
    p->faults &= ~(unsigned)SIM_FAULT_FEED_SLOW;
    p->sync_permille = (unsigned)PICK(sim, 100, 300, 1000);
    p->sync_us_max = PICK(sim, 2000, 20000);
}

static void trace_profile(struct sim *sim, const char *regime) {
    const struct sim_profile *p = &sim->profile;
    sim_trace(sim,
              "%s: %s%s%s, nodes %u, clients %u x %u, keys %u, pure %u, faults %x, net %lld us, "
              "statement "
              "%lld us, feed %lld us, fence %lld ms, stale %lld ms",
              regime, p->linear ? "linear" : "any faults", p->hot ? ", hot" : "",
              p->replica ? ", replica" : "", p->nodes, p->clients, p->pipeline, p->keys,
              p->pure_keys, p->faults, (long long)p->net_us_max, (long long)p->statement_us_max,
              (long long)p->feed_us_max, (long long)p->fence_ms, (long long)p->stale_max_ms);
}

/* ---- regimes ---- */

enum make {
    HOT = 1 << 0,
    CALM = 1 << 1,
    REPLICA = 1 << 2,
    CROSSING = 1 << 3,
    FAILOVER = 1 << 4,
    BEHIND = 1 << 5,
    AHEAD = 1 << 6,
    BLIND = 1 << 7
};

enum { PARTS = 32, SPREAD = 11 /* no divisor of PARTS: neighbours differ */ };

/* How many of PARTS seeds are of each. */
static const struct regime {
    const char *name;
    unsigned parts, make;
} REGIMES[] = {
    {"any", 9, 0},
    {"hot", 3, HOT},
    {"hot_calm", 3, HOT | CALM},
    {"hot_replica", 1, HOT | REPLICA},
    {"hot_blind", 1, HOT | BLIND},
    {"replica", 3, REPLICA},
    {"replica_behind", 3, REPLICA | BEHIND},
    {"replica_ahead", 1, REPLICA | BEHIND | AHEAD},
    {"crossing", 4, CROSSING},
    {"failover", 3, FAILOVER},
    {"failover_replica", 1, FAILOVER | REPLICA},
};
enum { REGIMES_COUNT = sizeof(REGIMES) / sizeof(REGIMES[0]) };

const char *sim_regime(unsigned i) {
    return i < REGIMES_COUNT ? REGIMES[i].name : NULL;
}

static const struct regime *regime_of(uint64_t seed, const char *name) {
    uint64_t part = seed * SPREAD % PARTS;
    unsigned i = 0;
    if (name != NULL) {
        while (strcmp(REGIMES[i].name, name) != 0)
            i++;
        return &REGIMES[i];
    }
    for (; part >= REGIMES[i].parts; i++)
        part -= REGIMES[i].parts;
    return &REGIMES[i];
}

void sim_profile_draw(struct sim *sim, uint64_t seed, const char *name) {
    const struct regime *regime = regime_of(seed, name);
    struct sim_profile *p = &sim->profile;
    draw(sim);
    if ((regime->make & CROSSING) != 0)
        make_crossing(sim, p);
    if ((regime->make & FAILOVER) != 0)
        make_failover(sim, p);
    if ((regime->make & HOT) != 0)
        make_hot(p, (regime->make & CALM) != 0);
    if ((regime->make & BLIND) != 0)
        make_blind(sim, p);
    if ((regime->make & REPLICA) != 0)
        make_replica(sim, p);
    if ((regime->make & BEHIND) != 0)
        make_behind(sim, p);
    if ((regime->make & AHEAD) != 0)
        make_ahead(sim, p);
    trace_profile(sim, regime->name);
}
