/* A node dies or hangs: no key is lost with it, and soon nothing fails any more. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/load.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum {
    WITHIN_MS = 1000,  /* what the project promises */
    HELD_UP_MS = 3000, /* longer than the deadlines of reads and writes */
    PATIENCE_MS = 60000,
    KEYS = 60
};

/* A killed node's connections end, so no deadline is needed to notice: one that passes is the
 * machine's. */
static struct stack *patient_stack(void) {
    return stack_private(
        (struct stack_conf){.node_args = STACK_PATIENT_NODE, .proxy_args = STACK_PATIENT_PROXY});
}

static struct load *start_load(const struct stack *s, int write_percent) {
    struct load *load = load_start(&(struct load_conf){.ports = {s->proxy_port},
                                                       .prefix = "loss",
                                                       .clients = 8,
                                                       .keys = 40,
                                                       .depth = 4,
                                                       .write_percent = write_percent});
    cr_assert_not_null(load);
    return load;
}

/* The end of a load; errors may only have come up to WITHIN_MS after `lost_ms`. */
static void expect_brief(struct load **load, int64_t lost_ms, bool no_writes) {
    struct load_result r;
    load_end(load, &r);
    fprintf(stderr,
            "node loss: requests=%llu errors=%llu uncertain=%llu old=%llu wrong=%llu "
            "last_error_after_ms=%lld%s%s%s%s\n",
            (unsigned long long)r.requests, (unsigned long long)r.errors,
            (unsigned long long)r.uncertain, (unsigned long long)r.old, (unsigned long long)r.wrong,
            (long long)(r.last_error_mono_ms == 0 ? 0 : r.last_error_mono_ms - lost_ms),
            r.first_error[0] != '\0' ? " first error: " : "", r.first_error,
            r.first_error[0] != '\0' ? " last error: " : "", r.last_error);
    cr_expect_eq(r.wrong, 0, "%s", r.first_wrong);
    cr_expect(r.errors == 0 || r.last_error_mono_ms - lost_ms <= WITHIN_MS);
    cr_expect(!no_writes || r.errors == 0, "a read failed: %s", r.first_error);
}

static void key_name(int i, char *out, size_t size) {
    snprintf(out, size, "loss:key:%d", i);
}

static void set_keys(struct caller *c, const char *value) {
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        key_name(i, key, sizeof(key));
        EXPECT(c, "+OK", "SET", key, value);
    }
}

/* Of each key within `ms`; 0: at once. */
static void expect_keys(struct caller *c, int ms, const char *want) {
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        key_name(i, key, sizeof(key));
        EXPECT_WITHIN(ms, c, want, "GET", key);
    }
}

/* Returns when. */
static int64_t kill_node(struct stack *s, int index) {
    int64_t now_ms = clock_mono_ms();
    kill(s->node_pids[index], SIGKILL);
    EVENTUALLY(PATIENCE_MS, kill(s->node_pids[index], 0) != 0);
    return now_ms;
}

Test(node_loss, the_keys_of_a_killed_node_are_answered_by_others) {
    struct stack *s = patient_stack();
    struct caller *c = expect_caller(s->proxy_port);
    set_keys(c, "before");
    for (int i = 0; i < 2; i++) { /* down to the last node */
        kill_node(s, i);
        expect_keys(c, 0, "$before");
    }
    char key[48];
    stack_key_of(s, 0, "loss:new:", key, sizeof(key));
    EXPECT_WITHIN(WITHIN_MS, c, "+OK", "SET", key, "while it is away");
    EXPECT(c, "$while it is away", "GET", key);
    stack_node_start(s, 0);
    EVENTUALLY(PATIENCE_MS, stack_info(s->proxy_port, "ring_nodes_heard") == 2);
    EXPECT(c, "$while it is away", "GET", key);
    expect_keys(c, 0, "$before");
    kill_node(s, 0);
    kill_node(s, 2);
    EXPECT_WITHIN(WITHIN_MS, c, "-NODEDOWN *", "GET", key);
    EXPECT(c, "-NODEDOWN *", "SET", key, "nowhere");
    EXPECT(c, "+PONG", "PING");
    stack_node_start(s, 1);
    EXPECT_WITHIN(2 * WITHIN_MS, c, "$while it is away", "GET", key);
    expect_keys(c, 0, "$before");
    caller_close(&c);
    stack_down(&s);
}

Test(node_loss, reads_never_fail_while_a_node_is_killed) {
    struct stack *s = patient_stack();
    struct load *load = start_load(s, 0);
    load_let_work(load, 3000, PATIENCE_MS);
    int64_t lost_ms = kill_node(s, 1);
    load_let_work(load, 3000, PATIENCE_MS);
    expect_brief(&load, lost_ms, true);
    stack_down(&s);
}

