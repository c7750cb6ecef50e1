/* Fills: misses that arrive while a read is under way go out together. */
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/plant.h"
#include "pg_array.h"
#include "store_private.h"

struct wanted {
    struct store_get *get;
    int row; /* of the result; -1: none */
};

struct read_batch {
    struct pg_group group;
    struct store_lane *lane;
    PGresult *rows;
    struct replica_place place; /* of a replica, in the statement before */
    bool failed, placed;
    uint32_t count;
    struct wanted wanted[]; /* sorted by key */
};

static int compare(const void *a, const void *b) {
    const struct wanted *x = a, *y = b;
    return span_compare(x->get->key, y->get->key);
}

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct read_batch *batch = (struct read_batch *)group;
    PGresult *r = (PGresult *)result;
    bool of_replica = batch->lane->kind == STORE_LANE_REPLICA;
    if (PQresultStatus(r) == PGRES_TUPLES_OK && of_replica &&
        PQnfields(r) == REPLICA_PLACE_FIELDS) {
        batch->placed = true;
        store_replica_read_place(r, &batch->place);
    } else if (PQresultStatus(r) == PGRES_TUPLES_OK && batch->rows == NULL) {
        batch->rows = PQcopyResult(r, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
        batch->failed = batch->failed || batch->rows == NULL;
    } else {
        store_note_error(batch->lane->store, r);
        batch->failed = true;
    }
}

static struct span field(const PGresult *rows, int row, int column) {
    return span_of(PQgetvalue(rows, row, column), (size_t)PQgetlength(rows, row, column));
}

