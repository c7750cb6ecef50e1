/*
 * Own writes: one of a key in flight until its final outcome (rule 5), acks against the record
 * (rule 2). A write of several keys stands in the queue of each, and is sent when it is the first
 * in all; everybody queues in the order of arrival, so nobody waits in a circle.
 */
#include <stdlib.h>

#include "cache.h"
#include "through_private.h"

struct through_own {
    struct store_write sw;
    struct through *through;
    struct through_write *asker; /* NULL: was answered by time-out; then only `released` is owed */
    struct through_write *write;
    /* Older plain SETs of the key that this one overwrites share its commit (rule 13). */
    struct through_own *folded, *folded_by;
    struct through_own *newer, *older;
    struct through_own *next_ready;
    int64_t deadline_mono_ms;
    int64_t sent_mono_ms;
    uint32_t epoch;     /* at the time of sending */
    uint32_t waits_for; /* turns that are not the first of their queue */
    uint32_t turns_count;
    uint64_t bytes; /* of keys and values: what it makes wait */
    bool in_store;
    bool owed;         /* answered by time-out while sent: out of the list, the store's answer ends
                          it */
    uint32_t *turn_of; /* by key: which turn (keys of a DEL may repeat) */
    struct through_turn turns[];
};

static void on_ack(struct store_write *sw, const struct store_ack *ack);

/* ---- the queues ---- */

static bool is_plain_set(const struct through_own *own) {
    return own->write->op == STORE_SET && own->write->count == 1 && !own->write->want_old &&
           own->write->more == NULL;
}

static bool is_single(const struct through_own *own) {
    return own->write->count == 1;
}

static void enqueue(struct through_turn *turn) {
    struct through_flight *flight = turn->flight;
    turn->next = NULL;
    *(flight->last_turn != NULL ? &flight->last_turn->next : &flight->turns) = turn;
    flight->last_turn = turn;
}

/* Takes a turn out, wherever it stands. Returns the one that became the first, or NULL. */
static struct through_turn *dequeue(struct through_turn *turn) {
    struct through_flight *flight = turn->flight;
    struct through_turn **link = &flight->turns, *before = NULL;
    while (*link != turn) {
        before = *link;
        link = &(*link)->next;
    }
    *link = turn->next;
    if (flight->last_turn == turn)
        flight->last_turn = before;
    return before == NULL ? flight->turns : NULL;
}

static void list_add(struct through *t, struct through_own *own) {
    own->older = t->newest_own;
    own->newer = NULL;
    *(t->newest_own != NULL ? &t->newest_own->newer : &t->oldest_own) = own;
    t->newest_own = own;
}

static void list_remove(struct through *t, struct through_own *own) {
    *(own->older != NULL ? &own->older->newer : &t->oldest_own) = own->newer;
    *(own->newer != NULL ? &own->newer->older : &t->newest_own) = own->older;
}

static void answer(struct through_own *own, enum through_status status,
                   const struct store_ack *ack) {
    struct through_write *asker = own->asker;
    own->asker = NULL;
    if (asker != NULL)
        asker->done(asker, status, ack);
}

/* The end of an own write: everything that pointed to it is gone. */
static void release(struct through_own *own) {
    struct through_write *write = own->write;
    struct through *t = own->through;
    if (!own->owed)
        list_remove(t, own);
    through_room_leave(&t->writing, own->bytes);
    free(own->turn_of);
    free(own);
    write->released(write);
}

/* A fold's older writes share an answer. */
static void answer_folded(struct through_own *folded, enum through_status status,
                          const struct store_ack *ack) {
    for (struct through_own *older; folded != NULL; folded = older) {
        older = folded->folded;
        folded->write->overwritten = true;
        answer(folded, status, ack);
        release(folded);
    }
}

/* ---- sending ---- */

/* Plain SETs that wait right behind a plain SET of the key: only the last of them is sent. */
static struct through_own *fold(struct through_own *own) {
    while (is_plain_set(own)) {
        struct through_turn *next = own->turns[0].next;
        if (next == NULL ||
            !(is_plain_set(next->own) || (PLANTED(fold_anything) && is_single(next->own))))
            break;
        struct through_own *newer = next->own;
        dequeue(&own->turns[0]);
        newer->waits_for = 0;
        newer->folded = own;
        own->folded_by = newer;
        own = newer;
    }
    return own;
}

