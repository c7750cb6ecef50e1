// needs: fakes/local_rig.c fakes/topology_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/buf.h"
#include "../../common/clock.h"
#include "../../common/command.h"
#include "../../common/conf.h"
#include "../../common/resp_parse.h"
#include "../../proxy/local.h"
#include "../../proxy/local_private.h"
#include "../../proxy/proxy_conf.h"
#include "../../proxy/proxy_stats.h"
#include "../../proxy/registry.h"
#include "../../proxy/tracking.h"
#include "../fakes/local_rig.h"
#include "../fakes/topology_fake.h"

/* Every text here is what redis-server 7.0.15 answers. */
Test(local, plain_commands_answer_as_redis) {
    static const char *const CASES[][2] = {
        {"PING", "+PONG\r\n"},
        {"PING a", "$1\r\na\r\n"},
        {"ping ''", "$0\r\n\r\n"},
        {"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
        {"ECHO x", "$1\r\nx\r\n"},
        {"SELECT 0", "+OK\r\n"},
        {"SELECT 1", "-ERR DB index is out of range\r\n"},
        {"SELECT -1", "-ERR DB index is out of range\r\n"},
        {"SELECT a", "-ERR value is not an integer or out of range\r\n"},
        {"SELECT ''", "-ERR value is not an integer or out of range\r\n"},
        {"SELECT 99999999999",
         "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"},
        {"SELECT 99999999999999999999", "-ERR value is not an integer or out of range\r\n"},
        {"RESET", "+RESET\r\n"},
    };
    struct local_rig *b = local_rig_start();
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        local_rig_expect(b, CASES[i][0], CASES[i][1]);
        cr_assert_eq(b->result, LOCAL_DONE, "%s", CASES[i][0]);
    }
}

Test(local, quit_says_ok_and_closes) {
    struct local_rig *b = local_rig_start();
    local_rig_expect(b, "QUIT", "+OK\r\n");
    cr_assert_eq(b->result, LOCAL_CLOSE);
    local_rig_expect(b, "QUIT now", "+OK\r\n");
    cr_assert_eq(b->result, LOCAL_CLOSE);
}

Test(local, time_is_now) {
    struct local_rig *b = local_rig_start();
    long long s = 0, us = 0;
    int digits = 0;
    int64_t before = clock_wall_us();
    cr_assert_eq(
        sscanf(local_rig_ask(b, "TIME"), "*2\r\n$10\r\n%lld\r\n$%d\r\n%lld\r\n", &s, &digits, &us),
        3);
    cr_assert_geq(s * 1000000 + us, before);
    cr_assert_leq(s * 1000000 + us, clock_wall_us());
}

Test(local, every_local_command_has_an_answer) {
    struct local_rig *b = local_rig_start();
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        const struct command *row = command_row(id);
        bool is_clients = (id >= COMMAND_TX_MULTI && id <= COMMAND_TX_UNWATCH) ||
                          (id >= COMMAND_SUBSCRIBE && id <= COMMAND_PUNSUBSCRIBE);
        if ((row->flags & COMMAND_LOCAL) == 0 || (row->flags & COMMAND_LINK) != 0 || is_clients)
            continue;
        struct span argv[] = {span_str(row->name), SPAN("help")};
        buf_release(&b->out);
        local_execute(&b->server, &b->me, LOCAL_RIG_NOW_MS, id, argv, 2, &b->out);
        buf_append(&b->out, "", 1);
        cr_assert_null(strstr(buf_head(&b->out), "internal error"), "%s", row->name);
    }
}

/* ---- AUTH and HELLO ---- */

