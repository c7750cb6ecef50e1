/* Copies of hot keys in a proxy: with SQL edits, other proxies, times to live, and a node that
 * dies. Copies are kept for ten seconds here, so that nothing but what nodes say makes them end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { WAIT_MS = 20000, ROUNDS = 30 };

static const char ARGS[] =
    "--workers 1 --hot-cache-bytes 1mb --hot-cache-rate 1 --hotkeys-sample 1 "
    "--hot-cache-ms 10000";

static struct stack *s;
static pid_t proxy;
static uint16_t port;
static struct caller *c, *other; /* of the proxy with copies; of the stack's own, without */
static PGconn *sql;

static void open_all(void) {
    s = stack_private((struct stack_conf){0});
    proxy = stack_proxy(s, ARGS, &port);
    c = expect_caller(port);
    other = expect_caller(s->proxy_port);
    sql = sql_open(s);
}

static void close_all(void) {
    caller_close(&c);
    caller_close(&other);
    PQfinish(sql);
    cr_assert_eq(program_stop(proxy, SIGTERM, WAIT_MS), 0);
    stack_down(&s);
}

TestSuite(hot, .init = open_all, .fini = close_all, .timeout = 300);

/* One GET, which must be answered so, and whether it was answered from a copy. */
static bool get_copy(const char *key, const char *want) {
    int64_t before = stack_info(port, "hot_cache_hits");
    EXPECT(c, want, "GET", key);
    return stack_info(port, "hot_cache_hits") > before;
}

static void set_by_sql(const char *key, int value) {
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) VALUES ('%s', '%d') ON CONFLICT (key) DO "
           "UPDATE SET payload = excluded.payload, active = true, expires_at = NULL",
           key, value);
}

Test(hot, copies_follow_sql_edits_and_other_proxies) {
    char value[16], want[16];
    set_by_sql("hot:sql", 0);
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(want, sizeof(want), "$%d", i);
        EXPECT_WITHIN(WAIT_MS, c, want, "GET", "hot:sql");
        EVENTUALLY(WAIT_MS, get_copy("hot:sql", want));
        snprintf(value, sizeof(value), "%d", i + 1);
        if (i % 2 == 0)
            set_by_sql("hot:sql", i + 1);
        else
            EXPECT(other, "+OK", "SET", "hot:sql", value);
    }
    EXPECT_WITHIN(WAIT_MS, c, "$*", "GET", "hot:sql");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'hot:sql'");
    EXPECT_WITHIN(WAIT_MS, c, "nil", "GET", "hot:sql");
    set_by_sql("hot:sql", 7);
    EXPECT_WITHIN(WAIT_MS, c, "$7", "GET", "hot:sql");
    EVENTUALLY(WAIT_MS, get_copy("hot:sql", "$7"));
    sql_do(sql, "TRUNCATE ringfence.entry");
    EXPECT_WITHIN(WAIT_MS, c, "nil", "GET", "hot:sql");
}

Test(hot, a_client_sees_its_own_writes_at_once) {
    char value[16], want[16];
    EXPECT(c, "+OK", "SET", "hot:own", "0");
    for (int i = 1; i <= ROUNDS; i++) {
        snprintf(value, sizeof(value), "%d", i);
        snprintf(want, sizeof(want), "$%d", i);
        caller_say_words(c, "SET", "hot:own", value, NULL);
        for (int n = 0; n < 3; n++)
            caller_say_words(c, "GET", "hot:own", NULL);
        caller_say_words(c, "MSET", "hot:own", value, "hot:more", value, NULL);
        caller_say_words(c, "GET", "hot:own", NULL);
        expect_flush(c);
        EXPECT_NEXT(c, "+OK");
        for (int n = 0; n < 3; n++)
            EXPECT_NEXT(c, want);
        EXPECT_NEXT(c, "+OK");
        EXPECT_NEXT(c, want);
    }
    EVENTUALLY(WAIT_MS, get_copy("hot:own", want));
    EXPECT(c, "+OK", "MULTI");
    EXPECT(c, "+QUEUED", "SET", "hot:own", "tx");
    EXPECT(c, "[+OK]", "EXEC");
    EXPECT(c, "$tx", "GET", "hot:own");
    EXPECT(c, ":1", "DEL", "hot:own");
    EXPECT(c, "nil", "GET", "hot:own");
}

