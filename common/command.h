/*
 * command: every command, declared once: routing, COMMAND, arity errors and docs read the rows.
 */
#ifndef RINGFENCE_COMMAND_H
#define RINGFENCE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

enum command_id {
    /* keys: the proxy routes them, the node answers them */
    COMMAND_GET,
    COMMAND_SET,
    COMMAND_SETNX,
    COMMAND_GETSET,
    COMMAND_GETDEL,
    COMMAND_MGET,
    COMMAND_MSET,
    COMMAND_DEL,
    COMMAND_UNLINK,
    COMMAND_EXISTS,
    COMMAND_TOUCH,
    COMMAND_STRLEN,
    COMMAND_TYPE,
    COMMAND_SETEX,
    COMMAND_PSETEX,
    COMMAND_GETEX,
    COMMAND_EXPIRE,
    COMMAND_PEXPIRE,
    COMMAND_EXPIREAT,
    COMMAND_PEXPIREAT,
    COMMAND_TTL,
    COMMAND_PTTL,
    COMMAND_EXPIRETIME,
    COMMAND_PEXPIRETIME,
    COMMAND_PERSIST,
    COMMAND_GETRANGE,
    COMMAND_SUBSTR,
    COMMAND_INCR,
    COMMAND_DECR,
    COMMAND_INCRBY,
    COMMAND_DECRBY,
    COMMAND_INCRBYFLOAT,
    COMMAND_APPEND,
    COMMAND_SETRANGE,
    COMMAND_MSETNX,
    COMMAND_MEMORY, /* these two: a subcommand about a key; the others are local */
    COMMAND_OBJECT,
    COMMAND_RF_GET,
    COMMAND_RF_SETVER,
    COMMAND_RF_ENABLE,
    COMMAND_RF_DISABLE,
    COMMAND_DBSIZE,
    COMMAND_SCAN,
    COMMAND_KEYS,
    COMMAND_RANDOMKEY,
    COMMAND_FLUSHDB,
    COMMAND_FLUSHALL,
    /* connection and server: each daemon answers them itself */
    COMMAND_PING,
    COMMAND_ECHO,
    COMMAND_AUTH,
    COMMAND_QUIT,
    COMMAND_RESET,
    COMMAND_SELECT,
    COMMAND_HELLO,
    COMMAND_ACL,
    COMMAND_CLIENT,
    COMMAND_COMMAND,
    COMMAND_CONFIG,
    COMMAND_INFO,
    COMMAND_SLOWLOG,
    COMMAND_LATENCY,
    COMMAND_MODULE,
    COMMAND_ROLE,
    COMMAND_LASTSAVE,
    COMMAND_WAIT,
    COMMAND_CLUSTER,
    COMMAND_READONLY,
    COMMAND_READWRITE,
    COMMAND_DEBUG,
    COMMAND_MONITOR,
    COMMAND_TIME,
    COMMAND_RF_HOTKEYS,
    /* channels: the proxy keeps who is subscribed */
    COMMAND_SUBSCRIBE,
    COMMAND_UNSUBSCRIBE,
    COMMAND_PSUBSCRIBE,
    COMMAND_PUNSUBSCRIBE,
    COMMAND_PUBSUB,
    COMMAND_PUBLISH,
    /* transactions: the proxy keeps their state */
    COMMAND_TX_MULTI,
    COMMAND_TX_EXEC,
    COMMAND_TX_DISCARD,
    COMMAND_TX_WATCH,
    COMMAND_TX_UNWATCH,
    /* between proxy and node only */
    COMMAND_RF_LINK,
    COMMAND_RF_DROP,
    COMMAND_RF_DROPALL,
    COMMAND_RF_STATUS,
    COMMAND_RF_WATCH,
    COMMAND_RF_EXEC,
    COMMAND_RF_VERSION,
    COMMAND_RF_SCOPE,
    COMMAND_COUNT_OF /* number of rows; not a command */
};

enum command_flags {
    COMMAND_READ = 1 << 0,  /* reads keys */
    COMMAND_WRITE = 1 << 1, /* may change keys */
    COMMAND_MULTI = 1 << 2, /* takes several keys */
    COMMAND_LOCAL = 1 << 3, /* no key: answered by the process that was asked */
    COMMAND_LINK = 1 << 4,  /* only a node knows it; for a client it is unknown */
    COMMAND_FAST = 1 << 5,  /* O(1) or O(keys), for COMMAND's flags */
    COMMAND_TABLE = 1 << 6, /* answered by the table itself, past the cache */
    COMMAND_ADMIN = 1 << 7, /* for users with role=admin */
};

struct command {
    const char *name; /* lower case */
    int arity;        /* as Redis: counts the name; negative: at least */
    int first_key, last_key,
        key_step;          /* as Redis' COMMAND: 0 without keys, last_key -1: to the end */
    const char *key_flags; /* what it does with them, in the words of Redis' key specifications */
    unsigned flags;
    const char *args;  /* behind the name, as "key value [NX|XX] [key ...]"; "" without any */
    const char *group; /* as COMMAND DOCS: "string", "generic", "transactions" and so on */
    const char *since; /* Redis version that introduced it */
    const char *complexity;
    const char *summary;            /* one line, our words */
    const char *const *subcommands; /* names, NULL-terminated, or NULL */
};

/** command_find(name): the row of a command, any case, or -1. Cost: O(1), no allocation. */
int command_find(struct span name);

/** command_row(id): its row; never NULL for 0 <= id < COMMAND_COUNT_OF. */
const struct command *command_row(int id);

/** command_key_end(row, argc): its keys stand at first_key, first_key + key_step and so on, before
 * this argument, which is one of its `argc` or the one behind the last; no further than first_key
 * where it has none (OBJECT HELP), 0 if it never has. */
static inline uint32_t command_key_end(const struct command *row, uint32_t argc) {
    uint32_t end = row->first_key == 0 ? 0
                   : row->last_key < 0 ? argc + 1 - (uint32_t)-row->last_key
                                       : (uint32_t)row->last_key + 1;
    return end < argc ? end : argc;
}

/** command_arity_ok(id, argc): `argc` (with the name) is allowed. */
bool command_arity_ok(int id, uint32_t argc);

/** command_arity_late(id, argc): it is not, but Redis only sees that when it runs the command: MSET
 * with a key without its value. */
bool command_arity_late(int id, uint32_t argc);

/** command_in_exec(id): it may be queued between MULTI and EXEC: a node can do it within an SQL
 * transaction, or the proxy answers it without any effect. */
bool command_in_exec(int id);

#endif
