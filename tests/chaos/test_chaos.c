/*
 * Real proxies, nodes and PostgreSQL, clients and editors at work, and faults from a seed: then
 * every answer is checked against what the table really held. docs/reliability.md says how.
 * From the environment: CHAOS_SEED, CHAOS_SECONDS (for each regime), CHAOS_REGIME (words: R0 R1 R2
 * R3 R4 all), CHAOS_REPEATS (of them all, each with the next seed), CHAOS_CLIENTS, CHAOS_FAULTS (a
 * part of their names; default: all), CHAOS_FENCE_MS, CHAOS_MANY (keys more, which are compared in
 * the end), CHAOS_SHOW=1 (the faults, before they come).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/hash.h"
#include "../harness/expect.h"
#include "../harness/sql.h"
#include "clients.h"
#include "counters.h"
#include "editors.h"
#include "faults.h"
#include "field.h"
#include "judge.h"
#include "many.h"
#include "monitor.h"
#include "truth.h"

enum { SHORT_SECONDS = 10, MORE_SECONDS = 400, REST_MS = 10000, STALE_MS = 6000 };

static const char *setting(const char *name, const char *usual) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : usual;
}

/* ---- at rest ---- */

/* All keys through one proxy are what the table has; with `out` set, differences are violations. */
static int differences(const struct chaos_conf *conf, PGconn *sql, uint16_t port,
                       struct judge_result *out) {
    struct caller *c = expect_caller(port);
    int count = 0;
    for (unsigned key = 0; key < (unsigned)conf->keys; key++) {
        char name[16];
        chaos_key(key, name);
        char *want = sql_text(sql,
                              "SELECT '$' || payload FROM ringfence.entry WHERE key = '%s' AND "
                              "active UNION ALL SELECT 'nil' LIMIT 1",
                              name);
        caller_say_words(c, "GET", name, NULL);
        expect_flush(c);
        struct resp_reply *reply = caller_hear(c);
        char *got = caller_show(reply);
        bool same = strcmp(got, want) == 0;
        count += !same;
        if (out != NULL && !same)
            judge_note(out, JUDGE_REST, "port %u, %s: '%.60s', the table has '%.60s'", port, name,
                       got, want);
        resp_reply_free(&reply);
        free(got);
        free(want);
    }
    caller_close(&c);
    if (out != NULL)
        out->compared += (uint64_t)conf->keys;
    return count;
}

static int64_t hits(const struct field *f) {
    int64_t sum = stack_info(f->stack->node_ports[0], "keyspace_hits");
    for (int i = 0; i < CHAOS_NODES; i++)
        sum += stack_info(f->nodes[i].port, "keyspace_hits");
    return sum;
}

static void compare_at_rest(const struct field *f, const struct chaos_conf *conf, struct many *many,
                            struct judge_result *out) {
    PGconn *sql = sql_open(f->stack);
    int64_t hits_before = hits(f);
    const uint16_t ports[] = {f->proxies[0].port, f->proxies[1].port, f->stack->proxy_port};
    for (int i = 0; i < 3; i++) {
        int64_t until_ms = clock_mono_ms() + REST_MS;
        while (differences(conf, sql, ports[i], NULL) != 0 && clock_mono_ms() < until_ms)
            expect_pause();
        differences(conf, sql, ports[i], out);
        many_compare(many, sql, ports[i], REST_MS, out);
    }
    out->compared_hits += (uint64_t)(hits(f) - hits_before);
    PQfinish(sql);
}

/* ---- what is printed ---- */

/* Over all runs, for the scorecard. */
struct sums {
    int runs;
    uint64_t replies, reads, reads_stable, acked, failed, unknown, kills, restarts, cuts, compared,
        compared_hits;
    uint64_t violations;
};

static void add_up(struct sums *s, const struct judge_result *r, const struct faults *faults,
                   uint64_t replies) {
    s->runs++;
    s->replies += replies;
    s->reads += r->reads;
    s->reads_stable += r->reads_stable;
    s->acked += r->acked;
    s->failed += r->failed;
    s->unknown += r->unknown;
    s->kills += faults->kills;
    s->restarts += faults->restarts;
    s->cuts += faults->cuts;
    s->compared += r->compared;
    s->compared_hits += r->compared_hits;
    s->violations += judge_total(r);
}

static void print_sums(const struct sums *s) {
    fprintf(stderr,
            "chaos, %d runs in all: replies=%llu reads=%llu reads_stable=%llu acked=%llu "
            "failed=%llu unknown=%llu kills=%llu db_restarts=%llu cuts=%llu compared_at_rest=%llu "
            "hits=%llu violations=%llu\n",
            s->runs, (unsigned long long)s->replies, (unsigned long long)s->reads,
            (unsigned long long)s->reads_stable, (unsigned long long)s->acked,
            (unsigned long long)s->failed, (unsigned long long)s->unknown,
            (unsigned long long)s->kills, (unsigned long long)s->restarts,
            (unsigned long long)s->cuts, (unsigned long long)s->compared,
            (unsigned long long)s->compared_hits, (unsigned long long)s->violations);
}

