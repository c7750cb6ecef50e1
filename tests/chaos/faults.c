#include "faults.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../common/clock.h"
#include "../../common/hash.h"
#include "field.h"
#include "monitor.h"

enum { SQL_BYTES = 4000, FEW_ROWS = 10000, MANY_ROWS = 100000, SHORT_SECONDS = 10 };

/* The run that is under way. */
struct director {
    const struct chaos_conf *conf;
    struct faults *faults;
    struct field *field;
    struct monitor *monitor;
    PGconn *sql, *locker;
};

/* What a kind of fault works on; two faults never work on the same thing at the same time. */
enum target {
    TARGET_NODE,
    TARGET_PROXY,
    TARGET_LINK,
    TARGET_DB_LINK,
    TARGET_CLIENT_LINK,
    TARGET_DB,
    TARGET_RING,
    TARGET_LOCK,
    TARGETS
};

enum { PLACES = CHAOS_PROXIES * CHAOS_NODES };

struct fault_kind {
    const char *name;
    unsigned regimes; /* bits */
    enum target target;
    int min_ms, max_ms; /* it lasts */
    int64_t amount_max;
    bool unstable; /* owners are passed over meanwhile, or a key is edited by SQL */
    void (*begin)(struct director *d, struct fault *f);
    void (*end)(struct director *d, struct fault *f);
};

/* ---- SQL of the director's own: the database may be away ---- */

