#include "upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/conn.h"
#include "../common/hash.h"
#include "../common/log.h"
#include "../common/resp_parse.h"
#include "env.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "tracking.h"
#include "upstream_resolve.h"
#include "window.h"

enum {
    OUT_BYTES_MAX = 64 << 20,    /* requests to one node that wait for their answers */
    RETRY_MIN_MS = 20,           /* first pause between tries to connect; doubles */
    STALLED_SELF_US = 50 * 1000, /* a tick this late: we were stopped ourselves, so judge nobody */
};

enum state {
    STATE_DOWN, /* waits for next_try_us */
    STATE_RESOLVING,
    STATE_CONNECTING, /* until the link was confirmed */
    STATE_UP,
};

struct upstream {
    const struct proxy_env *env;
    const struct upstream_handlers *handlers;
    void *ctx;
    char *name, *host;
    uint16_t port;
    enum state state;
    bool failed_before; /* since it was up last */
    bool draining;
    struct upstream_resolve *resolve;
    struct conn *conn;
    struct resp_scan scan;
    struct window fifo;  /* sent or to be sent, answered by position */
    struct window late;  /* deferred, answered by id */
    int64_t progress_us; /* last sign of life while something was awaited by position */
    int64_t last_tick_us, next_try_us, connect_until_us, next_status_us;
    uint32_t retry_ms;
    uint64_t jitter;
    struct upstream_entry link, status, watch, unwatch; /* our own requests */
    bool status_asked, watch_asked, unwatch_asked;
    bool watched; /* on this connection, from the node's view, once it has read everything */
    struct buf status_text;
    int64_t status_heard_us;
};

static size_t on_read(void *ctx, const char *data, size_t len);
static void on_end(void *ctx, enum conn_end why);
static void fail(struct upstream *u, const char *why);

static const struct conn_handlers CONN_HANDLERS = {.on_read = on_read, .on_end = on_end};
static const struct conn_conf CONN_CONF = {.in_max = 64 << 20,
                                           .out_max = OUT_BYTES_MAX + (OUT_BYTES_MAX >> 1),
                                           .out_low = 0,
                                           .retain = true};

/* ---- connecting ---- */

static void on_link(struct upstream_entry *entry, struct span reply) {
    struct upstream *u = (struct upstream *)((char *)entry - offsetof(struct upstream, link));
    if (!span_equal(reply, SPAN("+OK\r\n"))) {
        fail(u, "it is no ringfence-node");
        return;
    }
    u->state = STATE_UP;
    u->failed_before = false;
    u->retry_ms = RETRY_MIN_MS;
    stats_add(&u->env->stats[PROXY_STAT_NODE_CONNECTS], 1);
    log_event(LOG_LEVEL_INFO, "node_up", "node=%s addr=%s:%u", u->name, u->host, u->port);
}

static void on_status(struct upstream_entry *entry, struct span reply) {
    struct upstream *u = (struct upstream *)((char *)entry - offsetof(struct upstream, status));
    u->status_asked = false;
    const char *body =
        reply.len == 0 || reply.ptr[0] != '$' ? NULL : memchr(reply.ptr, '\n', reply.len);
    if (body == NULL)
        return;
    body++;
    size_t head = (size_t)(body - reply.ptr);
    u->status_text.head = u->status_text.tail = 0;
    if (reply.len >= head + 2)
        buf_append(&u->status_text, body, reply.len - head - 2);
    u->status_heard_us = conn_loop_now_us(u->env->loop);
}

static void on_watch(struct upstream_entry *entry, struct span reply) {
    struct upstream *u = (struct upstream *)((char *)entry - offsetof(struct upstream, watch));
    u->watch_asked = false;
    if (!span_equal(reply, SPAN("+OK\r\n")))
        fail(u, "it does not say what changes");
}

static void on_unwatch(struct upstream_entry *entry, struct span reply) {
    struct upstream *u = (struct upstream *)((char *)entry - offsetof(struct upstream, unwatch));
    u->unwatch_asked = false;
}

static void ask(struct upstream *u, struct upstream_entry *entry, const char *request) {
    struct buf *out = conn_out(u->conn);
    buf_append(out, request, strlen(request));
    entry->start_us = conn_loop_now_us(u->env->loop);
    upstream_push(u, entry, (uint32_t)strlen(request));
}

static void on_address(void *ctx, const struct sockaddr *addr, unsigned len) {
    struct upstream *u = ctx;
    u->resolve = NULL;
    if (addr != NULL)
        u->conn = conn_connect(u->env->loop, addr, len, &CONN_CONF, &CONN_HANDLERS, u);
    if (u->conn == NULL) {
        fail(u, addr == NULL ? "its host name has no address" : "no socket");
        return;
    }
    u->state = STATE_CONNECTING;
    ask(u, &u->link, "*2\r\n$7\r\nRF.LINK\r\n$1\r\n1\r\n");
    u->watched = false;
    if (tracking_watching(u->env->tracking))
        upstream_watch(u);
}

