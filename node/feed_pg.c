#include "feed_pg.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/hash.h"
#include "../common/log.h"
#include "db_clock.h"
#include "feed.h"
#include "pg_conn.h"
#include "store_pg.h"

enum {
    HEARTBEAT_MS = 500,
    WINDOW = 64 /* heartbeats that may be under way: half a minute's */,
    DEADLINE_MS = 5000,
    READERS_MS = 3000, /* a failover takes a moment */
    SENTINEL_BYTES = 1024
};

struct beat {
    struct pg_group group;
    struct feed_pg *feed;
    bool pending;
};

struct feed_pg {
    const struct store_pg_conf *conf;
    struct store *store;
    const struct feed_pg_handlers *handlers;
    void *ctx;
    const char *node_name;
    char nonce[17];
    struct pg_conn *conn;
    struct pg_group listen;
    bool failed, up;
    char refusal[300];
    uint64_t counter;
    int64_t sent_ms[WINDOW], next_beat_ms;
    struct beat *beat; /* outlives the feed when a connection still has it */
    char sentinel[SENTINEL_BYTES];
    struct db_clock clock;
    bool said_silent, ever_heard;
    uint64_t beaten; /* heartbeats that were committed since LISTEN */
    int64_t heard_ms;
    int64_t readers_since_ms; /* only servers that take no writes answer; 0: not so */
    bool said_readers;
};

/* ---- the checks and LISTEN ---- */

/* What is wrong and what to do about it, as one text; NULL if all is as it must be. $1: the table,
 * quoted; $2, $3, $4: its columns with key, payload and active flag. */
static const char CHECKS[] =
    "SELECT CASE"
    " WHEN pg_is_in_recovery() THEN 'the server is a standby: name its primary in conninfo, too'"
    " WHEN current_setting('server_encoding') <> 'UTF8' THEN 'the database has the encoding ' ||"
    " current_setting('server_encoding') || ': make one with ENCODING UTF8'"
    " WHEN c.oid IS NULL THEN 'there is no table ' || $1 || ': load configs/schema.sql'"
    " WHEN c.relkind <> 'r' THEN 'it is no plain table but a view or partitioned: name the table "
    "that has the rows'"
    " WHEN EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid) THEN 'it "
    "inherits or is inherited, and triggers do not: take it out of the inheritance'"
    " WHEN EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = c.oid) THEN 'it is the target "
    "of a subscription, whose versions are not ours: take it out of the publication'"
    " WHEN c.relrowsecurity THEN 'row-level security may hide rows from nodes: disable it'"
    " WHEN EXISTS (SELECT FROM unnest(ARRAY[$2, $3, $4, 'version', 'expires_at', 'updated_at']) AS "
    "must (name) WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 "
    "AND attname = must.name)) THEN 'a column is missing: it needs ' || "
    "concat_ws(', ', $2, $3, $4, 'version, expires_at, updated_at; see configs/schema.sql')"
    " WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND attname IN "
    "($2, $3) AND atttypid NOT IN ('text'::regtype, 'varchar'::regtype)) THEN 'key and payload "
    "must be text or varchar: jsonb, char(n) and others do not give back what was written'"
    " WHEN EXISTS (SELECT FROM pg_attribute a JOIN pg_collation l ON l.oid = a.attcollation WHERE "
    "a.attrelid = c.oid AND a.attnum > 0 AND NOT l.collisdeterministic) THEN 'a collation of it is "
    "not deterministic, so that different keys are equal: use COLLATE \"C\"'"
    " WHEN (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid AND tgname ~ "
    "'^rf_(number_insert|number_update|feed_insert|feed_update|feed_delete|feed_truncate)$' AND "
    "tgenabled = 'A') <> 6 THEN 'triggers of configs/schema.sql are missing, disabled or not "
    "ENABLE ALWAYS: make them as it does'"
    " WHEN EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgname !~ "
    "'^rf_' AND tgtype & 1 = 1) THEN 'it has row triggers of somebody else, which may change what "
    "is written: drop them or make them statement triggers'"
    " WHEN s.oid IS NULL THEN 'there is no sequence ' || quote_ident(c.relname || '_version') || "
    "' beside it: make it as configs/schema.sql does'"
    " WHEN (SELECT seqcache FROM pg_sequence WHERE seqrelid = s.oid) > 1 THEN 'the sequence of "
    "versions has CACHE above 1, so that versions do not rise: ALTER SEQUENCE ... CACHE 1'"
    " WHEN NOT has_table_privilege(c.oid, 'SELECT') OR NOT has_sequence_privilege(s.oid, 'USAGE') "
    "OR EXISTS (SELECT FROM unnest(ARRAY[$2, $3, $4, 'version', 'expires_at']) AS must (name) "
    "WHERE "
    "NOT has_column_privilege(c.oid, name, 'INSERT')) OR EXISTS (SELECT FROM unnest(ARRAY[$3, $4, "
    "'version', 'expires_at', 'updated_at']) AS must (name) WHERE NOT has_column_privilege(c.oid, "
    "name, 'UPDATE')) THEN 'the role ' || quote_ident(current_user) || ' lacks rights on it or on "
    "its sequence: grant it ringfence_node, as configs/schema.sql made it'"
    " END FROM (SELECT 1) AS one LEFT JOIN pg_class c ON c.oid = to_regclass($1)"
    " LEFT JOIN pg_class s ON s.relnamespace = c.relnamespace AND s.relkind = 'S' AND s.relname = "
    "c.relname || '_version'";