static enum through_status status_of(enum store_status status) {
    switch (status) {
    case STORE_OK:
        return THROUGH_DONE;
    case STORE_DOWN:
        return THROUGH_DBDOWN;
    case STORE_BUSY:
        return THROUGH_BUSY;
    case STORE_LOCKED:
        return THROUGH_LOCKED;
    case STORE_REFUSED:
        return THROUGH_REFUSED;
    case STORE_UNCERTAIN:
    case STORE_FAILED: /* only reads fail so */
        return PLANTED(ok_for_uncertain)      ? THROUGH_DONE
               : PLANTED(error_for_uncertain) ? THROUGH_DBDOWN
                                              : THROUGH_UNCERTAIN;
    }
    return THROUGH_UNCERTAIN;
}

/* Hand a write that is first in all its queues to the store. Returns STORE_OK, or why it is still
 * here. */
static enum store_status hand_over(struct through *t, struct through_own *own) {
    own->sw = (struct store_write){.op = own->write->op,
                                   .want_old = own->write->want_old,
                                   .more = own->write->more,
                                   .exec = own->write->exec,
                                   .count = own->write->count,
                                   .keys = own->write->keys,
                                   .values = own->write->values,
                                   .done = on_ack};
    own->epoch = t->epoch;
    own->sent_mono_ms = t->now_mono_ms;
    for (uint32_t i = 0; i < own->turns_count; i++) {
        own->turns[i].flight->writing = true;
        own->turns[i].flight->record = 0;
    }
    if (PLANTED(cache_before_commit) && own->write->op == STORE_SET) {
        const struct cache_item early = {
            .value = own->write->values[0], .version = 1, .epoch = through_entry_epoch(t)};
        cache_put(t->cache, own->write->keys[0], own->write->hashes[0], &early);
    }
    enum store_status status = store_write(t->store, &own->sw);
    own->in_store = status == STORE_OK;
    return status;
}

static void leave_queues(struct through *t, struct through_own *own, bool was_first);

/* `own` became first in all its queues. What the store refuses at once is answered; the next one
 * gets its turn. */
static void send(struct through *t, struct through_own *own) {
    own = fold(own);
    enum store_status status = hand_over(t, own);
    if (status == STORE_OK)
        return;
    struct through_own *folded = own->folded;
    own->folded = NULL;
    leave_queues(t, own, true);
    answer(own, status_of(status), NULL);
    release(own);
    answer_folded(folded, status_of(status), NULL); /* there is no room for them either */
}

/* A loop, not a recursion: a whole queue may be refused one after the other. */
static void send_ready(struct through *t) {
    if (t->sending)
        return;
    t->sending = true;
    while (t->ready != NULL) {
        struct through_own *own = t->ready;
        t->ready = own->next_ready;
        if (t->ready == NULL)
            t->last_ready = NULL;
        send(t, own);
    }
    t->sending = false;
}

/* Out of all queues; whoever is first now and waits for nothing else is sent. */
static void leave_queues(struct through *t, struct through_own *own, bool was_first) {
    for (uint32_t i = 0; i < own->turns_count; i++) {
        struct through_flight *flight = own->turns[i].flight;
        if (was_first)
            flight->writing = false;
        struct through_turn *first = dequeue(&own->turns[i]);
        if (first == NULL) {
            through_flight_leave(t, flight);
        } else if (--first->own->waits_for == 0) {
            first->own->next_ready = NULL;
            *(t->last_ready != NULL ? &t->last_ready->next_ready : &t->ready) = first->own;
            t->last_ready = first->own;
        }
    }
    send_ready(t);
}

/* ---- asking ---- */

