#include "many.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../common/clock.h"
#include "../../common/hash.h"
#include "../harness/caller.h"
#include "../harness/expect.h"
#include "judge.h"

enum {
    READERS = 2,
    THREADS = READERS + 1, /* the last one edits by SQL */
    AT_ONCE = 32,          /* keys of an MGET, of a pipeline of SETs */
    EDITED = 20,           /* rows of an edit */
    THINK_US = 4000,
    EDIT_US = 20000,
    RETRY_US = 20000,
    NAME_BYTES = 16,
    PAGE = 100, /* keys of an MGET when they are compared */
    SQL_BYTES = 600
};

struct worker {
    struct many *all;
    pthread_t thread;
    int index;
    uint64_t random;
    unsigned written;
};

struct many {
    int keys, ports_count, started;
    uint16_t ports[MANY_PORTS_MAX];
    char conninfo[300];
    _Atomic bool stop;
    struct worker workers[THREADS];
};

static void nap(int64_t us) {
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void name_of(unsigned key, char out[NAME_BYTES]) {
    snprintf(out, NAME_BYTES, "m%07u", key);
}

/* The first of `count` keys that follow each other. */
static unsigned draw(struct worker *w, unsigned count) {
    return (unsigned)chaos_draw(&w->random, (uint64_t)w->all->keys - count + 1);
}

/* ---- by clients ---- */

static void say_mget(struct worker *w, struct caller *c) {
    char names[AT_ONCE][NAME_BYTES];
    struct span argv[1 + AT_ONCE] = {SPAN("MGET")};
    unsigned from = draw(w, AT_ONCE);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        name_of(from + i, names[i]);
        argv[1 + i] = span_str(names[i]);
    }
    caller_say(c, argv, 1 + AT_ONCE);
}

static void say_write(struct worker *w, struct caller *c, unsigned key) {
    char name[NAME_BYTES], value[32];
    name_of(key, name);
    snprintf(value, sizeof(value), "client%d:%u", w->index, ++w->written);
    if (w->written % 8 == 0)
        caller_say_words(c, "DEL", name, NULL);
    else
        caller_say_words(c, "SET", name, value, NULL);
}

/* How many answers there will be. */
static unsigned say(struct worker *w, struct caller *c) {
    if (chaos_draw(&w->random, 4) != 0) {
        say_mget(w, c);
        return 1;
    }
    for (unsigned i = 0; i < AT_ONCE; i++)
        say_write(w, c, draw(w, 1));
    return AT_ONCE;
}

/* Answers count only by what is there in the end. */
static bool ask(struct worker *w, struct caller *c) {
    unsigned left = say(w, c);
    bool heard = caller_flush(c);
    while (left-- > 0 && heard) {
        struct resp_reply *reply = caller_hear(c);
        heard = reply != NULL;
        resp_reply_free(&reply);
    }
    return heard;
}

static void *run_client(void *arg) {
    struct worker *w = arg;
    struct caller *c = NULL;
    for (unsigned turn = (unsigned)w->index; !atomic_load(&w->all->stop); turn++) {
        if (c == NULL || turn % 64 == 0) { /* each proxy in its turn */
            caller_close(&c);
            c = caller_open(w->all->ports[turn / 64 % (unsigned)w->all->ports_count]);
        }
        if (c != NULL && !ask(w, c))
            caller_close(&c);
        nap(c != NULL ? THINK_US : RETRY_US);
    }
    caller_close(&c);
    return NULL;
}

/* ---- by SQL ---- */

static void edit(struct worker *w, PGconn *sql) {
    static const char *const EDITS[] = {
        "UPDATE ringfence.entry SET payload = 'sql:%3$u' WHERE key BETWEEN '%1$s' AND '%2$s'",
        "INSERT INTO ringfence.entry (key, payload) SELECT 'm' || lpad(i::text, 7, '0'), 'new:%3$u'"
        " FROM generate_series(%4$u, %4$u + 19) AS i ON CONFLICT (key) DO UPDATE SET payload = "
        "EXCLUDED.payload, active = true",
        "UPDATE ringfence.entry SET active = NOT active WHERE key BETWEEN '%1$s' AND '%2$s'",
        "DELETE FROM ringfence.entry WHERE key BETWEEN '%1$s' AND '%2$s'"};
    char first[NAME_BYTES], last[NAME_BYTES], text[SQL_BYTES];
    unsigned from = draw(w, EDITED);
    name_of(from, first);
    name_of(from + EDITED - 1, last);
    snprintf(text, sizeof(text), EDITS[chaos_draw(&w->random, sizeof(EDITS) / sizeof(EDITS[0]))],
             first, last, ++w->written, from);
    PQclear(PQexec(sql, text));
}

static void *run_editor(void *arg) {
    struct worker *w = arg;
    PGconn *sql = NULL;
    while (!atomic_load(&w->all->stop)) {
        if (sql == NULL || PQstatus(sql) != CONNECTION_OK) {
            PQfinish(sql);
            sql = PQconnectdb(w->all->conninfo);
            if (PQstatus(sql) == CONNECTION_OK)
                PQclear(PQexec(sql, "SET lock_timeout = '1s'; SET statement_timeout = '3s'"));
            else
                nap(RETRY_US);
            continue;
        }
        edit(w, sql);
        nap(EDIT_US);
    }
    PQfinish(sql);
    return NULL;
}