/* What DDL changes and no trigger tells: storage and triggers. And the server's clock in ms. */
static const char BEAT[] = "SELECT pg_notify($1, $2), c.relfilenode::text || ' ' || "
                           "coalesce((SELECT string_agg(t.tgname || t.tgenabled::text ||"
                           " t.xmin::text, ',' ORDER BY t.tgname) FROM pg_trigger t WHERE "
                           "t.tgrelid = c.oid AND NOT t.tgisinternal), ''),"
                           " floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
                           " FROM pg_class c WHERE c.oid = to_regclass($3)";

static void note_error(struct feed_pg *f, const PGresult *r) {
    static const char MAY_NOT[] = "42501";
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    char why[200];
    f->failed = true;
    pg_clean(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY), why, sizeof(why));
    snprintf(f->refusal, sizeof(f->refusal), "%s%s", why,
             state != NULL && strcmp(state, MAY_NOT) == 0
                 ? ": grant the node's role ringfence_node, as configs/schema.sql made it"
                 : "");
}

static void on_listen_result(struct pg_group *group, struct pg_result *result) {
    struct feed_pg *f = (struct feed_pg *)((char *)group - offsetof(struct feed_pg, listen));
    PGresult *r = (PGresult *)result;
    if (PQresultStatus(r) == PGRES_TUPLES_OK) {
        if (PQntuples(r) == 1 && !PQgetisnull(r, 0, 0))
            pg_clean(PQgetvalue(r, 0, 0), f->refusal, sizeof(f->refusal));
    } else if (PQresultStatus(r) != PGRES_COMMAND_OK &&
               PQresultStatus(r) != PGRES_PIPELINE_ABORTED) {
        note_error(f, r);
    }
}

static void on_listen_end(struct pg_group *group, enum pg_group_end end) {
    struct feed_pg *f = (struct feed_pg *)((char *)group - offsetof(struct feed_pg, listen));
    if (end == PG_GROUP_LOST || pg_conn_leave(f->conn))
        return;
    if (f->refusal[0] != '\0' || f->failed) {
        f->handlers->on_refused(f->ctx, f->refusal);
        pg_conn_close(f->conn, f->refusal);
        return;
    }
    f->up = true;
    f->heard_ms = clock_mono_ms();
    f->said_silent = false;
    f->beaten = 0;
    f->sentinel[0] = '\0';
    f->clock = (struct db_clock){0};
    f->next_beat_ms = 0;
    store_pg_trust(f->store, pg_conn_identity(f->conn));
    f->handlers->on_up(f->ctx);
}

static void on_up(void *ctx, struct pg_conn *conn) {
    struct feed_pg *f = ctx;
    char listen[160];
    f->failed = false;
    f->refusal[0] = '\0';
    f->listen = (struct pg_group){.on_result = on_listen_result, .on_end = on_listen_end};
    /* LISTEN takes no parameter; the channel was checked to be without quotes when the store was
     * made. */
    snprintf(listen, sizeof(listen), "LISTEN \"%s\"", store_pg_channel(f->store));
    const char *const names[] = {store_pg_table(f->store), f->conf->key_column,
                                 f->conf->payload_column, f->conf->active_column};
    PGconn *pq = pg_conn_raw(conn);
    if (PQsendQueryParams(pq, listen, 0, NULL, NULL, NULL, NULL, 0) != 1 ||
        PQsendQueryParams(pq, CHECKS, 4, NULL, names, NULL, NULL, 0) != 1)
        pg_conn_close(conn, "LISTEN could not be sent");
    pg_conn_send(conn, &f->listen);
}

