/*
 * server: what the node's parts are given: one value, filled by main, borrowed by all.
 */
#ifndef RINGFENCE_SERVER_H
#define RINGFENCE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct cache;
struct conn_loop;
struct feed_pg;
struct node_conf;
struct op_read;
struct replica;
struct session;
struct store;
struct through;
struct tick;

struct server {
    const struct node_conf *conf;
    struct conn_loop *loop;
    struct cache *cache;
    struct store *store;
    struct feed_pg *feed;
    struct through *through;
    struct replica *replica;  /* NULL: none */
    struct session *sessions; /* all of them */
    struct session *keepers;  /* those with deferrals that wait for an answer, or had some */
    struct op_read *spare;    /* op.c's: ready for the next read */
    struct tick *tick;        /* time-outs; to be woken when somebody begins to wait */
    uint32_t sessions_count, watchers;
    uint64_t sessions_made, sessions_refused, commands, errors, deferred, swept;
    int64_t started_mono_ms;
    bool starting; /* warmup.h: proxies had better wait */
    uint16_t port;
};

#endif
