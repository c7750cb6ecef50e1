/*
 * upstream: one worker's connection to one node: requests of many clients leave in one write and
 * come back by position, or late by id (docs/decisions.md). Request bytes stay in the output buffer
 * until they are answered, so that what a lost connection left unanswered can be sent elsewhere.
 * An answer that comes too late is never delivered to anyone (rule 14).
 * Knows no clients and no ring. Owned by topology.
 */
#ifndef RINGFENCE_UPSTREAM_H
#define RINGFENCE_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/change.h"
#include "../common/span.h"

struct buf;
struct proxy_env;
struct upstream;

/* One request to a node; embedded in what waits for it. Its bytes are whole RESP requests. */
struct upstream_entry {
    /** The answer: one whole RESP3 reply, an error reply included; borrowed during the call. Runs
     * exactly once; the entry may be freed in it. */
    void (*done)(struct upstream_entry *entry, struct span reply);
    uint64_t hash;    /* ring hash of its first key: where else it may go */
    int64_t start_us; /* when the client asked: the budget counts from here */
    uint64_t author;  /* who is to be said to have made what it writes; 0: nobody */
    uint32_t size;    /* bytes of its request */
    uint8_t tries;    /* nodes that were tried */
    bool is_write;
    bool is_late;    /* answered by id, not in the order in which it was asked for */
    bool is_watched; /* the node that has it says what changes */
    /* upstream's own: */
    char *kept; /* a copy of a read's bytes once it was deferred */
};

/* Why an entry comes back unanswered. */
enum upstream_lost {
    UPSTREAM_LOST_UNSENT, /* no byte of it has left */
    UPSTREAM_LOST_SENT,   /* the node may have seen it */
    UPSTREAM_LOST_LATE,   /* its time is over; the connection goes on, and the late answer will be
                             dropped */
};

struct upstream_handlers {
    /** `entry` was not answered; `bytes` is its request (empty when it cannot be sent again),
     * borrowed during the call. The callee owns the entry from here on. */
    void (*on_lost)(void *ctx, struct upstream_entry *entry, enum upstream_lost why,
                    struct span bytes);
    /** The node says what became of `key`, after upstream_watch(); `version` 0: not known. */
    void (*on_stale)(void *ctx, struct upstream *upstream, struct span key, uint64_t version,
                     enum change change);
    /** A request of `author` made this version of `key`; its answer follows. */
    void (*on_wrote)(void *ctx, uint64_t author, struct span key, uint64_t version);
    /** It will say so from now on. */
    void (*on_watched)(void *ctx);
    /** What it says was interrupted: anything may have changed. */
    void (*on_gap)(void *ctx);
};

/** upstream_new(env, name, host, port, handlers, ctx): start connecting; connects again by itself,
 * with jittered back-off. NULL without memory. */
struct upstream *upstream_new(const struct proxy_env *env, const char *name, const char *host,
                              uint16_t port, const struct upstream_handlers *handlers, void *ctx);

/** upstream_free(u): what is unanswered is handed to on_lost first. */
void upstream_free(struct upstream **u);

/** upstream_usable(u): it may be given requests: connected and not on probation (health.h), or
 * connecting for the first time. upstream_last_resort(u): connected, be it on probation. */
bool upstream_usable(const struct upstream *u);
bool upstream_last_resort(const struct upstream *u);

/** upstream_out(u, len): where the `len` bytes of one request are appended; then call
 * upstream_push(). NULL when node-inflight-max requests or too many bytes wait already. Only while
 * upstream_usable() or upstream_last_resort(). */
struct buf *upstream_out(struct upstream *u, size_t len);

/** upstream_push(u, entry, size): `size` bytes were appended for `entry`. It will be answered or
 * lost, exactly once. Cost: O(1). */
void upstream_push(struct upstream *u, struct upstream_entry *entry, uint32_t size);

/** upstream_drain(u): it gets no more requests; upstream_idle() says when it may be freed. */
void upstream_drain(struct upstream *u);
bool upstream_idle(const struct upstream *u);

/** upstream_watch(u): somebody in env->tracking or env->channels watches: have the node say what
 * changes (and with which versions, if env->tracking wants these), from before whatever is sent
 * next. It ends by itself, some time after nobody watches. */
void upstream_watch(struct upstream *u);

/** upstream_heard(u): the node has said that it will. upstream_turned(u): that, or whether requests
 * are sent to it, has changed since the last call. */
bool upstream_heard(const struct upstream *u);
bool upstream_turned(struct upstream *u);

/**
 * upstream_tick(u, now_us): time-outs, health, reconnects; call it every 10 ms while
 * upstream_awaits(), every 100 ms otherwise. A request that
 * waits for as long as it may (request-timeout-ms, write-timeout-ms) is lost as LATE. A node that
 * is silent for half of request-timeout-ms while something is awaited hangs: reads, and what was
 * not sent, are lost at once, so that they can be asked elsewhere; writes that were sent are waited
 * for until their time is over, and then the connection is closed.
 */
void upstream_tick(struct upstream *u, int64_t now_us);

/** upstream_awaits(u): it owes an answer, be it to a question of our own. */
bool upstream_awaits(const struct upstream *u);

/** upstream_inflight(u): requests without an answer, deferred ones included. */
uint32_t upstream_inflight(const struct upstream *u);
bool upstream_connected(const struct upstream *u);
const char *upstream_name(const struct upstream *u);
const char *upstream_host(const struct upstream *u);
uint16_t upstream_port(const struct upstream *u);

/** upstream_status(u, heard_us_out): the text of the node's last RF.STATUS; borrowed until the next
 * turn. */
struct span upstream_status(const struct upstream *u, int64_t *heard_us_out);

#endif
