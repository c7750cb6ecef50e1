#include "topology.h"

#include <stdlib.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/clock.h"
#include "../common/conn.h"
#include "../common/hash.h"
#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/ring.h"
#include "../common/tick.h"
#include "channels.h"
#include "env.h"
#include "near.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "tracking.h"
#include "upstream.h"

enum {
    OWNERS_MAX = 16, /* owners of a key that are tried */
    TRIES_MAX = 4,   /* nodes that one request is sent to */
};

/* A node that left the ring, until its last answer. */
struct leaver {
    struct upstream *upstream;
    int64_t until_us;
    struct leaver *next;
};

struct topology {
    const struct proxy_env *env;
    const char *path;
    struct ring *ring;
    uint64_t epoch;
    struct upstream **nodes; /* by index in the ring; NULL for members that own nothing */
    struct leaver *leavers;
    struct tick *tick;
    bool turned;    /* another ring since look_at_routes() */
    bool all_heard; /* then: every node that requests are sent to says what changes */
};

static void on_lost(void *ctx, struct upstream_entry *entry, enum upstream_lost why,
                    struct span bytes);
static void on_stale(void *ctx, struct upstream *u, struct span key, uint64_t version,
                     enum change change);
static void on_wrote(void *ctx, uint64_t author, struct span key, uint64_t version);
static void on_watched(void *ctx);
static void on_gap(void *ctx);
static bool on_tick(void *ctx, bool held_up);

static const struct upstream_handlers UPSTREAM_HANDLERS = {.on_lost = on_lost,
                                                           .on_stale = on_stale,
                                                           .on_wrote = on_wrote,
                                                           .on_watched = on_watched,
                                                           .on_gap = on_gap};

struct topology *topology_new(const struct proxy_env *env, const char *path) {
    struct topology *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->env = env;
    t->path = path;
    t->tick = tick_new(env->base, on_tick, t);
    if (t->tick == NULL)
        topology_free(&t);
    return t;
}

void topology_free(struct topology **pointer) {
    struct topology *t = *pointer;
    if (t == NULL)
        return;
    size_t count = t->ring != NULL ? ring_count(t->ring) : 0;
    struct upstream **nodes = t->nodes;
    t->nodes = NULL; /* nothing is picked while the last requests are given back */
    for (size_t i = 0; i < count; i++)
        upstream_free(&nodes[i]);
    free(nodes);
    while (t->leavers != NULL) {
        struct leaver *leaver = t->leavers;
        t->leavers = leaver->next;
        upstream_free(&leaver->upstream);
        free(leaver);
    }
    tick_free(&t->tick);
    ring_free(&t->ring);
    free(t);
    *pointer = NULL; /* last: an answer above may look for a node once more */
}

/* ---- choosing ---- */

/* The owner is not usable: the first one after it that is, else one on probation: it is better than
 * none. */
static struct upstream *pick_another(const struct topology *t, uint64_t hash) {
    uint32_t owners[OWNERS_MAX];
    size_t count = ring_owners(t->ring, hash, owners, OWNERS_MAX);
    struct upstream *last_resort = NULL;
    for (size_t i = 0; i < count; i++) {
        struct upstream *u = t->nodes[owners[i]];
        if (u != NULL && upstream_usable(u))
            return u;
        if (u != NULL && last_resort == NULL && upstream_last_resort(u))
            last_resort = u;
    }
    return last_resort;
}

struct topology_route topology_route(const struct topology *t, uint64_t hash) {
    if (PLANTED(wrong_owner) && stats_get(&t->env->stats[PROXY_STAT_FORWARDED]) % 16 == 0)
        hash = ~hash;
    if (t->nodes == NULL)
        return (struct topology_route){NULL, false};
    struct upstream *owner = t->nodes[ring_lookup(t->ring, hash)];
    if (owner != NULL && upstream_usable(owner))
        return (struct topology_route){owner, true};
    return (struct topology_route){pick_another(t, hash), false};
}

void topology_prefetch(const struct topology *t, uint64_t hash) {
    if (t->ring != NULL)
        ring_prefetch(t->ring, hash);
}

struct upstream *topology_pick(const struct topology *t, uint64_t hash) {
    return topology_route(t, hash).to;
}

int topology_send_by(struct topology *t, struct topology_route route, struct upstream_entry *entry,
                     struct span bytes) {
    struct upstream *u = route.to;
    struct buf *out = u == NULL ? NULL : upstream_out(u, bytes.len);
    if (out == NULL) {
        stats_add(&t->env->stats[u == NULL ? PROXY_STAT_NODEDOWN : PROXY_STAT_BUSY], 1);
        return u == NULL ? REPLY_NODEDOWN : REPLY_BUSY;
    }
    buf_append_span(out, bytes);
    stats_add(&t->env->stats[PROXY_STAT_FORWARDED], 1);
    if (!route.is_owner)
        stats_add(&t->env->stats[PROXY_STAT_REROUTED], 1);
    upstream_push(u, entry, (uint32_t)bytes.len);
    tick_wake(t->tick);
    return REPLY_ERROR_COUNT;
}

