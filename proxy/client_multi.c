/* Transactions of clients: what MULTI, EXEC and the like mean, and what follows a MULTI. Reads of a
 * client that watches keys come from the table too: a copy that a cache holds could be older than
 * what WATCH saw, and EXEC would not notice. */
#include <stdio.h>
#include <stdlib.h>

#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "client_private.h"
#include "forward.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "rights.h"
#include "transaction.h"

/* An EXEC under way, or a read that comes from the table. */
struct running {
    struct client *client;
    struct request *request;
    struct buf commands;    /* all of them */
    uint32_t count, remote; /* those that a node runs */
    bool is_read;           /* one command, and its reply alone */
};

/* ---- the answer ---- */

/* We answer it: no node has to do anything for it, or can. */
static bool is_ours(int id, const struct resp_request *in) {
    const struct command *row = command_row(id);
    return (row->flags & COMMAND_LOCAL) != 0 || !command_arity_ok(id, in->argc) ||
           (row->subcommands != NULL && local_takes(id, in->argv, in->argc));
}

/* The elements of an array. Returns where they begin, or NULL if it is not one of `count`. */
static const char *elements(struct span reply, uint32_t count) {
    const char *end = memchr(reply.ptr, '\r', reply.len);
    int64_t n;
    if (end == NULL || reply.ptr[0] != '*' ||
        !span_to_int64(span_of(reply.ptr + 1, (size_t)(end - reply.ptr) - 1), &n) || n != count)
        return NULL;
    return end + 2;
}

static void run_local(struct client *c, int id, const struct resp_request *in, struct buf *out) {
    if (!command_arity_ok(id, in->argc))
        reply_wrong_arity(out, command_row(id)->name);
    else if (id == COMMAND_TX_UNWATCH)
        resp_write_status(out, "OK");
    else
        local_execute(c->env->server, &c->local, conn_loop_now_us(c->env->loop) / 1000, id,
                      in->argv, in->argc, out);
}

static void write_answer(const struct running *run, int id, const struct resp_request *in,
                         struct span reply, struct buf *out) {
    int proto = run->request->proto;
    if (!forward_is_freq(id, in) || reply.ptr[0] == '-')
        forward_copy(out, reply, proto);
    else if (span_equal(reply, SPAN(":1\r\n")))
        resp_write_int(out, forward_freq(run->client->env, in->argv[2]));
    else
        resp_write_null(out, proto);
}

/* Every command's reply in its place: the node's, and our own. */
static bool merge(struct running *run, struct span reply) {
    struct request *r = run->request;
    struct buf *out = request_reply(r);
    const char *at = elements(reply, run->remote);
    if (at == NULL)
        return false;
    if (!run->is_read)
        resp_write_array(out, run->count);
    struct multi_walk walk;
    struct resp_request in = {0};
    multi_walk_begin(&walk, span_of(buf_head(&run->commands), buf_len(&run->commands)));
    while (multi_walk_next(&walk, &in)) {
        int id = command_find(in.argv[0]);
        struct resp_scan scan = {0};
        size_t size = 0;
        if (is_ours(id, &in)) {
            run_local(run->client, id, &in, out);
        } else if (resp_scan_reply(&scan, at, (size_t)(reply.ptr + reply.len - at), &size) ==
                   RESP_OK) { /* it is: all of the reply was measured before */
            write_answer(run, id, &in, span_of(at, size), out);
            at += size;
        }
    }
    multi_walk_end(&walk);
    return true;
}

static void on_done(void *ctx, struct span reply) {
    struct running *run = ctx;
    struct request *r = run->request;
    if (reply.ptr[0] == '-') {
        request_answer(r, reply);
    } else if (reply.ptr[0] == '_') {
        buf_append_span(request_reply(r), r->proto == 3 ? SPAN("_\r\n") : SPAN("*-1\r\n"));
        request_done(r);
    } else if (run->client->dead || merge(run, reply)) {
        request_done(r);
    } else {
        request_fail(r, REPLY_INTERNAL);
    }
    buf_release(&run->commands);
    free(run);
}

/* ---- sending ---- */

static bool add_keys(struct transaction *t, int id, const struct resp_request *in) {
    const struct command *row = command_row(id);
    uint32_t end = command_key_end(row, in->argc);
    for (uint32_t i = (uint32_t)row->first_key; i < end; i += (uint32_t)row->key_step) {
        if (!transaction_key(t, in->argv[i]))
            return false;
    }
    return true;
}

