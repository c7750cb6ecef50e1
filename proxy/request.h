/*
 * request: one request of one client from the moment it was read until its reply is in the client's
 * output. Owned by client.c; forward and gather borrow it until they have replied. Replies leave in
 * the order of the requests: a reply that is not the next is held.
 */
#ifndef RINGFENCE_REQUEST_H
#define RINGFENCE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/buf.h"
#include "authors.h"
#include "near.h"
#include "slowlog.h"
#include "upstream.h"

struct client;
struct copies;
struct proxy_env;

/* Grouped by cache line, as it is used: asked and answered; how it is answered; the rest. */
struct request {
    struct request *next;        /* in the client's order, or in the pool */
    struct client *client;       /* NULL: it left; the reply goes nowhere */
    struct upstream_entry entry; /* of a request that goes to one node as it is */

    struct buf held;  /* its reply, while it is not the client's next; a short one's memory stays */
    int64_t start_us; /* when it was taken; 0: a reply of our own, not timed */
    uint8_t proto;    /* the client's when it asked */
    bool is_write;    /* may change keys */
    bool is_multi;    /* has several */
    bool answered;
    bool ends_client;
    bool is_muted;    /* CLIENT REPLY: its reply goes nowhere */
    bool is_kept;     /* its answer is in near; or copies knows what it shows */
    bool is_redirect; /* no reply: `held` is for client_pass_on() */

    int command;                 /* command_id */
    uint32_t argc;               /* for SLOWLOG, as the key */
    size_t held_bytes;           /* memory of `held`, as counted in the client */
    struct near_ticket near;     /* of a GET whose answer may be kept */
    struct copies *copies;       /* of an MGET on its way to gather, which takes them; else NULL */
    struct authors_change doubt; /* of an invalidation that is not to leave if it is of the client's
                                    own change; version 0: none */
    uint32_t freq;               /* OBJECT FREQ: what it says of a key that exists */
    bool is_all;                 /* reads all keys there are */
    struct slowlog_key key;
} __attribute__((aligned(64)));

/** request_env(r): of its client. */
const struct proxy_env *request_env(const struct request *r);

/** request_reply(r): where the whole reply is appended; then call request_done(). */
struct buf *request_reply(struct request *r);

/** request_done(r): the reply is complete; `r` is gone. Never calls back into forward or gather. */
void request_done(struct request *r);

/** request_answer(r, reply): `reply`, one whole reply as it is, is the answer; `r` is gone. Counts
 * errors. */
void request_answer(struct request *r, struct span reply);

/** request_fail(r, error): reply with an error of the table. `error`: enum reply_error.
 * request_fail_number(r, error, n): with a number in its text. */
void request_fail(struct request *r, int error);
void request_fail_number(struct request *r, int error, uint64_t n);

#endif
