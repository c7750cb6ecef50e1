#include "command.h"

#include <stddef.h>

static const char *const CLIENT_SUBCOMMANDS[] = {"ID",   "GETNAME",  "SETNAME",  "SETINFO", "INFO",
                                                 "LIST", "NO-EVICT", "NO-TOUCH", "HELP",    NULL};
static const char *const COMMAND_SUBCOMMANDS[] = {"COUNT",   "INFO", "DOCS", "LIST",
                                                  "GETKEYS", "HELP", NULL};
static const char *const CONFIG_SUBCOMMANDS[] = {"GET", "HELP", NULL};

enum {
    R = COMMAND_READ,
    W = COMMAND_WRITE,
    M = COMMAND_MULTI,
    L = COMMAND_LOCAL,
    LINK = COMMAND_LINK,
    F = COMMAND_FAST
};

/* name, arity, first key, last key, step, flags, group, since, complexity, summary, subcommands */
static const struct command ROWS[] = {
    [COMMAND_GET] = {"get", 2, 1, 1, 1, R | F, "string", "1.0.0", "O(1)", "The value of a key.",
                     NULL},
    [COMMAND_SET] =
        {"set", -3, 1, 1, 1, W, "string", "1.0.0", "O(1) and one commit",
         "Sets a key; NX only if it is absent, XX only if it is there, GET returns the old value.",
         NULL},
    [COMMAND_SETNX] = {"setnx", 3, 1, 1, 1, W | F, "string", "1.0.0", "O(1) and one commit",
                       "Sets a key only if it is absent.", NULL},
    [COMMAND_GETSET] = {"getset", 3, 1, 1, 1, W | F, "string", "1.0.0", "O(1) and one commit",
                        "Sets a key and returns its old value.", NULL},
    [COMMAND_GETDEL] = {"getdel", 2, 1, 1, 1, W | F, "string", "6.2.0", "O(1) and one commit",
                        "Returns the value of a key and deletes it.", NULL},
    [COMMAND_MGET] = {"mget", -2, 1, -1, 1, R | M | F, "string", "1.0.0", "O(keys)",
                      "The values of several keys.", NULL},
    [COMMAND_MSET] = {"mset", -3, 1, -1, 2, W | M, "string", "1.0.1", "O(keys) and one commit",
                      "Sets several keys in one transaction.", NULL},
    [COMMAND_DEL] = {"del", -2, 1, -1, 1, W | M, "generic", "1.0.0", "O(keys) and one commit",
                     "Deletes keys in one transaction.", NULL},
    [COMMAND_UNLINK] = {"unlink", -2, 1, -1, 1, W | M, "generic", "4.0.0", "O(keys) and one commit",
                        "Deletes keys, as DEL.", NULL},
    [COMMAND_EXISTS] = {"exists", -2, 1, -1, 1, R | M | F, "generic", "1.0.0", "O(keys)",
                        "How many of the keys exist.", NULL},
    [COMMAND_TOUCH] = {"touch", -2, 1, -1, 1, R | M | F, "generic", "3.2.1", "O(keys)",
                       "Counts keys that exist, and marks them as used.", NULL},
    [COMMAND_STRLEN] = {"strlen", 2, 1, 1, 1, R | F, "string", "2.2.0", "O(1)",
                        "The length of a value in bytes.", NULL},
    [COMMAND_TYPE] = {"type", 2, 1, 1, 1, R | F, "generic", "1.0.0", "O(1)", "string, or none.",
                      NULL},
    [COMMAND_DBSIZE] = {"dbsize", 1, 0, 0, 0, R, "server", "1.0.0", "O(rows)",
                        "The number of keys in the table.", NULL},
    [COMMAND_PING] = {"ping", -1, 0, 0, 0, L | F, "connection", "1.0.0", "O(1)",
                      "Answers PONG, or its argument.", NULL},
    [COMMAND_ECHO] = {"echo", 2, 0, 0, 0, L | F, "connection", "1.0.0", "O(1)",
                      "Answers its argument.", NULL},
    [COMMAND_QUIT] = {"quit", -1, 0, 0, 0, L | F, "connection", "1.0.0", "O(1)",
                      "Closes the connection.", NULL},
    [COMMAND_RESET] = {"reset", 1, 0, 0, 0, L | F, "connection", "6.2.0", "O(1)",
                       "Puts the connection back as it began.", NULL},
    [COMMAND_SELECT] = {"select", 2, 0, 0, 0, L | F, "connection", "1.0.0", "O(1)",
                        "Database 0 is the only one.", NULL},
    [COMMAND_HELLO] = {"hello", -1, 0, 0, 0, L | F, "connection", "6.0.0", "O(1)",
                       "Chooses RESP2 or RESP3.", NULL},
    [COMMAND_CLIENT] = {"client", -2, 0, 0, 0, L, "connection", "2.4.0", "by subcommand",
                        "About connections.", CLIENT_SUBCOMMANDS},
    [COMMAND_COMMAND] = {"command", -1, 0, 0, 0, L, "server", "2.8.13", "O(commands)",
                         "About the commands.", COMMAND_SUBCOMMANDS},
    [COMMAND_CONFIG] = {"config", -2, 0, 0, 0, L, "server", "2.0.0", "O(options)",
                        "About the options.", CONFIG_SUBCOMMANDS},
    [COMMAND_INFO] = {"info", -1, 0, 0, 0, L, "server", "1.0.0", "O(figures)",
                      "Figures, by section.", NULL},
    [COMMAND_TIME] = {"time", 1, 0, 0, 0, L | F, "server", "2.6.0", "O(1)",
                      "Seconds and microseconds since 1970.", NULL},
    [COMMAND_RF_LINK] = {"rf.link", 2, 0, 0, 0, L | LINK, "server", "7.0.0", "O(1)",
                         "This connection takes late answers.", NULL},
    [COMMAND_RF_DROP] = {"rf.drop", -2, 1, -1, 1, LINK | M, "generic", "7.0.0", "O(keys)",
                         "Forget keys: another node changed them.", NULL},
    [COMMAND_RF_STATUS] = {"rf.status", 1, 0, 0, 0, L | LINK, "server", "7.0.0", "O(figures)",
                           "A node's figures for its proxies.", NULL},
};