/* Values that only grow, of keys of all nodes, written through another proxy. */
static void expect_no_way_back(const char *const keys[3], int seen[3]) {
    caller_say_words(c, "MGET", keys[0], keys[1], keys[2], "hot:m:none", NULL);
    expect_flush(c);
    struct resp_reply *reply = caller_hear(c);
    cr_assert(reply != NULL && reply->type == RESP_ARRAY && reply->count == 4);
    cr_assert_eq(reply->elements[3]->type, RESP_NIL);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(reply->elements[i]->type, RESP_STRING);
        int value = atoi(reply->elements[i]->text);
        cr_assert_geq(value, seen[i], "%s was %d, and then %d", keys[i], seen[i], value);
        seen[i] = value;
    }
    resp_reply_free(&reply);
}

Test(hot, mget_takes_copies_and_never_goes_back) {
    char names[3][64], value[16];
    const char *const keys[3] = {names[0], names[1], names[2]};
    int seen[3] = {0};
    for (int i = 0; i < 3; i++) {
        stack_key_of(s, i, "hot:m:", names[i], sizeof(names[i]));
        EXPECT(other, "+OK", "SET", keys[i], "0");
    }
    int64_t until_ms = clock_mono_ms() + WAIT_MS;
    int last = 0;
    while (last < 10 * ROUNDS ||
           (stack_info(port, "hot_cache_hits") == 0 && clock_mono_ms() < until_ms)) {
        snprintf(value, sizeof(value), "%d", ++last);
        for (int k = 0; k < 3; k++)
            expect_no_way_back(keys, seen);
        EXPECT(other, "+OK", "SET", keys[last % 3], value);
    }
    cr_assert_gt(stack_info(port, "hot_cache_hits"), 0);
    for (int i = 1; i <= ROUNDS; i++) { /* its own writes at once */
        snprintf(value, sizeof(value), "%d", last + i);
        EXPECT(c, "+OK", "SET", keys[i % 3], value);
        seen[i % 3] = last + i;
        expect_no_way_back(keys, seen);
    }
}

Test(hot, no_copy_outlives_a_time_to_live) {
    EXPECT(c, "+OK", "SET", "hot:ttl", "a");
    EVENTUALLY(WAIT_MS, get_copy("hot:ttl", "$a"));
    EXPECT(c, ":1", "PEXPIRE", "hot:ttl", "3000");
    int64_t hits = stack_info(port, "hot_cache_hits");
    for (int i = 0; i < 50; i++)
        EXPECT(c, "$a", "GET", "hot:ttl");
    cr_assert_eq(stack_info(port, "hot_cache_hits"), hits);
    EXPECT_WITHIN(WAIT_MS, c, "nil", "GET", "hot:ttl");
    EXPECT(c, "+OK", "SET", "hot:ttl", "b");
    EVENTUALLY(WAIT_MS, get_copy("hot:ttl", "$b")); /* it may be kept again */
}

Test(hot, a_node_that_dies_takes_its_copies_along) {
    const char *key = "hot:node";
    int owner = stack_owner(s, key);
    set_by_sql(key, 1);
    EXPECT_WITHIN(WAIT_MS, c, "$1", "GET", key);
    EVENTUALLY(WAIT_MS, get_copy(key, "$1"));
    kill(s->node_pids[owner], SIGKILL);
    EVENTUALLY(WAIT_MS, stack_info(port, "node_connections_lost") >= 1);
    set_by_sql(key, 2);
    EXPECT_WITHIN(WAIT_MS, c, "$2", "GET", key);
    EVENTUALLY(WAIT_MS, get_copy(key, "$2")); /* what the next owner says counts as well */
    set_by_sql(key, 3);
    EXPECT_WITHIN(WAIT_MS, c, "$3", "GET", key);
    stack_node_start(s, owner);
    EVENTUALLY(WAIT_MS, stack_info(port, "ring_nodes_heard") == 3);
    set_by_sql(key, 4);
    EXPECT_WITHIN(WAIT_MS, c, "$4", "GET", key);
    EVENTUALLY(WAIT_MS, get_copy(key, "$4"));
}