static uint64_t print(const struct chaos_conf *conf, const struct faults *faults,
                      const struct judge_result *r, struct chaos_log *const logs[], int logs_count,
                      const struct monitor *monitor) {
    uint64_t replies = 0, lost = 0, by_error[CHAOS_ERRORS] = {0};
    for (int i = 0; i < logs_count; i++) {
        replies += logs[i]->replies;
        lost += logs[i]->lost;
        for (int e = 0; e < CHAOS_ERRORS; e++)
            by_error[e] += logs[i]->by_error[e];
    }
    fprintf(stderr,
            "chaos %s seed=%llu seconds=%d: faults=%llu kills=%llu db_restarts=%llu cuts=%llu\n"
            "  replies=%llu connections_lost=%llu reads=%llu reads_stable=%llu%% reads_old=%llu "
            "acked=%llu failed=%llu unknown=%llu of_these_done=%llu changes_by_sql=%llu "
            "compared_at_rest=%llu hits=%llu\n"
            "  oldest_ms=%.1f edit_unseen_ms_p50=%.1f p99=%.1f max=%.1f stale_served=%llu "
            "lag_ms_max=%lld read_ms_max=%.1f write_ms_max=%.1f\n  errors:",
            chaos_regime_name(conf->regime), (unsigned long long)conf->seed, conf->seconds,
            (unsigned long long)faults->done, (unsigned long long)faults->kills,
            (unsigned long long)faults->restarts, (unsigned long long)faults->cuts,
            (unsigned long long)replies, (unsigned long long)lost, (unsigned long long)r->reads,
            (unsigned long long)(r->reads == 0 ? 0 : r->reads_stable * 100 / r->reads),
            (unsigned long long)r->reads_old, (unsigned long long)r->acked,
            (unsigned long long)r->failed, (unsigned long long)r->unknown,
            (unsigned long long)r->unknown_done, (unsigned long long)r->edits,
            (unsigned long long)r->compared, (unsigned long long)r->compared_hits,
            (double)r->stale_max_us / 1e3, (double)r->edit_p50_us / 1e3,
            (double)r->edit_p99_us / 1e3, (double)r->edit_max_us / 1e3,
            (unsigned long long)monitor_stale_served(monitor), (long long)monitor_lag_ms(monitor),
            (double)r->read_max_us / 1e3, (double)r->write_max_us / 1e3);
    for (unsigned e = 1; e < CHAOS_ERRORS; e++) {
        if (by_error[e] != 0)
            fprintf(stderr, " %s%llu", chaos_error_name(e), (unsigned long long)by_error[e]);
    }
    fprintf(stderr, "\n  violations:");
    for (unsigned v = 0; v < JUDGE_VIOLATIONS; v++)
        fprintf(stderr, " %s=%llu", judge_name(v), (unsigned long long)r->violations[v]);
    fprintf(stderr, "\n");
    for (int i = 0; i < r->texts_count; i++)
        fprintf(stderr, "  VIOLATION %s\n", r->texts[i]);
    return replies;
}

/* ---- a run ---- */

static int collect(const struct chaos_conf *conf, struct clients *clients, struct editors *editors,
                   struct chaos_log **logs) {
    int count = 0;
    for (int i = 0; i < conf->clients; i++)
        logs[count++] = &clients_logs(clients)[i];
    for (int i = 0; i < conf->editors; i++)
        logs[count++] = &editors_logs(editors)[i];
    return count;
}

static void reset(const struct field *f, const struct chaos_conf *conf) {
    struct judge_result ignored = {0};
    PGconn *sql = sql_open(f->stack);
    truth_reset(sql);
    PQfinish(sql);
    compare_at_rest(f, conf, NULL, &ignored);
    cr_assert_eq(judge_total(&ignored), 0, "old rows are still seen: %s", ignored.texts[0]);
}

static void judge_run(struct field *f, const struct chaos_conf *conf, const struct faults *faults,
                      struct clients *clients, struct editors *editors, struct counters *counters,
                      struct many *many, struct monitor *monitor, struct sums *sums) {
    struct chaos_log *logs[JUDGE_LOGS_MAX];
    struct judge_result *result = calloc(1, sizeof(*result));
    struct truth truth;
    cr_assert_not_null(result);
    compare_at_rest(f, conf, many, result);
    PGconn *sql = sql_open(f->stack);
    truth_read(sql, conf->keys, &truth);
    int logs_count = collect(conf, clients, editors, logs);
    judge(conf, &truth, logs, logs_count, monitor, result);
    counters_judge(counters, sql, result);
    PQfinish(sql);
    uint64_t replies = print(conf, faults, result, logs, logs_count, monitor);
    add_up(sums, result, faults, replies);
    cr_expect_eq(judge_total(result), 0, "%s, seed %llu: %llu violations",
                 chaos_regime_name(conf->regime), (unsigned long long)conf->seed,
                 (unsigned long long)judge_total(result));
    cr_expect(result->reads > 100 && result->acked > 20, "the clients did next to nothing");
    truth_release(&truth);
    free(result);
}

