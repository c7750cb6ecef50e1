/*
 * Writes: what arrives while a commit is under way is committed together. No two writes here have a
 * key in common (rule 5), so any of them may share a statement. A batch that fails is tried again
 * request by request on the slow lane (rule 12), first with hardly any patience for locks, so that
 * the free ones get through at once.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg_array.h"
#include "store_private.h"

enum {
    LOCK_TIMEOUT_BATCH_MS = 50,
    LOCK_TIMEOUT_FIRST_MS = 5,   /* alone, the first time: only to sort out who is free */
    LOCK_TIMEOUT_ALONE_MS = 500, /* alone, the last time */
    ATTEMPTS_MAX = 2,
};

/* One key of one request. */
struct cell {
    struct store_write *write;
    uint32_t index;   /* of the key in the request */
    uint32_t slot;    /* of its version in the batch */
    uint32_t request; /* which one of the batch */
};

/* Requests that share a Sync. */
struct write_batch {
    struct pg_group group;
    struct store_lane *lane;
    struct store_write *first; /* linked by next */
    uint32_t requests, cells_count;
    struct cell *cells; /* sorted by key */
    PGresult *rows;     /* of the statement that returns keys and versions */
    PGresult *old;      /* what was there */
    bool failed, locked;
    char detail[256];
};

static int compare(const void *a, const void *b) {
    const struct cell *x = a, *y = b;
    return span_compare(x->write->keys[x->index], y->write->keys[y->index]);
}

/* ---- results ---- */

static bool is_lock(const char *state) {
    return state != NULL && (strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0);
}

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct write_batch *batch = (struct write_batch *)group;
    PGresult *r = (PGresult *)result;
    switch (PQresultStatus(r)) {
    case PGRES_PIPELINE_ABORTED:
        return; /* after the error that was noted */
    case PGRES_TUPLES_OK:
        if (PQnfields(r) == 2 || (PQnfields(r) == 1 && strcmp(PQfname(r, 0), "set_config") != 0)) {
            PGresult **keep = PQnfields(r) == 2 ? &batch->rows : &batch->old;
            *keep = PQcopyResult(r, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
            batch->failed = batch->failed || *keep == NULL;
        }
        return;
    case PGRES_COMMAND_OK:
        return;
    default:
        batch->locked = is_lock(PQresultErrorField(r, PG_DIAG_SQLSTATE));
        store_note_error(batch->lane->store, r);
        pg_clean(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY), batch->detail,
                 sizeof(batch->detail));
        batch->failed = true;
        return;
    }
}

static void release(struct write_batch *batch) {
    PQclear(batch->rows);
    PQclear(batch->old);
    free(batch->cells);
    free(batch);
}

static void answer_all(struct write_batch *batch, enum store_status status) {
    const struct store_ack ack = {.status = status, .detail = batch->detail};
    for (struct store_write *write = batch->first, *next; write != NULL; write = next) {
        next = write->next;
        write->done(write, &ack);
    }
}

/* Every row's version goes to all cells of its key. `changed` counts a key of a request once,
 * however often it was named. */
