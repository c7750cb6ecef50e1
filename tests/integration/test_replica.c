/* Fills from a streaming standby (read-conninfo): it serves what it can be shown to know, and
 * whatever becomes of it, no read fails, and none goes back in time. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"
#include "../harness/standby.h"

enum { KEYS = 40, PATIENCE_MS = 60000, STOP_MS = 15000 };

#define NO_AGE ((int64_t)UINT32_MAX)

static struct stack *s;
static struct standby standby;
static PGconn *sql, *standby_sql;
static pid_t node;
static uint16_t port;
static struct caller *c;

static PGconn *open_standby(void) {
    struct stack at_standby = *s;
    snprintf(at_standby.pg_host, sizeof(at_standby.pg_host), "%s", standby.dir);
    return sql_open(&at_standby);
}

static void insert(const char *prefix, int count) {
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT '%s:' || i, 'old' FROM "
           "generate_series(0, %d) AS i",
           prefix, count - 1);
}

static int64_t figure(const char *field) {
    return stack_info(port, field);
}

/* A busy machine is no reason for a read to fail in here. */
static void start_node(const char *more) {
    char args[500];
    snprintf(args, sizeof(args),
             "--read-timeout-ms 10000 --conninfo postgresql://rf_node1@/%s?host=%s&port=%s "
             "--read-conninfo postgresql://rf_node1@/%s?host=%s&port=%s %s",
             s->pg_database, s->pg_host, s->pg_port, s->pg_database, standby.dir, s->pg_port, more);
    node = stack_node(s, "replica1", args, &port);
    c = expect_caller(port);
}

static void stop_node(void) {
    char log[32];
    caller_close(&c);
    cr_expect_eq(program_stop(node, SIGTERM, STOP_MS), 0);
    snprintf(log, sizeof(log), "replica1.%u", port);
    cr_expect(!stack_log_has(s, log, "Sanitizer") && !stack_log_has(s, log, "runtime error"));
}

static void open_all(void) {
    s = stack_private((struct stack_conf){.nodes = 1});
    sql = sql_open(s);
    standby_start(s, &standby);
    standby_sql = open_standby();
}

static void close_all(void) {
    PQfinish(sql);
    PQfinish(standby_sql);
    standby_stop(&standby);
    stack_down(&s);
}

TestSuite(replica, .init = open_all, .fini = close_all);

/* One that began after now: the one that is under way may have begun before. */
static void await_floor(void) {
    int64_t floors = figure("replica_floors");
    EVENTUALLY(PATIENCE_MS, figure("replica_floors") >= floors + 2);
}

static void expect_keys(const char *prefix, int count, const char *want) {
    char key[40];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s:%d", prefix, i);
        EXPECT(c, want, "GET", key);
    }
}

/* Cold keys until the standby has given some of them. */
static void expect_served(const char *prefix) {
    int64_t before = figure("replica_fills") - figure("replica_refused"), now = before;
    char name[32];
    for (int i = 0; i < 50 && now == before; i++) {
        snprintf(name, sizeof(name), "%s%d", prefix, i);
        insert(name, KEYS);
        await_floor();
        expect_keys(name, KEYS, "$old");
        expect_keys(name, KEYS, "$old");
        EXPECT(c, "nil", "GET", name);
        now = figure("replica_fills") - figure("replica_refused");
    }
    cr_expect_gt(now, before, "the standby has served nothing");
}

static void pause_replay(bool pause) {
    sql_do(standby_sql, "SELECT pg_wal_replay_%s()", pause ? "pause" : "resume");
    if (pause)
        EVENTUALLY(
            PATIENCE_MS,
            sql_int(standby_sql, "SELECT (pg_get_wal_replay_pause_state() = 'paused')::int"));
}

