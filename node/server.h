/*
 * server: what the node's parts are given: one value, filled by main, borrowed by all.
 */
#ifndef RINGFENCE_SERVER_H
#define RINGFENCE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct cache;
struct conn_loop;
struct event;
struct feed_pg;
struct node_conf;
struct op_read;
struct session;
struct store;
struct through;

struct server {
    const struct node_conf *conf;
    struct conn_loop *loop;
    struct cache *cache;
    struct store *store;
    struct feed_pg *feed;
    struct through *through;
    struct session *sessions; /* all of them */
    struct op_read *spare;    /* op.c's: ready for the next read */
    struct event *tick;       /* time-outs; rests while nobody waits: see server_wake() */
    bool tick_rests;
    uint32_t sessions_count, watchers;
    uint64_t sessions_made, sessions_refused, commands, errors, deferred;
    int64_t started_mono_ms;
    bool starting; /* not all of the database's connections are up yet: proxies had better wait */
    uint16_t port;
};

/** server_arm_tick(server, rests): the next tick: in 100 ms if nobody waits for anything, else in
 * 10 ms. */
void server_arm_tick(struct server *server, bool rests);

/** server_wake(server): somebody waits from now on, so the tick has to be quick. Cheap. */
void server_wake(struct server *server);

#endif
