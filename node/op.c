#include "op.h"

#include <stdlib.h>

#include "server.h"
#include "session.h"

struct op *op_new(struct session *session, int command) {
    struct op *op = calloc(1, sizeof(*op));
    if (op == NULL)
        return NULL;
    op->session = session;
    op->command = command;
    op->proto = session_proto(session);
    op->failure = -1;
    return op;
}

void op_free(struct op *op) {
    for (struct op_read *read = op->first, *next; read != NULL; read = next) {
        next = read->next;
        buf_release(&read->piece);
        free(read->key);
        free(read);
    }
    buf_release(&op->prefix);
    free(op->spans);
    free(op);
}

void op_abandon(struct op *op) {
    struct server *server = session_server(op->session);
    op->session = NULL;
    if (op->outlives_session)
        return; /* the last callback frees it */
    for (struct op_read *read = op->first; read != NULL; read = read->next) {
        if (read->waits)
            through_get_cancel(server->through, &read->read);
    }
    op_free(op);
}
