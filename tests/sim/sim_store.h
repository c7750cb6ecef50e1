/*
 * sim_store: node/store.h over the model of PostgreSQL: a pool of connections ("lanes") that batch,
 * break, come back, and leave statements behind that may still commit.
 */
#ifndef RINGFENCE_SIM_STORE_H
#define RINGFENCE_SIM_STORE_H

#include "../../node/store.h"
#include "sim.h"
#include "sim_db.h"

struct sim_node;

struct store *sim_store_new(struct sim *sim, struct sim_node *node);

/** sim_store_end(store): the process ends: what waits is answered first. What was sent may still
 * happen. */
void sim_store_end(struct store *store);

/** sim_store_trust(store, server): the feed is on this server now; connections to others are
 * closed. SIM_NO_SERVER: there is no feed. */
void sim_store_trust(struct store *store, int server);

/** sim_store_server_died(store, server) / sim_store_break(store): its connections, or one at
 * random, are lost soon. */
void sim_store_server_died(struct store *store, int server);
void sim_store_break(struct store *store);

/** sim_store_cut(store, cut): PostgreSQL cannot be reached from here. */
void sim_store_cut(struct store *store, bool cut);

/** sim_store_all_on(store, server): no connection that is up leads elsewhere. */
bool sim_store_all_on(const struct store *store, int server);

/** sim_store_beat(store, lines): NOTIFY on a connection of the pool, another one each time; false
 * if none is up or the last one is not done. */
bool sim_store_beat(struct store *store, const struct sim_lines *lines);

/** sim_store_strays(store): reads that were answered by a server that had been replaced. */
uint64_t sim_store_strays(const struct store *store);

#endif
