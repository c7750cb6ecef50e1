/* Commands without keys, as far as somebody with redis-cli on a node's port needs them. */
#include <stdio.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/clock.h"
#include "../common/command.h"
#include "../common/conf.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "../common/version.h"
#include "handlers.h"
#include "node_conf.h"
#include "server.h"
#include "session.h"
#include "status.h"
#include "through.h"

static void bulk(struct buf *out, const char *text) {
    resp_write_bulk(out, span_str(text));
}

static void hello(struct session *session, const struct span *argv, uint32_t argc) {
    int64_t proto = session_proto(session);
    if (argc > 1 && (!span_to_int64(argv[1], &proto) || proto < 2 || proto > 3)) {
        handlers_fail(session, REPLY_NOPROTO, NULL);
        return;
    }
    if (argc > 2) {
        handlers_fail(session, REPLY_SYNTAX, NULL);
        return;
    }
    session_set_proto(session, (int)proto);
    struct buf *out = session_out(session);
    resp_write_map(out, 5, (int)proto);
    bulk(out, "server");
    bulk(out, "ringfence-node");
    bulk(out, "version");
    bulk(out, RINGFENCE_VERSION);
    bulk(out, "proto");
    resp_write_int(out, proto);
    bulk(out, "id");
    resp_write_int(out, (int64_t)session_id(session));
    bulk(out, "node");
    bulk(out, session_server(session)->conf->name);
}

static void client(struct session *session, const struct span *argv, uint32_t argc) {
    struct buf *out = session_out(session);
    if (span_equal_nocase(argv[1], SPAN("ID")))
        resp_write_int(out, (int64_t)session_id(session));
    else if (span_equal_nocase(argv[1], SPAN("GETNAME")))
        resp_write_null(out, session_proto(session));
    else if (span_equal_nocase(argv[1], SPAN("SETNAME")) ||
             span_equal_nocase(argv[1], SPAN("SETINFO")))
        resp_write_status(out, "OK");
    else
        reply_unknown_subcommand(out, "client", argv[1]);
}

static void config(struct session *session, const struct span *argv, uint32_t argc) {
    struct buf *out = session_out(session);
    size_t count;
    const struct conf_row *rows = node_conf_rows(&count);
    if (argc != 3 || !span_equal_nocase(argv[1], SPAN("GET"))) {
        reply_unknown_subcommand(out, "config", argv[1]);
        return;
    }
    bool all = span_equal(argv[2], SPAN("*"));
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += all || span_equal_nocase(argv[2], span_str(rows[i].name));
    resp_write_map(out, found, session_proto(session));
    for (size_t i = 0; i < count; i++) {
        char value[512];
        if (!all && !span_equal_nocase(argv[2], span_str(rows[i].name)))
            continue;
        conf_get(&rows[i], session_server(session)->conf, value, sizeof(value));
        bulk(out, rows[i].name);
        bulk(out, value);
    }
}

static void time_now(struct buf *out) {
    char text[24];
    int64_t now_us = clock_wall_us();
    resp_write_array(out, 2);
    snprintf(text, sizeof(text), "%lld", (long long)(now_us / 1000000));
    bulk(out, text);
    snprintf(text, sizeof(text), "%lld", (long long)(now_us % 1000000));
    bulk(out, text);
}

static void text_reply(struct session *session, int id, struct span section) {
    struct buf text;
    buf_init(&text, 0);
    if (id == COMMAND_INFO)
        status_info(session_server(session), section, &text);
    else
        status_lines(session_server(session), &text);
    struct span whole = span_of(text.data + text.head, buf_len(&text));
    if (id == COMMAND_INFO)
        resp_write_verbatim(session_out(session), whole, session_proto(session));
    else
        resp_write_bulk(session_out(session), whole);
    buf_release(&text);
}

static void select_db(struct session *session, struct span index) {
    int64_t n;
    if (!span_to_int64(index, &n))
        handlers_fail(session, REPLY_NOT_INTEGER, NULL);
    else if (n != 0)
        handlers_fail(session, REPLY_DB_INDEX, NULL);
    else
        resp_write_status(session_out(session), "OK");
}

void handlers_local(struct session *session, int id, const struct span *argv, uint32_t argc) {
    struct buf *out = session_out(session);
    switch (id) {
    case COMMAND_PING:
        if (argc > 1)
            resp_write_bulk(out, argv[1]);
        else
            resp_write_status(out, "PONG");
        return;
    case COMMAND_ECHO:
        resp_write_bulk(out, argv[1]);
        return;
    case COMMAND_AUTH:
        handlers_fail(session, REPLY_NO_PASSWORD, NULL);
        return;
    case COMMAND_QUIT:
        resp_write_status(out, "OK");
        session_end(session);
        return;
    case COMMAND_RESET:
        session_set_proto(session, 2);
        resp_write_status(out, "RESET");
        return;
    case COMMAND_SELECT:
        select_db(session, argv[1]);
        return;
    case COMMAND_HELLO:
        hello(session, argv, argc);
        return;
    case COMMAND_CLIENT:
        client(session, argv, argc);
        return;
    case COMMAND_COMMAND:
        resp_write_array(out, 0); /* the proxy knows them all */
        return;
    case COMMAND_CONFIG:
        config(session, argv, argc);
        return;
    case COMMAND_TIME:
        time_now(out);
        return;
    case COMMAND_INFO:
    case COMMAND_RF_STATUS:
        text_reply(session, id, argc > 1 ? argv[1] : SPAN(""));
        return;
    case COMMAND_RF_WATCH:
        session_watch(session, span_equal(argv[1], SPAN("1")),
                      argc > 2 && span_equal(argv[2], SPAN("VERSIONS")));
        return;
    case COMMAND_RF_DROPALL:
        through_everything(session_server(session)->through);
        resp_write_status(out, "OK");
        return;
    case COMMAND_RF_LINK:
        if (session_server(session)->starting) {
            handlers_fail(session, REPLY_DBDOWN, NULL);
            return;
        }
        session_link(session);
        resp_write_status(out, "OK");
        return;
    }
    session_server(session)->errors++; /* a proxy's business */
    reply_unknown_command(out, argv, argc);
}
