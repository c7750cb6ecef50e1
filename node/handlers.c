#include "handlers.h"

#include <stdlib.h>

#include "../common/command.h"
#include "../common/conn.h"
#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "cache.h"
#include "node_conf.h"
#include "op.h"
#include "server.h"
#include "session.h"
#include "store.h"
#include "through.h"

static void on_row(struct through_read *read, enum through_status status, struct span value,
                   const char *detail);

void handlers_fail(struct session *session, int error, const char *detail) {
    session_server(session)->errors++;
    reply_error(session_out(session), (enum reply_error)error, detail);
}

int handlers_error_of(int through_status) {
    switch ((enum through_status)through_status) {
    case THROUGH_DBDOWN:
        return REPLY_DBDOWN;
    case THROUGH_BUSY:
        return REPLY_BUSY;
    case THROUGH_LOCKED:
        return REPLY_LOCKED;
    case THROUGH_TIMEOUT:
        return REPLY_TIMEOUT;
    case THROUGH_UNCERTAIN:
        return REPLY_UNCERTAIN;
    case THROUGH_REFUSED:
        return REPLY_REFUSED;
    case THROUGH_VALUE:
    case THROUGH_ABSENT:
    case THROUGH_PENDING:
    case THROUGH_DONE:
        break;
    }
    return REPLY_INTERNAL;
}

int handlers_check_key(struct session *session, struct span key) {
    const struct node_conf *conf = session_server(session)->conf;
    if (key.len != 0 && key.len <= (size_t)conf->key_bytes_max && span_is_text(key))
        return 1;
    session_server(session)->errors++;
    if (key.len == 0)
        reply_error(session_out(session), REPLY_KEY_EMPTY, NULL);
    else if (key.len > (size_t)conf->key_bytes_max)
        reply_error_number(session_out(session), REPLY_KEY_LONG, (uint64_t)conf->key_bytes_max);
    else
        reply_error(session_out(session), REPLY_KEY_NOT_TEXT, NULL);
    return 0;
}

/* ---- reads ---- */

