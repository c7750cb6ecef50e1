/*
 * truth: what really happened in the table: triggers of the test's own write down every change of
 * its keys in the transaction that makes it, so the order of the commits of a key is known. For the
 * test's main thread only: an error fails the running Criterion test.
 */
#ifndef RINGFENCE_CHAOS_TRUTH_H
#define RINGFENCE_CHAOS_TRUTH_H

#include <libpq-fe.h>

#include "chaos.h"

/* What a key held from one commit to the next. */
struct truth_state {
    chaos_value value; /* 0: absent */
    int64_t commit_us; /* when it began to commit, on the monotonic clock; of the first state
                          INT64_MIN. Others see it a little later */
    uint32_t xid;      /* its transaction */
    bool by_node;      /* else by an editor */
};

struct truth_key {
    struct truth_state *states; /* in the order of commits; the first is "absent" */
    uint32_t count;
};

struct truth {
    struct truth_key keys[CHAOS_KEYS_MAX];
    uint64_t changes;
};

/** truth_prepare(sql): triggers and their table, in a schema of the test's own. Before any node is
 * started: a node distrusts what it has when triggers change. */
void truth_prepare(PGconn *sql);

/** truth_reset(sql): no key of the test has a row, nothing has happened. */
void truth_reset(PGconn *sql);

/** truth_read(sql, keys, out): all that happened to the first `keys` keys; truth_release() it. */
void truth_read(PGconn *sql, int keys, struct truth *out);
void truth_release(struct truth *truth);

#endif
