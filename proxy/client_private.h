/*
 * client_private: what client.c (connections), client_read.c (requests in), client_memory.c,
 * client_multi.c and client_watch.c (transactions), client_monitor.c, client_pause.c,
 * client_tracking.c, client_redirect.c, client_channels.c, client_hot.c (what is asked for most)
 * and request.c (replies out) share. For these alone.
 */
#ifndef RINGFENCE_CLIENT_PRIVATE_H
#define RINGFENCE_CLIENT_PRIVATE_H

#include "../common/command.h"
#include "../common/conn.h"
#include "../common/resp_parse.h"
#include "channels.h"
#include "client.h"
#include "env.h"
#include "local.h"
#include "multi.h"
#include "request.h"
#include "tracking.h"

enum {
    CLIENT_OUT_HIGH_BYTES =
        1 << 20, /* replies that a client has not read: then we read no more of its requests */
    CLIENT_IN_BYTES_MAX = 64 << 20,    /* one request */
    CLIENT_UNSENT_BYTES = 128 << 10,   /* that the kernel takes without being able to send them */
    CLIENT_HELD_STEP_BYTES = 16 << 10, /* a power of two */
    CLIENT_LINGER_US =
        10 * 1000 * 1000,              /* without progress of its last replies: then it is closed */
    CLIENT_DRAIN_IDLE_US = 250 * 1000, /* while draining: silent for so long, so it is closed */
};

struct inbox;

struct client_list {
    const struct proxy_env *env;
    struct client *first;
    uint32_t count;
    uint32_t until_sample; /* requests until one goes to client_sample(); 0: now */
    uint32_t gap;          /* how many that were, and then: */
    uint32_t until_hot;    /* until one is counted by hotkeys, */
    uint32_t until_show;   /* and until one is shown to those who monitor */
    uint32_t waiting;      /* clients that wait for an answer */
    struct request *pool;  /* idle objects */
    uint32_t pool_count;
    bool draining;
    int64_t drain_us; /* since when */
    bool paused_any;  /* something is held back by CLIENT PAUSE */
    struct resp_limits limits, limits_before_auth;
    struct client *waiting_first, *waiting_last; /* have to authenticate; the oldest first */
    uint32_t waiting_count, waiting_max;
    struct conn_conf conn_conf;
    uint64_t bytes, bytes_told; /* memory of its clients' buffers; as published */
    int64_t evicted_us;         /* when it last looked for clients to evict */
};

struct client {
    struct client_list *list;
    const struct proxy_env *env;
    struct conn *conn;
    struct resp_parser parser;
    struct request *head, *tail;      /* in order; answered ones wait for those before them */
    uint32_t queued;                  /* requests in that list */
    uint32_t open_reads, open_writes; /* without an answer */
    size_t held_bytes;                /* memory of replies that wait for those before them */
    size_t kept_bytes;                /* memory of its connection's buffers */
    size_t unparsed;  /* bytes of requests that it sent and that were not taken yet */
    bool stalled;     /* its next request waits */
    bool ended;       /* it sends no more, or we take no more */
    bool finishing;   /* ended, and answered: its connection closes once all is sent */
    bool dead;        /* on its way out: replies go nowhere */
    bool waits;       /* has to authenticate: it is in the list's waiting ones */
    bool limited;     /* its requests have to be judged */
    bool seen;        /* client_sample() has seen the request that waits */
    bool missed;      /* it could not be told of what others read (client_redirect.c) */
    int64_t waits_us; /* since when */
    struct client *waiting_next, *waiting_prev;
    int64_t finish_us; /* when it last took some of its last replies */
    uint64_t finish_out;
    uint64_t out_counted; /* of its output, in the counters already */
    struct client *next, *prev;
    struct tracking_client tracking;
    struct channels_client channels;
    struct multi multi;
    struct local_client local;
};

