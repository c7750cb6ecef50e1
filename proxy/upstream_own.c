/* What a proxy asks a node for itself: the link, its status, whether it lives, what changes. */
#include <stddef.h>
#include <string.h>

#include "../common/log.h"
#include "proxy_stats.h"
#include "upstream_private.h"

#define UPSTREAM_OF(entry, which)                                                                  \
    ((struct upstream *)((char *)(entry)-offsetof(struct upstream, own[which])))

static void on_link(struct upstream_entry *entry, struct span reply) {
    struct upstream *u = UPSTREAM_OF(entry, OWN_LINK);
    if (!span_equal(reply, SPAN("+OK\r\n"))) {
        upstream_fail(u, span_begins_with(reply, SPAN("-DBDOWN")) ? "it has no database yet"
                                                                  : "it is no ringfence-node");
        return;
    }
    int64_t now_us = conn_loop_now_us(u->env->loop);
    u->state = UPSTREAM_UP;
    health_up(&u->health, &u->health_conf, now_us);
    u->trusted = health_is_trusted(&u->health, now_us);
    stats_add(&u->env->stats[PROXY_STAT_NODE_CONNECTS], 1);
    stats_add(&u->env->stats[PROXY_STAT_NODE_PROBATIONS], !u->trusted);
    log_event(LOG_LEVEL_INFO, "node_up", "node=%s addr=%s:%u probation_ms=%lld", u->name, u->host,
              u->port, (long long)(u->health.trusted_us - now_us) / 1000);
}

static void on_status(struct upstream_entry *entry, struct span reply) {
    struct upstream *u = UPSTREAM_OF(entry, OWN_STATUS);
    const char *body =
        reply.len == 0 || reply.ptr[0] != '$' ? NULL : memchr(reply.ptr, '\n', reply.len);
    if (body == NULL)
        return;
    body++;
    size_t head = (size_t)(body - reply.ptr);
    buf_release(&u->status_text);
    if (reply.len >= head + 2)
        buf_append(&u->status_text, body, reply.len - head - 2);
    u->status_heard_us = conn_loop_now_us(u->env->loop);
}

static void on_watch(struct upstream_entry *entry, struct span reply) {
    struct upstream *u = UPSTREAM_OF(entry, OWN_WATCH);
    if (!span_equal(reply, SPAN("+OK\r\n")))
        upstream_fail(u, "it does not say what changes");
    else
        u->handlers->on_watched(u->ctx);
}

/* That it answered is all there is to know. */
static void on_anything(struct upstream_entry *entry, struct span reply) {
}

static const struct {
    const char *request;
    void (*done)(struct upstream_entry *entry, struct span reply);
} ROWS[] = {
    [OWN_LINK] = {"*2\r\n$7\r\nRF.LINK\r\n$1\r\n1\r\n", on_link},
    [OWN_STATUS] = {"*1\r\n$9\r\nRF.STATUS\r\n", on_status},
    [OWN_PING] = {"*1\r\n$4\r\nPING\r\n", on_anything},
    [OWN_WATCH] = {"*2\r\n$8\r\nRF.WATCH\r\n$1\r\n1\r\n", on_watch},
    [OWN_VERSIONS] = {"*3\r\n$8\r\nRF.WATCH\r\n$1\r\n1\r\n$8\r\nVERSIONS\r\n", on_anything},
    [OWN_UNWATCH] = {"*2\r\n$8\r\nRF.WATCH\r\n$1\r\n0\r\n", on_anything},
};

void upstream_own_init(struct upstream *u) {
    for (int i = 0; i < OWN_COUNT; i++)
        u->own[i].done = ROWS[i].done;
}

void upstream_ask(struct upstream *u, enum upstream_own which) {
    struct upstream_entry *entry = &u->own[which];
    size_t len = strlen(ROWS[which].request);
    buf_append(conn_out(u->conn), ROWS[which].request, len);
    entry->start_us = conn_loop_now_us(u->env->loop);
    u->asked[which] = true; /* until it is answered or lost */
    upstream_push(u, entry, (uint32_t)len);
}

/* ---- what changes ---- */

void upstream_watch(struct upstream *u) {
    if (u->conn == NULL || u->state == UPSTREAM_HANGS)
        return; /* it is asked when it connects */
    if (!u->watched && !u->asked[OWN_WATCH]) {
        upstream_ask(u, OWN_WATCH);
        u->watched = true;
        u->versions = false;
    }
    if (u->watched && !u->versions && !u->asked[OWN_VERSIONS] &&
        tracking_wants_versions(u->env->tracking)) {
        upstream_ask(u, OWN_VERSIONS);
        u->versions = true;
    }
}

/* Nobody watches any more, and hardly will at once. */
void upstream_unwatch(struct upstream *u) {
    if (!u->watched || u->asked[OWN_WATCH] || u->asked[OWN_VERSIONS] || u->asked[OWN_UNWATCH] ||
        upstream_wanted(u))
        return;
    u->watched = false;
    upstream_ask(u, OWN_UNWATCH);
}

bool upstream_heard(const struct upstream *u) {
    return u->watched && !u->asked[OWN_WATCH];
}

bool upstream_turned(struct upstream *u) {
    unsigned route = (upstream_usable(u) ? 1 : 0) | (upstream_last_resort(u) ? 2 : 0) |
                     (upstream_heard(u) ? 4 : 0);
    bool turned = route != u->route;
    u->route = route;
    return turned;
}

void upstream_gap(struct upstream *u) {
    if (!u->watched)
        return;
    u->watched = false;
    u->handlers->on_gap(u->ctx);
}
