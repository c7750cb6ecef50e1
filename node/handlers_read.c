/* Commands that are answered from keys' values: from the cache at once, or late. */
#include <stdlib.h>

#include "../common/command.h"
#include "../common/conn.h"
#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "aspect.h"
#include "cache.h"
#include "handlers.h"
#include "op.h"
#include "range.h"
#include "server.h"
#include "session.h"
#include "through.h"

static void on_row(struct through_read *read, enum through_status status, struct span value,
                   const char *detail);

/* ---- one key's part of the reply ---- */

/* What the pieces of one request have in common. */
struct style {
    int command, proto;
    struct range range;   /* of GETRANGE */
    struct aspect aspect; /* of MEMORY and OBJECT */
    int64_t now_mono_ms;
};

static int64_t ttl_of(const struct style *style, bool present, int64_t expires_mono_ms) {
    if (!present)
        return -2;
    if (expires_mono_ms == 0)
        return -1;
    int64_t left_ms = expires_mono_ms - style->now_mono_ms;
    left_ms = left_ms > 0 ? left_ms : 0;
    return style->command == COMMAND_PTTL ? left_ms : (left_ms + 500) / 1000;
}

/* What only counts adds to `sum`. */
static void write_piece(struct buf *out, const struct style *style, enum through_status status,
                        struct span value, int64_t expires_mono_ms, int64_t *sum) {
    bool present = status == THROUGH_VALUE;
    *sum += present;
    switch (style->command) {
    case COMMAND_GET:
    case COMMAND_GETEX:
    case COMMAND_MGET:
        if (present)
            resp_write_bulk(out, value);
        else
            resp_write_null(out, style->proto);
        return;
    case COMMAND_GETRANGE:
    case COMMAND_SUBSTR:
        resp_write_bulk(out, present ? range_of(value, style->range) : SPAN(""));
        return;
    case COMMAND_TTL:
    case COMMAND_PTTL:
        resp_write_int(out, ttl_of(style, present, expires_mono_ms));
        return;
    case COMMAND_MEMORY:
    case COMMAND_OBJECT:
        if (present)
            aspect_write(&style->aspect, value, expires_mono_ms != 0, out);
        else
            resp_write_null(out, style->proto);
        return;
    case COMMAND_STRLEN:
        resp_write_int(out, present ? (int64_t)value.len : 0);
        return;
    case COMMAND_TYPE:
        resp_write_status(out, present ? "string" : "none");
        return;
    }
}

static bool only_counts(int command) {
    return command == COMMAND_EXISTS || command == COMMAND_TOUCH;
}

/* The whole reply of an op whose rows are all here. */
static void write_reply(struct op *op, struct buf *out) {
    if (op->failure >= 0) {
        reply_error(out, (enum reply_error)op->failure, NULL);
        return;
    }
    if (only_counts(op->command)) {
        resp_write_int(out, op->sum);
        return;
    }
    if (op->command == COMMAND_MGET)
        resp_write_array(out, op->keys);
    out->failed = out->failed || op->prefix.failed;
    buf_append(out, op->prefix.data + op->prefix.head, buf_len(&op->prefix));
    for (struct op_read *read = op->first; read != NULL; read = read->next) {
        if (read->piece.failed)
            out->failed = true;
        buf_append(out, read->piece.data + read->piece.head, buf_len(&read->piece));
    }
}

static void on_row(struct through_read *through_read, enum through_status status, struct span value,
                   const char *detail) {
    struct op_read *read =
        (struct op_read *)((char *)through_read - offsetof(struct op_read, read));
    struct op *op = read->op;
    const struct style style = {op->command, op->proto, op->range, op->aspect,
                                conn_loop_now_us(session_server(op->session)->loop) / 1000};
    read->waits = false;
    if (status == THROUGH_VALUE || status == THROUGH_ABSENT ||
        (PLANTED(nil_in_mget_for_failure) && op->command == COMMAND_MGET))
        write_piece(&read->piece, &style, status, value, through_read->expires_mono_ms, &op->sum);
    else if (op->failure < 0)
        op->failure = handlers_error_of(status);
    if (--op->left != 0)
        return;
    write_reply(op, session_late(op));
    session_late_done(op);
    op_free(op);
}

