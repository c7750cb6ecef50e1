#include "gather.h"

#include <limits.h>
#include <stddef.h>

#include "../common/command.h"
#include "../common/conn.h"
#include "../common/hash.h"
#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/resp_parse.h"
#include "../common/resp_write.h"
#include "copies.h"
#include "env.h"
#include "gather_private.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "request.h"

enum { PART_BYTES_MAX = 32 << 20 /* of a reply to one part, by the longest values there may be */ };
#define COPIED UINT32_MAX /* instead of a part: near has its value */

static void on_read_answer(struct upstream_entry *entry, struct span reply);

/* ---- sorting keys by node ---- */

static unsigned key_at(int id, unsigned index) {
    const struct command *row = command_row(id);
    return (unsigned)row->first_key + index * (unsigned)row->key_step;
}

static unsigned key_count(int id, unsigned argc) {
    const struct command *row = command_row(id);
    return (argc - (unsigned)row->first_key + (unsigned)row->key_step - 1) /
           (unsigned)row->key_step;
}

/* How many values one node is asked for at once, so that a reply fits into what a connection may
 * hold; the others on it must not suffer. */
static unsigned part_keys_max(const struct proxy_env *env, int id) {
    unsigned keys = (unsigned)(PART_BYTES_MAX / (env->conf->value_bytes_max + 64));
    return id != COMMAND_MGET ? UINT_MAX : keys == 0 ? 1 : keys;
}

/* The part of the node that owns `hash`; a new one if it is the first key there, or if the last one
 * there is full. NULL: no node can be reached. */
static struct part *part_for(struct gather *g, uint64_t hash, unsigned keys_max) {
    struct topology_route route = topology_route(g->env->topology, hash);
    if (route.to == NULL)
        return NULL;
    struct part *full = NULL;
    for (uint32_t p = 0; p < g->parts_count; p++) {
        struct part *part = &g->parts[p];
        if (part->route.to == route.to && part->keys < keys_max)
            return part;
        full = part->route.to == route.to ? part : full;
    }
    if (full != NULL)
        full->next = g->parts_count;
    struct part *part = gather_part(g);
    part->route = route;
    part->is_next = full != NULL;
    part->entry.hash = hash;
    part->entry.start_us = conn_loop_now_us(g->env->loop);
    return part;
}

/* Every key gets its part. Returns false when one has no node. */
static bool sort_keys(struct gather *g, const struct span *argv) {
    int id = g->request->command;
    unsigned at = (unsigned)command_row(id)->first_key;
    unsigned step = (unsigned)command_row(id)->key_step;
    unsigned keys_max = part_keys_max(g->env, id);
    uint64_t next_hash = hash_ring(argv[at]);
    for (uint32_t k = 0; k < g->keys_count; k++) {
        uint64_t hash = next_hash;
        at += step;
        if (k + 1 < g->keys_count) {
            next_hash = hash_ring(argv[at]);
            topology_prefetch(g->env->topology, next_hash);
        }
        g->next_key[k] = 0;
        if (copies_value(g->copies, k).ptr != NULL) {
            g->part_of[k] = COPIED;
            continue;
        }
        struct part *part = part_for(g, hash, keys_max);
        if (part == NULL)
            return false;
        if (part->keys++ == 0)
            part->first_key = k;
        else
            g->next_key[part->last_key] = k;
        part->last_key = k;
        g->part_of[k] = (uint32_t)(part - g->parts);
    }
    return true;
}

/* `name` and the keys of one part as a request. */
void gather_write_part(struct buf *out, const struct part *part, struct span name,
                       const struct span *argv) {
    const struct gather *g = part->gather;
    resp_write_array(out, 1 + (uint64_t)part->keys);
    resp_write_bulk(out, name);
    uint32_t k = part->first_key;
    for (uint32_t i = 0; i < part->keys; i++, k = g->next_key[k])
        resp_write_bulk(out, argv[key_at(g->request->command, k)]);
}

/* ---- reads: split and merge ---- */

/* The next element of a part's array reply. */
static struct span next_element(struct part *part) {
    struct resp_scan scan = {0};
    size_t size = 0;
    struct span text = gather_text(part);
    if (part->at == 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        part->at = end == NULL ? text.len : (size_t)(end + 1 - text.ptr);
    }
    const char *from = text.ptr + part->at;
    if (resp_scan_reply(&scan, from, text.len - part->at, &size) != RESP_OK)
        return SPAN("_\r\n"); /* cannot be: merge_array() counted the elements */
    part->at += size;
    return span_of(from, size);
}

/* The number in the first line of its reply if that begins with `kind`, else -1. */
static int64_t head_number(const struct part *part, char kind) {
    int64_t n = -1;
    struct span text = gather_text(part);
    const char *end = memchr(text.ptr, '\r', text.len);
    if (text.ptr[0] != kind || end == NULL ||
        !span_to_int64(span_of(text.ptr + 1, (size_t)(end - text.ptr) - 1), &n))
        return -1;
    return n;
}

/* Elements back in the order of the keys. A node that answered with another number of them makes it
 * an error, never a nil. */
static bool merge_array(struct gather *g) {
    for (uint32_t p = 0; p < g->parts_count; p++) {
        if (head_number(&g->parts[p], '*') != g->parts[p].keys)
            return false;
    }
    struct buf *out = request_reply(g->request);
    resp_write_array(out, g->keys_count);
    for (uint32_t k = 0; k < g->keys_count; k++) {
        struct span element = g->part_of[k] == COPIED ? copies_value(g->copies, k)
                                                      : next_element(&g->parts[g->part_of[k]]);
        if (element.ptr[0] == '_')
            resp_write_null(out, g->request->proto);
        else
            buf_append_span(out, element);
    }
    request_done(g->request);
    return true;
}