/* Ids by length of name, the frequent ones first; -1 ends a list. A test sees to it that every row
 * is found. */
enum { NAME_BYTES_MAX = 9, SAME_LENGTH_MAX = 10 };
static const signed char BY_LENGTH[NAME_BYTES_MAX + 1][SAME_LENGTH_MAX + 1] = {
    [0 ... 2] = {-1},
    [3] = {COMMAND_GET, COMMAND_SET, COMMAND_DEL, -1},
    [4] = {COMMAND_MGET, COMMAND_MSET, COMMAND_PING, COMMAND_TYPE, COMMAND_INFO, COMMAND_ECHO,
           COMMAND_TIME, COMMAND_QUIT, -1},
    [5] = {COMMAND_TOUCH, COMMAND_SETNX, COMMAND_HELLO, COMMAND_RESET, -1},
    [6] = {COMMAND_EXISTS, COMMAND_STRLEN, COMMAND_UNLINK, COMMAND_GETSET, COMMAND_GETDEL,
           COMMAND_SELECT, COMMAND_CLIENT, COMMAND_CONFIG, COMMAND_DBSIZE, -1},
    [7] = {COMMAND_COMMAND, COMMAND_RF_DROP, COMMAND_RF_LINK, -1},
    [8] = {-1},
    [9] = {COMMAND_RF_STATUS, -1},
};

int command_find(struct span name) {
    if (name.len > NAME_BYTES_MAX)
        return -1;
    for (const signed char *id = BY_LENGTH[name.len]; *id >= 0; id++) {
        if (((name.ptr[0] | 0x20) == ROWS[*id].name[0]) &&
            span_equal_nocase(name, span_of(ROWS[*id].name, name.len)))
            return *id;
    }
    return -1;
}

const struct command *command_row(int id) {
    return &ROWS[id];
}

bool command_arity_ok(int id, uint32_t argc) {
    int arity = ROWS[id].arity;
    if (arity < 0 ? argc < (uint32_t)-arity : argc != (uint32_t)arity)
        return false;
    /* Keys that come in pairs: MSET a 1 b is one argument short. */
    return ROWS[id].key_step != 2 || argc % 2 == 1;
}