/* The object that the next read is asked with: kept ready, so that a hit allocates nothing. */
static struct op_read *spare_read(struct server *server) {
    if (server->spare == NULL)
        server->spare = calloc(1, sizeof(*server->spare));
    return server->spare;
}

/* The read now waits: it leaves the spare place, with a copy of its key, and joins the op. */
static bool keep_read(struct server *server, struct op *op, struct op_read *read) {
    struct span key = read->read.key;
    read->key = malloc(key.len);
    if (read->key == NULL)
        return false;
    memcpy(read->key, key.ptr, key.len);
    read->read.key = span_of(read->key, key.len);
    read->op = op;
    read->waits = true;
    *(op->last != NULL ? &op->last->next : &op->first) = read;
    op->last = read;
    op->left++;
    server->spare = NULL;
    return true;
}

/* A key that was answered at once, behind one that waits: its piece has its place too. */
static bool keep_piece(struct op *op, const struct style *style, enum through_status status,
                       struct span value, int64_t expires_mono_ms) {
    if (only_counts(op->command)) {
        op->sum += status == THROUGH_VALUE;
        return true;
    }
    struct op_read *read = calloc(1, sizeof(*read));
    if (read == NULL)
        return false;
    read->op = op;
    write_piece(&read->piece, style, status, value, expires_mono_ms, &op->sum);
    *(op->last != NULL ? &op->last->next : &op->first) = read;
    op->last = read;
    return true;
}

/* The first key that waits: what was written of the reply moves into the op. */
static struct op *begin_op(struct session *session, const struct style *style, uint32_t keys,
                           size_t pieces_from, int64_t sum) {
    struct buf *out = session_out(session);
    struct op *op = op_new(session, style->command);
    if (op == NULL)
        return NULL;
    op->range = style->range;
    op->aspect = style->aspect;
    op->keys = keys;
    op->sum = sum;
    buf_append(&op->prefix, out->data + pieces_from, out->tail - pieces_from);
    return op;
}

static void cancel_op(struct session *session, struct op *op) {
    if (op == NULL)
        return;
    op->session = session; /* op_abandon() asks it for the server */
    op_abandon(op);
}

/* Hashes of a few keys, with memory on its way: first all buckets, then all entries. */
static void hash_keys(const struct server *server, const struct span *keys, uint32_t count,
                      uint64_t *hashes) {
    for (uint32_t i = 0; i < count; i++) {
        hashes[i] = cache_hash(server->cache, keys[i]);
        if (count > 1)
            cache_prefetch(server->cache, hashes[i]);
    }
    for (uint32_t i = 0; count > 1 && i < count; i++)
        cache_prefetch_entry(server->cache, hashes[i]);
}

/* A reply that is put together: what was written of it, and what waits. */
struct reading {
    struct session *session;
    struct style style;
    uint32_t count;
    struct buf *out;
    size_t start, pieces; /* counted from the head: the buffer may move */
    int64_t sum;
    struct op *op; /* from the first key on that waits */
};

/* A key that is answered at once. Returns the error that ends the whole, or -1. */
static int add_piece(struct reading *r, enum through_status status, struct span value,
                     int64_t expires_mono_ms) {
    if (r->op == NULL)
        write_piece(r->out, &r->style, status, value, expires_mono_ms, &r->sum);
    else if (!keep_piece(r->op, &r->style, status, value, expires_mono_ms))
        return REPLY_OOM;
    return -1;
}

