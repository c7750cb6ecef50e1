/* Commands that ask the table itself, past the cache. */
#include <stdlib.h>

#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "handlers.h"
#include "look.h"
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

static void on_answer(struct store_query *query, enum store_status status,
                      const struct store_answer *answer) {
    struct asked *asked = (struct asked *)query;
    struct op *op = asked->op;
    if (op->session != NULL) {
        struct buf *out = session_late(op);
        if (status == STORE_OK) {
            if (op->command == COMMAND_DBSIZE)
                resp_write_int(out, answer->count);
            else
                look_reply(op->command, op->proto, answer, out);
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
