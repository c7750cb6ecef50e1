/*
 * sim_proxy: a proxy with one worker: the real clients, routing, splitting and upstreams over the
 * model's network.
 */
#ifndef RINGFENCE_SIM_PROXY_H
#define RINGFENCE_SIM_PROXY_H

#include "../../proxy/env.h"
#include "../../proxy/local.h"
#include "../../proxy/pause.h"
#include "../../proxy/proxy_conf.h"
#include "../../proxy/proxy_stats.h"
#include "sim.h"

struct client_list;

struct sim_proxy {
    struct sim_process process;
    unsigned index;
    struct proxy_conf conf;
    struct local_server server;
    struct pause pause;
    struct proxy_env env;
    stats_value stats[PROXY_STAT_COUNT];
    struct client_list *clients;
    unsigned ring; /* a bit mask of nodes */
    char name[12];
};

struct sim_proxy *sim_proxies_new(struct sim *sim, unsigned ring);
void sim_proxies_free(struct sim *sim);

/** sim_proxy_restart(sim, proxy): it ends as on a second SIGTERM, and is started again. */
void sim_proxy_restart(struct sim *sim, struct sim_proxy *proxy);

/** sim_proxies_edit_ring(sim, ring): each proxy goes over to the nodes of a bit mask, at its own
 * time. */
void sim_proxies_edit_ring(struct sim *sim, unsigned ring);

/** sim_proxy_owner(proxy, key): index of the node that owns it by this proxy's ring. */
unsigned sim_proxy_owner(const struct sim_proxy *proxy, struct span key);

#endif
