/*
 * Figures of overload: many and slow clients (S10), misses of many keys (S14), no file descriptors
 * left (S15).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"
#include "measure.h"

enum { PATIENCE_MS = 60000, CROWD = 10000, READERS = 1000 };

/* ---- S10: memory of many clients ---- */

Test(figures, s10_idle_and_slow_clients) {
    measure_may_open(CROWD * 2 + 1000);
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    struct caller **crowd = calloc(CROWD, sizeof(*crowd));
    struct caller *c = expect_caller(s->proxy_port);
    char *big = malloc((1 << 20) + 1);
    int count = 0, small = 4096;
    EXPECT(c, "+PONG", "PING");
    EXPECT(c, "+OK", "SET", "small", "value");
    int64_t base_kb = measure_status_kb(s->proxy_pid, "VmRSS:");
    for (; count < CROWD - 100 && (crowd[count] = caller_open(s->proxy_port)) != NULL; count++)
        ;
    EVENTUALLY(PATIENCE_MS, stack_info(s->proxy_port, "connected_clients") >= count);
    EXPECT(c, "+PONG", "PING");
    printf("S10 idle_clients=%d proxy_rss_mib_base=%.1f with_them=%.1f\n", count,
           (double)base_kb / 1024, (double)measure_status_kb(s->proxy_pid, "VmRSS:") / 1024);
    memset(big, 'v', 1 << 20);
    big[1 << 20] = '\0';
    EXPECT(c, "+OK", "SET", "big", big);
    int slow = 0;
    int64_t from_ms = clock_mono_ms(), most_ms = 0;
    for (; slow < count; slow++) {
        setsockopt(caller_fd(crowd[slow]), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        caller_say_words(crowd[slow], "GET", "big", NULL);
        caller_flush(crowd[slow]); /* of those that were evicted meanwhile it fails */
        if (slow % 20 != 0)
            continue;
        int64_t asked_ms = clock_mono_ms(); /* the others are served, behind 20 MiB */
        EXPECT_WITHIN(PATIENCE_MS, c, "$value", "GET", "small");
        most_ms = clock_mono_ms() - asked_ms > most_ms ? clock_mono_ms() - asked_ms : most_ms;
        alarm(240);
    }
    EVENTUALLY(PATIENCE_MS, stack_info(s->proxy_port, "mem_clients_normal") <= (int64_t)160 << 20);
    EXPECT(c, "$value", "GET", "small");
    printf("S10 slow_clients=%d each_owed_mib=1 in_ms=%lld proxy_rss_mib=%.1f peak=%.1f "
           "evicted=%lld connected=%lld mem_clients_mib=%.1f longest_get_of_another_ms=%lld\n",
           slow, (long long)(clock_mono_ms() - from_ms),
           (double)measure_status_kb(s->proxy_pid, "VmRSS:") / 1024,
           (double)measure_status_kb(s->proxy_pid, "VmHWM:") / 1024,
           (long long)stack_info(s->proxy_port, "evicted_clients"),
           (long long)stack_info(s->proxy_port, "connected_clients"),
           (double)stack_info(s->proxy_port, "mem_clients_normal") / (1 << 20), (long long)most_ms);
    for (int i = 0; i < count; i++)
        caller_close(&crowd[i]);
    free(crowd);
    free(big);
    caller_close(&c);
    stack_down(&s);
}

/* ---- S14: one cold key, many readers ---- */

Test(figures, s14_reads_of_postgresql_for_one_cold_key) {
    measure_may_open(READERS * 2 + 1000);
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    struct caller **crowd = calloc(READERS, sizeof(*crowd));
    PGconn *sql = sql_open(s);
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('cold', 'value')");
    for (int i = 0; i < READERS; i++)
        crowd[i] = expect_caller(s->proxy_port);
    int64_t before = stack_info(s->node_ports[0], "db_reads");
    sql_do(sql, "BEGIN; LOCK TABLE ringfence.entry"); /* so that all of them wait for one row */
    for (int i = 0; i < READERS; i++) {
        caller_say_words(crowd[i], "GET", "cold", NULL);
        caller_flush(crowd[i]);
    }
    sql_do(sql, "COMMIT");
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

/* ---- S14: thousands of different keys, after a node was lost ---- */

enum { STORM_KEYS = 30000, STORM_CALLERS = 8, STORM_DEPTH = 512, STORM_MS = 3000, SAMPLES = 4096 };

struct storm {
    uint64_t asked, values, wrong, busy, timeouts, other;
};

static void storm_judge(struct storm *storm, const struct resp_reply *reply) {
    storm->asked++;
    if (reply != NULL && reply->type == RESP_STRING)
        storm->values++;
    else if (reply == NULL || reply->type != RESP_FAILURE)
        storm->wrong++; /* nil among them: every key has a row */
    else if (strncmp(reply->text, "BUSY", 4) == 0)
        storm->busy++;
    else if (strncmp(reply->text, "TIMEOUT", 7) == 0)
        storm->timeouts++;
    else
        storm->other++;
}

/* Each caller asks for its next keys and hears the answers. `at` goes around all keys. */
static void storm_round(struct caller **callers, int *at, struct storm *storm) {
    char key[32];
    for (int c = 0; c < STORM_CALLERS; c++) {
        for (int i = 0; i < STORM_DEPTH; i++) {
            snprintf(key, sizeof(key), "storm:%d", *at = (*at + 1) % STORM_KEYS);
            caller_say_words(callers[c], "GET", key, NULL);
        }
        cr_assert(caller_flush(callers[c]));
    }
    for (int i = 0; i < STORM_CALLERS * STORM_DEPTH; i++) {
        struct resp_reply *reply = caller_hear(callers[i % STORM_CALLERS]);
        storm_judge(storm, reply);
        resp_reply_free(&reply);
    }
}

struct sample {
    int64_t mono_us, rows, statements;
};

static struct sample storm_sample(const struct stack *s) {
    struct sample sample = {.mono_us = clock_mono_us()};
    for (int i = 1; i < 3; i++) { /* those who live on */
        sample.rows += stack_info(s->node_ports[i], "db_reads");
        sample.statements += stack_info(s->node_ports[i], "db_read_batches");
    }
    return sample;
}

/* Most of anything between two samples that are some 50 ms apart, per second. */
static double peak(const struct sample *samples, int count, bool rows) {
    double most = 0;
    for (int i = 0, j = 0; i < count; i++) {
        while (j < count && samples[j].mono_us - samples[i].mono_us < 50000)
            j++;
        if (j == count)
            break;
        int64_t n = rows ? samples[j].rows - samples[i].rows
                         : samples[j].statements - samples[i].statements;
        double rate = (double)n * 1e6 / (double)(samples[j].mono_us - samples[i].mono_us);
        most = rate > most ? rate : most;
    }
    return most;
}

static void storm_run(const char *title, const char *node_args) {
    struct stack *s = stack_private((struct stack_conf){.node_args = node_args});
    struct caller *callers[STORM_CALLERS], *writer = expect_caller(s->proxy_port);
    struct sample *samples = calloc(SAMPLES, sizeof(*samples));
    struct storm warm = {0}, storm = {0};
    PGconn *sql = sql_open(s);
    int at = 0, count = 0;
    double write_ms_max = 0;
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT 'storm:' || i, repeat('v', 100)"
           " FROM generate_series(0, %d) AS i",
           STORM_KEYS - 1);
    for (int i = 0; i < STORM_CALLERS; i++)
        callers[i] = expect_caller(s->proxy_port);
    while (warm.values < 3 * STORM_KEYS)
        storm_round(callers, &at, &warm);
    kill(s->node_pids[0], SIGKILL);
    int64_t from_us = clock_mono_us();
    while (clock_mono_us() - from_us < STORM_MS * 1000 && count < SAMPLES) {
        samples[count++] = storm_sample(s);
        storm_round(callers, &at, &storm);
        int64_t asked_us = clock_mono_us();
        EXPECT_WITHIN(PATIENCE_MS, writer, "+OK", "SET", "storm-write", "value");
        double took_ms = (double)(clock_mono_us() - asked_us) / 1000;
        write_ms_max = took_ms > write_ms_max && count > 20 ? took_ms : write_ms_max;
    }
    struct sample last = storm_sample(s);
    printf("S14 storm %s: keys=%d rows=%lld statements=%lld peak_rows_per_s=%.0f "
           "peak_statements_per_s=%.0f asked=%llu values=%llu busy=%llu timeout=%llu other=%llu "
           "wrong=%llu write_ms_max=%.1f\n",
           title, STORM_KEYS, (long long)(last.rows - samples[0].rows),
           (long long)(last.statements - samples[0].statements), peak(samples, count, true),
           peak(samples, count, false), (unsigned long long)storm.asked,
           (unsigned long long)storm.values, (unsigned long long)storm.busy,
           (unsigned long long)storm.timeouts, (unsigned long long)storm.other,
           (unsigned long long)storm.wrong, write_ms_max);
    fflush(stdout);
    for (int i = 0; i < STORM_CALLERS; i++)
        caller_close(&callers[i]);
    free(samples);
    PQfinish(sql);
    caller_close(&writer);
    stack_down(&s);
}

/* What PostgreSQL feels: as much as it answers, at most so many rows at once, so many a second. */
Test(figures, s14_fills_after_the_loss_of_a_node) {
    storm_run("unbounded (fills-max 8192)", "--fills-max 8192");
    alarm(240);
    storm_run("fills-max 512, the default", NULL);
    alarm(240);
    storm_run("fills-max 16", "--fills-max 16");
    alarm(240);
    storm_run("fill-rate-max 5000", "--fill-rate-max 5000");
}

/* ---- S15: out of file descriptors ---- */

/* Until somebody new is served: refused is not served. */
static int64_t served_after_ms(uint16_t port) {
    int64_t from_ms = clock_mono_ms();
    for (bool served = false; !served;) {
        struct caller *fresh = expect_caller(port);
        caller_say_words(fresh, "GET", "s15", NULL);
        caller_flush(fresh);
        struct resp_reply *reply = caller_hear(fresh);
        served = reply != NULL && reply->type == RESP_STRING;
        resp_reply_free(&reply);
        caller_close(&fresh);
        cr_assert(clock_mono_ms() < from_ms + PATIENCE_MS);
    }
    return clock_mono_ms() - from_ms;
}

static void without_descriptors(const char *daemon, pid_t pid, uint16_t port) {
    enum { FLOOD = 300, WATCHED_MS = 3000 };
    struct caller *old = expect_caller(port), *flood[FLOOD];
    char path[64], said[16];
    EXPECT(old, "+OK", "SET", "s15", "value");
    snprintf(path, sizeof(path), "ls /proc/%d/fd | wc -l", (int)pid);
    const char *const argv[] = {"sh", "-c", path, NULL};
    program_run(argv, said, sizeof(said), PATIENCE_MS);
    struct rlimit few = {.rlim_cur = (rlim_t)atoi(said) + 20, .rlim_max = 65536}, was;
    cr_assert_eq(prlimit(pid, RLIMIT_NOFILE, NULL, &was), 0);
    few.rlim_max = was.rlim_max;
    cr_assert_eq(prlimit(pid, RLIMIT_NOFILE, &few, NULL), 0);
    for (int i = 0; i < FLOOD; i++)
        flood[i] = caller_open(port);
    double cpu = measure_cpu_seconds(pid);
    int64_t from_ms = clock_mono_ms();
    uint64_t served = 0;
    while (clock_mono_ms() < from_ms + WATCHED_MS) {
        EXPECT(old, "$value", "GET", "s15");
        served++;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    double percent =
        (measure_cpu_seconds(pid) - cpu) * 100000 / (double)(clock_mono_ms() - from_ms);
    for (int i = 0; i < FLOOD; i++)
        caller_close(&flood[i]);
    long long after_ms = (long long)served_after_ms(port);
    printf("S15 %s: flood=%d cpu_percent=%.1f old_client_served=%llu refused=%lld "
           "new_client_after_ms=%lld\n",
           daemon, FLOOD, percent, (unsigned long long)served,
           (long long)stack_info(port, "rejected_connections"), after_ms);
    prlimit(pid, RLIMIT_NOFILE, &was, NULL);
    caller_close(&old);
}

Test(figures, s15_out_of_file_descriptors) {
    struct stack *s = stack_private((struct stack_conf){.nodes = 1});
    without_descriptors("proxy", s->proxy_pid, s->proxy_port);
    without_descriptors("node", s->node_pids[0], s->node_ports[0]);
    stack_down(&s);
}
