#include "sim_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/conn.h"
#include "../../common/tick.h"
#include "../../node/cache.h"
#include "../../node/replica.h"
#include "../../node/session.h"
#include "../../node/through.h"
#include "sim_db.h"
#include "sim_fakes.h"
#include "sim_feed.h"
#include "sim_net.h"
#include "sim_store.h"

static bool on_tick(void *ctx, bool held_up);

static void on_accept(void *ctx, int fd) {
    session_open(&((struct sim_node *)ctx)->server, fd);
}

void sim_node_start(struct sim_node *n) {
    struct sim *sim = n->process.sim;
    const struct sim_profile *p = sim_profile(sim);
    struct server *s = &n->server;
    n->replica = p->replica ? replica_new(p->replica_age_ms) : NULL;
    const struct through_conf conf = {.replica = n->replica,
                                      .fence_after_ms = p->fence_ms,
                                      .stale_max_ms = p->stale_max_ms,
                                      .read_timeout_ms = p->read_timeout_ms,
                                      .write_timeout_ms = p->write_timeout_ms,
                                      .pending_max = 512};
    n->conf = (struct node_conf){.name = n->name,
                                 .key_bytes_max = 1024,
                                 .value_bytes_max = 1 << 20,
                                 .args_max = 64,
                                 .clients_max = 1024,
                                 .output_bytes_max = 64 << 20,
                                 .cache_bytes_max = (int64_t)p->cache_bytes};
    *s = (struct server){.conf = &n->conf, .port = sim_node_port(n->index)};
    s->loop = conn_loop_new((struct event_base *)&n->process);
    s->tick = tick_new((struct event_base *)&n->process, on_tick, n);
    s->cache = cache_new(p->cache_bytes, sim_random(sim, UINT64_MAX));
    s->store = sim_store_new(sim, n);
    s->through = s->cache == NULL ? NULL : through_new(&conf, s->cache, s->store);
    if (s->through == NULL)
        abort();
    n->feed = sim_feed_new(sim, n);
    n->alive = true;
    n->distrust = (struct distrust){0};
    n->hits_seen = n->stale_seen = 0;
    memset(n->told, 0, sizeof(n->told));
    n->life++;
    sim_net_listen(sim, s->port, &n->process, on_accept, n);
    sim_net_unplug(sim, s->port, false);
    sim_trace(sim, "%s: starts", n->name);
}

/* As the daemon's. */
static bool on_tick(void *ctx, bool held_up) {
    struct sim_node *n = ctx;
    session_tick(&n->server);
    if (held_up)
        return false;
    int64_t now_ms = sim_now_us(n->process.sim) / 1000;
    through_tick(n->server.through, now_ms);
    if (distrust_is_due(&n->distrust, now_ms, SIM_DISTRUST_MS,
                        through_trusts(n->server.through, now_ms),
                        through_counters(n->server.through)->stale_served))
        session_watch_tell_all(&n->server);
    /* Watchers are told more often here than a tick at rest comes: where there may be any it never
     * rests. */
    return through_pending(n->server.through) == 0 && !sim_profile(n->process.sim)->hot;
}

/* In the order of the daemon's own end. */
static void release(struct sim_node *n) {
    struct server *s = &n->server;
    n->stale_before += through_counters(s->through)->stale_served + sim_store_strays(s->store);
    n->alive = false;
    session_close_all(s);
    sim_feed_end(n->feed);
    sim_store_end(s->store);
    if (through_pending(s->through) != 0)
        sim_violation(n->process.sim, "%s: something waits although its store is gone", n->name);
    through_free(&s->through);
    replica_free(&n->replica);
    cache_free(&s->cache);
    tick_free(&s->tick);
    free(s->spare);
    s->spare = NULL;
}

void sim_node_crash(struct sim_node *n, bool silently) {
    struct sim *sim = n->process.sim;
    sim_trace(sim, "%s: crashes%s", n->name, silently ? ", silently" : "");
    sim_net_listen(sim, n->server.port, &n->process, NULL, NULL);
    sim_net_unplug(sim, n->server.port, silently);
    sim_net_kill(sim, &n->process, silently);
    release(n);
}

struct sim_node *sim_nodes_new(struct sim *sim) {
    unsigned count = sim_profile(sim)->nodes;
    struct sim_node *nodes = sim_alloc(sim, count * sizeof(*nodes));
    for (unsigned i = 0; i < count; i++) {
        snprintf(nodes[i].name, sizeof(nodes[i].name), "n%u", i);
        nodes[i].process = (struct sim_process){.sim = sim, .name = nodes[i].name};
        nodes[i].index = i;
        sim_node_start(&nodes[i]);
    }
    return nodes;
}

void sim_nodes_free(struct sim *sim) {
    for (unsigned i = 0; i < sim_profile(sim)->nodes; i++) {
        if (sim_parts(sim)->nodes[i].alive)
            release(&sim_parts(sim)->nodes[i]);
    }
}

void sim_node_evict(struct sim_node *n) {
    struct sim *sim = n->process.sim;
    struct span key = sim_key(sim, (unsigned)sim_random(sim, sim_profile(sim)->keys));
    if (n->alive && cache_drop(n->server.cache, key, cache_hash(n->server.cache, key)))
        sim_trace(sim, "%s: evicts %.*s", n->name, (int)key.len, key.ptr);
}

void sim_nodes_lines(struct sim *sim, int server, const struct sim_lines *lines) {
    for (unsigned i = 0; i < sim_profile(sim)->nodes; i++) {
        if (sim_parts(sim)->nodes[i].alive)
            sim_feed_lines(sim_parts(sim)->nodes[i].feed, server, lines);
    }
}

void sim_nodes_server_died(struct sim *sim, int server) {
    for (unsigned i = 0; i < sim_profile(sim)->nodes; i++) {
        struct sim_node *n = &sim_parts(sim)->nodes[i];
        if (!n->alive)
            continue;
        sim_store_server_died(n->server.store, server);
        sim_feed_server_died(n->feed, server);
    }
}

uint64_t sim_nodes_stale(struct sim *sim) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < sim_profile(sim)->nodes; i++) {
        const struct sim_node *n = &sim_parts(sim)->nodes[i];
        sum += n->stale_before;
        if (n->alive)
            sum += through_counters(n->server.through)->stale_served +
                   sim_store_strays(n->server.store);
    }
    return sum;
}

int64_t sim_nodes_stale_us(struct sim *sim) {
    int64_t last_us = 0;
    for (unsigned i = 0; i < sim_profile(sim)->nodes; i++) {
        int64_t us = sim_parts(sim)->nodes[i].stale_us;
        last_us = us > last_us ? us : last_us;
    }
    return last_us;
}
