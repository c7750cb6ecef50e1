/*
 * Figures of the scorecard in docs/reliability.md that are measured, not checked: `make
 * reliability`. Each prints a line that begins with its number; nothing here fails because the
 * machine is slow. FIGURES_REPEATS: how often things are killed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/load.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"
#include "../harness/wire.h"

enum { PATIENCE_MS = 60000, CROWD = 10000, SLOW = 200, READERS = 1000, ASKS = 4000, KEYS = 32 };

static int repeats(void) {
    const char *value = getenv("FIGURES_REPEATS");
    return value != NULL && atoi(value) > 0 ? atoi(value) : 10;
}

static int by_size(const void *a, const void *b) {
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double percentile(double *values, int count, int percent) {
    qsort(values, (size_t)count, sizeof(*values), by_size);
    int at = count * percent / 100;
    return values[at < count ? at : count - 1];
}

/* ---- /proc ---- */

static int64_t status_kb(pid_t pid, const char *field) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    char *text = program_file_text(path), *at = strstr(text, field);
    int64_t kb = at == NULL ? -1 : atoll(at + strlen(field) + 1);
    free(text);
    return kb;
}

static double cpu_seconds(pid_t pid) {
    char path[64];
    unsigned long long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    char *text = program_file_text(path), *at = strrchr(text, ')');
    if (at != NULL)
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
    free(text);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void may_open(rlim_t files) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = files < limit.rlim_max ? files : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- S10: memory of many clients ---- */

Test(figures, s10_idle_and_slow_clients) {
    may_open(CROWD * 2 + 1000);
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    struct caller **crowd = calloc(CROWD, sizeof(*crowd));
    struct caller *c = expect_caller(s->proxy_port);
    char *big = malloc((1 << 20) + 1);
    int count = 0;
    EXPECT(c, "+PONG", "PING");
    int64_t base_kb = status_kb(s->proxy_pid, "VmRSS:");
    for (; count < CROWD - 100 && (crowd[count] = caller_open(s->proxy_port)) != NULL; count++)
        ;
    EVENTUALLY(PATIENCE_MS, stack_info(s->proxy_port, "connected_clients") >= count);
    EXPECT(c, "+PONG", "PING");
    printf("S10 idle_clients=%d proxy_rss_mib_base=%.1f with_them=%.1f\n", count,
           (double)base_kb / 1024, (double)status_kb(s->proxy_pid, "VmRSS:") / 1024);
    memset(big, 'v', 1 << 20);
    big[1 << 20] = '\0';
    EXPECT(c, "+OK", "SET", "big", big);
    for (int i = 0; i < SLOW && i < count; i++) {
        caller_say_words(crowd[i], "GET", "big", NULL);
        caller_flush(crowd[i]);
    }
    EXPECT(c, "+OK", "SET", "small", "value"); /* the others are served */
    EXPECT(c, "$value", "GET", "small");
    printf("S10 slow_clients=%d each_owed_mib=1 proxy_rss_mib=%.1f peak=%.1f\n", SLOW,
           (double)status_kb(s->proxy_pid, "VmRSS:") / 1024,
           (double)status_kb(s->proxy_pid, "VmHWM:") / 1024);
    for (int i = 0; i < count; i++)
        caller_close(&crowd[i]);
    free(crowd);
    free(big);
    caller_close(&c);
    stack_down(&s);
}

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
    double value = percentile(us, ASKS, 99);
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
    double *ms = calloc((size_t)repeats(), sizeof(*ms));
    uint64_t errors = 0, wrong = 0;
    for (int i = 0; i < repeats(); i++) {
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
    double p50 = percentile(ms, repeats(), 50);
    printf("S12 kills=%d last_error_after_ms p50=%.0f max=%.0f errors_in_all=%llu (8 requests in "
           "flight each time) wrong=%llu\n",
           repeats(), p50, ms[repeats() - 1], (unsigned long long)errors,
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
    double *ms = calloc((size_t)repeats(), sizeof(*ms)), attempts_max = 0;
    for (int i = 0; i < repeats(); i++) {
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
    double p50 = percentile(ms, repeats(), 50);
    printf("S13 restarts=%d first_write_after_ms p50=%.0f max=%.0f connect_attempts_per_s_max=%.1f "
           "of a node with 5 connections\n",
           repeats(), p50, ms[repeats() - 1], attempts_max);
    free(ms);
    caller_close(&c);
    program_stop(proxy, SIGTERM, PATIENCE_MS);
    program_stop(node, SIGTERM, PATIENCE_MS);
    wire_free(&wire);
    stack_down(&s);
}

/* ---- S14: one cold key, many readers ---- */

Test(figures, s14_reads_of_postgresql_for_one_cold_key) {
    may_open(READERS * 2 + 1000);
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    struct caller **crowd = calloc(READERS, sizeof(*crowd));
    PGconn *sql = sql_open(s);
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('cold', 'value')");
    for (int i = 0; i < READERS; i++)
        crowd[i] = expect_caller(s->proxy_port);
    int64_t before = stack_info(s->node_ports[0], "db_reads");
    for (int i = 0; i < READERS; i++) {
        caller_say_words(crowd[i], "GET", "cold", NULL);
        caller_flush(crowd[i]);
    }
    int answered = 0;
    for (int i = 0; i < READERS; i++) {
        struct resp_reply *reply = caller_hear(crowd[i]);
        answered += reply != NULL && reply->type == RESP_STRING;
        resp_reply_free(&reply);
        caller_close(&crowd[i]);
    }
    printf("S14 readers=%d answered=%d rows_asked_of_postgresql=%lld coalesced=%lld\n", READERS,
           answered, (long long)(stack_info(s->node_ports[0], "db_reads") - before),
           (long long)stack_info(s->node_ports[0], "coalesced_reads"));
    free(crowd);
    PQfinish(sql);
    stack_down(&s);
}

/* ---- S15: out of file descriptors ---- */

Test(figures, s15_out_of_file_descriptors) {
    enum { FLOOD = 300, WATCHED_MS = 3000 };
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    struct caller *old = expect_caller(s->proxy_port), *flood[FLOOD];
    char path[64], said[16];
    EXPECT(old, "+OK", "SET", "s15", "value");
    snprintf(path, sizeof(path), "ls /proc/%d/fd | wc -l", (int)s->proxy_pid);
    const char *const argv[] = {"sh", "-c", path, NULL};
    program_run(argv, said, sizeof(said), PATIENCE_MS);
    struct rlimit few = {.rlim_cur = (rlim_t)atoi(said) + 20, .rlim_max = 65536}, was;
    cr_assert_eq(prlimit(s->proxy_pid, RLIMIT_NOFILE, NULL, &was), 0);
    few.rlim_max = was.rlim_max;
    cr_assert_eq(prlimit(s->proxy_pid, RLIMIT_NOFILE, &few, NULL), 0);
    for (int i = 0; i < FLOOD; i++)
        flood[i] = caller_open(s->proxy_port);
    double cpu = cpu_seconds(s->proxy_pid);
    int64_t from_ms = clock_mono_ms();
    uint64_t served = 0;
    while (clock_mono_ms() < from_ms + WATCHED_MS) {
        EXPECT(old, "$value", "GET", "s15");
        served++;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    double percent =
        (cpu_seconds(s->proxy_pid) - cpu) * 100000 / (double)(clock_mono_ms() - from_ms);
    for (int i = 0; i < FLOOD; i++)
        caller_close(&flood[i]);
    int64_t free_ms = clock_mono_ms();
    struct caller *fresh = expect_caller(s->proxy_port);
    EXPECT(fresh, "$value", "GET", "s15");
    printf("S15 flood=%d cpu_percent=%.1f old_client_served=%llu new_client_after_ms=%lld\n", FLOOD,
           percent, (unsigned long long)served, (long long)(clock_mono_ms() - free_ms));
    prlimit(s->proxy_pid, RLIMIT_NOFILE, &was, NULL);
    caller_close(&fresh);
    caller_close(&old);
    stack_down(&s);
}
