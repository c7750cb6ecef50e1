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
#include "sim_wait.h"

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

void sim_run(uint64_t seed, const char *regime, bool trace, struct sim_result *result) {
    *result = (struct sim_result){0};
    sim_core_begin(&run, seed);
    run.result = result;
    run.traced = trace;
    sim_fakes_begin(&run);
    sim_profile_draw(&run, seed, regime);
    name_keys(&run);
    run.parts.net = sim_net_new(&run);
    run.parts.db = sim_db_new(&run);
    run.parts.waits = sim_waits_new(&run);
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
