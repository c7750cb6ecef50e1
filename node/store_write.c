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

/* Requests that share a statement. */
struct write_batch {
    struct store_batch base;
    uint32_t cells_count;
    struct cell *cells; /* sorted by key */
    PGresult *rows;     /* keys and versions; NULL in the end: there was no memory for them */
};

static int compare(const void *a, const void *b) {
    const struct cell *x = a, *y = b;
    return span_compare(x->write->keys[x->index], y->write->keys[y->index]);
}

/* ---- results ---- */

/* A row was locked, a deadlock; or somebody else made the row that was not there a moment ago. */
bool store_is_lock(const char *state) {
    return state != NULL && (strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0 ||
                             strcmp(state, "23505") == 0);
}

void store_batch_error(struct store_batch *batch, const void *result) {
    batch->locked = store_is_lock(PQresultErrorField(result, PG_DIAG_SQLSTATE));
    store_note_error(batch->lane->store, result);
    pg_clean(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), batch->detail,
             sizeof(batch->detail));
    batch->failed = true;
}

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct write_batch *batch = (struct write_batch *)group;
    PGresult *r = (PGresult *)result;
    switch (PQresultStatus(r)) {
    case PGRES_PIPELINE_ABORTED:
        return; /* after the error that was noted */
    case PGRES_TUPLES_OK:
        if (PQnfields(r) == 2) /* and not set_config's */
            batch->rows = PQcopyResult(r, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
        return;
    default:
        store_batch_error(&batch->base, r);
        return;
    }
}

static void release(struct write_batch *batch) {
    PQclear(batch->rows);
    free(batch->cells);
    free(batch);
}

void store_batch_answer(struct store_batch *batch, enum store_status status) {
    const struct store_ack ack = {.status = status, .detail = batch->detail};
    for (struct store_write *write = batch->first, *next; write != NULL; write = next) {
        next = write->next;
        write->done(write, &ack);
    }
}

/* Every row's version goes to all cells of its key. `changed` counts a key of a request once,
 * however often it was named. */
static void match_rows(const struct write_batch *batch, uint64_t *versions, uint32_t *changed) {
    for (int row = 0; row < PQntuples(batch->rows); row++) {
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
    uint32_t *changed = calloc(batch->base.requests + 1, sizeof(*changed));
    if (versions == NULL || changed == NULL || batch->rows == NULL) {
        /* Committed, but there was no memory to say what: the askers must read. */
        free(versions);
        free(changed);
        store_batch_answer(&batch->base, STORE_UNCERTAIN);
        return;
    }
    match_rows(batch, versions, changed);
    bool trusted = store_lane_trusted(batch->base.lane);
    uint32_t slot = 0, request = 0;
    for (struct store_write *write = batch->base.first, *next; write != NULL; write = next) {
        next = write->next;
        const struct store_ack ack = {.status = STORE_OK,
                                      .versions = versions + slot,
                                      .changed = changed[request],
                                      .cacheable = trusted};
        slot += write->count;
        request++;
        write->done(write, &ack);
    }
    free(versions);
    free(changed);
}

/* Nothing of the batch was written. Its requests get a chance alone, or the error if they had
 * theirs. */
void store_batch_retry(struct store_batch *batch) {
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
    struct store *s = batch->base.lane->store;
    batch->base.lane->busy--;
    if (end == PG_GROUP_LOST)
        store_batch_answer(&batch->base, STORE_UNCERTAIN);
    else if (batch->base.failed)
        store_batch_retry(&batch->base);
    else
        answer_committed(batch);
    release(batch);
    store_pump_later(s);
}

/* ---- sending ---- */

bool store_lock_timeout_send(struct store_lane *lane, int ms) {
    char text[16];
    snprintf(text, sizeof(text), "%dms", ms);
    const char *const params[] = {text};
    return store_sql_send(lane->conn, STORE_SQL_LOCK_ON, 1, params, NULL);
}

/* The statements of one Sync. */
static bool send_statements(struct write_batch *batch, int lock_timeout_ms, const struct buf *keys,
                            const struct buf *values) {
    struct store_lane *lane = batch->base.lane;
    enum store_op op = batch->base.first->op;
    enum store_statement statement = op == STORE_SET      ? STORE_SQL_PUT
                                     : op == STORE_SET_NX ? STORE_SQL_PUT_NX
                                                          : STORE_SQL_DELETE;
    const char *const params[] = {keys->data, values->data};
    const int lengths[] = {(int)buf_len(keys), (int)buf_len(values)};
    int count = store_op_takes_value(op) ? 2 : 1;
    return store_lock_timeout_send(lane, lock_timeout_ms) &&
           store_sql_send(lane->conn, statement, count, params, lengths) &&
           store_lock_timeout_send(lane, 0);
}

static void make_cells(struct write_batch *batch) {
    uint32_t slot = 0, request = 0;
    for (struct store_write *write = batch->base.first; write != NULL;
         write = write->next, request++) {
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
    *batch = (struct write_batch){.base = {.group = {.on_result = on_result, .on_end = on_end},
                                           .lane = lane,
                                           .first = first,
                                           .requests = requests},
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
        if (store_op_takes_value(first->op))
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
    pg_conn_send(lane->conn, &batch->base.group);
}

/* MSETNX: its keys are one statement; it shares it with nobody, as it may do nothing. */
static bool is_set_nx_of_many(const struct store_write *write) {
    return write->op == STORE_SET_NX && write->count > 1;
}

bool store_write_is_shared(const struct store_write *write) {
    return !write->want_old && write->more == NULL &&
           (write->op == STORE_SET || write->op == STORE_DELETE || is_set_nx_of_many(write));
}

static size_t bytes_of(const struct store_write *write) {
    size_t sum = 0;
    for (uint32_t i = 0; i < write->count; i++)
        sum += write->keys[i].len + (store_op_takes_value(write->op) ? write->values[i].len : 0);
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
        if (!store_write_is_shared(write) || write->op != op)
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

static void send_sets_nx(struct store_lane *lane) {
    struct store_queue *queue = &lane->store->queue;
    for (struct store_write *write = queue->first, *next; write != NULL; write = next) {
        next = write->next;
        if (!store_write_is_shared(write) || !is_set_nx_of_many(write))
            continue;
        store_queue_remove(queue, write);
        write->next = NULL;
        send_batch(lane, write, 1, write->count, LOCK_TIMEOUT_BATCH_MS);
    }
}

void store_write_send(struct store_lane *lane) {
    send_shared(lane, STORE_SET);
    send_shared(lane, STORE_DELETE);
    send_sets_nx(lane);
    store_edit_send(lane, &lane->store->queue, lane->store->queue.first, STORE_EDITS_MAX,
                    LOCK_TIMEOUT_BATCH_MS);
}

static void send_alone(struct store_lane *lane, struct store_write *write, int lock_timeout_ms) {
    struct store_queue *queue = &lane->store->alone;
    if (!store_write_is_shared(write)) {
        store_edit_send(lane, queue, write, 1, lock_timeout_ms);
        return;
    }
    store_queue_remove(queue, write);
    write->next = NULL;
    send_batch(lane, write, 1, write->count, lock_timeout_ms);
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
            send_alone(lane, write, LOCK_TIMEOUT_FIRST_MS);
            sent++;
        }
    }
    if (sent == 0 && queue->first != NULL)
        send_alone(lane, queue->first, LOCK_TIMEOUT_ALONE_MS);
}
