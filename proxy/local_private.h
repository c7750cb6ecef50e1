/*
 * local_private: what local.c (connection and dispatch), local_client.c (CLIENT), local_command.c
 * (COMMAND), local_config.c (CONFIG) and local_info.c (INFO) share. For these alone.
 */
#ifndef RINGFENCE_LOCAL_PRIVATE_H
#define RINGFENCE_LOCAL_PRIVATE_H

#include "local.h"

/* One command being answered; everything borrowed. */
struct local_call {
    const struct local_server *server;
    struct local_client *client;
    int64_t now_mono_ms;
    const struct span *argv;
    uint32_t argc;
    struct buf *out;
};

typedef void local_fn(const struct local_call *call);

/* A subcommand. HELP, COMMAND and the dispatch read the rows. */
struct local_subcommand {
    const char *name; /* lower case; NULL ends a table */
    int arity;        /* as Redis: counts both names; negative: at least */
    const char *since;
    const char *args; /* for HELP, with a leading blank; "" without any */
    const char *summary;
    local_fn *run;
};

/** local_subcommands(id): the table of a command, or NULL. */
const struct local_subcommand *local_subcommands(int id);
extern const struct local_subcommand LOCAL_CLIENT_ROWS[], LOCAL_COMMAND_ROWS[], LOCAL_CONFIG_ROWS[];

/** local_help(call, id): HELP, made from the rows. */
void local_help(const struct local_call *call, int id);

/** local_error(call, fmt, ...): an error reply of at most 400 bytes. */
void local_error(const struct local_call *call, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "%.*s" of a span, cut so that an error text stays short. */
enum { LOCAL_ECHO_BYTES_MAX = 128 };
#define LOCAL_SPAN(s)                                                                              \
    (int)((s).len < LOCAL_ECHO_BYTES_MAX ? (s).len : LOCAL_ECHO_BYTES_MAX), (s).ptr

/** local_name_is_clean(name): printable ASCII without blanks, as Redis wants names of clients. */
bool local_name_is_clean(struct span name);

/** local_set_name(call, name): check and set the client's name; empty clears it. Returns false, the
 * error written. */
bool local_set_name(const struct local_call *call, struct span name);

/** local_tracking, local_caching, local_trackinginfo, local_getredir: subcommands of CLIENT. */
local_fn local_tracking, local_caching, local_trackinginfo, local_getredir;

/** local_info(call) / local_command_all(call): INFO, and COMMAND without a subcommand. */
void local_info(const struct local_call *call);
void local_command_all(const struct local_call *call);

#endif
