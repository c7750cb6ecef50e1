#include "store.h"

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"
#include "hosts.h"
#include "store_private.h"

static void on_up(void *ctx, struct pg_conn *conn);
static void on_down(void *ctx, struct pg_conn *conn);

static const struct pg_conn_handlers HANDLERS = {.on_up = on_up, .on_down = on_down};

/* ---- lanes ---- */

bool store_open_lane(struct store *s, struct store_lane *lane, enum store_lane_kind kind,
                     unsigned number) {
    static const char *const NAMES[] = {[STORE_LANE_READ] = "read",
                                        [STORE_LANE_WRITE] = "write",
                                        [STORE_LANE_SLOW] = "slow",
                                        [STORE_LANE_EXEC] = "transaction",
                                        [STORE_LANE_REPLICA] = "replica"};
    bool reads = kind == STORE_LANE_READ || kind == STORE_LANE_REPLICA;
    bool replica = kind == STORE_LANE_REPLICA;
    lane->store = s;
    lane->kind = kind;
    snprintf(lane->name, sizeof(lane->name), "%s%u", NAMES[kind], number);
    const struct pg_conn_conf conf = {
        .conninfo = replica ? s->conf.read_conninfo : s->conf.conninfo,
        .hosts = replica ? NULL : s->conf.hosts,
        .standby = replica,
        .name = lane->name,
        .deadline_ms = reads ? s->conf.read_deadline_ms : s->conf.write_deadline_ms,
        .statement_timeout_ms =
            reads ? s->conf.read_deadline_ms : s->conf.write_deadline_ms * 3 / 4,
        .terminate_lost = !reads};
    lane->conn = pg_conn_new(s->base, &conf, &HANDLERS, lane);
    return lane->conn != NULL;
}

static void on_up(void *ctx, struct pg_conn *conn) {
    store_sql_prepare(ctx);
}

bool store_any_ready(const struct store_lane *lanes, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (lanes[i].ready)
            return true;
    }
    return false;
}

bool store_up(const struct store *store) {
    return store_any_ready(store->reads, store->conf.read_connections);
}

static void refuse_queries(struct store_queries *queries) {
    struct store_query *query = queries->first;
    *queries = (struct store_queries){0};
    for (struct store_query *next; query != NULL; query = next) {
        next = query->next;
        query->done(query, STORE_DOWN, NULL);
    }
}

void store_refuse_gets(struct store_gets *gets) {
    struct store_get *get = gets->first;
    *gets = (struct store_gets){0};
    for (struct store_get *each = get; each != NULL; each = each->next)
        each->sent = true; /* in no queue, whatever their answers set off */
    for (struct store_get *next; get != NULL; get = next) {
        next = get->next;
        get->done(get, STORE_DOWN, NULL, NULL);
    }
}

static void refuse_reads(struct store *s) {
    store_refuse_gets(&s->gets);
    refuse_queries(&s->queries);
}

static void refuse_writes(struct store_queue *queue) {
    struct store_write *write = queue->first;
    *queue = (struct store_queue){0};
    const struct store_ack ack = {.status = STORE_DOWN};
    for (struct store_write *next; write != NULL; write = next) {
        next = write->next;
        write->done(write, &ack);
    }
}

/* What waits for a kind of lane of which none is left is refused now: nothing of it was sent. */
static void on_down(void *ctx, struct pg_conn *conn) {
    struct store_lane *lane = ctx;
    struct store *s = lane->store;
    lane->ready = false;
    if (lane->kind == STORE_LANE_REPLICA) {
        store_replica_lost(s);
        return;
    }
    if (!store_any_ready(s->reads, s->conf.read_connections))
        refuse_reads(s);
    if (!store_any_ready(s->writes, s->conf.write_connections))
        refuse_writes(&s->queue);
    if (!s->slow.ready) {
        refuse_writes(&s->alone);
        refuse_queries(&s->chores);
    }
    if (!store_any_ready(s->execs, s->conf.transaction_connections))
        refuse_writes(&s->transactions);
}

