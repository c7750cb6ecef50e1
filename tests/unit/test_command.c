#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/command.h"

static bool has_text(const char *text) {
    return text != NULL && text[0] != '\0';
}

Test(command, has_a_full_row_for_every_id) {
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        const struct command *row = command_row(id);
        cr_assert(has_text(row->name), "id %d", id);
        cr_expect_neq(row->arity, 0, "%s", row->name);
        cr_expect(has_text(row->group) && has_text(row->since) && has_text(row->complexity) &&
                      has_text(row->summary),
                  "%s", row->name);
        for (const char *c = row->name; *c != '\0'; c++)
            cr_expect((*c >= 'a' && *c <= 'z') || *c == '.', "%s is lower case", row->name);
        cr_expect_null(strpbrk(row->summary, "\r\n"), "%s", row->name);
        cr_expect_not_null(row->args, "%s", row->name);
        bool alone = row->arity == 1 || row->arity == -1 || row->subcommands != NULL;
        cr_expect(alone || has_text(row->args), "%s takes arguments", row->name);
    }
}

Test(command, agrees_with_itself_about_keys_and_flags) {
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        const struct command *row = command_row(id);
        bool keys = row->first_key != 0, local = (row->flags & COMMAND_LOCAL) != 0;
        bool several = row->last_key == -1, link = (row->flags & COMMAND_LINK) != 0;
        cr_expect(!keys || !local || id == COMMAND_TX_WATCH, "%s has keys or is local", row->name);
        cr_expect_eq(keys, row->key_step != 0, "%s", row->name);
        cr_expect_eq(keys, row->last_key != 0, "%s", row->name);
        cr_expect_eq(several, (row->flags & COMMAND_MULTI) != 0, "%s", row->name);
        cr_expect(!link || strncmp(row->name, "rf.", 3) == 0, "%s", row->name);
        unsigned access = row->flags & (COMMAND_READ | COMMAND_WRITE);
        cr_expect(local || link ? access == 0 : access == COMMAND_READ || access == COMMAND_WRITE,
                  "%s reads or writes", row->name);
    }
}

static void recase(char *name, unsigned mask) {
    for (size_t i = 0; name[i] != '\0'; i++) {
        if (name[i] >= 'a' && name[i] <= 'z' && (mask >> i & 1) != 0)
            name[i] = (char)(name[i] - 32);
    }
}

Test(command, finds_every_row_in_any_case) {
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        for (unsigned mask = 0; mask < 512; mask++) {
            char name[32];
            snprintf(name, sizeof(name), "%s", command_row(id)->name);
            recase(name, mask);
            cr_assert_eq(command_find(span_str(name)), id, "%s", name);
        }
    }
}

/* One byte more, less or other is another name, and never a read outside of it. */
Test(command, finds_nothing_that_only_looks_like_a_row) {
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        size_t len = strlen(command_row(id)->name);
        char *name = malloc(len + 1);
        memcpy(name, command_row(id)->name, len);
        for (size_t at = 0; at < len; at++) {
            for (int flip = 1; flip < 256; flip++) {
                name[at] = (char)(name[at] ^ flip);
                int found = command_find(span_of(name, len));
                cr_assert(found != id || flip == 0x20, "%.*s", (int)len, name);
                cr_assert(found == -1 || span_equal_nocase(span_of(name, len),
                                                           span_str(command_row(found)->name)));
                name[at] = (char)(name[at] ^ flip);
            }
        }
        name[len] = 'x';
        cr_assert_eq(command_find(span_of(name, len + 1)), -1);
        int shorter = command_find(span_of(name, len - 1));
        cr_assert(shorter == -1 || strlen(command_row(shorter)->name) == len - 1);
        free(name);
    }
    cr_assert_eq(command_find(span_of(NULL, 0)), -1);
    cr_assert_eq(command_find(SPAN("r\x0e"
                                   "link")),
                 -1);
    char *large = calloc(1, 1 << 20);
    cr_assert_eq(command_find(span_of(large, 1 << 20)), -1);
    free(large);
}

