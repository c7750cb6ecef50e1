#include "upstream.h"

#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"
#include "../common/log.h"
#include "../common/random.h"
#include "../common/tick.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "upstream_private.h"
#include "upstream_resolve.h"

enum {
    OUT_BYTES_MAX = 64 << 20,    /* requests to one node that wait for their answers */
    STALLED_SELF_US = 50 * 1000, /* a tick this late: we were stopped ourselves, so judge nobody */
    RETRY_MIN_US = 20 * 1000,
    PROBATION_MIN_US = 500 * 1000,
    STABLE_US = 10 * 1000 * 1000,
    PATIENCE_MIN_US = 5 * TICK_MS * 1000, /* a node may say at its next tick that it defers */
};

static void on_end(void *ctx, enum conn_end why);

static const struct conn_handlers CONN_HANDLERS = {.on_read = upstream_on_read, .on_end = on_end};
static const struct conn_conf CONN_CONF = {.in_max = 64 << 20,
                                           .out_max = OUT_BYTES_MAX + (OUT_BYTES_MAX >> 1),
                                           .out_low = 0,
                                           .retain = true};

/* ---- connecting ---- */

static void on_address(void *ctx, const struct sockaddr *addr, unsigned len) {
    struct upstream *u = ctx;
    u->resolve = NULL;
    if (addr != NULL)
        u->conn = conn_connect(u->env->loop, addr, len, &CONN_CONF, &CONN_HANDLERS, u);
    if (u->conn == NULL) {
        upstream_fail(u, addr == NULL ? "its host name has no address" : "no socket");
        return;
    }
    u->state = UPSTREAM_CONNECTING;
    upstream_ask(u, OWN_LINK);
    u->watched = false;
    if (upstream_wanted(u))
        upstream_watch(u);
}

static void connect_now(struct upstream *u, int64_t now_us) {
    u->state = UPSTREAM_RESOLVING;
    u->connect_until_us = now_us + u->env->conf->connect_timeout_ms * 1000;
    u->scan = (struct resp_scan){0};
    struct upstream_resolve *resolve =
        upstream_resolve_start(u->env, u->host, u->port, u->turn, on_address, u);
    if (u->state == UPSTREAM_RESOLVING)
        u->resolve = resolve;
}

static struct health_conf health_conf_of(const struct proxy_conf *conf) {
    int64_t retry_max_us = conf->node_retry_max_ms * 1000,
            probation_max_us = conf->node_probation_max_ms * 1000;
    return (struct health_conf){.retry_min_us =
                                    RETRY_MIN_US < retry_max_us ? RETRY_MIN_US : retry_max_us,
                                .retry_max_us = retry_max_us,
                                .probation_min_us = PROBATION_MIN_US,
                                .probation_max_us = probation_max_us,
                                .stable_us = STABLE_US};
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
                           .health_conf = health_conf_of(env->conf)};
    if (u->name == NULL || u->host == NULL) {
        free(u->name);
        free(u->host);
        free(u);
        return NULL;
    }
    buf_init(&u->status_text, 64 << 10);
    upstream_own_init(u);
    window_init(&u->fifo);
    window_init(&u->late);
    health_init(&u->health);
    int64_t now_us = conn_loop_now_us(env->loop);
    u->jitter = hash_point(span_str(name), (uint64_t)now_us) | 1;
    u->last_tick_us = now_us;
    connect_now(u, now_us);
    return u;
}

void upstream_fail(struct upstream *u, const char *why) {
    bool was_up = u->state == UPSTREAM_UP || u->state == UPSTREAM_HANGS;
    if (was_up || !u->health.failed)
        log_event(LOG_LEVEL_WARN, "node_down", "node=%s addr=%s:%u why=\"%s\" unanswered=%u",
                  u->name, u->host, u->port, why, u->owed);
    if (was_up)
        stats_add(&u->env->stats[PROXY_STAT_NODE_LOST], 1);
    else
        u->turn++;
    u->state = UPSTREAM_DOWN;
    u->trusted = false;
    health_down(&u->health, &u->health_conf, conn_loop_now_us(u->env->loop),
                random_next(&u->jitter));
    upstream_resolve_cancel(&u->resolve);
    upstream_lose_all(u);
    conn_free(&u->conn);
    if (!was_up) /* it has answered nothing, so there are no copies of that */
        u->watched = false;
    upstream_gap(u);
}

static void on_end(void *ctx, enum conn_end why) {
    struct upstream *u = ctx;
    if (u->conn != NULL)
        upstream_fail(u, why == CONN_END_EOF     ? "it closed the connection"
                         : why == CONN_END_ERROR ? "connection failed or was reset"
                                                 : "a buffer is full");
}

void upstream_free(struct upstream **pointer) {
    struct upstream *u = *pointer;
    *pointer = NULL;
    if (u == NULL)
        return;
    u->state = UPSTREAM_DOWN;
    upstream_resolve_cancel(&u->resolve);
    upstream_lose_all(u);
    conn_free(&u->conn);
    upstream_gap(u);
    buf_release(&u->status_text);
    free(u->name);
    free(u->host);
    free(u);
}