bool store_lane_trusted(const struct store_lane *lane) {
    return lane->store->identity[0] != '\0' &&
           strcmp(lane->store->identity, pg_conn_identity(lane->conn)) == 0;
}

const char *store_note_error(struct store *store, const void *result) {
    store->figures.errors++;
    pg_clean(PQresultErrorMessage(result), store->last_error, sizeof(store->last_error));
    return store->last_error;
}

/* ---- making ---- */

struct store *store_pg_new(struct event_base *base, const struct store_pg_conf *conf, char *error,
                           unsigned error_size) {
    struct store *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    s->base = base;
    s->conf = *conf;
    s->gate = (struct fill_gate){.rows_max = (uint32_t)conf->fills_max,
                                 .lanes = (uint32_t)conf->read_connections,
                                 .rate_max = conf->fill_rate_max,
                                 .bytes_max = STORE_BATCH_BYTES_MAX};
    s->pump = event_new(base, -1, 0, store_pump, s);
    bool made = s->pump != NULL && store_sql_make(s);
    if (!made)
        snprintf(error, error_size,
                 "table '%.100s' is not schema.table (at most 55 bytes, no quotes)", conf->table);
    for (int64_t i = 0; made && i < conf->read_connections; i++)
        made = store_open_lane(s, &s->reads[i], STORE_LANE_READ, (unsigned)i + 1);
    for (int64_t i = 0; made && i < conf->write_connections; i++)
        made = store_open_lane(s, &s->writes[i], STORE_LANE_WRITE, (unsigned)i + 1);
    for (int64_t i = 0; made && i < conf->transaction_connections; i++)
        made = store_open_lane(s, &s->execs[i], STORE_LANE_EXEC, (unsigned)i + 1);
    if (!made || !store_open_lane(s, &s->slow, STORE_LANE_SLOW, 1) || !store_replica_open(s)) {
        store_pg_free(&s);
        return NULL;
    }
    return s;
}

void store_pg_free(struct store **pointer) {
    struct store *s = *pointer;
    *pointer = NULL;
    if (s == NULL)
        return;
    s->closing = true;
    for (int i = 0; i < STORE_CONNECTIONS_MAX; i++) {
        s->reads[i].ready = s->writes[i].ready = s->execs[i].ready = false;
        pg_conn_free(&s->reads[i].conn);
        pg_conn_free(&s->writes[i].conn);
        pg_conn_free(&s->execs[i].conn);
    }
    s->slow.ready = s->replica.lane.ready = false;
    pg_conn_free(&s->replica.lane.conn); /* what it owes is asked of nobody any more */
    pg_conn_free(&s->slow.conn);
    store_refuse_gets(&s->replica_gets);
    refuse_reads(s);
    refuse_writes(&s->queue);
    refuse_writes(&s->alone);
    refuse_writes(&s->transactions);
    refuse_queries(&s->chores);
    if (s->pump != NULL)
        event_free(s->pump);
    for (int i = 0; i < STORE_SQL_STATEMENTS; i++)
        free(s->sql[i]);
    free(s->table);
    free(s->channel);
    free(s);
}

/* ---- time ---- */

static void give_up_queries(struct store *s, struct store_queries *queries, int64_t now_mono_ms) {
    while (queries->first != NULL &&
           now_mono_ms - queries->first->asked_mono_ms > s->conf.read_deadline_ms) {
        struct store_query *query = queries->first;
        queries->first = query->next;
        if (queries->first == NULL)
            queries->last = NULL;
        queries->count--;
        query->done(query, STORE_BUSY, NULL);
    }
}

static void leave(struct store_lane *lane) {
    if (pg_conn_leave(lane->conn))
        lane->ready = false;
}

void store_pg_leave(struct store *s) {
    for (int64_t i = 0; i < s->conf.read_connections; i++)
        leave(&s->reads[i]);
    for (int64_t i = 0; i < s->conf.write_connections; i++)
        leave(&s->writes[i]);
    for (int64_t i = 0; i < s->conf.transaction_connections; i++)
        leave(&s->execs[i]);
    leave(&s->slow);
}

