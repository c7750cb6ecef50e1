/*
 * store: the only module that knows SQL. Batches reads, group-commits writes; knows no cache and no
 * RESP. Requests are the caller's objects, linked in: nothing is copied or allocated per request.
 * What a request points to (keys, values) must live until its callback has run. Callbacks come from
 * the loop, exactly once, never from inside the call.
 */
#ifndef RINGFENCE_STORE_H
#define RINGFENCE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct store; /* its maker is in store_pg.h (libpq), or a scripted fake in unit tests */

enum store_status {
    STORE_OK,      /* the answer is here; for a write: COMMIT is known */
    STORE_DOWN,    /* PostgreSQL cannot be reached; nothing was sent */
    STORE_BUSY,    /* queue full; nothing was sent */
    STORE_LOCKED,  /* the row stayed locked by somebody; nothing was written */
    STORE_REFUSED, /* a definite error of severity ERROR; nothing was written; `detail` says why */
    STORE_UNCERTAIN, /* a write was sent; its outcome is not known */
    STORE_FAILED,    /* a read was sent and lost, or answered with an error; `detail` may say why */
};

/* ---- reading one row ---- */

struct replica_place;

/* What a replica said beside a row; see replica.h. */
struct store_origin {
    const struct replica_place *place; /* in a statement before; borrowed during the callback */
    bool found;                        /* there is a row, active or not */
    uint32_t transaction;              /* that wrote it */
    bool expires; /* it has an expiry, which is of the primary's clock: nothing is said of it */
};

struct store_row {
    bool present;        /* an active, unexpired row */
    struct span payload; /* borrowed during the callback */
    uint64_t version;
    int64_t ttl_ms; /* until it expires; -1: never */
    bool cacheable; /* false: from a server that is not the feed's (identity differs): give it, do
                       not keep it */
    const struct store_origin *origin; /* NULL: the primary said it */
};

struct store_get {
    struct span key;
    bool from_replica; /* ask the replica; it fails, or says what it knows, soon */
    void (*done)(struct store_get *get, enum store_status status, const struct store_row *row,
                 const char *detail);
    bool sent;                     /* set by the store: it is not in the queue any more */
    struct store_get *next, *prev; /* the store's */
};

/** store_get(store, get): fetch one row, batched with others. STORE_OK: `get->done` will run.
 * STORE_DOWN, STORE_BUSY: it never will. Of a replica, if there is none now: STORE_DOWN. */
enum store_status store_get(struct store *store, struct store_get *get);

/** store_get_cancel(store, get): nobody wants it any more: take it back if it was not sent; its
 * `done` will not run. False if it was sent: `done` will run. */
bool store_get_cancel(struct store *store, struct store_get *get);

/* ---- writing, one transaction each ---- */

/* "Live" is a row that is active and not expired: what a reader sees. */
enum store_op {
    STORE_SET, /* upsert every key; the row becomes active; its expiry as `more` says, else none */
    STORE_DELETE, /* soft delete of every key that is live; keys may repeat */
    /* One key each: the row is locked, looked at, changed and given back. */
    STORE_SET_NX,      /* only if there is no live row; several keys: only if none has one */
    STORE_SET_XX,      /* only if there is a live row */
    STORE_SET_IFEQ,    /* only if there is a live row whose payload is more->compare */
    STORE_SET_VERSION, /* only if the row, live or not, has the version more->number; 0: no row */
    STORE_EXPIRE,      /* set the expiry of a live row; a time that is past deletes it */
    STORE_PERSIST,     /* take the expiry of a live row away */
    STORE_ADD,         /* add more->number to a live row's integer; no row counts as 0 */
    STORE_ADD_DECIMAL, /* the same with the decimal number in more->compare */
    STORE_APPEND,      /* append the value to a live row's payload; no row counts as empty */
    STORE_OVERLAY,     /* write the value over it from byte more->number on */
    STORE_ENABLE,      /* make a row live again that is not; a past expiry goes */
    STORE_DISABLE,     /* make a row inactive, also one that has expired */
    STORE_LOOK,        /* give the row back, live or not; only within a STORE_EXEC */
    /* Any number of keys. */
    STORE_EXEC, /* several one-key ops as one transaction: `exec` of the write */
};

