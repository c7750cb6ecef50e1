#include <stdio.h>

#include "../common/buf.h"
#include "../common/clock.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "channels.h"
#include "local_private.h"
#include "proxy_conf.h"
#include "registry.h"

enum { CLIENT_LINE_BYTES_MAX = 768 };

static void id(const struct local_call *call) {
    resp_write_int(call->out, (int64_t)call->client->id);
}

static void getname(const struct local_call *call) {
    if (call->client->name[0] == '\0')
        resp_write_null(call->out, call->client->proto);
    else
        resp_write_bulk(call->out, span_str(call->client->name));
}

static void setname(const struct local_call *call) {
    if (local_set_name(call, call->argv[2]))
        resp_write_status(call->out, "OK");
}

static void setinfo(const struct local_call *call) {
    struct span option = call->argv[2], value = call->argv[3];
    char *to = span_equal_nocase(option, SPAN("lib-name"))  ? call->client->lib_name
               : span_equal_nocase(option, SPAN("lib-ver")) ? call->client->lib_ver
                                                            : NULL;
    if (to == NULL) {
        reply_error_with(call->out, REPLY_CLIENT_OPTION, &option, 1);
    } else if (!local_name_is_clean(value)) {
        reply_error_with(call->out, REPLY_CLIENT_INFO, &option, 1);
    } else if (value.len >= LOCAL_NAME_BYTES) {
        char most[16];
        snprintf(most, sizeof(most), "%d", LOCAL_NAME_BYTES - 1);
        reply_error_with(call->out, REPLY_CLIENT_INFO_LONG, (struct span[]){option, span_str(most)},
                         2);
    } else {
        registry_lock(call->server->registry);
        if (value.len != 0)
            memcpy(to, value.ptr, value.len);
        to[value.len] = '\0';
        registry_unlock(call->server->registry);
        resp_write_status(call->out, "OK");
    }
}

/* ---- INFO and LIST ---- */

/* Redis' fields, in its order. Libraries (redis-py's CLIENT INFO) count on those for its buffers,
 * so these are there, as zero, but for the memory of all of them. Returns the length, without a
 * NUL. */
static size_t write_line(const struct local_call *call, const struct local_client *c,
                         int64_t now_wall_ms, char *line, size_t size) {
    uint64_t commands = stats_get(&c->commands), last_ms = stats_get(&c->last_mono_ms);
    int64_t idle_ms = call->now_mono_ms - (int64_t)last_ms, age_ms;
    age_ms = now_wall_ms - c->connected_wall_ms;
    bool asked = commands != 0 || c == call->client;
    bool subscribed = channels_of(c->channels) != 0;
    char tracks[LOCAL_TRACKS_BYTES];
    int64_t redir = local_tracks(c, tracks);
    bool monitors = stats_get(&c->monitors) != 0, spared = stats_get(&c->no_evict) != 0;
    bool plain = tracks[0] == '\0' && !subscribed && !monitors && !spared;
    /* The asker's command is not counted yet. */
    int n = snprintf(
        line, size,
        "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s%s%s%s db=0 sub=%llu "
        "psub=%llu "
        "ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 "
        "tot-mem=%llu events=r cmd=%s user=%s redir=%lld resp=%d lib-name=%s lib-ver=%s "
        "tot-cmds=%llu\n",
        (unsigned long long)c->id, c->addr, c->laddr, c->fd, c->name,
        (long long)(age_ms > 0 ? age_ms / 1000 : 0),
        (long long)(idle_ms > 0 && c != call->client ? idle_ms / 1000 : 0), monitors ? "O" : "",
        subscribed ? "P" : "", plain ? "N" : tracks, spared ? "e" : "",
        (unsigned long long)stats_get(&c->channels->count[BOARD_CHANNELS]),
        (unsigned long long)stats_get(&c->channels->count[BOARD_PATTERNS]),
        (unsigned long long)stats_get(&c->bytes),
        asked ? command_row((int)stats_get(&c->last_command))->name : "NULL", c->user,
        (long long)redir, c->proto, c->lib_name, c->lib_ver, (unsigned long long)commands);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static void info(const struct local_call *call) {
    char line[CLIENT_LINE_BYTES_MAX];
    size_t len = write_line(call, call->client, clock_wall_ms(), line, sizeof(line));
    resp_write_verbatim(call->out, span_of(line, len), call->client->proto);
}

/* Which clients CLIENT LIST shows. */
struct list_filter {
    enum local_type type;
    const struct span *ids; /* NULL: all */
    uint32_t ids_count;
};

static bool shown(const struct list_filter *filter, const struct local_client *c) {
    if (filter->ids == NULL)
        return local_is_type(c, filter->type);
    for (uint32_t i = 0; i < filter->ids_count; i++) {
        int64_t wanted = 0;
        if (span_to_int64(filter->ids[i], &wanted) && (uint64_t)wanted == c->id)
            return true;
    }
    return false;
}

/* Redis' other types are known, and empty. */
bool local_client_type(const struct local_call *call, struct span name, enum local_type *out) {
    static const struct {
        const char *name;
        enum local_type type;
    } TYPES[] = {{"normal", LOCAL_TYPE_NORMAL},
                 {"master", LOCAL_TYPE_NOBODY},
                 {"replica", LOCAL_TYPE_NOBODY},
                 {"slave", LOCAL_TYPE_NOBODY},
                 {"pubsub", LOCAL_TYPE_PUBSUB}};
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        if (span_equal_nocase(name, span_str(TYPES[i].name))) {
            *out = TYPES[i].type;
            return true;
        }
    }
    reply_error_with(call->out, REPLY_CLIENT_TYPE, &name, 1);
    return false;
}

