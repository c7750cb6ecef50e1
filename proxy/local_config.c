#include <stdio.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/conf.h"
#include "../common/glob.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "local_private.h"
#include "proxy_conf.h"

/* Redis' options that tools ask for, with what is true of a proxy. A value of NULL is the option of
 * ours named `ours`. */
static const struct {
    const char *name, *value, *ours;
} REDIS_ROWS[] = {
    {"save", "", NULL},
    {"appendonly", "no", NULL},
    {"databases", "1", NULL},
    {"maxclients", NULL, "clients-max"},
    {"maxmemory", "0", NULL},
    {"maxmemory-clients", NULL, "clients-bytes-max"},
    {"maxmemory-policy", "noeviction", NULL},
    {"timeout", NULL, "client-idle-s"},
    {"requirepass", "", NULL},
    {"notify-keyspace-events", LOCAL_EVENTS, NULL},
    {"cluster-enabled", "no", NULL},
    {"replicaof", "", NULL},
    {"slaveof", "", NULL},
    {"tls-port", "0", NULL},
};

enum {
    REDIS_ROWS_COUNT = sizeof(REDIS_ROWS) / sizeof(REDIS_ROWS[0]),
    VALUE_BYTES_MAX = 512,
    PATTERN_BYTES_MAX = 128, /* longer than any option's name */
    PATTERNS_MAX = 64,
};

const char *local_config_alias(struct span name) {
    for (size_t i = 0; i < REDIS_ROWS_COUNT; i++) {
        if (span_equal_nocase(name, span_str(REDIS_ROWS[i].name)))
            return REDIS_ROWS[i].ours;
    }
    return NULL;
}

bool local_config_known(struct span name) {
    for (size_t i = 0; i < REDIS_ROWS_COUNT; i++) {
        if (span_equal_nocase(name, span_str(REDIS_ROWS[i].name)))
            return true;
    }
    return false;
}

/* The pattern that takes `name`, or NULL. */
static const struct span *taken_by(const struct local_call *call, const char *name) {
    for (uint32_t i = 2; i < call->argc; i++) {
        if (call->argv[i].len <= PATTERN_BYTES_MAX &&
            glob_match(call->argv[i], span_str(name), true))
            return &call->argv[i];
    }
    return NULL;
}

static bool is_literal(struct span pattern) {
    for (size_t i = 0; i < pattern.len; i++) {
        if (strchr("*?[\\", pattern.ptr[i]) != NULL)
            return false;
    }
    return true;
}

/* As Redis does: a name that was asked for plainly comes back as it was spelt. */
static void write_pair(const struct local_call *call, const char *name, const char *value) {
    const struct span *pattern = taken_by(call, name);
    resp_write_bulk(call->out, is_literal(*pattern) ? *pattern : span_str(name));
    resp_write_bulk(call->out, span_str(value));
}

static void write_row(const struct local_call *call, const char *shown_as,
                      const struct conf_row *row) {
    char value[VALUE_BYTES_MAX];
    if (strcmp(row->name, "port") == 0) /* the one really bound: 0 in the file picks one */
        snprintf(value, sizeof(value), "%u", call->server->port);
    else
        conf_get(row, call->server->conf, value, sizeof(value));
    write_pair(call, shown_as, value);
}

static void write_redis_row(const struct local_call *call, size_t i) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    if (REDIS_ROWS[i].value != NULL) {
        write_pair(call, REDIS_ROWS[i].name, REDIS_ROWS[i].value);
        return;
    }
    size_t at = 0;
    while (strcmp(rows[at].name, REDIS_ROWS[i].ours) != 0)
        at++;
    write_row(call, REDIS_ROWS[i].name, &rows[at]);
}

static void get(const struct local_call *call) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    if (call->argc - 2 > PATTERNS_MAX) {
        reply_error_number(call->out, REPLY_PATTERNS, PATTERNS_MAX);
        return;
    }
    uint64_t pairs = 0;
    for (size_t i = 0; i < count; i++)
        pairs += taken_by(call, rows[i].name) != NULL;
    for (size_t i = 0; i < REDIS_ROWS_COUNT; i++)
        pairs += taken_by(call, REDIS_ROWS[i].name) != NULL;
    resp_write_map(call->out, pairs, call->client->proto);
    for (size_t i = 0; i < count; i++) {
        if (taken_by(call, rows[i].name) != NULL)
            write_row(call, rows[i].name, &rows[i]);
    }
    for (size_t i = 0; i < REDIS_ROWS_COUNT; i++) {
        if (taken_by(call, REDIS_ROWS[i].name) != NULL)
            write_redis_row(call, i);
    }
}

static void help(const struct local_call *call) {
    local_help(call, COMMAND_CONFIG);
}

const struct local_subcommand LOCAL_CONFIG_ROWS[] = {
    {"get", -3, "2.0.0", " <pattern> ...", "Options whose names match, and their values.", get,
     LOCAL_ADMIN},
    {"set", -4, "2.0.0", " <name> <value> ...", "Changes options that may change while it runs.",
     local_config_set, LOCAL_ADMIN},
    {"resetstat", 2, "2.0.0", "", "Begins the counters anew.", local_config_resetstat, LOCAL_ADMIN},
    {"rewrite", 2, "2.8.0", "", "Refused: the file is written by hand.", local_config_rewrite,
     LOCAL_ADMIN},
    {"help", 2, "5.0.0", "", "This text.", help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};
