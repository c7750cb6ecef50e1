/*
 * store_private: what store.c (connections), store_queue.c (queues), store_read.c, store_write.c
 * and store_sql.c share. For these alone.
 */
#ifndef RINGFENCE_STORE_PRIVATE_H
#define RINGFENCE_STORE_PRIVATE_H

#include "../common/buf.h"
#include "fill_gate.h"
#include "pg_conn.h"
#include "replica.h"
#include "store.h"
#include "store_pg.h"
#include "write_gate.h"

enum {
    STORE_CONNECTIONS_MAX = 16,
    STORE_BATCH_ROWS_MAX = 512,
    STORE_BATCH_BYTES_MAX = 4 << 20,
    STORE_EDITS_MAX = 64, /* one-key writes that share a transaction, each with its statement */
    STORE_ALONE_MAX = 16, /* retries that the slow lane has under way */
    STORE_WAITING_MAX = 65536, /* requests in each queue */
    STORE_QUERIES_MAX = 1024,  /* questions in the queue */
    REPLICA_PLACE_FIELDS = 3,  /* of the answer where a server is */
    STORE_EDIT_PARAMS = 8,     /* of an edit's statement; store_sql_edit.c says what they are */
};

/* Statements, by the name they are prepared under. */
enum store_statement {
    STORE_SQL_GET,
    STORE_SQL_PUT,
    STORE_SQL_PUT_NX,
    STORE_SQL_DELETE,
    STORE_SQL_LOCK_ON,
    STORE_SQL_COUNT,
    STORE_SQL_ESTIMATE,
    STORE_SQL_ROW,
    STORE_SQL_ROWS,
    STORE_SQL_EXEC_LOCK,
    STORE_SQL_EXEC_HOLD,
    STORE_SQL_EXEC_ROWS,
    STORE_SQL_EXEC_CHECK,
    STORE_SQL_EXEC_GUARD,
    STORE_SQL_SCAN,
    STORE_SQL_SCAN_INDEX,
    STORE_SQL_LIST,
    STORE_SQL_TALLY,
    STORE_SQL_FLUSH,
    STORE_SQL_SWEEP,
    STORE_SQL_PRIMARY_PLACE,
    STORE_SQL_REPLICA_PLACE,
    STORE_SQL_REPLICA_GET,
    /* one key each: eight parameters, one row */
    STORE_SQL_EDIT_SET,
    STORE_SQL_EDIT_DELETE,
    STORE_SQL_EDIT_EXPIRE,
    STORE_SQL_EDIT_PERSIST,
    STORE_SQL_EDIT_ADD,
    STORE_SQL_EDIT_ADD_DECIMAL,
    STORE_SQL_EDIT_APPEND,
    STORE_SQL_EDIT_OVERLAY,
    STORE_SQL_EDIT_ENABLE,
    STORE_SQL_EDIT_DISABLE,
    STORE_SQL_STATEMENTS
};

struct store_queue {
    struct store_write *first, *last;
    uint32_t count;
};

struct store_queries {
    struct store_query *first, *last;
    uint32_t count;
};

enum store_lane_kind {
    STORE_LANE_READ,
    STORE_LANE_WRITE,
    STORE_LANE_SLOW,
    STORE_LANE_EXEC,
    STORE_LANE_REPLICA
};

struct store_gets {
    struct store_get *first, *last;
    uint32_t count;
};

/* One connection of the pool and the batches it may have under way. */
struct store_lane {
    struct store *store;
    enum store_lane_kind kind;
    struct pg_conn *conn;
    struct pg_group prepare;
    bool prepare_failed, ready;
    unsigned busy; /* batches without an end */
    struct write_gate gate;
    char name[24];
};

/* What is asked for floors (replica.h), and how long the replica has owed an answer. */
struct store_replica {
    struct store_lane lane;
    struct pg_group floor; /* to the primary, on a connection that is lent */
    char floor_identity[160];
    struct replica_place floor_place;
    bool asking_primary, floor_said;
    struct pg_group probe; /* to the replica */
    struct replica_place probe_place;
    bool probing, said_other;
    int64_t owes_since_ms; /* 0: it owes nothing */
};

struct store {
    struct store_pg_conf conf;
    struct event_base *base;
    char *table, *channel; /* quoted name; channel */
    char *sql[STORE_SQL_STATEMENTS];
    char identity[160]; /* of the feed's server */
    struct store_lane reads[STORE_CONNECTIONS_MAX], writes[STORE_CONNECTIONS_MAX], slow,
        execs[STORE_CONNECTIONS_MAX];
    struct store_replica replica;
    unsigned lent; /* turn of store_pg_lend() */
    struct store_gets gets, replica_gets;
    struct fill_gate gate;                /* for `gets` */
    struct store_queries queries, chores; /* chores: those that change rows */
    bool scan_index_known;                /* whether there is one was looked up, and logged */
    struct store_queue queue, alone;      /* writes to send; writes to try again one by one */
    struct store_queue transactions;
    struct event *pump; /* sends what was queued in this turn */
    bool closing;
    bool moved; /* for store_pg_moved() */
    struct store_figures figures;
    char last_error[256];
};

/* Writes that share a Sync: first in store_write.c's batches and in store_edit.c's. */
struct store_batch {
    struct pg_group group;
    struct store_lane *lane;
    struct store_write *first; /* linked by next */
    uint32_t requests;
    bool failed, locked;
    char detail[256];
};

/** store_sql_make(store, key, payload, active): every statement's text, with quoted names. False
 * without memory or for a bad table name. */
bool store_sql_make(struct store *store);

/** store_sql_edit(statement): an edit's text, with its names still as {K}; store_sql_edit_part(c):
 * what {B}, {D} and {E} stand for in it. */