bool local_is_type(const struct local_client *client, enum local_type type) {
    bool subscribed = channels_of(client->channels) != 0;
    return type == LOCAL_TYPE_ANY || (type == LOCAL_TYPE_NORMAL && !subscribed) ||
           (type == LOCAL_TYPE_PUBSUB && subscribed);
}

/* Asking for many ids compares each client with each of them: more than that is somebody's attack.
 */
enum { LIST_IDS_MAX = 64 };

static bool parse_filter(const struct local_call *call, struct list_filter *out) {
    *out = (struct list_filter){0};
    if (call->argc == 2)
        return true;
    if (call->argc == 4 && span_equal_nocase(call->argv[2], SPAN("TYPE")))
        return local_client_type(call, call->argv[3], &out->type);
    if (call->argc < 4 || !span_equal_nocase(call->argv[2], SPAN("ID"))) {
        reply_error(call->out, REPLY_SYNTAX, NULL);
        return false;
    }
    out->ids = call->argv + 3;
    out->ids_count = call->argc - 3;
    if (out->ids_count > LIST_IDS_MAX) {
        reply_error_number(call->out, REPLY_CLIENT_IDS, LIST_IDS_MAX);
        return false;
    }
    for (uint32_t i = 0; i < out->ids_count; i++) {
        int64_t ignored;
        if (!span_to_int64(out->ids[i], &ignored)) {
            reply_error(call->out, REPLY_CLIENT_ID, NULL);
            return false;
        }
    }
    return true;
}

static void list(const struct local_call *call) {
    struct list_filter filter;
    if (!parse_filter(call, &filter))
        return;
    struct buf text;
    buf_init(&text, (size_t)call->server->conf->output_bytes_max);
    int64_t now_wall_ms = clock_wall_ms();
    registry_lock(call->server->registry);
    for (struct local_client *c = registry_first(call->server->registry); c != NULL; c = c->next) {
        char *line = shown(&filter, c) ? buf_reserve(&text, CLIENT_LINE_BYTES_MAX) : NULL;
        if (line != NULL)
            buf_commit(&text, write_line(call, c, now_wall_ms, line, CLIENT_LINE_BYTES_MAX));
    }
    registry_unlock(call->server->registry);
    if (text.failed)
        reply_error(call->out, REPLY_OOM, NULL);
    else
        resp_write_verbatim(call->out, span_of(buf_head(&text), buf_len(&text)),
                            call->client->proto);
    buf_release(&text);
}

/* ---- REPLY ---- */

