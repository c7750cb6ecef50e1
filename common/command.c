#include "command.h"

#include <stddef.h>

static const char *const ACL_SUBCOMMANDS[] = {"WHOAMI", "USERS", "LIST", "GETUSER", "HELP", NULL};
static const char *const MEMORY_SUBCOMMANDS[] = {"USAGE", "STATS", "DOCTOR", "PURGE", "HELP", NULL};
static const char *const OBJECT_SUBCOMMANDS[] = {"ENCODING", "REFCOUNT", "FREQ",
                                                 "IDLETIME", "HELP",     NULL};
static const char *const SLOWLOG_SUBCOMMANDS[] = {"GET", "LEN", "RESET", "HELP", NULL};
static const char *const LATENCY_SUBCOMMANDS[] = {"HISTOGRAM", "LATEST", "HISTORY", "RESET",
                                                  "DOCTOR",    "HELP",   NULL};
static const char *const MODULE_SUBCOMMANDS[] = {"LIST", "HELP", NULL};
static const char *const PUBSUB_SUBCOMMANDS[] = {"CHANNELS", "NUMSUB", "NUMPAT", "HELP", NULL};
static const char *const DEBUG_SUBCOMMANDS[] = {"SLEEP", "HELP", NULL};
static const char *const CLIENT_SUBCOMMANDS[] = {
    "ID",       "GETNAME", "SETNAME",      "SETINFO",  "INFO",     "LIST",
    "KILL",     "PAUSE",   "UNPAUSE",      "REPLY",    "NO-EVICT", "NO-TOUCH",
    "TRACKING", "CACHING", "TRACKINGINFO", "GETREDIR", "HELP",     NULL};
static const char *const COMMAND_SUBCOMMANDS[] = {"COUNT",   "INFO", "DOCS", "LIST",
                                                  "GETKEYS", "HELP", NULL};
static const char *const CONFIG_SUBCOMMANDS[] = {"GET",     "SET",  "RESETSTAT",
                                                 "REWRITE", "HELP", NULL};

enum {
    R = COMMAND_READ,
    W = COMMAND_WRITE,
    M = COMMAND_MULTI,
    L = COMMAND_LOCAL,
    LINK = COMMAND_LINK,
    F = COMMAND_FAST,
    T = COMMAND_TABLE,
    A = COMMAND_ADMIN
};

#define KEYS(first, last, step, flags)                                                             \
    .first_key = (first), .last_key = (last), .key_step = (step), .key_flags = (flags)