static void match_rows(const struct write_batch *batch, uint64_t *versions, uint32_t *changed) {
    for (int row = 0; batch->rows != NULL && row < PQntuples(batch->rows); row++) {
        struct span key =
            span_of(PQgetvalue(batch->rows, row, 0), (size_t)PQgetlength(batch->rows, row, 0));
        uint32_t low = 0, high = batch->cells_count;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            const struct cell *cell = &batch->cells[middle];
            if (span_compare(cell->write->keys[cell->index], key) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        for (uint32_t at = low; at < batch->cells_count; at++) {
            const struct cell *cell = &batch->cells[at];
            if (!span_equal(cell->write->keys[cell->index], key))
                break;
            versions[cell->slot] = (uint64_t)pg_array_int64(PQgetvalue(batch->rows, row, 1));
            if (at == low || batch->cells[at - 1].request != cell->request)
                changed[cell->request]++;
        }
    }
}

static void answer_committed(struct write_batch *batch) {
    uint64_t *versions = calloc(batch->cells_count + 1, sizeof(*versions));
    uint32_t *changed = calloc(batch->requests + 1, sizeof(*changed));
    if (versions == NULL ||
        changed == NULL) { /* committed, but we cannot say what: the askers must read */
        free(versions);
        free(changed);
        answer_all(batch, STORE_UNCERTAIN);
        return;
    }
    match_rows(batch, versions, changed);
    bool trusted = store_lane_trusted(batch->lane);
    uint32_t slot = 0, request = 0;
    for (struct store_write *write = batch->first, *next; write != NULL; write = next) {
        next = write->next;
        struct store_ack ack = {.status = STORE_OK,
                                .versions = versions + slot,
                                .changed = changed[request],
                                .cacheable = trusted};
        if (write->want_old && batch->old != NULL && PQntuples(batch->old) == 1) {
            ack.had_old = true;
            ack.old = span_of(PQgetvalue(batch->old, 0, 0), (size_t)PQgetlength(batch->old, 0, 0));
        }
        slot += write->count;
        request++;
        write->done(write, &ack);
    }
    free(versions);
    free(changed);
}

/* Nothing of the batch was written. Its requests get a chance alone, or the error if they had
 * theirs. */
static void try_alone(struct write_batch *batch) {
    struct store *s = batch->lane->store;
    const struct store_ack refused = {.status = batch->locked ? STORE_LOCKED : STORE_REFUSED,
                                      .detail = batch->detail};
    for (struct store_write *write = batch->first, *next; write != NULL; write = next) {
        next = write->next;
        bool was_alone = batch->requests == 1 && !batch->locked;
        if (was_alone || write->attempt >= ATTEMPTS_MAX || !s->slow.ready) {
            write->done(write, &refused);
            continue;
        }
        write->attempt++;
        write->sent = false;
        s->figures.retried_alone++;
        store_queue_push(&s->alone, write);
    }
}

static void on_end(struct pg_group *group, enum pg_group_end end) {
    struct write_batch *batch = (struct write_batch *)group;
    struct store *s = batch->lane->store;
    batch->lane->busy--;
    if (end == PG_GROUP_LOST)
        answer_all(batch, STORE_UNCERTAIN);
    else if (batch->failed)
        try_alone(batch);
    else
        answer_committed(batch);
    release(batch);
    store_pump_later(s);
}

/* ---- sending ---- */

static bool send_statement(struct store_lane *lane, enum store_statement statement,
                           const struct buf *keys, const struct buf *values) {
    const char *const params[] = {keys->data, values != NULL ? values->data : NULL};
    const int lengths[] = {(int)buf_len(keys), values != NULL ? (int)buf_len(values) : 0},
              formats[] = {1, 1};
    char name[8];
    snprintf(name, sizeof(name), "s%d", (int)statement);
    return PQsendQueryPrepared(pg_conn_raw(lane->conn), name, values != NULL ? 2 : 1, params,
                               lengths, formats, 1) == 1;
}

static bool send_lock_timeout(struct store_lane *lane, int ms) {
    char name[8], text[16];
    snprintf(name, sizeof(name), "s%d", STORE_SQL_LOCK_ON);
    snprintf(text, sizeof(text), "%dms", ms);
    const char *const params[] = {text};
    return PQsendQueryPrepared(pg_conn_raw(lane->conn), name, 1, params, NULL, NULL, 1) == 1;
}

/* The statements of one Sync. lock_timeout is set back before the end: it would hit the lock that
 * NOTIFY takes at COMMIT too (F14). */
static bool send_statements(struct write_batch *batch, int lock_timeout_ms, const struct buf *keys,
                            const struct buf *values) {
    const struct store_write *first = batch->first;
    struct store_lane *lane = batch->lane;
    bool sent = send_lock_timeout(lane, lock_timeout_ms);
    if (first->want_old) {
        if (first->op == STORE_SET || first->op == STORE_SET_NX)
            sent = sent && send_statement(lane, STORE_SQL_PLACEHOLDER, keys, values);
        sent = sent && send_statement(lane, STORE_SQL_OLD, keys, NULL);
    }
    switch (first->op) {
    case STORE_SET:
        sent = sent && send_statement(lane, STORE_SQL_PUT, keys, values);
        break;
    case STORE_SET_NX:
        sent = sent && send_statement(lane, STORE_SQL_PUT_NX, keys, values);
        break;
    case STORE_SET_XX:
        sent = sent && send_statement(lane, STORE_SQL_PUT_XX, keys, values);
        break;
    case STORE_DELETE:
        sent = sent && send_statement(lane, STORE_SQL_DELETE, keys, NULL);
        break;
    }
    return sent && send_lock_timeout(lane, 0);
}

static void make_cells(struct write_batch *batch) {
    uint32_t slot = 0, request = 0;
    for (struct store_write *write = batch->first; write != NULL; write = write->next, request++) {
        for (uint32_t i = 0; i < write->count; i++, slot++)
            batch->cells[slot] = (struct cell){write, i, slot, request};
    }
    qsort(batch->cells, batch->cells_count, sizeof(struct cell), compare);
}

static bool same_key(const struct cell *a, const struct cell *b) {
    return span_equal(a->write->keys[a->index], b->write->keys[b->index]);
}

/* Send requests that are linked through next (taken from their queue already). */
static void send_batch(struct store_lane *lane, struct store_write *first, uint32_t requests,
                       uint32_t cells, int lock_timeout_ms) {
    struct write_batch *batch = calloc(1, sizeof(*batch));
    struct cell *sorted = malloc(cells * sizeof(*sorted));
    if (batch == NULL || sorted == NULL) {
        free(batch);
        free(sorted);
        const struct store_ack busy = {.status = STORE_BUSY};
        for (struct store_write *write = first, *next; write != NULL; write = next) {
            next = write->next;
            write->done(write, &busy);
        }
        return;
    }
    *batch = (struct write_batch){.group = {.on_result = on_result, .on_end = on_end},
                                  .lane = lane,
                                  .first = first,
                                  .requests = requests,
                                  .cells_count = cells,
                                  .cells = sorted};
    make_cells(batch);
    struct buf keys, values;
    buf_init(&keys, 0);
    buf_init(&values, 0);
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < cells; i++)
        distinct += i == 0 || !same_key(&sorted[i - 1], &sorted[i]);
    pg_array_begin(&keys, distinct);
    pg_array_begin(&values, distinct);
    for (uint32_t i = 0; i < cells; i++) {
        if (i != 0 && same_key(&sorted[i - 1], &sorted[i]))
            continue;
        pg_array_add(&keys, sorted[i].write->keys[sorted[i].index]);
        if (first->op != STORE_DELETE)
            pg_array_add(&values, sorted[i].write->values[sorted[i].index]);
    }
    for (struct store_write *write = first; write != NULL; write = write->next)
        write->sent = true;
    lane->busy++;
    lane->store->figures.writes += requests;
    lane->store->figures.write_batches++;
    if (keys.failed || values.failed || !send_statements(batch, lock_timeout_ms, &keys, &values))
        pg_conn_close(lane->conn, "a statement could not be sent");
    buf_release(&keys);
    buf_release(&values);
    pg_conn_send(lane->conn, &batch->group);
}

