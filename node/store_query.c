/* Questions past the cache: one statement each, so that a slow one holds up one connection alone.
 */
#include <endian.h>
#include <libpq-fe.h>
#include <stdlib.h>

#include "../common/log.h"
#include "pg_array.h"
#include "store_private.h"

enum {
    PARAMS_MAX = 3,
    /* Those that change rows share their connection with writes that wait for a lock already. */
    SWEEP_LOCK_TIMEOUT_MS = 5,
    FLUSH_LOCK_TIMEOUT_MS = 500,
};

struct query_run {
    struct pg_group group;
    struct store_lane *lane;
    struct store_query *query;
    PGresult *rows;
    bool estimated, locked;
};

static void send(struct query_run *run);

/* ---- answers ---- */

static void note_scan_index(struct store *s, bool there) {
    if (!there && !s->scan_index_known)
        log_event(LOG_LEVEL_WARN, "scan_without_index",
                  "table=%s every_scan_sorts_the_table=yes repair=\"see entry_scan in schema.sql\"",
                  s->table);
    s->scan_index_known = true;
}

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct query_run *run = (struct query_run *)group;
    PGresult *r = (PGresult *)result;
    if (PQresultStatus(r) == PGRES_PIPELINE_ABORTED)
        return;
    run->locked = run->locked || store_is_lock(PQresultErrorField(r, PG_DIAG_SQLSTATE));
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        if (!run->locked)
            store_note_error(run->lane->store, r);
    } else if (store_question_changes(run->query->question) && PQnfields(r) == 1) {
        return; /* the lock time-out */
    } else if (run->query->question == STORE_SCAN && PQnfields(r) == 1) {
        note_scan_index(run->lane->store, PQgetvalue(r, 0, 0)[0] != 0);
    } else if (run->rows == NULL) {
        run->rows = PQcopyResult(r, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
    }
}

static int64_t int_or(const PGresult *r, int column, int64_t otherwise) {
    return PQgetisnull(r, 0, column) ? otherwise : pg_array_int64(PQgetvalue(r, 0, column));
}