static bool try_sql(struct director *d, PGconn **sql, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool try_sql(struct director *d, PGconn **sql, const char *format, ...) {
    char text[SQL_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (*sql != NULL && PQstatus(*sql) != CONNECTION_OK) {
        PQfinish(*sql);
        *sql = NULL;
    }
    if (*sql == NULL)
        *sql = field_sql(d->field);
    if (*sql == NULL)
        return false;
    PGresult *r = PQexec(*sql, text);
    ExecStatusType status = PQresultStatus(r);
    PQclear(r);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* ---- processes ---- */

static void node_kill(struct director *d, struct fault *f) {
    d->faults->kills++;
    field_end(&d->field->nodes[f->a], SIGKILL);
}

static void node_term(struct director *d, struct fault *f) {
    field_end(&d->field->nodes[f->a], SIGTERM);
}

static void node_start(struct director *d, struct fault *f) {
    field_node_start(d->field, f->a);
}

static void node_stop(struct director *d, struct fault *f) {
    kill(d->field->nodes[f->a].pid, SIGSTOP);
}

static void node_go_on(struct director *d, struct fault *f) {
    kill(d->field->nodes[f->a].pid, SIGCONT);
}

static void proxy_kill(struct director *d, struct fault *f) {
    d->faults->kills++;
    field_end(&d->field->proxies[f->a], SIGKILL);
}

static void proxy_term(struct director *d, struct fault *f) {
    field_end(&d->field->proxies[f->a], SIGTERM);
}

static void proxy_start(struct director *d, struct fault *f) {
    field_proxy_start(d->field, f->a);
}

static void proxy_stop(struct director *d, struct fault *f) {
    kill(d->field->proxies[f->a].pid, SIGSTOP);
}

static void proxy_go_on(struct director *d, struct fault *f) {
    kill(d->field->proxies[f->a].pid, SIGCONT);
}

/* ---- PostgreSQL ---- */

static void db_crash(struct director *d, struct fault *f) {
    d->faults->restarts++;
    d->faults->kills++;
    stack_database_stop(d->field->stack, "immediate");
}

static void db_shut(struct director *d, struct fault *f) {
    d->faults->restarts++;
    stack_database_stop(d->field->stack, "fast");
}

static void db_start(struct director *d, struct fault *f) {
    stack_database_start(d->field->stack);
}

static void backend_end(struct director *d, struct fault *f) {
    static const char *const WHICH[] = {"write1", "read%", "feed", "slow%", "%"};
    d->faults->cuts++;
    try_sql(d, &d->sql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
            "'ringfence %s'",
            WHICH[f->amount % 5]);
}

/* A backend that has a node's writes hangs, and what it had been sent may commit much later. */
static void backend_stop(struct director *d, struct fault *f) {
    f->amount = 0;
    if (!try_sql(d, &d->sql, "SELECT 1"))
        return;
    PGresult *r = PQexec(d->sql, "SELECT pid FROM pg_stat_activity WHERE application_name = "
                                 "'ringfence write1' AND client_addr IS NULL ORDER BY random()");
    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0)
        f->amount = atoll(PQgetvalue(r, 0, 0));
    PQclear(r);
    if (f->amount > 0)
        kill((pid_t)f->amount, SIGSTOP);
}

static void backend_go_on(struct director *d, struct fault *f) {
    if (f->amount > 0)
        kill((pid_t)f->amount, SIGCONT);
}

/* ---- links ---- */

static int link_of(const struct director *d, const struct fault *f);

static void cut(struct director *d, struct fault *f) {
    d->faults->cuts++;
    wire_cut(d->field->wire, link_of(d, f), f->amount % 2 == 0 ? WIRE_RESET : WIRE_FIN, NULL);
}

static void stall(struct director *d, struct fault *f) {
    int64_t way = f->amount % 3;
    d->faults->cuts++;
    wire_set(d->field->wire, link_of(d, f),
             &(struct wire_fault){.stall_up = way != 1, .stall_down = way != 2});
}

static void refuse(struct director *d, struct fault *f) {
    d->faults->cuts++;
    wire_set(d->field->wire, link_of(d, f), &(struct wire_fault){.refuse = true});
    wire_cut(d->field->wire, link_of(d, f), WIRE_RESET, NULL);
}

static void slow(struct director *d, struct fault *f) {
    wire_set(d->field->wire, link_of(d, f),
             &(struct wire_fault){.delay_ms = 1 + (int)(f->amount % 60)});
}

static void narrow(struct director *d, struct fault *f) {
    wire_set(d->field->wire, link_of(d, f),
             &(struct wire_fault){.bytes_per_s = 3000 + f->amount * 10});
}

/* In the midst of a message. */
static void cut_within(struct director *d, struct fault *f) {
    d->faults->cuts++;
    wire_set(d->field->wire, link_of(d, f), &(struct wire_fault){.cut_after_bytes = 1 + f->amount});
}

static void mend(struct director *d, struct fault *f) {
    wire_set(d->field->wire, link_of(d, f), NULL);
}

static const char FEED[] = "ringfence feed";

static void feed_cut(struct director *d, struct fault *f) {
    d->faults->cuts++;
    wire_cut(d->field->wire, link_of(d, f), WIRE_RESET, FEED);
}

static void feed_stall(struct director *d, struct fault *f) {
    d->faults->cuts++;
    wire_set(d->field->wire, link_of(d, f), &(struct wire_fault){.only = FEED, .stall_down = true});
}

static void feed_slow(struct director *d, struct fault *f) {
    wire_set(d->field->wire, link_of(d, f),
             &(struct wire_fault){.only = FEED, .delay_ms = 50 + (int)(f->amount * 30)});
}

/* Half-open: it said nothing for a while, and then it turns out to be gone. */
static void feed_lose(struct director *d, struct fault *f) {
    feed_cut(d, f);
    mend(d, f);
}

/* ---- the ring ---- */

static const char *const RINGS[][CHAOS_NODES] = {
    {"", "", ""},           {"weight=3", "", ""},  {"", "-", ""}, {"state=drain", "", ""},
    {"", "state=down", ""}, {"-", "", "weight=2"}, {"", "", "-"}, {"", "weight=2", "state=drain"},
    {"-", "-", ""},
};

static void ring_edit(struct director *d, struct fault *f) {
    f->b = ++d->field->epoch;
    field_ring_write(d->field, f->a, f->b, RINGS[f->amount % 9]);
}

static void ring_follow(struct director *d, struct fault *f) {
    field_ring_write(d->field, 1 - f->a, f->b, RINGS[f->amount % 9]);
}

static void ring_spoil(struct director *d, struct fault *f) {
    stack_ring_write(d->field->rings[f->a], "node n1\nnonsense");
}

static void ring_repair(struct director *d, struct fault *f) {
    ring_edit(d, f);
    ring_follow(d, f);
}

/* ---- edits by SQL ---- */

static void truncate_all(struct director *d, struct fault *f) {
    try_sql(d, &d->sql, "SET lock_timeout = '1s'; TRUNCATE ringfence.entry");
}

/* So many rows that the feed says "everything", and with them the keys that are watched. They may
 * be locked by us, who could not let go while we wait. */
static void bulk(struct director *d, struct fault *f) {
    int64_t rows = d->conf->seconds < SHORT_SECONDS ? FEW_ROWS : FEW_ROWS + f->amount;
    int value = f->at_ms + 1; /* no two of them are the same */
    try_sql(d, &d->sql,
            "INSERT INTO ringfence.entry (key, payload) SELECT 'b' || i, 'x' FROM "
            "generate_series(1, %lld) AS i ON CONFLICT (key) DO NOTHING",
            (long long)rows);
    try_sql(d, &d->sql,
            "SET lock_timeout = '1s'; UPDATE ringfence.entry SET payload = CASE WHEN key LIKE "
            "'k%%' THEN key || '|%d|%d|' "
            "ELSE 'y' END WHERE key LIKE 'b%%' OR (key LIKE 'k%%' AND key >= 'k%04d')",
            CHAOS_EDITOR + 10, value, d->conf->pure_keys);
}

static void bulk_end(struct director *d, struct fault *f) {
    try_sql(d, &d->sql,
            "SET lock_timeout = '1s'; DELETE FROM ringfence.entry WHERE key LIKE 'b%%'");
}

static void everything(struct director *d, struct fault *f) {
    try_sql(d, &d->sql, "SELECT ringfence.everything()");
}

static void flood(struct director *d, struct fault *f) {
    try_sql(d, &d->sql,
            "SELECT count(pg_notify('rf_ringfence_entry', E'1\\nc ' || 1000000000000 + i || ' 5 k' "
            "|| lpad((i %% %d)::text, 4, '0') || E'\\n')) FROM generate_series(1, %lld) AS i",
            d->conf->keys * 2, (long long)(1000 + f->amount / 2));
    try_sql(d, &d->sql, "SELECT pg_notify('rf_ringfence_entry', 'neither fish nor fowl')");
}

static void lock_begin(struct director *d, struct fault *f) {
    try_sql(d, &d->locker,
            "SET lock_timeout = '1s'; BEGIN; SELECT FROM ringfence.entry WHERE key IN ('k%04d', "
            "'k%04d') FOR UPDATE",
            (int)(f->amount % d->conf->keys), (int)(f->amount / 7 % d->conf->keys));
}

static void lock_end(struct director *d, struct fault *f) {
    try_sql(d, &d->locker, "ROLLBACK");
}

/* ---- the table of them ---- */

enum { R1 = 1 << CHAOS_R1, R2 = 1 << CHAOS_R2, R3 = 1 << CHAOS_R3, R4 = 1 << CHAOS_R4 };

static const struct fault_kind KINDS[] = {
    {"node killed", R1, TARGET_NODE, 50, 1500, 1, true, node_kill, node_start},
    {"node ended", R1, TARGET_NODE, 50, 1000, 1, true, node_term, node_start},
    {"node stopped", R1, TARGET_NODE, 50, 2500, 1, true, node_stop, node_go_on},
    {"proxy killed", R1, TARGET_PROXY, 20, 800, 1, true, proxy_kill, proxy_start},
    {"proxy ended", R1, TARGET_PROXY, 20, 500, 1, true, proxy_term, proxy_start},
    {"proxy stopped", R1, TARGET_PROXY, 20, 1500, 1, true, proxy_stop, proxy_go_on},
    {"database crashed", R1 | R4, TARGET_DB, 10, 1500, 1, false, db_crash, db_start},
    {"database restarted", R1 | R4, TARGET_DB, 10, 800, 1, false, db_shut, db_start},
    {"backends ended", R1 | R4, TARGET_DB, 1, 2, 5, false, backend_end, NULL},
    {"backend stopped", R1 | R4, TARGET_DB, 100, 3500, 1, false, backend_stop, backend_go_on},
    {"link cut", R1, TARGET_LINK, 1, 2, 2, true, cut, NULL},
    {"link stalled", R1, TARGET_LINK, 50, 2500, 3, true, stall, mend},
    {"link refused", R1, TARGET_LINK, 50, 1500, 1, true, refuse, mend},
    {"link slow", R1, TARGET_LINK, 200, 2000, 60, false, slow, mend},
    {"link cut within", R1, TARGET_LINK, 200, 800, 20000, true, cut_within, mend},
    {"client link cut", R1, TARGET_CLIENT_LINK, 1, 2, 2, false, cut, NULL},
    {"client link slow", R1, TARGET_CLIENT_LINK, 200, 1500, 60, false, slow, mend},
    {"client link stalled", R1, TARGET_CLIENT_LINK, 50, 700, 3, false, stall, mend},
    {"ring edited", R2, TARGET_RING, 1, 900, 1000, true, ring_edit, ring_follow},
    {"ring spoilt", R2, TARGET_RING, 50, 300, 1000, true, ring_spoil, ring_repair},
    {"truncated", R3, TARGET_DB, 1, 2, 1, true, truncate_all, NULL},
    {"bulk update", R3, TARGET_DB, 50, 400, MANY_ROWS - FEW_ROWS, false, bulk, bulk_end},
    {"everything", R3, TARGET_DB, 1, 2, 1, false, everything, NULL},
    {"rows locked", R3, TARGET_LOCK, 50, 3000, 1000, false, lock_begin, lock_end},
    {"feed cut", R4, TARGET_DB_LINK, 1, 2, 1, false, feed_cut, NULL},
    {"feed stalled", R4, TARGET_DB_LINK, 200, 5000, 1, false, feed_stall, mend},
    {"feed half-open", R4, TARGET_DB_LINK, 200, 4000, 1, false, feed_stall, feed_lose},
    {"feed slow", R4, TARGET_DB_LINK, 500, 3000, 100, false, feed_slow, mend},
    {"database link cut", R4, TARGET_DB_LINK, 1, 2, 2, false, cut, NULL},
    {"database link stalled", R4, TARGET_DB_LINK, 100, 4000, 3, false, stall, mend},
    {"database link refused", R4, TARGET_DB_LINK, 100, 2000, 1, false, refuse, mend},
    {"database link slow", R4, TARGET_DB_LINK, 200, 2000, 60, false, slow, mend},
    {"database link narrow", R4, TARGET_DB_LINK, 200, 1500, 10000, false, narrow, mend},
    {"database link cut within", R4, TARGET_DB_LINK, 200, 800, 20000, false, cut_within, mend},
    {"bogus notifications", R4, TARGET_DB, 1, 2, MANY_ROWS, false, flood, NULL},
};

enum { KINDS_COUNT = sizeof(KINDS) / sizeof(KINDS[0]) };

static int link_of(const struct director *d, const struct fault *f) {
    switch (KINDS[f->kind].target) {
    case TARGET_LINK:
        return d->field->node_links[f->b][f->a];
    case TARGET_DB_LINK:
        return d->field->db_links[f->a];
    default:
        return d->field->client_links[f->a];
    }
}

/* ---- drawing ---- */

static int place_of(const struct fault_kind *kind, const struct fault *f) {
    return kind->target == TARGET_LINK ? f->b * CHAOS_NODES + f->a : f->a;
}

/* The pause before the next one: some come at once, some leave time to come to rest. */
static int draw_gap_ms(uint64_t *random, const struct chaos_conf *conf) {
    switch (chaos_draw(random, 4)) {
    case 0:
        return 30 + (int)chaos_draw(random, 200);
    case 1:
        return conf->fence_ms + 500 + (int)chaos_draw(random, 2000);
    default:
        return 200 + (int)chaos_draw(random, 800);
    }
}

static bool may_come(const struct fault_kind *kind, unsigned regimes, const char *name) {
    return (kind->regimes & regimes) != 0 && strstr(kind->name, name) != NULL;
}

static bool any_may_come(unsigned regimes, const char *name) {
    bool any = false;
    for (size_t i = 0; i < KINDS_COUNT; i++)
        any = any || may_come(&KINDS[i], regimes, name);
    return any;
}

static void draw_one(uint64_t *random, unsigned regimes, const char *name, struct fault *f) {
    do {
        f->kind = (unsigned)chaos_draw(random, KINDS_COUNT);
    } while (!may_come(&KINDS[f->kind], regimes, name));
    const struct fault_kind *kind = &KINDS[f->kind];
    static const unsigned COUNTS[TARGETS] = {
        [TARGET_NODE] = CHAOS_NODES,          [TARGET_PROXY] = CHAOS_PROXIES,
        [TARGET_LINK] = CHAOS_NODES,          [TARGET_DB_LINK] = CHAOS_NODES,
        [TARGET_CLIENT_LINK] = CHAOS_PROXIES, [TARGET_RING] = CHAOS_PROXIES};
    f->a = COUNTS[kind->target] == 0 ? 0 : (int)chaos_draw(random, COUNTS[kind->target]);
    f->b = (int)chaos_draw(random, CHAOS_PROXIES);
    f->amount = (int64_t)chaos_draw(random, (uint64_t)kind->amount_max);
    f->until_ms = kind->min_ms + (int)chaos_draw(random, (uint64_t)(kind->max_ms - kind->min_ms));
}

void faults_draw(const struct chaos_conf *conf, struct faults *out) {
    unsigned regimes = conf->regime == CHAOS_ALL ? R1 | R2 | R3 | R4 : 1u << conf->regime;
    uint64_t random = hash_point(SPAN("faults"), conf->seed) | 1;
    int busy_ms[TARGETS][PLACES] = {0}, end_ms = conf->seconds * 1000;
    *out = (struct faults){0};
    if (!any_may_come(regimes, conf->faults))
        return;
    for (int at_ms = 200; at_ms < end_ms - 200 && out->count < FAULTS_MAX;) {
        struct fault f;
        draw_one(&random, regimes, conf->faults, &f);
        int *busy = &busy_ms[KINDS[f.kind].target][place_of(&KINDS[f.kind], &f)];
        f.at_ms = at_ms > *busy + 50 ? at_ms : *busy + 50;
        f.until_ms += f.at_ms;
        *busy = f.until_ms;
        if (f.at_ms < end_ms)
            out->list[out->count++] = f;
        /* Every third meets the next one. */
        at_ms += draw_gap_ms(&random, conf);
        if (chaos_draw(&random, 3) != 0 && f.until_ms > at_ms)
            at_ms = f.until_ms;
    }
}

void faults_print(const struct faults *faults) {
    for (int i = 0; i < faults->count; i++) {
        const struct fault *f = &faults->list[i];
        fprintf(stderr, "  %6d ms to %6d ms: %s (%d %d %lld)\n", f->at_ms, f->until_ms,
                KINDS[f->kind].name, f->a, f->b, (long long)f->amount);
    }
}

/* ---- doing ---- */

struct step {
    int at_ms, fault;
    bool is_end;
};

static int by_time(const void *a, const void *b) {
    const struct step *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->fault != y->fault ? (x->fault < y->fault ? -1 : 1) : (int)x->is_end - y->is_end;
}

static void take_step(struct director *d, const struct step *step, int64_t *began_us) {
    struct fault *f = &d->faults->list[step->fault];
    const struct fault_kind *kind = &KINDS[f->kind];
    int64_t now_us = clock_mono_us();
    if (!step->is_end) {
        began_us[step->fault] = now_us;
        kind->begin(d, f);
        d->faults->done++;
    } else if (kind->end != NULL) {
        kind->end(d, f);
    }
    if (kind->unstable)
        monitor_note(d->monitor, MONITOR_ROUTING, began_us[step->fault], clock_mono_us());
}

void faults_run(const struct chaos_conf *conf, struct faults *faults, struct field *field,
                struct monitor *monitor) {
    struct director d = {.conf = conf, .faults = faults, .field = field, .monitor = monitor};
    struct step *steps = calloc(2 * FAULTS_MAX, sizeof(*steps));
    int64_t *began_us = calloc(FAULTS_MAX, sizeof(*began_us));
    int64_t start_ms = clock_mono_ms(), end_ms = start_ms + conf->seconds * (int64_t)1000;
    int count = 0;
    for (int i = 0; i < faults->count; i++) {
        steps[count++] = (struct step){faults->list[i].at_ms, i, false};
        steps[count++] = (struct step){faults->list[i].until_ms, i, true};
    }
    qsort(steps, (size_t)count, sizeof(*steps), by_time);
    for (int i = 0; i <= count; i++) {
        int64_t at_ms = i < count ? start_ms + steps[i].at_ms : end_ms;
        while (clock_mono_ms() < at_ms)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        if (i < count)
            take_step(&d, &steps[i], began_us);
    }
    PQfinish(d.sql);
    PQfinish(d.locker);
    free(steps);
    free(began_us);
}