static void lose(struct feed_pg *f) {
    bool was_up = f->up;
    f->up = false;
    store_pg_trust(f->store, "");
    if (was_up)
        f->handlers->on_lost(f->ctx);
}

static void on_down(void *ctx, struct pg_conn *conn) {
    lose(ctx);
}

void feed_pg_leave(struct feed_pg *f) {
    if (pg_conn_leave(f->conn))
        lose(f);
}

/* ---- what is heard ---- */

static void on_changed(void *ctx, struct span key, uint64_t version, enum change change) {
    struct feed_pg *f = ctx;
    f->handlers->on_changed(f->ctx, key, version, change);
}

static void on_gone(void *ctx, struct span key, enum change change) {
    struct feed_pg *f = ctx;
    f->handlers->on_gone(f->ctx, key, change);
}

static void on_everything(void *ctx) {
    struct feed_pg *f = ctx;
    f->handlers->on_everything(f->ctx);
}

/* Ours, and of this life: anybody may NOTIFY. */
static void on_heartbeat(void *ctx, struct span node, uint64_t counter, struct span nonce) {
    struct feed_pg *f = ctx;
    if (!span_equal(node, span_str(f->node_name)) || !span_equal(nonce, span_str(f->nonce)) ||
        counter > f->counter || counter + WINDOW <= f->counter)
        return;
    f->said_silent = false;
    f->ever_heard = true;
    f->heard_ms = clock_mono_ms();
    f->handlers->on_heard(f->ctx, f->sent_ms[counter % WINDOW]);
}

static void on_notify(void *ctx, const char *payload) {
    static const struct feed_handlers HANDLERS = {on_changed, on_gone, on_everything, on_heartbeat};
    struct feed_pg *f = ctx;
    if (f->up && !feed_parse(span_str(payload), &HANDLERS, f))
        log_event(LOG_LEVEL_WARN, "feed_not_understood", "bytes=%zu taken_as=everything",
                  strlen(payload));
}

/* ---- heartbeats ---- */

static void watch_clock(struct feed_pg *f, const char *db_ms) {
    int64_t step_ms = db_clock_saw(&f->clock, f->sent_ms[f->counter % WINDOW], clock_mono_ms(),
                                   strtoll(db_ms, NULL, 10));
    if (step_ms == 0)
        return;
    log_event(LOG_LEVEL_WARN, "db_clock_stepped", "by_ms=%lld taken_as=everything",
              (long long)step_ms);
    f->handlers->on_everything(f->ctx);
}

static void on_beat_result(struct pg_group *group, struct pg_result *result) {
    struct beat *beat = (struct beat *)group;
    struct feed_pg *f = beat->feed;
    PGresult *r = (PGresult *)result;
    if (f == NULL || PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1)
        return;
    f->beaten++;
    char now[SENTINEL_BYTES];
    snprintf(now, sizeof(now), "%s", PQgetvalue(r, 0, 1));
    if (f->sentinel[0] != '\0' && strcmp(now, f->sentinel) != 0) {
        log_event(LOG_LEVEL_WARN, "table_altered",
                  "why=\"its storage or its triggers changed\" taken_as=everything");
        f->handlers->on_everything(f->ctx);
    }
    snprintf(f->sentinel, sizeof(f->sentinel), "%s", now);
    watch_clock(f, PQgetvalue(r, 0, 2));
}

static void on_beat_end(struct pg_group *group, enum pg_group_end end) {
    struct beat *beat = (struct beat *)group;
    beat->pending = false;
    if (beat->feed == NULL)
        free(beat);
}

/* On a connection of the pool: heard on the feed, it proves that both lead to one server (F6). With
 * none at hand it stays due: until it is heard nothing is trusted. */