/* clang-format off */
static const struct command ROWS[] = {
    [COMMAND_GET] = {
        .name = "get", .arity = 2, KEYS(1, 1, 1, "RO access"), .flags = R | F, .args = "key",
        .group = "string", .since = "1.0.0", .complexity = "O(1)",
        .summary = "The value of a key."},
    [COMMAND_SET] = {
        .name = "set", .arity = -3, KEYS(1, 1, 1, "RW access update variable_flags"), .flags = W,
        .args = "key value [NX|XX|IFEQ comparison-value] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
        .group = "string", .since = "1.0.0", .complexity = "O(1) and one commit",
        .summary = "Sets a key, perhaps with a time to live; NX, XX, IFEQ: on a condition; GET: returns the old value."},
    [COMMAND_SETNX] = {
        .name = "setnx", .arity = 3, KEYS(1, 1, 1, "OW insert"), .flags = W | F, .args = "key value",
        .group = "string", .since = "1.0.0", .complexity = "O(1) and one commit",
        .summary = "Sets a key only if it is absent."},
    [COMMAND_GETSET] = {
        .name = "getset", .arity = 3, KEYS(1, 1, 1, "RW access update"), .flags = W | F, .args = "key value",
        .group = "string", .since = "1.0.0", .complexity = "O(1) and one commit",
        .summary = "Sets a key and returns its old value."},
    [COMMAND_GETDEL] = {
        .name = "getdel", .arity = 2, KEYS(1, 1, 1, "RW access delete"), .flags = W | F, .args = "key",
        .group = "string", .since = "6.2.0", .complexity = "O(1) and one commit",
        .summary = "Returns the value of a key and deletes it."},
    [COMMAND_MGET] = {
        .name = "mget", .arity = -2, KEYS(1, -1, 1, "RO access"), .flags = R | M | F, .args = "key [key ...]",
        .group = "string", .since = "1.0.0", .complexity = "O(keys)",
        .summary = "The values of several keys."},
    [COMMAND_MSET] = {
        .name = "mset", .arity = -3, KEYS(1, -1, 2, "OW update"), .flags = W | M, .args = "key value [key value ...]",
        .group = "string", .since = "1.0.1", .complexity = "O(keys) and one commit",
        .summary = "Sets several keys in one transaction."},
    [COMMAND_DEL] = {
        .name = "del", .arity = -2, KEYS(1, -1, 1, "RM delete"), .flags = W | M, .args = "key [key ...]",
        .group = "generic", .since = "1.0.0", .complexity = "O(keys) and one commit",
        .summary = "Deletes keys in one transaction."},
    [COMMAND_UNLINK] = {
        .name = "unlink", .arity = -2, KEYS(1, -1, 1, "RM delete"), .flags = W | M, .args = "key [key ...]",
        .group = "generic", .since = "4.0.0", .complexity = "O(keys) and one commit",
        .summary = "Deletes keys, as DEL."},
    [COMMAND_EXISTS] = {
        .name = "exists", .arity = -2, KEYS(1, -1, 1, "RO"), .flags = R | M | F, .args = "key [key ...]",
        .group = "generic", .since = "1.0.0", .complexity = "O(keys)",
        .summary = "How many of the keys exist."},
    [COMMAND_TOUCH] = {
        .name = "touch", .arity = -2, KEYS(1, -1, 1, "RO"), .flags = R | M | F, .args = "key [key ...]",
        .group = "generic", .since = "3.2.1", .complexity = "O(keys)",
        .summary = "Counts keys that exist, and marks them as used."},
    [COMMAND_STRLEN] = {
        .name = "strlen", .arity = 2, KEYS(1, 1, 1, "RO"), .flags = R | F, .args = "key",
        .group = "string", .since = "2.2.0", .complexity = "O(1)",
        .summary = "The length of a value in bytes."},
    [COMMAND_TYPE] = {
        .name = "type", .arity = 2, KEYS(1, 1, 1, "RO"), .flags = R | F, .args = "key",
        .group = "generic", .since = "1.0.0", .complexity = "O(1)",
        .summary = "string, or none."},
    [COMMAND_SETEX] = {
        .name = "setex", .arity = 4, KEYS(1, 1, 1, "OW update"), .flags = W,
        .args = "key seconds value",
        .group = "string", .since = "2.0.0", .complexity = "O(1) and one commit",
        .summary = "Sets a key with a time to live in seconds."},
    [COMMAND_PSETEX] = {
        .name = "psetex", .arity = 4, KEYS(1, 1, 1, "OW update"), .flags = W,
        .args = "key milliseconds value",
        .group = "string", .since = "2.6.0", .complexity = "O(1) and one commit",
        .summary = "Sets a key with a time to live in milliseconds."},
    [COMMAND_GETEX] = {
        .name = "getex", .arity = -2, KEYS(1, 1, 1, "RW access update"), .flags = W | F,
        .args = "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
        .group = "string", .since = "6.2.0", .complexity = "O(1) and one commit; O(1) without an option",
        .summary = "The value of a key, whose time to live is set or taken away."},
    [COMMAND_EXPIRE] = {
        .name = "expire", .arity = -3, KEYS(1, 1, 1, "RW update"), .flags = W | F,
        .args = "key seconds [NX|XX|GT|LT]",
        .group = "generic", .since = "1.0.0", .complexity = "O(1) and one commit",
        .summary = "Sets the time to live of a key in seconds."},
    [COMMAND_PEXPIRE] = {
        .name = "pexpire", .arity = -3, KEYS(1, 1, 1, "RW update"), .flags = W | F,
        .args = "key milliseconds [NX|XX|GT|LT]",
        .group = "generic", .since = "2.6.0", .complexity = "O(1) and one commit",
        .summary = "Sets the time to live of a key in milliseconds."},
    [COMMAND_EXPIREAT] = {
        .name = "expireat", .arity = -3, KEYS(1, 1, 1, "RW update"), .flags = W | F,
        .args = "key unix-time-seconds [NX|XX|GT|LT]",
        .group = "generic", .since = "1.2.0", .complexity = "O(1) and one commit",
        .summary = "Sets the second since 1970 at which a key ends."},
    [COMMAND_PEXPIREAT] = {
        .name = "pexpireat", .arity = -3, KEYS(1, 1, 1, "RW update"), .flags = W | F,
        .args = "key unix-time-milliseconds [NX|XX|GT|LT]",
        .group = "generic", .since = "2.6.0", .complexity = "O(1) and one commit",
        .summary = "Sets the millisecond since 1970 at which a key ends."},
    [COMMAND_TTL] = {
        .name = "ttl", .arity = 2, KEYS(1, 1, 1, "RO access"), .flags = R | F,
        .args = "key",
        .group = "generic", .since = "1.0.0", .complexity = "O(1)",
        .summary = "How many seconds a key has to live; -1: for ever, -2: no such key."},
    [COMMAND_PTTL] = {
        .name = "pttl", .arity = 2, KEYS(1, 1, 1, "RO access"), .flags = R | F,
        .args = "key",
        .group = "generic", .since = "2.6.0", .complexity = "O(1)",
        .summary = "How many milliseconds a key has to live; -1: for ever, -2: no such key."},
    [COMMAND_EXPIRETIME] = {
        .name = "expiretime", .arity = 2, KEYS(1, 1, 1, "RO access"), .flags = R | F | T,
        .args = "key",
        .group = "generic", .since = "7.0.0", .complexity = "O(1), asks the table",
        .summary = "The second since 1970 at which a key ends."},
    [COMMAND_PEXPIRETIME] = {
        .name = "pexpiretime", .arity = 2, KEYS(1, 1, 1, "RO access"), .flags = R | F | T,
        .args = "key",
        .group = "generic", .since = "7.0.0", .complexity = "O(1), asks the table",
        .summary = "The millisecond since 1970 at which a key ends."},
    [COMMAND_PERSIST] = {
        .name = "persist", .arity = 2, KEYS(1, 1, 1, "RW update"), .flags = W | F,
        .args = "key",
        .group = "generic", .since = "2.2.0", .complexity = "O(1) and one commit",
        .summary = "Takes the time to live of a key away."},
    [COMMAND_GETRANGE] = {
        .name = "getrange", .arity = 4, KEYS(1, 1, 1, "RO access"), .flags = R,
        .args = "key start end",
        .group = "string", .since = "2.4.0", .complexity = "O(bytes)",
        .summary = "Some bytes of a value, by their places."},
    [COMMAND_SUBSTR] = {
        .name = "substr", .arity = 4, KEYS(1, 1, 1, "RO access"), .flags = R,
        .args = "key start end",
        .group = "string", .since = "1.0.0", .complexity = "O(bytes)",
        .summary = "Some bytes of a value, as GETRANGE."},
    [COMMAND_INCR] = {
        .name = "incr", .arity = 2, KEYS(1, 1, 1, "RW access update"), .flags = W | F, .args = "key",
        .group = "string", .since = "1.0.0", .complexity = "O(1) and one commit",
        .summary = "Adds one to an integer."},
    [COMMAND_DECR] = {
        .name = "decr", .arity = 2, KEYS(1, 1, 1, "RW access update"), .flags = W | F, .args = "key",
        .group = "string", .since = "1.0.0", .complexity = "O(1) and one commit",
        .summary = "Takes one from an integer."},
    [COMMAND_INCRBY] = {
        .name = "incrby", .arity = 3, KEYS(1, 1, 1, "RW access update"), .flags = W | F, .args = "key increment",
        .group = "string", .since = "1.0.0", .complexity = "O(1) and one commit",
        .summary = "Adds to an integer."},
    [COMMAND_DECRBY] = {
        .name = "decrby", .arity = 3, KEYS(1, 1, 1, "RW access update"), .flags = W | F, .args = "key decrement",
        .group = "string", .since = "1.0.0", .complexity = "O(1) and one commit",
        .summary = "Takes from an integer."},
    [COMMAND_INCRBYFLOAT] = {
        .name = "incrbyfloat", .arity = 3, KEYS(1, 1, 1, "RW access update"), .flags = W | F, .args = "key increment",
        .group = "string", .since = "2.6.0", .complexity = "O(1) and one commit",
        .summary = "Adds to a decimal number, exactly, to 17 digits behind the point."},
    [COMMAND_APPEND] = {
        .name = "append", .arity = 3, KEYS(1, 1, 1, "RW insert"), .flags = W | F, .args = "key value",
        .group = "string", .since = "2.0.0", .complexity = "O(1) and one commit",
        .summary = "Appends to a value; returns its length in bytes."},
    [COMMAND_SETRANGE] = {
        .name = "setrange", .arity = 4, KEYS(1, 1, 1, "RW update"), .flags = W, .args = "key offset value",
        .group = "string", .since = "2.2.0", .complexity = "O(1) and one commit",
        .summary = "Writes over some bytes of a value; what is left must be text."},
    [COMMAND_MSETNX] = {
        .name = "msetnx", .arity = -3, KEYS(1, -1, 2, "OW insert"), .flags = W | M, .args = "key value [key value ...]",
        .group = "string", .since = "1.0.1", .complexity = "O(keys) and one commit",
        .summary = "Sets several keys in one transaction if none of them exists."},
    [COMMAND_MEMORY] = {
        .name = "memory", .arity = -2, KEYS(2, 2, 1, "RO"), .flags = R, .args = "",
        .group = "server", .since = "4.0.0", .complexity = "by subcommand",
        .summary = "About memory.",
        .subcommands = MEMORY_SUBCOMMANDS},
    [COMMAND_OBJECT] = {
        .name = "object", .arity = -2, KEYS(2, 2, 1, "RO"), .flags = R, .args = "",
        .group = "generic", .since = "2.2.3", .complexity = "by subcommand",
        .summary = "How a value is kept, as Redis would say.",
        .subcommands = OBJECT_SUBCOMMANDS},
    [COMMAND_RF_GET] = {
        .name = "rf.get", .arity = 2, KEYS(1, 1, 1, "RO access"), .flags = R | F | T, .args = "key",
        .group = "string", .since = "7.0.0", .complexity = "O(1), asks the table",
        .summary = "The row of a key, live or not: payload, version, active, updated_at, expires_at (ms since 1970; -1: never)."},
    [COMMAND_RF_SETVER] = {
        .name = "rf.setver", .arity = 4, KEYS(1, 1, 1, "RW update"), .flags = W | F, .args = "key version value",
        .group = "string", .since = "7.0.0", .complexity = "O(1) and one commit",
        .summary = "Sets a key only if its row, live or not, has this version (0: only if there is no row); returns the new version, or nil."},
    [COMMAND_RF_ENABLE] = {
        .name = "rf.enable", .arity = 2, KEYS(1, 1, 1, "RW update"), .flags = W | F, .args = "key",
        .group = "generic", .since = "7.0.0", .complexity = "O(1) and one commit",
        .summary = "Brings back a key that was deleted, switched off or has expired, with its last value."},
    [COMMAND_RF_DISABLE] = {
        .name = "rf.disable", .arity = 2, KEYS(1, 1, 1, "RW update"), .flags = W | F, .args = "key",
        .group = "generic", .since = "7.0.0", .complexity = "O(1) and one commit",
        .summary = "Switches a key off: it is absent until RF.ENABLE or a write."},
    [COMMAND_DBSIZE] = {
        .name = "dbsize", .arity = 1, .flags = R | T, .args = "",
        .group = "server", .since = "1.0.0", .complexity = "O(rows)",
        .summary = "The number of keys in the table."},
    [COMMAND_SCAN] = {
        .name = "scan", .arity = -2, .flags = R | T, .args = "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        .group = "generic", .since = "2.8.0", .complexity = "O(COUNT), asks the table",
        .summary = "Some keys of the table, from a cursor on; any proxy goes on from it."},
    [COMMAND_KEYS] = {
        .name = "keys", .arity = 2, .flags = R | T, .args = "pattern",
        .group = "generic", .since = "1.0.0", .complexity = "O(keys with the pattern's beginning), asks the table",
        .summary = "All keys that match, if they are not too many (keys-max)."},
    [COMMAND_RANDOMKEY] = {
        .name = "randomkey", .arity = 1, .flags = R | T, .args = "",
        .group = "generic", .since = "1.0.0", .complexity = "O(1), asks the table",
        .summary = "Any key."},
    [COMMAND_FLUSHDB] = {
        .name = "flushdb", .arity = -1, .flags = W | T | A, .args = "[ASYNC|SYNC]",
        .group = "server", .since = "1.0.0", .complexity = "O(rows)",
        .summary = "Deletes all keys, if the option allow-flush says so; not one transaction."},
    [COMMAND_FLUSHALL] = {
        .name = "flushall", .arity = -1, .flags = W | T | A, .args = "[ASYNC|SYNC]",
        .group = "server", .since = "1.0.0", .complexity = "O(rows)",
        .summary = "Deletes all keys, as FLUSHDB."},
    [COMMAND_PING] = {
        .name = "ping", .arity = -1, .flags = L | F, .args = "[message]",
        .group = "connection", .since = "1.0.0", .complexity = "O(1)",
        .summary = "Answers PONG, or its argument."},
    [COMMAND_ECHO] = {
        .name = "echo", .arity = 2, .flags = L | F, .args = "message",
        .group = "connection", .since = "1.0.0", .complexity = "O(1)",
        .summary = "Answers its argument."},
    [COMMAND_AUTH] = {
        .name = "auth", .arity = -2, .flags = L | F, .args = "[username] password",
        .group = "connection", .since = "1.0.0", .complexity = "O(1)",
        .summary = "Says who this connection is; without a users file, default gets in with any password."},
    [COMMAND_QUIT] = {
        .name = "quit", .arity = -1, .flags = L | F, .args = "",
        .group = "connection", .since = "1.0.0", .complexity = "O(1)",
        .summary = "Closes the connection."},
    [COMMAND_RESET] = {
        .name = "reset", .arity = 1, .flags = L | F, .args = "",
        .group = "connection", .since = "6.2.0", .complexity = "O(1)",
        .summary = "Puts the connection back as it began."},
    [COMMAND_SELECT] = {
        .name = "select", .arity = 2, .flags = L | F, .args = "index",
        .group = "connection", .since = "1.0.0", .complexity = "O(1)",
        .summary = "Database 0 is the only one."},
    [COMMAND_HELLO] = {
        .name = "hello", .arity = -1, .flags = L | F, .args = "[protover [AUTH username password] [SETNAME clientname]]",
        .group = "connection", .since = "6.0.0", .complexity = "O(1)",
        .summary = "Chooses RESP2 or RESP3."},
    [COMMAND_ACL] = {
        .name = "acl", .arity = -2, .flags = L, .args = "",
        .group = "server", .since = "6.0.0", .complexity = "by subcommand",
        .summary = "About the users.",
        .subcommands = ACL_SUBCOMMANDS},
    [COMMAND_CLIENT] = {
        .name = "client", .arity = -2, .flags = L, .args = "",
        .group = "connection", .since = "2.4.0", .complexity = "by subcommand",
        .summary = "About connections.",
        .subcommands = CLIENT_SUBCOMMANDS},
    [COMMAND_COMMAND] = {
        .name = "command", .arity = -1, .flags = L, .args = "",
        .group = "server", .since = "2.8.13", .complexity = "O(commands)",
        .summary = "About the commands.",
        .subcommands = COMMAND_SUBCOMMANDS},
    [COMMAND_CONFIG] = {
        .name = "config", .arity = -2, .flags = L, .args = "",
        .group = "server", .since = "2.0.0", .complexity = "O(options)",
        .summary = "About the options.",
        .subcommands = CONFIG_SUBCOMMANDS},
    [COMMAND_INFO] = {
        .name = "info", .arity = -1, .flags = L, .args = "[section ...]",
        .group = "server", .since = "1.0.0", .complexity = "O(figures)",
        .summary = "Figures, by section."},
    [COMMAND_TIME] = {
        .name = "time", .arity = 1, .flags = L | F, .args = "",
        .group = "server", .since = "2.6.0", .complexity = "O(1)",
        .summary = "Seconds and microseconds since 1970."},
    [COMMAND_TX_MULTI] = {
        .name = "multi", .arity = 1, .flags = L | F, .args = "",
        .group = "transactions", .since = "1.2.0", .complexity = "O(1)",
        .summary = "Begins a transaction: what follows is queued."},
    [COMMAND_TX_EXEC] = {
        .name = "exec", .arity = 1, .flags = L, .args = "",
        .group = "transactions", .since = "1.2.0", .complexity = "O(commands) and one commit",
        .summary = "Runs what was queued as one SQL transaction; nil if a watched key has changed."},
    [COMMAND_TX_DISCARD] = {
        .name = "discard", .arity = 1, .flags = L | F, .args = "",
        .group = "transactions", .since = "2.0.0", .complexity = "O(1)",
        .summary = "Forgets what was queued, and the watched keys."},
    [COMMAND_TX_WATCH] = {
        .name = "watch", .arity = -2, KEYS(1, -1, 1, "RO"), .flags = L | M | F, .args = "key [key ...]",
        .group = "transactions", .since = "2.2.0", .complexity = "O(keys), asks the table",
        .summary = "EXEC does nothing if one of the keys changes until then, whoever changes it."},
    [COMMAND_TX_UNWATCH] = {
        .name = "unwatch", .arity = 1, .flags = L | F, .args = "",
        .group = "transactions", .since = "2.2.0", .complexity = "O(1)",
        .summary = "Forgets the watched keys."},
    [COMMAND_SLOWLOG] = {
        .name = "slowlog", .arity = -2, .flags = L, .args = "",
        .group = "server", .since = "2.2.12", .complexity = "by subcommand",
        .summary = "Requests that took long.",
        .subcommands = SLOWLOG_SUBCOMMANDS},
    [COMMAND_LATENCY] = {
        .name = "latency", .arity = -2, .flags = L, .args = "",
        .group = "server", .since = "2.8.13", .complexity = "by subcommand",
        .summary = "How long commands took.",
        .subcommands = LATENCY_SUBCOMMANDS},
    [COMMAND_MODULE] = {
        .name = "module", .arity = -2, .flags = L, .args = "",
        .group = "server", .since = "4.0.0", .complexity = "by subcommand",
        .summary = "There are no modules.",
        .subcommands = MODULE_SUBCOMMANDS},
    [COMMAND_ROLE] = {
        .name = "role", .arity = 1, .flags = L | F, .args = "",
        .group = "server", .since = "2.8.12", .complexity = "O(1)",
        .summary = "master, without replicas."},
    [COMMAND_LASTSAVE] = {
        .name = "lastsave", .arity = 1, .flags = L | F, .args = "",
        .group = "server", .since = "1.0.0", .complexity = "O(1)",
        .summary = "Now: every write that was answered is in the table."},
    [COMMAND_WAIT] = {
        .name = "wait", .arity = 3, .flags = L, .args = "numreplicas timeout",
        .group = "generic", .since = "3.0.0", .complexity = "O(1)",
        .summary = "0, at once: there are no replicas of Redis' kind."},
    [COMMAND_CLUSTER] = {
        .name = "cluster", .arity = -2, .flags = L, .args = "subcommand",
        .group = "cluster", .since = "3.0.0", .complexity = "O(1)",
        .summary = "Refused as by a Redis that is in no cluster."},
    [COMMAND_READONLY] = {
        .name = "readonly", .arity = 1, .flags = L | F, .args = "",
        .group = "cluster", .since = "3.0.0", .complexity = "O(1)",
        .summary = "Refused, as CLUSTER."},
    [COMMAND_READWRITE] = {
        .name = "readwrite", .arity = 1, .flags = L | F, .args = "",
        .group = "cluster", .since = "3.0.0", .complexity = "O(1)",
        .summary = "Refused, as CLUSTER."},
    [COMMAND_DEBUG] = {
        .name = "debug", .arity = -2, .flags = L | A, .args = "",
        .group = "server", .since = "1.0.0", .complexity = "by subcommand",
        .summary = "For tests; needs allow-debug yes.",
        .subcommands = DEBUG_SUBCOMMANDS},
    [COMMAND_MONITOR] = {
        .name = "monitor", .arity = 1, .flags = L | A, .args = "",
        .group = "server", .since = "1.0.0", .complexity = "O(1), and something for each request",
        .summary = "Shows what clients ask for, as it comes; needs allow-monitor yes."},
    [COMMAND_RF_HOTKEYS] = {
        .name = "rf.hotkeys", .arity = -1, .flags = L, .args = "[COUNT count]",
        .group = "server", .since = "7.0.0", .complexity = "O(workers)",
        .summary = "The keys that this proxy is asked for most, 10 if not said: each key, requests per second, share of all requests; estimated from a sample."},
    [COMMAND_SUBSCRIBE] = {
        .name = "subscribe", .arity = -2, .flags = L, .args = "channel [channel ...]",
        .group = "pubsub", .since = "2.0.0", .complexity = "O(channels)",
        .summary = "Tells this connection what becomes of keys: __keyspace@0__:key, __keyevent@0__:event."},
    [COMMAND_UNSUBSCRIBE] = {
        .name = "unsubscribe", .arity = -1, .flags = L, .args = "[channel [channel ...]]",
        .group = "pubsub", .since = "2.0.0", .complexity = "O(channels)",
        .summary = "Ends subscriptions to channels, or to all of them."},
    [COMMAND_PSUBSCRIBE] = {
        .name = "psubscribe", .arity = -2, .flags = L, .args = "pattern [pattern ...]",
        .group = "pubsub", .since = "2.0.0", .complexity = "O(patterns)",
        .summary = "As SUBSCRIBE, for all channels that match patterns."},
    [COMMAND_PUNSUBSCRIBE] = {
        .name = "punsubscribe", .arity = -1, .flags = L, .args = "[pattern [pattern ...]]",
        .group = "pubsub", .since = "2.0.0", .complexity = "O(patterns)",
        .summary = "Ends subscriptions to patterns, or to all of them."},
    [COMMAND_PUBSUB] = {
        .name = "pubsub", .arity = -2, .flags = L, .args = "",
        .group = "pubsub", .since = "2.8.0", .complexity = "by subcommand",
        .summary = "Who is subscribed to what, at this proxy.",
        .subcommands = PUBSUB_SUBCOMMANDS},
    [COMMAND_PUBLISH] = {
        .name = "publish", .arity = 3, .flags = L | F, .args = "channel message",
        .group = "pubsub", .since = "2.0.0", .complexity = "O(1)",
        .summary = "Refused: channels carry what becomes of keys, and nothing else."},
    [COMMAND_RF_LINK] = {
        .name = "rf.link", .arity = 2, .flags = L | LINK, .args = "version",
        .group = "server", .since = "7.0.0", .complexity = "O(1)",
        .summary = "This connection takes late answers."},
    [COMMAND_RF_DROP] = {
        .name = "rf.drop", .arity = -2, KEYS(1, -1, 1, "RW"), .flags = LINK | M, .args = "key [key ...]",
        .group = "generic", .since = "7.0.0", .complexity = "O(keys)",
        .summary = "Forget keys: another node changed them."},
    [COMMAND_RF_DROPALL] = {
        .name = "rf.dropall", .arity = 1, .flags = L | LINK, .args = "",
        .group = "server", .since = "7.0.0", .complexity = "O(1)",
        .summary = "Every copy is fetched again: all keys were deleted."},
    [COMMAND_RF_WATCH] = {
        .name = "rf.watch", .arity = -2, .flags = L | LINK, .args = "on [VERSIONS]",
        .group = "server", .since = "7.0.0", .complexity = "O(1)",
        .summary = "Whether this connection is told which keys change, and with which versions."},
    [COMMAND_RF_STATUS] = {
        .name = "rf.status", .arity = 1, .flags = L | LINK, .args = "",
        .group = "server", .since = "7.0.0", .complexity = "O(figures)",
        .summary = "A node's figures for its proxies."},
    [COMMAND_RF_EXEC] = {
        .name = "rf.exec", .arity = 3, .flags = LINK, .args = "watches commands",
        .group = "server", .since = "7.0.0", .complexity = "O(commands) and one commit",
        .summary = "Requests to run as one transaction, if what is watched is as it was."},
    [COMMAND_RF_VERSION] = {
        .name = "rf.version", .arity = 2, KEYS(1, 1, 1, "RO"), .flags = LINK | T, .args = "key",
        .group = "server", .since = "7.0.0", .complexity = "O(1), asks the table",
        .summary = "A row's version (0: no row) and whether it is live."},
    [COMMAND_RF_SCOPE] = {
        .name = "rf.scope", .arity = -4, .flags = LINK, .args = "numprefixes prefix [prefix ...] command [arg ...]",
        .group = "server", .since = "7.0.0", .complexity = "by command",
        .summary = "A command about all keys, for those with some prefixes alone."},
};
/* clang-format on */

const struct command *command_row(int id) {
    return &ROWS[id];
}