/* What a node has to do of it: keys, and the bytes of its commands. */
static bool sort_out(struct running *run, struct transaction *t, struct buf *remote, bool *writes) {
    struct client *c = run->client;
    enum tracking_caching caching = c->tracking.caching;
    struct multi_walk walk;
    struct resp_request in = {0};
    bool fits = true;
    multi_walk_begin(&walk, span_of(buf_head(&run->commands), buf_len(&run->commands)));
    while (fits && multi_walk_next(&walk, &in)) {
        int id = command_find(in.argv[0]);
        if (is_ours(id, &in))
            continue;
        run->remote++;
        *writes = *writes || (command_row(id)->flags & COMMAND_WRITE) != 0;
        if (forward_is_freq(id, &in))
            forward_exists(&in, remote);
        else
            buf_append(remote, walk.left.ptr - in.size, in.size);
        fits = add_keys(t, id, &in) && !remote->failed;
        c->tracking.caching = caching; /* what was said holds for all of them */
        if (c->tracking.on)
            client_track(c, id, in.argv, in.argc);
    }
    multi_walk_end(&walk);
    return fits;
}

static bool watch_keys(const struct multi *m, struct transaction *t) {
    for (uint32_t i = 0; i < m->watched; i++) {
        if (!transaction_key(t, span_of(m->watches[i].key, m->watches[i].len)))
            return false;
    }
    return true;
}

/* The commands in `run` as request `id` of the client; `watches`: with its watched keys. */
static enum client_taken start(struct client *c, struct running *run, int id,
                               const struct multi *watches) {
    struct buf remote, watched;
    bool writes = false;
    struct transaction *t = transaction_new(c->env, tracking_author(&c->tracking));
    buf_init(&remote, 0);
    buf_init(&watched, 0);
    struct request *r = t == NULL || !sort_out(run, t, &remote, &writes) ||
                                (watches != NULL && !watch_keys(watches, t))
                            ? NULL
                            : request_open(c, id);
    if (r == NULL) {
        transaction_free(&t);
        buf_release(&remote);
        buf_release(&run->commands);
        free(run);
        client_out_of_memory(c);
        return CLIENT_TAKEN_LAST;
    }
    if (watches != NULL && !PLANTED(exec_forgets_watches))
        multi_write_watches(watches, &watched);
    run->request = r;
    r->is_write = writes;
    r->is_multi = r->is_all = true;
    *(writes ? &c->open_writes : &c->open_reads) += 1;
    if (run->remote == 0 && (watches == NULL || watches->watched == 0)) {
        transaction_free(&t);
        on_done(run, SPAN("*0\r\n"));
    } else {
        transaction_send(t, &watched, &remote, writes, on_done, run);
    }
    buf_release(&remote);
    buf_release(&watched);
    return CLIENT_TAKEN;
}

static struct running *make(struct client *c) {
    struct running *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        client_out_of_memory(c);
        return NULL;
    }
    run->client = c;
    buf_init(&run->commands, 0);
    return run;
}

static enum client_taken wait(struct client *c) {
    stats_add(&c->env->stats[PROXY_STAT_WAITED], c->stalled ? 0 : 1);
    return CLIENT_NOT_YET;
}

static bool is_owed(const struct client *c) {
    return c->open_reads + c->open_writes != 0;
}

/* What it may do can have changed since it was queued. */
static bool may_still(const struct client *c) {
    struct multi_walk walk;
    struct resp_request in = {0};
    bool may = true;
    multi_walk_begin(&walk, span_of(buf_head(&c->multi.commands), buf_len(&c->multi.commands)));
    while (may && multi_walk_next(&walk, &in))
        may = rights_judge(&c->local.rights, command_find(in.argv[0]), in.argv, in.argc) ==
              RIGHTS_FINE;
    multi_walk_end(&walk);
    return may;
}

static enum client_taken exec(struct client *c) {
    struct multi *m = &c->multi;
    if (!m->open)
        return client_fail(c, REPLY_EXEC_ALONE);
    if (is_owed(c))
        return wait(c);
    if (m->broken || m->watch_failed || (c->limited && !may_still(c))) {
        multi_clear(m);
        return client_fail(c, REPLY_EXEC_ABORT);
    }
    struct running *run = make(c);
    if (run == NULL)
        return CLIENT_TAKEN_LAST;
    run->commands = m->commands;
    run->count = m->count;
    buf_init(&m->commands, 0);
    struct multi said = *m; /* `c` may be gone before start() returns */
    multi_init(m);
    enum client_taken taken = start(c, run, COMMAND_TX_EXEC, &said);
    multi_clear(&said);
    return taken;
}

