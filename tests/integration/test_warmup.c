/*
 * A node that has begun takes proxies when it has heard its first heartbeat: until then it trusts
 * nothing. Not when its feed stays silent: then it serves, every read from the table. Heartbeats
 * are held back by the right to pg_notify(), which nodes lose and the edits of a superuser do not.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../node/warmup.h"
#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { PATIENCE_MS = 30000, STOP_MS = 15000, EDITS = 20 };

static struct stack *s;
static PGconn *sql;
static pid_t node;
static uint16_t port;
static int64_t begun_ms;

static void mute(bool mute) {
    sql_do(sql, mute ? "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC"
                     : "GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC");
}

static void open_all(void) {
    s = stack_private((struct stack_conf){.nodes = 1});
    sql = sql_open(s);
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('warm:up', '0')");
}

static void close_all(void) {
    PQfinish(sql);
    stack_down(&s);
}

TestSuite(warmup, .init = open_all, .fini = close_all);

static void start_node(const char *fence_ms) {
    char args[80];
    snprintf(args, sizeof(args), "--fence-after-ms %s --stale-max-ms 60000", fence_ms);
    begun_ms = clock_mono_ms();
    node = stack_node_begin(s, "warm", args, &port);
}

static void stop_node(void) {
    char log[32];
    cr_assert_eq(program_stop(node, SIGTERM, STOP_MS), 0);
    snprintf(log, sizeof(log), "warm.%u", port);
    cr_expect(!stack_log_has(s, log, "Sanitizer") && !stack_log_has(s, log, "runtime error"));
}

/* What it says of itself, and to a proxy, in one turn of its loop. */
struct sample {
    int64_t up, connections, lag_ms, loading;
    bool linked;
};

static int64_t number_of(const char *text, const char *name) {
    char line[64];
    snprintf(line, sizeof(line), "\n%s:", name);
    const char *at = strstr(text, line);
    cr_assert_not_null(at, "INFO has no %s", name);
    return atoll(at + strlen(line));
}

static struct sample look(void) {
    struct caller *c = expect_caller(port);
    caller_say_words(c, "INFO", "everything", NULL);
    caller_say_words(c, "RF.LINK", "1", NULL);
    expect_flush(c);
    struct resp_reply *info = caller_hear(c), *link = caller_hear(c);
    cr_assert(info != NULL && info->type == RESP_STRING && link != NULL);
    char *said = caller_show(link);
    struct sample sample = {.up = number_of(info->text, "feed_up"),
                            .connections = number_of(info->text, "db_connections"),
                            .lag_ms = number_of(info->text, "feed_lag_ms"),
                            .loading = number_of(info->text, "loading"),
                            .linked = strcmp(said, "+OK") == 0};
    cr_assert(sample.linked || expect_is(said, "-DBDOWN *"), "RF.LINK: %s", said);
    cr_assert_eq(sample.loading, !sample.linked);
    free(said);
    resp_reply_free(&info);
    resp_reply_free(&link);
    caller_close(&c);
    return sample;
}

static bool is_heard(const struct sample *sample) {
    return sample->lag_ms < UINT32_MAX;
}

/* A busy machine may hold the node up until its time to warm up is over: then nothing is shown. */
static bool takes_proxies_when_heard(void) {
    start_node("60000");
    int64_t connections = stack_info(s->node_ports[0], "db_connections");
    struct sample now = look();
    bool timely = true;
    for (unsigned more = 3; more > 0 && timely; now = look()) {
        cr_assert_not(is_heard(&now));
        timely = clock_mono_ms() - begun_ms < WARMUP_MS;
        cr_assert(!timely || !now.linked, "it takes proxies before its first heartbeat");
        more -= now.up == 1 && now.connections == connections;
        expect_pause();
    }
    mute(false);
    while (timely && !now.linked) {
        now = look();
        timely = clock_mono_ms() - begun_ms < WARMUP_MS;
        cr_assert(!timely || !now.linked || is_heard(&now),
                  "it takes proxies before its first heartbeat");
    }
    EVENTUALLY(PATIENCE_MS, (now = look()).linked && is_heard(&now));
    stop_node();
    mute(true);
    return timely;
}

Test(warmup, a_node_takes_proxies_when_it_has_heard_a_heartbeat) {
    mute(true);
    bool shown = false;
    for (int i = 0; i < 5 && !shown; i++)
        shown = takes_proxies_when_heard();
    cr_assert(shown, "the node was too slow, five times");
}

/* Its feed is up, and hears edits by others, but no heartbeat: how old that is nobody knows. */
Test(warmup, a_node_whose_feed_is_silent_serves_from_the_table) {
    struct sample now;
    char value[16], want[16];
    mute(true);
    start_node("1000");
    EVENTUALLY(PATIENCE_MS, (now = look()).linked && now.up == 1);
    cr_assert_not(is_heard(&now));
    struct caller *c = expect_caller(port);
    for (int i = 1; i <= EDITS; i++) {
        snprintf(value, sizeof(value), "%d", i);
        snprintf(want, sizeof(want), "$%d", i);
        sql_do(sql, "UPDATE ringfence.entry SET payload = '%s' WHERE key = 'warm:up'", value);
        EXPECT(c, want, "GET", "warm:up");
        EXPECT(c, want, "GET", "warm:up");
    }
    cr_assert_eq(stack_info(port, "keyspace_hits"), 0);
    cr_assert_eq(stack_info(port, "stale_served"), 0);
    mute(false);
    EVENTUALLY(PATIENCE_MS, (now = look()).linked && is_heard(&now));
    EXPECT(c, want, "GET", "warm:up");
    EXPECT(c, want, "GET", "warm:up");
    cr_assert_gt(stack_info(port, "keyspace_hits"), 0);
    caller_close(&c);
    stop_node();
}
