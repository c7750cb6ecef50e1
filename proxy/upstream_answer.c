/* What a node says: answers by position, deferrals, late answers, and what changes. */
#include <stdlib.h>
#include <string.h>

#include "../common/plant.h"
#include "proxy_stats.h"
#include "upstream_private.h"

/* The number in `>n\r\n+word\r\n:NUMBER\r\n`, and where what follows begins. */
static bool push_number(struct span push, struct span head, uint64_t *number, size_t *rest) {
    if (!span_begins_with(push, head))
        return false;
    const char *digits = push.ptr + head.len;
    const char *end = memchr(digits, '\r', push.len - head.len);
    int64_t n;
    if (end == NULL || !span_to_int64(span_of(digits, (size_t)(end - digits)), &n) || n <= 0)
        return false;
    *number = (uint64_t)n;
    *rest = (size_t)(end - push.ptr) + 2;
    return true;
}

static void answer(struct upstream *u, struct upstream_entry *entry, struct span reply) {
    if (is_own(u, entry))
        u->asked[entry - u->own] = false;
    else
        u->owed--;
    free(entry->kept);
    entry->kept = NULL;
    entry->done(entry, reply);
}

/* The oldest request, if an answer to it makes sense: NULL when there is none, or when its bytes
 * have not left yet. */
static void *oldest(struct upstream *u) {
    void *slot = window_first(&u->fifo);
    return slot == NULL || slot_size(slot) > conn_sent(u->conn) ? NULL : slot;
}

/* The node will answer the oldest request later. Returns false if that makes no sense, or without
 * memory; then nothing was taken from the window. */
static bool defer(struct upstream *u, uint64_t number) {
    void *slot = oldest(u);
    if (slot == NULL || number != u->late.end || !window_push(&u->late, slot))
        return false;
    window_pop(&u->fifo);
    if (is_ghost(slot)) { /* nobody waits for it: its number alone is used up */
        window_take(&u->late, number);
        u->ghosts--;
    } else {
        struct upstream_entry *entry = slot;
        entry->is_late = true;
        entry->kept = entry->is_write ? NULL : malloc(entry->size);
        if (entry->kept != NULL)
            memcpy(entry->kept, buf_head(conn_out(u->conn)), entry->size);
    }
    conn_release(u->conn, slot_size(slot));
    stats_add(&u->env->stats[PROXY_STAT_LATE], 1);
    return true;
}

/* The key, a bulk string, that is all of `left`. */
static bool last_key(struct span left, struct span *key) {
    const char *end = left.len < 2 ? NULL : memchr(left.ptr, '\n', left.len - 1);
    if (end == NULL || left.ptr[0] != '$')
        return false;
    end++;
    *key = span_of(end, (size_t)(left.ptr + left.len - end) - 2);
    return left.ptr + left.len - end >= 2;
}

/* A version and a key, the rest of a push from `at` on. */
static bool versioned_key(struct span push, size_t at, uint64_t *version, struct span *key) {
    size_t rest;
    struct span left = span_of(push.ptr + at, push.len - at);
    return push_number(left, SPAN(":"), version, &rest) &&
           last_key(span_of(left.ptr + rest, left.len - rest), key);
}

/* What changed. Anything else is a push of a newer node: not for us. */
static bool on_stale(struct upstream *u, struct span push) {
    const struct span ONE = SPAN(">3\r\n+stale\r\n+"), VERSIONED = SPAN(">4\r\n+stale\r\n+");
    bool has_version = span_begins_with(push, VERSIONED);
    if (has_version || span_begins_with(push, ONE)) {
        const char *kind = push.ptr + ONE.len;
        size_t at = ONE.len + 3; /* behind the kind, a letter, and its CR LF */
        uint64_t version = 0;
        struct span key;
        if (push.len < at || memcmp(kind + 1, "\r\n", 2) != 0 ||
            !(has_version ? versioned_key(push, at, &version, &key)
                          : last_key(span_of(push.ptr + at, push.len - at), &key)))
            return false;
        u->handlers->on_stale(u->ctx, u, key, version, (enum change) * kind);
    } else if (span_equal(push, SPAN(">1\r\n+stale-all\r\n"))) {
        u->handlers->on_gap(u->ctx);
    }
    return true;
}

/* What a request wrote whose answer is the next late one. */
static bool on_wrote(struct upstream *u, struct span push, uint64_t number, size_t rest) {
    uint64_t version;
    struct span key;
    if (number >= u->late.end || !versioned_key(push, rest, &version, &key))
        return false;
    const struct upstream_entry *entry = window_at(&u->late, number);
    if (entry != NULL && entry->author != 0) /* else nobody waits for it, or nobody minds */
        u->handlers->on_wrote(u->ctx, entry->author, key, version);
    return true;
}

static bool on_push(struct upstream *u, struct span push) {
    uint64_t number;
    size_t rest;
    if (push_number(push, SPAN(">2\r\n+defer\r\n:"), &number, &rest))
        return defer(u, number);
    if (push_number(push, SPAN(">3\r\n+late\r\n:"), &number, &rest)) {
        if (number >= u->late.end)
            return false;
        struct upstream_entry *entry = window_take(&u->late, number);
        if (entry == NULL && PLANTED(reuse_after_timeout))
            entry = window_pop(&u->late);
        if (entry != NULL) /* else its time was over, and it was answered so */
            answer(u, entry, span_of(push.ptr + rest, push.len - rest));
        return true;
    }
    if (push_number(push, SPAN(">4\r\n+wrote\r\n:"), &number, &rest))
        return on_wrote(u, push, number, rest);
    return on_stale(u, push);
}

/* Answers come by the hundred, and what they answer is in no near cache any more. */
static void prefetch_next(const struct upstream *u) {
    enum { LINE_BYTES = 64, LINES = 3 /* of a request (request.h) */ };
    const char *next = window_at(&u->fifo, u->fifo.first + 1);
    for (int i = 0; i < LINES && next != NULL; i++)
        __builtin_prefetch(next + i * LINE_BYTES);
}

/* One reply. Returns false when the connection makes no sense any more. */
static bool on_reply(struct upstream *u, struct span reply) {
    if (reply.ptr[0] == '>')
        return on_push(u, reply);
    void *slot = oldest(u);
    if (slot == NULL)
        return false;
    prefetch_next(u);
    window_pop(&u->fifo);
    conn_release(u->conn, slot_size(slot));
    if (is_ghost(slot))
        u->ghosts--;
    else
        answer(u, slot, reply);
    return true;
}

size_t upstream_on_read(void *ctx, const char *data, size_t len) {
    struct upstream *u = ctx;
    size_t used = 0;
    u->progress_us = conn_loop_now_us(u->env->loop);
    while (used < len) {
        size_t size = 0;
        enum resp_result result = resp_scan_reply(&u->scan, data + used, len - used, &size);
        if (result == RESP_PARTIAL)
            break;
        if (result == RESP_ERROR || !on_reply(u, span_of(data + used, size))) {
            upstream_fail(u, result == RESP_ERROR ? "its answer is not RESP"
                                                  : "its answers do not match our requests");
            return len;
        }
        if (u->conn == NULL) /* its answer to one of our own requests made us leave */
            return len;
        used += size;
    }
    return used;
}
