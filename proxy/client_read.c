#include "client_private.h"

#include <stdio.h>
#include <string.h>

#include "../common/command.h"
#include "../common/hash.h"
#include "../common/log.h"
#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "forward.h"
#include "pause.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "timing.h"
#include "topology.h"

/* Program order: may this request be sent before the client's earlier ones are answered? */
static bool must_wait(const struct client *c, bool is_write, bool is_multi, uint64_t hash) {
    if (c->open_reads + c->open_writes == 0 || (!is_write && c->open_writes == 0) ||
        PLANTED(no_program_order))
        return false;
    /* Several keys: wait for all that could matter rather than compare key by key. */
    if (is_multi)
        return true;
    for (const struct request *r = c->head; r != NULL; r = r->next) {
        if (r->answered || (!is_write && !r->is_write))
            continue;
        if (r->is_multi || r->is_all || r->entry.hash == hash)
            return true;
    }
    return false;
}

/* Answer without a node: at once if nothing waits before it, else in its turn. */
static struct request *open_in_turn(struct client *c, struct buf **out) {
    struct request *r = request_open(c, 0);
    *out = r != NULL ? &r->held : NULL;
    if (r != NULL)
        c->open_reads++;
    return r;
}

struct request *client_open_reply(struct client *c, struct buf **out) {
    if (c->head == NULL) {
        *out = conn_out(c->conn);
        return NULL;
    }
    struct request *r = open_in_turn(c, out);
    if (r != NULL)
        r->is_muted = false;
    return r;
}

struct request *client_open_answer(struct client *c, struct buf **out) {
    return client_mutes(c) ? open_in_turn(c, out) : client_open_reply(c, out);
}

void client_close_reply(struct client *c, struct request *r, bool end) {
    if (r != NULL) {
        r->ends_client = end;
        request_done(r);
        return;
    }
    conn_send(c->conn);
    if (end)
        client_finish(c);
}

void client_out_of_memory(struct client *c) {
    conn_out(c->conn)->failed = true;
    conn_send(c->conn);
    c->ended = true;
}

static enum client_taken out_of_memory(struct client *c) {
    client_out_of_memory(c);
    return CLIENT_TAKEN_LAST;
}

enum client_taken client_fail_with(struct client *c, int error, const char *detail) {
    struct buf *out;
    struct request *r = client_open_answer(c, &out);
    if (out == NULL)
        return out_of_memory(c);
    reply_error(out, (enum reply_error)error, detail);
    stats_add(&c->env->stats[PROXY_STAT_ERRORS], 1);
    client_close_reply(c, r, false);
    return CLIENT_TAKEN;
}

enum client_taken client_fail(struct client *c, int error) {
    return client_fail_with(c, error, NULL);
}

enum client_taken client_fail_number(struct client *c, int error, uint64_t n) {
    char detail[24];
    snprintf(detail, sizeof(detail), "%llu", (unsigned long long)n);
    return client_fail_with(c, error, detail);
}

enum client_taken client_say(struct client *c, const char *status) {
    struct buf *out;
    struct request *r = client_open_answer(c, &out);
    if (out == NULL)
        return out_of_memory(c);
    resp_write_status(out, status);
    client_close_reply(c, r, false);
    return CLIENT_TAKEN;
}

static enum client_taken refuse(struct client *c, const struct resp_request *in, int id) {
    struct buf *out;
    if (id == COMMAND_TX_EXEC) { /* as Redis: it ends the transaction all the same */
        multi_clear(&c->multi);
        return client_fail(c, REPLY_EXEC_ARITY);
    }
    struct request *r = client_open_answer(c, &out);
    if (out == NULL)
        return out_of_memory(c);
    if (id < 0)
        reply_unknown_command(out, in->argv, in->argc);
    else
        reply_wrong_arity(out, command_row(id)->name);
    if (id >= 0 && c->env->timing != NULL)
        stats_add(&c->env->timing->rows[id].rejected, 1);
    stats_add(&c->env->stats[PROXY_STAT_ERRORS], 1);
    c->multi.broken = c->multi.open;
    client_close_reply(c, r, false);
    return CLIENT_TAKEN;
}