/** store_op_takes_value(op): it needs a value beside each key. */
static inline bool store_op_takes_value(enum store_op op) {
    return op == STORE_SET || (op >= STORE_SET_NX && op <= STORE_SET_VERSION) ||
           op == STORE_APPEND || op == STORE_OVERLAY;
}

enum store_expiry { STORE_EXPIRY_NONE, STORE_EXPIRY_KEEP, STORE_EXPIRY_AT, STORE_EXPIRY_IN };

/* Conditions of STORE_EXPIRE; no expiry counts as later than any. */
enum store_condition {
    STORE_IF_NONE = 1 << 0,    /* it has no expiry */
    STORE_IF_SOME = 1 << 1,    /* it has one */
    STORE_IF_LATER = 1 << 2,   /* the new one is later */
    STORE_IF_EARLIER = 1 << 3, /* the new one is earlier */
};

/* What an op takes beside key and value. */
struct store_more {
    enum store_expiry expiry;
    int64_t expiry_ms; /* AT: since 1970 by the database's clock; IN: from now, by that clock */
    unsigned conditions;
    int64_t number;
    int64_t bytes_max;   /* APPEND, OVERLAY: longest result */
    struct span compare; /* lives as long as keys and values */
};

/* ---- several ops as one transaction ---- */

/* How a row has to be, for anything to be done. */
struct store_watch {
    struct span key;
    uint64_t version; /* 0: no row */
    bool live;
};

/* The keys of the write are all those that are concerned, read ones too: distinct, in the order of
 * their bytes. */
struct store_exec {
    const struct store_watch *watches;
    uint32_t watches_count;
    const struct store_write *edits; /* one key each, but for STORE_SET_NX of several; in the order
                                        in which they happen */
    uint32_t edits_count;
    bool writes;       /* one of them is not a STORE_LOOK */
    const bool *holds; /* per key of the write: it is locked even if there is no row, which leaves
                          an inactive row behind if no edit makes one: for keys that may be created,
                          and for watched ones */
};

struct store_exec_ack {
    bool refused; /* a watched row is not as it was: nothing was done; the rest is not set */
    const struct store_row *rows;       /* per key, before the edits; all of one moment */
    const struct store_result *results; /* per edit */
    const uint64_t *versions; /* per key of each edit, those of one behind those of the other; 0:
                                 nothing was done */
};

/* What a one-key op came to. */
enum store_outcome {
    STORE_OUTCOME_FINE, /* done, or its condition did not hold */
    STORE_OUTCOME_NOT_INTEGER,
    STORE_OUTCOME_NOT_NUMBER,
    STORE_OUTCOME_OVERFLOW,
    STORE_OUTCOME_TOO_LONG,
    STORE_OUTCOME_NOT_TEXT, /* the result would not be UTF-8 without NUL */
    STORE_OUTCOME_INFINITE, /* beyond what a long double holds */
};

struct store_result {
    enum store_outcome outcome;
    bool live;           /* after it, changed or not */
    struct span payload; /* then its payload; borrowed during the callback */
    int64_t ttl_ms;      /* and until it expires, from the transaction's start; -1: never */
    bool had_old;        /* with want_old: there was a live row */
    struct span old;     /* its payload; borrowed during the callback */
    const struct store_answer *row; /* of STORE_LOOK, else NULL; borrowed during the callback */
};

struct store_ack {
    enum store_status status;
    const uint64_t *versions; /* per key as given: its new version; 0: nothing was done to it */
    uint32_t changed;         /* distinct keys on which something was done */
    const struct store_result *result; /* of a one-key op, else NULL */
    const struct store_exec_ack *exec; /* of STORE_EXEC; then `versions` are all 0 */
    const char *detail;                /* for STORE_REFUSED: clean, bounded text */
    bool cacheable;                    /* as in store_row */
};

