/*
 * replica: when a fill may be read from a streaming replica, so that its answer is no older than
 * what this node already knew (docs/decisions.md has the rule and why it holds). Pure: times,
 * positions and transaction numbers come in as arguments; knows no store, no cache, no libpq. Made
 * and owned by the node's main; the store tells it what servers say, through what is known of keys.
 *
 * A floor is a moment that was noted (its number), and where the primary's log was when it was
 * asked after that. Whatever the primary showed before that moment a replica shows too, once it has
 * replayed so far. What this node learns of a key later has that floor's number or a higher one.
 */
#ifndef RINGFENCE_REPLICA_H
#define RINGFENCE_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

struct replica;

enum {
    REPLICA_LINEAGE_BYTES = 80,
    REPLICA_SLOTS = 8192,        /* of what is known of keys, by their hash; 64 KiB */
    REPLICA_PAUSE_MS_MIN = 1000, /* after a failure it is not asked; doubles with each in a row */
    REPLICA_PAUSE_MS_MAX = 30000,
};

/* What a server says of itself. Two positions can be compared if they are of one lineage. */
struct replica_place {
    char lineage[REPLICA_LINEAGE_BYTES]; /* system, timeline, database, table; "": not known */
    uint64_t lsn;                        /* a primary's insert position; what a replica replayed */
    bool in_recovery;                    /* it is a standby */
    uint32_t horizon; /* a primary's: transactions with lower numbers are over, for everybody */
};

/* The floor that a fill relies on. */
struct replica_ticket {
    uint64_t number, lsn;
    int64_t began_mono_ms;
    uint32_t horizon;
};

struct replica_counters {
    uint64_t floors;   /* that the replica has reached */
    uint64_t failures; /* questions that it did not answer in time */
};

/** replica_new(age_max_ms): a floor is of use for so long. NULL without memory. */
struct replica *replica_new(int64_t age_max_ms);
void replica_free(struct replica **replica);

/* ---- what is known ---- */

/** replica_met(replica, hash): something of a key with this hash came in: a notification, an own
 * answer, a row from anywhere. replica_met_all(replica): of any key, or the feed has a gap. O(1).
 */
void replica_met(struct replica *replica, uint64_t hash);
void replica_met_all(struct replica *replica);

/* ---- floors ---- */

/** replica_due(replica, now_mono_ms): the primary is to be asked; replica_began() comes first. */
bool replica_due(const struct replica *replica, int64_t now_mono_ms);

/** replica_began(replica, now_mono_ms): the moment before the primary is asked. */
void replica_began(struct replica *replica, int64_t now_mono_ms);

/** replica_primary_said(replica, place): its answer; NULL: there is none, or from a server that is
 * not the feed's. */
void replica_primary_said(struct replica *replica, const struct replica_place *place);

/** replica_is_awaited(replica, now_mono_ms): it is to be asked how far it is. */
bool replica_is_awaited(const struct replica *replica, int64_t now_mono_ms);

/** replica_said(replica, place): how far it is. */
void replica_said(struct replica *replica, const struct replica_place *place);

/** replica_failed(replica, now_mono_ms): it did not answer: nothing is asked of it for a while.
 * replica_answered(replica): a fill was answered: the next pause is short again. */
void replica_failed(struct replica *replica, int64_t now_mono_ms);
void replica_answered(struct replica *replica);

/* ---- fills ---- */

/** replica_serves(replica, now_mono_ms, hash, ticket): a key with this hash may be asked for there
 * now. */
bool replica_serves(const struct replica *replica, int64_t now_mono_ms, uint64_t hash,
                    struct replica_ticket *ticket);

/** replica_joins(replica, now_mono_ms, ticket): whoever asks now may share that fill's answer. */
bool replica_joins(const struct replica *replica, int64_t now_mono_ms,
                   const struct replica_ticket *ticket);

/** replica_admits(replica, ticket, place): the answer counts: `place` is what the replica said of
 * itself in a statement before that which read the rows. */
bool replica_admits(const struct replica *replica, const struct replica_ticket *ticket,
                    const struct replica_place *place);

/** replica_is_settled(ticket, transaction): the primary, too, showed a row that was written by this
 * transaction when the floor began: a replica may be ahead of what its primary shows. */
bool replica_is_settled(const struct replica_ticket *ticket, uint32_t transaction);

const struct replica_counters *replica_counters(const struct replica *replica);

/** replica_age_ms(replica, now_mono_ms): of the newest floor that is of use; -1: there is none. */
int64_t replica_age_ms(const struct replica *replica, int64_t now_mono_ms);

#endif