static enum client_taken execute_local(struct client *c, const struct resp_request *in, int id) {
    struct buf *out;
    struct request *r = client_open_answer(c, &out);
    if (out == NULL)
        return out_of_memory(c);
    unsigned failures = c->local.rights.failures;
    bool hears = false; /* by now, what it missed */
    if (c->env->timing != NULL)
        stats_add(&c->env->timing->rows[id].calls, 1);
    enum local_result result =
        local_execute(c->env->server, &c->local, conn_loop_now_us(c->env->loop) / 1000, id,
                      in->argv, in->argc, out);
    if (id == COMMAND_AUTH || id == COMMAND_HELLO || id == COMMAND_RESET) {
        stats_add(&c->env->stats[PROXY_STAT_DENIED_AUTH], c->local.rights.failures > failures);
        client_auth_changed(c);
        hears = c->missed;
    }
    if (r != NULL && id == COMMAND_CLIENT && !client_mutes(c))
        r->is_muted = false; /* CLIENT REPLY ON is answered */
    c->ended = c->ended || result == LOCAL_CLOSE;
    client_close_reply(c, r, result == LOCAL_CLOSE);
    if (hears)
        client_redirect_hears(c);
    return result == LOCAL_CLOSE ? CLIENT_TAKEN_LAST : CLIENT_TAKEN;
}

/* It has been given all that it may have waiting: requests, and replies that it has not read; or
 * there is a pause: the mask brings that into the same comparison. */
static bool may_be_full(const struct client *c, size_t mask) {
    return c->queued >= c->env->conf->pipeline_max ||
           ((conn_out_len(c->conn) + c->held_bytes) | mask) > CLIENT_OUT_HIGH_BYTES;
}

static bool is_held_back(struct client *c, const struct resp_request *in) {
    return may_be_full(c, 0) || client_is_paused(c, in);
}

/* The hash of a first argument that the next request likely has. Only within one read. */
struct ahead {
    struct span argument;
    uint64_t hash;
};

static uint64_t first_hash(const struct resp_request *in, const struct ahead *known) {
    bool is_known =
        in->argv[1].ptr == known->argument.ptr && in->argv[1].len == known->argument.len;
    return is_known ? known->hash : hash_ring(in->argv[1]);
}

/* In a pipeline most requests begin like the one before: if the next one does, what the way to its
 * node reads, which may be in no cache, is fetched while this one is executed. */
static void look_ahead(const struct client *c, const struct resp_request *in, struct span left,
                       struct ahead *ahead) {
    if (in->argc < 2 || in->is_inline || left.len == in->size)
        return;
    struct span key = in->argv[1];
    size_t before = (size_t)(key.ptr - left.ptr);
    if (left.len < in->size + before + key.len ||
        memcmp(left.ptr, left.ptr + in->size, before) != 0)
        return;
    ahead->argument = span_of(key.ptr + in->size, key.len);
    ahead->hash = hash_ring(ahead->argument);
    topology_prefetch(c->env->topology, ahead->hash);
}

static enum client_taken execute(struct client *c, const struct resp_request *in, const char *raw,
                                 const struct ahead *known) {
    if (may_be_full(c, pause_mask(c->env->pause)) && is_held_back(c, in))
        return CLIENT_HELD;
    int id = command_find(in->argv[0]);
    const struct command *row = id < 0 ? NULL : command_row(id);
    if (row == NULL || (row->flags & COMMAND_LINK) != 0 ||
        (!command_arity_ok(id, in->argc) && !(c->multi.open && command_arity_late(id, in->argc))))
        return refuse(c, in, row == NULL || (row->flags & COMMAND_LINK) != 0 ? -1 : id);
    if (c->limited && client_forbids(c, id, in)) {
        c->multi.broken = c->multi.open;
        return c->ended ? CLIENT_TAKEN_LAST : CLIENT_TAKEN;
    }
    if (client_is_subscribed(c) && client_subscribed_forbids(c, in, id)) {
        c->multi.broken = c->multi.open;
        return CLIENT_TAKEN;
    }
    stats_set(&c->local.last_command, (uint64_t)id);
    if (c->list->until_sample-- == 0)
        client_sample(c, row, in);
    if (client_multi_concerns(c, id)) {
        enum client_taken taken = client_multi(c, in, id);
        client_weigh(c);
        if (taken != CLIENT_PASSED)
            return taken;
    }
    if (client_subscribes(id))
        return client_subscribe(c, in, id);
    if ((row->flags & COMMAND_LOCAL) != 0 ||
        (row->subcommands != NULL && local_takes(id, in->argv, in->argc)))
        return execute_local(c, in, id);
    bool is_write = (row->flags & COMMAND_WRITE) != 0;
    bool is_multi =
        (row->flags & COMMAND_MULTI) != 0 && in->argc > (unsigned)(row->first_key + row->key_step);
    bool is_all = row->first_key == 0; /* no key: all of them matter */
    uint64_t hash = row->first_key == 1 ? first_hash(in, known) : forward_hash(id, in->argv);
    if (must_wait(c, is_write, is_multi || is_all, hash)) {
        stats_add(&c->env->stats[PROXY_STAT_WAITED], c->stalled ? 0 : 1);
        return CLIENT_NOT_YET;
    }
    if (c->env->near != NULL && client_gives_copy(c, in, id, hash))
        return CLIENT_TAKEN;
    struct request *r = request_open(c, id);
    if (r == NULL)
        return out_of_memory(c);
    r->is_write = is_write;
    r->is_multi = is_multi;
    r->is_all = is_all;
    r->entry.hash = hash;
    r->start_us = conn_loop_now_us(c->env->loop);
    r->argc = in->argc;
    if (row->first_key != 0 && c->env->conf->slowlog_log_slower_than >= 0)
        slowlog_key_set(&r->key, in->argv[row->first_key]);
    if (c->tracking.on)
        client_track(c, id, in->argv, in->argc);
    if (c->env->near != NULL)
        client_asks(c, r, in);
    if (is_write)
        c->open_writes++;
    else
        c->open_reads++;
    if (is_all && c->limited)
        client_forward_scoped(c, r, in, span_of(raw, in->size));
    else
        forward_request(c->env, r, in, span_of(raw, in->size));
    return CLIENT_TAKEN;
}