static struct through_own *make(struct through *t, int64_t now_mono_ms, struct through_write *write,
                                uint64_t bytes) {
    struct through_own *own = calloc(1, sizeof(*own) + write->count * sizeof(struct through_turn));
    if (own == NULL)
        return NULL;
    own->through = t;
    own->asker = own->write = write;
    own->bytes = bytes;
    own->deadline_mono_ms = now_mono_ms + t->conf.write_timeout_ms;
    own->turn_of = write->count > 1 ? calloc(write->count, sizeof(*own->turn_of)) : NULL;
    if (write->count > 1 && own->turn_of == NULL) {
        free(own);
        return NULL;
    }
    return own;
}

/* A turn per distinct key. False without memory; what was taken is given back. */
static bool take_turns(struct through *t, struct through_own *own) {
    const struct through_write *write = own->write;
    for (uint32_t i = 0; i < write->count; i++) {
        struct through_flight *flight = through_flight_take(t, write->keys[i], write->hashes[i]);
        if (flight == NULL) {
            for (uint32_t turn = 0; turn < own->turns_count; turn++) {
                dequeue(&own->turns[turn]);
                through_flight_leave(t, own->turns[turn].flight);
            }
            return false;
        }
        if (flight->last_turn != NULL && flight->last_turn->own == own) { /* DEL k k */
            own->turn_of[i] = (uint32_t)(flight->last_turn - own->turns);
            continue;
        }
        struct through_turn *turn = &own->turns[own->turns_count];
        *turn = (struct through_turn){.own = own, .flight = flight};
        if (own->turn_of != NULL)
            own->turn_of[i] = own->turns_count;
        own->turns_count++;
        own->waits_for += flight->turns != NULL;
        enqueue(turn);
    }
    return true;
}

enum through_status through_write(struct through *t, int64_t now_mono_ms,
                                  struct through_write *write) {
    t->now_mono_ms = now_mono_ms;
    if (!store_up(t->store))
        return THROUGH_DBDOWN;
    uint64_t bytes = through_write_bytes(write);
    if (!through_room_for(t, &t->writing, bytes)) {
        t->counters.refused_busy++;
        return THROUGH_BUSY;
    }
    struct through_own *own = make(t, now_mono_ms, write, bytes);
    if (own == NULL)
        return THROUGH_BUSY;
    if (!take_turns(t, own)) {
        free(own->turn_of);
        free(own);
        return THROUGH_BUSY;
    }
    t->counters.writes++;
    enum store_status status = STORE_OK;
    if (own->waits_for == 0 || PLANTED(two_writes_of_a_key))
        status = hand_over(t, own);
    if (status != STORE_OK) {
        leave_queues(t, own, true);
        free(own->turn_of);
        free(own);
        return status_of(status);
    }
    list_add(t, own);
    through_room_take(&t->writing, own->bytes);
    return THROUGH_PENDING;
}

/* ---- answers ---- */

/* A committed version of one key: into the cache if nothing newer was met, else out of it (rule 2).
 */
static void apply(struct through *t, const struct through_own *own, uint32_t i,
                  const struct store_ack *ack) {
    const struct through_write *write = own->write;
    struct through_flight *flight = own->turns[own->turn_of != NULL ? own->turn_of[i] : 0].flight;
    uint64_t version = ack->versions[i], hash = write->hashes[i];
    const struct store_result *result = ack->result;
    struct cache_item there;
    if (!PLANTED(replica_own_ack_is_no_news))
        through_met(t, hash);
    if (!PLANTED(no_mark_on_ack))
        through_flight_mark(flight);
    if (version == 0 && PLANTED(keep_on_noop))
        return;
    bool newer_met = (flight->record > version && !PLANTED(ack_ignores_record)) ||
                     (own->epoch != t->epoch && !PLANTED(trust_ack_across_gap));
    bool newer_there =
        cache_peek(t->cache, write->keys[i], hash, &there) && there.version > version;
    bool is_gone = result != NULL ? !result->live : write->op == STORE_DELETE;
    if (version == 0 || is_gone || newer_met || newer_there || !ack->cacheable) {
        t->counters.acks_dropped += newer_met;
        cache_drop(t->cache, write->keys[i], hash);
        return;
    }
    struct cache_item item = {.value = result != NULL ? result->payload : write->values[i],
                              .version = version,
                              .epoch = through_entry_epoch(t)};
    if (result != NULL && result->ttl_ms >= 0) {
        int64_t end_mono_ms = own->sent_mono_ms + result->ttl_ms;
        item.deadline_ms = end_mono_ms > 0 ? end_mono_ms : 1;
    }
    cache_put(t->cache, write->keys[i], hash, &item);
}