/* What became of a request that was read. */
enum client_taken {
    CLIENT_TAKEN,
    CLIENT_TAKEN_LAST, /* nothing more is read of it */
    CLIENT_NOT_YET,    /* it has to be read again, later */
    CLIENT_HELD,       /* likewise; nothing has looked at it so far */
    CLIENT_PASSED      /* it is none of the callee's business */
};

/** request_open(c, id): the next request of a client, last in its order; NULL without memory.
 * Counted by the caller in open_reads or open_writes. */
struct request *request_open(struct client *c, int id);

/** request_free(list, r): back to the pool. request_pool_free(list): all that are in there. */
void request_free(struct client_list *list, struct request *r);
void request_pool_free(struct client_list *list);

/** client_free(c): it left, and nothing is owed to it. */
void client_free(struct client *c);

/** client_leave(c): its connection is of no use any more, or has to go at once; `c` may be gone. */
void client_leave(struct client *c);

/** client_auth_init(list): the limits before AUTH. client_auth_changed(c): it connected, or who it
 * is may have changed. client_auth_forget(c): it leaves. client_auth_tick(list, now_us): those that
 * did not authenticate in time leave. */
void client_auth_init(struct client_list *list);
void client_auth_changed(struct client *c);
void client_auth_forget(struct client *c);
void client_auth_tick(struct client_list *list, int64_t now_us);

/** client_forbids(c, id, in): a client with `limited` may not do this; the error is written. */
bool client_forbids(struct client *c, int id, const struct resp_request *in);

/** client_forward_scoped(c, r, in, raw): forward_request() of a command about all keys, for those
 * that the user of a client with `limited` may see. */
void client_forward_scoped(struct client *c, struct request *r, const struct resp_request *in,
                           struct span raw);

/** client_finish(c): it was answered, and no more is taken from it: close once all is sent.
 * client_finish_drained(c): the same if we drain, it is owed nothing and in no transaction, and
 * nothing that it sent is unread: so close right behind a reply, where a client can see it before
 * it asks again. */
void client_finish(struct client *c);
void client_finish_drained(struct client *c);

/** client_on_kept(ctx, bytes): conn_handlers.on_kept. client_weigh(c): memory of another kind
 * changed. client_weightless(c): it leaves. client_memory_check(list, now_us): publish the worker's
 * sum; if all workers' is above clients-bytes-max have the largest clients evicted. */
void client_on_kept(void *ctx, size_t bytes);
void client_weigh(struct client *c);
void client_weightless(struct client *c);
void client_memory_check(struct client_list *list, int64_t now_us);

/** client_holds_much(before, after): memory of held replies changed by so much that it is to be
 * counted. */
static inline bool client_holds_much(size_t before, size_t after) {
    return (before ^ after) >= CLIENT_HELD_STEP_BYTES;
}

/** client_count_out(c): what was sent since the last call goes into the counters. */
void client_count_out(struct client *c);

/** client_mutes(c): the request that is being taken gets no reply (CLIENT REPLY). */
static inline bool client_mutes(const struct client *c) {
    return c->local.reply == LOCAL_REPLY_OFF || c->local.reply == LOCAL_REPLY_SKIPS;
}

/** client_open_reply(c, out): where a reply (or a push) without a node is written: at once if
 * nothing waits before it (NULL returned), else in its turn. `*out` NULL: no memory.
 * client_open_answer(c, out): the same for a reply to a request, which may be muted.
 * client_close_reply(c, r, end): it is complete; `end`: then close. */
struct request *client_open_reply(struct client *c, struct buf **out);
struct request *client_open_answer(struct client *c, struct buf **out);
void client_close_reply(struct client *c, struct request *r, bool end);

/** client_out_of_memory(c): this client has to go, as if its buffer were full. */
void client_out_of_memory(struct client *c);

/** client_fail(c, error): a request is answered with an error, in its turn. `error`: enum
 * reply_error. client_fail_with(c, error, detail), client_fail_number(c, error, n): with something
 * in its text. client_say(c, status): with a status. */
enum client_taken client_fail(struct client *c, int error);
enum client_taken client_fail_with(struct client *c, int error, const char *detail);
enum client_taken client_fail_number(struct client *c, int error, uint64_t n);
enum client_taken client_say(struct client *c, const char *status);

