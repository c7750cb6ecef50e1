/* Commands by name, and whether they have as many arguments as they take. */
#include "command.h"

/* Ids by length of name, the frequent ones first; -1 ends a list. A test sees to it that every row
 * is found. */
enum { NAME_BYTES_MAX = 12, SAME_LENGTH_MAX = 24 };
static const signed char BY_LENGTH[NAME_BYTES_MAX + 1][SAME_LENGTH_MAX + 1] = {
    [0 ... 2] = {-1},
    [3] = {COMMAND_GET, COMMAND_SET, COMMAND_DEL, COMMAND_TTL, COMMAND_ACL, -1},
    [4] = {COMMAND_MGET, COMMAND_MSET, COMMAND_PTTL, COMMAND_TYPE, COMMAND_PING, COMMAND_ECHO,
           COMMAND_AUTH, COMMAND_QUIT, COMMAND_INFO, COMMAND_TIME, COMMAND_INCR, COMMAND_DECR,
           COMMAND_TX_EXEC, COMMAND_ROLE, COMMAND_SCAN, COMMAND_KEYS, COMMAND_WAIT, -1},
    [5] = {COMMAND_SETEX, COMMAND_SETNX, COMMAND_TOUCH, COMMAND_GETEX, COMMAND_RESET, COMMAND_HELLO,
           COMMAND_TX_MULTI, COMMAND_TX_WATCH, COMMAND_DEBUG, -1},
    [6] = {COMMAND_EXISTS, COMMAND_EXPIRE,
           COMMAND_GETSET, COMMAND_GETDEL,
           COMMAND_UNLINK, COMMAND_STRLEN,
           COMMAND_PSETEX, COMMAND_SUBSTR,
           COMMAND_DBSIZE, COMMAND_SELECT,
           COMMAND_CLIENT, COMMAND_CONFIG,
           COMMAND_INCRBY, COMMAND_DECRBY,
           COMMAND_APPEND, COMMAND_MSETNX,
           COMMAND_MEMORY, COMMAND_OBJECT,
           COMMAND_MODULE, COMMAND_PUBSUB,
           COMMAND_RF_GET, -1},
    [7] = {COMMAND_PEXPIRE, COMMAND_PERSIST, COMMAND_COMMAND, COMMAND_RF_LINK, COMMAND_RF_DROP,
           COMMAND_RF_EXEC, COMMAND_TX_DISCARD, COMMAND_TX_UNWATCH, COMMAND_SLOWLOG,
           COMMAND_LATENCY, COMMAND_FLUSHDB, COMMAND_PUBLISH, COMMAND_MONITOR, COMMAND_CLUSTER, -1},
    [8] = {COMMAND_EXPIREAT, COMMAND_GETRANGE, COMMAND_RF_WATCH, COMMAND_SETRANGE, COMMAND_LASTSAVE,
           COMMAND_FLUSHALL, COMMAND_RF_SCOPE, COMMAND_READONLY, -1},
    [9] = {COMMAND_PEXPIREAT, COMMAND_RF_STATUS, COMMAND_RF_SETVER, COMMAND_RF_ENABLE,
           COMMAND_RANDOMKEY, COMMAND_SUBSCRIBE, COMMAND_READWRITE, -1},
    [10] = {COMMAND_EXPIRETIME, COMMAND_RF_VERSION, COMMAND_RF_DISABLE, COMMAND_RF_DROPALL,
            COMMAND_RF_HOTKEYS, COMMAND_PSUBSCRIBE, -1},
    [11] = {COMMAND_PEXPIRETIME, COMMAND_INCRBYFLOAT, COMMAND_UNSUBSCRIBE, -1},
    [12] = {COMMAND_PUNSUBSCRIBE, -1},
};

/* Whether `name` in lower case is `lower`, which is as long. */
static bool is_name(struct span name, const char *lower) {
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if ((unsigned char)(c + ((unsigned char)(c - 'A') < 26 ? 'a' - 'A' : 0)) !=
            (unsigned char)lower[i])
            return false;
    }
    return true;
}

int command_find(struct span name) {
    if (name.len > NAME_BYTES_MAX)
        return -1;
    for (const signed char *id = BY_LENGTH[name.len]; *id >= 0; id++) {
        if ((name.ptr[0] | 0x20) == command_row(*id)->name[0] &&
            is_name(name, command_row(*id)->name))
            return *id;
    }
    return -1;
}

static bool count_fits(int id, uint32_t argc) {
    int arity = command_row(id)->arity;
    return arity < 0 ? argc >= (uint32_t)-arity : argc == (uint32_t)arity;
}

/* Keys that come in pairs: MSET a 1 b is one argument short. */
static bool pairs_fit(int id, uint32_t argc) {
    return command_row(id)->key_step != 2 || argc % 2 == 1;
}

bool command_arity_ok(int id, uint32_t argc) {
    return count_fits(id, argc) && pairs_fit(id, argc);
}

bool command_arity_late(int id, uint32_t argc) {
    return count_fits(id, argc) && !pairs_fit(id, argc);
}