int topology_send(struct topology *t, struct upstream_entry *entry, struct span bytes) {
    return topology_send_by(t, topology_route(t, entry->hash), entry, bytes);
}

static void give_up(struct topology *t, struct upstream_entry *entry, enum reply_error error) {
    struct buf text;
    buf_init(&text, 0);
    reply_error(&text, error, NULL);
    entry->done(entry, text.failed ? reply_without_memory(error == REPLY_UNCERTAIN)
                                   : span_of(buf_head(&text), buf_len(&text)));
    buf_release(&text);
}

/* Only reads, and writes of which nothing was sent, move on to the next owner (rule 10). */
static void on_lost(void *ctx, struct upstream_entry *entry, enum upstream_lost why,
                    struct span bytes) {
    struct topology *t = ctx;
    if (entry->is_write && why != UPSTREAM_LOST_UNSENT && !PLANTED(resend_sent_write)) {
        stats_add(&t->env->stats[PROXY_STAT_UNCERTAIN], 1);
        give_up(t, entry, PLANTED(nodedown_for_uncertain) ? REPLY_NODEDOWN : REPLY_UNCERTAIN);
        return;
    }
    int64_t budget_us =
        (entry->is_write ? t->env->conf->write_timeout_ms : t->env->conf->request_timeout_ms) *
        1000;
    if (why == UPSTREAM_LOST_LATE ||
        conn_loop_now_us(t->env->loop) - entry->start_us >= budget_us) {
        stats_add(&t->env->stats[PROXY_STAT_TIMEOUTS], 1);
        give_up(t, entry, REPLY_TIMEOUT);
        return;
    }
    int error = REPLY_NODEDOWN;
    if (bytes.len != 0 && ++entry->tries < TRIES_MAX) {
        error = topology_send(t, entry, bytes);
        if (error == REPLY_ERROR_COUNT) {
            stats_add(&t->env->stats[PROXY_STAT_RETRIED], 1);
            return;
        }
    }
    give_up(t, entry, (enum reply_error)error);
}

/* ---- what nodes say of changes ---- */

/*
 * Every node says it of every key. For copies the one that counts is the one that the copy was read
 * from. As an event the word counts of that node alone to which a read of the key would be sent
 * now: so each is told once, and who reads behind it finds nothing older. When that turns to
 * another node, the one may have said it too late and the other too early: a gap.
 */
static void look_at_routes(struct topology *t) {
    size_t count = t->ring == NULL ? 0 : ring_count(t->ring);
    bool turned = t->turned;
    t->turned = false;
    t->all_heard = true;
    for (size_t i = 0; i < count; i++) {
        struct upstream *u = t->nodes[i];
        if (u == NULL)
            continue;
        turned = upstream_turned(u) || turned;
        if ((upstream_usable(u) || upstream_last_resort(u)) && !upstream_heard(u))
            t->all_heard = false;
    }
    if (turned)
        channels_gap(t->env->channels);
}

bool topology_heard(struct topology *t) {
    look_at_routes(t);
    return t->all_heard;
}

static void tick_routes(struct topology *t) {
    if (channels_watching(t->env->channels) && topology_heard(t))
        channels_ready(t->env->channels);
}

static void on_watched(void *ctx) {
    tick_routes(ctx);
}

static void on_wrote(void *ctx, uint64_t author, struct span key, uint64_t version) {
    tracking_wrote(((struct topology *)ctx)->env->tracking, author, key, version);
}

static void on_stale(void *ctx, struct upstream *u, struct span key, uint64_t version,
                     enum change change) {
    struct topology *t = ctx;
    if (t->env->near != NULL)
        near_stale(t->env->near, key);
    tracking_stale(t->env->tracking, key, version);
    if (!channels_watching(t->env->channels))
        return;
    look_at_routes(t);
    if (topology_pick(t, hash_ring(key)) == u)
        channels_event(t->env->channels, key, change);
}

static void forget_copies(struct topology *t) {
    if (t->env->near != NULL)
        near_gap(t->env->near, conn_loop_now_us(t->env->loop));
}

static void on_gap(void *ctx) {
    struct topology *t = ctx;
    forget_copies(t);
    tracking_everything(t->env->tracking);
    channels_gap(t->env->channels);
}

void topology_watch(struct topology *t, bool on) {
    size_t count = !on || t->ring == NULL ? 0 : ring_count(t->ring);
    for (size_t i = 0; i < count; i++) {
        if (t->nodes[i] != NULL)
            upstream_watch(t->nodes[i]);
    }
}

/* ---- swapping rings ---- */

