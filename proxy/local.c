#include "local.h"

#include <limits.h>
#include <stdio.h>

#include "../common/buf.h"
#include "../common/clock.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "../common/version.h"
#include "local_private.h"
#include "proxy_conf.h"
#include "registry.h"
#include "tracking.h"

void local_write_int(const struct local_call *call, const char *name, int64_t n) {
    resp_write_bulk(call->out, span_str(name));
    resp_write_int(call->out, n);
}

void local_write_text(const struct local_call *call, const char *name, const char *text) {
    resp_write_bulk(call->out, span_str(name));
    resp_write_bulk(call->out, span_str(text));
}

/* ---- names of clients ---- */

bool local_name_is_clean(struct span name) {
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '!' || name.ptr[i] > '~')
            return false;
    }
    return true;
}

static bool name_fits(const struct local_call *call, struct span name) {
    if (!local_name_is_clean(name))
        reply_error(call->out, REPLY_CLIENT_NAME, NULL);
    else if (name.len >= LOCAL_NAME_BYTES)
        reply_error_number(call->out, REPLY_CLIENT_NAME_LONG, LOCAL_NAME_BYTES - 1);
    else
        return true;
    return false;
}

/* Others read a client's text fields and its protocol in CLIENT LIST: change them under the lock.
 */
static void store_name(const struct local_call *call, struct span name) {
    registry_lock(call->server->registry);
    if (name.len != 0)
        memcpy(call->client->name, name.ptr, name.len);
    call->client->name[name.len] = '\0';
    registry_unlock(call->server->registry);
}

bool local_set_name(const struct local_call *call, struct span name) {
    if (!name_fits(call, name))
        return false;
    store_name(call, name);
    return true;
}

static void store_proto(const struct local_call *call, int proto) {
    registry_lock(call->server->registry);
    call->client->proto = proto;
    registry_unlock(call->server->registry);
}

/* ---- the connection ---- */

static void ping(const struct local_call *call) {
    if (call->argc > 2)
        reply_wrong_arity(call->out, "ping");
    else if (call->argc == 2)
        resp_write_bulk(call->out, call->argv[1]);
    else
        resp_write_status(call->out, "PONG");
}

static void echo(const struct local_call *call) {
    resp_write_bulk(call->out, call->argv[1]);
}

static void select_db(const struct local_call *call) {
    int64_t db;
    if (!span_to_int64(call->argv[1], &db))
        reply_error(call->out, REPLY_NOT_INTEGER, NULL);
    else if (db > INT_MAX || db < INT_MIN)
        reply_error(call->out, REPLY_NOT_INT32, NULL);
    else if (db != 0)
        reply_error(call->out, REPLY_DB_INDEX, NULL);
    else
        resp_write_status(call->out, "OK");
}

static void reset(const struct local_call *call) {
    tracking_stop(call->server->tracking, call->client->tracking);
    store_proto(call, 2);
    store_name(call, span_of(NULL, 0));
    resp_write_status(call->out, "RESET");
}

static void time_of_day(const struct local_call *call) {
    char text[24];
    int64_t now_us = clock_wall_us();
    resp_write_array(call->out, 2);
    int n = snprintf(text, sizeof(text), "%lld", (long long)(now_us / 1000000));
    resp_write_bulk(call->out, span_of(text, (size_t)n));
    n = snprintf(text, sizeof(text), "%lld", (long long)(now_us % 1000000));
    resp_write_bulk(call->out, span_of(text, (size_t)n));
}

/* ---- AUTH and HELLO ---- */

static void auth(const struct local_call *call) {
    if (call->argc == 2)
        reply_error(call->out, REPLY_NO_PASSWORD, NULL);
    else if (call->argc != 3)
        reply_error(call->out, REPLY_SYNTAX, NULL);
    else if (!span_equal(call->argv[1], SPAN("default")))
        reply_error(call->out, REPLY_WRONGPASS, NULL);
    else
        resp_write_status(call->out, "OK");
}

struct hello {
    int proto;
    bool has_name;
    struct span name;
};

/* Like a Redis without passwords: the user "default" gets in with any, and there is no other user.
 */
static bool hello_option(const struct local_call *call, uint32_t *at, struct hello *hello) {
    struct span option = call->argv[*at];
    uint32_t left = call->argc - 1 - *at;
    if (span_equal_nocase(option, SPAN("AUTH")) && left >= 2) {
        *at += 3;
        if (span_equal(call->argv[*at - 2], SPAN("default")))
            return true;
        reply_error(call->out, REPLY_WRONGPASS, NULL);
        return false;
    }
    if (span_equal_nocase(option, SPAN("SETNAME")) && left >= 1) {
        *at += 2;
        hello->has_name = true;
        hello->name = call->argv[*at - 1];
        return name_fits(call, hello->name);
    }
    reply_error_with(call->out, REPLY_HELLO_OPTION, &option, 1);
    return false;
}

