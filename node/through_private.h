/*
 * through_private: what through.c (reads) and its parts through_*.c share. For these alone.
 */
#ifndef RINGFENCE_THROUGH_PRIVATE_H
#define RINGFENCE_THROUGH_PRIVATE_H

#include "../common/plant.h"
#include "replica.h"
#include "through.h"

/* Higher than any version: what was heard cannot be compared. */
#define THROUGH_RECORD_INFINITE UINT64_MAX

/* One SELECT of one key. Owned by its flight. */
struct through_fill {
    struct store_get get;
    struct through *through;
    struct through_flight *flight;
    struct through_fill *next;
    struct through_read *waiters, *last_waiter;
    uint32_t epoch;
    int64_t sent_mono_ms;
    struct replica_ticket ticket; /* while get.from_replica */
    bool marked;                  /* overtaken: not cached, and nobody joins (rule 4) */
};

struct through_own; /* one own write; see through_write.c */

/* A place in the queue of one key's writes. */
struct through_turn {
    struct through_own *own;
    struct through_flight *flight;
    struct through_turn *next;
};

/* A key with anything in flight or waiting. Owned by the table. */
struct through_flight {
    struct through_flight *next; /* in its bucket */
    uint64_t hash;
    struct through_fill *fills;
    struct through_turn *turns,
        *last_turn;  /* the first is the one that may be in flight (rule 5) */
    bool writing;    /* the first turn's write was handed to the store */
    uint64_t record; /* the highest version met since (rule 2) */
    size_t key_len;
    char key[];
};

struct through_flights {
    struct through_flight **buckets;
    size_t mask;
    size_t count;
};

/* What waits: reads and writes each have their own, so that neither keeps the other out. */
struct through_room {
    uint32_t count;
    uint64_t bytes;
};

struct through {
    struct through_conf conf;
    struct cache *cache;
    struct store *store;
    struct through_counters counters;
    struct through_flights flights;
    uint32_t epoch;      /* rises with every beginning and end of trust; never 0 */
    uint32_t owned_from; /* entries of an epoch before it are not served as stale either */
    bool feed_up;
    bool ever_heard, heard_since_up;
    int64_t heard_mono_ms; /* when the newest heartbeat heard was sent */
    int64_t now_mono_ms;   /* some ms old: for what happens between calls that say it */
    struct through_room reading, writing;
    struct through_read *oldest_read, *newest_read;
    struct through_own *oldest_own, *newest_own;
    struct through_own *ready, *last_ready; /* first in all their queues, to be sent */
    bool sending;
};

/** through_flight_find(t, key, hash): the key's flight, or NULL. */
struct through_flight *through_flight_find(struct through *t, struct span key, uint64_t hash);

/** through_flight_take(t, key, hash): the key's flight, made if there is none; NULL without memory.
 */
struct through_flight *through_flight_take(struct through *t, struct span key, uint64_t hash);

/** through_flight_leave(t, flight): free it if nothing of the key is in flight or waiting. */
void through_flight_leave(struct through *t, struct through_flight *flight);

/** through_met(t, hash): something of a key with this hash came in: no replica is asked for it that
 * may be behind that. */
static inline void through_met(struct through *t, uint64_t hash) {
    if (t->conf.replica != NULL)
        replica_met(t->conf.replica, hash);
}

/* through_replica.c */
/** through_replica_ask(t, fill, now): it was sent to the replica; false: it is the primary's.
 * through_replica_age(t, fill, now): nobody joins it any more if its answer would be too old.
 * through_replica_counts(fill, status, row): the replica's answer is as good as the primary's.
 * through_replica_pass_on(fill, status): else it was sent to the primary now; false: `status` says
 * why not. */
bool through_replica_ask(struct through *t, struct through_fill *fill, int64_t now_mono_ms);
void through_replica_age(struct through *t, struct through_fill *fill, int64_t now_mono_ms);
bool through_replica_counts(const struct through_fill *fill, enum store_status status,
                            const struct store_row *row);
bool through_replica_pass_on(struct through_fill *fill, enum store_status *status);

/** through_flight_mark(flight): its fills were overtaken. */
void through_flight_mark(struct through_flight *flight);

/** through_flight_raise(flight, version): something of this version was met while an own write may
 * be in flight. */
void through_flight_raise(struct through_flight *flight, uint64_t version);

/** through_room_for(t, room, bytes): one more of so many bytes may wait there; one may always.
 * through_room_take() / through_room_leave(): it does / it does not any more. */
bool through_room_for(const struct through *t, const struct through_room *room, uint64_t bytes);
void through_room_take(struct through_room *room, uint64_t bytes);
void through_room_leave(struct through_room *room, uint64_t bytes);

/** through_write_bytes(write): of its keys and of all the values it brings. Cost: O(keys, edits).
 */
uint64_t through_write_bytes(const struct through_write *write);

/** through_entry_epoch(t): the epoch that what is cached now gets: 0 (suspect) while there is no
 * feed. */
uint32_t through_entry_epoch(const struct through *t);

/** through_tick_writes(t, now): writes that ran out of time. */
void through_tick_writes(struct through *t, int64_t now_mono_ms);

#endif