/** client_multi_concerns(c, id): client_multi() has to be asked. */
static inline bool client_multi_concerns(const struct client *c, int id) {
    return c->multi.open || c->multi.watched != 0 || id == COMMAND_RESET ||
           (id >= COMMAND_TX_MULTI && id <= COMMAND_TX_UNWATCH);
}

/** client_multi(c, in, id): a request (its arity is right) that is about a transaction, or of a
 * client that is in one or watches keys. CLIENT_PASSED: it is to be treated as any other. */
enum client_taken client_multi(struct client *c, const struct resp_request *in, int id);

/** client_watch(c, in): WATCH, outside of MULTI, with nothing unanswered before it. */
enum client_taken client_watch(struct client *c, const struct resp_request *in);

/** client_sample(c, row, in): the request that was just read is one that hotkeys counts, or that is
 * shown. client_show(c, row, in): it is shown, if it may be. client_hear_lines(c, inbox): it
 * monitors, and has lines there. */
void client_sample(struct client *c, const struct command *row, const struct resp_request *in);
void client_show(struct client *c, const struct command *row, const struct resp_request *in);
void client_hear_lines(struct client *c, struct inbox *inbox);

/** client_gives_copy(c, in, id, hash): a GET or MGET, answered from near. client_asks(c, r, in):
 * what near has to know of a request that is about to be sent. client_passed(c, r): its answer was
 * not kept. Only with env->near. */
bool client_gives_copy(struct client *c, const struct resp_request *in, int id, uint64_t hash);
void client_asks(struct client *c, struct request *r, const struct resp_request *in);
void client_passed(struct client *c, const struct request *r);

/** client_on_watch(ctx, on): somebody has to be told what changes, or nobody any more; `ctx` is the
 * worker's struct proxy_env. */
void client_on_watch(void *ctx, bool on);

/** client_track(c, id, argv, argc): a request of a client that tracks is about to be sent. */
void client_track(struct client *c, int id, const struct span *argv, uint32_t argc);

/** client_invalidate(c, key, doubt): it is told, behind the replies that it waits for, that a key
 * may have changed (NULL: any); if it cannot be told as yet, of all of them when it can. `doubt`:
 * not if that turns out to be its own change, or NULL. */
void client_invalidate(struct client *c, struct span key, const struct authors_change *doubt);

/** client_is_paused(c, in): this request is held back by CLIENT PAUSE. */
bool client_is_paused(struct client *c, const struct resp_request *in);

/** client_redirect(c, key, doubt): another one is told of c's key (NULL: of all), behind the
 * replies that `c` waits for. client_pass_on(c, record): the same when it is its turn.
 * client_redirect_hears(c): it may be able to hear by now what it missed.
 * client_redirect_tick(list): look into inboxes that nobody woke the worker for. */
void client_redirect(struct client *c, struct span key, const struct authors_change *doubt);
void client_pass_on(struct client *c, struct span record);
void client_redirect_hears(struct client *c);
void client_redirect_tick(struct client_list *list);

/** client_is_subscribed(c): it speaks RESP2 and is subscribed to something, so it may do little
 * else. client_subscribed_forbids(c, in, id): then this request is refused; the error is written.
 */
static inline bool client_is_subscribed(const struct client *c) {
    return c->local.proto == 2 && channels_of(&c->channels) != 0;
}
bool client_subscribed_forbids(struct client *c, const struct resp_request *in, int id);

/** client_subscribes(id): SUBSCRIBE and its like. client_subscribe(c, in, id): one of these. */
static inline bool client_subscribes(int id) {
    return id >= COMMAND_SUBSCRIBE && id <= COMMAND_PUNSUBSCRIBE;
}
enum client_taken client_subscribe(struct client *c, const struct resp_request *in, int id);

/** client_on_read(ctx, data, len): its requests (conn_handlers.on_read). */
size_t client_on_read(void *ctx, const char *data, size_t len);

#endif
