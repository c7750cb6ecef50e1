/* Fills from a replica: which may go there, and what becomes of an answer that does not count
 * (replica.h has the rule). */
#include "through_private.h"

/* The feed has to be heard: what it tells since the floor began must be known. */
bool through_replica_ask(struct through *t, struct through_fill *fill, int64_t now_mono_ms) {
    if (t->conf.replica == NULL || !through_trusts(t, now_mono_ms) ||
        !replica_serves(t->conf.replica, now_mono_ms, fill->flight->hash, &fill->ticket))
        return false;
    fill->get.from_replica = true;
    if (store_get(t->store, &fill->get) == STORE_OK) {
        t->counters.replica_fills++;
        return true;
    }
    fill->get.from_replica = false;
    return false;
}

/* Whoever asked later would get an older answer than is promised: nobody joins it any more, and the
 * next fill of the key counts for more. */
void through_replica_age(struct through *t, struct through_fill *fill, int64_t now_mono_ms) {
    if (fill->get.from_replica && !replica_joins(t->conf.replica, now_mono_ms, &fill->ticket))
        fill->marked = true;
}

/* A replica's answer is as good as the primary's. */
bool through_replica_counts(const struct through_fill *fill, enum store_status status,
                            const struct store_row *row) {
    return status == STORE_OK && !row->origin->expires &&
           replica_admits(fill->through->conf.replica, &fill->ticket, row->origin->place) &&
           (!row->origin->found || replica_is_settled(&fill->ticket, row->origin->transaction));
}

/* It is asked of the primary, if somebody still waits. */
bool through_replica_pass_on(struct through_fill *fill, enum store_status *status) {
    struct through *t = fill->through;
    t->counters.replica_refused++;
    fill->get.from_replica = false;
    if (fill->sent_mono_ms < t->now_mono_ms)
        fill->sent_mono_ms = t->now_mono_ms;
    *status = fill->waiters == NULL ? STORE_FAILED : store_get(t->store, &fill->get);
    return *status == STORE_OK;
}
