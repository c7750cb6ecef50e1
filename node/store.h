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

struct store_row {
    bool present;        /* an active, unexpired row */
    struct span payload; /* borrowed during the callback */
    uint64_t version;
    int64_t ttl_ms; /* until it expires; -1: never */
    bool cacheable; /* false: from a server that is not the feed's (identity differs): give it, do
                       not keep it */
};

struct store_get {
    struct span key;
    void (*done)(struct store_get *get, enum store_status status, const struct store_row *row,
                 const char *detail);
    struct store_get *next; /* the store's */
};

/** store_get(store, get): fetch one row, batched with others. STORE_OK: `get->done` will run.
 * STORE_DOWN, STORE_BUSY: it never will. */
enum store_status store_get(struct store *store, struct store_get *get);

/* ---- writing, one transaction each ---- */

enum store_op {
    STORE_SET,    /* upsert every key; the row becomes active, without expiry */
    STORE_SET_NX, /* one key, only if there is no active row */
    STORE_SET_XX, /* one key, only if there is an active row */
    STORE_DELETE, /* soft delete of every key; keys may repeat */
};

struct store_ack {
    enum store_status status;
    const uint64_t *versions; /* per key as given: its new version; 0: nothing was done to it */
    uint32_t changed;         /* distinct keys on which something was done */
    bool had_old;             /* with want_old: there was an active row */
    struct span old;          /* its payload; borrowed during the callback */
    const char *detail;       /* for STORE_REFUSED: clean, bounded text */
    bool cacheable;           /* as in store_row */
};

struct store_write {
    enum store_op op;
    bool want_old; /* one key: also return what was there */
    uint32_t
        count; /* keys; STORE_SET with count > 1 is an MSET: all or nothing, distinct keys only */
    const struct span *keys;
    const struct span *values; /* STORE_SET*: as many as keys */
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

/* ---- the number of rows ---- */

struct store_count {
    void (*done)(struct store_count *count, enum store_status status, int64_t rows);
    struct store_count *next; /* the store's */
};

/** store_count(store, count): active rows of the table; the planner's estimate if counting takes
 * too long. */
enum store_status store_count(struct store *store, struct store_count *count);

#endif
