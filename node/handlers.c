#include "handlers.h"

#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "node_conf.h"
#include "server.h"
#include "session.h"
#include "through.h"
#include "wish.h"

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
    bool fine = wish_check_key(session_server(session)->conf, key, session_out(session));
    session_server(session)->errors += !fine;
    return fine;
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
    uint32_t end = command_key_end(row, argc);
    for (uint32_t i = (uint32_t)row->first_key; i < end && i < argc; i += (uint32_t)row->key_step) {
        if (!handlers_check_key(session, argv[i]))
            return;
    }
    if (id == COMMAND_RF_EXEC)
        handlers_exec(session, argv[1], argv[2]);
    else if (id == COMMAND_RF_SCOPE)
        handlers_scoped(session, argv, argc);
    else if ((row->flags & COMMAND_TABLE) != 0)
        handlers_query(session, id, argv, argc);
    else if ((row->flags & COMMAND_WRITE) != 0)
        handlers_write(session, id, argv, argc);
    else if (id == COMMAND_RF_DROP)
        drop_keys(session, argv + 1, argc - 1);
    else
        handlers_read(session, id, argv, argc);
}