void store_pg_tick(struct store *s, int64_t now_mono_ms) {
    store_pg_leave(s);
    give_up_queries(s, &s->queries, now_mono_ms);
    give_up_queries(s, &s->chores, now_mono_ms);
    for (int64_t i = 0; i < s->conf.read_connections; i++)
        pg_conn_tick(s->reads[i].conn, now_mono_ms);
    for (int64_t i = 0; i < s->conf.write_connections; i++)
        pg_conn_tick(s->writes[i].conn, now_mono_ms);
    for (int64_t i = 0; i < s->conf.transaction_connections; i++)
        pg_conn_tick(s->execs[i].conn, now_mono_ms);
    pg_conn_tick(s->slow.conn, now_mono_ms);
    store_replica_tick(s, now_mono_ms);
}

/* ---- identity and facts ---- */

static void close_if_other(struct store *s, struct store_lane *lane) {
    if (!lane->ready || s->identity[0] == '\0' || store_lane_trusted(lane))
        return;
    lane->ready = false;
    pg_conn_close(lane->conn, "it leads to another server than the feed");
}

void store_pg_trust(struct store *s, const char *identity) {
    snprintf(s->identity, sizeof(s->identity), "%s", identity);
    for (int64_t i = 0; i < s->conf.read_connections; i++)
        close_if_other(s, &s->reads[i]);
    for (int64_t i = 0; i < s->conf.write_connections; i++)
        close_if_other(s, &s->writes[i]);
    for (int64_t i = 0; i < s->conf.transaction_connections; i++)
        close_if_other(s, &s->execs[i]);
    close_if_other(s, &s->slow);
}

bool store_pg_moved(struct store *s) {
    bool moved = s->moved;
    s->moved = false;
    return moved;
}

struct pg_conn *store_pg_lend(struct store *s) {
    unsigned all = (unsigned)(s->conf.read_connections + s->conf.write_connections);
    for (unsigned i = 0; i < all; i++) {
        unsigned at = s->lent++ % all;
        struct store_lane *lane = at < s->conf.read_connections
                                      ? &s->reads[at]
                                      : &s->writes[at - s->conf.read_connections];
        if (lane->ready)
            return lane->conn;
    }
    return NULL;
}

const char *store_pg_channel(const struct store *store) {
    return store->channel;
}

const char *store_pg_table(const struct store *store) {
    return store->table;
}

void store_pg_figures(const struct store *s, struct store_figures *out) {
    *out = s->figures;
    out->connections = (uint32_t)(s->conf.read_connections + s->conf.write_connections +
                                  s->conf.transaction_connections) +
                       1;
    out->connections_up = s->slow.ready;
    out->reconnects = pg_conn_reconnects(s->slow.conn);
    const char *down = s->slow.ready ? "" : pg_conn_error(s->slow.conn);
    for (int64_t i = 0; i < s->conf.read_connections; i++) {
        out->connections_up += s->reads[i].ready;
        out->reconnects += pg_conn_reconnects(s->reads[i].conn);
    }
    for (int64_t i = 0; i < s->conf.write_connections; i++) {
        out->connections_up += s->writes[i].ready;
        out->reconnects += pg_conn_reconnects(s->writes[i].conn);
    }
    for (int64_t i = 0; i < s->conf.transaction_connections; i++) {
        out->connections_up += s->execs[i].ready;
        out->reconnects += pg_conn_reconnects(s->execs[i].conn);
    }
    out->reads_waiting = s->gets.count + s->replica_gets.count;
    out->replica_up = s->replica.lane.ready;
    out->writes_waiting = s->queue.count + s->alone.count + s->transactions.count;
    if (s->conf.hosts != NULL) {
        out->timeline = hosts_timeline(s->conf.hosts);
        out->old_timeline = hosts_old(s->conf.hosts);
    }
    out->last_error = down[0] != '\0' ? down : s->last_error;
}
