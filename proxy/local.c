#include "local.h"

#include <limits.h>
#include <stdio.h>

#include "../common/buf.h"
#include "../common/clock.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "../common/version.h"
#include "channels.h"
#include "local_private.h"
#include "proxy_conf.h"
#include "registry.h"
#include "tracking.h"

enum { FAILURES_MAX = 8 /* wrong passwords that a connection may try */ };

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

bool local_name_fits(const struct local_call *call, struct span name) {
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
void local_store_name(const struct local_call *call, struct span name) {
    registry_lock(call->server->registry);
    if (name.len != 0)
        memcpy(call->client->name, name.ptr, name.len);
    call->client->name[name.len] = '\0';
    registry_unlock(call->server->registry);
}

bool local_set_name(const struct local_call *call, struct span name) {
    if (!local_name_fits(call, name))
        return false;
    local_store_name(call, name);
    return true;
}

void local_store_proto(const struct local_call *call, int proto) {
    registry_lock(call->server->registry);
    call->client->proto = proto;
    registry_unlock(call->server->registry);
}

/* ---- the connection ---- */

/* Where RESP2 expects nothing but messages, this is one. */
static void write_pong(const struct local_call *call) {
    resp_write_array(call->out, 2);
    resp_write_bulk(call->out, SPAN("pong"));
    resp_write_bulk(call->out, call->argc == 2 ? call->argv[1] : SPAN(""));
}

static void ping(const struct local_call *call) {
    if (call->argc > 2)
        reply_wrong_arity(call->out, "ping");
    else if (call->client->proto == 2 && channels_of(call->client->channels) != 0)
        write_pong(call);
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
    local_show_tracking(call->client);
    channels_leave_all(call->server->channels, call->client->channels);
    local_monitor_end(call->server, call->client);
    local_store_proto(call, 2);
    local_store_name(call, span_of(NULL, 0));
    local_store_user(call->server, call->client, true);
    call->client->reply = LOCAL_REPLY_ON;
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

/* ---- dispatch ---- */

const struct local_subcommand *local_subcommands(int id) {
    static const struct local_subcommand *const ROWS[COMMAND_COUNT_OF] = {
        [COMMAND_ACL] = LOCAL_ACL_ROWS,         [COMMAND_CLIENT] = LOCAL_CLIENT_ROWS,
        [COMMAND_COMMAND] = LOCAL_COMMAND_ROWS, [COMMAND_CONFIG] = LOCAL_CONFIG_ROWS,
        [COMMAND_DEBUG] = LOCAL_DEBUG_ROWS,     [COMMAND_LATENCY] = LOCAL_LATENCY_ROWS,
        [COMMAND_MEMORY] = LOCAL_MEMORY_ROWS,   [COMMAND_MODULE] = LOCAL_MODULE_ROWS,
        [COMMAND_OBJECT] = LOCAL_OBJECT_ROWS,   [COMMAND_PUBSUB] = LOCAL_PUBSUB_ROWS,
        [COMMAND_SLOWLOG] = LOCAL_SLOWLOG_ROWS};
    return ROWS[id];
}

const struct local_subcommand *local_subcommand_find(int id, struct span name) {
    const struct local_subcommand *row = local_subcommands(id);
    while (row != NULL && row->name != NULL && !span_equal_nocase(name, span_str(row->name)))
        row++;
    return row == NULL || row->name == NULL ? NULL : row;
}

bool local_arity_fits(const struct local_subcommand *row, uint32_t argc) {
    return row->arity < 0 ? argc >= (uint32_t)-row->arity : argc == (uint32_t)row->arity;
}

/* Its row; NULL: it cannot be done, and the error is written. */
static const struct local_subcommand *check_subcommand(const struct local_call *call, int id) {
    const char *command = command_row(id)->name;
    const struct local_subcommand *row = local_subcommand_find(id, call->argv[1]);
    if (row == NULL) {
        reply_unknown_subcommand(call->out, command, call->argv[1]);
        return NULL;
    }
    if (!local_arity_fits(row, call->argc)) {
        char name[64];
        snprintf(name, sizeof(name), "%s|%s", command, row->name);
        reply_wrong_arity(call->out, name);
        return NULL;
    }
    if ((row->flags & LOCAL_ADMIN) != 0 &&
        !rights_is_admin(call->server->rights, &call->client->rights)) {
        struct span names[] = {span_str(command), span_str(row->name)};
        reply_error_with(call->out, REPLY_NOPERM_SUBCOMMAND, names, 2);
        return NULL;
    }
    return row;
}

bool local_may_queue(const struct local_server *server, struct local_client *client, int id,
                     const struct span *argv, uint32_t argc, struct buf *out) {
    const struct local_call call = {server, client, 0, argv, argc, out};
    if (local_subcommands(id) == NULL || argc == 1) /* COMMAND alone */
        return true;
    const struct local_subcommand *row = check_subcommand(&call, id);
    if (row != NULL && (row->flags & LOCAL_ALONE) != 0)
        reply_error(out, REPLY_NOT_IN_MULTI, NULL);
    return row != NULL && (row->flags & LOCAL_ALONE) == 0;
}

static void run_subcommand(const struct local_call *call, int id) {
    const struct local_subcommand *row = check_subcommand(call, id);
    if (row == NULL)
        return;
    if (id == COMMAND_DEBUG && !call->server->conf->allow_debug)
        reply_error(call->out, REPLY_DEBUG, NULL);
    else if (row->run == NULL) /* it goes to a node: a bug, but the client gets its reply */
        reply_error(call->out, REPLY_INTERNAL, NULL);
    else
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

void local_tell(const struct local_server *server, enum local_news news) {
    if (server->peers != NULL)
        server->peers->tell(server->peers->ctx, news);
}

enum local_result local_execute(const struct local_server *server, struct local_client *client,
                                int64_t now_mono_ms, int id, const struct span *argv, uint32_t argc,
                                struct buf *out) {
    static local_fn *const PLAIN[COMMAND_COUNT_OF] = {[COMMAND_PING] = ping,
                                                      [COMMAND_ECHO] = echo,
                                                      [COMMAND_SELECT] = select_db,
                                                      [COMMAND_RESET] = reset,
                                                      [COMMAND_AUTH] = local_auth,
                                                      [COMMAND_HELLO] = local_hello,
                                                      [COMMAND_TIME] = time_of_day,
                                                      [COMMAND_INFO] = local_info,
                                                      [COMMAND_PUBLISH] = local_publish,
                                                      [COMMAND_ROLE] = local_role,
                                                      [COMMAND_LASTSAVE] = local_lastsave,
                                                      [COMMAND_WAIT] = local_wait,
                                                      [COMMAND_CLUSTER] = local_cluster,
                                                      [COMMAND_READONLY] = local_cluster,
                                                      [COMMAND_READWRITE] = local_cluster,
                                                      [COMMAND_MONITOR] = local_monitor,
                                                      [COMMAND_RF_HOTKEYS] = local_hotkeys};
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
    return client->ends || client->rights.failures >= FAILURES_MAX ? LOCAL_CLOSE : LOCAL_DONE;
}
