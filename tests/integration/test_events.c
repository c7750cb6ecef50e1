/* What became of a key, whoever wrote: as the nodes tell it to proxies, and as subscribers hear it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

static const struct stack *s;
static PGconn *sql;
static struct caller *c, *listener;

static void open_all(void) {
    shared_open(&s, &sql, &c, NULL);
}

static void close_all(void) {
    if (listener != NULL)
        caller_close(&listener);
    shared_close(&sql, &c, NULL);
}

TestSuite(events, .init = open_all, .fini = close_all);

/* The next thing that is heard of keys that begin with `mine`. */
static void expect_heard(const char *mine, const char *want) {
    for (;;) {
        struct resp_reply *r = caller_hear(listener);
        char *shown = caller_show(r);
        resp_reply_free(&r);
        cr_assert_str_neq(shown, "closed", "while waiting for %s", want);
        bool passed = strstr(shown, mine) == NULL;
        cr_assert(passed || expect_is(shown, want), "%s, not %s", shown, want);
        free(shown);
        if (!passed)
            return;
    }
}

/* ---- what a node tells a proxy ---- */

static void open_node(void) {
    listener = expect_caller(s->node_ports[0]);
    EXPECT(listener, "+OK", "RF.LINK", "1");
    EXPECT(listener, "+OK", "RF.WATCH", "1");
}

Test(events, a_node_says_what_became_of_a_key) {
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key LIKE 'ev:node:%%'"); /* of a run before */
    open_node();
    EXPECT(c, "+OK", "SET", "ev:node:a", "1");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    EXPECT(c, ":1", "EXPIRE", "ev:node:a", "1000");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    EXPECT(c, ":1", "DEL", "ev:node:a");
    expect_heard("ev:node:", "[+stale +d $ev:node:a]");
    sql_do(sql,
           "UPDATE ringfence.entry SET active = true, expires_at = NULL WHERE key = 'ev:node:a'");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'sql' WHERE key = 'ev:node:a'");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    EXPECT(c, ":1", "PEXPIRE", "ev:node:a", "1");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    expect_heard("ev:node:", "[+stale +x $ev:node:a]"); /* swept */
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'x' WHERE key = 'ev:node:a'");
    expect_heard("ev:node:", "[+stale +n $ev:node:a]");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'ev:node:a'");
    expect_heard("ev:node:", "[+stale +n $ev:node:a]");
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('ev:node:b', '1')");
    expect_heard("ev:node:", "[+stale +s $ev:node:b]");
    sql_do(sql, "UPDATE ringfence.entry SET key = 'ev:node:d' WHERE key = 'ev:node:b'");
    expect_heard("ev:node:", "[+stale +s $ev:node:d]");
    expect_heard("ev:node:", "[+stale +d $ev:node:b]");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'ev:node:d'");
    expect_heard("ev:node:", "[+stale +d $ev:node:d]");
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload, active) VALUES ('ev:node:e', '1', false)");
    expect_heard("ev:node:", "[+stale +n $ev:node:e]");
}

/* ---- what subscribers hear ---- */

static void open_subscriber(const char *kind, const char *name) {
    listener = expect_caller(s->proxy_port);
    EXPECT(listener, "*", "HELLO", "3");
    EXPECT(listener, "*", kind, name);
}

Test(events, a_subscriber_hears_once_of_every_change_whoever_made_it) {
    open_subscriber("PSUBSCRIBE", "__keyspace@0__:ev:sub:*");
#define HEARD(key, event)                                                                          \
    expect_heard("ev:sub:",                                                                        \
                 "[$pmessage $__keyspace@0__:ev:sub:* $__keyspace@0__:ev:sub:" key " $" event "]")
    EXPECT(c, "+OK", "SET", "ev:sub:a", "1");
    HEARD("a", "set");
    sql_do(sql, "UPDATE ringfence.entry SET payload = '2' WHERE key = 'ev:sub:a'");
    HEARD("a", "set");
    EXPECT(c, "+OK", "MSET", "ev:sub:b", "1", "ev:sub:c", "1");
    EXPECT(c, ":1", "DEL", "ev:sub:a");
    for (int i = 0; i < 3; i++) { /* three nodes, so in any order */
        struct resp_reply *r = caller_hear(listener);
        cr_assert(r != NULL && r->type == RESP_PUSH && r->count == 4);
        resp_reply_free(&r);
    }
    sql_do(sql, "UPDATE ringfence.entry SET active = false WHERE key = 'ev:sub:b'");
    HEARD("b", "del");
    EXPECT(c, ":1", "PEXPIRE", "ev:sub:c", "1");
    HEARD("c", "set");
    HEARD("c", "expired");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key LIKE 'ev:sub:%%'");
    EXPECT(listener, "+PONG", "PING"); /* they were not there any more */
}