/* The old ring's connection to the same node, or NULL. Taken out of the old array. */
static struct upstream *keep(struct topology *t, const struct ring_member *member) {
    int index = t->ring == NULL ? -1 : ring_find(t->ring, member->name);
    struct upstream *u = index < 0 ? NULL : t->nodes[index];
    if (u == NULL || upstream_port(u) != member->port ||
        strcmp(upstream_host(u), member->host) != 0)
        return NULL;
    t->nodes[index] = NULL;
    return u;
}

static void leave(struct topology *t, struct upstream *u) {
    struct leaver *leaver = malloc(sizeof(*leaver));
    if (leaver == NULL) { /* no time for manners: what it owes is sent elsewhere or refused */
        upstream_free(&u);
        return;
    }
    upstream_drain(u);
    *leaver = (struct leaver){u, conn_loop_now_us(t->env->loop) + t->env->conf->drain_ms * 1000,
                              t->leavers};
    t->leavers = leaver;
}

/* A connection for each member that may be used; those that stay keep theirs. Returns false if one
 * has none for want of memory. */
static bool connect_all(struct topology *t, const struct ring *ring, struct upstream **nodes) {
    bool complete = true;
    for (size_t i = 0; i < ring_count(ring); i++) {
        const struct ring_member *member = ring_at(ring, (uint32_t)i);
        if (member->state != RING_UP)
            continue;
        nodes[i] = keep(t, member);
        if (nodes[i] == NULL)
            nodes[i] = upstream_new(t->env, member->name, member->host, member->port,
                                    &UPSTREAM_HANDLERS, t);
        complete = complete && nodes[i] != NULL;
    }
    return complete;
}

bool topology_swap(struct topology *t, struct ring *ring, uint64_t epoch) {
    size_t count = ring_count(ring), old_count = t->ring == NULL ? 0 : ring_count(t->ring);
    struct upstream **nodes = calloc(count, sizeof(struct upstream *));
    if (nodes == NULL) {
        ring_free(&ring);
        return false;
    }
    if (!connect_all(t, ring, nodes) && t->ring == NULL) { /* no way to begin */
        for (size_t i = 0; i < count; i++)
            upstream_free(&nodes[i]);
        free(nodes);
        ring_free(&ring);
        return false;
    }
    struct upstream **old = t->nodes;
    struct ring *old_ring = t->ring;
    t->nodes = nodes; /* a member without memory for its connection has none: its keys go to the
                         next owner */
    t->ring = ring;
    t->epoch = epoch;
    if (old != NULL)
        forget_copies(t); /* they are of those who owned the keys */
    t->turned = true;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i] != NULL)
            leave(t, old[i]);
    }
    free(old);
    ring_free(&old_ring);
    stats_add(&t->env->stats[PROXY_STAT_RELOADS], 1);
    tick_routes(t);
    return true;
}

/* ---- time ---- */

static void tick_leavers(struct topology *t, int64_t now_us) {
    for (struct leaver **link = &t->leavers; *link != NULL;) {
        struct leaver *leaver = *link;
        if (upstream_idle(leaver->upstream) || now_us >= leaver->until_us) {
            *link = leaver->next;
            upstream_free(&leaver->upstream);
            free(leaver);
            continue;
        }
        upstream_tick(leaver->upstream, now_us);
        link = &leaver->next;
    }
}

/* It may rest while no node owes an answer, be it to a question of our own. */
static bool on_tick(void *ctx, bool held_up) {
    struct topology *t = ctx;
    if (held_up)
        return false;
    int64_t now_us = conn_loop_now_us(t->env->loop);
    size_t count = t->ring == NULL ? 0 : ring_count(t->ring);
    bool awaited = t->leavers != NULL;
    for (size_t i = 0; i < count; i++) {
        if (t->nodes[i] == NULL)
            continue;
        upstream_tick(t->nodes[i], now_us);
        awaited = awaited || upstream_awaits(t->nodes[i]);
    }
    tick_leavers(t, now_us);
    tick_routes(t);
    return !awaited;
}

/* ---- facts ---- */

const struct ring *topology_ring(const struct topology *t) {
    return t->ring;
}

uint64_t topology_epoch(const struct topology *t) {
    return t->epoch;
}

const char *topology_path(const struct topology *t) {
    return t->path;
}

size_t topology_count(const struct topology *t) {
    return t->ring == NULL ? 0 : ring_count(t->ring);
}

void topology_node(const struct topology *t, uint32_t index, struct topology_node *out) {
    const struct ring_member *member = ring_at(t->ring, index);
    struct upstream *u = t->nodes[index];
    *out = (struct topology_node){.name = member->name,
                                  .host = member->host,
                                  .port = member->port,
                                  .share_ppm = ring_share(t->ring, index),
                                  .status_age_ms = -1};
    if (u == NULL)
        return;
    int64_t heard_us;
    out->reachable = upstream_connected(u);
    out->inflight = upstream_inflight(u);
    out->status = upstream_status(u, &heard_us);
    if (heard_us != 0)
        out->status_age_ms = (clock_mono_us() - heard_us) / 1000;
}
