#include "sim_proxy.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../common/conn.h"
#include "../../common/hash.h"
#include "../../common/ring.h"
#include "../../proxy/client.h"
#include "../../proxy/gather.h"
#include "../../proxy/hotkeys.h"
#include "../../proxy/near.h"
#include "../../proxy/registry.h"
#include "../../proxy/topology.h"
#include "../../proxy/tracking.h"
#include "sim_fakes.h"
#include "sim_net.h"
#include "sim_node.h"

static void on_accept(void *ctx, int fd) {
    client_open(((struct sim_proxy *)ctx)->clients, fd);
}

/* Every key is hot. A copy outlives what a node trusts, so that nothing hides what is wrong with
 * it.
 */
static void keep_copies(struct sim *sim, struct sim_proxy *p) {
    const struct near_conf conf = {.bytes_max = 1 << 20,
                                   .keep_us = sim_profile(sim)->fence_ms * 1000,
                                   .quiet_us = 2 * SIM_DISTRUST_MS * 1000};
    p->conf.hotkeys_sample = 1;
    p->conf.hot_cache_rate = 1;
    p->env.near = near_new(&conf);
    p->env.hotkeys = hotkeys_new(1, p->index);
    if (p->env.near == NULL || p->env.hotkeys == NULL)
        abort();
}

static void start(struct sim *sim, struct sim_proxy *p, unsigned ring) {
    p->conf = (struct proxy_conf){.request_timeout_ms = 100,
                                  .write_timeout_ms = 400,
                                  .connect_timeout_ms = 80,
                                  .node_retry_max_ms = 100,
                                  .health_interval_ms = 500,
                                  .pipeline_max = 1024,
                                  .node_inflight_max = 65536,
                                  .args_max = 64,
                                  .transaction_commands_max = 64,
                                  .transaction_bytes_max = 1 << 20,
                                  .key_bytes_max = 1024,
                                  .value_bytes_max = 1 << 20,
                                  .output_bytes_max = 64 << 20,
                                  .drain_ms = 200};
    p->server = (struct local_server){.conf = &p->conf, .registry = registry_new()};
    p->env = (struct proxy_env){.conf = &p->conf,
                                .base = (struct event_base *)&p->process,
                                .loop = conn_loop_new((struct event_base *)&p->process),
                                .gathers = gathers_new(),
                                .server = &p->server,
                                .pause = &p->pause,
                                .stats = p->stats};
    if (sim_profile(sim)->hot)
        keep_copies(sim, p);
    p->env.tracking = p->server.tracking = tracking_new(1000, &CLIENT_TRACKING_HANDLERS, &p->env);
    p->env.topology = p->server.topology = topology_new(&p->env, "");
    p->clients = client_list_new(&p->env);
    if (!pause_init(&p->pause) || p->env.gathers == NULL || p->server.registry == NULL ||
        p->env.tracking == NULL || p->env.topology == NULL || p->clients == NULL ||
        !topology_swap(p->env.topology, sim_ring(ring), 1))
        abort();
    p->ring = ring;
    sim_net_listen(sim, sim_proxy_port(p->index), &p->process, on_accept, p);
}

struct sim_proxy *sim_proxies_new(struct sim *sim, unsigned ring) {
    struct sim_proxy *proxies = sim_alloc(sim, SIM_PROXIES * sizeof(*proxies));
    for (unsigned i = 0; i < SIM_PROXIES; i++) {
        snprintf(proxies[i].name, sizeof(proxies[i].name), "p%u", i);
        proxies[i].process = (struct sim_process){.sim = sim, .name = proxies[i].name};
        proxies[i].index = i;
        start(sim, &proxies[i], ring);
    }
    return proxies;
}

static void stop(struct sim_proxy *p) {
    topology_free(&p->env.topology); /* answers what is open, as the worker's end does */
    client_list_free(&p->clients);
    gathers_free(&p->env.gathers);
    tracking_free(&p->env.tracking);
    near_free(&p->env.near);
    hotkeys_free(&p->env.hotkeys);
    registry_free(&p->server.registry);
    pause_release(&p->pause);
}

void sim_proxies_free(struct sim *sim) {
    for (unsigned i = 0; i < SIM_PROXIES; i++)
        stop(&sim_parts(sim)->proxies[i]);
}

void sim_proxy_restart(struct sim *sim, struct sim_proxy *p) {
    sim_trace(sim, "%s: ends, and starts again", p->name);
    stop(p);
    start(sim, p, p->ring);
}

static void on_edit(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_proxy *p = ctx;
    sim_trace(sim, "%s: its ring is now %llx", p->name, (unsigned long long)arg);
    p->ring = (unsigned)arg;
    if (!topology_swap(p->env.topology, sim_ring(p->ring), topology_epoch(p->env.topology) + 1))
        abort();
}

void sim_proxies_edit_ring(struct sim *sim, unsigned ring) {
    for (unsigned i = 0; i < SIM_PROXIES; i++) {
        struct sim_proxy *p = &sim_parts(sim)->proxies[i];
        sim_in(sim, &p->process, sim_between(sim, 0, 30000), on_edit, p, ring);
    }
}

unsigned sim_proxy_owner(const struct sim_proxy *p, struct span key) {
    return ring_lookup(topology_ring(p->env.topology), hash_ring(key));
}