/* OFF and SKIP have no answer themselves. */
static void reply(const struct local_call *call) {
    struct span mode = call->argv[2];
    struct local_client *c = call->client;
    if (span_equal_nocase(mode, SPAN("ON"))) {
        c->reply = LOCAL_REPLY_ON;
        resp_write_status(call->out, "OK");
    } else if (span_equal_nocase(mode, SPAN("OFF"))) {
        c->reply = LOCAL_REPLY_OFF;
    } else if (span_equal_nocase(mode, SPAN("SKIP"))) {
        if (c->reply != LOCAL_REPLY_OFF)
            c->reply = LOCAL_REPLY_SKIP;
    } else {
        reply_error(call->out, REPLY_SYNTAX, NULL);
    }
}

/* ---- NO-EVICT and NO-TOUCH ---- */

static void no_evict(const struct local_call *call) {
    bool on = span_equal_nocase(call->argv[2], SPAN("ON"));
    if (!on && !span_equal_nocase(call->argv[2], SPAN("OFF"))) {
        reply_error(call->out, REPLY_SYNTAX, NULL);
        return;
    }
    stats_set(&call->client->no_evict, on);
    resp_write_status(call->out, "OK");
}

/* No recency of keys is kept: said yes to, as there is nothing to do. */
static void accept_on_off(const struct local_call *call) {
    if (span_equal_nocase(call->argv[2], SPAN("ON")) ||
        span_equal_nocase(call->argv[2], SPAN("OFF")))
        resp_write_status(call->out, "OK");
    else
        reply_error(call->out, REPLY_SYNTAX, NULL);
}

static void help(const struct local_call *call) {
    local_help(call, COMMAND_CLIENT);
}

const struct local_subcommand LOCAL_CLIENT_ROWS[] = {
    {"id", 2, "5.0.0", "", "The number of this connection.", id, 0},
    {"getname", 2, "2.6.9", "", "The name of this connection.", getname, 0},
    {"setname", 3, "2.6.9", " <name>", "Names this connection; an empty name clears it.", setname,
     0},
    {"setinfo", 4, "7.2.0", " (LIB-NAME|LIB-VER) <value>", "Says which library speaks.", setinfo,
     0},
    {"info", 2, "6.2.0", "", "A line about this connection.", info, 0},
    {"list", -2, "2.4.0", " [TYPE <type>] [ID <id> ...]", "A line about each connection.", list,
     LOCAL_ADMIN},
    {"kill", -3, "2.4.0",
     " [ID <id>] [TYPE <type>] [ADDR <ip:port>] [LADDR <ip:port>] [USER <user>] [SKIPME <yes-no>]",
     "Closes connections; by <ip:port> alone too.", local_kill, LOCAL_ADMIN | LOCAL_ALONE},
    {"pause", -3, "2.9.50", " <timeout> [WRITE|ALL]",
     "Holds back what clients ask for, or what would write, for so many milliseconds.", local_pause,
     LOCAL_ADMIN | LOCAL_ALONE},
    {"unpause", 2, "6.2.0", "", "Ends that.", local_unpause, LOCAL_ADMIN | LOCAL_ALONE},
    {"reply", 3, "3.2.0", " (ON|OFF|SKIP)", "Whether requests of this connection are answered.",
     reply, LOCAL_ALONE},
    {"no-evict", 3, "7.0.0", " (ON|OFF)",
     "Whether this connection stays when clients-bytes-max is reached.", no_evict, LOCAL_ADMIN},
    {"no-touch", 3, "7.2.0", " (ON|OFF)", "Accepted; has no effect.", accept_on_off, 0},
    {"tracking", -3, "6.0.0",
     " (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> ...] [OPTIN] [OPTOUT] [NOLOOP]",
     "Tells this connection, or another one, which of the keys it read have changed.",
     local_tracking, LOCAL_ALONE},
    {"caching", 3, "6.0.0", " (YES|NO)", "Whether what the next command reads is tracked.",
     local_caching, LOCAL_ALONE},
    {"trackinginfo", 2, "6.2.0", "", "How this connection tracks.", local_trackinginfo, 0},
    {"getredir", 2, "6.0.0", "",
     "Where its invalidations go: -1 nowhere, 0 here, else a client's id.", local_getredir, 0},
    {"help", 2, "5.0.0", "", "This text.", help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};