static bool merge_sum(struct gather *g) {
    int64_t sum = 0;
    for (uint32_t p = 0; p < g->parts_count; p++) {
        int64_t n = head_number(&g->parts[p], ':');
        if (n < 0)
            return false;
        sum += n;
    }
    resp_write_int(request_reply(g->request), sum);
    request_done(g->request);
    return true;
}

static void merge(struct gather *g) {
    for (uint32_t p = 0; p < g->parts_count; p++) {
        const struct part *part = &g->parts[p];
        if (!part->has_text) {
            request_fail(g->request, REPLY_OOM);
            gather_release(g);
            return;
        }
        if (gather_text(part).ptr[0] == '-') { /* all or nothing */
            request_answer(g->request, gather_text(part));
            gather_release(g);
            return;
        }
    }
    bool merged = g->request->command == COMMAND_MGET ? merge_array(g) : merge_sum(g);
    if (!merged)
        request_fail(g->request, REPLY_INTERNAL);
    gather_release(g);
}

static void ask_read(struct part *part, struct span request) {
    struct gather *g = part->gather;
    part->entry.done = on_read_answer;
    int error = part->is_next
                    ? topology_send(g->env->topology, &part->entry, request)
                    : topology_send_by(g->env->topology, part->route, &part->entry, request);
    if (error == REPLY_ERROR_COUNT)
        return;
    struct buf text;
    buf_init(&text, 0);
    reply_error(&text, (enum reply_error)error, NULL);
    on_read_answer(&part->entry, span_of(buf_head(&text), buf_len(&text)));
    buf_release(&text);
}

/* The parts from this one on at its node: the first of them now, when its request was kept and the
 * replies are not too much already; it asks for those after it when it has its answer. Those that
 * are left out stay without a text, which merge() sees. */
static void ask_from(struct gather *g, uint32_t index) {
    do {
        struct part *part = &g->parts[index];
        struct span request = gather_text(part);
        bool is_kept = part->has_text;
        part->has_text = false; /* its room is the reply's; it is sent before that comes */
        if (is_kept && !g->texts.failed) {
            ask_read(part, request);
            return;
        }
        g->left--;
        index = part->next;
    } while (index != 0);
}

/* Now, not when all is merged: the last answer in the order of the nodes' answers is kept. */
static void tell_copies(struct part *part) {
    struct copies *copies = part->gather->copies;
    bool in_order = part->entry.tries == 0 && part->entry.is_watched && !part->entry.is_late;
    if (copies == NULL || head_number(part, '*') != part->keys)
        return;
    for (uint32_t i = 0, k = part->first_key; i < part->keys; i++, k = part->gather->next_key[k])
        copies_answered(copies, k, next_element(part), in_order);
    part->at = 0;
}

static void on_read_answer(struct upstream_entry *entry, struct span reply) {
    struct part *part = (struct part *)((char *)entry - offsetof(struct part, entry));
    struct gather *g = part->gather;
    if (gather_hold(part, reply))
        tell_copies(part); /* else it has none, which merge() sees */
    if (part->next != 0)
        ask_from(g, part->next); /* it cannot end it: this part is still counted */
    if (--g->left == 0)
        merge(g);
}

static void start_read(struct gather *g, const struct span *argv) {
    struct span name = span_str(command_row(g->request->command)->name);
    uint32_t count = g->parts_count;
    g->left = count + 1; /* one too many, so that no answer within the loops ends it */
    stats_add(&g->env->stats[PROXY_STAT_SPLIT], 1);
    for (uint32_t p = count; p > 0;) { /* from the last one, so that those to come are kept */
        struct part *part = &g->parts[--p];
        struct buf *bytes = gather_scratch(g->env->gathers);
        gather_write_part(bytes, part, name, argv);
        struct span request = span_of(buf_head(bytes), buf_len(bytes));
        if (part->is_next && !bytes->failed)
            gather_hold(part, request);
        else if (!part->is_next && !bytes->failed)
            ask_read(part, request);
        else if (!part->is_next)
            ask_from(g, p);
    }
    g->texts.bytes_max = buf_len(&g->texts) + (size_t)g->env->conf->output_bytes_max; /* replies */
    if (--g->left == 0)
        merge(g);
}

/* Whether there is more to do than to hand the request on. */
static bool is_split(const struct gather *g) {
    return g->parts_count > 1 || g->copies != NULL;
}

bool gather_start(const struct proxy_env *env, struct request *r, const struct resp_request *in,
                  struct span raw) {
    unsigned keys = key_count(r->command, in->argc);
    size_t parts = topology_count(env->topology) + keys / part_keys_max(env, r->command);
    struct gather *g = gather_make(env, r, keys, parts < keys ? parts : keys);
    if (g == NULL) {
        copies_free(&r->copies);
        request_fail(r, REPLY_OOM);
        return true;
    }
    if (!sort_keys(g, in->argv)) {
        stats_add(&env->stats[PROXY_STAT_NODEDOWN], 1);
        request_fail(r, REPLY_NODEDOWN);
        gather_release(g);
        return true;
    }
    if (!is_split(g)) {
        gather_release(g);
        return false;
    }
    if (r->is_write)
        gather_start_write(g, in, raw);
    else
        start_read(g, in->argv);
    return true;
}
