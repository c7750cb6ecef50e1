/* Requests that a node will not answer, or not in time: back to their owner, each exactly once. */
#include <stdlib.h>

#include "../common/log.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "upstream_private.h"

void upstream_lose(struct upstream *u, struct upstream_entry *entry, enum upstream_lost why,
                   struct span bytes) {
    if (is_own(u, entry)) {
        u->asked[entry - u->own] = false;
        return;
    }
    u->owed--;
    char *kept = entry->kept;
    entry->kept = NULL;
    u->handlers->on_lost(u->ctx, entry, why, kept != NULL ? span_of(kept, entry->size) : bytes);
    free(kept);
}

/* The bytes of the request at `at` of the output; empty when they are not there, since memory ran
 * out. */
static struct span bytes_at(const struct buf *out, size_t at, size_t size) {
    bool whole = out != NULL && at + size <= buf_len(out);
    return whole ? span_of(buf_head(out) + at, size) : span_of(NULL, 0);
}

void upstream_lose_all(struct upstream *u) {
    struct window fifo = u->fifo, late = u->late;
    struct buf *out = u->conn != NULL ? conn_out(u->conn) : NULL;
    size_t sent = u->conn != NULL ? conn_sent(u->conn) : 0, at = 0;
    window_init(&u->fifo);
    window_init(&u->late);
    u->ghosts = 0;
    for (struct upstream_entry *entry; (entry = window_pop(&late)) != NULL;)
        upstream_lose(u, entry, UPSTREAM_LOST_SENT, span_of(NULL, 0));
    for (void *slot; (slot = window_pop(&fifo)) != NULL;) {
        size_t size = slot_size(slot);
        if (!is_ghost(slot))
            upstream_lose(u, slot, at < sent ? UPSTREAM_LOST_SENT : UPSTREAM_LOST_UNSENT,
                          bytes_at(out, at, size));
        at += size;
    }
    window_release(&fifo);
    window_release(&late);
}

/* ---- time ---- */

static bool is_over(const struct upstream *u, const struct upstream_entry *entry, int64_t now_us) {
    const struct proxy_conf *conf = u->env->conf;
    int64_t limit_ms = entry->is_write ? conf->write_timeout_ms : conf->request_timeout_ms;
    return now_us - entry->start_us >= limit_ms * 1000;
}

/* Whether all that follows `entry` is too young to be over. */
static bool rest_is_young(const struct upstream *u, const struct upstream_entry *entry,
                          int64_t now_us) {
    const struct proxy_conf *conf = u->env->conf;
    int64_t least_ms = conf->write_timeout_ms < conf->request_timeout_ms ? conf->write_timeout_ms
                                                                         : conf->request_timeout_ms;
    return now_us >= u->mixed_until_us && now_us - entry->start_us < least_ms * 1000;
}

void upstream_lose_aged(struct upstream *u, int64_t now_us) {
    for (uint64_t n = u->late.first; n < u->late.end; n++) {
        struct upstream_entry *entry = window_at(&u->late, n);
        if (entry == NULL)
            continue;
        if (rest_is_young(u, entry, now_us))
            break;
        if (is_own(u, entry) || !is_over(u, entry, now_us))
            continue;
        window_take(&u->late, n);
        upstream_lose(u, entry, UPSTREAM_LOST_LATE, span_of(NULL, 0));
    }
    for (uint64_t n = u->fifo.first; n < u->fifo.end; n++) {
        void *slot = window_at(&u->fifo, n);
        if (slot == NULL || is_ghost(slot))
            continue;
        if (rest_is_young(u, slot, now_us))
            break;
        if (is_own(u, slot) || !is_over(u, slot, now_us))
            continue;
        window_set(&u->fifo, n, ghost_of(slot));
        u->ghosts++;
        upstream_lose(u, slot, UPSTREAM_LOST_LATE, span_of(NULL, 0));
    }
}

/* ---- silence ---- */

/* Reads that were sent are asked elsewhere; a ghost keeps each one's place. Returns the number of
 * the first request of which nothing was sent, and where in the output it begins. */
static uint64_t move_reads(struct upstream *u, const struct buf *out, size_t *at) {
    size_t sent = conn_sent(u->conn);
    uint64_t n = u->fifo.first;
    for (*at = 0; n < u->fifo.end && *at < sent; n++) {
        void *slot = window_at(&u->fifo, n);
        size_t size = slot_size(slot);
        if (!is_ghost(slot) && !((struct upstream_entry *)slot)->is_write) {
            window_set(&u->fifo, n, ghost_of(slot));
            u->ghosts++;
            upstream_lose(u, slot, UPSTREAM_LOST_SENT, bytes_at(out, *at, size));
        }
        *at += size;
    }
    return n;
}

static void move_unsent(struct upstream *u, struct buf *out, uint64_t from, size_t at) {
    size_t cut = at;
    for (uint64_t n = from; n < u->fifo.end; n++) {
        void *slot = window_at(&u->fifo, n);
        size_t size = slot_size(slot);
        if (is_ghost(slot))
            u->ghosts--;
        else
            upstream_lose(u, slot, UPSTREAM_LOST_UNSENT, bytes_at(out, at, size));
        at += size;
    }
    window_cut(&u->fifo, from);
    if (cut < buf_len(out))
        out->tail = out->head + cut;
}

static void move_late_reads(struct upstream *u) {
    for (uint64_t n = u->late.first; n < u->late.end; n++) {
        struct upstream_entry *entry = window_at(&u->late, n);
        if (entry == NULL || entry->is_write)
            continue;
        window_take(&u->late, n);
        upstream_lose(u, entry, UPSTREAM_LOST_SENT, span_of(NULL, 0));
    }
}

void upstream_hang(struct upstream *u) {
    log_event(LOG_LEVEL_WARN, "node_hangs", "node=%s addr=%s:%u unanswered=%u", u->name, u->host,
              u->port, u->owed);
    stats_add(&u->env->stats[PROXY_STAT_NODE_HUNG], 1);
    u->state = UPSTREAM_HANGS;
    u->trusted = false;
    struct buf *out = conn_out(u->conn);
    size_t at;
    uint64_t unsent = move_reads(u, out, &at);
    move_unsent(u, out, unsent, at);
    move_late_reads(u);
    upstream_gap(u); /* copies of what it was asked for before are not vouched for any more */
    if (u->owed == 0)
        upstream_fail(u, "it does not answer");
}