/* ---- beginning and end ---- */

static bool lay_out(const struct many *all) {
    char text[SQL_BYTES];
    PGconn *sql = PQconnectdb(all->conninfo);
    snprintf(text, sizeof(text),
             "INSERT INTO ringfence.entry (key, payload) SELECT 'm' || lpad(i::text, 7, '0'), "
             "'first' FROM generate_series(0, %d) AS i ON CONFLICT DO NOTHING",
             all->keys - 1);
    PGresult *r = PQexec(sql, text);
    bool done = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    PQfinish(sql);
    return done;
}

struct many *many_start(int keys, uint64_t seed, const char *conninfo, const uint16_t *ports,
                        int ports_count) {
    struct many *all = keys < AT_ONCE ? NULL : calloc(1, sizeof(*all));
    if (all == NULL)
        return NULL;
    all->keys = keys;
    all->ports_count = ports_count;
    memcpy(all->ports, ports, (size_t)ports_count * sizeof(*ports));
    snprintf(all->conninfo, sizeof(all->conninfo), "%s application_name=many", conninfo);
    bool made = lay_out(all);
    for (int i = 0; i < THREADS && made; i++) {
        struct worker *w = &all->workers[i];
        *w = (struct worker){.all = all,
                             .index = i,
                             .random = hash_point(SPAN("many"), seed * 100 + (uint64_t)i) | 1};
        made = pthread_create(&w->thread, NULL, i < READERS ? run_client : run_editor, w) == 0;
        all->started += made;
    }
    if (!made)
        many_free(&all);
    return all;
}

void many_stop(struct many *all) {
    if (all == NULL)
        return;
    atomic_store(&all->stop, true);
    for (int i = 0; i < all->started; i++)
        pthread_join(all->workers[i].thread, NULL);
    all->started = 0;
}

void many_free(struct many **pointer) {
    many_stop(*pointer);
    free(*pointer);
    *pointer = NULL;
}

/* ---- at rest ---- */

/* The table's value of a key, as caller_show() has it; the rows come in the order of the keys. */
static void next_want(const PGresult *rows, int *row, const char *name, char *out, size_t size) {
    snprintf(out, size, "nil");
    if (*row < PQntuples(rows) && strcmp(PQgetvalue(rows, *row, 0), name) == 0)
        snprintf(out, size, "$%s", PQgetvalue(rows, (*row)++, 1));
}

static void compare_page(unsigned from, unsigned count, const struct resp_reply *reply,
                         const PGresult *rows, int *row, uint16_t port, struct judge_result *out) {
    bool whole = reply != NULL && reply->type == RESP_ARRAY && reply->count == count;
    for (unsigned i = 0; i < count; i++) {
        char name[NAME_BYTES], want[64];
        name_of(from + i, name);
        next_want(rows, row, name, want, sizeof(want));
        char *got = caller_show(whole ? reply->elements[i] : reply);
        if (strcmp(got, want) != 0)
            judge_note(out, JUDGE_REST, "port %u, %s: '%.60s', the table has '%.60s'", port, name,
                       got, want);
        free(got);
    }
    out->compared += count;
}

static void compare_once(const struct many *all, PGconn *sql, uint16_t port,
                         struct judge_result *out) {
    PGresult *rows = PQexec(sql, "SELECT key, payload FROM ringfence.entry WHERE key ~ '^m[0-9]' "
                                 "AND active ORDER BY key");
    cr_assert_eq(PQresultStatus(rows), PGRES_TUPLES_OK, "%s", PQresultErrorMessage(rows));
    struct caller *c = expect_caller(port);
    int row = 0;
    for (unsigned from = 0; from < (unsigned)all->keys; from += PAGE) {
        unsigned left = (unsigned)all->keys - from, count = left < PAGE ? left : PAGE;
        char names[PAGE][NAME_BYTES];
        struct span argv[1 + PAGE] = {SPAN("MGET")};
        for (unsigned i = 0; i < count; i++) {
            name_of(from + i, names[i]);
            argv[1 + i] = span_str(names[i]);
        }
        caller_say(c, argv, 1 + count);
        expect_flush(c);
        struct resp_reply *reply = caller_hear(c);
        compare_page(from, count, reply, rows, &row, port, out);
        resp_reply_free(&reply);
    }
    caller_close(&c);
    PQclear(rows);
}

void many_compare(struct many *all, PGconn *sql, uint16_t port, int patience_ms,
                  struct judge_result *out) {
    for (int round = 0; round < MANY_ROUNDS && all != NULL; round++) {
        int64_t until_ms = clock_mono_ms() + patience_ms;
        struct judge_result now = {0};
        compare_once(all, sql, port, &now);
        while (judge_total(&now) != 0 && clock_mono_ms() < until_ms) {
            expect_pause();
            now = (struct judge_result){0};
            compare_once(all, sql, port, &now);
        }
        out->compared += now.compared;
        for (int i = 0; i < now.texts_count; i++)
            judge_note(out, JUDGE_REST, "%s", now.texts[i]);
        out->violations[JUDGE_REST] += judge_total(&now) - (uint64_t)now.texts_count;
    }
}
