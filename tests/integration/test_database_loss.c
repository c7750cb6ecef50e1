/* PostgreSQL goes away, or a part of its connections: what is cached is read on, nothing is made
 * up, and all is well again when it is back, without a daemon having been touched. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/load.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { SEEN_MS = 2000, FENCE_MS = 2000, RECOVERED_MS = 10000, PATIENCE_MS = 60000, KEYS = 30 };
enum { CONNECTIONS = 2 + 1 + 1 + 2 }; /* of a node: for reads, writes, locked rows, transactions */

static void key_name(const char *kind, int i, char *out, size_t size) {
    snprintf(out, size, "db:%s:%d", kind, i);
}

static void expect_all(struct caller *c, int ms, const char *kind, const char *want) {
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        key_name(kind, i, key, sizeof(key));
        EXPECT_WITHIN(ms, c, want, "GET", key);
    }
}

static void set_all(struct caller *c, const char *kind, const char *value) {
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        key_name(kind, i, key, sizeof(key));
        EXPECT(c, "+OK", "SET", key, value);
    }
}

static int64_t sum_of(const struct stack *s, const char *field) {
    int64_t sum = 0;
    for (int i = 0; i < s->nodes; i++)
        sum += stack_info(s->node_ports[i], field);
    return sum;
}

static bool all_up(const struct stack *s) {
    return sum_of(s, "feed_up") == s->nodes && sum_of(s, "db_up") == s->nodes &&
           sum_of(s, "db_connections") == CONNECTIONS * s->nodes;
}

static void expect_daemons_alive(const struct stack *s) {
    cr_assert_eq(kill(s->proxy_pid, 0), 0);
    for (int i = 0; i < s->nodes; i++)
        cr_assert_eq(kill(s->node_pids[i], 0), 0);
}

/* The answer to a write while there is no database. */
static void expect_write_fails(struct caller *c, const char *name, const char *key,
                               const char *value) {
    caller_say_words(c, name, key, value, NULL);
    expect_flush(c);
    struct resp_reply *reply = caller_hear(c);
    char *text = caller_show(reply);
    cr_assert(expect_is(text, "-DBDOWN *") || expect_is(text, "-UNCERTAIN *"), "%s %s: %s", name,
              key, text);
    free(text);
    resp_reply_free(&reply);
}

static void stop_and_start(const char *mode) {
    struct stack *s = stack_private((struct stack_conf){0});
    struct caller *c = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT 'db:cold:' || i, 'cold' "
           "FROM generate_series(0, %d) AS i",
           KEYS - 1);
    set_all(c, "warm", "before");
    expect_all(c, 0, "warm", "$before");
    PQfinish(sql);
    stack_database_stop(s, mode);
    int64_t stale = sum_of(s, "stale_served");
    expect_all(c, 0, "warm", "$before");
    cr_assert_geq(sum_of(s, "stale_served"), stale + KEYS);
    expect_all(c, 0, "cold", "-DBDOWN *");
    EXPECT(c, "-DBDOWN *", "MGET", "db:warm:0", "db:cold:0", "db:warm:1");
    EXPECT(c, "[$before $before]", "MGET", "db:warm:0", "db:warm:1");
    EXPECT(c, "-DBDOWN *", "EXISTS", "db:cold:1");
    EXPECT(c, "-DBDOWN *", "DBSIZE");
    expect_write_fails(c, "SET", "db:warm:2", "refused");
    expect_write_fails(c, "SETNX", "db:cold:2", "refused");
    expect_write_fails(c, "GETSET", "db:warm:3", "refused");
    expect_write_fails(c, "MSET", "db:cold:3", "refused");
    expect_write_fails(c, "DEL", "db:warm:4", "db:warm:5");
    expect_all(c, 0, "warm", "$before");
    stack_database_start(s);
    EXPECT_WITHIN(RECOVERED_MS, c, "$cold", "GET", "db:cold:0");
    EXPECT_WITHIN(RECOVERED_MS, c, "+OK", "SET", "db:warm:0", "after");
    EVENTUALLY(RECOVERED_MS, all_up(s));
    expect_all(c, 0, "cold", "$cold");
    EXPECT(c, "$after", "GET", "db:warm:0");
    sql = sql_open(s);
    sql_expect(sql, "0", "SELECT count(*) FROM ringfence.entry WHERE payload = 'refused'");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'edited' WHERE key LIKE 'db:%%'");
    expect_all(c, SEEN_MS, "warm", "$edited");
    expect_all(c, SEEN_MS, "cold", "$edited");
    expect_daemons_alive(s);
    PQfinish(sql);
    caller_close(&c);
    stack_down(&s);
}

Test(database_loss, stopped_and_started) {
    stop_and_start("fast");
}

Test(database_loss, crashed_and_started) {
    stop_and_start("immediate");
}

/* What was edited before any node was back must be seen: nobody was told. */
Test(database_loss, an_edit_before_the_nodes_are_back) {
    struct stack *s = stack_private((struct stack_conf){0});
    struct caller *c = expect_caller(s->proxy_port);
    set_all(c, "gap", "before");
    expect_all(c, 0, "gap", "$before");
    PGconn *sql = sql_open(s);
    sql_do(sql, "ALTER ROLE rf_node1 NOLOGIN"); /* keeps them out for a while */
    PQfinish(sql);
    stack_database_stop(s, "fast");
    stack_database_start(s);
    sql = sql_open(s);
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'edited' WHERE key LIKE 'db:gap:%%'");
    expect_all(c, 0, "gap", "$before"); /* stale, and counted: the database is not to be had */
    sql_do(sql, "ALTER ROLE rf_node1 LOGIN");
    EVENTUALLY(RECOVERED_MS, all_up(s));
    expect_all(c, 0, "gap", "$edited");
    PQfinish(sql);
    caller_close(&c);
    stack_down(&s);
}

