#include "transaction.h"

#include <stddef.h>
#include <stdlib.h>

#include "../common/buf.h"
#include "../common/conn.h"
#include "../common/hash.h"
#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "env.h"
#include "proxy_stats.h"
#include "topology.h"
#include "upstream.h"

/* What one other owner has to drop. */
struct transaction_part {
    struct upstream_entry entry;
    struct transaction *transaction;
    struct upstream *to; /* only while keys are added: the ring may change later */
    struct transaction_part *next;
    uint32_t keys_count;
    struct buf keys;
};

struct transaction {
    const struct proxy_env *env;
    struct upstream_entry entry; /* of the transaction */
    struct upstream *to;
    bool has_key;
    bool maybe_done; /* the node did not say that nothing happened */
    struct transaction_part *parts;
    uint32_t left; /* parts without an answer */
    struct buf reply;
    void (*done)(void *ctx, struct span reply);
    void *ctx;
};

static void on_answer(struct upstream_entry *entry, struct span reply);
static void on_drop_answer(struct upstream_entry *entry, struct span reply);

struct transaction *transaction_new(const struct proxy_env *env, uint64_t author) {
    struct transaction *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->env = env;
    t->entry.author = author;
    buf_init(&t->reply, 0);
    return t;
}

void transaction_free(struct transaction **pointer) {
    struct transaction *t = *pointer;
    *pointer = NULL;
    if (t == NULL)
        return;
    for (struct transaction_part *part = t->parts, *next; part != NULL; part = next) {
        next = part->next;
        buf_release(&part->keys);
        free(part);
    }
    buf_release(&t->reply);
    free(t);
}

/* ---- keys ---- */

static struct transaction_part *part_for(struct transaction *t, struct upstream *to,
                                         uint64_t hash) {
    struct transaction_part *part = t->parts;
    while (part != NULL && part->to != to)
        part = part->next;
    if (part != NULL)
        return part;
    part = calloc(1, sizeof(*part));
    if (part == NULL)
        return NULL;
    part->transaction = t;
    part->to = to;
    part->entry.hash = hash;
    part->entry.done = on_drop_answer;
    buf_init(&part->keys, 0);
    part->next = t->parts;
    t->parts = part;
    return part;
}

bool transaction_key(struct transaction *t, struct span key) {
    uint64_t hash = hash_ring(key);
    struct upstream *to = topology_pick(t->env->topology, hash);
    if (!t->has_key) {
        t->has_key = true;
        t->entry.hash = hash;
        t->to = to;
    }
    if (to == t->to || to == NULL) /* without an owner in reach nobody has it */
        return true;
    struct transaction_part *part = part_for(t, to, hash);
    if (part == NULL)
        return false;
    resp_write_bulk(&part->keys, key);
    part->keys_count++;
    return !part->keys.failed;
}

/* ---- the way ---- */

static void finish(struct transaction *t) {
    t->done(t->ctx, t->reply.failed ? reply_without_memory(t->entry.is_write && t->maybe_done)
                                    : span_of(buf_head(&t->reply), buf_len(&t->reply)));
    transaction_free(&t);
}

static void fail(struct transaction *t, int error) {
    reply_error(&t->reply, (enum reply_error)error, NULL);
    finish(t);
}

static void on_drop_answer(struct upstream_entry *entry, struct span reply) {
    struct transaction_part *part =
        (struct transaction_part *)((char *)entry - offsetof(struct transaction_part, entry));
    struct transaction *t = part->transaction;
    if (reply.ptr[0] == '-' || entry->tries != 0)
        stats_add(&t->env->stats[PROXY_STAT_DROP_FAILED], 1);
    if (--t->left == 0)
        finish(t);
}

/* The table was changed, or seen as it is now: no owner may answer with something older after that.
 */
static void tell_others(struct transaction *t) {
    t->left = 1; /* one too many, so that no answer within the loop ends it */
    for (struct transaction_part *part = t->parts; part != NULL; part = part->next) {
        struct buf request;
        buf_init(&request, 0);
        resp_write_array(&request, 1 + (uint64_t)part->keys_count);
        resp_write_bulk(&request, SPAN("RF.DROP"));
        buf_append(&request, buf_head(&part->keys), buf_len(&part->keys));
        part->entry.start_us = conn_loop_now_us(t->env->loop);
        t->left++;
        if (request.failed ||
            topology_send(t->env->topology, &part->entry,
                          span_of(buf_head(&request), buf_len(&request))) != REPLY_ERROR_COUNT) {
            stats_add(&t->env->stats[PROXY_STAT_DROP_FAILED], 1);
            t->left--;
        }
        buf_release(&request);
    }
    if (--t->left == 0)
        finish(t);
}

static void on_answer(struct upstream_entry *entry, struct span reply) {
    struct transaction *t =
        (struct transaction *)((char *)entry - offsetof(struct transaction, entry));
    t->maybe_done = reply_may_be_written(reply);
    buf_append_span(&t->reply, reply);
    if (t->maybe_done && !PLANTED(no_drop_at_other_owners))
        tell_others(t);
    else
        finish(t);
}

void transaction_send(struct transaction *t, const struct buf *watches, const struct buf *commands,
                      bool writes, void (*done)(void *ctx, struct span reply), void *ctx) {
    struct buf request;
    buf_init(&request, 0);
    resp_write_array(&request, 3);
    resp_write_bulk(&request, SPAN("RF.EXEC"));
    resp_write_bulk(&request, span_of(watches->data + watches->head, buf_len(watches)));
    resp_write_bulk(&request, span_of(commands->data + commands->head, buf_len(commands)));
    t->done = done;
    t->ctx = ctx;
    t->entry.done = on_answer;
    t->entry.start_us = conn_loop_now_us(t->env->loop);
    t->entry.is_write = writes;
    int error = request.failed || watches->failed || commands->failed
                    ? REPLY_OOM
                    : topology_send(t->env->topology, &t->entry,
                                    span_of(buf_head(&request), buf_len(&request)));
    buf_release(&request);
    if (error != REPLY_ERROR_COUNT)
        fail(t, error);
}
