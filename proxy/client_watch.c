/* WATCH: the version of each key is asked of its owner, which asks the table. */
#include <stdlib.h>

#include "../common/hash.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "client_private.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "topology.h"

struct watching;

struct watching_key {
    struct upstream_entry entry;
    struct watching *watching;
    struct span key; /* in watching->keys */
};

struct watching {
    struct client *client;
    struct request *request;
    uint32_t left;
    struct buf keys;
    struct buf error; /* the first one's text */
    struct watching_key key[];
};

static void finish(struct watching *w) {
    struct client *c = w->client;
    struct request *r = w->request;
    c->multi.watches_asked--;
    if (buf_len(&w->error) != 0 || w->error.failed) {
        c->multi.watch_failed = true;
        request_answer(r, w->error.failed ? reply_without_memory(false)
                                          : span_of(buf_head(&w->error), buf_len(&w->error)));
    } else {
        resp_write_status(request_reply(r), "OK");
        request_done(r);
    }
    buf_release(&w->keys);
    buf_release(&w->error);
    free(w);
}

static bool number(struct span *left, uint64_t *out) {
    const char *end = memchr(left->ptr, '\r', left->len);
    int64_t n;
    if (end == NULL || left->len < 2 || left->ptr[0] != ':' ||
        !span_to_int64(span_of(left->ptr + 1, (size_t)(end - left->ptr) - 1), &n) || n < 0)
        return false;
    *out = (uint64_t)n;
    *left = span_of(end + 2, left->len - (size_t)(end + 2 - left->ptr));
    return true;
}

/* Two numbers: the row's version, and whether it is live. */
static bool take_version(struct client *c, struct span key, struct span reply) {
    uint64_t version, live;
    if (!span_begins_with(reply, SPAN("*2\r\n")))
        return false;
    struct span left = span_of(reply.ptr + 4, reply.len - 4);
    return number(&left, &version) && number(&left, &live) &&
           multi_watch(&c->multi, key, version, live != 0);
}

static void on_version(struct upstream_entry *entry, struct span reply) {
    struct watching_key *k =
        (struct watching_key *)((char *)entry - offsetof(struct watching_key, entry));
    struct watching *w = k->watching;
    if (buf_len(&w->error) != 0) {
        ; /* the first error is enough */
    } else if (reply.ptr[0] == '-') {
        buf_append_span(&w->error, reply);
    } else if (!take_version(w->client, k->key, reply)) {
        reply_error(&w->error, REPLY_INTERNAL, NULL);
    }
    if (--w->left == 0)
        finish(w);
}

static void ask(struct watching_key *k) {
    struct watching *w = k->watching;
    const struct proxy_env *env = w->client->env;
    const struct span words[] = {SPAN("RF.VERSION"), k->key};
    struct buf request;
    buf_init(&request, 0);
    resp_write_request(&request, words, 2);
    k->entry.done = on_version;
    k->entry.hash = hash_ring(k->key);
    k->entry.start_us = conn_loop_now_us(env->loop);
    int error = request.failed ? REPLY_OOM
                               : topology_send(env->topology, &k->entry,
                                               span_of(buf_head(&request), buf_len(&request)));
    buf_release(&request);
    if (error == REPLY_ERROR_COUNT)
        return;
    if (buf_len(&w->error) == 0)
        reply_error(&w->error, (enum reply_error)error, NULL);
    w->left--;
}

/* Copies the keys. NULL without memory. */
static struct watching *make(struct client *c, const struct resp_request *in) {
    uint32_t count = in->argc - 1;
    struct watching *w = calloc(1, sizeof(*w) + count * sizeof(w->key[0]));
    if (w == NULL)
        return NULL;
    w->client = c;
    buf_init(&w->keys, 0);
    buf_init(&w->error, 0);
    for (uint32_t i = 0; i < count; i++)
        buf_append_span(&w->keys, in->argv[1 + i]);
    const char *at = w->keys.data;
    for (uint32_t i = 0; i < count; i++) {
        w->key[i].watching = w;
        w->key[i].key = span_of(at, in->argv[1 + i].len);
        at += in->argv[1 + i].len;
    }
    w->request = w->keys.failed ? NULL : request_open(c, COMMAND_TX_WATCH);
    if (w->request == NULL) {
        buf_release(&w->keys);
        free(w);
        return NULL;
    }
    return w;
}

enum client_taken client_watch(struct client *c, const struct resp_request *in) {
    const struct proxy_conf *conf = c->env->conf;
    uint32_t count = in->argc - 1;
    if (c->multi.watched + count > (uint64_t)conf->transaction_commands_max) {
        c->multi.watch_failed = true;
        return client_fail_number(c, REPLY_WATCH_LONG, (uint64_t)conf->transaction_commands_max);
    }
    for (uint32_t i = 1; i <= count; i++) {
        if (in->argv[i].len > (size_t)conf->key_bytes_max) {
            c->multi.watch_failed = true;
            return client_fail_number(c, REPLY_KEY_LONG, (uint64_t)conf->key_bytes_max);
        }
    }
    struct watching *w = make(c, in);
    if (w == NULL) {
        client_out_of_memory(c);
        return CLIENT_TAKEN_LAST;
    }
    c->multi.watches_asked++;
    w->request->is_write = true; /* what is read afterwards must not be older than it */
    w->request->is_multi = w->request->is_all = true;
    c->open_writes++;
    w->left = count + 1; /* one too many, so that no answer within the loop ends it */
    for (uint32_t i = 0; i < count; i++)
        ask(&w->key[i]);
    if (--w->left == 0)
        finish(w);
    return CLIENT_TAKEN;
}
