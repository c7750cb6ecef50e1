/* What each command does, as Redis has it, also when several clients and proxies are at it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { SEEN_MS = 2000, CLIENTS = 20, ROUNDS = 10, STOP_MS = 15000 };

static const struct stack *s;
static struct caller *c;

static void open_all(void) {
    s = stack_shared();
    c = expect_caller(s->proxy_port);
}

static void close_all(void) {
    caller_close(&c);
}

TestSuite(commands, .init = open_all, .fini = close_all);

Test(commands, set_nx_writes_only_where_nothing_is) {
    EXPECT(c, "+OK", "SET", "cmd:nx", "first", "NX");
    EXPECT(c, "nil", "SET", "cmd:nx", "second", "NX");
    EXPECT(c, "$first", "GET", "cmd:nx");
    EXPECT(c, ":1", "DEL", "cmd:nx");
    EXPECT(c, "+OK", "SET", "cmd:nx", "third", "nx");
    EXPECT(c, "$third", "GET", "cmd:nx");
}

Test(commands, set_xx_writes_only_where_something_is) {
    EXPECT(c, "nil", "SET", "cmd:xx", "first", "XX");
    EXPECT(c, "nil", "GET", "cmd:xx");
    EXPECT(c, "+OK", "SET", "cmd:xx", "second");
    EXPECT(c, "+OK", "SET", "cmd:xx", "third", "XX");
    EXPECT(c, "$third", "GET", "cmd:xx");
    EXPECT(c, ":1", "DEL", "cmd:xx");
    EXPECT(c, "nil", "SET", "cmd:xx", "fourth", "XX");
    EXPECT(c, "nil", "GET", "cmd:xx");
}

Test(commands, set_get_returns_what_was_there) {
    EXPECT(c, "nil", "SET", "cmd:get", "1", "GET");
    EXPECT(c, "$1", "SET", "cmd:get", "2", "GET");
    EXPECT(c, "$2", "SET", "cmd:get", "3", "NX", "GET");
    EXPECT(c, "$2", "SET", "cmd:get", "4", "XX", "GET");
    EXPECT(c, "$4", "GET", "cmd:get");
    EXPECT(c, ":1", "DEL", "cmd:get");
    EXPECT(c, "nil", "SET", "cmd:get", "5", "XX", "GET");
    EXPECT(c, "nil", "GET", "cmd:get");
    EXPECT(c, "nil", "SET", "cmd:get", "6", "NX", "GET");
    EXPECT(c, "$6", "GET", "cmd:get");
}

Test(commands, set_refuses_options_that_contradict_each_other_or_are_unknown) {
    EXPECT(c, "-ERR syntax error", "SET", "cmd:bad", "v", "NX", "XX");
    EXPECT(c, "-ERR syntax error", "SET", "cmd:bad", "v", "NO");
    EXPECT(c, "-ERR syntax error", "SET", "cmd:bad", "v", "");
    EXPECT(c, "nil", "GET", "cmd:bad");
}

Test(commands, setnx_getset_and_getdel) {
    EXPECT(c, ":1", "SETNX", "cmd:old", "a");
    EXPECT(c, ":0", "SETNX", "cmd:old", "b");
    EXPECT(c, "$a", "GETSET", "cmd:old", "c");
    EXPECT(c, "$c", "GETDEL", "cmd:old");
    EXPECT(c, "nil", "GETDEL", "cmd:old");
    EXPECT(c, "nil", "GETSET", "cmd:old", "d");
    EXPECT(c, "$d", "GET", "cmd:old");
}

Test(commands, strlen_type_exists_and_touch) {
    EXPECT(c, ":0", "STRLEN", "cmd:len");
    EXPECT(c, "+none", "TYPE", "cmd:len");
    EXPECT(c, ":0", "TOUCH", "cmd:len");
    EXPECT(c, "+OK", "SET", "cmd:len", "\xc3\xa4\xe2\x82\xac");
    EXPECT(c, ":5", "STRLEN", "cmd:len");
    EXPECT(c, "+string", "TYPE", "cmd:len");
    EXPECT(c, ":1", "TOUCH", "cmd:len");
    EXPECT(c, ":2", "EXISTS", "cmd:len", "cmd:len");
    EXPECT(c, "+OK", "SET", "cmd:len", "");
    EXPECT(c, ":0", "STRLEN", "cmd:len");
    EXPECT(c, ":1", "EXISTS", "cmd:len");
    EXPECT(c, "$", "GET", "cmd:len");
}

Test(commands, names_in_any_case) {
    EXPECT(c, "+OK", "sEt", "cmd:Case", "v", "nX");
    EXPECT(c, "$v", "gEt", "cmd:Case");
    EXPECT(c, "nil", "get", "cmd:case");
}

Test(commands, dbsize_counts_the_active_rows_of_the_table) {
    PGconn *sql = sql_open(s);
    char want[32];
    EXPECT(c, "+OK", "SET", "cmd:size", "v");
    snprintf(want, sizeof(want), ":%lld",
             (long long)sql_int(sql, "SELECT count(*) FROM ringfence.entry WHERE active AND "
                                     "(expires_at IS NULL OR expires_at > now())"));
    EXPECT(c, want, "DBSIZE");
    PQfinish(sql);
}

/* The section is not there while nothing is cached; nodes are asked for their figures every 500 ms.
 */
