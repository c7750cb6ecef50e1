/*
 * client_private: what client.c (connections), client_read.c (requests in) and request.c (replies
 * out) share. For these three alone.
 */
#ifndef RINGFENCE_CLIENT_PRIVATE_H
#define RINGFENCE_CLIENT_PRIVATE_H

#include "../common/conn.h"
#include "../common/resp_parse.h"
#include "client.h"
#include "env.h"
#include "local.h"
#include "request.h"
#include "tracking.h"

enum {
    CLIENT_OUT_HIGH_BYTES =
        1 << 20, /* replies that a client has not read: then we read no more of its requests */
    CLIENT_IN_BYTES_MAX = 64 << 20, /* one request */
};

struct client_list {
    const struct proxy_env *env;
    struct client *first;
    uint32_t count;
    struct request *pool; /* idle objects */
    uint32_t pool_count;
    bool draining;
    struct resp_limits limits;
    struct conn_conf conn_conf;
};

struct client {
    struct client_list *list;
    const struct proxy_env *env;
    struct conn *conn;
    struct resp_parser parser;
    struct request *head, *tail; /* in order; answered ones wait for those before them */
    uint32_t queued;             /* requests in that list */
    uint32_t open_reads, open_writes,
        open_multi;       /* without an answer; `open_multi` counts those again */
    bool stalled;         /* its next request waits */
    bool ended;           /* it sends no more, or we take no more */
    bool dead;            /* on its way out: replies go nowhere */
    uint64_t out_counted; /* of its output, in the counters already */
    struct client *next, *prev;
    struct tracking_client tracking;
    struct local_client local;
};

/** request_open(c, id): the next request of a client, last in its order; NULL without memory.
 * Counted by the caller in open_reads or open_writes. */
struct request *request_open(struct client *c, int id);

/** request_free(list, r): back to the pool. */
void request_free(struct client_list *list, struct request *r);

/** client_free(c): it left, and nothing is owed to it. */
void client_free(struct client *c);

/** client_count_out(c): what was sent since the last call goes into the counters. */
void client_count_out(struct client *c);

/** client_open_reply(c, out): where a reply (or a push) without a node is written: at once if
 * nothing waits before it (NULL returned), else in its turn. `*out` NULL: no memory.
 * client_close_reply(c, r, end): it is complete; `end`: then close. */
struct request *client_open_reply(struct client *c, struct buf **out);
void client_close_reply(struct client *c, struct request *r, bool end);

/** client_out_of_memory(c): this client has to go, as if its buffer were full. */
void client_out_of_memory(struct client *c);

/** client_track(c, id, argv, argc): a request of a client that tracks is about to be sent. */
void client_track(struct client *c, int id, const struct span *argv, uint32_t argc);

/** client_on_read(ctx, data, len): its requests (conn_handlers.on_read). */
size_t client_on_read(void *ctx, const char *data, size_t len);

#endif
