/* One run: what its seed makes of it, and its phases. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_check.h"
#include "sim_client.h"
#include "sim_core.h"
#include "sim_db.h"
#include "sim_fakes.h"
#include "sim_faults.h"
#include "sim_net.h"
#include "sim_node.h"
#include "sim_proxy.h"
#include "sim_replica.h"

/* ---- keys and values ---- */

/* Bytes that a line of the feed must get right come along. */
static void name_keys(struct sim *sim) {
    static const char *const TAILS[] = {"", " a", "\n", "\nc 9 1 k", ":{x}", "{y}", " 1 ", "g 1"};
    for (unsigned i = 0; i < SIM_KEYS_MAX; i++)
        snprintf(sim->keys[i], sizeof(sim->keys[i]), "k%02u%s", i,
                 TAILS[sim_random(sim, sizeof(TAILS) / sizeof(TAILS[0]))]);
}

struct span sim_key(struct sim *sim, unsigned i) {
    return span_str(sim->keys[i]);
}

unsigned sim_key_index(struct span key) {
    return (unsigned)(key.ptr[1] - '0') * 10 + (unsigned)(key.ptr[2] - '0');
}

struct span sim_value_text(struct sim *sim, uint32_t value, char *out) {
    size_t len = (size_t)snprintf(out, SIM_TEXT_BYTES, "v%u.", value);
    size_t bytes = sim->profile.value_bytes;
    if (bytes > len) {
        memset(out + len, 'x', bytes - len);
        len = bytes;
        out[len] = '\0';
    }
    return span_of(out, len);
}

uint32_t sim_value_id(struct span text) {
    uint32_t id = 0;
    if (text.len < 2 || text.ptr[0] != 'v')
        return 0;
    for (size_t i = 1; i < text.len && text.ptr[i] != '.'; i++)
        id = id * 10 + (uint32_t)(text.ptr[i] - '0');
    return id;
}

/* ---- the profile ---- */

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

static void draw_profile(struct sim *sim) {
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
    p->cache_bytes = 4 << 20;
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

/* Nodes may fill from a replica, and have cause to: keys that are asked for again soon after they
 * were evicted. */
static void make_replica(struct sim *sim, struct sim_profile *p) {
    p->replica = true;
    p->replica_age_ms = PICK(sim, 40, p->fence_ms);
    p->faults |= p->hot ? 0 : SIM_FAULT_EVICT;
    p->evict_every_us = PICK(sim, 500, 2000, 5000);
}

static void trace_profile(struct sim *sim) {
    const struct sim_profile *p = &sim->profile;
    sim_trace(
        sim,
        "%s%s%s, nodes %u, clients %u x %u, keys %u, pure %u, faults %x, net %lld us, statement "
        "%lld us, feed %lld us, fence %lld ms, stale %lld ms",
        p->linear ? "linear" : "any faults", p->hot ? ", hot" : "", p->replica ? ", replica" : "",
        p->nodes, p->clients, p->pipeline, p->keys, p->pure_keys, p->faults,
        (long long)p->net_us_max, (long long)p->statement_us_max, (long long)p->feed_us_max,
        (long long)p->fence_ms, (long long)p->stale_max_ms);
}

/* ---- phases ---- */

static void on_load(struct sim *sim, void *ctx, uint64_t arg) {
    sim->loading = true;
    for (unsigned i = 0; i < sim->profile.clients; i++)
        sim_client_begin(&sim->parts.clients[i]);
    sim_faults_begin(sim);
}

static void on_load_end(struct sim *sim, void *ctx, uint64_t arg) {
    sim->loading = false;
    sim_faults_heal(sim);
}

static void on_final(struct sim *sim, void *ctx, uint64_t arg) {
    if (arg == 0)
        sim_check_rest(sim);
    for (unsigned i = 0; i < sim->profile.clients && i < SIM_PROXIES; i++)
        sim_client_final(&sim->parts.clients[i]);
}

static void on_end(struct sim *sim, void *ctx, uint64_t arg) {
    sim_check_rest(sim);
    sim_check_trust(sim);
    sim->stopping = true;
}

static void plan(struct sim *sim) {
    int64_t rest_us = 60000 + sim->profile.load_us + sim->profile.settle_us;
    sim_in(sim, NULL, 60000, on_load, NULL, 0); /* let connections and feeds come up */
    sim_in(sim, NULL, 60000 + sim->profile.load_us, on_load_end, NULL, 0);
    sim_in(sim, NULL, rest_us, on_final, NULL, 0);
    sim_in(sim, NULL, rest_us + 100000, on_final, NULL, 1);
    sim_in(sim, NULL, rest_us + 200000, on_end, NULL, 0);
}

static struct sim run; /* one at a time: crash handlers have no argument */

void sim_crashed(void) {
    sim_core_print_trace(&run);
}

void sim_run(uint64_t seed, bool trace, struct sim_result *result) {
    *result = (struct sim_result){0};
    sim_core_begin(&run, seed);
    run.result = result;
    run.traced = trace;
    sim_fakes_begin(&run);
    draw_profile(&run);
    if (seed % 4 == 0) /* not drawn: the other seeds stay what they were */
        make_hot(&run.profile, seed % 8 == 0);
    if (seed % 4 == 2 || seed % 32 == 8 || seed % 32 == 12) /* likewise */
        make_replica(&run, &run.profile);
    trace_profile(&run);
    name_keys(&run);
    run.parts.net = sim_net_new(&run);
    run.parts.db = sim_db_new(&run);
    run.parts.replicas = sim_replicas_new(&run);
    run.parts.check = sim_check_new(&run);
    run.parts.nodes = sim_nodes_new(&run);
    run.parts.proxies = sim_proxies_new(&run, (1u << run.profile.nodes) - 1);
    run.parts.clients = sim_clients_new(&run);
    plan(&run);
    for (unsigned i = 0; sim_core_step(&run); i++)
        sim_check_node(&run, &run.parts.nodes[i % run.profile.nodes]);
    if (trace)
        sim_core_print_trace(&run);
    sim_proxies_free(&run);
    sim_nodes_free(&run);
    sim_net_free(run.parts.net);
    free(run.trace);
    run.trace = NULL;
}