static void write_hello(const struct local_call *call) {
    struct buf *out = call->out;
    resp_write_map(out, 8, call->client->proto);
    resp_write_bulk(out, SPAN("server"));
    resp_write_bulk(out, SPAN("redis"));
    resp_write_bulk(out, SPAN("version"));
    resp_write_bulk(out, span_str(call->server->conf->compat_redis_version));
    resp_write_bulk(out, SPAN("proto"));
    resp_write_int(out, call->client->proto);
    resp_write_bulk(out, SPAN("id"));
    resp_write_int(out, (int64_t)call->client->id);
    resp_write_bulk(out, SPAN("mode"));
    resp_write_bulk(out, SPAN("standalone"));
    resp_write_bulk(out, SPAN("role"));
    resp_write_bulk(out, SPAN("master"));
    resp_write_bulk(out, SPAN("modules"));
    resp_write_array(out, 0);
    resp_write_bulk(out, SPAN("ringfence_version"));
    resp_write_bulk(out, SPAN(RINGFENCE_VERSION));
}

/* Nothing changes unless all of it is right. */
static void hello(const struct local_call *call) {
    struct hello hello = {.proto = call->client->proto};
    int64_t proto;
    if (call->argc > 1) {
        if (!span_to_int64(call->argv[1], &proto)) {
            reply_error(call->out, REPLY_HELLO_VERSION, NULL);
            return;
        }
        if (proto != 2 && proto != 3) {
            reply_error(call->out, REPLY_NOPROTO, NULL);
            return;
        }
        hello.proto = (int)proto;
    }
    for (uint32_t at = 2; at < call->argc;) {
        if (!hello_option(call, &at, &hello))
            return;
    }
    if (hello.proto != 3) /* there is no way to push */
        tracking_stop(call->server->tracking, call->client->tracking);
    if (hello.proto != call->client->proto)
        store_proto(call, hello.proto);
    if (hello.has_name)
        store_name(call, hello.name);
    write_hello(call);
}

/* ---- dispatch ---- */

const struct local_subcommand *local_subcommands(int id) {
    return id == COMMAND_CLIENT    ? LOCAL_CLIENT_ROWS
           : id == COMMAND_COMMAND ? LOCAL_COMMAND_ROWS
           : id == COMMAND_CONFIG  ? LOCAL_CONFIG_ROWS
                                   : NULL;
}

static void run_subcommand(const struct local_call *call, int id) {
    const char *command = command_row(id)->name;
    const struct local_subcommand *row = local_subcommands(id);
    while (row->name != NULL && !span_equal_nocase(call->argv[1], span_str(row->name)))
        row++;
    if (row->name == NULL) {
        reply_unknown_subcommand(call->out, command, call->argv[1]);
        return;
    }
    if (row->arity < 0 ? call->argc < (uint32_t)-row->arity : call->argc != (uint32_t)row->arity) {
        char name[64];
        snprintf(name, sizeof(name), "%s|%s", command, row->name);
        reply_wrong_arity(call->out, name);
        return;
    }
    row->run(call);
}

static void write_upper(struct buf *out, const char *prefix, const char *text, const char *rest) {
    char line[128];
    size_t n = (size_t)snprintf(line, sizeof(line), "%s", prefix);
    for (; *text != '\0' && n + 1 < sizeof(line); text++)
        line[n++] = (char)(*text >= 'a' && *text <= 'z' ? *text - ('a' - 'A') : *text);
    snprintf(line + n, sizeof(line) - n, "%s", rest);
    resp_write_status(out, line);
}

void local_help(const struct local_call *call, int id) {
    const struct local_subcommand *rows = local_subcommands(id);
    uint64_t count = 0;
    while (rows[count].name != NULL)
        count++;
    resp_write_array(call->out, 1 + 2 * count);
    write_upper(call->out, "", command_row(id)->name,
                " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (uint64_t i = 0; i < count; i++) {
        write_upper(call->out, "", rows[i].name, rows[i].args);
        write_upper(call->out, "    ", "", rows[i].summary);
    }
}

enum local_result local_execute(const struct local_server *server, struct local_client *client,
                                int64_t now_mono_ms, int id, const struct span *argv, uint32_t argc,
                                struct buf *out) {
    static local_fn *const PLAIN[COMMAND_COUNT_OF] = {
        [COMMAND_PING] = ping,        [COMMAND_ECHO] = echo,      [COMMAND_SELECT] = select_db,
        [COMMAND_RESET] = reset,      [COMMAND_AUTH] = auth,      [COMMAND_HELLO] = hello,
        [COMMAND_TIME] = time_of_day, [COMMAND_INFO] = local_info};
    const struct local_call call = {server, client, now_mono_ms, argv, argc, out};
    if (id == COMMAND_QUIT) {
        resp_write_status(out, "OK");
        return LOCAL_CLOSE;
    }
    if (PLAIN[id] != NULL)
        PLAIN[id](&call);
    else if (id == COMMAND_COMMAND && argc == 1)
        local_command_all(&call);
    else if (local_subcommands(id) != NULL)
        run_subcommand(&call, id);
    else /* a row of the table without an answer here: a bug, but the client gets its reply */
        reply_error(out, REPLY_INTERNAL, NULL);
    return LOCAL_DONE;
}
