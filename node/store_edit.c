/*
 * Edits: writes of one key that look at the row first. Those that wait together share a
 * transaction, one statement each, sent by key, so that two nodes never lock in different orders.
 * If it fails each is tried alone (rule 12).
 */
#include <endian.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "pg_array.h"
#include "store_private.h"

enum { RESULT_FIELDS = 5, VERSION = 0, OUTCOME, PAYLOAD, TTL, OLD };

struct edit_batch {
    struct store_batch base;
    uint32_t received;
    PGresult *results[]; /* in the order of the requests */
};

static enum store_statement statement_of(enum store_op op) {
    switch (op) {
    case STORE_SET:
    case STORE_SET_NX:
    case STORE_SET_XX:
    case STORE_SET_IFEQ:
    case STORE_SET_VERSION:
        return STORE_SQL_EDIT_SET;
    case STORE_DELETE:
        return STORE_SQL_EDIT_DELETE;
    case STORE_EXPIRE:
        return STORE_SQL_EDIT_EXPIRE;
    case STORE_PERSIST:
        return STORE_SQL_EDIT_PERSIST;
    case STORE_ADD:
        return STORE_SQL_EDIT_ADD;
    case STORE_ADD_DECIMAL:
        return STORE_SQL_EDIT_ADD_DECIMAL;
    case STORE_APPEND:
        return STORE_SQL_EDIT_APPEND;
    case STORE_OVERLAY:
        return STORE_SQL_EDIT_OVERLAY;
    case STORE_ENABLE:
        return STORE_SQL_EDIT_ENABLE;
    case STORE_DISABLE:
        return STORE_SQL_EDIT_DISABLE;
    case STORE_LOOK:
    case STORE_EXEC:
        break;
    }
    return STORE_SQL_EDIT_SET;
}

/* $7: which condition a SET has, those of an EXPIRE, or the longest result. */
static int64_t condition_of(const struct store_write *write, const struct store_more *more) {
    switch (write->op) {
    case STORE_SET_NX:
        return 1;
    case STORE_SET_XX:
        return 2;
    case STORE_SET_IFEQ:
        return 3;
    case STORE_SET_VERSION:
        return 4;
    case STORE_EXPIRE:
        return more->conditions;
    case STORE_APPEND:
    case STORE_OVERLAY:
        return more->bytes_max;
    default:
        return 0;
    }
}

/* ---- results ---- */

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct edit_batch *batch = (struct edit_batch *)group;
    PGresult *r = (PGresult *)result;
    switch (PQresultStatus(r)) {
    case PGRES_PIPELINE_ABORTED:
        return; /* after the error that was noted */
    case PGRES_TUPLES_OK:
        if (PQnfields(r) != RESULT_FIELDS || batch->received == batch->base.requests)
            return; /* set_config's */
        batch->results[batch->received] = PQcopyResult(r, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
        batch->base.failed = batch->base.failed || PQntuples(r) != 1;
        batch->received++;
        return;
    default:
        store_batch_error(&batch->base, r);
        return;
    }
}

static struct span text(const PGresult *r, int column) {
    return span_of(PQgetvalue(r, 0, column), (size_t)PQgetlength(r, 0, column));
}

void store_edit_result(const void *r, uint64_t *version, struct store_result *out) {
    *version = (uint64_t)pg_array_int64(PQgetvalue(r, 0, VERSION));
    *out = (struct store_result){
        .outcome = (enum store_outcome)pg_array_int64(PQgetvalue(r, 0, OUTCOME)),
        .live = !PQgetisnull(r, 0, PAYLOAD),
        .payload = text(r, PAYLOAD),
        .ttl_ms = PQgetisnull(r, 0, TTL) ? -1 : pg_array_int64(PQgetvalue(r, 0, TTL)),
        .had_old = !PQgetisnull(r, 0, OLD),
        .old = text(r, OLD)};
}

static void answer_one(struct store_write *write, const PGresult *r, bool trusted) {
    uint64_t version;
    struct store_result result;
    store_edit_result(r, &version, &result);
    const struct store_ack ack = {.status = STORE_OK,
                                  .versions = &version,
                                  .changed = version != 0,
                                  .result = &result,
                                  .cacheable = trusted};
    write->done(write, &ack);
}

static void answer_committed(struct edit_batch *batch) {
    bool trusted = store_lane_trusted(batch->base.lane);
    const struct store_ack unknown = {.status = STORE_UNCERTAIN}; /* no memory for its result */
    uint32_t request = 0;
    for (struct store_write *write = batch->base.first, *next; write != NULL; write = next) {
        const PGresult *r = batch->results[request++];
        next = write->next;
        if (r != NULL)
            answer_one(write, r, trusted);
        else
            write->done(write, &unknown);
    }
}

