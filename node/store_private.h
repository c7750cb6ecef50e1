/*
 * store_private: what store.c (queues, connections), store_read.c, store_write.c and store_sql.c
 * share. For these alone.
 */
#ifndef RINGFENCE_STORE_PRIVATE_H
#define RINGFENCE_STORE_PRIVATE_H

#include "../common/buf.h"
#include "pg_conn.h"
#include "store.h"
#include "store_pg.h"

enum {
    STORE_CONNECTIONS_MAX = 16,
    STORE_BATCH_ROWS_MAX = 512,
    STORE_BATCH_BYTES_MAX = 4 << 20,
    STORE_SINGLES_MAX = 64, /* conditional writes that are sent in one go, each with its own Sync */
    STORE_ALONE_MAX = 16,   /* retries that the slow lane has under way */
    STORE_WAITING_MAX = 65536, /* requests in each queue */
};

/* Statements, by the name they are prepared under. */
enum store_statement {
    STORE_SQL_GET,
    STORE_SQL_PUT,
    STORE_SQL_PUT_NX,
    STORE_SQL_PUT_XX,
    STORE_SQL_DELETE,
    STORE_SQL_OLD,
    STORE_SQL_PLACEHOLDER,
    STORE_SQL_LOCK_ON,
    STORE_SQL_COUNT,
    STORE_SQL_ESTIMATE,
    STORE_SQL_STATEMENTS
};

struct store_queue {
    struct store_write *first, *last;
    uint32_t count;
};

enum store_lane_kind { STORE_LANE_READ, STORE_LANE_WRITE, STORE_LANE_SLOW };

/* One connection of the pool and the batches it may have under way. */
struct store_lane {
    struct store *store;
    enum store_lane_kind kind;
    struct pg_conn *conn;
    struct pg_group prepare;
    bool prepare_failed, ready;
    unsigned busy; /* batches without an end */
    char name[24];
};

struct store {
    struct store_pg_conf conf;
    struct event_base *base;
    char *table, *channel; /* quoted name; channel */
    char *sql[STORE_SQL_STATEMENTS];
    char identity[160]; /* of the feed's server */
    struct store_lane reads[STORE_CONNECTIONS_MAX], writes[STORE_CONNECTIONS_MAX], slow;
    unsigned lent; /* turn of store_pg_lend() */
    struct store_get *first_get, *last_get;
    uint32_t gets_waiting;
    struct store_count *counts;
    struct store_queue queue, alone; /* writes to send; writes to try again one by one */
    struct event *pump;              /* sends what was queued in this turn */
    bool closing;
    struct store_figures figures;
    char last_error[256];
};

/** store_sql_make(store, key, payload, active): every statement's text, with quoted names. False
 * without memory or for a bad table name. */
bool store_sql_make(struct store *store);

/** store_sql_prepare(lane): send the PREPAREs as one group; lane->ready follows. */
void store_sql_prepare(struct store_lane *lane);

/** store_pump_later(store): something was queued, or a lane is free again. */
void store_pump_later(struct store *store);

/** store_lane_trusted(lane): what it says may be cached. */
bool store_lane_trusted(const struct store_lane *lane);

/** store_note_error(store, result): count and keep an error's text; returns the clean text, valid
 * until the next. `result`: PGresult *. */
const char *store_note_error(struct store *store, const void *result);

/** store_read_send(lane) / store_write_send(lane) / store_alone_send(lane): send what waits, as far
 * as a batch allows. */
void store_read_send(struct store_lane *lane);
void store_count_send(struct store_lane *lane);
void store_write_send(struct store_lane *lane);
void store_alone_send(struct store_lane *lane);

void store_queue_push(struct store_queue *queue, struct store_write *write);
void store_queue_remove(struct store_queue *queue, struct store_write *write);

#endif
