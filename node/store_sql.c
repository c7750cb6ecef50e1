/* All SQL texts of the store. Names are quoted identifiers; values are always parameters. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_private.h"

/* {T} table, {K} key, {P} payload, {A} active, {S} sequence; {L}: the row counts as there; {H}: its
 * key's place. store_sql_edit.c has the edits' texts. */
static const char *const TEXTS[] = {
    [STORE_SQL_GET] = "SELECT {K}, {P}, version, CASE WHEN expires_at IS NOT NULL THEN"
                      " greatest(0, (extract(epoch FROM expires_at - now()) * 1000)::bigint) END"
                      " FROM {T} WHERE {K} = ANY ($1::text[]) AND {L}",
    [STORE_SQL_PUT] =
        "INSERT INTO {T} AS t ({K}, {P}, {A}, version) SELECT k, p, true, nextval({S})"
        " FROM unnest($1::text[], $2::text[]) AS u (k, p)"
        " ON CONFLICT ({K}) DO UPDATE SET {P} = EXCLUDED.{P}, {A} = true, version = nextval({S}),"
        " expires_at = NULL, updated_at = now() RETURNING {K}, version",
    /* MSETNX. As with edits: who inserts one of the keys meanwhile makes it an error (23505), and
       it is tried again. */
    [STORE_SQL_PUT_NX] =
        "WITH locked AS MATERIALIZED (SELECT {K} AS k, {L} AS live FROM {T}"
        " WHERE {K} = ANY ($1::text[]) ORDER BY {K} FOR NO KEY UPDATE),"
        " chosen AS MATERIALIZED (SELECT u.k, u.p, locked.k IS NOT NULL AS found"
        " FROM unnest($1::text[], $2::text[]) AS u (k, p) LEFT JOIN locked ON locked.k = u.k"
        " WHERE NOT EXISTS (SELECT FROM locked WHERE live)),"
        " upd AS (UPDATE {T} AS t SET {P} = chosen.p, {A} = true, version = nextval({S}),"
        " expires_at = NULL, updated_at = now() FROM chosen WHERE t.{K} = chosen.k AND chosen.found"
        " RETURNING t.{K} AS k, t.version AS v),"
        " ins AS (INSERT INTO {T} ({K}, {P}, {A}, version) SELECT k, p, true, nextval({S})"
        " FROM (SELECT * FROM chosen WHERE NOT found ORDER BY k) AS n"
        " RETURNING {K} AS k, version AS v)"
        " SELECT k, v FROM upd UNION ALL SELECT k, v FROM ins",
    [STORE_SQL_DELETE] =
        "WITH locked AS MATERIALIZED (SELECT {K} AS k FROM {T} WHERE {K} = ANY ($1::text[]) AND {L}"
        " ORDER BY {K} FOR NO KEY UPDATE)"
        " UPDATE {T} AS t SET {A} = false, version = nextval({S}), updated_at = now()"
        " FROM locked WHERE t.{K} = locked.k RETURNING t.{K}, t.version",
    [STORE_SQL_LOCK_ON] = "SELECT set_config('lock_timeout', $1, true)",
    /* Counted while that takes less than a request may; the estimate is of all rows, live or not.
     */
    [STORE_SQL_COUNT] = "SELECT CASE WHEN c.reltuples > 500000 THEN c.reltuples::bigint"
                        " ELSE (SELECT count(*) FROM {T} WHERE {L}) END FROM pg_class c WHERE "
                        "c.oid = '{T}'::regclass",
    [STORE_SQL_ROW] =
        "SELECT {P}, {A}, version, floor(extract(epoch FROM expires_at) * 1000)::bigint,"
        " floor(extract(epoch FROM updated_at) * 1000)::bigint, {L} FROM {T} WHERE {K} = $1"
        " AND (version <> 0 OR {A})",
    [STORE_SQL_ROWS] =
        "SELECT {K}, {P}, version, CASE WHEN expires_at IS NOT NULL THEN"
        " greatest(0, (extract(epoch FROM expires_at - now()) * 1000)::bigint) END, {L}"
        " FROM {T} WHERE {K} = ANY ($1::text[])",
    /* A transaction: first all rows that there are, then those that there may be, each in the order
     * of the keys. A row that only keeps a place has version 0: as good as no row. */
    [STORE_SQL_EXEC_LOCK] = "SELECT count(*) FROM (SELECT {K} FROM {T} WHERE {K} = ANY ($1::text[])"
                            " ORDER BY {K} FOR NO KEY UPDATE) AS locked",
    [STORE_SQL_EXEC_HOLD] =
        "INSERT INTO {T} AS t ({K}, {P}, {A}, version) SELECT k, 'null', false, 0"
        " FROM unnest($1::text[]) AS u (k)"
        " ON CONFLICT ({K}) DO UPDATE SET {P} = t.{P} WHERE false",
    /* One moment for all; it is noted which rows there are not. */
    [STORE_SQL_EXEC_ROWS] =
        "WITH seen AS MATERIALIZED (SELECT {K} AS k, {P} AS p, version AS v,"
        " CASE WHEN expires_at IS NOT NULL THEN"
        " greatest(0, (extract(epoch FROM expires_at - now()) * 1000)::bigint) END AS ttl,"
        " {L} AS live FROM {T} WHERE {K} = ANY ($1::text[])),"
        " note AS MATERIALIZED (SELECT set_config('ringfence.absent',"
        " coalesce(array_agg(w), '{}')::text, true) FROM unnest($1::text[]) AS u (w)"
        " WHERE w NOT IN (SELECT k FROM seen))"
        " SELECT k, p, v, ttl, live FROM note LEFT JOIN seen ON true",
    /* An error if a watched row is not as it was. */
    [STORE_SQL_EXEC_CHECK] =
        "SELECT 1 / (NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[], $3::text[])"
        " AS w (wk, wv, wl) LEFT JOIN {T} AS t ON t.{K} = wk"
        " WHERE coalesce(t.version, 0) <> wv::bigint"
        " OR coalesce({L}, false) <> (wl = '1')))::int",
    /* An error if there is a row now that there was not. */
    [STORE_SQL_EXEC_GUARD] = "SELECT 1 / (NOT EXISTS (SELECT FROM {T} WHERE {K} = ANY"
                             " (current_setting('ringfence.absent')::text[])))::int",
    [STORE_SQL_SCAN] = "SELECT {K}, {H} FROM {T} WHERE {L} AND ({H}) >= $1 ORDER BY {H}"
                       " FETCH FIRST ($2) ROWS WITH TIES",
    [STORE_SQL_SCAN_INDEX] =
        "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = '{T}'::regclass AND indisvalid"
        " AND pg_get_expr(indexprs, indrelid) LIKE '%hashtextextended(%')",
    /* In byte order whatever the column's collation is. */
    [STORE_SQL_LIST] = "SELECT {K}, 0::bigint FROM {T} WHERE {L} AND {K} COLLATE \"C\" >= $1"
                       " AND {K} COLLATE \"C\" <= $2 ORDER BY {K} COLLATE \"C\" LIMIT $3",
    [STORE_SQL_TALLY] = "SELECT count(*), max(k COLLATE \"C\") FROM (SELECT {K} AS k FROM {T}"
                        " WHERE {L} AND {K} COLLATE \"C\" >= $1 AND {K} COLLATE \"C\" <= $2"
                        " ORDER BY {K} COLLATE \"C\" LIMIT $3) AS counted",
    [STORE_SQL_FLUSH] =
        "WITH chosen AS MATERIALIZED (SELECT {K} AS k FROM {T} WHERE {L} AND {K} COLLATE \"C\" >= "
        "$1"
        " ORDER BY {K} COLLATE \"C\" LIMIT $2 FOR NO KEY UPDATE),"
        " upd AS (UPDATE {T} AS t SET {A} = false, version = nextval({S}), updated_at = now()"
        " FROM chosen WHERE t.{K} = chosen.k RETURNING t.{K} AS k)"
        " SELECT count(*), max(k COLLATE \"C\") FROM upd",
    /* SKIP LOCKED: it never waits, so it needs no order. The lock is one of the table's own. */
    [STORE_SQL_SWEEP] =
        "WITH mine AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended("
        "'ringfence sweep {T}', 0)) AS ok), chosen AS MATERIALIZED (SELECT {K} AS k FROM {T}"
        " WHERE {A} AND expires_at <= now() AND (SELECT ok FROM mine) ORDER BY expires_at LIMIT $1"
        " FOR NO KEY UPDATE SKIP LOCKED),"
        " upd AS (UPDATE {T} AS t SET {A} = false, version = nextval({S}), updated_at = now()"
        " FROM chosen WHERE t.{K} = chosen.k RETURNING t.{K} AS k)"
        " SELECT count(*), NULL::text FROM upd",
    /* What replica.h's rule compares. A timeline that a standby has read of may be known late to a
     * role that may not see everything: then it is not asked for a while. */
    [STORE_SQL_PRIMARY_PLACE] =
        "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_current_wal_insert_lsn(),"
        " (SELECT system_identifier FROM pg_control_system())::text || '/' ||"
        " ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int::text || '/' "
        "||"
        " (SELECT oid FROM pg_database WHERE datname = current_database())::text || '/' ||"
        " '{T}'::regclass::oid::text",
    [STORE_SQL_REPLICA_PLACE] =
        "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn(),"
        " (SELECT system_identifier FROM pg_control_system())::text || '/' ||"
        " (SELECT greatest(min_recovery_end_timeline, (SELECT received_tli FROM"
        " pg_stat_wal_receiver)) FROM pg_control_recovery())::text || '/' ||"
        " (SELECT oid FROM pg_database WHERE datname = current_database())::text || '/' ||"
        " '{T}'::regclass::oid::text",
    [STORE_SQL_REPLICA_GET] =
        "SELECT {K}, CASE WHEN {A} THEN {P} END, version, {A}, {A} AND expires_at IS NOT NULL,"
        " xmin::text::bigint FROM {T} WHERE {K} = ANY ($1::text[])",
    [STORE_SQL_ESTIMATE] =
        "SELECT greatest(0, reltuples)::bigint FROM pg_class WHERE oid = '{T}'::regclass",
};