static void run(struct field *f, const struct chaos_conf *conf, struct sums *sums) {
    struct faults *faults = calloc(1, sizeof(*faults));
    const uint16_t proxies[] = {f->proxies[0].port, f->proxies[1].port};
    const uint16_t nodes[] = {f->nodes[0].port, f->nodes[1].port, f->nodes[2].port};
    const uint16_t ports[] = {f->client_ports[0], f->client_ports[1]};
    cr_assert_not_null(faults);
    struct monitor *monitor = monitor_start(proxies, CHAOS_PROXIES, nodes, CHAOS_NODES);
    reset(f, conf);
    faults_draw(conf, faults);
    if (strcmp(setting("CHAOS_SHOW", "0"), "1") == 0)
        faults_print(faults);
    struct clients *clients = clients_start(conf, ports, CHAOS_PROXIES);
    struct editors *editors = editors_start(conf, f->conninfo);
    struct counters *counters = counters_start(ports, CHAOS_PROXIES);
    const uint16_t many_ports[] = {ports[0], ports[1], f->stack->proxy_port};
    struct many *many = many_start(conf->many_keys, conf->seed, f->conninfo, many_ports, 3);
    cr_assert(monitor != NULL && clients != NULL && editors != NULL && counters != NULL);
    cr_assert(many != NULL || conf->many_keys == 0, "CHAOS_MANY: %d", conf->many_keys);
    faults_run(conf, faults, f, monitor);
    bool well = field_heal(f);
    cr_expect(well, "%s, seed %llu: the daemons did not recover", chaos_regime_name(conf->regime),
              (unsigned long long)conf->seed);
    uint64_t answered = clients_answered(clients);
    EVENTUALLY(REST_MS, clients_answered(clients) > answered + 100);
    editors_stop(editors);
    clients_stop(clients);
    counters_stop(counters);
    many_stop(many);
    monitor_stop(monitor);
    judge_run(f, conf, faults, clients, editors, counters, many, monitor, sums);
    clients_free(&clients);
    counters_free(&counters);
    many_free(&many);
    editors_free(&editors);
    monitor_free(&monitor);
    free(faults);
}

static bool is_wanted(enum chaos_regime regime) {
    const char *at = setting("CHAOS_REGIME", "R0 R1 R2 R3 R4");
    const char *name = chaos_regime_name(regime);
    for (size_t len; *(at += strspn(at, " ,")) != '\0'; at += len) {
        len = strcspn(at, " ,");
        if (len == strlen(name) && strncmp(at, name, len) == 0)
            return true;
    }
    return false;
}

Test(chaos, the_promises_hold_while_things_break) {
    int repeats = atoi(setting("CHAOS_REPEATS", "1"));
    struct chaos_conf conf = {.seed = strtoull(setting("CHAOS_SEED", "1"), NULL, 10),
                              .seconds = atoi(setting("CHAOS_SECONDS", "4")),
                              .clients = atoi(setting("CHAOS_CLIENTS", "6")),
                              .keys = 48,
                              .calm_keys = 24,
                              .many_keys = atoi(setting("CHAOS_MANY", "1000")),
                              .faults = setting("CHAOS_FAULTS", ""),
                              .stale_ms = STALE_MS};
    /* A ring counts as stable when it has not changed for longer than that. */
    conf.fence_ms = atoi(setting("CHAOS_FENCE_MS", conf.seconds < SHORT_SECONDS ? "1000" : "2000"));
    struct field *f = field_up(conf.fence_ms, conf.stale_ms, conf.seconds >= SHORT_SECONDS);
    cr_assert(conf.many_keys >= 0 && conf.many_keys <= MANY_KEYS_MAX, "CHAOS_MANY");
    cr_assert(conf.clients > 0 && conf.clients <= CLIENTS_MAX, "CHAOS_CLIENTS");
    struct sums sums = {0};
    for (int i = 0; i < repeats; i++, conf.seed++) {
        for (conf.regime = CHAOS_R0; conf.regime < CHAOS_REGIMES; conf.regime++) {
            bool edits = conf.regime >= CHAOS_R3;
            if (!is_wanted(conf.regime))
                continue;
            alarm((unsigned)conf.seconds + MORE_SECONDS);
            conf.pure_keys = edits ? conf.keys / 4 : conf.keys;
            conf.editors = edits ? 2 : 0;
            run(f, &conf, &sums);
        }
    }
    print_sums(&sums);
    field_down(&f);
}
