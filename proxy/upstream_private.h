/*
 * upstream_private: what upstream.c (connecting, sending, time), upstream_own.c (what we ask for
 * ourselves), upstream_answer.c (what the node says) and upstream_lose.c (what it will not say any
 * more) share. For these alone.
 */
#ifndef RINGFENCE_UPSTREAM_PRIVATE_H
#define RINGFENCE_UPSTREAM_PRIVATE_H

#include "../common/buf.h"
#include "../common/conn.h"
#include "../common/resp_parse.h"
#include "channels.h"
#include "env.h"
#include "health.h"
#include "tracking.h"
#include "upstream.h"
#include "window.h"

enum upstream_state {
    UPSTREAM_DOWN, /* waits for the next try */
    UPSTREAM_RESOLVING,
    UPSTREAM_CONNECTING, /* until the link was confirmed */
    UPSTREAM_UP,
    UPSTREAM_HANGS, /* silent for too long: only writes that it was sent are still waited for */
};

/* Our own requests. */
enum upstream_own {
    OWN_LINK,     /* late answers are understood */
    OWN_STATUS,   /* its figures */
    OWN_PING,     /* whether it lives */
    OWN_WATCH,    /* what changes is to be said */
    OWN_VERSIONS, /* with versions; an older node does not know that, and goes on without */
    OWN_UNWATCH,  /* no more */
    OWN_COUNT
};

struct upstream {
    const struct proxy_env *env;
    const struct upstream_handlers *handlers;
    void *ctx;
    char *name, *host;
    uint16_t port;
    unsigned turn; /* which of its host's addresses is tried; counts failed tries */
    enum upstream_state state;
    bool draining;
    bool trusted; /* not on probation; as of the last tick */
    struct health health;
    struct health_conf health_conf;
    struct upstream_resolve *resolve;
    struct conn *conn;
    struct resp_scan scan;
    struct window fifo;    /* sent or to be sent, answered by position; ghosts too */
    struct window late;    /* deferred, answered by id */
    uint32_t owed, ghosts; /* entries of others, and ghosts, in both */
    int64_t progress_us;   /* last sign of life while something was awaited by position */
    int64_t last_tick_us, connect_until_us, next_status_us;
    int64_t mixed_until_us; /* until then an old request may stand behind younger ones */
    uint64_t jitter;
    struct upstream_entry own[OWN_COUNT];
    bool asked[OWN_COUNT]; /* and not answered */
    unsigned route;        /* upstream_turned() saw it last */
    bool watched;  /* on this connection, from the node's view, once it has read everything */
    bool versions; /* likewise, while it is watched */
    struct buf status_text;
    int64_t status_heard_us;
};

/*
 * A ghost keeps the place of a request that was given back although its answer may come: the answer
 * is matched by position to the ghost, and dropped. It is no pointer but a size with the lowest bit
 * set, so that it needs no memory.
 */
static inline void *ghost_of(const struct upstream_entry *entry) {
    return (void *)((uintptr_t)entry->size << 1 | 1);
}

static inline bool is_ghost(const void *slot) {
    return ((uintptr_t)slot & 1) != 0;
}

static inline size_t slot_size(const void *slot) {
    return is_ghost(slot) ? (uintptr_t)slot >> 1 : ((const struct upstream_entry *)slot)->size;
}

static inline bool is_own(const struct upstream *u, const struct upstream_entry *entry) {
    uintptr_t at = (uintptr_t)entry, first = (uintptr_t)u->own;
    return at >= first && at < first + sizeof(u->own);
}

/** upstream_patience_us(u): silence for longer means that it hangs: half of a read's budget, so
 * that the other half is left for another node; five ticks at least. */
int64_t upstream_patience_us(const struct upstream *u);

/** upstream_on_read(ctx, data, len): what it says (conn_handlers.on_read). */
size_t upstream_on_read(void *ctx, const char *data, size_t len);

/** upstream_own_init(u): at the start. upstream_ask(u, which): send one of our own requests. */
void upstream_own_init(struct upstream *u);
void upstream_ask(struct upstream *u, enum upstream_own which);

/** upstream_wanted(u): somebody wants to know what changes: a client, or who keeps copies here. */
static inline bool upstream_wanted(const struct upstream *u) {
    return u->env->near != NULL || tracking_watching(u->env->tracking) ||
           channels_watching(u->env->channels);
}

/** upstream_unwatch(u): if nobody watches any more. upstream_gap(u): it will not say what changes.
 */
void upstream_unwatch(struct upstream *u);
void upstream_gap(struct upstream *u);

/** upstream_lose(u, entry, why, bytes): one request back to its owner; it is on no window any more.
 */
void upstream_lose(struct upstream *u, struct upstream_entry *entry, enum upstream_lost why,
                   struct span bytes);

/** upstream_lose_all(u): everything that is unanswered; the connection is still there, for its
 * bytes. */
void upstream_lose_all(struct upstream *u);

/** upstream_lose_aged(u, now_us): what has waited for as long as it may. */
void upstream_lose_aged(struct upstream *u, int64_t now_us);

/** upstream_hang(u): it has been silent for too long: what can be asked elsewhere goes there. */
void upstream_hang(struct upstream *u);

/** upstream_fail(u, why): the connection is no good any more: pass on what it left, and try again
 * later. */
void upstream_fail(struct upstream *u, const char *why);

#endif