Test(commands, info_counts_the_keys_that_are_cached) {
    EXPECT(c, "+OK", "SET", "cmd:cached", "v");
    EXPECT(c, "$v", "GET", "cmd:cached");
    EXPECT_WITHIN(SEEN_MS, c, "$# Keyspace\r\ndb0:keys=*", "INFO", "keyspace");
}

Test(commands, resp3_and_resp2_write_their_own_nils) {
    struct caller *three = expect_caller(s->proxy_port);
    caller_say_raw(three, SPAN("HELLO 3\r\nGET cmd:none\r\nMGET cmd:none cmd:none\r\n"));
    expect_flush(three);
    EXPECT_NEXT(three, "[$server $redis *");
    EXPECT_NEXT(three, "nil");
    EXPECT_NEXT(three, "[nil nil]");
    EXPECT(three, "+OK", "SET", "cmd:three", "v");
    EXPECT(three, "[$v nil]", "MGET", "cmd:three", "cmd:none");
    EXPECT(c, "[$v nil]", "MGET", "cmd:three", "cmd:none");
    caller_close(&three);
}

/* ---- several clients and two proxies ---- */

static uint16_t other_port;
static pid_t other;
static struct caller *crowd[CLIENTS];

static void open_two(void) {
    open_all();
    other = stack_proxy(s, NULL, &other_port);
    for (int i = 0; i < CLIENTS; i++)
        crowd[i] = expect_caller(i % 2 == 0 ? s->proxy_port : other_port);
}

static void close_two(void) {
    for (int i = 0; i < CLIENTS; i++)
        caller_close(&crowd[i]);
    close_all();
    cr_assert_eq(program_stop(other, SIGTERM, STOP_MS), 0, "the second proxy did not end cleanly");
}

TestSuite(two_proxies, .init = open_two, .fini = close_two);

static void send_all(void) {
    for (int i = 0; i < CLIENTS; i++)
        expect_flush(crowd[i]);
}

/* How many of the crowd got `want`; all others must have got `otherwise`. */
static int count_answers(const char *want, const char *otherwise) {
    int count = 0;
    for (int i = 0; i < CLIENTS; i++) {
        struct resp_reply *reply = caller_hear(crowd[i]);
        char *text = caller_show(reply);
        bool wanted = expect_is(text, want);
        cr_assert(wanted || expect_is(text, otherwise), "client %d got %s", i, text);
        count += wanted;
        free(text);
        resp_reply_free(&reply);
    }
    return count;
}

Test(two_proxies, nx_has_exactly_one_winner) {
    char key[32], value[CLIENTS][24], winner[24];
    for (int round = 0; round < ROUNDS; round++) {
        snprintf(key, sizeof(key), "cmd:race:%d", round);
        for (int i = 0; i < CLIENTS; i++) {
            snprintf(value[i], sizeof(value[i]), "$client %d", i);
            caller_say_words(crowd[i], "SET", key, value[i] + 1, "NX", NULL);
        }
        send_all();
        int won = -1;
        for (int i = 0; i < CLIENTS; i++) {
            struct resp_reply *reply = caller_hear(crowd[i]);
            char *text = caller_show(reply);
            cr_assert(expect_is(text, "+OK") || expect_is(text, "nil"), "client %d: %s", i, text);
            cr_assert(text[0] != '+' || won < 0, "clients %d and %d both won", won, i);
            won = text[0] == '+' ? i : won;
            free(text);
            resp_reply_free(&reply);
        }
        cr_assert_geq(won, 0, "nobody won round %d", round);
        snprintf(winner, sizeof(winner), "%s", value[won]);
        for (int i = 0; i < 2; i++)
            EXPECT(crowd[i], winner, "GET", key);
    }
}