struct store_write {
    enum store_op op;
    bool want_old; /* one key: also return what was there; makes any op a one-key op */
    const struct store_more *more; /* NULL: none of it; makes STORE_SET a one-key op */
    const struct store_exec *exec; /* of STORE_EXEC */
    uint32_t count; /* keys; STORE_SET and STORE_SET_NX with count > 1 are MSET and MSETNX: all or
                       nothing, distinct keys only */
    const struct span *keys;
    const struct span *values; /* of ops that take one: as many as keys */
    void (*done)(struct store_write *write, const struct store_ack *ack);
    bool sent;                       /* the store's: a byte of it may have left */
    uint8_t attempt;                 /* the store's: how often it was tried alone */
    struct store_write *next, *prev; /* the store's */
};

/**
 * store_write(store, write): queue a write. The caller sees to it that no two writes that are
 * queued or sent have a key in common (rule 5); so the store may put any of them into one
 * statement. STORE_OK: `write->done` will run; else it never will.
 */
enum store_status store_write(struct store *store, struct store_write *write);

/** store_write_cancel(store, write): take back a write of which nothing was sent; its `done` will
 * not run. False if it was sent. */
bool store_write_cancel(struct store *store, struct store_write *write);

/** store_up(store): a connection for reads is ready (an O(1) hint; a request may still fail). */
bool store_up(const struct store *store);

/* ---- questions past the cache ---- */

enum store_question {
    STORE_COUNT_ROWS, /* live rows; the planner's estimate if counting takes too long */
    STORE_WHOLE_ROW,  /* the row of `key`, live or not */
    STORE_ROWS,       /* the rows of `keys`, all of one moment */
    STORE_SCAN,       /* live keys from `place` on, in the order of their places */
    STORE_LIST,       /* live keys from `key` up to `until`, in byte order */
    STORE_TALLY,      /* how many these are, of the first `count_max` */
    /* These change rows; each is a transaction of its own, and any node hears of it by the feed. */
    STORE_FLUSH, /* soft delete of live keys from `key` on, in byte order */
    STORE_SWEEP, /* soft delete of rows that have expired, if no other node is at it */
};

/* A key's place among all: a hash of it, for ever the same. */
enum { STORE_PLACE_BITS = 52 };

/** store_question_changes(question): it changes rows. */
static inline bool store_question_changes(enum store_question question) {
    return question >= STORE_FLUSH;
}

struct store_answer {
    int64_t count; /* COUNT_ROWS; TALLY; FLUSH, SWEEP: rows changed; of all but the first, fewer
                      than asked for: no more are left */
    /* SCAN, LIST; borrowed during the callback. SCAN gives at least as many as asked for if there
       are, and never a part of those with one place. */
    const struct span *keys;
    uint32_t keys_count;
    uint64_t last_place;   /* SCAN: of the last key */
    uint32_t keys_before;  /* SCAN: keys that are not at the last place */
    uint64_t place_before; /* and the last place of these, if there are any */
    struct span last_key;  /* FLUSH, TALLY: the last one, if there was any */
    /* WHOLE_ROW */
    bool found, live, active;
    struct span payload; /* borrowed during the callback */
    uint64_t version;
    int64_t expires_ms; /* since 1970 by the database's clock; -1: never */
    int64_t updated_ms;
    const struct store_row *rows; /* ROWS, per key; `version` also of one that is not live */
};

struct store_query {
    enum store_question question;
    struct span key, until;  /* both included; they live until the answer */
    const struct span *keys; /* ROWS: distinct, in the order of their bytes */
    uint32_t count;
    uint64_t place;
    uint32_t count_max; /* of keys */
    /** `answer`: with STORE_OK. STORE_LOCKED: only of those that change rows, which changed none.
     */
    void (*done)(struct store_query *query, enum store_status status,
                 const struct store_answer *answer);
    int64_t asked_mono_ms;    /* the store's */
    struct store_query *next; /* the store's */
};

/** store_ask(store, query): each question is a statement of its own, on a connection for reads;
 * they never take all of these, unless there is only one. What changes rows goes on the slow lane.
 * STORE_OK: `query->done` will run, with STORE_BUSY if it waited too long to be sent. STORE_DOWN,
 * STORE_BUSY: it never will. */
enum store_status store_ask(struct store *store, struct store_query *query);

#endif