/* Each edit by SQL, then at once a read through another proxy by who heard of it. */
Test(events, who_reads_behind_a_message_finds_nothing_older) {
    enum { ROUNDS = 100 };
    struct caller *reader = expect_caller(s->proxy_port);
    char key[32], value[32];
    open_subscriber("PSUBSCRIBE", "__keyspace@0__:ev:read:*");
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof(key), "ev:read:%d", i);
        EXPECT(c, "+OK", "SET", key, "0");
        expect_heard("ev:read:", "[*");
    }
    for (int i = 1; i <= ROUNDS; i++) {
        snprintf(key, sizeof(key), "ev:read:%d", i % 4);
        snprintf(value, sizeof(value), "$%d", i);
        EXPECT(reader, "*", "GET", key);
        sql_do(sql, "UPDATE ringfence.entry SET payload = '%d' WHERE key = '%s'", i, key);
        expect_heard("ev:read:", "[*");
        EXPECT(reader, value, "GET", key);
    }
    caller_close(&reader);
}

Test(events, an_edit_by_sql_is_heard_at_every_proxy) {
    uint16_t port;
    char key[32], channel[64],
        heard[3][128]; /* a key of this run alone: what is said of others may come late */
    pid_t pid = stack_proxy(s, "--workers 2", &port);
    snprintf(key, sizeof(key), "ev:far:%d", (int)getpid());
    snprintf(channel, sizeof(channel), "__keyspace@0__:%s", key);
    snprintf(heard[0], sizeof(heard[0]), "[$subscribe $%s :2]", channel);
    snprintf(heard[1], sizeof(heard[1]), "[$message $%s $set]", channel);
    snprintf(heard[2], sizeof(heard[2]), "[$message $__keyevent@0__:set $%s]", key);
    listener = expect_caller(port);
    EXPECT(listener, "[$subscribe $__keyevent@0__:set :1]", "SUBSCRIBE", "__keyevent@0__:set");
    EXPECT(listener, heard[0], "SUBSCRIBE", channel);
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('%s', '1')", key);
    expect_heard(key, heard[1]);
    expect_heard(key, heard[2]);
    cr_assert_eq(program_stop(pid, SIGTERM, 10000), 0);
}

Test(events, a_gap_is_told) {
    open_subscriber("SUBSCRIBE", "__keyspace@0__:ev:gap");
    sql_do(sql, "SELECT ringfence.everything()");
    for (int node = 0; node < s->nodes; node++)
        expect_heard("ev:gap", "[$message $__keyspace@0__:ev:gap $gap]");
    sql_do(sql, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                "'ringfence feed'");
    expect_heard("ev:gap", "[$message $__keyspace@0__:ev:gap $gap]");
    EVENTUALLY(10000, stack_info(s->node_ports[0], "feed_up") == 1 &&
                          stack_info(s->node_ports[1], "feed_up") == 1 &&
                          stack_info(s->node_ports[2], "feed_up") == 1);
}

Test(events, a_node_that_dies_is_a_gap_and_its_keys_go_on) {
    struct stack *own = stack_private((struct stack_conf){0});
    struct caller *writer = expect_caller(own->proxy_port);
    char key[64], heard[128];
    stack_key_of(own, 0, "ev:dies:", key, sizeof(key));
    listener = expect_caller(own->proxy_port);
    EXPECT(listener, "*", "PSUBSCRIBE", "__keyspace@0__:ev:*");
    kill(own->node_pids[0], SIGKILL);
    expect_heard("gap", "[$pmessage $__keyspace@0__:ev:* $__keyspace@0__: $gap]");
    EXPECT_WITHIN(10000, writer, "+OK", "SET", key, "1");
    snprintf(heard, sizeof(heard), "[$pmessage $__keyspace@0__:ev:* $__keyspace@0__:%s $set]", key);
    expect_heard(key, heard);
    caller_close(&writer);
    stack_down(&own);
}

Test(events, pubsub_counts_all_workers) {
    struct caller *more[4];
    open_subscriber("SUBSCRIBE", "ev:news");
    for (int i = 0; i < 4; i++) {
        more[i] = expect_caller(s->proxy_port);
        EXPECT(more[i], "*", "SUBSCRIBE", "ev:news");
        EXPECT(more[i], "*", "PSUBSCRIBE", "ev:pattern*");
    }
    EXPECT(c, "[$ev:news :5 $ev:other :0]", "PUBSUB", "NUMSUB", "ev:news", "ev:other");
    EXPECT(c, "[$ev:news]", "PUBSUB", "CHANNELS", "ev:*");
    EXPECT(c, ":1", "PUBSUB", "NUMPAT");
    EXPECT(c, "-ERR PUBLISH is not supported here*", "PUBLISH", "ev:news", "hello");
    for (int i = 0; i < 4; i++)
        caller_close(&more[i]);
    EXPECT_WITHIN(5000, c, "[$ev:news :1]", "PUBSUB", "NUMSUB", "ev:news");
    EXPECT_WITHIN(5000, c, ":0", "PUBSUB", "NUMPAT");
}