/* Requests that may share a statement. */
static bool is_shared(const struct store_write *write) {
    return !write->want_old && (write->op == STORE_SET || write->op == STORE_DELETE);
}

static size_t bytes_of(const struct store_write *write) {
    size_t sum = 0;
    for (uint32_t i = 0; i < write->count; i++)
        sum += write->keys[i].len + (write->op != STORE_DELETE ? write->values[i].len : 0);
    return sum;
}

/* All waiting requests of one kind, up to a batch's bounds, as one statement. */
static void send_shared(struct store_lane *lane, enum store_op op) {
    struct store *s = lane->store;
    struct store_write *first = NULL, **tail = &first;
    uint32_t requests = 0, cells = 0;
    size_t bytes = 0;
    for (struct store_write *write = s->queue.first, *next; write != NULL; write = next) {
        next = write->next;
        if (!is_shared(write) || write->op != op)
            continue;
        if (requests != 0 && (cells + write->count > STORE_BATCH_ROWS_MAX ||
                              bytes + bytes_of(write) > STORE_BATCH_BYTES_MAX))
            break;
        store_queue_remove(&s->queue, write);
        *tail = write;
        tail = &write->next;
        requests++;
        cells += write->count;
        bytes += bytes_of(write);
    }
    *tail = NULL;
    if (first != NULL)
        send_batch(lane, first, requests, cells, LOCK_TIMEOUT_BATCH_MS);
}

static void send_single(struct store_lane *lane, struct store_queue *queue,
                        struct store_write *write, int lock_timeout_ms) {
    store_queue_remove(queue, write);
    write->next = NULL;
    send_batch(lane, write, 1, write->count, lock_timeout_ms);
}

void store_write_send(struct store_lane *lane) {
    struct store *s = lane->store;
    send_shared(lane, STORE_SET);
    send_shared(lane, STORE_DELETE);
    unsigned singles = 0;
    for (struct store_write *write = s->queue.first, *next;
         write != NULL && singles < STORE_SINGLES_MAX; write = next) {
        next = write->next;
        if (!is_shared(write)) {
            send_single(lane, &s->queue, write, LOCK_TIMEOUT_BATCH_MS);
            singles++;
        }
    }
}

void store_alone_send(struct store_lane *lane) {
    struct store_queue *queue = &lane->store->alone;
    /* First those that may well be free; the one that is known to be locked goes last, and alone.
     */
    unsigned sent = 0;
    for (struct store_write *write = queue->first, *next; write != NULL && sent < STORE_ALONE_MAX;
         write = next) {
        next = write->next;
        if (write->attempt == 1) {
            send_single(lane, queue, write, LOCK_TIMEOUT_FIRST_MS);
            sent++;
        }
    }
    if (sent == 0 && queue->first != NULL)
        send_single(lane, queue, queue->first, LOCK_TIMEOUT_ALONE_MS);
}
