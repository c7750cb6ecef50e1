/*
 * field: what is tested: a PostgreSQL, CHAOS_NODES nodes and CHAOS_PROXIES proxies, with a link
 * (wire.h) on every way between them, and on the clients' way to the proxies. For the test's main
 * thread only: an error fails the running Criterion test.
 */
#ifndef RINGFENCE_CHAOS_FIELD_H
#define RINGFENCE_CHAOS_FIELD_H

#include <libpq-fe.h>
#include <sys/types.h>

#include "../harness/stack.h"
#include "../harness/wire.h"
#include "chaos.h"

struct field_daemon {
    pid_t pid; /* 0: it does not run */
    uint16_t port;
    char log[STACK_PATH_BYTES + 24];
};

struct field {
    struct stack *stack; /* its own node and proxy are not in our ring */
    struct wire *wire;
    struct field_daemon nodes[CHAOS_NODES], proxies[CHAOS_PROXIES];
    int db_links[CHAOS_NODES];                  /* from a node to PostgreSQL */
    int node_links[CHAOS_PROXIES][CHAOS_NODES]; /* from a proxy to a node */
    int client_links[CHAOS_PROXIES];
    uint16_t db_ports[CHAOS_NODES], node_ports[CHAOS_PROXIES][CHAOS_NODES];
    uint16_t client_ports[CHAOS_PROXIES];
    char rings[CHAOS_PROXIES][STACK_PATH_BYTES + 24];
    char conninfo[300]; /* of a superuser, past all links */
    int fence_ms, stale_ms;
    int epoch; /* of the newest ring */
};

/** field_up(fence_ms, stale_ms, fsync): everything runs and knows each other; PostgreSQL with
 * fsync, or, which is quicker, without. field_down() it. */
struct field *field_up(int fence_ms, int stale_ms, bool fsync);
void field_down(struct field **field);

/** field_node_start / field_proxy_start: start one that does not run; does not wait for it. */
void field_node_start(struct field *field, int node);
void field_proxy_start(struct field *field, int proxy);

/** field_end(daemon, signo): end it and wait for its end. */
void field_end(struct field_daemon *daemon, int signo);

/** field_ring_write(field, proxy, epoch, attributes): the ring file of one proxy; `attributes` by
 * node, "-" leaves it out. */
void field_ring_write(struct field *field, int proxy, int epoch,
                      const char *const attributes[CHAOS_NODES]);

/** field_heal(field): nothing is broken any more, everything runs; returns when all of it is well.
 * False if it does not become so. */
bool field_heal(struct field *field);

/** field_sql(field): a connection of a superuser; PQfinish() it. NULL if there is none. */
PGconn *field_sql(const struct field *field);

#endif