void upstream_watch(struct upstream *u) {
    if (u->conn == NULL || u->watched || u->watch_asked)
        return; /* or it is asked when it connects */
    u->watched = u->watch_asked = true;
    ask(u, &u->watch, "*2\r\n$8\r\nRF.WATCH\r\n$1\r\n1\r\n");
}

/* Nobody watches any more, and hardly will at once. */
static void unwatch(struct upstream *u) {
    if (!u->watched || u->watch_asked || u->unwatch_asked || tracking_watching(u->env->tracking))
        return;
    u->watched = false;
    u->unwatch_asked = true;
    ask(u, &u->unwatch, "*2\r\n$8\r\nRF.WATCH\r\n$1\r\n0\r\n");
}

static void connect_now(struct upstream *u, int64_t now_us) {
    u->state = STATE_RESOLVING;
    u->connect_until_us = now_us + u->env->conf->connect_timeout_ms * 1000;
    u->scan = (struct resp_scan){0};
    window_init(&u->fifo);
    window_init(&u->late);
    struct upstream_resolve *resolve =
        upstream_resolve_start(u->env, u->host, u->port, on_address, u);
    if (u->state == STATE_RESOLVING)
        u->resolve = resolve;
}

struct upstream *upstream_new(const struct proxy_env *env, const char *name, const char *host,
                              uint16_t port, const struct upstream_handlers *handlers, void *ctx) {
    struct upstream *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return NULL;
    *u = (struct upstream){.env = env,
                           .handlers = handlers,
                           .ctx = ctx,
                           .port = port,
                           .name = strdup(name),
                           .host = strdup(host),
                           .retry_ms = RETRY_MIN_MS,
                           .link.done = on_link,
                           .status.done = on_status,
                           .watch.done = on_watch,
                           .unwatch.done = on_unwatch};
    buf_init(&u->status_text, 64 << 10);
    if (u->name == NULL || u->host == NULL) {
        free(u->name);
        free(u->host);
        free(u);
        return NULL;
    }
    int64_t now_us = conn_loop_now_us(env->loop);
    u->jitter = hash_point(span_str(name), (uint64_t)now_us) | 1;
    u->last_tick_us = now_us;
    connect_now(u, now_us);
    return u;
}

/* xorshift64*: Marsaglia 2003, Vigna 2016. */
static uint64_t random_next(struct upstream *u) {
    u->jitter ^= u->jitter >> 12;
    u->jitter ^= u->jitter << 25;
    u->jitter ^= u->jitter >> 27;
    return u->jitter * 0x2545F4914F6CDD1Du;
}

/* ---- losing ---- */

static void lose(struct upstream *u, struct upstream_entry *entry, enum upstream_lost why,
                 struct span bytes) {
    if (entry == &u->link || entry == &u->status || entry == &u->watch || entry == &u->unwatch) {
        u->status_asked = u->status_asked && entry != &u->status;
        u->watch_asked = u->watch_asked && entry != &u->watch;
        u->unwatch_asked = u->unwatch_asked && entry != &u->unwatch;
        return;
    }
    char *kept = entry->kept;
    entry->kept = NULL;
    u->handlers->on_lost(u->ctx, entry, why, kept != NULL ? span_of(kept, entry->size) : bytes);
    free(kept);
}

/* Hand everything that is unanswered back; the connection is still there, for its bytes. */
static void lose_all(struct upstream *u) {
    struct window fifo = u->fifo, late = u->late;
    struct buf *out = u->conn != NULL ? conn_out(u->conn) : NULL;
    size_t sent = u->conn != NULL ? conn_sent(u->conn) : 0, at = 0;
    window_init(&u->fifo);
    window_init(&u->late);
    for (struct upstream_entry *entry; (entry = window_pop(&late)) != NULL;)
        lose(u, entry, UPSTREAM_LOST_SENT, span_of(NULL, 0));
    for (struct upstream_entry *entry; (entry = window_pop(&fifo)) != NULL;) {
        size_t size = entry->size;
        bool whole =
            out != NULL && at + size <= buf_len(out); /* else memory ran out when it was appended */
        struct span bytes = whole ? span_of(buf_head(out) + at, size) : span_of(NULL, 0);
        lose(u, entry, at < sent ? UPSTREAM_LOST_SENT : UPSTREAM_LOST_UNSENT, bytes);
        at += size;
    }
    window_release(&fifo);
    window_release(&late);
}

