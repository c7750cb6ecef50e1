/* Writes of several keys: one transaction at one node, then the other owners are told. */
#include <stddef.h>

#include "../common/conn.h"
#include "../common/hash.h"
#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/resp_parse.h"
#include "../common/resp_write.h"
#include "env.h"
#include "gather_private.h"
#include "proxy_stats.h"
#include "request.h"

static void finish_write(struct gather *g) {
    const struct part *coordinator = &g->parts[0];
    if (!coordinator->has_text) /* an answer came, but there was no memory for it */
        request_fail(g->request, REPLY_UNCERTAIN);
    else
        request_answer(g->request, gather_text(coordinator));
    gather_release(g);
}

static void on_drop_answer(struct upstream_entry *entry, struct span reply) {
    struct part *part = (struct part *)((char *)entry - offsetof(struct part, entry));
    struct gather *g = part->gather;
    /* It is committed all the same. An owner that could not be told, or another one in its place:
     * for that owner the feed has to do. */
    if (reply.ptr[0] == '-' || entry->tries != 0)
        stats_add(&g->env->stats[PROXY_STAT_DROP_FAILED], 1);
    if (--g->left == 0)
        finish_write(g);
}

static void on_write_answer(struct upstream_entry *entry, struct span reply) {
    struct part *part = (struct part *)((char *)entry - offsetof(struct part, entry));
    struct gather *g = part->gather;
    gather_hold(part, reply);
    if (!reply_may_be_written(reply) || PLANTED(no_drop_at_other_owners)) {
        finish_write(g);
        return;
    }
    g->left = g->parts_count; /* one too many, so that no answer within the loop ends it */
    for (uint32_t p = 1; p < g->parts_count; p++) {
        struct part *other = &g->parts[p];
        other->entry.done = on_drop_answer;
        other->entry.start_us = conn_loop_now_us(g->env->loop);
        int error = topology_send(g->env->topology, &other->entry, gather_text(other));
        if (error != REPLY_ERROR_COUNT) {
            stats_add(&g->env->stats[PROXY_STAT_DROP_FAILED], 1);
            g->left--;
        }
    }
    if (--g->left == 0)
        finish_write(g);
}

/* The write itself, to the first part's node; parts[1..] have what is to be said to the others. */
static void ask_write(struct gather *g, const struct resp_request *in, struct span raw, int error) {
    stats_add(&g->env->stats[PROXY_STAT_SPLIT], 1);
    g->parts[0].entry.done = on_write_answer;
    g->parts[0].entry.is_write = true;
    g->parts[0].entry.author = g->request->entry.author;
    if (in->is_inline && error == REPLY_ERROR_COUNT) {
        struct buf *bytes = gather_scratch(g->env->gathers);
        resp_write_request(bytes, in->argv, in->argc);
        raw = span_of(buf_head(bytes), buf_len(bytes));
        error = bytes->failed ? REPLY_OOM : error;
    }
    if (error == REPLY_ERROR_COUNT)
        error = topology_send(g->env->topology, &g->parts[0].entry, raw);
    if (error != REPLY_ERROR_COUNT) {
        request_fail(g->request, error);
        gather_release(g);
    }
}

void gather_start_write(struct gather *g, const struct resp_request *in, struct span raw) {
    int error = REPLY_ERROR_COUNT;
    for (uint32_t p = 1; p < g->parts_count && error == REPLY_ERROR_COUNT; p++) {
        struct buf *bytes = gather_scratch(g->env->gathers);
        gather_write_part(bytes, &g->parts[p], SPAN("RF.DROP"), in->argv);
        if (bytes->failed || !gather_hold(&g->parts[p], span_of(buf_head(bytes), buf_len(bytes))))
            error = REPLY_OOM;
    }
    ask_write(g, in, raw, error);
}

void gather_flush(const struct proxy_env *env, struct request *r, const struct resp_request *in,
                  struct span raw) {
    size_t members = topology_count(env->topology);
    struct gather *g = gather_make(env, r, 0, members + 1);
    int error = REPLY_ERROR_COUNT;
    if (g == NULL) {
        request_fail(r, REPLY_OOM);
        return;
    }
    for (uint32_t p = 0; p <= members; p++) {
        struct part *part = gather_part(g);
        struct topology_node member = {.name = ""};
        if (p != 0)
            topology_node(env->topology, p - 1, &member);
        part->entry.start_us = conn_loop_now_us(env->loop);
        part->entry.hash = p != 0 ? hash_point(span_str(member.name), 0) : r->entry.hash;
        if (p != 0 && !gather_hold(part, SPAN("*1\r\n$10\r\nRF.DROPALL\r\n")))
            error = REPLY_OOM;
    }
    ask_write(g, in, raw, error);
}