static struct span text(const PGresult *r, int row, int column) {
    return span_of(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

void store_whole_row(const void *result, struct store_answer *a) {
    const PGresult *r = result;
    *a = (struct store_answer){.expires_ms = -1};
    a->found = PQntuples(r) == 1;
    if (!a->found)
        return;
    a->payload = text(r, 0, 0);
    a->active = PQgetvalue(r, 0, 1)[0] != 0;
    a->version = (uint64_t)int_or(r, 2, 0);
    a->expires_ms = int_or(r, 3, -1);
    a->updated_ms = int_or(r, 4, 0);
    a->live = PQgetvalue(r, 0, 5)[0] != 0;
}

/* PostgreSQL's hash has a sign; a place counts from 0. */
static uint64_t place_of(int64_t hash) {
    return (uint64_t)(hash + ((int64_t)1 << (STORE_PLACE_BITS - 1)));
}

static int64_t hash_of(uint64_t place) {
    return (int64_t)place - ((int64_t)1 << (STORE_PLACE_BITS - 1));
}

/* Returns the array that `a` points to, for the caller to free; NULL without memory. */
static struct span *read_keys(const PGresult *r, struct store_answer *a) {
    int count = PQntuples(r);
    struct span *keys = malloc(((size_t)count + 1) * sizeof(*keys));
    for (int i = 0; keys != NULL && i < count; i++)
        keys[i] = text(r, i, 0);
    a->keys = keys;
    a->keys_count = (uint32_t)count;
    if (count == 0)
        return keys;
    a->last_place = place_of(pg_array_int64(PQgetvalue(r, count - 1, 1)));
    while (count != 0 && place_of(pg_array_int64(PQgetvalue(r, count - 1, 1))) == a->last_place)
        count--;
    a->keys_before = (uint32_t)count;
    if (count != 0)
        a->place_before = place_of(pg_array_int64(PQgetvalue(r, count - 1, 1)));
    return keys;
}

static void answer(struct query_run *run) {
    const PGresult *r = run->rows;
    struct store_query *query = run->query;
    struct store_answer a = {.expires_ms = -1};
    struct store_row *rows = NULL;
    struct span *keys = NULL;
    bool made = true;
    switch (query->question) {
    case STORE_TALLY:
    case STORE_FLUSH:
    case STORE_SWEEP:
        a.last_key = PQgetisnull(r, 0, 1) ? SPAN("") : text(r, 0, 1);
        a.count = int_or(r, 0, 0);
        break;
    case STORE_COUNT_ROWS:
        a.count = PQntuples(r) == 1 ? int_or(r, 0, 0) : 0;
        break;
    case STORE_WHOLE_ROW:
        store_whole_row(r, &a);
        break;
    case STORE_SCAN:
    case STORE_LIST:
        keys = read_keys(r, &a);
        made = keys != NULL;
        break;
    case STORE_ROWS:
        a.rows = rows = calloc(query->count, sizeof(*rows));
        made = rows != NULL;
        if (made)
            store_rows_match(r, query->keys, query->count, rows);
        break;
    }
    query->done(query, made ? STORE_OK : STORE_FAILED, made ? &a : NULL);
    free(keys);
    free(rows);
}

static void on_end(struct pg_group *group, enum pg_group_end end) {
    struct query_run *run = (struct query_run *)group;
    struct store *s = run->lane->store;
    run->lane->busy--;
    bool counts = run->query->question == STORE_COUNT_ROWS;
    if (end == PG_GROUP_SYNCED && run->rows == NULL && counts && !run->estimated) {
        run->estimated = true; /* it took longer than a statement may */
        send(run);
        return;
    }
    if (end == PG_GROUP_SYNCED && run->rows != NULL && !run->locked)
        answer(run);
    else
        run->query->done(run->query,
                         end == PG_GROUP_SYNCED && run->locked ? STORE_LOCKED : STORE_FAILED, NULL);
    PQclear(run->rows);
    free(run);
    store_pump_later(s);
}

/* ---- sending ---- */

static enum store_statement statement_of(const struct query_run *run) {
    switch (run->query->question) {
    case STORE_COUNT_ROWS:
        return run->estimated ? STORE_SQL_ESTIMATE : STORE_SQL_COUNT;
    case STORE_WHOLE_ROW:
        return STORE_SQL_ROW;
    case STORE_ROWS:
        return STORE_SQL_ROWS;
    case STORE_SCAN:
        return STORE_SQL_SCAN;
    case STORE_LIST:
        return STORE_SQL_LIST;
    case STORE_TALLY:
        return STORE_SQL_TALLY;
    case STORE_FLUSH:
        return STORE_SQL_FLUSH;
    case STORE_SWEEP:
        return STORE_SQL_SWEEP;
    }
    return STORE_SQL_COUNT;
}

/* Parameters of one statement, in binary. */
struct params {
    const char *values[PARAMS_MAX];
    int lengths[PARAMS_MAX], count;
    uint64_t numbers[PARAMS_MAX];
};

static void add_text(struct params *p, struct span value) {
    p->values[p->count] = value.len != 0 ? value.ptr : "";
    p->lengths[p->count++] = (int)value.len;
}

static void add_number(struct params *p, int64_t n) {
    p->numbers[p->count] = htobe64((uint64_t)n);
    p->values[p->count] = (const char *)&p->numbers[p->count];
    p->lengths[p->count++] = sizeof(p->numbers[0]);
}

static void make_params(const struct store_query *query, struct params *p) {
    switch (query->question) {
    case STORE_COUNT_ROWS:
    case STORE_ROWS:
        return;
    case STORE_WHOLE_ROW:
        add_text(p, query->key);
        return;
    case STORE_SCAN:
        add_number(p, hash_of(query->place));
        add_number(p, query->count_max);
        return;
    case STORE_LIST:
    case STORE_TALLY:
        add_text(p, query->key);
        add_text(p, query->until);
        add_number(p, query->count_max);
        return;
    case STORE_FLUSH:
        add_text(p, query->key);
        add_number(p, query->count_max);
        return;
    case STORE_SWEEP:
        add_number(p, query->count_max);
        return;
    }
}

static bool send_all(struct query_run *run, const struct params *p) {
    struct store_lane *lane = run->lane;
    const struct store_query *query = run->query;
    bool changes = store_question_changes(query->question);
    bool sent = !changes || store_lock_timeout_send(lane, query->question == STORE_SWEEP
                                                              ? SWEEP_LOCK_TIMEOUT_MS
                                                              : FLUSH_LOCK_TIMEOUT_MS);
    if (query->question == STORE_ROWS)
        sent = sent && store_keys_send(lane, STORE_SQL_ROWS, query->keys, query->count);
    else
        sent =
            sent && store_sql_send(lane->conn, statement_of(run), p->count, p->values, p->lengths);
    if (query->question == STORE_SCAN && !lane->store->scan_index_known)
        sent = sent && store_sql_send(lane->conn, STORE_SQL_SCAN_INDEX, 0, NULL, NULL);
    return sent && (!changes || store_lock_timeout_send(lane, 0));
}

static void send(struct query_run *run) {
    struct params p = {.count = 0};
    make_params(run->query, &p);
    run->lane->busy++;
    if (!send_all(run, &p))
        pg_conn_close(run->lane->conn, "a statement could not be sent");
    pg_conn_send(run->lane->conn, &run->group);
}

void store_query_send(struct store_lane *lane, struct store_queries *queries) {
    struct query_run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        return; /* it waits for memory */
    *run = (struct query_run){
        .group = {.on_result = on_result, .on_end = on_end}, .lane = lane, .query = queries->first};
    queries->first = run->query->next;
    if (queries->first == NULL)
        queries->last = NULL;
    queries->count--;
    send(run);
}