/* Its outcome is not known, or not yet: what its asker reads next comes from the database (rule 7).
 */
static void doubt(struct through *t, const struct through_own *own) {
    for (uint32_t i = 0; i < own->turns_count; i++) {
        struct through_flight *flight = own->turns[i].flight;
        struct span key = span_of(flight->key, flight->key_len);
        if (!PLANTED(replica_own_ack_is_no_news))
            through_met(t, flight->hash);
        if (PLANTED(uncertain_keeps_entry))
            continue;
        cache_suspect(t->cache, key, flight->hash);
        through_flight_mark(flight);
    }
}

/* The newest of a fold was definitely not written: the one before it stands on its own again. */
static bool unfold(struct through *t, struct through_own *own) {
    struct through_own *older = own->folded;
    if (older == NULL)
        return false;
    own->folded = NULL;
    older->folded_by = NULL;
    struct through_turn *turn = &older->turns[0];
    struct through_flight *flight = own->turns[0].flight;
    turn->flight = flight;
    turn->next = own->turns[0].next; /* it takes the place of `own` */
    if (flight->last_turn == &own->turns[0])
        flight->last_turn = turn;
    flight->turns = turn;
    own->turns_count = 0;
    older->waits_for = 0;
    enum store_status status = hand_over(t, older);
    if (status == STORE_OK)
        return true;
    struct through_own *rest = older->folded;
    older->folded = NULL;
    leave_queues(t, older, true);
    answer(older, status_of(status), NULL);
    release(older);
    answer_folded(rest, status_of(status), NULL);
    return true;
}

static void on_ack(struct store_write *sw, const struct store_ack *ack) {
    struct through_own *own = (struct through_own *)((char *)sw - offsetof(struct through_own, sw));
    struct through *t = own->through;
    own->in_store = false;
    if (ack->status == STORE_OK) {
        for (uint32_t i = 0; i < own->write->count; i++)
            apply(t, own, i, ack);
    } else if (ack->status == STORE_UNCERTAIN) {
        t->counters.writes_uncertain += !own->owed;
        doubt(t, own);
    }
    bool shared = ack->status == STORE_OK || ack->status == STORE_UNCERTAIN ||
                  PLANTED(fold_shares_no_failure);
    if (shared || !unfold(t, own))
        leave_queues(t, own, true);
    struct through_own *folded = own->folded;
    answer(own, status_of(ack->status), ack);
    release(own);
    /* Committed, and overwritten at once. */
    answer_folded(folded, PLANTED(fold_shares_no_failure) ? THROUGH_DONE : status_of(ack->status),
                  ack);
}

/* ---- time ---- */

static void time_out(struct through *t, struct through_own *own) {
    if (own->in_store && !store_write_cancel(t->store, &own->sw)) {
        own->owed = true;
        list_remove(t, own);
        t->counters.writes_uncertain++;
        doubt(t, own);
        answer(own, PLANTED(timeout_for_uncertain) ? THROUGH_TIMEOUT : THROUGH_UNCERTAIN, NULL);
        return;
    }
    if (own->folded_by != NULL) { /* never sent, whatever becomes of the newer one */
        own->folded_by->folded = own->folded;
        if (own->folded != NULL)
            own->folded->folded_by = own->folded_by;
        answer(own, THROUGH_TIMEOUT, NULL);
        release(own);
        return;
    }
    bool was_first = own->in_store;
    own->in_store = false;
    if (!was_first || !unfold(t, own))
        leave_queues(t, own, was_first);
    answer(own, THROUGH_TIMEOUT, NULL);
    release(own);
}

void through_tick_writes(struct through *t, int64_t now_mono_ms) {
    while (t->oldest_own != NULL && t->oldest_own->deadline_mono_ms <= now_mono_ms)
        time_out(t, t->oldest_own);
}