static void on_end(struct pg_group *group, enum pg_group_end end) {
    struct edit_batch *batch = (struct edit_batch *)group;
    struct store *s = batch->base.lane->store;
    batch->base.lane->busy--;
    if (end == PG_GROUP_LOST)
        store_batch_answer(&batch->base, STORE_UNCERTAIN);
    else if (batch->base.failed)
        store_batch_retry(&batch->base);
    else
        answer_committed(batch);
    for (uint32_t i = 0; i < batch->received; i++)
        PQclear(batch->results[i]);
    free(batch);
    store_pump_later(s);
}

/* ---- sending ---- */

bool store_edit_statement_send(struct store_lane *lane, const struct store_write *write) {
    static const struct store_more NOTHING;
    const struct store_more *more = write->more != NULL ? write->more : &NOTHING;
    const struct span value = store_op_takes_value(write->op) ? write->values[0] : SPAN("");
    const uint64_t numbers[] = {htobe64((uint64_t)more->expiry), htobe64((uint64_t)more->expiry_ms),
                                htobe64((uint64_t)more->number),
                                htobe64((uint64_t)condition_of(write, more)),
                                htobe64(write->want_old)};
    const char *params[STORE_EDIT_PARAMS] = {write->keys[0].ptr, value.len != 0 ? value.ptr : "",
                                             more->compare.len != 0 ? more->compare.ptr : ""};
    int lengths[STORE_EDIT_PARAMS] = {(int)write->keys[0].len, (int)value.len,
                                      (int)more->compare.len};
    for (int i = 3; i < STORE_EDIT_PARAMS; i++) {
        params[i] = (const char *)&numbers[i - 3];
        lengths[i] = sizeof(numbers[0]);
    }
    return store_sql_send(lane->conn, statement_of(write->op), STORE_EDIT_PARAMS, params, lengths);
}

static int by_key(const void *a, const void *b) {
    const struct store_write *const *x = a, *const *y = b;
    return span_compare((*x)->keys[0], (*y)->keys[0]);
}

/* Takes edits out of the queue, in the order of their keys; linked through next. */
static uint32_t take(struct store_queue *queue, struct store_write *from, uint32_t edits_max,
                     struct store_write **first_out) {
    struct store_write *taken[STORE_EDITS_MAX];
    uint32_t count = 0;
    size_t bytes = 0;
    for (struct store_write *write = from, *next; write != NULL && count < edits_max;
         write = next) {
        next = write->next;
        if (store_write_is_shared(write))
            continue;
        bytes += write->keys[0].len + (store_op_takes_value(write->op) ? write->values[0].len : 0);
        if (count != 0 && bytes > STORE_BATCH_BYTES_MAX)
            break;
        store_queue_remove(queue, write);
        taken[count++] = write;
    }
    qsort(taken, count, sizeof(taken[0]), by_key);
    for (uint32_t i = 0; i < count; i++)
        taken[i]->next = i + 1 < count ? taken[i + 1] : NULL;
    *first_out = count != 0 ? taken[0] : NULL;
    return count;
}

void store_edit_send(struct store_lane *lane, struct store_queue *queue, struct store_write *from,
                     uint32_t edits_max, int lock_timeout_ms) {
    struct store_write *first;
    uint32_t count = take(queue, from, edits_max, &first);
    if (count == 0)
        return;
    struct edit_batch *batch = calloc(1, sizeof(*batch) + count * sizeof(PGresult *));
    if (batch == NULL) {
        struct store_batch refused = {.first = first};
        store_batch_answer(&refused, STORE_BUSY);
        return;
    }
    batch->base = (struct store_batch){.group = {.on_result = on_result, .on_end = on_end},
                                       .lane = lane,
                                       .first = first,
                                       .requests = count};
    bool sent = store_lock_timeout_send(lane, lock_timeout_ms);
    for (struct store_write *write = first; write != NULL; write = write->next) {
        write->sent = true;
        sent = sent && store_edit_statement_send(lane, write);
    }
    sent = sent && store_lock_timeout_send(lane, 0);
    lane->busy++;
    lane->store->figures.writes += count;
    lane->store->figures.write_batches++;
    if (!sent)
        pg_conn_close(lane->conn, "a statement could not be sent");
    pg_conn_send(lane->conn, &batch->base.group);
}
