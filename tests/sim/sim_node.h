/*
 * sim_node: a node: the real sessions, handlers, through and cache over the model's store, feed and
 * network. It can die and come back empty.
 */
#ifndef RINGFENCE_SIM_NODE_H
#define RINGFENCE_SIM_NODE_H

#include "../../node/distrust.h"
#include "../../node/node_conf.h"
#include "../../node/server.h"
#include "sim.h"

struct sim_feed;
struct sim_lines;

enum {
    SIM_DISTRUST_MS = 20, /* links are told so often that nothing is trusted */
    SIM_TICK_MS = 10      /* and in this time that old copies were served */
};

struct sim_node {
    struct sim_process process;
    unsigned index;
    struct node_conf conf;
    struct server server;
    struct sim_feed *feed;
    struct replica *replica; /* NULL: none */
    bool alive;
    uint64_t life;
    char name[12];
    struct distrust distrust;
    int64_t stale_us;         /* when it last served an old copy, as far as the checker has seen */
    uint64_t stale_before;    /* served by earlier lives */
    int64_t captive_until_us; /* when all its connections last led to a replaced server */
    unsigned checked;         /* the key that the checker looked at last */
    /* What the table has told this life of each key: the index of its newest state. */
    uint32_t told[SIM_KEYS_MAX];
    uint64_t hits_seen, stale_seen; /* reads that the checker has judged */
};

struct sim_node *sim_nodes_new(struct sim *sim);
void sim_nodes_free(struct sim *sim);

/** sim_node_crash(node, silently): it is gone; its peers are told, or hear nothing any more.
 * sim_node_start(node): it comes up, empty. */
void sim_node_crash(struct sim_node *node, bool silently);
void sim_node_start(struct sim_node *node);

/** sim_node_evict(node): a random entry goes. */
void sim_node_evict(struct sim_node *node);

/** sim_nodes_lines(sim, server, lines): all feeds on that server. sim_nodes_server_died(). */
void sim_nodes_lines(struct sim *sim, int server, const struct sim_lines *lines);
void sim_nodes_server_died(struct sim *sim, int server);

/** sim_nodes_stale(sim): reads that any node answered without trust, or from a server that had been
 * replaced: what may be older than the fence allows. */
uint64_t sim_nodes_stale(struct sim *sim);

/** sim_nodes_stale_us(sim): when the last of them was seen. */
int64_t sim_nodes_stale_us(struct sim *sim);

#endif