/* The connection is no good any more: pass on what it left, and try again later. */
static void fail(struct upstream *u, const char *why) {
    bool was_up = u->state == STATE_UP;
    if (was_up || !u->failed_before)
        log_event(LOG_LEVEL_WARN, "node_down", "node=%s addr=%s:%u why=\"%s\" unanswered=%u",
                  u->name, u->host, u->port, why, u->fifo.held + u->late.held);
    if (was_up)
        stats_add(&u->env->stats[PROXY_STAT_NODE_LOST], 1);
    u->state = STATE_DOWN;
    u->failed_before = true;
    upstream_resolve_cancel(&u->resolve);
    uint32_t pause_ms = u->retry_ms / 2 + (uint32_t)(random_next(u) % (u->retry_ms / 2 + 1));
    u->next_try_us = conn_loop_now_us(u->env->loop) + (int64_t)pause_ms * 1000;
    u->retry_ms = u->retry_ms * 2 > u->env->conf->node_retry_max_ms
                      ? (uint32_t)u->env->conf->node_retry_max_ms
                      : u->retry_ms * 2;
    bool gap = u->watched;
    u->watched = false;
    lose_all(u);
    conn_free(&u->conn);
    if (gap)
        u->handlers->on_gap(u->ctx);
}

static void on_end(void *ctx, enum conn_end why) {
    struct upstream *u = ctx;
    if (u->conn != NULL)
        fail(u, why == CONN_END_EOF     ? "it closed the connection"
                : why == CONN_END_ERROR ? "connection failed or was reset"
                                        : "a buffer is full");
}

void upstream_free(struct upstream **pointer) {
    struct upstream *u = *pointer;
    *pointer = NULL;
    if (u == NULL)
        return;
    u->state = STATE_DOWN;
    upstream_resolve_cancel(&u->resolve);
    lose_all(u);
    conn_free(&u->conn);
    if (u->watched)
        u->handlers->on_gap(u->ctx);
    buf_release(&u->status_text);
    free(u->name);
    free(u->host);
    free(u);
}

/* ---- answers ---- */

/* The number in `>n\r\n+word\r\n:NUMBER\r\n`, and where what follows begins. */
static bool push_number(struct span push, struct span head, uint64_t *number, size_t *rest) {
    if (push.len <= head.len || memcmp(push.ptr, head.ptr, head.len) != 0)
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
    free(entry->kept);
    entry->kept = NULL;
    entry->done(entry, reply);
}

/* The node will answer the oldest request later. Returns false if that makes no sense. */
static bool defer(struct upstream *u, uint64_t number) {
    struct upstream_entry *entry = window_pop(&u->fifo);
    if (entry == NULL || number != u->late.end)
        return false;
    if (!entry->is_write) {
        entry->kept = malloc(entry->size);
        if (entry->kept != NULL)
            memcpy(entry->kept, buf_head(conn_out(u->conn)), entry->size);
    }
    conn_release(u->conn, entry->size);
    stats_add(&u->env->stats[PROXY_STAT_LATE], 1);
    return window_push(&u->late, entry);
}

/* What changed. Anything else is a push of a newer node: not for us. */
static bool on_stale(struct upstream *u, struct span push) {
    const struct span ONE = SPAN(">2\r\n+stale\r\n$");
    if (push.len > ONE.len && memcmp(push.ptr, ONE.ptr, ONE.len) == 0) {
        const char *key = memchr(push.ptr + ONE.len, '\n', push.len - ONE.len);
        if (key == NULL || push.ptr + push.len - ++key < 2)
            return false;
        u->handlers->on_stale(u->ctx, span_of(key, (size_t)(push.ptr + push.len - key) - 2));
    } else if (span_equal(push, SPAN(">1\r\n+stale-all\r\n"))) {
        u->handlers->on_gap(u->ctx);
    }
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
        if (entry != NULL) /* else it ran out of time, and was answered so */
            answer(u, entry, span_of(push.ptr + rest, push.len - rest));
        return true;
    }
    return on_stale(u, push);
}

/* One reply. Returns false when the connection makes no sense any more. */
static bool on_reply(struct upstream *u, struct span reply) {
    if (reply.ptr[0] == '>')
        return on_push(u, reply);
    struct upstream_entry *entry = window_pop(&u->fifo);
    if (entry == NULL)
        return false;
    conn_release(u->conn, entry->size);
    answer(u, entry, reply);
    return true;
}