/* One key's part of the reply; what only counts adds to `sum`. */
static void write_piece(struct buf *out, int command, int proto, enum through_status status,
                        struct span value, int64_t *sum) {
    bool present = status == THROUGH_VALUE;
    *sum += present;
    switch (command) {
    case COMMAND_GET:
    case COMMAND_MGET:
        if (present)
            resp_write_bulk(out, value);
        else
            resp_write_null(out, proto);
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
    read->waits = false;
    if (status == THROUGH_VALUE || status == THROUGH_ABSENT ||
        (PLANTED(nil_in_mget_for_failure) && op->command == COMMAND_MGET))
        write_piece(&read->piece, op->command, op->proto, status, value, &op->sum);
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
static bool keep_piece(struct op *op, enum through_status status, struct span value) {
    struct op_read *read = only_counts(op->command) ? NULL : calloc(1, sizeof(*read));
    struct buf unused;
    if (only_counts(op->command)) {
        buf_init(&unused, 0);
        write_piece(&unused, op->command, op->proto, status, value, &op->sum);
        return true;
    }
    if (read == NULL)
        return false;
    read->op = op;
    write_piece(&read->piece, op->command, op->proto, status, value, &op->sum);
    *(op->last != NULL ? &op->last->next : &op->first) = read;
    op->last = read;
    return true;
}

/* The first key that waits: what was written of the reply moves into the op. */
static struct op *begin_op(struct session *session, int command, uint32_t keys, size_t pieces_from,
                           int64_t sum) {
    struct buf *out = session_out(session);
    struct op *op = op_new(session, command);
    if (op == NULL)
        return NULL;
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
    int command;
    uint32_t count;
    int64_t now_mono_ms;
    struct buf *out;
    size_t start, pieces; /* counted from the head: the buffer may move */
    int64_t sum;
    struct op *op; /* from the first key on that waits */
};

/* Not in memory. Returns the error that ends the whole, or -1. */
static int fetch_key(struct reading *r, struct span key, uint64_t hash) {
    struct server *server = session_server(r->session);
    struct op_read *read = spare_read(server);
    struct span value = SPAN("");
    if (read == NULL)
        return REPLY_OOM;
    *read = (struct op_read){.read = {.key = key, .hash = hash, .done = on_row}};
    enum through_status status =
        through_fetch(server->through, r->now_mono_ms, &read->read, &value);
    if (status == THROUGH_VALUE || status == THROUGH_ABSENT) { /* an old copy */
        if (r->op == NULL)
            write_piece(r->out, r->command, session_proto(r->session), status, value, &r->sum);
        else if (!keep_piece(r->op, status, value))
            return REPLY_OOM;
        return -1;
    }
    if (status != THROUGH_PENDING)
        return handlers_error_of(status);
    if (r->op == NULL)
        r->op = begin_op(r->session, r->command, r->count, r->out->head + r->pieces, r->sum);
    if (r->op == NULL || !keep_read(server, r->op, read)) {
        through_get_cancel(server->through, &read->read);
        return REPLY_OOM;
    }
    return -1;
}

static int read_key(struct reading *r, struct span key, uint64_t hash) {
    struct span value = SPAN("");
    enum through_status status =
        through_hit(session_server(r->session)->through, r->now_mono_ms, key, hash, &value);
    if (status == THROUGH_PENDING)
        return fetch_key(r, key, hash);
    if (r->op == NULL)
        write_piece(r->out, r->command, session_proto(r->session), status, value, &r->sum);
    else if (!keep_piece(r->op, status, value))
        return REPLY_OOM;
    return -1;
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
    } else if (only_counts(r->command)) {
        resp_write_int(r->out, r->sum);
    }
}

static struct reading begin_reading(struct session *session, int command, uint32_t count) {
    struct buf *out = session_out(session);
    struct reading r = {.session = session,
                        .command = command,
                        .count = count,
                        .now_mono_ms = conn_loop_now_us(session_server(session)->loop) / 1000,
                        .out = out,
                        .start = buf_len(out)};
    if (command == COMMAND_MGET)
        resp_write_array(out, count);
    r.pieces = buf_len(out);
    return r;
}

static void read_keys(struct session *session, int command, const struct span *keys,
                      uint32_t count) {
    struct reading r = begin_reading(session, command, count);
    uint64_t hashes[HANDLERS_GETS_MAX];
    int error = -1;
    for (uint32_t i = 0; i < count && error < 0; i++) {
        if (i % HANDLERS_GETS_MAX == 0)
            hash_keys(session_server(session), keys + i,
                      count - i < HANDLERS_GETS_MAX ? count - i : HANDLERS_GETS_MAX, hashes);
        error = read_key(&r, keys[i], hashes[i % HANDLERS_GETS_MAX]);
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

/* ---- the number of rows ---- */

struct count_op {
    struct store_count count;
    struct op *op;
};

static void on_count(struct store_count *count, enum store_status status, int64_t rows) {
    struct op *op = ((struct count_op *)count)->op;
    if (op->session != NULL) {
        struct buf *out = session_late(op);
        if (status == STORE_OK)
            resp_write_int(out, rows);
        else
            reply_error(out, REPLY_DBDOWN, NULL);
        session_late_done(op);
    }
    op->write.keys = NULL;
    op_free(op);
    free(count);
}

static void dbsize(struct session *session) {
    struct count_op *c = calloc(1, sizeof(*c));
    struct op *op = op_new(session, COMMAND_DBSIZE);
    if (c == NULL || op == NULL) {
        free(c);
        free(op);
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    static const struct span NOT_CANCELLED = {"", 0};
    op->write.keys = &NOT_CANCELLED; /* as a write: it outlives its session until the answer */
    c->op = op;
    c->count.done = on_count;
    enum store_status status = store_count(session_server(session)->store, &c->count);
    if (status == STORE_OK) {
        session_defer(session, op);
        return;
    }
    free(c);
    op_free(op);
    handlers_fail(session, REPLY_DBDOWN, NULL);
}

/* ---- all commands ---- */

static void drop_keys(struct session *session, const struct span *keys, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        through_drop(session_server(session)->through, keys[i]);
    resp_write_int(session_out(session), count);
}

void handlers_execute(struct session *session, const struct span *argv, uint32_t argc) {
    int id = command_find(argv[0]);
    if (id < 0) {
        session_server(session)->errors++;
        reply_unknown_command(session_out(session), argv, argc);
        return;
    }
    const struct command *row = command_row(id);
    if (!command_arity_ok(id, argc)) {
        session_server(session)->errors++;
        reply_wrong_arity(session_out(session), row->name);
        return;
    }
    if ((row->flags & COMMAND_LOCAL) != 0) {
        handlers_local(session, id, argv, argc);
        return;
    }
    for (uint32_t i = (uint32_t)row->first_key; row->first_key != 0 && i < argc;
         i += (uint32_t)row->key_step) {
        if (!handlers_check_key(session, argv[i]))
            return;
        if (row->last_key == row->first_key)
            break;
    }
    if ((row->flags & COMMAND_WRITE) != 0)
        handlers_write(session, id, argv, argc);
    else if (id == COMMAND_DBSIZE)
        dbsize(session);
    else if (id == COMMAND_RF_DROP)
        drop_keys(session, argv + 1, argc - 1);
    else
        read_keys(session, id, argv + 1, argc - 1);
}