static enum client_taken read_table(struct client *c, const struct resp_request *in, int id) {
    if (is_owed(c))
        return wait(c);
    struct running *run = make(c);
    if (run == NULL)
        return CLIENT_TAKEN_LAST;
    resp_write_request(&run->commands, in->argv, in->argc);
    run->count = 1;
    run->is_read = true;
    return start(c, run, id, NULL);
}

/* ---- the commands ---- */

static enum client_taken refuse(struct client *c, const struct buf *error) {
    struct buf *out;
    struct request *r = client_open_answer(c, &out);
    c->multi.broken = true;
    if (out == NULL) {
        client_out_of_memory(c);
        return CLIENT_TAKEN_LAST;
    }
    buf_append_span(out, span_of(buf_head(error), buf_len(error)));
    stats_add(&c->env->stats[PROXY_STAT_ERRORS], 1);
    client_close_reply(c, r, false);
    return CLIENT_TAKEN;
}

static enum client_taken queue(struct client *c, const struct resp_request *in, int id) {
    const struct proxy_conf *conf = c->env->conf;
    const struct multi_limits limits = {.commands_max = (uint32_t)conf->transaction_commands_max,
                                        .bytes_max = (size_t)conf->transaction_bytes_max};
    char detail[48];
    if (!command_in_exec(id)) {
        c->multi.broken = true;
        return client_fail(c, REPLY_NOT_IN_MULTI);
    }
    struct buf error;
    buf_init(&error, 0);
    if (!local_may_queue(c->env->server, &c->local, id, in->argv, in->argc, &error)) {
        enum client_taken taken = refuse(c, &error);
        buf_release(&error);
        return taken;
    }
    switch (multi_queue(&c->multi, &limits, in->argv, in->argc)) {
    case MULTI_OK:
        return client_say(c, "QUEUED");
    case MULTI_NO_MEMORY:
        return client_fail(c, REPLY_OOM);
    case MULTI_TOO_MANY:
        snprintf(detail, sizeof(detail), "%u commands", limits.commands_max);
        return client_fail_with(c, REPLY_MULTI_LONG, detail);
    case MULTI_TOO_LONG:
        snprintf(detail, sizeof(detail), "%zu bytes of commands", limits.bytes_max);
        return client_fail_with(c, REPLY_MULTI_LONG, detail);
    }
    return CLIENT_PASSED;
}

/* DISCARD, UNWATCH, RESET: a WATCH before it must have said what it found. */
static enum client_taken forget(struct client *c, int id) {
    if (c->multi.watches_asked != 0)
        return wait(c);
    multi_clear(&c->multi);
    return id == COMMAND_RESET ? CLIENT_PASSED : client_say(c, "OK");
}

static enum client_taken multi(struct client *c) {
    if (c->multi.open)
        return client_fail(c, REPLY_MULTI_NESTED);
    c->multi.open = true;
    return client_say(c, "OK");
}

static bool reads_keys(int id) {
    unsigned flags = command_row(id)->flags;
    return ((flags & COMMAND_READ) != 0 || id == COMMAND_GETEX) && (flags & COMMAND_TABLE) == 0 &&
           command_in_exec(id);
}

enum client_taken client_multi(struct client *c, const struct resp_request *in, int id) {
    switch (id) {
    case COMMAND_QUIT:
        return CLIENT_PASSED;
    case COMMAND_RESET:
        return forget(c, id);
    case COMMAND_TX_MULTI:
        return multi(c);
    case COMMAND_TX_EXEC:
        return exec(c);
    case COMMAND_TX_DISCARD:
        return c->multi.open ? forget(c, id) : client_fail(c, REPLY_DISCARD_ALONE);
    case COMMAND_TX_WATCH:
        if (c->multi.open)
            return client_fail(c, REPLY_WATCH_IN_MULTI);
        return is_owed(c) ? wait(c) : client_watch(c, in);
    case COMMAND_TX_UNWATCH:
        if (!c->multi.open)
            return forget(c, id);
    }
    if (c->multi.open)
        return queue(c, in, id);
    return reads_keys(id) ? read_table(c, in, id) : CLIENT_PASSED;
}