/* As COMMAND INFO of Redis 7.0.15 has them: arity, first key, last key, step, flags of the keys. */
static const struct {
    int id, arity, first, last, step;
    const char *key_flags;
} REDIS[] = {
    {COMMAND_GET, 2, 1, 1, 1, "RO access"},
    {COMMAND_SET, -3, 1, 1, 1, "RW access update variable_flags"},
    {COMMAND_SETNX, 3, 1, 1, 1, "OW insert"},
    {COMMAND_GETSET, 3, 1, 1, 1, "RW access update"},
    {COMMAND_GETDEL, 2, 1, 1, 1, "RW access delete"},
    {COMMAND_MGET, -2, 1, -1, 1, "RO access"},
    {COMMAND_MSET, -3, 1, -1, 2, "OW update"},
    {COMMAND_DEL, -2, 1, -1, 1, "RM delete"},
    {COMMAND_UNLINK, -2, 1, -1, 1, "RM delete"},
    {COMMAND_EXISTS, -2, 1, -1, 1, "RO"},
    {COMMAND_TOUCH, -2, 1, -1, 1, "RO"},
    {COMMAND_STRLEN, 2, 1, 1, 1, "RO"},
    {COMMAND_TYPE, 2, 1, 1, 1, "RO"},
    {COMMAND_SETEX, 4, 1, 1, 1, "OW update"},
    {COMMAND_PSETEX, 4, 1, 1, 1, "OW update"},
    {COMMAND_GETEX, -2, 1, 1, 1, "RW access update"},
    {COMMAND_EXPIRE, -3, 1, 1, 1, "RW update"},
    {COMMAND_PEXPIRE, -3, 1, 1, 1, "RW update"},
    {COMMAND_EXPIREAT, -3, 1, 1, 1, "RW update"},
    {COMMAND_PEXPIREAT, -3, 1, 1, 1, "RW update"},
    {COMMAND_TTL, 2, 1, 1, 1, "RO access"},
    {COMMAND_PTTL, 2, 1, 1, 1, "RO access"},
    {COMMAND_EXPIRETIME, 2, 1, 1, 1, "RO access"},
    {COMMAND_PEXPIRETIME, 2, 1, 1, 1, "RO access"},
    {COMMAND_PERSIST, 2, 1, 1, 1, "RW update"},
    {COMMAND_GETRANGE, 4, 1, 1, 1, "RO access"},
    {COMMAND_SUBSTR, 4, 1, 1, 1, "RO access"},
    {COMMAND_INCR, 2, 1, 1, 1, "RW access update"},
    {COMMAND_DECR, 2, 1, 1, 1, "RW access update"},
    {COMMAND_INCRBY, 3, 1, 1, 1, "RW access update"},
    {COMMAND_DECRBY, 3, 1, 1, 1, "RW access update"},
    {COMMAND_INCRBYFLOAT, 3, 1, 1, 1, "RW access update"},
    {COMMAND_APPEND, 3, 1, 1, 1, "RW insert"},
    {COMMAND_SETRANGE, 4, 1, 1, 1, "RW update"},
    {COMMAND_MSETNX, -3, 1, -1, 2, "OW insert"},
    /* Redis has these keys in the rows of the subcommands. */
    {COMMAND_MEMORY, -2, 2, 2, 1, "RO"},
    {COMMAND_OBJECT, -2, 2, 2, 1, "RO"},
    {COMMAND_DBSIZE, 1, 0, 0, 0, NULL},
    {COMMAND_SCAN, -2, 0, 0, 0, NULL},
    {COMMAND_KEYS, 2, 0, 0, 0, NULL},
    {COMMAND_RANDOMKEY, 1, 0, 0, 0, NULL},
    {COMMAND_FLUSHDB, -1, 0, 0, 0, NULL},
    {COMMAND_FLUSHALL, -1, 0, 0, 0, NULL},
    {COMMAND_PING, -1, 0, 0, 0, NULL},
    {COMMAND_ECHO, 2, 0, 0, 0, NULL},
    {COMMAND_AUTH, -2, 0, 0, 0, NULL},
    {COMMAND_QUIT, -1, 0, 0, 0, NULL},
    {COMMAND_RESET, 1, 0, 0, 0, NULL},
    {COMMAND_SELECT, 2, 0, 0, 0, NULL},
    {COMMAND_HELLO, -1, 0, 0, 0, NULL},
    {COMMAND_ACL, -2, 0, 0, 0, NULL},
    {COMMAND_CLIENT, -2, 0, 0, 0, NULL},
    {COMMAND_COMMAND, -1, 0, 0, 0, NULL},
    {COMMAND_CONFIG, -2, 0, 0, 0, NULL},
    {COMMAND_INFO, -1, 0, 0, 0, NULL},
    {COMMAND_SLOWLOG, -2, 0, 0, 0, NULL},
    {COMMAND_LATENCY, -2, 0, 0, 0, NULL},
    {COMMAND_MODULE, -2, 0, 0, 0, NULL},
    {COMMAND_ROLE, 1, 0, 0, 0, NULL},
    {COMMAND_LASTSAVE, 1, 0, 0, 0, NULL},
    {COMMAND_WAIT, 3, 0, 0, 0, NULL},
    {COMMAND_CLUSTER, -2, 0, 0, 0, NULL},
    {COMMAND_READONLY, 1, 0, 0, 0, NULL},
    {COMMAND_READWRITE, 1, 0, 0, 0, NULL},
    {COMMAND_DEBUG, -2, 0, 0, 0, NULL},
    {COMMAND_MONITOR, 1, 0, 0, 0, NULL},
    {COMMAND_TIME, 1, 0, 0, 0, NULL},
    {COMMAND_SUBSCRIBE, -2, 0, 0, 0, NULL},
    {COMMAND_UNSUBSCRIBE, -1, 0, 0, 0, NULL},
    {COMMAND_PSUBSCRIBE, -2, 0, 0, 0, NULL},
    {COMMAND_PUNSUBSCRIBE, -1, 0, 0, 0, NULL},
    {COMMAND_PUBSUB, -2, 0, 0, 0, NULL},
    {COMMAND_PUBLISH, 3, 0, 0, 0, NULL},
    {COMMAND_TX_MULTI, 1, 0, 0, 0, NULL},
    {COMMAND_TX_EXEC, 1, 0, 0, 0, NULL},
    {COMMAND_TX_DISCARD, 1, 0, 0, 0, NULL},
    {COMMAND_TX_WATCH, -2, 1, -1, 1, "RO"},
    {COMMAND_TX_UNWATCH, 1, 0, 0, 0, NULL},
};