static void report(const char *name, const struct load_result *r) {
    fprintf(stderr, "%s: requests=%llu errors=%llu uncertain=%llu old=%llu wrong=%llu\n", name,
            (unsigned long long)r->requests, (unsigned long long)r->errors,
            (unsigned long long)r->uncertain, (unsigned long long)r->old,
            (unsigned long long)r->wrong);
}

static struct load *start_load(const struct stack *s) {
    struct load *load = load_start(&(struct load_conf){.ports = {s->proxy_port},
                                                       .prefix = "db:load",
                                                       .clients = 8,
                                                       .keys = 40,
                                                       .depth = 4,
                                                       .write_percent = 30});
    cr_assert_not_null(load);
    return load;
}

/* The ring is stable, so not even an old value may be seen by whoever wrote a newer one. */
static void expect_right(const char *name, struct load **load) {
    struct load_result result;
    load_end(load, &result);
    report(name, &result);
    cr_expect_eq(result.wrong, 0, "%s", result.first_wrong);
    cr_expect_eq(result.old, 0);
    cr_expect_lt(result.errors, result.requests);
}

Test(database_loss, crashes_under_load_lose_no_acknowledged_write) {
    struct stack *s = stack_private((struct stack_conf){0});
    struct load *load = start_load(s);
    for (int i = 0; i < 3; i++) {
        load_let_work(load, 800, PATIENCE_MS);
        stack_database_stop(s, "immediate");
        load_let_work(load, 200, PATIENCE_MS);
        stack_database_start(s);
        load_let_recover(load, 500, RECOVERED_MS, PATIENCE_MS);
    }
    EVENTUALLY(RECOVERED_MS, all_up(s));
    expect_right("crashes", &load);
    stack_down(&s);
}

Test(database_loss, terminated_connections_under_load) {
    struct stack *s = stack_private((struct stack_conf){0});
    PGconn *sql = sql_open(s);
    struct load *load = start_load(s);
    static const char *const WHICH[] = {"read1", "write1", "feed", "slow1", "read%", "%"};
    for (size_t i = 0; i < sizeof(WHICH) / sizeof(WHICH[0]); i++) {
        load_let_work(load, 500, PATIENCE_MS);
        int64_t ended = sql_int(sql,
                                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                "WHERE application_name LIKE 'ringfence %s'",
                                WHICH[i]);
        cr_assert_geq(ended, s->nodes, "%s", WHICH[i]);
        load_let_recover(load, 500, RECOVERED_MS, PATIENCE_MS);
    }
    EVENTUALLY(RECOVERED_MS, all_up(s));
    expect_right("terminated", &load);
    PQfinish(sql);
    stack_down(&s);
}

/* ---- the feed alone ---- */

Test(database_loss, edits_in_a_gap_of_the_feed_are_seen) {
    struct stack *s = stack_private((struct stack_conf){0});
    struct caller *c = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    set_all(c, "feed", "0");
    expect_all(c, 0, "feed", "$0");
    sql_do(sql, "ALTER ROLE rf_node1 NOLOGIN"); /* the gap stays open until we close it */
    sql_do(sql, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'ringfence feed'");
    EVENTUALLY(SEEN_MS, sum_of(s, "feed_up") == 0);
    sql_do(sql, "UPDATE ringfence.entry SET payload = '1' WHERE key LIKE 'db:feed:%%'");
    expect_all(c, 0, "feed", "$1"); /* nothing is trusted: all is fetched */
    EXPECT(c, "+OK", "SET", "db:feed:own", "own");
    sql_do(sql, "UPDATE ringfence.entry SET payload = '2' WHERE key LIKE 'db:feed:%%'");
    expect_all(c, 0, "feed", "$2");
    EXPECT(c, "$2", "GET", "db:feed:own");
    sql_do(sql, "UPDATE ringfence.entry SET payload = '3' WHERE key LIKE 'db:feed:%%'");
    sql_do(sql, "ALTER ROLE rf_node1 LOGIN");
    EVENTUALLY(RECOVERED_MS, all_up(s));
    expect_all(c, 0, "feed", "$3");
    EXPECT(c, "$3", "GET", "db:feed:own");
    PQfinish(sql);
    caller_close(&c);
    stack_down(&s);
}

/* The feed's connection is there and says nothing: its silence is noticed. */
Test(database_loss, edits_while_the_feed_is_silent_are_seen) {
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    struct caller *c = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    set_all(c, "silent", "before");
    expect_all(c, 0, "silent", "$before");
    pid_t backend = (pid_t)sql_int(sql, "SELECT pid FROM pg_stat_activity "
                                        "WHERE application_name = 'ringfence feed'");
    kill(backend, SIGSTOP);
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'edited' WHERE key LIKE 'db:silent:%%'");
    expect_all(c, FENCE_MS + 1000, "silent", "$edited");
    kill(backend, SIGCONT);
    EVENTUALLY(RECOVERED_MS, all_up(s) && sum_of(s, "feed_lag_ms") < FENCE_MS);
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'again' WHERE key LIKE 'db:silent:%%'");
    expect_all(c, SEEN_MS, "silent", "$again");
    PQfinish(sql);
    caller_close(&c);
    stack_down(&s);
}