/* A key's place; the schema has an index on it. */
static const char HASH[] = "hashtextextended({K}, 0) >> 12";

static const char LIVE[] = "{A} AND (expires_at IS NULL OR expires_at > now())";

static const char *text_of(int statement) {
    return statement >= STORE_SQL_EDIT_SET ? store_sql_edit((enum store_statement)statement)
                                           : TEXTS[statement];
}

/* A quoted identifier; the caller frees it. */
static char *quote(const char *name, size_t len, char mark) {
    char *out = malloc(2 * len + 3), *to = out;
    if (out == NULL)
        return NULL;
    *to++ = mark;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == mark)
            *to++ = mark;
        *to++ = name[i];
    }
    *to++ = mark;
    *to = '\0';
    return out;
}

struct names {
    char *table, *key, *payload, *active, *sequence;
};

static void expand(struct buf *out, const char *text, const struct names *names) {
    for (; *text != '\0'; text++) {
        if (text[0] != '{' || text[1] == '\0' ||
            text[2] != '}') { /* a brace of a pattern's stays */
            buf_append(out, text, 1);
            continue;
        }
        switch (text[1]) {
        case 'L':
            expand(out, LIVE, names);
            break;
        case 'H':
            expand(out, HASH, names);
            break;
        case 'B':
        case 'D':
        case 'E':
            expand(out, store_sql_edit_part(text[1]), names);
            break;
        default: {
            const char *name = text[1] == 'T'   ? names->table
                               : text[1] == 'K' ? names->key
                               : text[1] == 'P' ? names->payload
                               : text[1] == 'A' ? names->active
                                                : names->sequence;
            buf_append(out, name, strlen(name));
        }
        }
        text += 2;
    }
}