Test(replica, cold_keys_are_read_from_the_standby) {
    insert("cold", KEYS);
    start_node("");
    await_floor();
    int64_t primary = figure("db_reads"), fills = figure("replica_fills");
    expect_keys("cold", KEYS, "$old");
    int64_t served = figure("replica_fills") - fills - figure("replica_refused");
    cr_expect_gt(served, 0);
    cr_expect_eq(figure("db_reads") - primary, KEYS - served);
    fprintf(stderr, "replica: of %d cold keys %lld were read from the standby\n", KEYS,
            (long long)served);
    cr_expect_eq(figure("replica_up"), 1);
    cr_expect_eq(figure("db_connections"), 2 + 1 + 1 + 2, "those to the primary");
    cr_expect_eq(sql_int(standby_sql, "SELECT count(*) FROM pg_stat_activity WHERE "
                                      "application_name = 'ringfence replica1'"),
                 1);
    int64_t hits = figure("keyspace_hits");
    expect_keys("cold", KEYS, "$old");
    cr_expect_eq(figure("keyspace_hits") - hits, KEYS, "and they are trusted");
    /* What has an expiry, or is switched off. */
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, active, expires_at) VALUES "
                "('off', 'x', false, NULL), ('timed', 'x', true, now() + interval '1 hour'), "
                "('over', 'x', true, now() - interval '1 hour')");
    await_floor();
    EXPECT(c, "nil", "GET", "off");
    EXPECT(c, "$x", "GET", "timed");
    EXPECT(c, "nil", "GET", "over");
    stop_node();
}

Test(replica, while_replay_is_paused_nothing_old_is_read_and_reads_go_on) {
    char key[40];
    insert("paused", KEYS);
    start_node("");
    await_floor();
    pause_replay(true);
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'new' WHERE key LIKE 'paused:%%'");
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "paused:%d", i);
        EXPECT_WITHIN(PATIENCE_MS, c, "$new", "GET", key);
    }
    for (int round = 0; round < 5; round++) {
        sql_do(sql, "SELECT ringfence.everything()"); /* nothing cached is trusted any more */
        expect_keys("paused", KEYS, "$new");
    }
    EVENTUALLY(PATIENCE_MS, figure("replica_age_ms") == NO_AGE);
    int64_t fills = figure("replica_fills"), primary = figure("db_reads");
    insert("cold", KEYS);
    expect_keys("cold", KEYS, "$old");
    cr_expect_eq(figure("replica_fills"), fills, "it is behind");
    cr_expect_geq(figure("db_reads") - primary, KEYS);
    cr_expect_eq(figure("replica_failures"), 0, "and that is no failure");
    pause_replay(false);
    expect_served("resumed");
    expect_keys("paused", KEYS, "$new");
    stop_node();
}

/* Once a reader has seen an edit, nobody sees what was before it. */
Test(replica, an_edit_that_was_noticed_is_never_followed_by_an_older_read) {
    enum { ROUNDS = 60, READS = 20 };
    char want[24];
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('k', '0')");
    start_node("");
    await_floor();
    int64_t fills = figure("replica_fills") - figure("replica_refused");
    for (int round = 1; round <= ROUNDS; round++) {
        if (round % 10 == 3)
            pause_replay(true);
        if (round % 10 == 7)
            pause_replay(false);
        sql_do(sql, "UPDATE ringfence.entry SET payload = '%d' WHERE key = 'k'", round);
        snprintf(want, sizeof(want), "$%d", round);
        EXPECT_WITHIN(PATIENCE_MS, c, want, "GET", "k");
        for (int i = 0; i < READS; i++) {
            if (i % 5 == 0)
                sql_do(sql, "SELECT ringfence.everything()"); /* what is cached is fetched again */
            if (i == 10 && round % 10 == 8)
                await_floor(); /* it is no news any more, so the standby may be asked */
            EXPECT(c, want, "GET", "k");
        }
    }
    fills = figure("replica_fills") - figure("replica_refused") - fills;
    fprintf(stderr, "replica: %lld fills from the standby among the edits\n", (long long)fills);
    cr_expect_gt(fills, 0);
    stop_node();
}

