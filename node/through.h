/*
 * through: read-through, write-through and coherence: rules 1-13 of docs/design (section 5). As
 * pure as it can be: times come in as arguments, the database through store.h, memory through
 * cache.h, so that a seeded simulation can drive it. Knows no RESP, no sockets, no libpq. Requests
 * are the caller's objects and live until answered. A callback never runs inside the call that
 * started it.
 */
#ifndef RINGFENCE_THROUGH_H
#define RINGFENCE_THROUGH_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"
#include "store.h"

struct cache;
struct replica;
struct store;
struct through;

struct through_conf {
    int64_t fence_after_ms; /* entries are trusted while the feed's lag is at most this */
    int64_t stale_max_ms; /* PostgreSQL unreachable: suspect entries are served while the lag is at
                             most this */
    int64_t read_timeout_ms;    /* a read waits for its row this long */
    int64_t write_timeout_ms;   /* a write waits for its outcome this long */
    uint32_t pending_max;       /* reads that wait, and as many writes; beyond: BUSY */
    uint64_t pending_bytes_max; /* of keys and values of the same; 0: any number */
    struct replica *replica; /* fills may go to a replica when it says so; borrowed; NULL: never */
};

enum through_status {
    THROUGH_VALUE,   /* a value: `value` */
    THROUGH_ABSENT,  /* the database said: no active row */
    THROUGH_PENDING, /* the callback will run */
    THROUGH_DONE,    /* a write is committed */
    THROUGH_DBDOWN,
    THROUGH_BUSY,
    THROUGH_LOCKED,
    THROUGH_TIMEOUT,
    THROUGH_UNCERTAIN,
    THROUGH_REFUSED,
};

struct through_counters {
    uint64_t hits, misses, negative_hits, coalesced, stale_served, fills, fills_overtaken, writes,
        writes_uncertain, acks_dropped, invalidations, everything, epochs,
        fills_unwanted /* given up before they were sent: nobody waited any more */,
        refused_busy /* no room to wait */;
    uint64_t replica_fills,
        replica_refused; /* asked of the replica; of these, then of the primary */
};

/* ---- reads ---- */

struct through_read {
    struct span key; /* must live until the answer */
    uint64_t hash;   /* cache_hash() of it */
    /** The answer, later: `value` is borrowed during the call. */
    void (*done)(struct through_read *read, enum through_status status, struct span value,
                 const char *detail);
    /* through's own: */
    struct through_read *next, *prev;   /* of its fill */
    struct through_read *newer, *older; /* by deadline */
    struct through_fill *fill;
    int64_t deadline_mono_ms;
    int64_t expires_mono_ms; /* with a value: not before then; 0: never */
};

struct through *through_new(const struct through_conf *conf, struct cache *cache,
                            struct store *store);
void through_free(struct through **through);

/**
 * through_get(through, now_mono_ms, read, value): THROUGH_VALUE with `value` borrowed until the
 * next call into through, THROUGH_ABSENT, THROUGH_PENDING (read->done will run), or a refusal
 * (BUSY, DBDOWN: it will not). Cost of a hit: one cache lookup, no allocation.
 *
 * When too much waits already the answer is BUSY: PostgreSQL answers, only not us, which is no
 * reason for an old copy. No more is it that a read's time ended before PostgreSQL was even asked,
 * unless the heartbeat is late too.
 */
enum through_status through_get(struct through *through, int64_t now_mono_ms,
                                struct through_read *read, struct span *value);

/** through_hit(through, now_mono_ms, key, hash, value, expires_mono_ms): through_get() from memory
 * alone:
 * THROUGH_VALUE or THROUGH_ABSENT; THROUGH_PENDING: through_fetch() must be asked. Needs no read.
 */
enum through_status through_hit(struct through *through, int64_t now_mono_ms, struct span key,
                                uint64_t hash, struct span *value, int64_t *expires_mono_ms);

/** through_fetch(through, now_mono_ms, read, value): the rest of through_get(), after through_hit()
 * had nothing. */
enum through_status through_fetch(struct through *through, int64_t now_mono_ms,
                                  struct through_read *read, struct span *value);

/** through_get_cancel(through, read): its asker is gone; `done` will not run. */
void through_get_cancel(struct through *through, struct through_read *read);

/* ---- writes ---- */

struct through_write {
    enum store_op op;
    bool want_old;
    const struct store_more *more; /* as in store_write; lives as long as the arrays */
    const struct store_exec
        *exec; /* likewise; its keys are dropped from the cache when it is done */
    uint32_t count;
    const struct span
        *keys; /* distinct for STORE_SET; all three arrays must live until the answer */
    const struct span *values;
    const uint64_t *hashes;
    /**
     * The answer. THROUGH_DONE: committed, `ack` has versions (of the other one if it was
     * `overwritten`), `changed`, `result`; else `ack` may carry a detail, or be NULL. After
     * UNCERTAIN by time-out the arrays are still needed: until `released`.
     */
    void (*done)(struct through_write *write, enum through_status status,
                 const struct store_ack *ack);
    /** Always called, last: the object and its arrays may be freed. May directly follow `done`. */
    void (*released)(struct through_write *write);
    bool overwritten; /* set when it is answered: a newer write of the key shared its commit */
};

/** through_write(through, now_mono_ms, write): THROUGH_PENDING, or THROUGH_BUSY / THROUGH_DBDOWN
 * (neither callback will run). Writes of one key keep their order (rule 5). */
enum through_status through_write(struct through *through, int64_t now_mono_ms,
                                  struct through_write *write);

/* ---- what is heard ---- */

/** through_changed / through_gone / through_everything: a notification (rule 8). */
void through_changed(struct through *through, struct span key, uint64_t version);
void through_gone(struct through *through, struct span key);
void through_everything(struct through *through);

/** through_disown(through): what is cached came from a server that is not the table's any more:
 * nothing of it is served again, not as stale either; what is in flight is not kept. Cost: O(1), as
 * to free 10^7 entries takes a quarter of a second: their memory goes as it is needed. Of what is
 * cached from then on, copies whose epoch is not known (in doubt, or cached without a feed) are not
 * served as stale. */
void through_disown(struct through *through);

/** through_drop(through, key): a coordinator changed the key: full invalidation of entry, fills and
 * record (rule 11). */
void through_drop(struct through *through, struct span key);

/** through_feed_up(through) / through_feed_lost(through): LISTEN is committed: a new epoch begins /
 * the connection is gone: nothing is trusted (rule 9). */
void through_feed_up(struct through *through);
void through_feed_lost(struct through *through);

/** through_heard(through, sent_mono_ms): the newest own heartbeat heard was sent then. */
void through_heard(struct through *through, int64_t sent_mono_ms);

/** through_tick(through, now_mono_ms): answer what ran out of time. Call it every 10 ms or so. */
void through_tick(struct through *through, int64_t now_mono_ms);

/** through_lag_ms(through, now_mono_ms): now minus the send time of the newest heartbeat heard;
 * INT64_MAX without a feed. */
int64_t through_lag_ms(const struct through *through, int64_t now_mono_ms);

/** through_trusts(through, now_mono_ms): the feed is heard in time: entries of this epoch count. */
bool through_trusts(const struct through *through, int64_t now_mono_ms);
uint32_t through_epoch(const struct through *through);
uint32_t through_pending(const struct through *through);
const struct through_counters *through_counters(const struct through *through);

#endif