/* The table, channel and sequence from "schema.table". The sequence is a literal, since nextval()
 * takes a regclass. */
static bool make_names(struct store *store, struct names *n) {
    const char *dot = strchr(store->conf.table, '.');
    if (dot == NULL || dot == store->conf.table || dot[1] == '\0' || strchr(dot + 1, '.') != NULL ||
        strlen(store->conf.table) > 55 || strpbrk(store->conf.table, "\"'\\") != NULL)
        return false;
    size_t schema_len = (size_t)(dot - store->conf.table);
    char *schema = quote(store->conf.table, schema_len, '"'),
         *table = quote(dot + 1, strlen(dot + 1), '"');
    char sequence[160];
    bool made =
        schema != NULL && table != NULL && asprintf(&n->table, "%s.%s", schema, table) > 0 &&
        asprintf(&store->channel, "rf_%.*s_%s", (int)schema_len, store->conf.table, dot + 1) > 0;
    if (made) {
        snprintf(sequence, sizeof(sequence), "%s.\"%s_version\"", schema, dot + 1);
        n->sequence = quote(sequence, strlen(sequence), '\'');
        store->table = strdup(n->table);
    }
    n->key = quote(store->conf.key_column, strlen(store->conf.key_column), '"');
    n->payload = quote(store->conf.payload_column, strlen(store->conf.payload_column), '"');
    n->active = quote(store->conf.active_column, strlen(store->conf.active_column), '"');
    free(schema);
    free(table);
    return made && n->sequence != NULL && n->key != NULL && n->payload != NULL &&
           n->active != NULL && store->table != NULL;
}

