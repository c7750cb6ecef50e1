#include "forward.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../common/command.h"
#include "../common/conn.h"
#include "../common/hash.h"
#include "../common/reply.h"
#include "../common/resp_parse.h"
#include "../common/resp_write.h"
#include "copies.h"
#include "env.h"
#include "gather.h"
#include "hotkeys.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "request.h"
#include "topology.h"

uint64_t forward_hash(int id, const struct span *argv) {
    int first = command_row(id)->first_key;
    if (id == COMMAND_SCAN) /* any node can answer: a walk goes round */
        return hash_ring(argv[1]);
    return first == 0 ? 0 : hash_ring(argv[first]);
}

/* An array or a map for a RESP2 client: its nulls are written differently, and a map is an array.
 */
static void copy_array_resp2(struct buf *out, struct span reply) {
    size_t at = 0;
    while (at < reply.len) {
        struct resp_scan scan = {0};
        size_t size = 0;
        char kind = reply.ptr[at];
        if (kind == '*' || kind == '%') { /* its header alone */
            const char *end = memchr(reply.ptr + at, '\n', reply.len - at);
            size = end == NULL ? reply.len - at : (size_t)(end + 1 - (reply.ptr + at));
        } else if (resp_scan_reply(&scan, reply.ptr + at, reply.len - at, &size) != RESP_OK) {
            return; /* cannot be: the whole was measured before */
        }
        if (kind == '_')
            resp_write_null(out, 2);
        else if (kind == '%')
            resp_write_map(out, strtoull(reply.ptr + at + 1, NULL, 10), 2); /* ends at its CR */
        else
            buf_append(out, reply.ptr + at, size);
        at += size;
    }
}

/* Whether a reply is written differently for a RESP2 client. */
static bool is_resp3(struct span reply) {
    return reply.ptr[0] == '_' || reply.ptr[0] == '*' || reply.ptr[0] == '%';
}

void forward_copy(struct buf *out, struct span reply, int proto) {
    if (proto == 3 || !is_resp3(reply))
        buf_append_span(out, reply);
    else if (reply.ptr[0] == '_')
        resp_write_null(out, 2);
    else
        copy_array_resp2(out, reply);
}

/* An answer that came in the order of the requests, from the node that was asked first. */
static void keep(struct request *r, struct span reply) {
    const struct upstream_entry *entry = &r->entry;
    if (reply.ptr[0] == '$' && entry->tries == 0 && entry->is_watched && !entry->is_late)
        r->is_kept = near_put(request_env(r)->near, &r->near, reply);
}

static void on_answer(struct upstream_entry *entry, struct span reply) {
    struct request *r = (struct request *)((char *)entry - offsetof(struct request, entry));
    if (r->near.slot != NEAR_NONE)
        keep(r, reply);
    if (r->proto == 3 || !is_resp3(reply)) {
        request_answer(r, reply);
        return;
    }
    forward_copy(request_reply(r), reply, 2);
    request_done(r);
}

/* ---- OBJECT FREQ: the node says whether the key exists, we how often it is asked for ---- */

static void on_exists(struct upstream_entry *entry, struct span reply) {
    struct request *r = (struct request *)((char *)entry - offsetof(struct request, entry));
    if (reply.ptr[0] == '-') {
        request_answer(r, reply);
        return;
    }
    if (span_equal(reply, SPAN(":1\r\n")))
        resp_write_int(request_reply(r), r->freq);
    else
        resp_write_null(request_reply(r), r->proto);
    request_done(r);
}

bool forward_is_freq(int id, const struct resp_request *in) {
    return id == COMMAND_OBJECT && span_equal_nocase(in->argv[1], SPAN("freq"));
}

void forward_exists(const struct resp_request *in, struct buf *out) {
    const struct span exists[] = {SPAN("EXISTS"), in->argv[2]};
    resp_write_request(out, exists, 2);
}

uint32_t forward_freq(const struct proxy_env *env, struct span key) {
    double rate =
        env->hotkeys == NULL ? 0 : hotkeys_rate(env->hotkeys, conn_loop_now_us(env->loop), key);
    return rate < UINT32_MAX ? (uint32_t)ceil(rate) : UINT32_MAX;
}

/* A node would say so too, once it had read it all. Returns REPLY_ERROR_COUNT if nothing is. */
static int too_long(const struct proxy_conf *conf, int id, const struct resp_request *in,
                    uint64_t *limit_out) {
    const struct command *row = command_row(id);
    bool has_value = id == COMMAND_SET || id == COMMAND_SETNX || id == COMMAND_GETSET ||
                     id == COMMAND_MSET || id == COMMAND_MSETNX || id == COMMAND_APPEND;
    uint32_t end = command_key_end(row, in->argc);
    for (uint32_t i = (uint32_t)row->first_key; i < end; i += (uint32_t)row->key_step) {
        if (in->argv[i].len > (size_t)conf->key_bytes_max) {
            *limit_out = (uint64_t)conf->key_bytes_max;
            return REPLY_KEY_LONG;
        }
        if (has_value && in->argv[i + 1].len > (size_t)conf->value_bytes_max) {
            *limit_out = (uint64_t)conf->value_bytes_max;
            return REPLY_VALUE_LONG;
        }
    }
    return REPLY_ERROR_COUNT;
}

void forward_request(const struct proxy_env *env, struct request *r, const struct resp_request *in,
                     struct span raw) {
    uint64_t limit;
    int wrong = too_long(env->conf, r->command, in, &limit);
    if (wrong != REPLY_ERROR_COUNT) {
        copies_free(&r->copies);
        request_fail_number(r, wrong, limit);
        return;
    }
    if (r->is_write && r->is_all) {
        gather_flush(env, r, in, raw);
        return;
    }
    if (r->is_multi && gather_start(env, r, in, raw))
        return;
    r->entry.done = on_answer;
    r->entry.start_us = conn_loop_now_us(env->loop);
    r->entry.tries = 0;
    r->entry.is_write = r->is_write;
    struct buf whole; /* an inline request is written anew */
    buf_init(&whole, 0);
    if (forward_is_freq(r->command, in)) {
        r->freq = forward_freq(env, in->argv[2]);
        r->entry.done = on_exists;
        forward_exists(in, &whole);
    } else if (in->is_inline) {
        resp_write_request(&whole, in->argv, in->argc);
    }
    if (buf_len(&whole) != 0)
        raw = span_of(buf_head(&whole), buf_len(&whole));
    int error = whole.failed ? REPLY_OOM : topology_send(env->topology, &r->entry, raw);
    buf_release(&whole);
    if (error != REPLY_ERROR_COUNT)
        request_fail(r, error);
}
