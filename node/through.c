#include "through.h"

#include <stdlib.h>

#include "cache.h"
#include "through_private.h"

enum { BUCKETS_MIN = 1024 };

static void on_row(struct store_get *get, enum store_status status, const struct store_row *row,
                   const char *detail);

struct through *through_new(const struct through_conf *conf, struct cache *cache,
                            struct store *store) {
    struct through *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->conf = *conf;
    t->cache = cache;
    t->store = store;
    t->epoch = 1;
    size_t buckets = BUCKETS_MIN;
    while (buckets < conf->pending_max)
        buckets *= 2;
    t->flights.mask = buckets - 1;
    t->flights.buckets = calloc(buckets, sizeof(*t->flights.buckets));
    if (t->flights.buckets == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

void through_free(struct through **pointer) {
    struct through *t = *pointer;
    *pointer = NULL;
    if (t == NULL)
        return;
    for (size_t i = 0; i <= t->flights.mask;
         i++) { /* the store was freed before, so that nobody calls back */
        while (t->flights.buckets[i] != NULL) {
            struct through_flight *flight = t->flights.buckets[i];
            t->flights.buckets[i] = flight->next;
            for (struct through_fill *fill = flight->fills, *next; fill != NULL; fill = next) {
                next = fill->next;
                free(fill);
            }
            free(flight);
        }
    }
    free(t->flights.buckets);
    free(t);
}

/* ---- trust (rule 9) ---- */

uint32_t through_entry_epoch(const struct through *t) {
    return t->feed_up || PLANTED(trust_before_listen) ? t->epoch : 0;
}

int64_t through_lag_ms(const struct through *t, int64_t now_mono_ms) {
    return t->feed_up && t->heard_since_up ? now_mono_ms - t->heard_mono_ms : INT64_MAX;
}

bool through_trusts(const struct through *t, int64_t now_mono_ms) {
    return through_lag_ms(t, now_mono_ms) <= t->conf.fence_after_ms;
}

static bool is_trusted(const struct through *t, const struct cache_item *item,
                       int64_t now_mono_ms) {
    if (PLANTED(trust_without_heartbeat) && item->epoch == t->epoch)
        return true;
    return item->epoch == t->epoch && through_trusts(t, now_mono_ms);
}

static bool is_expired(const struct cache_item *item, int64_t now_mono_ms) {
    return item->deadline_ms != 0 && now_mono_ms >= item->deadline_ms && !PLANTED(ignore_expiry);
}

/* ---- reads ---- */

/* The copy that is not trusted, while the database does not answer: bounded, and counted. */
static bool stale_copy(struct through *t, struct span key, uint64_t hash, int64_t now_mono_ms,
                       struct cache_item *out) {
    int64_t age_ms = PLANTED(stale_for_ever) ? 0 : now_mono_ms - t->heard_mono_ms;
    if (!t->ever_heard || age_ms > t->conf.stale_max_ms || !cache_peek(t->cache, key, hash, out) ||
        is_expired(out, now_mono_ms) || out->epoch < t->owned_from)
        return false;
    t->counters.stale_served++;
    return true;
}

static enum through_status answer_from(const struct cache_item *item, struct span *value,
                                       int64_t *expires_mono_ms) {
    if (item->absent)
        return THROUGH_ABSENT;
    *expires_mono_ms = item->deadline_ms;
    *value = item->value;
    return THROUGH_VALUE;
}

/* The database does not answer: an old copy, or an error; never nil. */
static enum through_status without_database(struct through *t, struct through_read *read,
                                            int64_t now_mono_ms, enum through_status failure,
                                            struct span *value) {
    struct cache_item item;
    if (PLANTED(nil_for_failure))
        return THROUGH_ABSENT;
    return stale_copy(t, read->key, read->hash, now_mono_ms, &item)
               ? answer_from(&item, value, &read->expires_mono_ms)
               : failure;
}

/* A row may be as old as its fill. While the feed is heard that does no harm, as a change would
 * have marked it; else nobody joins one that is older than what is trusted may be (rule 9). Marked,
 * so that it does not replace a fresher row. */
static void age(const struct through *t, struct through_fill *fill, int64_t now_mono_ms) {
    if (now_mono_ms - fill->sent_mono_ms > t->conf.fence_after_ms &&
        !through_trusts(t, now_mono_ms))
        fill->marked = true;
}

static struct through_fill *joinable(struct through *t, struct through_flight *flight,
                                     int64_t now_mono_ms) {
    for (struct through_fill *fill = flight->fills; fill != NULL; fill = fill->next) {
        age(t, fill, now_mono_ms);
        through_replica_age(t, fill, now_mono_ms);
        if ((!fill->marked && fill->epoch == t->epoch) || PLANTED(join_marked_fill))
            return fill;
    }
    return NULL;
}

static void wait_for(struct through *t, struct through_fill *fill, struct through_read *read,
                     int64_t now_mono_ms) {
    read->fill = fill;
    read->deadline_mono_ms = now_mono_ms + t->conf.read_timeout_ms;
    read->next = NULL;
    read->prev = fill->last_waiter;
    *(fill->last_waiter != NULL ? &fill->last_waiter->next : &fill->waiters) = read;
    fill->last_waiter = read;
    read->newer = NULL;
    read->older = t->newest_read;
    *(t->newest_read != NULL ? &t->newest_read->newer : &t->oldest_read) = read;
    t->newest_read = read;
    through_room_take(&t->reading, read->key.len);
}

static int64_t asked_mono_ms(const struct through *t, const struct through_read *read) {
    return read->deadline_mono_ms - t->conf.read_timeout_ms;
}

static void stop_waiting(struct through *t, struct through_read *read) {
    struct through_fill *fill = read->fill;
    *(read->prev != NULL ? &read->prev->next : &fill->waiters) = read->next;
    *(read->next != NULL ? &read->next->prev : &fill->last_waiter) = read->prev;
    *(read->older != NULL ? &read->older->newer : &t->oldest_read) = read->newer;
    *(read->newer != NULL ? &read->newer->older : &t->newest_read) = read->older;
    read->fill = NULL;
    through_room_leave(&t->reading, read->key.len);
}

static void unlink_fill(struct through_fill *fill) {
    struct through_fill **link = &fill->flight->fills;
    while (*link != fill)
        link = &(*link)->next;
    *link = fill->next;
}

/* Its last waiter left: what has not been sent need not be. Under overload the database then works
 * only for those who still wait. */
static void give_up(struct through *t, struct through_fill *fill) {
    if (fill->waiters != NULL || !store_get_cancel(t->store, &fill->get))
        return;
    struct through_flight *flight = fill->flight;
    t->counters.fills_unwanted++;
    unlink_fill(fill);
    free(fill);
    through_flight_leave(t, flight);
}

/* A new SELECT for the key. Returns why not. */
static enum store_status start_fill(struct through *t, struct through_flight *flight,
                                    int64_t now_mono_ms, struct through_fill **out) {
    struct through_fill *fill = calloc(1, sizeof(*fill));
    if (fill == NULL)
        return STORE_BUSY;
    fill->through = t;
    fill->flight = flight;
    fill->epoch = t->epoch;
    fill->sent_mono_ms = now_mono_ms;
    fill->get = (struct store_get){.key = span_of(flight->key, flight->key_len), .done = on_row};
    if (!through_replica_ask(t, fill, now_mono_ms)) {
        enum store_status status = store_get(t->store, &fill->get);
        if (status != STORE_OK) {
            free(fill);
            return status;
        }
    }
    fill->next = flight->fills;
    flight->fills = fill;
    t->counters.fills++;
    *out = fill;
    return STORE_OK;
}

/* No room to wait. It answers, only not us: no reason for old copies. */
static enum through_status too_much(struct through *t) {
    t->counters.refused_busy++;
    return THROUGH_BUSY;
}

enum through_status through_fetch(struct through *t, int64_t now_mono_ms, struct through_read *read,
                                  struct span *value) {
    t->counters.misses++;
    if (!store_up(t->store))
        return without_database(t, read, now_mono_ms, THROUGH_DBDOWN, value);
    if (!through_room_for(t, &t->reading, read->key.len))
        return too_much(t);
    struct through_flight *flight = through_flight_take(t, read->key, read->hash);
    if (flight == NULL)
        return THROUGH_BUSY;
    struct through_fill *fill = joinable(t, flight, now_mono_ms);
    if (fill != NULL) {
        t->counters.coalesced++;
    } else {
        enum store_status status = start_fill(t, flight, now_mono_ms, &fill);
        if (status != STORE_OK) {
            through_flight_leave(t, flight);
            if (status == STORE_BUSY)
                return too_much(t);
            return without_database(t, read, now_mono_ms, THROUGH_DBDOWN, value);
        }
    }
    wait_for(t, fill, read, now_mono_ms);
    return THROUGH_PENDING;
}

enum through_status through_hit(struct through *t, int64_t now_mono_ms, struct span key,
                                uint64_t hash, struct span *value, int64_t *expires_mono_ms) {
    struct cache_item item;
    if (!cache_get(t->cache, key, hash, &item) || !is_trusted(t, &item, now_mono_ms) ||
        is_expired(&item, now_mono_ms))
        return THROUGH_PENDING;
    t->counters.hits++;
    t->counters.negative_hits += item.absent;
    return answer_from(&item, value, expires_mono_ms);
}

enum through_status through_get(struct through *t, int64_t now_mono_ms, struct through_read *read,
                                struct span *value) {
    enum through_status status =
        through_hit(t, now_mono_ms, read->key, read->hash, value, &read->expires_mono_ms);
    return status != THROUGH_PENDING ? status : through_fetch(t, now_mono_ms, read, value);
}

void through_get_cancel(struct through *t, struct through_read *read) {
    struct through_fill *fill = read->fill;
    if (fill == NULL)
        return;
    stop_waiting(t, read);
    give_up(t, fill);
}

/* ---- rows ---- */

/* From the time of sending: never later than the row's own end. */
static int64_t end_of_life(const struct through_fill *fill, const struct store_row *row) {
    if (!row->present || row->ttl_ms < 0)
        return 0;
    int64_t end_mono_ms = fill->sent_mono_ms + row->ttl_ms;
    return end_mono_ms > 0 ? end_mono_ms : 1;
}

/* What a clean fill brings replaces whatever is there, whatever its version. */
static void adopt(struct through *t, const struct through_fill *fill, const struct store_row *row) {
    struct span key = fill->get.key;
    uint64_t hash = fill->flight->hash;
    if (!row->cacheable && !PLANTED(cache_what_others_say)) {
        cache_drop(t->cache, key, hash);
        return;
    }
    struct cache_item item = {.value = row->payload,
                              .version = row->present ? row->version : 0,
                              .epoch = through_entry_epoch(t),
                              .absent = !row->present,
                              .deadline_ms = end_of_life(fill, row)};
    struct cache_item there;
    char old[64];
    if ((PLANTED(compare_versions_of_suspects) || PLANTED(keep_the_higher_version)) &&
        cache_peek(t->cache, key, hash, &there) && !there.absent && row->present) {
        if (PLANTED(keep_the_higher_version) && there.version > item.version)
            return;
        if (there.version == item.version && there.value.len <= sizeof(old))
            item.value = span_of(memcpy(old, there.value.ptr, there.value.len), there.value.len);
    }
    cache_put(t->cache, key, hash, &item);
}

/* The row of an overtaken fill goes to those who waited, and counts as an invalidation (rule 4,
 * F1). */
static void invalidate_by(struct through *t, const struct through_fill *fill,
                          const struct store_row *row) {
    struct cache_item item;
    t->counters.fills_overtaken++;
    if (PLANTED(cache_marked_fill)) {
        adopt(t, fill, row);
        return;
    }
    if (PLANTED(overtaken_row_is_no_invalidation))
        return;
    if (cache_peek(t->cache, fill->get.key, fill->flight->hash, &item) &&
        (!row->present || item.version < row->version))
        cache_drop(t->cache, fill->get.key, fill->flight->hash);
    if (!PLANTED(overtaken_row_marks_no_fills))
        through_flight_mark(fill->flight);
}

/* It joined a fill whose row was over before it asked (rule 15). Its deadline stays. */
static void fetch_again(struct through *t, int64_t asked_ms, struct through_read *read) {
    struct span value = SPAN("");
    enum through_status status = through_fetch(t, asked_ms, read, &value);
    if (status != THROUGH_PENDING)
        read->done(read, status, value, NULL);
}

static void answer_waiters(struct through *t, struct through_fill *fill, enum through_status status,
                           struct span value, int64_t expires_mono_ms) {
    /* An answer may make its asker ask again, or cancel another who waits here: so take them one by
     * one. */
    while (fill->waiters != NULL) {
        struct through_read *read = fill->waiters;
        int64_t asked_ms = asked_mono_ms(t, read);
        stop_waiting(t, read);
        if (asked_ms > fill->sent_mono_ms && expires_mono_ms != 0 && asked_ms >= expires_mono_ms) {
            fetch_again(t, asked_ms, read);
            continue;
        }
        read->expires_mono_ms = expires_mono_ms;
        read->done(read, status, value, NULL);
    }
}

static void on_row(struct store_get *get, enum store_status status, const struct store_row *row,
                   const char *detail) {
    struct through_fill *fill =
        (struct through_fill *)((char *)get - offsetof(struct through_fill, get));
    struct through *t = fill->through;
    struct through_flight *flight = fill->flight;
    if (get->from_replica && !through_replica_counts(fill, status, row) &&
        through_replica_pass_on(fill, &status))
        return;
    unlink_fill(fill); /* nobody joins it from here on */
    if (status == STORE_OK) {
        if (get->from_replica || !PLANTED(row_from_primary_is_no_news))
            through_met(t, flight->hash);
        if (!fill->marked && (fill->epoch == t->epoch || PLANTED(trust_fill_across_gap)))
            adopt(t, fill, row);
        else
            invalidate_by(t, fill, row);
        through_flight_raise(flight, row->present ? row->version : THROUGH_RECORD_INFINITE);
        answer_waiters(t, fill, row->present ? THROUGH_VALUE : THROUGH_ABSENT,
                       row->present ? row->payload : SPAN(""), end_of_life(fill, row));
    } else {
        /* Old copies are looked up per waiter: an answer may have changed the cache. The time is
         * that of the latest deadline known: close enough for a bound of an hour. */
        while (fill->waiters != NULL) {
            struct through_read *read = fill->waiters;
            struct span value = SPAN("");
            enum through_status failure = status == STORE_BUSY ? THROUGH_BUSY : THROUGH_DBDOWN;
            enum through_status answer =
                without_database(t, read, asked_mono_ms(t, read), failure, &value);
            stop_waiting(t, read);
            read->done(read, answer, value, detail);
        }
    }
    free(fill);
    through_flight_leave(t, flight);
}

static void tick_reads(struct through *t, int64_t now_mono_ms) {
    while (t->oldest_read != NULL && t->oldest_read->deadline_mono_ms <= now_mono_ms) {
        struct through_read *read = t->oldest_read;
        struct through_fill *fill = read->fill;
        struct span value = SPAN("");
        bool our_queue = !fill->get.sent && through_trusts(t, now_mono_ms);
        enum through_status answer =
            our_queue ? THROUGH_TIMEOUT
                      : without_database(t, read, now_mono_ms, THROUGH_TIMEOUT, &value);
        stop_waiting(t, read);
        give_up(t, fill);
        read->done(read, answer, value, NULL);
    }
}

void through_tick(struct through *t, int64_t now_mono_ms) {
    t->now_mono_ms = now_mono_ms;
    tick_reads(t, now_mono_ms);
    through_tick_writes(t, now_mono_ms);
}

uint32_t through_epoch(const struct through *t) {
    return t->epoch;
}

uint32_t through_pending(const struct through *t) {
    return t->reading.count + t->writing.count;
}

const struct through_counters *through_counters(const struct through *t) {
    return &t->counters;
}