Test(replica, a_standby_that_stops_or_hangs_fails_no_read) {
    insert("hangs", KEYS);
    insert("gone", KEYS);
    start_node("");
    await_floor();
    int64_t served = figure("replica_fills");
    expect_keys("hangs", 1, "$old");
    cr_expect_gt(figure("replica_fills"), served);
    pid_t backend = (pid_t)sql_int(standby_sql, "SELECT pid FROM pg_stat_activity WHERE "
                                                "application_name = 'ringfence replica1'");
    cr_assert_eq(kill(backend, SIGSTOP), 0);
    expect_keys("hangs", KEYS, "$old");
    EVENTUALLY(PATIENCE_MS, figure("replica_failures") > 0);
    cr_assert_eq(kill(backend, SIGCONT), 0);
    expect_served("again");
    PQfinish(standby_sql);
    standby_sql = NULL;
    standby_stop(&standby);
    expect_keys("gone", KEYS, "$old");
    EVENTUALLY(PATIENCE_MS, figure("replica_up") == 0);
    insert("later", KEYS);
    expect_keys("later", KEYS, "$old");
    EXPECT(c, "+OK", "SET", "later:0", "new");
    EXPECT(c, "$new", "GET", "later:0");
    cr_expect_eq(figure("stale_served"), 0);
    stop_node();
}

/* A commit that waits for a synchronous standby is replayed by another one before its own server
 * shows it: who read it there would see the row before it once more. */
Test(replica, what_the_primary_does_not_show_yet_is_not_read_from_the_standby) {
    insert("ahead", 2);
    start_node("--fence-after-ms 60000 --replica-age-max-ms 60000");
    EVENTUALLY(PATIENCE_MS, figure("replica_floors") >= 1);
    PGconn *waits = sql_open(s);
    sql_do(sql, "ALTER SYSTEM SET synchronous_standby_names = 'ghost'");
    sql_do(sql, "SELECT pg_reload_conf()");
    EVENTUALLY(PATIENCE_MS, sql_int(sql, "SELECT (setting = 'ghost')::int FROM pg_settings WHERE "
                                         "name = 'synchronous_standby_names'"));
    cr_assert_eq(PQsendQuery(waits, "UPDATE ringfence.entry SET payload = 'new' WHERE key = "
                                    "'ahead:0'"),
                 1);
    EVENTUALLY(PATIENCE_MS, sql_int(standby_sql, "SELECT count(*) FROM ringfence.entry WHERE key = "
                                                 "'ahead:0' AND payload = 'new'") == 1);
    sql_expect(sql, "old", "SELECT payload FROM ringfence.entry WHERE key = 'ahead:0'");
    int64_t refused = figure("replica_refused");
    EXPECT(c, "$old", "GET", "ahead:0");
    cr_expect_eq(figure("replica_refused"), refused + 1, "the standby was asked, and was ahead");
    EXPECT(c, "$old", "GET", "ahead:1");
    sql_do(sql, "ALTER SYSTEM RESET synchronous_standby_names");
    sql_do(sql, "SELECT pg_reload_conf()");
    PGresult *r = PQgetResult(waits);
    cr_expect_eq(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    PQfinish(waits);
    EXPECT_WITHIN(PATIENCE_MS, c, "$new", "GET", "ahead:0");
    stop_node();
}

Test(replica, a_standby_that_is_promoted_is_left_alone) {
    insert("before", KEYS);
    start_node("");
    await_floor();
    standby_promote(&standby);
    sql_do(standby_sql, "UPDATE ringfence.entry SET payload = 'elsewhere'");
    expect_keys("before", KEYS, "$old");
    EVENTUALLY(PATIENCE_MS, figure("replica_up") == 0);
    insert("after", KEYS);
    expect_keys("after", KEYS, "$old");
    stop_node();
}
