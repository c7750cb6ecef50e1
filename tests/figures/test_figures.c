/*
 * Figures of the scorecard in docs/reliability.md that are measured, not checked: `make
 * reliability`. Each prints a line that begins with its number; nothing here fails because the
 * machine is slow. FIGURES_REPEATS: how often things are killed. overload.c has those of overload.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../harness/expect.h"
#include "../harness/load.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"
#include "../harness/wire.h"
#include "measure.h"

enum { PATIENCE_MS = 60000, ASKS = 4000, KEYS = 32 };

/* ---- S11: the others' latency while a node is stopped, or a row is locked ---- */

/* GET by GET; microseconds of the keys of `names`. */
static double p99_us(struct caller *c, char names[KEYS][48], struct caller *beside,
                     const char *beside_key, bool writes) {
    double *us = calloc(ASKS, sizeof(*us));
    for (int i = 0; i < ASKS; i++) {
        if (beside != NULL && i % 20 == 0) { /* its answers are left to come */
            caller_say_words(beside, writes ? "SET" : "GET", beside_key, writes ? "x" : NULL, NULL);
            caller_flush(beside);
        }
        int64_t asked_us = clock_mono_us();
        EXPECT(c, "$value", "GET", names[i % KEYS]);
        us[i] = (double)(clock_mono_us() - asked_us);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    double value = measure_percentile(us, ASKS, 99);
    free(us);
    return value;
}

static struct stack *warm_stack(char names[KEYS][48]) {
    struct stack *s = stack_private((struct stack_conf){0});
    struct caller *c = expect_caller(s->proxy_port);
    for (int i = 0; i < KEYS; i++) {
        char prefix[24];
        snprintf(prefix, sizeof(prefix), "s11:%d:", i);
        stack_key_of(s, i % 2, prefix, names[i], 48); /* of node1 and node2 */
        EXPECT(c, "+OK", "SET", names[i], "value");
        EXPECT(c, "$value", "GET", names[i]);
    }
    caller_close(&c);
    return s;
}

Test(figures, s11_latency_of_healthy_shards_while_a_node_is_stopped) {
    char names[KEYS][48], lost[48];
    struct stack *s = warm_stack(names);
    struct caller *c = expect_caller(s->proxy_port), *beside = expect_caller(s->proxy_port);
    stack_key_of(s, 2, "s11:lost:", lost, sizeof(lost));
    double before_us = p99_us(c, names, beside, lost, false);
    kill(s->node_pids[2], SIGSTOP);
    double stopped_us = p99_us(c, names, beside, lost, false);
    kill(s->node_pids[2], SIGCONT);
    printf("S11 node_stopped p99_us_before=%.0f while=%.0f ratio=%.2f\n", before_us, stopped_us,
           stopped_us / before_us);
    caller_close(&beside);
    caller_close(&c);
    stack_down(&s);
}

Test(figures, s11_latency_of_other_rows_while_one_is_locked) {
    char names[KEYS][48];
    struct stack *s = warm_stack(names);
    struct caller *c = expect_caller(s->proxy_port), *beside = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    double before_us = p99_us(c, names, beside, names[0], false);
    sql_do(sql, "BEGIN; SELECT FROM ringfence.entry WHERE key = '%s' FOR UPDATE", names[1]);
    double locked_us = p99_us(c, names, beside, names[1], true);
    sql_do(sql, "ROLLBACK");
    printf("S11 row_locked p99_us_before=%.0f while=%.0f ratio=%.2f\n", before_us, locked_us,
           locked_us / before_us);
    PQfinish(sql);
    caller_close(&beside);
    caller_close(&c);
    stack_down(&s);
}

/* ---- S12: until everything succeeds again after a node was killed ---- */

static struct load *start_load(const struct stack *s, int round) {
    char prefix[16];
    snprintf(prefix, sizeof(prefix), "s12:%d", round); /* keys that nobody had before */
    struct load *load = load_start(&(struct load_conf){.ports = {s->proxy_port},
                                                       .prefix = prefix,
                                                       .clients = 4,
                                                       .keys = 40,
                                                       .depth = 2,
                                                       .write_percent = 20});
    cr_assert_not_null(load);
    return load;
}

Test(figures, s12_time_to_full_success_after_a_node_was_killed) {
    struct stack *s = stack_private((struct stack_conf){0});
    double *ms = calloc((size_t)measure_repeats(), sizeof(*ms));
    uint64_t errors = 0, wrong = 0;
    for (int i = 0; i < measure_repeats(); i++) {
        struct load *load = start_load(s, i);
        struct load_result result;
        int node = i % 3;
        EVENTUALLY(PATIENCE_MS, load_requests(load) > 500);
        int64_t killed_ms = clock_mono_ms();
        kill(s->node_pids[node], SIGKILL);
        EVENTUALLY(PATIENCE_MS, clock_mono_ms() > killed_ms + 2000);
        load_end(&load, &result);
        ms[i] =
            result.last_error_mono_ms == 0 ? 0 : (double)(result.last_error_mono_ms - killed_ms);
        errors += result.errors;
        wrong += result.wrong;
        alarm(240);
        stack_node_start(s, node);
        EVENTUALLY(PATIENCE_MS, stack_info(s->proxy_port, "ring_nodes_heard") == 3);
    }
    double p50 = measure_percentile(ms, measure_repeats(), 50);
    printf("S12 kills=%d last_error_after_ms p50=%.0f max=%.0f errors_in_all=%llu (8 requests in "
           "flight each time) wrong=%llu\n",
           measure_repeats(), p50, ms[measure_repeats() - 1], (unsigned long long)errors,
           (unsigned long long)wrong);
    free(ms);
    stack_down(&s);
}

/* ---- S13: PostgreSQL is back ---- */

Test(figures, s13_time_to_first_success_after_postgresql_is_back) {
    char path[200], args[400];
    uint16_t link_port, node_port, proxy_port;
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    struct wire *wire = wire_new();
    snprintf(path, sizeof(path), "%s/.s.PGSQL.%s", s->pg_host, s->pg_port);
    int link = wire_link(wire, path, 0, &link_port);
    snprintf(args, sizeof(args), "--conninfo postgresql://rf_node1@127.0.0.1:%u/%s", link_port,
             s->pg_database);
    pid_t node = stack_node(s, "s13", args, &node_port), proxy;
    char ring_file[STACK_PATH_BYTES], ring[80];
    stack_ring_own(s, ring_file);
    snprintf(ring, sizeof(ring), "node s13 127.0.0.1:%u\n", node_port);
    stack_ring_write(ring_file, ring);
    snprintf(args, sizeof(args), "--ring-file %s", ring_file);
    proxy = stack_proxy(s, args, &proxy_port);
    struct caller *c = expect_caller(proxy_port);
    double *ms = calloc((size_t)measure_repeats(), sizeof(*ms)), attempts_max = 0;
    for (int i = 0; i < measure_repeats(); i++) {
        stack_database_stop(s, "immediate");
        uint64_t before = wire_figures(wire, link).tries;
        int64_t down_ms = clock_mono_ms();
        EVENTUALLY(PATIENCE_MS, clock_mono_ms() > down_ms + 2000);
        uint64_t after = wire_figures(wire, link).tries;
        double rate = (double)(after - before) * 1000 / (double)(clock_mono_ms() - down_ms);
        attempts_max = rate > attempts_max ? rate : attempts_max;
        stack_database_start(s);
        int64_t back_ms = clock_mono_ms();
        EXPECT_WITHIN(PATIENCE_MS, c, "+OK", "SET", "s13", "value");
        ms[i] = (double)(clock_mono_ms() - back_ms);
        alarm(240);
    }
    double p50 = measure_percentile(ms, measure_repeats(), 50);
    printf("S13 restarts=%d first_write_after_ms p50=%.0f max=%.0f connect_attempts_per_s_max=%.1f "
           "of a node with 5 connections\n",
           measure_repeats(), p50, ms[measure_repeats() - 1], attempts_max);
    free(ms);
    caller_close(&c);
    program_stop(proxy, SIGTERM, PATIENCE_MS);
    program_stop(node, SIGTERM, PATIENCE_MS);
    wire_free(&wire);
    stack_down(&s);
}
