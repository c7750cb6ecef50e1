/*
 * walk: a command on its way through the table: questions to the store, one after the other, each a
 * statement of its own, until its answer is known. What SCAN, KEYS and their like share. Owned by
 * itself: freed by walk_finish(), also when nobody waits for it any more.
 */
#ifndef RINGFENCE_WALK_H
#define RINGFENCE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/buf.h"
#include "scope.h"
#include "store.h"

struct op;
struct server;
struct session;

struct walk {
    struct store_query query;
    /** step(walk, answer): a question was answered: walk_ask(), walk_finish() or walk_fail(). */
    void (*step)(struct walk *walk, const struct store_answer *answer);
    struct op *op;
    struct server *server;
    struct span pattern; /* of what is kept; NULL: all keys */
    struct scope scope;
    struct buf keys;        /* bulk strings that were found */
    uint64_t found;         /* of them; or keys that were counted */
    uint32_t range;         /* scope_range()'s */
    struct buf from, until; /* what query.key and query.until borrow */
    int64_t end_mono_ms;    /* the time it may take; 0: any */
    bool again;             /* RANDOMKEY: range by range; FLUSH: rows have changed already */
    struct span prefixes[]; /* the scope's; their bytes, and the pattern's, behind them */
};

/** walk_new(session, id, scope, pattern): copies both; NULL without memory, and then the error is
 * the session's answer. */
struct walk *walk_new(struct session *session, int id, const struct scope *scope,
                      struct span pattern);

/** walk_start(session, walk, step): the first question; or the error is the session's answer, and
 * the walk is gone. */
void walk_start(struct session *session, struct walk *walk,
                void (*step)(struct walk *walk, const struct store_answer *answer));

/** walk_ask(walk): the next question, unless its time is over; or it has failed, and is gone. */
void walk_ask(struct walk *walk);

/** walk_reply(walk): where its answer goes; NULL: nobody waits for it. walk_finish(walk): that was
 * it. walk_fail(walk, error): `error` (enum reply_error) is its answer, and that was it. */
struct buf *walk_reply(struct walk *walk);
void walk_finish(struct walk *walk);
void walk_fail(struct walk *walk, int error);

/** walk_drop(walk): one that was not started. */
void walk_drop(struct walk *walk);

/** walk_keeps(walk, key): it is in the scope, and matches. walk_collect(walk, keys, count): those
 * of `keys` that are kept, into `keys`. walk_write_keys(walk, out): an array of these. */
bool walk_keeps(const struct walk *walk, struct span key);
void walk_collect(struct walk *walk, const struct span *keys, uint32_t count);
void walk_write_keys(struct walk *walk, struct buf *out);

/** walk_go_behind(walk, key): query.key is the next text in byte order. False without memory. */
bool walk_go_behind(struct walk *walk, struct span key);

/** walk_range(walk, plain): query.key and query.until are the next part of the table that has keys
 * of the scope that begin with `plain`: 1; 0: there are no more; -1: no memory. */
int walk_range(struct walk *walk, struct span plain);

#endif