bool store_sql_make(struct store *store) {
    struct names names = {0};
    bool made = make_names(store, &names);
    for (int i = 0; made && i < STORE_SQL_STATEMENTS; i++) {
        struct buf text;
        buf_init(&text, 0);
        expand(&text, text_of(i), &names);
        buf_append(&text, "", 1);
        made = !text.failed;
        store->sql[i] = text.data; /* freed with the store */
    }
    free(names.table);
    free(names.key);
    free(names.payload);
    free(names.active);
    free(names.sequence);
    return made;
}

/* ---- preparing ---- */

/* A replica is asked for two of them; the others need none of what is for it. */
static bool is_for(const struct store_lane *lane, int statement) {
    bool of_replica = statement == STORE_SQL_REPLICA_PLACE || statement == STORE_SQL_REPLICA_GET;
    return of_replica == (lane->kind == STORE_LANE_REPLICA);
}

static void on_prepare_result(struct pg_group *group, struct pg_result *result) {
    struct store_lane *lane =
        (struct store_lane *)((char *)group - offsetof(struct store_lane, prepare));
    if (PQresultStatus((PGresult *)result) != PGRES_COMMAND_OK && !lane->prepare_failed) {
        store_note_error(lane->store, result);
        lane->prepare_failed = true;
    }
}

static void on_prepare_end(struct pg_group *group, enum pg_group_end end) {
    struct store_lane *lane =
        (struct store_lane *)((char *)group - offsetof(struct store_lane, prepare));
    if (end == PG_GROUP_LOST)
        return;
    if (lane->prepare_failed) {
        pg_conn_close(lane->conn, lane->store->last_error);
        return;
    }
    if (pg_conn_leave(lane->conn))
        return;
    lane->ready = true;
    if (lane->kind != STORE_LANE_REPLICA && lane->store->identity[0] != '\0' &&
        !store_lane_trusted(lane))
        lane->store->moved = true;
    store_pump_later(lane->store);
}

/* The name that a statement is prepared under. */
struct name {
    char text[16];
};

static struct name name_of(int statement) {
    struct name name;
    snprintf(name.text, sizeof(name.text), "s%d", statement);
    return name;
}

bool store_sql_send(struct pg_conn *conn, enum store_statement statement, int count,
                    const char *const *values, const int *lengths) {
    static const int BINARY[STORE_EDIT_PARAMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    return PQsendQueryPrepared(pg_conn_raw(conn), name_of(statement).text, count, values, lengths,
                               lengths == NULL ? NULL : BINARY, 1) == 1;
}

void store_sql_prepare(struct store_lane *lane) {
    lane->prepare_failed = false;
    lane->prepare = (struct pg_group){.on_result = on_prepare_result, .on_end = on_prepare_end};
    bool sent = true;
    for (int i = 0; i < STORE_SQL_STATEMENTS && sent; i++) {
        if (!is_for(lane, i))
            continue;
        int typed = i >= STORE_SQL_EDIT_SET ? STORE_EDIT_PARAMS : 0;
        sent = PQsendPrepare(pg_conn_raw(lane->conn), name_of(i).text, lane->store->sql[i], typed,
                             STORE_EDIT_TYPES) == 1;
    }
    if (!sent)
        pg_conn_close(lane->conn, "a statement could not be prepared");
    pg_conn_send(lane->conn, &lane->prepare);
}