static void send_beat(struct feed_pg *f, int64_t now_mono_ms) {
    struct pg_conn *conn = f->beat->pending ? NULL : store_pg_lend(f->store);
    if (conn == NULL)
        return;
    f->next_beat_ms = now_mono_ms + HEARTBEAT_MS;
    char payload[160];
    f->counter++;
    f->sent_ms[f->counter % WINDOW] = now_mono_ms;
    snprintf(payload, sizeof(payload), "1\nh %s %llu %s\n", f->node_name,
             (unsigned long long)f->counter, f->nonce);
    const char *const values[] = {store_pg_channel(f->store), payload, store_pg_table(f->store)};
    f->beat->group = (struct pg_group){.on_result = on_beat_result, .on_end = on_beat_end};
    f->beat->pending = true;
    if (PQsendQueryParams(pg_conn_raw(conn), BEAT, 3, NULL, values, NULL, NULL, 0) != 1)
        pg_conn_close(conn, "a heartbeat could not be sent");
    pg_conn_send(conn, &f->beat->group);
}

/* No server to write to. It goes on trying: one of them may be promoted. */
static void watch_readers(struct feed_pg *f, int64_t now_mono_ms) {
    if (!pg_conn_only_reads(f->conn)) {
        f->readers_since_ms = 0;
        f->said_readers = false;
        return;
    }
    if (f->readers_since_ms == 0)
        f->readers_since_ms = now_mono_ms;
    if (f->said_readers || now_mono_ms - f->readers_since_ms < READERS_MS)
        return;
    f->said_readers = true;
    f->handlers->on_refused(f->ctx, "no server takes writes: all that conninfo names are standbys "
                                    "or read-only: name the primary, too");
}

void feed_pg_tick(struct feed_pg *f, int64_t now_mono_ms) {
    feed_pg_leave(f);
    pg_conn_tick(f->conn, now_mono_ms);
    watch_readers(f, now_mono_ms);
    /* After a failover or a restart the store may be there before this connection notices. Wherever
     * it comes up now, the connections that lead elsewhere are closed: all end up at one server. */
    if (store_pg_moved(f->store) && f->up)
        pg_conn_close(f->conn, "the store's connections lead to another server");
    if (!f->up || now_mono_ms < f->next_beat_ms)
        return;
    send_beat(f, now_mono_ms);
    if (f->said_silent || now_mono_ms - f->heard_ms <= DEADLINE_MS)
        return;
    f->said_silent = true;
    log_event(LOG_LEVEL_ERROR, "feed_silent", "for_ms=%lld committed=%llu nothing_is_trusted=yes",
              (long long)(now_mono_ms - f->heard_ms), (unsigned long long)f->beaten);
    if (!f->ever_heard && f->beaten > 1)
        f->handlers->on_refused(f->ctx,
                                "notifications are not heard: connect directly or through a "
                                "session pooler, a transaction pooler does not pass LISTEN");
}

/* ---- making ---- */

struct feed_pg *feed_pg_new(struct event_base *base, const struct store_pg_conf *table,
                            const char *node_name, struct store *store,
                            const struct feed_pg_handlers *handlers, void *ctx) {
    static const struct pg_conn_handlers CONN_HANDLERS = {
        .on_up = on_up, .on_down = on_down, .on_notify = on_notify};
    struct feed_pg *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    f->conf = table;
    f->store = store;
    f->handlers = handlers;
    f->ctx = ctx;
    f->node_name = node_name;
    snprintf(f->nonce, sizeof(f->nonce), "%016llx", (unsigned long long)hash_seed());
    f->beat = calloc(1, sizeof(*f->beat));
    const struct pg_conn_conf conf = {.conninfo = table->conninfo,
                                      .hosts = table->hosts,
                                      .name = "feed",
                                      .deadline_ms = DEADLINE_MS,
                                      .statement_timeout_ms = DEADLINE_MS};
    f->conn = f->beat == NULL ? NULL : pg_conn_new(base, &conf, &CONN_HANDLERS, f);
    if (f->conn == NULL) {
        free(f->beat);
        free(f);
        return NULL;
    }
    f->beat->feed = f;
    return f;
}

void feed_pg_free(struct feed_pg **pointer) {
    struct feed_pg *f = *pointer;
    *pointer = NULL;
    if (f == NULL)
        return;
    f->up = false; /* nobody is told any more */
    pg_conn_free(&f->conn);
    if (f->beat->pending)
        f->beat->feed = NULL;
    else
        free(f->beat);
    free(f);
}

int feed_pg_is_up(const struct feed_pg *f) {
    return f->up;
}

uint64_t feed_pg_reconnects(const struct feed_pg *f) {
    return pg_conn_reconnects(f->conn);
}