Test(command, has_the_arity_and_the_keys_of_redis) {
    bool seen[COMMAND_COUNT_OF] = {false};
    for (size_t i = 0; i < sizeof(REDIS) / sizeof(REDIS[0]); i++) {
        const struct command *row = command_row(REDIS[i].id);
        seen[REDIS[i].id] = true;
        cr_expect_eq(row->arity, REDIS[i].arity, "%s", row->name);
        cr_expect_eq(row->first_key, REDIS[i].first, "%s", row->name);
        cr_expect_eq(row->last_key, REDIS[i].last, "%s", row->name);
        cr_expect_eq(row->key_step, REDIS[i].step, "%s", row->name);
        if (REDIS[i].key_flags == NULL)
            cr_expect_null(row->key_flags, "%s", row->name);
        else
            cr_expect_str_eq(row->key_flags, REDIS[i].key_flags, "%s", row->name);
    }
    for (int id = 0; id < COMMAND_COUNT_OF; id++)
        cr_expect(seen[id] || strncmp(command_row(id)->name, "rf.", 3) == 0, "%s",
                  command_row(id)->name);
}

Test(command, counts_arguments) {
    cr_expect(command_arity_ok(COMMAND_GET, 2));
    cr_expect_not(command_arity_ok(COMMAND_GET, 1));
    cr_expect_not(command_arity_ok(COMMAND_GET, 3));
    cr_expect_not(command_arity_ok(COMMAND_SET, 2));
    cr_expect(command_arity_ok(COMMAND_SET, 3));
    cr_expect(command_arity_ok(COMMAND_SET, 1024));
    cr_expect(command_arity_ok(COMMAND_PING, 1));
    cr_expect_not(command_arity_ok(COMMAND_MSET, 2));
    cr_expect(command_arity_ok(COMMAND_MSET, 3));
    cr_expect_not(command_arity_ok(COMMAND_MSET, 4), "a key without its value");
    cr_expect(command_arity_ok(COMMAND_MSET, 5));
    cr_expect(command_arity_late(COMMAND_MSET, 4));
    cr_expect_not(command_arity_late(COMMAND_MSET, 2));
    cr_expect_not(command_arity_late(COMMAND_MSET, 5));
    cr_expect_not(command_arity_late(COMMAND_GET, 3));
}

Test(command, lists_subcommands_where_a_command_has_them) {
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        bool wanted = id == COMMAND_ACL || id == COMMAND_CLIENT || id == COMMAND_COMMAND ||
                      id == COMMAND_CONFIG || id == COMMAND_DEBUG || id == COMMAND_LATENCY ||
                      id == COMMAND_MEMORY || id == COMMAND_MODULE || id == COMMAND_OBJECT ||
                      id == COMMAND_PUBSUB || id == COMMAND_SLOWLOG;
        const char *const *names = command_row(id)->subcommands;
        cr_expect_eq(names != NULL, wanted, "%s", command_row(id)->name);
        for (; names != NULL && *names != NULL; names++)
            cr_expect(has_text(*names));
    }
}

/* What is read up to there is read from the request, however short it is. */
Test(command, keys_end_within_the_request) {
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        for (uint32_t argc = 1; argc < 9; argc++) {
            if (command_arity_ok(id, argc))
                cr_assert_leq(command_key_end(command_row(id), argc), argc, "%s with %u",
                              command_row(id)->name, argc);
        }
    }
    cr_assert_eq(command_key_end(command_row(COMMAND_OBJECT), 2), 2);
    cr_assert_eq(command_key_end(command_row(COMMAND_OBJECT), 3), 3);
    cr_assert_eq(command_key_end(command_row(COMMAND_MGET), 4), 4);
}
