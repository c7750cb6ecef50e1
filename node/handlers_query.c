/* Commands that ask the table itself, past the cache. */
#include <stdlib.h>

#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "handlers.h"
#include "op.h"
#include "scope.h"
#include "server.h"
#include "session.h"
#include "store.h"

/* A question with its asker and a copy of its key. */
struct asked {
    struct store_query query;
    struct op *op;
    char key[];
};

static void write_expire_time(int command, const struct store_answer *a, struct buf *out) {
    int64_t ms = !a->live ? -2 : a->expires_ms;
    if (command == COMMAND_EXPIRETIME && ms >= 0)
        ms = (ms + 500) / 1000;
    resp_write_int(out, ms);
}

static void write_row(const struct store_answer *a, int proto, struct buf *out) {
    if (!a->found) {
        resp_write_null(out, proto);
        return;
    }
    resp_write_map(out, 5, proto);
    resp_write_bulk(out, SPAN("payload"));
    resp_write_bulk(out, a->payload);
    resp_write_bulk(out, SPAN("version"));
    resp_write_int(out, (int64_t)a->version);
    resp_write_bulk(out, SPAN("active"));
    resp_write_int(out, a->active);
    resp_write_bulk(out, SPAN("updated_at"));
    resp_write_int(out, a->updated_ms);
    resp_write_bulk(out, SPAN("expires_at"));
    resp_write_int(out, a->expires_ms);
}

static void write_answer(const struct op *op, const struct store_answer *a, struct buf *out) {
    switch (op->command) {
    case COMMAND_DBSIZE:
        resp_write_int(out, a->count);
        return;
    case COMMAND_EXPIRETIME:
    case COMMAND_PEXPIRETIME:
        write_expire_time(op->command, a, out);
        return;
    case COMMAND_RF_VERSION:
        resp_write_array(out, 2);
        resp_write_int(out, (int64_t)a->version);
        resp_write_int(out, a->live);
        return;
    case COMMAND_RF_GET:
        write_row(a, op->proto, out);
        return;
    }
}

static void on_answer(struct store_query *query, enum store_status status,
                      const struct store_answer *answer) {
    struct asked *asked = (struct asked *)query;
    struct op *op = asked->op;
    if (op->session != NULL) {
        struct buf *out = session_late(op);
        if (status == STORE_OK) {
            write_answer(op, answer, out);
        } else {
            session_server(op->session)->errors++;
            reply_error(out, status == STORE_BUSY ? REPLY_BUSY : REPLY_DBDOWN, NULL);
        }
        session_late_done(op);
    }
    op->outlives_session = false;
    op_free(op);
    free(asked);
}

static enum store_question question_of(int id) {
    return id == COMMAND_DBSIZE ? STORE_COUNT_ROWS : STORE_WHOLE_ROW;
}

void handlers_query(struct session *session, int id, const struct span *argv, uint32_t argc) {
    struct span key = command_row(id)->first_key != 0 ? argv[1] : SPAN("");
    if (key.len == 0 && id != COMMAND_DBSIZE) {
        handlers_scan(session, id, &(struct scope){0}, argv, argc);
        return;
    }
    struct asked *asked = calloc(1, sizeof(*asked) + key.len);
    struct op *op = op_new(session, id);
    if (asked == NULL || op == NULL) {
        free(asked);
        free(op);
        handlers_fail(session, REPLY_OOM, NULL);
        return;
    }
    memcpy(asked->key, key.ptr, key.len);
    asked->op = op;
    asked->query = (struct store_query){
        .question = question_of(id), .key = span_of(asked->key, key.len), .done = on_answer};
    op->outlives_session = true;
    enum store_status status = store_ask(session_server(session)->store, &asked->query);
    if (status == STORE_OK) {
        session_defer(session, op);
        return;
    }
    free(asked);
    op_free(op);
    handlers_fail(session, status == STORE_BUSY ? REPLY_BUSY : REPLY_DBDOWN, NULL);
}