static void protocol_error(struct client *c, const char *why) {
    struct buf *out;
    struct request *r = client_open_reply(c, &out);
    stats_add(&c->env->stats[PROXY_STAT_PROTOCOL_ERRORS], 1);
    c->ended = true;
    if (out == NULL) {
        out_of_memory(c);
        return;
    }
    reply_error(out, REPLY_PROTOCOL, why);
    client_close_reply(c, r, true);
}

/* A browser, or somebody who makes one talk to us. */
static bool is_http(const struct resp_request *in) {
    return in->is_inline &&
           (span_equal_nocase(in->argv[0], SPAN("POST")) ||
            span_equal_nocase(in->argv[0], SPAN("GET")) ||
            span_equal_nocase(in->argv[0], SPAN("Host:"))) &&
           (in->argv[0].ptr[in->argv[0].len - 1] == ':' || in->argv[0].len == 4 ||
            (in->argc == 3 && in->argv[2].len > 5 && memcmp(in->argv[2].ptr, "HTTP/", 5) == 0));
}

size_t client_on_read(void *ctx, const char *data, size_t len) {
    struct client *c = ctx;
    const struct proxy_env *env = c->env;
    size_t used = 0;
    uint64_t commands = 0;
    bool stalled = false;
    enum client_taken taken = CLIENT_TAKEN;
    struct ahead ahead = {.argument = {NULL, 0}};
    while (used < len && taken == CLIENT_TAKEN && !c->ended) {
        struct resp_request in = {0};
        enum resp_result result =
            resp_parse_request(&c->parser, data + used, len - used,
                               c->waits ? &c->list->limits_before_auth : &c->list->limits, &in);
        if (result == RESP_PARTIAL)
            break;
        if (result == RESP_ERROR) {
            protocol_error(c, c->parser.error);
            break;
        }
        if (in.argc != 0 && is_http(&in)) {
            log_event(LOG_LEVEL_WARN, "client_speaks_http", "addr=%s", c->local.addr);
            protocol_error(c, "this is no HTTP server");
            break;
        }
        const struct ahead known = ahead;
        look_ahead(c, &in, span_of(data + used, len - used), &ahead);
        if (in.argc != 0)
            taken = execute(c, &in, data + used, &known);
        stalled = taken == CLIENT_NOT_YET || taken == CLIENT_HELD;
        c->seen = taken == CLIENT_NOT_YET || (taken == CLIENT_HELD && c->seen);
        if (stalled)
            break;
        used += in.size;
        commands++;
        if (c->local.reply >= LOCAL_REPLY_SKIP) /* SKIP, SKIPS, ON */
            c->local.reply =
                c->local.reply == LOCAL_REPLY_SKIP ? LOCAL_REPLY_SKIPS : LOCAL_REPLY_ON;
    }
    stats_add(&env->stats[PROXY_STAT_COMMANDS], commands);
    stats_add(&env->stats[PROXY_STAT_BYTES_IN], used);
    client_count_out(c);
    if (commands != 0) {
        stats_set(&c->local.last_mono_ms, (uint64_t)(conn_loop_now_us(env->loop) / 1000));
        stats_add(&c->local.commands, commands);
    }
    c->unparsed = c->ended ? 0 : len - used;
    if (commands != 0)
        client_finish_drained(c);
    if (c->ended)
        return len;
    c->stalled = stalled;
    if (stalled)
        conn_pause(c->conn);
    else
        conn_resume(c->conn);
    return used;
}
