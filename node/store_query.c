/* Questions past the cache: one statement each, so that a slow one holds up one connection alone.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg_array.h"
#include "store_private.h"

struct query_run {
    struct pg_group group;
    struct store_lane *lane;
    struct store_query *query;
    PGresult *rows;
    bool estimated;
};

static void send(struct query_run *run);

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct query_run *run = (struct query_run *)group;
    PGresult *r = (PGresult *)result;
    if (PQresultStatus(r) == PGRES_TUPLES_OK && run->rows == NULL)
        run->rows = PQcopyResult(r, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
    else if (PQresultStatus(r) != PGRES_PIPELINE_ABORTED)
        store_note_error(run->lane->store, r);
}

static int64_t int_or(const PGresult *r, int column, int64_t otherwise) {
    return PQgetisnull(r, 0, column) ? otherwise : pg_array_int64(PQgetvalue(r, 0, column));
}

static void answer(struct query_run *run) {
    const PGresult *r = run->rows;
    struct store_query *query = run->query;
    struct store_answer a = {.expires_ms = -1};
    struct store_row *rows = NULL;
    switch (query->question) {
    case STORE_COUNT_ROWS:
        a.count = PQntuples(r) == 1 ? int_or(r, 0, 0) : 0;
        break;
    case STORE_WHOLE_ROW:
        a.found = PQntuples(r) == 1;
        if (!a.found)
            break;
        a.payload = span_of(PQgetvalue(r, 0, 0), (size_t)PQgetlength(r, 0, 0));
        a.active = PQgetvalue(r, 0, 1)[0] != 0;
        a.version = (uint64_t)int_or(r, 2, 0);
        a.expires_ms = int_or(r, 3, -1);
        a.updated_ms = int_or(r, 4, 0);
        a.live = PQgetvalue(r, 0, 5)[0] != 0;
        break;
    case STORE_ROWS:
        a.rows = rows = calloc(query->count, sizeof(*rows));
        if (rows != NULL)
            store_rows_match(r, query->keys, query->count, rows);
        break;
    }
    bool failed = query->question == STORE_ROWS && rows == NULL;
    query->done(query, failed ? STORE_FAILED : STORE_OK, &a);
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
    if (end == PG_GROUP_SYNCED && run->rows != NULL)
        answer(run);
    else
        run->query->done(run->query, STORE_FAILED, NULL);
    PQclear(run->rows);
    free(run);
    store_pump_later(s);
}

static enum store_statement statement_of(const struct query_run *run) {
    switch (run->query->question) {
    case STORE_COUNT_ROWS:
        return run->estimated ? STORE_SQL_ESTIMATE : STORE_SQL_COUNT;
    case STORE_WHOLE_ROW:
        return STORE_SQL_ROW;
    case STORE_ROWS:
        return STORE_SQL_ROWS;
    }
    return STORE_SQL_COUNT;
}

static void send(struct query_run *run) {
    const struct span key = run->query->key;
    run->lane->busy++;
    if (run->query->question == STORE_ROWS) {
        store_keys_send(run->lane, STORE_SQL_ROWS, run->query->keys, run->query->count);
        pg_conn_send(run->lane->conn, &run->group);
        return;
    }
    const char *const params[] = {key.ptr};
    const int lengths[] = {(int)key.len}, formats[] = {1};
    int count = run->query->question == STORE_WHOLE_ROW ? 1 : 0;
    char name[16];
    snprintf(name, sizeof(name), "s%d", (int)statement_of(run));
    PQsendQueryPrepared(pg_conn_raw(run->lane->conn), name, count, params, lengths, formats, 1);
    pg_conn_send(run->lane->conn, &run->group);
}

void store_query_send(struct store_lane *lane) {
    struct query_run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        return; /* it waits for memory */
    struct store *s = lane->store;
    *run = (struct query_run){
        .group = {.on_result = on_result, .on_end = on_end}, .lane = lane, .query = s->first_query};
    s->first_query = run->query->next;
    if (s->first_query == NULL)
        s->last_query = NULL;
    s->queries_waiting--;
    send(run);
}
