#include "sim_faults.h"

#include <stdio.h>

#include "sim_client.h"
#include "sim_db.h"
#include "sim_fakes.h"
#include "sim_feed.h"
#include "sim_net.h"
#include "sim_node.h"
#include "sim_proxy.h"
#include "sim_replica.h"
#include "sim_store.h"

enum { PATIENCE_US = 50000 /* half of request_timeout_ms (sim_proxy.c) */ };

static void on_fault(struct sim *sim, void *ctx, uint64_t arg);
static void on_edit(struct sim *sim, void *ctx, uint64_t arg);
static void on_evict(struct sim *sim, void *ctx, uint64_t arg);
static void on_replica_fault(struct sim *sim, void *ctx, uint64_t arg);

static int64_t about(struct sim *sim, int64_t us) {
    return sim_between(sim, us / 2, us * 3 / 2);
}

void sim_faults_begin(struct sim *sim) {
    const struct sim_profile *p = sim_profile(sim);
    sim_in(sim, NULL, about(sim, p->fault_every_us), on_fault, NULL, 0);
    if (p->pure_keys < p->keys)
        sim_in(sim, NULL, about(sim, p->edit_every_us), on_edit, NULL, 0);
    if ((p->faults & SIM_FAULT_EVICT) != 0)
        sim_in(sim, NULL, 1000, on_evict, NULL, 0);
    if (p->replica)
        sim_in(sim, NULL, about(sim, p->fault_every_us), on_replica_fault, NULL, 0);
}

static struct sim_node *random_node(struct sim *sim) {
    return &sim_parts(sim)->nodes[sim_random(sim, sim_profile(sim)->nodes)];
}

static void on_edit(struct sim *sim, void *ctx, uint64_t arg) {
    if (!sim_loading(sim))
        return;
    sim_db_edit(sim);
    sim_in(sim, NULL, about(sim, sim_profile(sim)->edit_every_us), on_edit, NULL, 0);
}

static void on_evict(struct sim *sim, void *ctx, uint64_t arg) {
    if (!sim_loading(sim))
        return;
    sim_node_evict(random_node(sim));
    sim_in(sim, NULL, sim_between(sim, 100, sim_profile(sim)->evict_every_us), on_evict, NULL, 0);
}

static void on_replica_fault(struct sim *sim, void *ctx, uint64_t arg) {
    if (!sim_loading(sim))
        return;
    sim_replica_fault(sim);
    sim_in(sim, NULL, about(sim, 2 * sim_profile(sim)->fault_every_us), on_replica_fault, NULL, 0);
}

/* ---- each fault ---- */

static void cut(struct sim *sim, struct sim_node *n, bool cut_off) {
    if (!n->alive)
        return;
    sim_trace(sim, "%s: PostgreSQL %s", n->name, cut_off ? "cannot be reached" : "can be reached");
    sim_store_cut(n->server.store, cut_off);
    sim_feed_cut(n->feed, cut_off);
}

static void on_mend(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_node *n = ctx;
    if (n->life == arg)
        cut(sim, n, false);
}

static void partition(struct sim *sim, struct sim_node *n) {
    cut(sim, n, true);
    sim_in(sim, NULL, sim_between(sim, 20000, 600000), on_mend, n, n->life);
}

static void on_restart(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_node *n = ctx;
    if (!n->alive && n->life == arg)
        sim_node_start(n);
}

static void crash(struct sim *sim, struct sim_node *n) {
    if (!n->alive)
        return;
    sim_node_crash(n, sim_chance(sim, 400));
    sim_in(sim, NULL, sim_between(sim, 1000, 200000), on_restart, n, n->life);
}

static void stall(struct sim *sim, struct sim_node *n) {
    /* Where keys have to stay linearizable, less than a proxy's patience, and not one stop right
     * behind another: what waits has to be answered between them, or a proxy passes the owner over.
     */
    bool linear = sim_profile(sim)->linear;
    if (linear && sim_now_us(sim) < n->process.stopped_until_us + PATIENCE_US)
        return;
    int64_t us = sim_between(sim, 1000, linear ? 30000 : 500000);
    sim_trace(sim, "%s: is stopped for %lld ms", n->name, (long long)us / 1000);
    sim_stop(sim, &n->process, us);
}