const char *store_sql_edit(enum store_statement statement);
const char *store_sql_edit_part(char part);
extern const unsigned STORE_EDIT_TYPES[STORE_EDIT_PARAMS]; /* Oid */

/** store_sql_prepare(lane): send the PREPAREs as one group; lane->ready follows. */
void store_sql_prepare(struct store_lane *lane);

/** store_sql_send(conn, statement, count, values, lengths): send a prepared statement with `count`
 * parameters, at most STORE_EDIT_PARAMS, in binary; with `lengths` NULL each is a C string of text.
 * Results are in binary. Copies what it is given. False: it could not be sent; close `conn`. */
bool store_sql_send(struct pg_conn *conn, enum store_statement statement, int count,
                    const char *const *values, const int *lengths);

/** store_pump_later(store): something was queued, or a lane is free again. store_pump(): the
 * callback of store->pump (event_callback_fn; `fd` and `what` say nothing). */
void store_pump_later(struct store *store);
void store_pump(int fd, short what, void *store);

/** store_any_ready(lanes, count): one of them at least. */
bool store_any_ready(const struct store_lane *lanes, int64_t count);

/** store_lane_trusted(lane): what it says may be cached. */
bool store_lane_trusted(const struct store_lane *lane);

/** store_note_error(store, result): count and keep an error's text; returns the clean text, valid
 * until the next. `result`: PGresult *. */
const char *store_note_error(struct store *store, const void *result);

/** store_read_send(lane, gets) / store_write_send(lane) / store_alone_send(lane): send what waits,
 * as far as a batch allows; store_query_send(lane, queries): one question. */
void store_read_send(struct store_lane *lane, struct store_gets *gets);
void store_query_send(struct store_lane *lane, struct store_queries *queries);
void store_write_send(struct store_lane *lane);
void store_alone_send(struct store_lane *lane);

/* store_replica.c */
/** store_replica_open(store): false without memory. store_replica_get(store, get): store_get().
 * store_replica_lost(store): its lane is down. store_replica_tick(): floors, time-outs. */
bool store_replica_open(struct store *store);
enum store_status store_replica_get(struct store *store, struct store_get *get);
void store_replica_lost(struct store *store);
void store_replica_tick(struct store *store, int64_t now_mono_ms);

/** store_replica_heard(store, whole): a batch of it ended: what else it owes, it owes from now on.
 */
void store_replica_heard(struct store *store, bool whole);

/** store_replica_send_place(lane): the statement that asks where it is. */
bool store_replica_send_place(struct store_lane *lane);

/** store_replica_read_place(result, out): of `result` (PGresult *), what a replica says of itself;
 * not known, if it says nothing. */
void store_replica_read_place(const void *result, struct replica_place *out);

/** store_gets_push(store, gets, get): behind the last; BUSY when there are too many.
 * store_refuse_gets(gets): all of them: DOWN. */
enum store_status store_gets_push(struct store *store, struct store_gets *gets,
                                  struct store_get *get);
void store_refuse_gets(struct store_gets *gets);

/** store_open_lane(store, lane, kind, number): its connection begins. False without memory. */
bool store_open_lane(struct store *store, struct store_lane *lane, enum store_lane_kind kind,
                     unsigned number);

/** store_write_is_shared(write): plain enough for a statement with others; else it is an edit. */
bool store_write_is_shared(const struct store_write *write);

/** store_edit_send(lane, queue, from, edits_max, lock_timeout_ms): send the queue's edits from
 * `from` (or NULL) on, as one transaction. */
void store_edit_send(struct store_lane *lane, struct store_queue *queue, struct store_write *from,
                     uint32_t edits_max, int lock_timeout_ms);

/** store_exec_send(lane): the first transaction that waits. */
void store_exec_send(struct store_lane *lane);

/** store_edit_statement_send(lane, write): an edit's statement. store_edit_result(result, version,
 * out): what it gave; borrows from `result` (PGresult *). */
bool store_edit_statement_send(struct store_lane *lane, const struct store_write *write);
void store_edit_result(const void *result, uint64_t *version, struct store_result *out);

/** store_whole_row(result, out): what STORE_SQL_ROW gave; borrows from `result` (PGresult *). */
void store_whole_row(const void *result, struct store_answer *out);

/** store_rows_match(result, keys, count, rows): the rows of `result` (PGresult *) in the order of
 * `keys`, which are sorted. Borrows from it. store_keys_send(lane, statement, keys, count): a
 * statement that takes keys. */
void store_rows_match(const void *result, const struct span *keys, uint32_t count,
                      struct store_row *rows);
bool store_keys_send(struct store_lane *lane, enum store_statement statement,
                     const struct span *keys, uint32_t count);

/** store_is_lock(state): this SQLSTATE says that somebody was in the way. */
bool store_is_lock(const char *state);

/** store_lock_timeout_send(lane, ms): how long the statements that follow wait for a row; before
 * the Sync it is set back to 0, as it would hit the lock that NOTIFY takes at COMMIT too (F14). */
bool store_lock_timeout_send(struct store_lane *lane, int ms);

/** store_batch_error(batch, result): `result` (PGresult *) failed: nothing of the batch is written.
 */
void store_batch_error(struct store_batch *batch, const void *result);

/** store_batch_answer(batch, status): the same to all. store_batch_retry(batch): each alone, or its
 * error. */
void store_batch_answer(struct store_batch *batch, enum store_status status);
void store_batch_retry(struct store_batch *batch);

void store_queue_push(struct store_queue *queue, struct store_write *write);
void store_queue_remove(struct store_queue *queue, struct store_write *write);

#endif