Test(local, auth_answers_as_a_redis_without_a_password) {
    struct local_rig *b = local_rig_start();
    local_rig_expect(
        b, "AUTH secret",
        "-ERR AUTH <password> called without any password configured for the default user. Are "
        "you sure your configuration is correct?\r\n");
    local_rig_expect(b, "AUTH default anything", "+OK\r\n");
    local_rig_expect(b, "AUTH Default anything",
                     "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    local_rig_expect(b, "AUTH default a b", "-ERR syntax error\r\n");
}

static const char HELLO2[] =
    "*16\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n"
    "$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n"
    "$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
    "$7\r\nmodules\r\n*0\r\n$17\r\nringfence_version\r\n";
static const char HELLO3[] = "%8\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n"
                             "$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n";

Test(local, hello_tells_who_answers_and_switches_the_protocol) {
    struct local_rig *b = local_rig_start();
    cr_assert_eq(strncmp(local_rig_ask(b, "HELLO"), HELLO2, strlen(HELLO2)), 0);
    cr_assert_eq(strncmp(local_rig_ask(b, "HELLO 3"), HELLO3, strlen(HELLO3)), 0);
    cr_assert_eq(b->me.proto, 3);
    cr_assert_eq(strncmp(local_rig_ask(b, "HELLO"), HELLO3, strlen(HELLO3)), 0, "it stays");
    cr_assert_eq(strncmp(local_rig_ask(b, "HELLO 2"), HELLO2, strlen(HELLO2)), 0);
    cr_assert_eq(b->me.proto, 2);
}

Test(local, hello_takes_a_name_and_any_password_of_the_default_user) {
    struct local_rig *b = local_rig_start();
    local_rig_ask(b, "HELLO 3 AUTH default secret SETNAME first");
    cr_assert_str_eq(b->me.name, "first");
    local_rig_ask(b, "HELLO 2 setname second auth default ''");
    cr_assert_str_eq(b->me.name, "second");
    local_rig_ask(b, "HELLO 2 SETNAME ''");
    cr_assert_str_eq(b->me.name, "");
}

Test(local, a_hello_that_is_wrong_changes_nothing) {
    static const char *const CASES[][2] = {
        {"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
        {"HELLO 1", "-NOPROTO unsupported protocol version\r\n"},
        {"HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"},
        {"HELLO 3 AUTH", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
        {"HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
        {"HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"},
        {"HELLO 3 foo", "-ERR Syntax error in HELLO option 'foo'\r\n"},
        {"HELLO 3 AUTH foo x",
         "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"HELLO 3 SETNAME a\tb",
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"HELLO 3 SETNAME new FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"},
    };
    struct local_rig *b = local_rig_start();
    local_rig_ask(b, "CLIENT SETNAME old");
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        local_rig_expect(b, CASES[i][0], CASES[i][1]);
        cr_assert_eq(b->me.proto, 2, "%s", CASES[i][0]);
        cr_assert_str_eq(b->me.name, "old", "%s", CASES[i][0]);
    }
}

Test(local, reset_goes_back_to_resp2_without_a_name) {
    struct local_rig *b = local_rig_start();
    local_rig_ask(b, "HELLO 3 SETNAME me");
    local_rig_expect(b, "RESET", "+RESET\r\n");
    cr_assert_eq(b->me.proto, 2);
    local_rig_expect(b, "CLIENT GETNAME", "$-1\r\n");
}

/* ---- CLIENT ---- */

Test(local, client_answers_as_redis) {
    static const char *const CASES[][2] = {
        {"CLIENT ID", ":1\r\n"},
        {"client id", ":1\r\n"},
        {"CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command\r\n"},
        {"CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command\r\n"},
        {"CLIENT GETNAME", "$-1\r\n"},
        {"CLIENT SETNAME x", "+OK\r\n"},
        {"CLIENT GETNAME", "$1\r\nx\r\n"},
        {"CLIENT SETNAME \xc3\xa9",
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"CLIENT SETNAME ''", "+OK\r\n"},
        {"CLIENT GETNAME", "$-1\r\n"},
        {"CLIENT SETINFO lib-name redis-x", "+OK\r\n"},
        {"CLIENT SETINFO LIB-VER 1.2", "+OK\r\n"},
        {"CLIENT SETINFO LIB-NAME a\tb",
         "-ERR LIB-NAME cannot contain spaces, newlines or special characters.\r\n"},
        {"CLIENT SETINFO FOO x", "-ERR Unrecognized option 'FOO'\r\n"},
        {"CLIENT NO-EVICT on", "+OK\r\n"},
        {"CLIENT NO-TOUCH off", "+OK\r\n"},
        {"CLIENT NO-EVICT foo", "-ERR syntax error\r\n"},
        {"CLIENT foo bar", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"},
        {"CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type none",
         "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"},
        {"CLIENT LIST FOO", "-ERR syntax error\r\n"},
        {"CLIENT LIST TYPE", "-ERR syntax error\r\n"},
        {"CLIENT LIST ID", "-ERR syntax error\r\n"},
        {"CLIENT LIST ID x", "-ERR Invalid client ID\r\n"},
        {"CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'\r\n"},
        {"CLIENT LIST TYPE master", "$0\r\n\r\n"},
        {"CLIENT LIST ID 999", "$0\r\n\r\n"},
    };
    struct local_rig *b = local_rig_start();
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        local_rig_expect(b, CASES[i][0], CASES[i][1]);
    cr_assert_str_eq(b->me.lib_name, "redis-x");
    cr_assert_str_eq(b->me.lib_ver, "1.2");
}

Test(local, a_name_that_is_too_long_is_refused_whole) {
    struct local_rig *b = local_rig_start();
    char text[200] = "CLIENT SETNAME ";
    memset(text + 15, 'n', LOCAL_NAME_BYTES - 1);
    local_rig_expect(b, text, "+OK\r\n");
    cr_assert_eq(strlen(b->me.name), LOCAL_NAME_BYTES - 1);
    local_rig_ask(b, "CLIENT SETNAME short");
    text[15 + LOCAL_NAME_BYTES - 1] = 'n';
    local_rig_expect(b, text, "-ERR Client names cannot be longer than 63 bytes.\r\n");
    cr_assert_str_eq(b->me.name, "short");
    char hello[220];
    snprintf(hello, sizeof(hello), "HELLO 3 SETNAME %s", text + 15);
    local_rig_expect(b, hello, "-ERR Client names cannot be longer than 63 bytes.\r\n");
    cr_assert_str_eq(b->me.name, "short");
}

Test(local, client_info_is_one_line_with_redis_field_names) {
    struct local_rig *b = local_rig_start();
    local_rig_ask(b, "CLIENT SETINFO LIB-NAME lib");
    local_rig_ask(b, "CLIENT SETNAME me");
    local_rig_expect_has(
        b, "CLIENT INFO",
        "id=1 addr=127.0.0.1:1111 laddr=127.0.0.1:6379 fd=1121 name=me age=60 idle=0 "
        "flags=N db=0 ");
    local_rig_expect_has(b, "CLIENT INFO", " argv-mem=0 "); /* redis-py reads Redis' buffer sizes */
    local_rig_expect_has(b, "CLIENT INFO", " qbuf=0 qbuf-free=0 ");
    local_rig_expect_has(b, "CLIENT INFO", " obl=0 oll=0 omem=0 tot-mem=0 ");
    local_rig_expect_has(b, "CLIENT INFO",
                         " cmd=client user=default redir=-1 resp=2 lib-name=lib lib-ver= ");
    local_rig_ask(b, "HELLO 3");
    cr_assert_eq(local_rig_ask(b, "CLIENT INFO")[0], '=');
}

Test(local, client_list_shows_all_clients_by_id) {
    struct local_rig *b = local_rig_start();
    stats_set(&b->other.commands, 9);
    stats_set(&b->other.last_command, COMMAND_MGET);
    b->other.proto = 3;
    const char *text = local_rig_ask(b, "CLIENT LIST");
    const char *first = strstr(text, "id=1 "), *second = strstr(text, "\nid=2 ");
    cr_assert(first != NULL && second != NULL && first < second, "%s", text);
    cr_assert_not_null(strstr(second, " idle=3 "), "%s", second);
    cr_assert_not_null(strstr(second, " cmd=mget "), "%s", second);
    cr_assert_not_null(strstr(second, " resp=3 "), "%s", second);
    cr_assert_not_null(strstr(second, " tot-cmds=9\n"), "%s", second);
    local_rig_expect_lacks(b, "CLIENT LIST ID 2", "id=1 ");
    local_rig_expect_has(b, "CLIENT LIST ID 7 2", "id=2 ");
    local_rig_expect_has(b, "CLIENT LIST TYPE normal", "id=2 ");
}

Test(local, a_client_that_asked_nothing_yet_has_no_command) {
    struct local_rig *b = local_rig_start();
    local_rig_expect_has(b, "CLIENT LIST ID 2", " cmd=NULL ");
}

/* 2,000 clients with the longest lines, and room for less: an error, not half a list. */
Test(local, client_list_is_bounded) {
    static struct local_client many[4000];
    struct local_rig *b = local_rig_start();
    for (size_t i = 0; i < 4000; i++) {
        local_rig_fill(&many[i], 3333);
        memset(many[i].name, 'n', LOCAL_NAME_BYTES - 1);
        memset(many[i].lib_name, 'l', LOCAL_NAME_BYTES - 1);
        memset(many[i].lib_ver, 'v', LOCAL_NAME_BYTES - 1);
        registry_add(b->server.registry, &many[i]);
    }
    local_rig_expect_has(b, "CLIENT LIST", "-OOM ");
}

/* ---- COMMAND ---- */

Test(local, subcommands_are_those_of_the_command_table) {
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        const char *const *names = command_row(id)->subcommands;
        const struct local_subcommand *rows = local_subcommands(id);
        cr_assert_eq(names == NULL, rows == NULL, "%s", command_row(id)->name);
        size_t i = 0;
        for (; names != NULL && names[i] != NULL; i++) {
            cr_assert_not_null(rows[i].name, "%s %s", command_row(id)->name, names[i]);
            cr_assert(span_equal_nocase(span_str(rows[i].name), span_str(names[i])), "%s and %s",
                      rows[i].name, names[i]);
        }
        cr_assert(rows == NULL || rows[i].name == NULL, "%s", command_row(id)->name);
    }
}

Test(local, command_info_of_get_is_what_redis_says) {
    struct local_rig *b = local_rig_start();
    static const char GET2[] =
        "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
        "*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n"
        "+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n"
        "$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n"
        "*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n$-1\r\n";
    local_rig_expect(b, "COMMAND INFO get nosuch", GET2);
    b->me.proto = 3;
    local_rig_expect_has(
        b, "COMMAND INFO GET nosuch",
        "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n~3\r\n");
    local_rig_expect_has(b, "COMMAND INFO get nosuch", "find_keys\r\n%2\r\n");
}

Test(local, commands_of_the_link_are_hidden) {
    struct local_rig *b = local_rig_start();
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        const struct command *row = command_row(id);
        char name[40];
        snprintf(name, sizeof(name), "\r\n%s\r\n", row->name);
        for (int i = 0; (row->flags & COMMAND_LINK) != 0 && i < 3; i++)
            local_rig_expect_lacks(b,
                                   i == 0   ? "COMMAND"
                                   : i == 1 ? "COMMAND DOCS"
                                            : "COMMAND LIST",
                                   name);
    }
    local_rig_expect(b, "COMMAND INFO rf.status", "*1\r\n$-1\r\n");
    local_rig_expect(b, "COMMAND DOCS rf.status", "*0\r\n");
    local_rig_expect(b, "COMMAND GETKEYS rf.drop a", "-ERR Invalid command specified\r\n");
    char want[16];
    int shown = 0;
    for (int id = 0; id < COMMAND_COUNT_OF; id++)
        shown += (command_row(id)->flags & COMMAND_LINK) == 0;
    cr_assert_lt(shown, COMMAND_COUNT_OF);
    snprintf(want, sizeof(want), ":%d\r\n", shown);
    local_rig_expect(b, "COMMAND COUNT", want);
    snprintf(want, sizeof(want), "*%d\r\n", shown);
    cr_assert_eq(strncmp(local_rig_ask(b, "COMMAND"), want, strlen(want)), 0);
}

Test(local, every_command_with_keys_says_what_it_does_with_them) {
    struct local_rig *b = local_rig_start();
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        const struct command *row = command_row(id);
        if (row->first_key == 0 || (row->flags & COMMAND_LINK) != 0 || row->subcommands != NULL)
            continue;
        char text[64];
        snprintf(text, sizeof(text), "COMMAND INFO %s", row->name);
        const char *got = local_rig_ask(b, text);
        bool writes = strstr(got, "+RO\r\n") == NULL;
        cr_assert_eq(writes, (row->flags & COMMAND_WRITE) != 0, "%s", row->name);
        cr_assert(strstr(got, "+access") || strstr(got, "+update") || strstr(got, "+insert") ||
                      strstr(got, "+delete") || strstr(got, "+RO"),
                  "%s", row->name);
    }
}

/* As Redis: who routes by key has to look at the subcommand. */
Test(local, keys_belong_to_the_subcommands_that_have_some) {
    static const char SPEC[] =
        "*1\r\n*6\r\n$5\r\nflags\r\n*1\r\n+RO\r\n$12\r\nbegin_search\r\n*4\r\n"
        "$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:2\r\n";
    struct local_rig *b = local_rig_start();
    local_rig_expect_has(b, "COMMAND INFO object|freq",
                         "\r\n:3\r\n*1\r\n+readonly\r\n:2\r\n:2\r\n:1\r\n");
    local_rig_expect_has(b, "COMMAND INFO object|freq", SPEC);
    local_rig_expect_has(b, "COMMAND INFO memory|usage",
                         "\r\n:-3\r\n*1\r\n+readonly\r\n:2\r\n:2\r\n:1\r\n");
    local_rig_expect_has(b, "COMMAND INFO memory|stats",
                         "\r\n:2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@slow\r\n*0\r\n*0\r\n");
    local_rig_expect_has(
        b, "COMMAND INFO object",
        "\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*2\r\n+@keyspace\r\n+@slow\r\n*0\r\n*0\r\n*5\r\n");
}

Test(local, command_answers_as_redis) {
    static const char *const CASES[][2] = {
        {"COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n"},
        {"COMMAND COUNT x", "-ERR wrong number of arguments for 'command|count' command\r\n"},
        {"COMMAND GETKEYS mget a b c", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"},
        {"COMMAND GETKEYS mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
        {"COMMAND GETKEYS set a 1 NX", "*1\r\n$1\r\na\r\n"},
        {"COMMAND GETKEYS nosuch a", "-ERR Invalid command specified\r\n"},
        {"COMMAND GETKEYS ''", "-ERR Invalid command specified\r\n"},
        {"COMMAND GETKEYS object freq a", "*1\r\n$1\r\na\r\n"},
        {"COMMAND GETKEYS object help", "-ERR The command has no key arguments\r\n"},
        {"COMMAND GETKEYS memory stats", "-ERR The command has no key arguments\r\n"},
        {"COMMAND GETKEYS ping x", "-ERR The command has no key arguments\r\n"},
        {"COMMAND GETKEYS get a b", "-ERR Invalid number of arguments specified for command\r\n"},
        {"COMMAND GETKEYS mset a 1 b",
         "-ERR Invalid number of arguments specified for command\r\n"},
        {"COMMAND LIST x", "-ERR syntax error\r\n"},
        {"COMMAND LIST FILTERBY", "-ERR syntax error\r\n"},
        {"COMMAND LIST FILTERBY FOO x", "-ERR syntax error\r\n"},
        {"COMMAND LIST FILTERBY MODULE x", "*0\r\n"},
        {"COMMAND LIST FILTERBY ACLCAT nosuch", "*0\r\n"},
        {"COMMAND LIST FILTERBY PATTERN GETS*", "*1\r\n$6\r\ngetset\r\n"},
        {"COMMAND LIST FILTERBY PATTERN *|no-t*", "*1\r\n$15\r\nclient|no-touch\r\n"},
        {"COMMAND DOCS nosuch", "*0\r\n"},
    };
    struct local_rig *b = local_rig_start();
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        local_rig_expect(b, CASES[i][0], CASES[i][1]);
}

Test(local, command_docs_is_a_map_of_maps) {
    struct local_rig *b = local_rig_start();
    local_rig_expect_has(b, "COMMAND DOCS get nosuch",
                         "*2\r\n$3\r\nget\r\n*10\r\n$7\r\nsummary\r\n");
    b->me.proto = 3;
    local_rig_expect_has(b, "COMMAND DOCS get", "%1\r\n$3\r\nget\r\n%5\r\n$7\r\nsummary\r\n");
    local_rig_expect_has(b, "COMMAND DOCS config",
                         "$11\r\nsubcommands\r\n%5\r\n$10\r\nconfig|get\r\n%5\r\n");
    local_rig_expect_has(b, "COMMAND DOCS client|id", "%1\r\n$9\r\nclient|id\r\n%4\r\n");
}

#define NAMED(name, type)  "$4\r\nname\r\n" name "$4\r\ntype\r\n" type
#define TOKEN(name, token) NAMED(name, "$10\r\npure-token\r\n") "$5\r\ntoken\r\n" token
#define KEY                NAMED("$3\r\nkey\r\n", "$3\r\nkey\r\n") "$14\r\nkey_spec_index\r\n:0\r\n"
#define VALUE              NAMED("$5\r\nvalue\r\n", "$6\r\nstring\r\n")
#define BRANCHES           "$9\r\narguments\r\n"
#define IS_OPTIONAL        "$5\r\nflags\r\n~1\r\n+optional\r\n"
#define IS_MULTIPLE        "$5\r\nflags\r\n~1\r\n+multiple\r\n"

/* redis-cli shows them while one types; the shape is Redis'. */
Test(local, command_docs_tells_the_arguments_as_a_tree) {
    struct local_rig *b = local_rig_start();
    b->me.proto = 3;
    local_rig_expect_has(
        b, "COMMAND DOCS expire",
        BRANCHES "*3\r\n%3\r\n" KEY
                 "%2\r\n" NAMED("$7\r\nseconds\r\n", "$6\r\nstring\r\n") "%4\r\n" NAMED(
                     "$11\r\nnx_xx_gt_lt\r\n", "$5\r\noneof\r\n") IS_OPTIONAL BRANCHES
        "*4\r\n%3\r\n" TOKEN("$2\r\nnx\r\n", "$2\r\nNX\r\n") "%3\r\n" TOKEN(
            "$2\r\nxx\r\n", "$2\r\nXX\r\n") "%3\r\n" TOKEN("$2\r\ngt\r\n", "$2\r\nGT\r\n"));
    local_rig_expect_has(b, "COMMAND DOCS set",
                         "%4\r\n" TOKEN("$3\r\nget\r\n", "$3\r\nGET\r\n") IS_OPTIONAL);
    local_rig_expect_has(b, "COMMAND DOCS mget", BRANCHES "*1\r\n%4\r\n" KEY IS_MULTIPLE);
    local_rig_expect_has(b, "COMMAND DOCS mset",
                         BRANCHES "*1\r\n%4\r\n" NAMED("$9\r\nkey_value\r\n", "$5\r\nblock\r\n")
                             IS_MULTIPLE BRANCHES "*2\r\n%3\r\n" KEY "%2\r\n" VALUE);
    local_rig_expect_has(b, "COMMAND DOCS info",
                         BRANCHES "*1\r\n%3\r\n" NAMED(
                             "$7\r\nsection\r\n",
                             "$6\r\nstring\r\n") "$5\r\nflags\r\n~2\r\n+optional\r\n+multiple\r\n");
    local_rig_expect_has(b, "COMMAND DOCS hello",
                         "%3\r\n" TOKEN("$4\r\nauth\r\n", "$4\r\nAUTH\r\n") "%2\r\n" NAMED(
                             "$8\r\nusername\r\n", "$6\r\nstring\r\n"));
    local_rig_expect_lacks(b, "COMMAND DOCS dbsize", "arguments");
}

Test(local, help_names_every_subcommand) {
    struct local_rig *b = local_rig_start();
    local_rig_expect_has(
        b, "CLIENT HELP",
        "*35\r\n+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"
        "+ID\r\n+    ");
    local_rig_expect_has(b, "CLIENT HELP", "+SETNAME <name>\r\n");
    local_rig_expect_has(b, "COMMAND HELP", "+GETKEYS <command> [<arg> ...]\r\n");
    local_rig_expect_has(b, "CONFIG HELP", "+GET <pattern> ...\r\n");
}

/* ---- CONFIG ---- */

Test(local, config_answers_as_redis) {
    static const char *const CASES[][2] = {
        {"CONFIG GET", "-ERR wrong number of arguments for 'config|get' command\r\n"},
        {"CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
        {"CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n"},
        {"CONFIG GET databases", "*2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n"},
        {"CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$3\r\n123\r\n"},
        {"CONFIG GET MAXCLIENTS", "*2\r\n$10\r\nMAXCLIENTS\r\n$3\r\n123\r\n"},
        {"CONFIG GET timeout", "*2\r\n$7\r\ntimeout\r\n$1\r\n7\r\n"},
        {"CONFIG GET clients-max", "*2\r\n$11\r\nclients-max\r\n$3\r\n123\r\n"},
        {"CONFIG GET port", "*2\r\n$4\r\nport\r\n$4\r\n4321\r\n"},
        {"CONFIG GET ring-file", "*2\r\n$9\r\nring-file\r\n$6\r\nr.conf\r\n"},
        {"CONFIG GET nosuch", "*0\r\n"},
        {"CONFIG GET save save s?ve", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
        {"CONFIG GET save appendonly",
         "*4\r\n$4\r\nsave\r\n$0\r\n\r\n$10\r\nappendonly\r\n$2\r\nno\r\n"},
        {"CONFIG foo a b", "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n"},
        {"CONFIG NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.\r\n"},
    };
    struct local_rig *b = local_rig_start();
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        local_rig_expect(b, CASES[i][0], CASES[i][1]);
    b->me.proto = 3;
    local_rig_expect(b, "CONFIG GET save", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
}

Test(local, config_get_star_has_every_option) {
    struct local_rig *b = local_rig_start();
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    for (size_t i = 0; i < count; i++) {
        char part[80];
        snprintf(part, sizeof(part), "$%zu\r\n%s\r\n", strlen(rows[i].name), rows[i].name);
        local_rig_expect_has(b, "CONFIG GET *", part);
    }
}

/* ---- INFO ---- */

static const char *const TITLES[] = {"Server", "Clients",     "Memory",  "Persistence",
                                     "Stats",  "Replication", "CPU",     "Cluster",
                                     "Ring",   "Database",    "Keyspace"};

Test(local, info_has_all_sections_or_those_named) {
    static const char *const ALL[] = {"INFO", "INFO all", "INFO DEFAULT", "INFO everything",
                                      "INFO server all"};
    struct local_rig *b = local_rig_start();
    for (size_t i = 0; i < sizeof(ALL) / sizeof(ALL[0]); i++) {
        for (size_t t = 0; t < sizeof(TITLES) / sizeof(TITLES[0]); t++) {
            char part[40];
            snprintf(part, sizeof(part), "# %s\r\n", TITLES[t]);
            local_rig_expect_has(b, ALL[i], part);
        }
    }
    local_rig_expect(b, "INFO replication",
                     "$48\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n");
    local_rig_expect(b, "INFO cluster Replication foo",
                     "$80\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n"
                     "# Cluster\r\ncluster_enabled:0\r\n\r\n");
    local_rig_expect(b, "INFO foo", "$0\r\n\r\n");
    b->me.proto = 3;
    local_rig_expect(b, "INFO cluster", "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n");
}

Test(local, info_server_says_who_this_is) {
    struct local_rig *b = local_rig_start();
    local_rig_expect_has(b, "INFO server", "redis_version:7.4.0\r\n");
    local_rig_expect_has(b, "INFO server", "redis_mode:standalone\r\n");
    local_rig_expect_has(b, "INFO server", "tcp_port:4321\r\n");
    local_rig_expect_has(b, "INFO server", "config_file:proxy.conf\r\n");
    local_rig_expect_has(b, "INFO server", "run_id:0123456789012345678901234567890123456789\r\n");
    local_rig_expect_has(b, "INFO server", "uptime_in_seconds:90\r\n");
}

Test(local, info_has_what_ready_checks_look_for) {
    struct local_rig *b = local_rig_start();
    local_rig_expect_has(b, "INFO", "\r\nloading:0\r\n");
    local_rig_expect_has(b, "INFO", "\r\nrole:master\r\n");
    local_rig_expect_has(b, "INFO", "\r\nmaxclients:123\r\n");
}

Test(local, info_adds_up_the_workers) {
    struct local_rig *b = local_rig_start();
    stats_set(&b->stats[0][PROXY_STAT_COMMANDS], 1000);
    stats_set(&b->stats[1][PROXY_STAT_COMMANDS], 234);
    stats_set(&b->stats[0][PROXY_STAT_CLIENTS], 2);
    stats_set(&b->stats[1][PROXY_STAT_CLIENTS], 3);
    local_rig_expect_has(b, "INFO stats", "\r\ntotal_commands_processed:1234\r\n");
    local_rig_expect_has(b, "INFO clients", "\r\nconnected_clients:5\r\n");
    stats_set(&b->stats[0][PROXY_STAT_RELOADS], 4);
    stats_set(&b->stats[1][PROXY_STAT_RELOADS], 4);
    local_rig_expect_has(b, "INFO ring", "\r\nring_adoptions:4\r\n");
}

Test(local, info_shows_every_counter) {
    struct local_rig *b = local_rig_start();
    for (int i = 0; i < PROXY_STAT_COUNT; i++) {
        char part[80];
        stats_set(&b->stats[0][i], 7000 + (uint64_t)i);
        snprintf(part, sizeof(part), "\r\n%s:%d\r\n", proxy_stats_row((enum proxy_stat)i)->name,
                 7000 + i);
        local_rig_expect_has(b, "INFO", part);
    }
}

Test(local, info_ring_shows_nodes_and_what_they_said) {
    struct local_rig *b = local_rig_start();
    topology_fake_status(b->server.topology, 1, 17,
                         "keys:500\r\nkeyspace_hits:900\r\nkeyspace_misses:100\r\n");
    local_rig_expect_has(b, "INFO ring", "\r\nring_file:rings/r.conf\r\n");
    local_rig_expect_has(b, "INFO ring", "\r\nring_epoch:42\r\n");
    local_rig_expect_has(b, "INFO ring", "\r\nring_nodes:3\r\nring_nodes_heard:1\r\n");
    local_rig_expect_has(b, "INFO ring",
                         "\r\nnode0:name=n0,host=127.0.0.1,port=7000,state=up,weight=1,share=0.");
    local_rig_expect_has(b, "INFO ring",
                         ",reachable=0,inflight=0,status_age_ms=-1,keys=0,hit_ratio=0.0000\r\n");
    local_rig_expect_has(b, "INFO ring",
                         ",reachable=1,inflight=17,status_age_ms=5,keys=500,hit_ratio=0.9000\r\n");
}

Test(local, info_stats_has_the_rates_that_tools_show) {
    struct local_rig *b = local_rig_start();
    for (int i = 0; i < LOCAL_RIG_WORKERS; i++) {
        stats_set(&b->stats[i][PROXY_STAT_COMMANDS_RATE], 30);
        stats_set(&b->stats[i][PROXY_STAT_BYTES_IN_RATE], 768);
        stats_set(&b->stats[i][PROXY_STAT_BYTES_OUT_RATE], 64);
    }
    local_rig_expect_has(b, "INFO stats", "\r\ninstantaneous_ops_per_sec:60\r\n");
    local_rig_expect_has(b, "INFO stats", "\r\ninstantaneous_input_kbps:1.50\r\n");
    local_rig_expect_has(b, "INFO stats", "\r\ninstantaneous_output_kbps:0.12\r\n");
}

Test(local, info_database_adds_up_the_nodes) {
    struct local_rig *b = local_rig_start();
    local_rig_expect_has(b, "INFO database", "db_up:0\r\n");
    local_rig_expect_has(b, "INFO database", "feed_lag_ms:-1\r\n");
    topology_fake_status(b->server.topology, 0, 0,
                         "db_up:1\r\ndb_reads:10\r\ndb_writes:3\r\nfeed_lag_ms:2\r\nkeys:5\r\n"
                         "keyspace_hits:7\r\nkeyspace_misses:1\r\nexpired_keys:2\r\n");
    topology_fake_status(
        b->server.topology, 2, 0,
        "keys:6\nkeyspace_hits:1\nexpired_keys:3\ndb_up:1\ndb_reads:20\ndb_writes:4\n"
        "feed_lag_ms:9");
    local_rig_expect_has(
        b, "INFO database",
        "db_up:1\r\ndb_nodes_up:2\r\ndb_reads:30\r\ndb_writes:7\r\nfeed_lag_ms:9\r\n");
    local_rig_expect_has(b, "INFO keyspace", "\r\ndb0:keys=11,expires=0,avg_ttl=0\r\n");
    local_rig_expect_has(b, "INFO stats",
                         "\r\nkeyspace_hits:8\r\nkeyspace_misses:1\r\nexpired_keys:5\r\n");
    topology_fake_status(b->server.topology, 1, 0, "db_up:0\r\nfeed_lag_ms:-1\r\n");
    local_rig_expect_has(b, "INFO database", "db_up:0\r\ndb_nodes_up:2\r\n");
    local_rig_expect_has(b, "INFO database", "feed_lag_ms:-1\r\n");
}

Test(local, a_status_that_makes_no_sense_is_read_as_far_as_it_goes) {
    static const char *const ODD[] = {"",          "\n\n\n",  "keys",    "keys:",     "keys:x",
                                      ":5\nkeys:", "keysx:5", "xkeys:5", "\r\nkeys 5"};
    struct local_rig *b = local_rig_start();
    for (size_t i = 0; i < sizeof(ODD) / sizeof(ODD[0]); i++) {
        topology_fake_status(b->server.topology, 0, 0, ODD[i]);
        local_rig_expect_lacks(b, "INFO", "db0:keys");
    }
}

/* Texts and shapes are redis-server 7.0.15's, but where it says "here". */
Test(local, tracking_answers_as_redis) {
    static const char *const CASES[][2] = {
        {"CLIENT TRACKINGINFO", "%3\r\n$5\r\nflags\r\n~1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$"
                                "8\r\nprefixes\r\n*0\r\n"},
        {"CLIENT GETREDIR", ":-1\r\n"},
        {"CLIENT TRACKING ON", "+OK\r\n"},
        {"CLIENT GETREDIR", ":0\r\n"},
        {"CLIENT TRACKING ON BCAST",
         "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and "
         "then re-enabling it with a different mode.\r\n"},
        {"CLIENT CACHING YES",
         "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.\r\n"},
        {"CLIENT TRACKING OFF", "+OK\r\n"},
        {"CLIENT CACHING YES",
         "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
         "OPTOUT mode enabled\r\n"},
        {"CLIENT TRACKING ON OPTIN OPTOUT",
         "-ERR You can't specify both OPTIN mode and OPTOUT mode\r\n"},
        {"CLIENT TRACKING ON BCAST OPTIN",
         "-ERR OPTIN and OPTOUT are not compatible with BCAST\r\n"},
        {"CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled\r\n"},
        {"CLIENT TRACKING ON BCAST PREFIX a PREFIX ab",
         "-ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client "
         "must not overlap.\r\n"},
        {"CLIENT TRACKING ON BCAST PREFIX a", "+OK\r\n"},
        {"CLIENT TRACKING ON BCAST PREFIX ab",
         "-ERR Prefix 'ab' overlaps with an existing prefix 'a'. Prefixes for a single client must "
         "not overlap.\r\n"},
        {"CLIENT TRACKINGINFO", "%3\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n$5\r\nbcast\r\n$8\r\n"
                                "redirect\r\n:0\r\n$8\r\nprefixes\r\n*1\r\n$1\r\na\r\n"},
        {"CLIENT TRACKING OFF", "+OK\r\n"},
        {"CLIENT TRACKING ON BCAST NOLOOP", "+OK\r\n"},
        {"CLIENT TRACKINGINFO",
         "%3\r\n$5\r\nflags\r\n~3\r\n$2\r\non\r\n$5\r\nbcast\r\n$6\r\nnoloop\r\n$8\r\n"
         "redirect\r\n:0\r\n$8\r\nprefixes\r\n*1\r\n$0\r\n\r\n"},
        {"CLIENT TRACKING OFF", "+OK\r\n"},
        {"CLIENT TRACKING ON OPTIN", "+OK\r\n"},
        {"CLIENT CACHING NO",
         "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.\r\n"},
        {"CLIENT CACHING YES", "+OK\r\n"},
        {"CLIENT TRACKINGINFO",
         "%3\r\n$5\r\nflags\r\n~3\r\n$2\r\non\r\n$5\r\noptin\r\n$11\r\ncaching-yes\r\n$8\r\n"
         "redirect\r\n:0\r\n$8\r\nprefixes\r\n*0\r\n"},
        {"CLIENT TRACKING ON OPTOUT",
         "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and "
         "then re-enabling it with a different mode.\r\n"},
        {"CLIENT CACHING maybe", "-ERR syntax error\r\n"},
        {"CLIENT TRACKING maybe", "-ERR syntax error\r\n"},
        {"CLIENT TRACKING ON FOO", "-ERR syntax error\r\n"},
        {"CLIENT TRACKING ON REDIRECT x", "-ERR value is not an integer or out of range\r\n"},
        {"CLIENT TRACKING ON REDIRECT 99",
         "-ERR The client ID you want redirect to does not exist\r\n"},
        {"CLIENT TRACKING ON REDIRECT 0",
         "-ERR The client ID you want redirect to does not exist\r\n"},
        {"CLIENT TRACKING ON REDIRECT 2 REDIRECT 2",
         "-ERR A client can only redirect to a single other client\r\n"},
        {"CLIENT TRACKING ON REDIRECT", "-ERR syntax error\r\n"},
        {"CLIENT TRACKING ON REDIRECT 2 OPTIN", "+OK\r\n"},
        {"CLIENT GETREDIR", ":2\r\n"},
        {"CLIENT TRACKINGINFO", "%3\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n$5\r\noptin\r\n$8\r\n"
                                "redirect\r\n:2\r\n$8\r\nprefixes\r\n*0\r\n"},
        {"CLIENT TRACKING ON OPTIN", "+OK\r\n"},
        {"CLIENT GETREDIR", ":0\r\n"},
        {"CLIENT TRACKING ON PREFIX", "-ERR syntax error\r\n"},
        {"RESET", "+RESET\r\n"},
        {"CLIENT GETREDIR", ":-1\r\n"},
        {"CLIENT TRACKING ON", "-ERR Client tracking needs RESP3 here (HELLO 3), or REDIRECT\r\n"},
        {"CLIENT TRACKING ON REDIRECT 2", "+OK\r\n"},
    };
    struct local_rig *b = local_rig_start();
    local_rig_ask(b, "HELLO 3");
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        local_rig_expect(b, CASES[i][0], CASES[i][1]);
}

Test(local, pause_answers_as_redis) {
    static const char *const CASES[][2] = {
        {"CLIENT PAUSE x", "-ERR timeout is not an integer or out of range\r\n"},
        {"CLIENT PAUSE -1", "-ERR timeout is negative\r\n"},
        {"CLIENT PAUSE 99999999999999999999", "-ERR timeout is not an integer or out of range\r\n"},
        {"CLIENT PAUSE 3600001", "-ERR timeout is not an integer or out of range\r\n"},
        {"CLIENT PAUSE 10 FOO", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n"},
        {"CLIENT PAUSE", "-ERR wrong number of arguments for 'client|pause' command\r\n"},
        {"CLIENT PAUSE 10 WRITE X",
         "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n"},
        {"CLIENT PAUSE 0", "+OK\r\n"},
        {"CLIENT UNPAUSE x", "-ERR wrong number of arguments for 'client|unpause' command\r\n"},
        {"CLIENT UNPAUSE", "+OK\r\n"},
        {"CLIENT PAUSE 1000 all", "+OK\r\n"},
    };
    struct local_rig *b = local_rig_start();
    int64_t left_us, now_us = LOCAL_RIG_NOW_MS * INT64_C(1000);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        local_rig_expect(b, CASES[i][0], CASES[i][1]);
    cr_assert_eq(pause_now(&b->pause, now_us, &left_us), PAUSE_ALL);
    cr_assert_eq(left_us, 1000000);
    local_rig_expect(b, "CLIENT UNPAUSE", "+OK\r\n");
    local_rig_expect(b, "CLIENT PAUSE 500 WRITE", "+OK\r\n");
    cr_assert_eq(pause_now(&b->pause, now_us, &left_us), PAUSE_WRITE);
    cr_assert_eq(left_us, 500000);
}

Test(local, resp2_ends_tracking) {
    struct local_rig *b = local_rig_start();
    local_rig_ask(b, "HELLO 3");
    local_rig_expect(b, "CLIENT TRACKING ON", "+OK\r\n");
    local_rig_ask(b, "HELLO 2");
    local_rig_expect(b, "CLIENT GETREDIR", ":-1\r\n");
}

Test(local, resp2_does_not_end_tracking_that_another_client_is_told_of) {
    struct local_rig *b = local_rig_start();
    local_rig_expect(b, "CLIENT TRACKING ON REDIRECT 2", "+OK\r\n");
    local_rig_ask(b, "HELLO 2");
    local_rig_expect(b, "CLIENT GETREDIR", ":2\r\n");
}

Test(local, clients_of_other_users_cannot_be_redirected_to) {
    struct local_rig *b = local_rig_start();
    snprintf(b->other.user, sizeof(b->other.user), "somebody");
    local_rig_expect(b, "CLIENT TRACKING ON REDIRECT 2",
                     "-ERR The client ID you want redirect to does not exist\r\n");
    local_rig_expect(b, "CLIENT GETREDIR", ":-1\r\n");
}