/* Somebody else on our channel: nonsense, versions from nowhere, somebody else's heartbeats. */
static void notify(struct sim *sim) {
    static const char *const TEXTS[] = {"hello", "1\nh n0 1 00000000\n", "1\nc 5 1 k\ng", "1\n",
                                        "1\nh x 1\n"};
    struct sim_lines lines;
    unsigned key = (unsigned)sim_random(sim, sim_profile(sim)->keys);
    sim_lines_begin(&lines);
    if (sim_chance(sim, 500)) {
        sim_lines_changed(sim, &lines, key, sim_chance(sim, 500) ? UINT64_MAX / 4 : 1);
    } else {
        lines.len = (size_t)snprintf(lines.text, sizeof(lines.text), "%s",
                                     TEXTS[sim_random(sim, sizeof(TEXTS) / sizeof(TEXTS[0]))]);
    }
    lines.keys = 0; /* it says nothing about the table */
    sim_trace(sim, "somebody NOTIFYs: %.*s", (int)lines.len, lines.text);
    if (sim_db_primary(sim) != SIM_NO_SERVER)
        sim_lines_send(sim, sim_db_primary(sim), &lines);
}

static void edit_ring(struct sim *sim) {
    unsigned all = (1u << sim_profile(sim)->nodes) - 1;
    unsigned ring = 1 + (unsigned)sim_random(sim, all);
    sim_proxies_edit_ring(sim, ring);
}

/* What the primary has to tell comes late; to its standbys, too, perhaps. */
static void slow_down(struct sim *sim, struct sim_node *n) {
    int64_t us = sim_between(sim, 1000, sim_chance(sim, 500) ? 150000 : 400000);
    if (n->alive)
        sim_feed_slow(n->feed, us);
    if (sim_profile(sim)->replica && sim_chance(sim, 500))
        sim_replicas_pause(sim, us);
}

static void break_link(struct sim *sim, struct sim_node *n) {
    struct sim_proxy *p = &sim_parts(sim)->proxies[sim_random(sim, SIM_PROXIES)];
    sim_net_break(sim, &p->process, sim_node_port(n->index), sim_chance(sim, 400));
}

static void do_fault(struct sim *sim, enum sim_fault fault) {
    struct sim_node *n = random_node(sim);
    switch (fault) {
    case SIM_FAULT_LANE:
        if (n->alive)
            sim_store_break(n->server.store);
        return;
    case SIM_FAULT_FEED:
        if (n->alive)
            sim_feed_lose(n->feed, sim_chance(sim, 300));
        return;
    case SIM_FAULT_FEED_SLOW:
        slow_down(sim, n);
        return;
    case SIM_FAULT_DB_RESTART:
        sim_db_restart(sim);
        return;
    case SIM_FAULT_DB_FAILOVER:
        sim_db_fail_over(sim, sim_chance(sim, 400));
        return;
    case SIM_FAULT_PARTITION:
        partition(sim, n);
        return;
    case SIM_FAULT_STALL:
        stall(sim, n);
        return;
    case SIM_FAULT_CRASH:
        crash(sim, n);
        return;
    case SIM_FAULT_LINK:
        break_link(sim, n);
        return;
    case SIM_FAULT_RING:
        edit_ring(sim);
        return;
    case SIM_FAULT_CLIENT:
        sim_client_leave(&sim_parts(sim)->clients[sim_random(sim, sim_profile(sim)->clients)]);
        return;
    case SIM_FAULT_NOTIFY:
        notify(sim);
        return;
    case SIM_FAULT_PROXY:
        sim_proxy_restart(sim, &sim_parts(sim)->proxies[sim_random(sim, SIM_PROXIES)]);
        return;
    case SIM_FAULT_STATEMENTS: /* in sim_store_batch.c, all the time */
    case SIM_FAULT_EVICT:      /* above */
        return;
    }
}

static void on_fault(struct sim *sim, void *ctx, uint64_t arg) {
    const struct sim_profile *p = sim_profile(sim);
    if (!sim_loading(sim))
        return;
    for (int tries = 0; tries < 8; tries++) {
        unsigned fault = 1u << sim_random(sim, 14);
        if ((p->faults & fault) != 0) {
            do_fault(sim, (enum sim_fault)fault);
            break;
        }
    }
    sim_in(sim, NULL, about(sim, p->fault_every_us), on_fault, NULL, 0);
}

void sim_faults_heal(struct sim *sim) {
    sim_trace(sim, "everything is mended");
    sim_db_heal(sim);
    sim_replica_heal(sim);
    for (unsigned i = 0; i < sim_profile(sim)->nodes; i++) {
        struct sim_node *n = &sim_parts(sim)->nodes[i];
        sim_go_on(sim, &n->process);
        if (n->alive)
            cut(sim, n, false);
        else
            sim_node_start(n);
    }
}