Test(two_proxies, setnx_has_exactly_one_winner_after_a_delete) {
    EXPECT(c, "+OK", "SET", "cmd:race:setnx", "was here");
    for (int round = 0; round < ROUNDS; round++) {
        EXPECT(c, ":1", "DEL", "cmd:race:setnx");
        for (int i = 0; i < CLIENTS; i++)
            caller_say_words(crowd[i], "SETNX", "cmd:race:setnx", "new", NULL);
        send_all();
        cr_assert_eq(count_answers(":1", ":0"), 1);
    }
}

Test(two_proxies, getdel_gives_the_value_to_exactly_one) {
    for (int round = 0; round < ROUNDS; round++) {
        EXPECT(c, "+OK", "SET", "cmd:race:getdel", "prize");
        for (int i = 0; i < CLIENTS; i++)
            caller_say_words(crowd[i], "GETDEL", "cmd:race:getdel", NULL);
        send_all();
        cr_assert_eq(count_answers("$prize", "nil"), 1);
    }
}

/* Every value goes in once and comes out once: the writes of a key form a chain. */
Test(two_proxies, getset_makes_a_chain) {
    char value[16];
    bool seen[CLIENTS + 1] = {false};
    EXPECT(c, "+OK", "SET", "cmd:race:chain", "20");
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(value, sizeof(value), "%d", i);
        caller_say_words(crowd[i], "GETSET", "cmd:race:chain", value, NULL);
    }
    send_all();
    for (int i = 0; i < CLIENTS; i++) {
        struct resp_reply *reply = caller_hear(crowd[i]);
        cr_assert(reply != NULL && reply->type == RESP_STRING);
        int was = atoi(reply->text);
        cr_assert(was >= 0 && was <= CLIENTS && !seen[was], "%d came out twice", was);
        seen[was] = true;
        resp_reply_free(&reply);
    }
}

Test(two_proxies, del_of_a_key_counts_once) {
    for (int round = 0; round < ROUNDS; round++) {
        EXPECT(c, "+OK", "SET", "cmd:race:del", "v");
        for (int i = 0; i < CLIENTS; i++)
            caller_say_words(crowd[i], "DEL", "cmd:race:del", NULL);
        send_all();
        cr_assert_eq(count_answers(":1", ":0"), 1);
    }
}

/* On a stable ring a key has one owner, so what one proxy has answered the other one sees at once.
 */
Test(two_proxies, what_one_wrote_the_other_reads) {
    char value[16], want[16], key[48];
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof(key), "cmd:both:%d", i % 7);
        snprintf(value, sizeof(value), "%d", i);
        snprintf(want, sizeof(want), "$%d", i);
        EXPECT(crowd[i % 2], "+OK", "SET", key, value);
        EXPECT(crowd[(i + 1) % 2], want, "GET", key);
    }
}

/* Several keys on several nodes: a write through one proxy, in one transaction, and a read through
 * the other. */
Test(two_proxies, mset_and_del_of_many_keys_are_seen_by_the_other) {
    char want[64], value[16];
    for (int i = 0; i < 30; i++) {
        snprintf(value, sizeof(value), "%d", i);
        snprintf(want, sizeof(want), "[$%d $%d $%d $%d]", i, i, i, i);
        EXPECT(crowd[0], "+OK", "MSET", "cmd:m:1", value, "cmd:m:2", value, "cmd:m:3", value,
               "cmd:m:4", value);
        EXPECT(crowd[1], want, "MGET", "cmd:m:1", "cmd:m:2", "cmd:m:3", "cmd:m:4");
        EXPECT(crowd[1], ":4", "DEL", "cmd:m:1", "cmd:m:2", "cmd:m:3", "cmd:m:4");
        EXPECT(crowd[0], "[nil nil nil nil]", "MGET", "cmd:m:1", "cmd:m:2", "cmd:m:3", "cmd:m:4");
    }
}

Test(two_proxies, they_agree_on_the_ring) {
    struct caller *a = crowd[0], *b = crowd[1];
    char *checksums[2];
    for (int i = 0; i < 2; i++) {
        struct caller *who = i == 0 ? a : b;
        caller_say_words(who, "INFO", "ring", NULL);
        expect_flush(who);
        struct resp_reply *reply = caller_hear(who);
        const char *at = strstr(reply->text, "ring_checksum:");
        cr_assert_not_null(at);
        checksums[i] = strndup(at, strcspn(at, "\r"));
        resp_reply_free(&reply);
    }
    cr_assert_str_eq(checksums[0], checksums[1]);
    free(checksums[0]);
    free(checksums[1]);
}
