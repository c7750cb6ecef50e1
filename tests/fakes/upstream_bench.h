/*
 * upstream_bench: one upstream and its fake node, for the tests of upstream; what becomes of each
 * request is noted. Owned by the test.
 */
#ifndef RINGFENCE_UPSTREAM_BENCH_H
#define RINGFENCE_UPSTREAM_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "../../proxy/upstream.h"
#include "bench.h"

enum { ASKED_MAX = 64, ASKED_TEXT_BYTES = 256 };

/* One request and its fate. */
struct asked {
    struct upstream_entry entry;
    struct upstream_bench *t;
    unsigned answered, lost; /* how often: in the end exactly one of them is 1 */
    enum upstream_lost why;
    char reply[ASKED_TEXT_BYTES];
    size_t bytes_len; /* of what came back with a loss */
    bool bytes_same;  /* they are what was sent */
    char *sent;
    unsigned order; /* among all fates */
};

struct upstream_bench {
    struct bench *b;
    struct node_fake *node;
    struct upstream *u;
    struct asked asked[ASKED_MAX];
    unsigned asked_count, fates;
    char stale[ASKED_TEXT_BYTES]; /* the last key that changed */
    uint64_t stale_version;
    char wrote[ASKED_TEXT_BYTES]; /* who wrote which version of what, the last time */
    unsigned gaps, watched;
};

/** upstream_bench_new(): options at their defaults but for times without end, so that a test sets
 * those that it is about; no upstream yet. upstream_bench_connect(t): makes it, with `host` when
 * that is not NULL. */
struct upstream_bench *upstream_bench_new(void);
void upstream_bench_connect(struct upstream_bench *t, const char *host);

/** upstream_bench_up(t): makes it, and turns until it is connected and has heard the node's status,
 * so that the requests of the test are the only ones. */
void upstream_bench_up(struct upstream_bench *t);

/** upstream_bench_free(t): true if each request had exactly one fate. */
bool upstream_bench_free(struct upstream_bench **t);

/** upstream_bench_turn(t): one turn, and a tick. */
void upstream_bench_turn(struct upstream_bench *t);

/** upstream_bench_ask(t, words): one request, words parted by blanks; a write unless it is GET.
 * NULL when the upstream took none. upstream_bench_ask_retry(): one that another node was asked
 * before. upstream_bench_ask_big(t, is_write, bytes): `SET big xxx...`.
 */
struct asked *upstream_bench_ask(struct upstream_bench *t, const char *words);
struct asked *upstream_bench_ask_retry(struct upstream_bench *t, const char *words);
struct asked *upstream_bench_ask_big(struct upstream_bench *t, bool is_write, size_t bytes);

#define UPSTREAM_UNTIL(t, holds)                                                                   \
    __extension__({                                                                                \
        int64_t until_ms_ = bench_now_ms() + BENCH_PATIENCE_MS;                                    \
        while (!(holds) && bench_now_ms() < until_ms_)                                             \
            upstream_bench_turn(t);                                                                \
        (holds);                                                                                   \
    })

#endif
