#include "editors.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../common/clock.h"
#include "../../common/hash.h"

enum { THINK_US = 40000, RETRY_US = 50000, SQL_BYTES = 2048 };

struct editor {
    struct editors *all;
    pthread_t thread;
    int index;
    uint64_t random;
    uint32_t written;
    PGconn *sql;
};

struct editors {
    struct chaos_conf conf;
    char conninfo[300];
    int started;
    _Atomic bool stop;
    struct editor editors[EDITORS_MAX];
    struct chaos_log logs[EDITORS_MAX];
};

enum edit { UPDATE, UPSERT, MERGE, SOFT_DELETE, DELETE, ROLLED_BACK, COPY_OVER, EDITS };

static void nap(int64_t us) {
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static bool connected(struct editor *e) {
    if (e->sql != NULL && PQstatus(e->sql) == CONNECTION_OK)
        return true;
    PQfinish(e->sql);
    e->sql = PQconnectdb(e->all->conninfo);
    if (PQstatus(e->sql) != CONNECTION_OK)
        return false;
    PQclear(PQexec(e->sql, "SET lock_timeout = '1s'; SET statement_timeout = '3s'"));
    return true;
}

/* Done, surely not done, or neither is known. `rows`: how many it changed. */
static enum chaos_outcome run_sql(struct editor *e, const char *text, int *rows) {
    PGresult *r = PQexec(e->sql, text);
    ExecStatusType status = PQresultStatus(r);
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    *rows = atoi(PQcmdTuples(r));
    enum chaos_outcome outcome = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? CHAOS_OK
                                 : severity != NULL && strcmp(severity, "ERROR") == 0
                                     ? CHAOS_ERROR
                                     : CHAOS_UNKNOWN;
    PQclear(r);
    if (PQstatus(e->sql) == CONNECTION_OK && PQtransactionStatus(e->sql) != PQTRANS_IDLE)
        PQclear(PQexec(e->sql, "ROLLBACK"));
    return outcome;
}

/* The statement of an edit; its last one is what counts the rows. */
static void write_sql(enum edit edit, const char *key, const char *value, char *out) {
    static const char *const TEXTS[EDITS] = {
        [UPDATE] = "UPDATE ringfence.entry SET payload = '%2$s', active = true WHERE key = '%1$s'",
        [UPSERT] = "INSERT INTO ringfence.entry (key, payload) VALUES ('%1$s', '%2$s') ON CONFLICT "
                   "(key) DO UPDATE SET payload = EXCLUDED.payload, active = true",
        [MERGE] = "MERGE INTO ringfence.entry e USING (VALUES ('%1$s')) v (k) ON e.key = v.k WHEN "
                  "MATCHED THEN UPDATE SET payload = '%2$s', active = true",
        [SOFT_DELETE] = "UPDATE ringfence.entry SET active = false WHERE key = '%1$s'",
        [DELETE] = "DELETE FROM ringfence.entry WHERE key = '%1$s'",
        [ROLLED_BACK] = "BEGIN; UPDATE ringfence.entry SET payload = '%2$s' WHERE key = '%1$s'; "
                        "ROLLBACK",
        [COPY_OVER] = "BEGIN; DELETE FROM ringfence.entry WHERE key = '%1$s'; INSERT INTO "
                      "ringfence.entry (key, payload) VALUES ('%1$s', '%2$s'); COMMIT",
    };
    snprintf(out, SQL_BYTES, TEXTS[edit], key, value);
}

static unsigned draw_key(struct editor *e) {
    const struct chaos_conf *conf = &e->all->conf;
    int last = conf->keys;
    if (chaos_draw(&e->random, CHAOS_CALM_EDIT_ONE_IN) != 0)
        last -= conf->calm_keys;
    return (unsigned)(conf->pure_keys +
                      (int)chaos_draw(&e->random, (uint64_t)(last - conf->pure_keys)));
}

static void do_edit(struct editor *e) {
    static const unsigned char SHARES[] = {UPDATE,      UPDATE,      UPDATE,   UPDATE, UPSERT,
                                           UPSERT,      UPSERT,      MERGE,    MERGE,  DELETE,
                                           SOFT_DELETE, ROLLED_BACK, COPY_OVER};
    char key[16], value[CHAOS_VALUE_BYTES], sql[SQL_BYTES];
    enum edit edit = SHARES[chaos_draw(&e->random, sizeof(SHARES))];
    bool sets = edit != SOFT_DELETE && edit != DELETE;
    struct chaos_op *op = chaos_log_add(&e->all->logs[e->index]);
    if (op == NULL)
        return;
    op->kind = sets ? CHAOS_SQL_SET : CHAOS_SQL_DELETE;
    op->count = 1;
    op->client = (uint8_t)(CHAOS_EDITOR + e->index);
    op->keys[0] = (uint16_t)draw_key(e);
    if (sets)
        op->wrote = chaos_value_of(CHAOS_EDITOR + (unsigned)e->index, ++e->written);
    chaos_key(op->keys[0], key);
    chaos_write_value(op->keys[0], op->wrote, value);
    write_sql(edit, key, value, sql);
    int rows;
    op->invoke_us = clock_mono_us();
    op->outcome = run_sql(e, sql, &rows);
    op->return_us = op->outcome == CHAOS_UNKNOWN ? INT64_MAX : clock_mono_us();
    if (edit == ROLLED_BACK)
        op->outcome = CHAOS_ERROR; /* nobody may ever see it, however it ended */
    else if (op->outcome == CHAOS_OK && rows == 0 && edit != COPY_OVER)
        op->outcome = CHAOS_NIL; /* there was no such row */
}

static void *run(void *arg) {
    struct editor *e = arg;
    while (!atomic_load(&e->all->stop)) {
        if (connected(e)) {
            do_edit(e);
            nap((int64_t)chaos_draw(&e->random, THINK_US));
        } else {
            nap(RETRY_US);
        }
    }
    PQfinish(e->sql);
    e->sql = NULL;
    return NULL;
}

struct editors *editors_start(const struct chaos_conf *conf, const char *conninfo) {
    struct editors *all = calloc(1, sizeof(*all));
    if (all == NULL)
        return NULL;
    all->conf = *conf;
    snprintf(all->conninfo, sizeof(all->conninfo), "%s application_name=editor", conninfo);
    for (int i = 0; i < conf->editors && conf->pure_keys < conf->keys; i++) {
        struct editor *e = &all->editors[i];
        *e = (struct editor){.all = all,
                             .index = i,
                             .random =
                                 hash_point(SPAN("editor"), conf->seed * 100 + (uint64_t)i) | 1};
        if (pthread_create(&e->thread, NULL, run, e) != 0) {
            editors_free(&all);
            return NULL;
        }
        all->started++;
    }
    return all;
}

void editors_stop(struct editors *all) {
    atomic_store(&all->stop, true);
    for (int i = 0; i < all->started; i++)
        pthread_join(all->editors[i].thread, NULL);
    all->started = 0;
}

struct chaos_log *editors_logs(struct editors *all) {
    return all->logs;
}

void editors_free(struct editors **pointer) {
    struct editors *all = *pointer;
    *pointer = NULL;
    editors_stop(all);
    for (int i = 0; i < EDITORS_MAX; i++)
        chaos_log_release(&all->logs[i]);
    free(all);
}
