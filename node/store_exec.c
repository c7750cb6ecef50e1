/*
 * Transactions: several edits under one Sync. All rows are locked first, in the order of the keys,
 * and only then looked at, by one statement: so what is read is of one moment, whatever others do,
 * and stays true for the rows that are changed until the commit. Keys without a row are held by an
 * inactive row; those that nothing may create are only noted, and must still be absent at the end.
 * If somebody was in the way, all of it is tried again.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_array.h"
#include "store_private.h"

enum {
    LOCK_TIMEOUT_FIRST_MS = 50,
    LOCK_TIMEOUT_AGAIN_MS = 500,
    ATTEMPTS_MAX = 4,
    ROW_FIELDS = 5,
};

/* The places of statements among those of the group; NOWHERE: it is not sent. */
#define NOWHERE UINT32_MAX
struct places {
    uint32_t rows, check, edits, guard;
};

struct run {
    struct store_batch base; /* of one write */
    struct places at;
    uint32_t received; /* results without an error */
    uint32_t failed_at;
    char state[6]; /* SQLSTATE of the error */
    PGresult *rows;
    PGresult *results[];
};

/* ---- rows ---- */

static uint32_t find(const struct span *keys, uint32_t count, struct span key) {
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (span_compare(keys[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && span_equal(keys[low], key) ? low : count;
}

void store_rows_match(const void *result, const struct span *keys, uint32_t count,
                      struct store_row *rows) {
    const PGresult *r = result;
    for (uint32_t i = 0; i < count; i++)
        rows[i] = (struct store_row){.ttl_ms = -1};
    for (int i = 0; i < PQntuples(r); i++) {
        uint32_t at = find(keys, count, span_of(PQgetvalue(r, i, 0), (size_t)PQgetlength(r, i, 0)));
        if (PQgetisnull(r, i, 0) || at == count)
            continue;
        rows[at].present = PQgetvalue(r, i, 4)[0] != 0;
        rows[at].payload = span_of(PQgetvalue(r, i, 1), (size_t)PQgetlength(r, i, 1));
        rows[at].version = (uint64_t)pg_array_int64(PQgetvalue(r, i, 2));
        if (!PQgetisnull(r, i, 3))
            rows[at].ttl_ms = pg_array_int64(PQgetvalue(r, i, 3));
    }
}

/* ---- results ---- */

static void note_state(struct run *run, const char *state) {
    snprintf(run->state, sizeof(run->state), "%s", state != NULL ? state : "");
}

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct run *run = (struct run *)group;
    PGresult *r = (PGresult *)result;
    uint32_t at = run->received, edits = run->base.first->exec->edits_count;
    switch (PQresultStatus(r)) {
    case PGRES_PIPELINE_ABORTED:
        return; /* after the error that was noted */
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        run->received++;
        if (at == run->at.rows)
            run->rows = PQcopyResult(r, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
        else if (at >= run->at.edits && at < run->at.edits + edits)
            run->results[at - run->at.edits] =
                PQcopyResult(r, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
        return;
    default:
        run->failed_at = at;
        note_state(run, PQresultErrorField(r, PG_DIAG_SQLSTATE));
        if (at != run->at.check && at != run->at.guard)
            store_batch_error(&run->base, r);
        run->base.failed = true;
        return;
    }
}

static void answer(struct run *run, enum store_status status, const struct store_exec_ack *exec) {
    struct store_write *write = run->base.first;
    uint64_t *nothing = status == STORE_OK ? calloc(write->count, sizeof(*nothing)) : NULL;
    if (status == STORE_OK && nothing == NULL)
        status = STORE_UNCERTAIN;
    const struct store_ack ack = {
        .status = status, .versions = nothing, .exec = exec, .detail = run->base.detail};
    write->done(write, &ack);
    free(nothing);
}

/* What became of one edit: MSETNX gives no row, or one for each key. */
static bool take_result(const struct store_write *edit, const PGresult *r, uint64_t *versions,
                        struct store_result *result, struct store_answer *look) {
    int count = r == NULL ? -1 : PQntuples(r);
    if (edit->op == STORE_LOOK) {
        if (count < 0)
            return false;
        store_whole_row(r, look);
        result->row = look;
    } else if (edit->count == 1) {
        if (count != 1)
            return false;
        store_edit_result(r, versions, result);
    } else {
        if (count != 0 && count != (int)edit->count)
            return false;
        for (int i = 0; i < count; i++)
            versions[i] = (uint64_t)pg_array_int64(PQgetvalue(r, i, 1));
    }
    return true;
}

static void answer_committed(struct run *run) {
    const struct store_write *write = run->base.first;
    const struct store_exec *done = write->exec;
    uint32_t edits = done->edits_count, at = 0;
    for (uint32_t i = 0; i < edits; i++)
        at += done->edits[i].count;
    struct store_row *rows = calloc(write->count, sizeof(*rows));
    struct store_result *results = calloc(edits, sizeof(*results));
    struct store_answer *looks = calloc(edits, sizeof(*looks));
    uint64_t *versions = calloc(at, sizeof(*versions));
    bool whole =
        rows != NULL && results != NULL && looks != NULL && versions != NULL && run->rows != NULL;
    at = 0;
    for (uint32_t i = 0; whole && i < edits; i++) {
        whole =
            take_result(&done->edits[i], run->results[i], versions + at, &results[i], &looks[i]);
        at += done->edits[i].count;
    }
    if (whole) {
        store_rows_match(run->rows, write->keys, write->count, rows);
        const struct store_exec_ack exec = {.rows = rows, .results = results, .versions = versions};
        answer(run, STORE_OK, &exec);
    } else { /* committed, but there is no memory to say what */
        answer(run, STORE_UNCERTAIN, NULL);
    }
    free(rows);
    free(results);
    free(looks);
    free(versions);
}

/* Nothing was done. */
static void answer_failed(struct run *run) {
    static const struct store_exec_ack REFUSED = {.refused = true};
    struct store_write *write = run->base.first;
    struct store *s = run->base.lane->store;
    bool found = strcmp(run->state, "22012") == 0; /* what the check or the guard looks for */
    bool crossed = found && run->failed_at == run->at.guard;
    if (found && run->failed_at == run->at.check) {
        answer(run, STORE_OK, &REFUSED);
    } else if (!run->base.locked && !crossed) {
        answer(run, STORE_REFUSED, NULL);
    } else if (write->attempt >= ATTEMPTS_MAX || s->closing) {
        answer(run, STORE_LOCKED, NULL);
    } else {
        write->attempt++;
        write->sent = false;
        s->figures.retried_alone++;
        store_queue_push(&s->transactions, write);
    }
}

static void on_end(struct pg_group *group, enum pg_group_end end) {
    struct run *run = (struct run *)group;
    struct store *s = run->base.lane->store;
    uint32_t edits = run->base.first->exec->edits_count; /* before it may be gone */
    run->base.lane->busy--;
    if (end == PG_GROUP_LOST)
        answer(run, STORE_UNCERTAIN, NULL);
    else if (run->base.failed)
        answer_failed(run);
    else
        answer_committed(run);
    for (uint32_t i = 0; i < edits; i++)
        PQclear(run->results[i]);
    PQclear(run->rows);
    free(run);
    store_pump_later(s);
}

/* ---- sending ---- */

static bool send_arrays(struct store_lane *lane, enum store_statement statement,
                        const struct buf *arrays, int count) {
    const char *params[3];
    int lengths[3];
    bool whole = true;
    for (int i = 0; i < count; i++) {
        params[i] = arrays[i].data;
        lengths[i] = (int)buf_len(&arrays[i]);
        whole = whole && !arrays[i].failed;
    }
    return whole && store_sql_send(lane->conn, statement, count, params, lengths);
}

bool store_keys_send(struct store_lane *lane, enum store_statement statement,
                     const struct span *keys, uint32_t count) {
    struct buf array;
    buf_init(&array, 0);
    pg_array_begin(&array, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add(&array, keys[i]);
    bool sent = send_arrays(lane, statement, &array, 1);
    buf_release(&array);
    return sent;
}

static uint32_t held(const struct store_write *write) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < write->count; i++)
        count += write->exec->holds[i];
    return count;
}

static bool send_hold(struct store_lane *lane, const struct store_write *write, uint32_t count) {
    struct buf array;
    buf_init(&array, 0);
    pg_array_begin(&array, count);
    for (uint32_t i = 0; i < write->count; i++) {
        if (write->exec->holds[i])
            pg_array_add(&array, write->keys[i]);
    }
    bool sent = send_arrays(lane, STORE_SQL_EXEC_HOLD, &array, 1);
    buf_release(&array);
    return sent;
}

static bool send_check(struct store_lane *lane, const struct store_exec *exec) {
    enum { KEYS, VERSIONS, LIVE, ARRAYS };
    struct buf arrays[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        buf_init(&arrays[i], 0);
        pg_array_begin(&arrays[i], exec->watches_count);
    }
    for (uint32_t i = 0; i < exec->watches_count; i++) {
        const struct store_watch *watch = &exec->watches[i];
        char version[24];
        int len = snprintf(version, sizeof(version), "%llu", (unsigned long long)watch->version);
        pg_array_add(&arrays[KEYS], watch->key);
        pg_array_add(&arrays[VERSIONS], span_of(version, (size_t)len));
        pg_array_add(&arrays[LIVE], watch->live ? SPAN("1") : SPAN("0"));
    }
    bool sent = send_arrays(lane, STORE_SQL_EXEC_CHECK, arrays, ARRAYS);
    for (int i = 0; i < ARRAYS; i++)
        buf_release(&arrays[i]);
    return sent;
}

/* MSETNX: one statement of all its keys, which may do nothing. */
static bool send_put_nx(struct store_lane *lane, const struct store_write *edit) {
    struct buf arrays[2];
    for (int i = 0; i < 2; i++) {
        buf_init(&arrays[i], 0);
        pg_array_begin(&arrays[i], edit->count);
        for (uint32_t k = 0; k < edit->count; k++)
            pg_array_add(&arrays[i], i == 0 ? edit->keys[k] : edit->values[k]);
    }
    bool sent = send_arrays(lane, STORE_SQL_PUT_NX, arrays, 2);
    buf_release(&arrays[0]);
    buf_release(&arrays[1]);
    return sent;
}

static bool send_edit(struct store_lane *lane, const struct store_write *edit) {
    if (edit->count > 1)
        return send_put_nx(lane, edit);
    if (edit->op != STORE_LOOK)
        return store_edit_statement_send(lane, edit);
    const char *const key[] = {edit->keys[0].ptr};
    const int length[] = {(int)edit->keys[0].len};
    return store_sql_send(lane->conn, STORE_SQL_ROW, 1, key, length);
}

/* All of the group; notes where its statements are. */
static bool send_all(struct run *run, int lock_timeout_ms) {
    const struct store_write *write = run->base.first;
    const struct store_exec *exec = write->exec;
    struct store_lane *lane = run->base.lane;
    uint32_t at = 2, holds = held(write);
    bool sent = store_lock_timeout_send(lane, lock_timeout_ms) &&
                store_keys_send(lane, STORE_SQL_EXEC_LOCK, write->keys, write->count);
    if (holds != 0) {
        at++;
        sent = sent && send_hold(lane, write, holds);
    }
    run->at.rows = at++;
    sent = sent && store_keys_send(lane, STORE_SQL_EXEC_ROWS, write->keys, write->count);
    run->at.check = NOWHERE;
    if (exec->watches_count != 0) {
        run->at.check = at++;
        sent = sent && send_check(lane, exec);
    }
    run->at.edits = at;
    for (uint32_t i = 0; i < exec->edits_count && sent; i++)
        sent = send_edit(lane, &exec->edits[i]);
    run->at.guard = at + exec->edits_count;
    return sent && store_sql_send(lane->conn, STORE_SQL_EXEC_GUARD, 0, NULL, NULL) &&
           store_lock_timeout_send(lane, 0);
}

void store_exec_send(struct store_lane *lane) {
    struct store *s = lane->store;
    struct store_write *write = s->transactions.first;
    struct run *run = calloc(1, sizeof(*run) + write->exec->edits_count * sizeof(run->results[0]));
    if (run == NULL)
        return; /* it waits for memory, or for its time-out */
    store_queue_remove(&s->transactions, write);
    write->next = NULL;
    write->sent = true;
    run->base = (struct store_batch){.group = {.on_result = on_result, .on_end = on_end},
                                     .lane = lane,
                                     .first = write,
                                     .requests = 1};
    lane->busy++;
    s->figures.writes++;
    s->figures.write_batches++;
    if (!send_all(run, write->attempt == 0 ? LOCK_TIMEOUT_FIRST_MS : LOCK_TIMEOUT_AGAIN_MS))
        pg_conn_close(lane->conn, "a statement could not be sent");
    pg_conn_send(lane->conn, &run->base.group);
}
