/*
 * bench: what a proxy's worker has around it, for the tests of its modules: an event base, options
 * at their defaults, counters, fake nodes and clients at the other end of a socket pair. Everything
 * runs on the test's thread, turn by turn. Owned by the test.
 */
#ifndef RINGFENCE_BENCH_H
#define RINGFENCE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../proxy/env.h"
#include "../../proxy/local.h"
#include "../../proxy/pause.h"
#include "../../proxy/proxy_conf.h"
#include "../../proxy/proxy_stats.h"
#include "node_fake.h"

enum { BENCH_NODES_MAX = 8, BENCH_PATIENCE_MS = 10000 };

struct client_list;
struct event;

struct bench {
    struct event_base *base;
    struct event *pulse; /* ends a turn after a millisecond */
    struct proxy_conf conf;
    stats_value stats[PROXY_STAT_COUNT];
    const stats_value *blocks[1];
    struct local_server server;
    struct pause pause;
    struct proxy_env env;
    struct client_list *clients; /* NULL before bench_open() */
    struct node_fake *nodes[BENCH_NODES_MAX];
    unsigned nodes_count;
    uint64_t epoch;
};

/** bench_new(nodes): so many fake nodes that listen; no topology and no clients yet, so that a test
 * may change `conf` first. Aborts when it cannot. */
struct bench *bench_new(unsigned nodes);
void bench_free(struct bench **bench);

/** bench_patient(nodes): the same, whose requests do not run out of time. bench_start(nodes): that,
 * and bench_up(). */
struct bench *bench_patient(unsigned nodes);
struct bench *bench_start(unsigned nodes);

/** bench_open(bench): the topology over all nodes, "n0" and so on, and the list of clients.
 * bench_up(bench): that, and turns until every node is connected and has told its status (once: the
 * bench's health-interval-ms is long), so that the requests of the test are the only ones. */
void bench_open(struct bench *bench);
void bench_up(struct bench *bench);

/** bench_swap(bench, mask): a new ring of the nodes whose bits are set. */
void bench_swap(struct bench *bench, unsigned mask);

/** bench_turn(bench): one turn of the loop, which waits for at most a millisecond. */
void bench_turn(struct bench *bench);

/** bench_settle(bench): turns enough for everything that can happen to have happened. */
void bench_settle(struct bench *bench);

/** BENCH_UNTIL(bench, holds): turns until it holds; false after BENCH_PATIENCE_MS. */
#define BENCH_UNTIL(bench, holds)                                                                  \
    __extension__({                                                                                \
        int64_t until_ms_ = bench_now_ms() + BENCH_PATIENCE_MS;                                    \
        while (!(holds) && bench_now_ms() < until_ms_)                                             \
            bench_turn(bench);                                                                     \
        (holds);                                                                                   \
    })
int64_t bench_now_ms(void);

/** BENCH_HEARD(bench, node, n): the node has heard n requests, now or soon; the test fails if not.
 */
#define BENCH_HEARD(bench, node, n)                                                                \
    cr_assert(BENCH_UNTIL(bench, node_fake_heard((bench)->nodes[node]) >= (n)))

/** bench_stat(bench, stat): a counter. */
uint64_t bench_stat(const struct bench *bench, enum proxy_stat stat);

/** bench_owner(bench, key): the index of the node that owns `key` in the ring of all nodes.
 * bench_key(bench, node, n): the n-th of the keys "k0", "k1" ... that the node owns; lives until
 * the next but seven calls. */
unsigned bench_owner(const struct bench *bench, const char *key);
const char *bench_key(const struct bench *bench, unsigned node, unsigned n);

/* ---- clients ---- */

/* The client's own end: non-blocking; what it has heard is kept. */
struct bench_client {
    struct bench *bench;
    int fd;
    char *heard; /* NUL-terminated */
    size_t len, cap;
    bool eof;
};

/** bench_client_new(bench): connected to bench->clients. */
struct bench_client *bench_client_new(struct bench *bench);
void bench_client_free(struct bench_client **client);

/** bench_say(client, text): send bytes; the test ensures that they fit. */
void bench_say(struct bench_client *client, const char *text);
void bench_say_span(struct bench_client *client, struct span bytes);

/** bench_listen(client): take what has arrived; returns its `heard`. */
const char *bench_listen(struct bench_client *client);

/** bench_hears(client, text): turns until exactly `text` was heard in all, or something else. */
bool bench_hears(struct bench_client *client, const char *text);

/** bench_says(client, request, answer): it says that, and hears exactly the answer. bench_ended(
 * client): turns until its connection has ended. */
bool bench_says(struct bench_client *client, const char *request, const char *answer);
bool bench_ended(struct bench_client *client);

/** bench_stop(bench, client): the client (if any) leaves, all settles, and everything is freed. */
void bench_stop(struct bench *bench, struct bench_client *client);

/** bench_forget(client): as if it had heard nothing. */
void bench_forget(struct bench_client *client);

/** bench_leaks(): bytes that nobody holds any more, by AddressSanitizer; false without it. */
bool bench_leaks(void);

#endif
