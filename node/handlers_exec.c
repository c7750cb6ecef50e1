/* Transactions: one that changes something is a write of all its keys; one that only reads is a
 * question to the table. Either way the caches forget what it has seen: nobody may answer with
 * something older after it. */
#include <stdlib.h>

#include "../common/command.h"
#include "../common/conn.h"
#include "../common/plant.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "cache.h"
#include "exec.h"
#include "handlers.h"
#include "op.h"
#include "server.h"
#include "session.h"

enum { REPLY_BYTES_MAX = 32 << 20 /* others are answered on the same connection */ };

/* One that is under way. */
struct running {
    struct server *server;
    struct op *op;
    struct exec *exec;
    uint64_t *hashes;
    struct through_write write;
    struct store_query query;
};

static void release(struct running *run) {
    exec_free(&run->exec);
    if (run->op != NULL) {
        run->op->outlives_session = false;
        op_free(run->op);
    }
    free(run->hashes);
    free(run);
}

static void write_done(struct running *run, int proto, const struct store_exec_ack *done,
                       struct buf *out) {
    struct buf reply;
    buf_init(&reply, REPLY_BYTES_MAX);
    if (exec_reply(run->exec, proto, done, &reply)) {
        buf_append(out, buf_head(&reply), buf_len(&reply));
    } else {
        run->server->errors++;
        reply_error_number(out, REPLY_EXEC_REPLY_LONG, REPLY_BYTES_MAX);
    }
    buf_release(&reply);
}

static void tell_versions(const struct running *run, const struct store_exec_ack *done) {
    const struct store_exec *plan = &run->exec->plan;
    uint32_t at = 0;
    for (uint32_t i = 0; i < plan->edits_count; i++) {
        const struct store_write *edit = &plan->edits[i];
        for (uint32_t k = 0; k < edit->count; k++)
            session_wrote(run->op, edit->keys[k], done->versions[at++]);
    }
}

/* Its answer: `done` with THROUGH_DONE. */
static void answer(struct running *run, enum through_status status,
                   const struct store_exec_ack *done, const char *detail) {
    struct op *op = run->op;
    if (op->session == NULL)
        return;
    if (status == THROUGH_DONE && !done->refused)
        tell_versions(run, done);
    struct buf *out = session_late(op);
    if (status != THROUGH_DONE) {
        run->server->errors++;
        reply_error(out, (enum reply_error)handlers_error_of(status), detail);
    } else if (done->refused) {
        resp_write_null(out, op->proto);
    } else {
        write_done(run, op->proto, done, out);
    }
    session_late_done(op);
}

/* ---- one that writes ---- */

static void on_done(struct through_write *write, enum through_status status,
                    const struct store_ack *ack) {
    struct running *run = (struct running *)((char *)write - offsetof(struct running, write));
    if (status == THROUGH_UNCERTAIN && !run->exec->plan.writes)
        status = THROUGH_DBDOWN; /* it changes nothing, done or not */
    answer(run, status, ack != NULL ? ack->exec : NULL, ack != NULL ? ack->detail : NULL);
}

static void on_released(struct through_write *write) {
    release((struct running *)((char *)write - offsetof(struct running, write)));
}

static enum through_status start_write(struct running *run) {
    struct server *server = run->server;
    const struct exec *exec = run->exec;
    run->hashes = calloc(exec->keys_count, sizeof(*run->hashes));
    if (run->hashes == NULL)
        return THROUGH_BUSY;
    for (uint32_t i = 0; i < exec->keys_count; i++)
        run->hashes[i] = cache_hash(server->cache, exec->keys[i]);
    run->write = (struct through_write){.op = STORE_EXEC,
                                        .exec = &exec->plan,
                                        .count = exec->keys_count,
                                        .keys = exec->keys,
                                        .hashes = run->hashes,
                                        .done = on_done,
                                        .released = on_released};
    return through_write(server->through, conn_loop_now_us(server->loop) / 1000, &run->write);
}

/* ---- one that reads ---- */

/* A bug of plant.h: copies instead of what the table has. */
static void plant_copies(const struct running *run, struct store_row *rows) {
    const struct cache *cache = run->server->cache;
    struct cache_item item;
    for (uint32_t i = 0; i < run->exec->keys_count; i++) {
        struct span key = run->exec->keys[i];
        if (rows[i].present && cache_peek(cache, key, cache_hash(cache, key), &item) &&
            !item.absent)
            rows[i].payload = item.value;
    }
}

static void on_rows(struct store_query *query, enum store_status status,
                    const struct store_answer *rows) {
    struct running *run = (struct running *)((char *)query - offsetof(struct running, query));
    const struct exec *exec = run->exec;
    struct store_exec_ack done = {0};
    if (PLANTED(exec_reads_the_cache) && status == STORE_OK)
        plant_copies(run, (struct store_row *)rows->rows);
    for (uint32_t i = 0; i < exec->keys_count; i++)
        through_drop(run->server->through, exec->keys[i]);
    if (status == STORE_OK) {
        done.rows = rows->rows;
        done.refused = !exec_watched(exec, rows->rows);
    }
    answer(run, status == STORE_OK ? THROUGH_DONE : THROUGH_DBDOWN, &done, NULL);
    release(run);
}

static enum through_status start_read(struct running *run) {
    run->query = (struct store_query){.question = STORE_ROWS,
                                      .keys = run->exec->keys,
                                      .count = run->exec->keys_count,
                                      .done = on_rows};
    switch (store_ask(run->server->store, &run->query)) {
    case STORE_OK:
        return THROUGH_PENDING;
    case STORE_BUSY:
        return THROUGH_BUSY;
    default:
        return THROUGH_DBDOWN;
    }
}

/* ---- all ---- */

static struct running *make(struct session *session, struct exec *exec) {
    struct running *run = calloc(1, sizeof(*run));
    struct op *op = op_new(session, COMMAND_RF_EXEC);
    if (run == NULL || op == NULL) {
        free(run);
        free(op);
        return NULL;
    }
    op->outlives_session = true;
    run->server = session_server(session);
    run->op = op;
    run->exec = exec;
    return run;
}

void handlers_exec(struct session *session, struct span watches, struct span commands) {
    struct server *server = session_server(session);
    struct exec *exec = exec_parse(server->conf, watches, commands, session_out(session));
    if (exec == NULL) {
        server->errors++;
        return;
    }
    struct running *run = make(session, exec);
    if (run == NULL) {
        exec_free(&exec);
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    if (exec->keys_count == 0) { /* every command is an error by itself */
        const struct store_exec_ack nothing = {0};
        write_done(run, session_proto(session), &nothing, session_out(session));
        release(run);
        return;
    }
    enum through_status status = exec->plan.edits_count != 0 ? start_write(run) : start_read(run);
    if (status == THROUGH_PENDING) {
        session_defer(session, run->op);
        return;
    }
    release(run);
    handlers_fail(session, handlers_error_of(status), NULL);
}
