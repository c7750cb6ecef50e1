/* What is heard of the table: of one key, of all (rule 8), and whether it is heard at all (rule 9).
 */
#include "cache.h"
#include "through_private.h"

static void begin_epoch(struct through *t) {
    t->counters.epochs++;
    if (t->conf.replica != NULL)
        replica_met_all(t->conf.replica);
    if (++t->epoch == 0) { /* an entry of long ago could look current: let all go */
        cache_clear(t->cache);
        t->epoch = 1;
        t->owned_from = 0;
    }
}

void through_changed(struct through *t, struct span key, uint64_t version) {
    uint64_t hash = cache_hash(t->cache, key);
    struct cache_item item;
    t->counters.invalidations++;
    through_met(t, hash);
    if (cache_peek(t->cache, key, hash, &item) && item.version < version &&
        !PLANTED(ignore_version) && !(item.absent && PLANTED(absence_is_kept)))
        cache_drop(t->cache, key, hash);
    struct through_flight *flight = through_flight_find(t, key, hash);
    if (flight == NULL)
        return;
    if (!PLANTED(no_mark_on_notification))
        through_flight_mark(flight);
    through_flight_raise(flight, version);
}

/* Entry, fills and record: nothing that is known of the key counts any more. */
static void invalidate_fully(struct through *t, struct span key, bool keep_entry, bool keep_fills,
                             bool keep_record) {
    uint64_t hash = cache_hash(t->cache, key);
    t->counters.invalidations++;
    through_met(t, hash);
    if (!keep_entry)
        cache_drop(t->cache, key, hash);
    struct through_flight *flight = through_flight_find(t, key, hash);
    if (flight == NULL)
        return;
    if (!keep_fills)
        through_flight_mark(flight);
    if (!keep_record)
        through_flight_raise(flight, THROUGH_RECORD_INFINITE);
}

void through_gone(struct through *t, struct span key) {
    invalidate_fully(t, key, PLANTED(gone_keeps_entry), PLANTED(no_mark_on_notification), false);
}

void through_drop(struct through *t, struct span key) {
    invalidate_fully(t, key, false, PLANTED(drop_keeps_fills), PLANTED(drop_keeps_record));
}

/* A new epoch: what is cached becomes suspect; what is in flight was sent in another one, so it
 * marks nothing as trusted. */
void through_everything(struct through *t) {
    t->counters.everything++;
    if (!PLANTED(everything_is_nothing))
        begin_epoch(t);
}

void through_disown(struct through *t) {
    begin_epoch(t);
    t->owned_from = t->epoch;
}

void through_feed_up(struct through *t) {
    if (!PLANTED(trust_before_listen))
        begin_epoch(t);
    t->feed_up = true;
    t->heard_since_up =
        false; /* what was heard on another connection says nothing about this one */
}

void through_feed_lost(struct through *t) {
    if (PLANTED(no_distrust_on_feed_loss))
        return;
    t->feed_up = false;
    begin_epoch(t);
}

void through_heard(struct through *t, int64_t sent_mono_ms) {
    if (!t->ever_heard || sent_mono_ms > t->heard_mono_ms)
        t->heard_mono_ms = sent_mono_ms;
    t->ever_heard = t->heard_since_up = true;
}