/* The first get of the batch with this key. */
static uint32_t position(const struct read_batch *batch, struct span key) {
    uint32_t low = 0, high = batch->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (span_compare(batch->wanted[middle].get->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Its values, all of them. */
static uint64_t bytes_of(const struct read_batch *batch) {
    uint64_t bytes = 0;
    for (int row = 0, rows = batch->rows == NULL ? 0 : PQntuples(batch->rows); row < rows; row++)
        bytes += (uint64_t)PQgetlength(batch->rows, row, 1);
    return bytes;
}

/* Whatever it is, it is said with where the replica was before. */
static void give_replica_row(const struct read_batch *batch, const struct wanted *wanted) {
    struct store_origin origin = {.place = &batch->place, .found = wanted->row >= 0};
    struct store_row row = {.ttl_ms = -1, .cacheable = true, .origin = &origin};
    if (wanted->row >= 0) {
        const PGresult *rows = batch->rows;
        row.present = *PQgetvalue(rows, wanted->row, 3) != 0;
        row.payload = field(rows, wanted->row, 1);
        row.version = (uint64_t)pg_array_int64(PQgetvalue(rows, wanted->row, 2));
        origin.expires = *PQgetvalue(rows, wanted->row, 4) != 0;
        origin.transaction = (uint32_t)pg_array_int64(PQgetvalue(rows, wanted->row, 5));
    }
    wanted->get->done(wanted->get, STORE_OK, &row, NULL);
}

static void give_row(const struct read_batch *batch, const struct wanted *wanted, bool trusted) {
    struct store_row row = {.ttl_ms = -1, .cacheable = trusted};
    if (wanted->row >= 0) {
        row.present = true;
        row.payload = field(batch->rows, wanted->row, 1);
        row.version = (uint64_t)pg_array_int64(PQgetvalue(batch->rows, wanted->row, 2));
        if (!PQgetisnull(batch->rows, wanted->row, 3))
            row.ttl_ms = pg_array_int64(PQgetvalue(batch->rows, wanted->row, 3));
    }
    wanted->get->done(wanted->get, STORE_OK, &row, NULL);
}

static void on_end(struct pg_group *group, enum pg_group_end end) {
    struct read_batch *batch = (struct read_batch *)group;
    struct store_lane *lane = batch->lane;
    bool of_replica = lane->kind == STORE_LANE_REPLICA;
    bool whole = end == PG_GROUP_SYNCED && !batch->failed && batch->rows != NULL &&
                 batch->placed == of_replica;
    bool trusted = whole && store_lane_trusted(lane); /* lost for good, it has no connection */
    lane->busy--;
    if (!of_replica)
        fill_gate_give(&lane->store->gate, batch->count, bytes_of(batch));
    else if (end == PG_GROUP_SYNCED)
        store_replica_heard(lane->store, whole);
    int rows = whole ? PQntuples(batch->rows) : 0;
    lane->store->figures.rows += (uint64_t)rows;
    for (int i = 0; i < rows; i++) {
        struct span key = field(batch->rows, i, 0);
        for (uint32_t at = position(batch, key);
             at < batch->count && span_equal(batch->wanted[at].get->key, key); at++)
            batch->wanted[at].row = i;
    }
    for (uint32_t at = 0; at < batch->count;
         at++) { /* an answer may free the request and its key */
        struct store_get *get = batch->wanted[at].get;
        if (whole && of_replica)
            give_replica_row(batch, &batch->wanted[at]);
        else if (whole)
            give_row(batch, &batch->wanted[at], trusted);
        else
            get->done(get, STORE_FAILED, NULL, lane->store->last_error);
    }
    PQclear(batch->rows);
    store_pump_later(lane->store);
    free(batch);
}

/* Where a replica is comes first, in a statement of its own: what it has replayed by then, the
 * rows' snapshot has. */
static bool send_statements(struct store_lane *lane, const struct buf *keys) {
    bool of_replica = lane->kind == STORE_LANE_REPLICA;
    const char *const values[] = {keys->data};
    const int lengths[] = {(int)buf_len(keys)};
    if (of_replica && !PLANTED(replica_lsn_same_statement) && !store_replica_send_place(lane))
        return false;
    return store_sql_send(lane->conn, of_replica ? STORE_SQL_REPLICA_GET : STORE_SQL_GET, 1, values,
                          lengths) &&
           (!of_replica || !PLANTED(replica_lsn_same_statement) || store_replica_send_place(lane));
}

void store_read_send(struct store_lane *lane, struct store_gets *gets) {
    struct store *s = lane->store;
    bool of_replica = lane->kind == STORE_LANE_REPLICA;
    uint32_t count = gets->count < STORE_BATCH_ROWS_MAX ? gets->count : STORE_BATCH_ROWS_MAX;
    count = of_replica ? count : fill_gate_take(&s->gate, count, clock_mono_ms());
    if (count == 0)
        return;
    struct read_batch *batch = calloc(1, sizeof(*batch) + count * sizeof(struct wanted));
    if (batch == NULL) { /* they wait for their time-out, or for memory */
        if (!of_replica)
            fill_gate_give(&s->gate, count, s->gate.row_bytes * count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        batch->wanted[i] = (struct wanted){gets->first, -1};
        gets->first->sent = true;
        gets->first = gets->first->next;
    }
    *(gets->first == NULL ? &gets->last : &gets->first->prev) = NULL;
    gets->count -= count;
    batch->count = count;
    batch->lane = lane;
    batch->group = (struct pg_group){.on_result = on_result, .on_end = on_end};
    qsort(batch->wanted, count, sizeof(struct wanted), compare);
    struct buf keys;
    buf_init(&keys, 0);
    pg_array_begin(&keys, count);
    for (uint32_t i = 0; i < count; i++)
        pg_array_add(&keys, batch->wanted[i].get->key);
    batch->failed = keys.failed || !send_statements(lane, &keys);
    buf_release(&keys);
    lane->busy++;
    *(of_replica ? &s->figures.replica_rows : &s->figures.reads) += count;
    *(of_replica ? &s->figures.replica_batches : &s->figures.read_batches) += 1;
    pg_conn_send(lane->conn, &batch->group);
}