/* Not in memory. Returns the error that ends the whole, or -1. */
static int fetch_key(struct reading *r, struct span key, uint64_t hash) {
    struct server *server = session_server(r->session);
    struct op_read *read = spare_read(server);
    struct span value = SPAN("");
    if (read == NULL)
        return REPLY_OOM;
    *read = (struct op_read){.read = {.key = key, .hash = hash, .done = on_row}};
    enum through_status status =
        through_fetch(server->through, r->style.now_mono_ms, &read->read, &value);
    if (status == THROUGH_VALUE || status == THROUGH_ABSENT) /* an old copy */
        return add_piece(r, status, value, read->read.expires_mono_ms);
    if (status != THROUGH_PENDING)
        return handlers_error_of(status);
    if (r->op == NULL)
        r->op = begin_op(r->session, &r->style, r->count, r->out->head + r->pieces, r->sum);
    if (r->op == NULL || !keep_read(server, r->op, read)) {
        through_get_cancel(server->through, &read->read);
        return REPLY_OOM;
    }
    return -1;
}

static int read_key(struct reading *r, struct span key, uint64_t hash) {
    struct span value = SPAN("");
    int64_t expires_mono_ms = 0;
    enum through_status status =
        through_hit(session_server(r->session)->through, r->style.now_mono_ms, key, hash, &value,
                    &expires_mono_ms);
    return status == THROUGH_PENDING ? fetch_key(r, key, hash)
                                     : add_piece(r, status, value, expires_mono_ms);
}

/* The reply is complete, or what waits is deferred, or `error` (if not -1) takes its place. */
static void end_reading(struct reading *r, int error) {
    if (error >= 0) {
        cancel_op(r->session, r->op);
        r->out->tail = r->out->head + r->start;
        handlers_fail(r->session, error, NULL);
    } else if (r->op != NULL) {
        r->out->tail = r->out->head + r->start;
        session_defer(r->session, r->op);
    } else if (only_counts(r->style.command)) {
        resp_write_int(r->out, r->sum);
    }
}

static struct reading begin_reading(struct session *session, int command, uint32_t count) {
    struct buf *out = session_out(session);
    struct reading r = {
        .session = session,
        .style = {.command = command,
                  .proto = session_proto(session),
                  .now_mono_ms = conn_loop_now_us(session_server(session)->loop) / 1000},
        .count = count,
        .out = out,
        .start = buf_len(out)};
    if (command == COMMAND_MGET)
        resp_write_array(out, count);
    r.pieces = buf_len(out);
    return r;
}

void handlers_read(struct session *session, int id, const struct span *argv, uint32_t argc) {
    uint32_t first = (uint32_t)command_row(id)->first_key;
    uint32_t count = command_row(id)->last_key > 0 ? 1 : argc - first;
    struct reading r = begin_reading(session, id, count);
    uint64_t hashes[HANDLERS_GETS_MAX];
    int error = -1;
    if ((id == COMMAND_GETRANGE || id == COMMAND_SUBSTR) &&
        (!span_to_int64(argv[2], &r.style.range.from) ||
         !span_to_int64(argv[3], &r.style.range.to)))
        error = REPLY_NOT_INTEGER;
    if (aspect_asks(id))
        error = aspect_parse(id, argv, argc, &r.style.aspect);
    for (uint32_t i = 0; i < count && error < 0; i++) {
        if (i % HANDLERS_GETS_MAX == 0)
            hash_keys(session_server(session), argv + first + i,
                      count - i < HANDLERS_GETS_MAX ? count - i : HANDLERS_GETS_MAX, hashes);
        error = read_key(&r, argv[first + i], hashes[i % HANDLERS_GETS_MAX]);
    }
    end_reading(&r, error);
}

uint32_t handlers_gets(struct session *session, const struct span *keys, uint32_t count) {
    uint64_t hashes[HANDLERS_GETS_MAX];
    hash_keys(session_server(session), keys, count, hashes);
    for (uint32_t i = 0; i < count; i++) {
        if (session_waits(session))
            return i;
        session_server(session)->commands++;
        if (!handlers_check_key(session, keys[i]))
            continue;
        struct reading r = begin_reading(session, COMMAND_GET, 1);
        end_reading(&r, read_key(&r, keys[i], hashes[i]));
    }
    return count;
}
