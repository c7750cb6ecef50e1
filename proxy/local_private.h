/*
 * local_private: what local.c (connection and dispatch), local_auth.c (AUTH, HELLO), local_acl.c
 * (ACL), local_client.c, local_kill.c, local_tracking.c and local_pause.c (CLIENT), local_command.c
 * and local_docs.c (COMMAND), local_pubsub.c (PUBSUB), local_config.c (CONFIG), local_config_set.c,
 * local_latency.c (SLOWLOG, LATENCY), local_hotkeys.c (RF.HOTKEYS), local_server.c (MEMORY and the
 * rest) and local_info.c (INFO) share. For these alone.
 */
#ifndef RINGFENCE_LOCAL_PRIVATE_H
#define RINGFENCE_LOCAL_PRIVATE_H

#include "local.h"

struct command;

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

enum local_flags {
    LOCAL_ADMIN = 1 << 0, /* for users with role=admin */
    LOCAL_ALONE = 1 << 1, /* not between MULTI and EXEC */
};

/* A subcommand. HELP, COMMAND and the dispatch read the rows. */
struct local_subcommand {
    const char *name; /* lower case; NULL ends a table */
    int arity;        /* as Redis: counts both names; negative: at least */
    const char *since;
    const char *args; /* for HELP, with a leading blank; "" without any */
    const char *summary;
    local_fn *run;  /* NULL: it goes to a node */
    unsigned flags; /* enum local_flags */
};

/** local_subcommands(id): the table of a command, or NULL. */
const struct local_subcommand *local_subcommands(int id);
extern const struct local_subcommand LOCAL_ACL_ROWS[], LOCAL_CLIENT_ROWS[], LOCAL_COMMAND_ROWS[],
    LOCAL_DEBUG_ROWS[], LOCAL_LATENCY_ROWS[], LOCAL_MEMORY_ROWS[], LOCAL_MODULE_ROWS[],
    LOCAL_OBJECT_ROWS[], LOCAL_PUBSUB_ROWS[], LOCAL_SLOWLOG_ROWS[], LOCAL_CONFIG_ROWS[];

/** local_help(call, id): HELP, made from the rows. */
void local_help(const struct local_call *call, int id);

/** local_name_is_clean(name): printable ASCII without blanks, as Redis wants names of clients. */
bool local_name_is_clean(struct span name);

/** local_set_name(call, name): check and set the client's name; empty clears it. Returns false, the
 * error written. */
bool local_set_name(const struct local_call *call, struct span name);

/** local_name_fits(call, name): a client may have that name; else the error is written.
 * local_store_name(call, name), local_store_proto(call, proto): take it over. */
bool local_name_fits(const struct local_call *call, struct span name);
void local_store_name(const struct local_call *call, struct span name);
void local_store_proto(const struct local_call *call, int proto);

/** local_store_user(server, client, begins): client->rights changed: its user's name for CLIENT
 * LIST. `begins`: first make it who a new connection is. */
void local_store_user(const struct local_server *server, struct local_client *client, bool begins);

/** local_auth, local_hello: AUTH and HELLO. */
local_fn local_auth, local_hello;

/* A type of clients, as Redis has them. */
enum local_type { LOCAL_TYPE_ANY, LOCAL_TYPE_NORMAL, LOCAL_TYPE_PUBSUB, LOCAL_TYPE_NOBODY };

/** local_client_type(call, name, out): returns false, the error written, for a name that is none.
 * local_is_type(client, type): it is of that type. */
bool local_client_type(const struct local_call *call, struct span name, enum local_type *out);
bool local_is_type(const struct local_client *client, enum local_type type);

/** local_subcommand_find(id, name): its row, any case; NULL: there is none. */
const struct local_subcommand *local_subcommand_find(int id, struct span name);

/** local_arity_fits(row, argc): as many arguments as the subcommand takes. */
bool local_arity_fits(const struct local_subcommand *row, uint32_t argc);

/** local_role, local_lastsave, local_wait: ROLE, LASTSAVE, WAIT. local_cluster: CLUSTER and its
 * like. local_config_set, local_config_resetstat,
 * local_config_rewrite: subcommands of CONFIG. */
local_fn local_role, local_lastsave, local_wait, local_cluster, local_config_set,
    local_config_resetstat, local_config_rewrite;

/* What notify-keyspace-events says: generic, string and expired events, by key and by event. They
 * are always there for those who subscribe. */
#define LOCAL_EVENTS "g$xKE"

/** local_config_alias(name): the option of ours that Redis calls `name`, or NULL.
 * local_config_known(name): CONFIG GET shows an option of Redis' of that name. */
const char *local_config_alias(struct span name);
bool local_config_known(struct span name);

/** local_commandstats(server, out): INFO's lines. */
void local_commandstats(const struct local_server *server, struct buf *out);

/** local_kill: CLIENT KILL. local_hotkeys: RF.HOTKEYS. */
local_fn local_kill, local_hotkeys;

/** local_tracking, local_caching, local_trackinginfo, local_getredir: subcommands of CLIENT. */
local_fn local_tracking, local_caching, local_trackinginfo, local_getredir;

/** local_tracks(client, flags): what local_show_tracking() said: CLIENT LIST's `redir` and flags.
 */
enum { LOCAL_TRACKS_BYTES = 4 };
int64_t local_tracks(const struct local_client *client, char flags[LOCAL_TRACKS_BYTES]);

/** local_monitor: MONITOR. */
local_fn local_monitor;

/** local_pause, local_unpause: CLIENT PAUSE and UNPAUSE. */
local_fn local_pause, local_unpause;

/** local_publish: PUBLISH. */
local_fn local_publish;

/** local_info(call) / local_command_all(call) / local_command_docs(call): INFO, COMMAND without a
 * subcommand, COMMAND DOCS. */
void local_info(const struct local_call *call);
void local_command_all(const struct local_call *call);
void local_command_docs(const struct local_call *call);

/* ---- for COMMAND's two files ---- */

enum { LOCAL_ENTRY_NAME_BYTES = 64 };

/* A command or a subcommand, as clients see it. */
struct local_entry {
    int id;
    const struct command *row;
    const struct local_subcommand *sub; /* NULL: the command itself */
    char name[LOCAL_ENTRY_NAME_BYTES];
    int arity;
};

/** local_entry_make(entry, id, sub): fill one in; `sub` NULL: for the command itself. */
void local_entry_make(struct local_entry *entry, int id, const struct local_subcommand *sub);

/** local_entry_find(name, out): "get" or "client|list", any case; false if there is none for
 * clients. */
bool local_entry_find(struct span name, struct local_entry *out);

/** local_entry_visible(id): clients may see it. local_entries(): how many they see. */
bool local_entry_visible(int id);
uint64_t local_entries(void);

/** local_entry_subs(entry): number of its subcommands. */
uint64_t local_entry_subs(const struct local_entry *entry);

/** local_too_many_names(call): more than one reply should hold; the error is written. */
bool local_too_many_names(const struct local_call *call);

/** local_write_int / local_write_text(call, name, value): one pair of a map. */
void local_write_int(const struct local_call *call, const char *name, int64_t n);
void local_write_text(const struct local_call *call, const char *name, const char *text);

#endif