static size_t on_read(void *ctx, const char *data, size_t len) {
    struct upstream *u = ctx;
    size_t used = 0;
    u->progress_us = conn_loop_now_us(u->env->loop);
    while (used < len) {
        size_t size;
        enum resp_result result = resp_scan_reply(&u->scan, data + used, len - used, &size);
        if (result == RESP_PARTIAL)
            break;
        if (result == RESP_ERROR || !on_reply(u, span_of(data + used, size))) {
            fail(u, result == RESP_ERROR ? "its answer is not RESP"
                                         : "its answers do not match our requests");
            return len;
        }
        if (u->conn == NULL) /* its answer to RF.LINK made us leave */
            return len;
        used += size;
    }
    return used;
}

/* ---- sending ---- */

bool upstream_usable(const struct upstream *u) {
    return !u->draining && u->conn != NULL &&
           (u->state == STATE_UP || (u->state == STATE_CONNECTING && !u->failed_before));
}

struct buf *upstream_out(struct upstream *u, size_t len) {
    struct buf *out = conn_out(u->conn);
    if (u->fifo.held + u->late.held >= u->env->conf->node_inflight_max ||
        buf_len(out) + len > OUT_BYTES_MAX)
        return NULL;
    return out;
}

void upstream_push(struct upstream *u, struct upstream_entry *entry, uint32_t size) {
    entry->size = size;
    entry->kept = NULL;
    if (u->fifo.held == 0)
        u->progress_us = conn_loop_now_us(u->env->loop);
    if (!window_push(
            &u->fifo,
            entry)) { /* no memory: the bytes are in the buffer, so the connection must go */
        struct buf *out = conn_out(u->conn);
        out->tail -= size;
        lose(u, entry, UPSTREAM_LOST_UNSENT, span_of(NULL, 0));
        return;
    }
    conn_send(u->conn);
}

void upstream_drain(struct upstream *u) {
    u->draining = true;
}

bool upstream_idle(const struct upstream *u) {
    uint32_t own = (uint32_t)u->status_asked + u->watch_asked + u->unwatch_asked;
    return u->fifo.held - own + u->late.held == 0;
}

/* ---- time ---- */

/* Deferred requests whose time is over, oldest first. Reads have less time than writes, so look
 * past a waiting write. */
static void lose_late(struct upstream *u, int64_t now_us) {
    int64_t read_us = u->env->conf->request_timeout_ms * 1000,
            write_us = u->env->conf->write_timeout_ms * 1000;
    for (uint64_t n = u->late.first; n < u->late.end; n++) {
        struct upstream_entry *entry = u->late.slots[n & (u->late.capacity - 1)];
        if (entry == NULL)
            continue;
        int64_t age_us = now_us - entry->start_us;
        if (age_us < read_us)
            break; /* what follows is younger, but for retries, which the next tick sees */
        if (age_us >= (entry->is_write ? write_us : read_us)) {
            window_take(&u->late, n);
            lose(u, entry, UPSTREAM_LOST_LATE, span_of(NULL, 0));
        }
    }
}

void upstream_tick(struct upstream *u, int64_t now_us) {
    bool was_stopped = now_us - u->last_tick_us > STALLED_SELF_US;
    u->last_tick_us = now_us;
    if (u->state == STATE_DOWN) {
        if (now_us >= u->next_try_us && !u->draining)
            connect_now(u, now_us);
        return;
    }
    if (u->state != STATE_UP) {
        if (now_us > u->connect_until_us)
            fail(u, "it did not accept a connection in time");
        return;
    }
    if (was_stopped)
        u->progress_us = now_us;
    /* A node answers or defers at once, so silence this long means that it hangs: half of a read's
     * budget is left for another. */
    if (u->fifo.held != 0 &&
        now_us - u->progress_us > u->env->conf->request_timeout_ms * 1000 / 2) {
        fail(u, "it does not answer");
        return;
    }
    lose_late(u, now_us);
    if (now_us >= u->next_status_us)
        unwatch(u);
    if (!u->status_asked && now_us >= u->next_status_us && !u->draining) {
        u->status_asked = true;
        u->next_status_us = now_us + u->env->conf->health_interval_ms * 1000;
        ask(u, &u->status, "*1\r\n$9\r\nRF.STATUS\r\n");
    }
}

/* ---- facts ---- */

uint32_t upstream_inflight(const struct upstream *u) {
    return u->fifo.held + u->late.held;
}

bool upstream_connected(const struct upstream *u) {
    return u->state == STATE_UP;
}

const char *upstream_name(const struct upstream *u) {
    return u->name;
}

const char *upstream_host(const struct upstream *u) {
    return u->host;
}

uint16_t upstream_port(const struct upstream *u) {
    return u->port;
}

struct span upstream_status(const struct upstream *u, int64_t *heard_us_out) {
    *heard_us_out = u->status_heard_us;
    return span_of(u->status_text.data + u->status_text.head, buf_len(&u->status_text));
}