/* ---- sending ---- */

bool upstream_usable(const struct upstream *u) {
    return !u->draining && u->conn != NULL &&
           (u->trusted || (u->state == UPSTREAM_CONNECTING && !u->health.failed));
}

bool upstream_last_resort(const struct upstream *u) {
    return !u->draining && u->state == UPSTREAM_UP;
}

struct buf *upstream_out(struct upstream *u, size_t len) {
    struct buf *out = conn_out(u->conn);
    if (u->owed + u->ghosts >= u->env->conf->node_inflight_max ||
        buf_len(out) + len > OUT_BYTES_MAX)
        return NULL;
    return out;
}

void upstream_push(struct upstream *u, struct upstream_entry *entry, uint32_t size) {
    entry->size = size;
    entry->kept = NULL;
    entry->is_late = false;
    entry->is_watched = u->watched;
    u->owed += !is_own(u, entry);
    if (u->fifo.held == 0)
        u->progress_us = conn_loop_now_us(u->env->loop);
    if (entry->tries != 0) { /* it is older than those before it */
        const struct proxy_conf *conf = u->env->conf;
        int64_t most_ms = conf->write_timeout_ms > conf->request_timeout_ms
                              ? conf->write_timeout_ms
                              : conf->request_timeout_ms;
        u->mixed_until_us = conn_loop_now_us(u->env->loop) + most_ms * 1000;
    }
    if (!window_push(&u->fifo, entry)) { /* no memory: as if its bytes had never been appended */
        struct buf *out = conn_out(u->conn);
        if (!out->failed)
            out->tail -= size;
        upstream_lose(u, entry, UPSTREAM_LOST_UNSENT, span_of(NULL, 0));
        return;
    }
    conn_send(u->conn);
}

void upstream_drain(struct upstream *u) {
    u->draining = true;
}

bool upstream_idle(const struct upstream *u) {
    return u->owed == 0;
}

/* ---- time ---- */

int64_t upstream_patience_us(const struct upstream *u) {
    int64_t half_us = u->env->conf->request_timeout_ms * 1000 / 2;
    return half_us > PATIENCE_MIN_US ? half_us : PATIENCE_MIN_US;
}

static bool is_silent(const struct upstream *u, int64_t now_us) {
    return u->fifo.held != 0 && now_us - u->progress_us > upstream_patience_us(u);
}

static void tick_connecting(struct upstream *u, int64_t now_us) {
    if (now_us > u->connect_until_us)
        upstream_fail(u, "it did not accept a connection in time");
    else if (u->owed != 0 && is_silent(u, now_us)) /* the next tries are waited for by nobody */
        upstream_fail(u, "it did not accept a connection while requests waited");
}

static void tick_up(struct upstream *u, int64_t now_us) {
    if (is_silent(u, now_us)) {
        upstream_hang(u);
        return;
    }
    upstream_lose_aged(u, now_us);
    u->trusted = health_is_trusted(&u->health, now_us);
    /* Nothing says whether a node that owes late answers alone still lives, unless it is asked. */
    if (u->fifo.held == 0 && u->late.held != 0 &&
        now_us - u->progress_us > upstream_patience_us(u) / 2)
        upstream_ask(u, OWN_PING);
    if (now_us < u->next_status_us || u->draining)
        return;
    u->next_status_us = now_us + u->env->conf->health_interval_ms * 1000;
    if (!u->asked[OWN_STATUS])
        upstream_ask(u, OWN_STATUS);
    upstream_unwatch(u);
}

static void tick_hangs(struct upstream *u, int64_t now_us) {
    upstream_lose_aged(u, now_us);
    if (u->owed == 0)
        upstream_fail(u, "it did not answer in time");
}

void upstream_tick(struct upstream *u, int64_t now_us) {
    if (now_us - u->last_tick_us > STALLED_SELF_US)
        u->progress_us = now_us;
    u->last_tick_us = now_us;
    switch (u->state) {
    case UPSTREAM_DOWN:
        if (!u->draining && health_may_try(&u->health, now_us))
            connect_now(u, now_us);
        break;
    case UPSTREAM_RESOLVING:
    case UPSTREAM_CONNECTING:
        tick_connecting(u, now_us);
        break;
    case UPSTREAM_UP:
        tick_up(u, now_us);
        break;
    case UPSTREAM_HANGS:
        tick_hangs(u, now_us);
        break;
    }
}

/* ---- facts ---- */

bool upstream_awaits(const struct upstream *u) {
    return u->fifo.held + u->late.held != 0;
}

uint32_t upstream_inflight(const struct upstream *u) {
    return u->owed;
}

bool upstream_connected(const struct upstream *u) {
    return u->state == UPSTREAM_UP;
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