Test(node_loss, success_is_back_within_a_second_and_lasts_when_the_node_returns) {
    struct stack *s = patient_stack();
    struct load *load = start_load(s, 20);
    load_let_work(load, 2000, PATIENCE_MS);
    int64_t lost_ms = kill_node(s, 1);
    EVENTUALLY(PATIENCE_MS, clock_mono_ms() - lost_ms > WITHIN_MS);
    load_let_work(load, 2000, PATIENCE_MS);
    stack_node_start(s, 1);
    load_let_work(load, 4000, PATIENCE_MS);
    expect_brief(&load, lost_ms, false);
    stack_down(&s);
}

/* It does not close its connections: only its silence tells. */
Test(node_loss, a_node_that_hangs_is_left_and_taken_back) {
    struct stack *s = stack_private((struct stack_conf){0});
    struct caller *c = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    set_keys(c, "before");
    kill(s->node_pids[0], SIGSTOP);
    expect_keys(c, WITHIN_MS, "$before");
    char key[48];
    stack_key_of(s, 0, "loss:hang:", key, sizeof(key));
    EXPECT_WITHIN(WITHIN_MS, c, "+OK", "SET", key, "elsewhere");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'edited' WHERE key LIKE 'loss:key:%%'");
    EXPECT_WITHIN(2000, c, "$edited", "GET", "loss:key:0");
    kill(s->node_pids[0], SIGCONT);
    EVENTUALLY(PATIENCE_MS, stack_info(s->proxy_port, "ring_nodes_heard") == 3);
    EXPECT_WITHIN(2000, c, "$elsewhere", "GET", key);
    expect_keys(c, 2000, "$edited"); /* what it slept through */
    PQfinish(sql);
    caller_close(&c);
    stack_down(&s);
}

/* What arrived while it did not run is read before anything is given up. */
Test(node_loss, a_node_that_was_held_up_reads_its_answers_first) {
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    struct caller *c = expect_caller(s->node_ports[0]);
    PGconn *sql = sql_open(s);
    EXPECT(c, "+OK", "SET", "loss:held", "before");
    pid_t backend = (pid_t)sql_int(sql, "SELECT pid FROM pg_stat_activity WHERE application_name = "
                                        "'ringfence write1'");
    kill(backend, SIGSTOP);
    caller_say_words(c, "SET", "loss:held", "after", NULL);
    expect_flush(c);
    EVENTUALLY(PATIENCE_MS, stack_info(s->node_ports[0], "pending_requests") == 1);
    kill(s->node_pids[0], SIGSTOP);
    int64_t stopped_ms = clock_mono_ms();
    kill(backend, SIGCONT);
    EVENTUALLY(PATIENCE_MS, sql_int(sql, "SELECT count(*) FROM pg_stat_activity WHERE state <> "
                                         "'idle' AND application_name LIKE 'ringfence %%'") == 0);
    EVENTUALLY(PATIENCE_MS, clock_mono_ms() - stopped_ms > HELD_UP_MS);
    kill(s->node_pids[0], SIGCONT);
    EXPECT_NEXT(c, "+OK");
    EXPECT(c, "$after", "GET", "loss:held");
    cr_assert_eq(stack_info(s->node_ports[0], "db_reconnects"), 0);
    PQfinish(sql);
    caller_close(&c);
    stack_down(&s);
}

/* Its connections to the database are gone when it wakes up, which it suspects after half a second:
 * its keys stay with the next owner until it has them again. */
Test(node_loss, a_node_that_wakes_up_without_its_database_is_not_asked_to_write) {
    struct stack *s = stack_private((struct stack_conf){.node_args = "--write-timeout-ms 15000",
                                                        .proxy_args = "--write-timeout-ms 18000"});
    struct caller *c = expect_caller(s->proxy_port);
    char keys[KEYS][32];
    for (int i = 0; i < KEYS; i++) {
        key_name(i, keys[i], sizeof(keys[i]));
        EXPECT(c, "+OK", "SET", keys[i], "before");
    }
    kill(s->node_pids[0], SIGSTOP);
    int64_t stopped_ms = clock_mono_ms();
    expect_keys(c, WITHIN_MS, "$before"); /* it is left */
    stack_database_stop(s, "fast");
    stack_database_start(s);
    for (int i = 0; i < KEYS; i++)
        EXPECT_WITHIN(PATIENCE_MS, c, "+OK", "SET", keys[i], "while it sleeps");
    EVENTUALLY(PATIENCE_MS, clock_mono_ms() - stopped_ms > HELD_UP_MS);
    kill(s->node_pids[0], SIGCONT);
    do {
        for (int i = 0; i < KEYS; i++)
            EXPECT(c, "+OK", "SET", keys[i], "awake");
    } while (stack_info(s->proxy_port, "ring_nodes_heard") != 3);
    for (int i = 0; i < KEYS; i++)
        EXPECT(c, "+OK", "SET", keys[i], "all three");
    caller_close(&c);
    stack_down(&s);
}
