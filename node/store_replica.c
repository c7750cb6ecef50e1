/* The connection to a replica, and what both servers are asked for the rule of replica.h. */
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "pg_array.h"
#include "store_private.h"

bool store_replica_open(struct store *s) {
    return s->conf.replica == NULL || store_open_lane(s, &s->replica.lane, STORE_LANE_REPLICA, 1);
}

enum store_status store_replica_get(struct store *s, struct store_get *get) {
    struct store_replica *r = &s->replica;
    if (!r->lane.ready || s->closing)
        return STORE_DOWN;
    enum store_status status = store_gets_push(s, &s->replica_gets, get);
    if (status == STORE_OK && r->owes_since_ms == 0)
        r->owes_since_ms = clock_mono_ms();
    return status;
}

void store_replica_heard(struct store *s, bool whole) {
    s->replica.owes_since_ms = s->replica_gets.count != 0 ? clock_mono_ms() : 0;
    if (whole)
        replica_answered(s->conf.replica);
    else
        replica_failed(s->conf.replica, clock_mono_ms());
}

void store_replica_lost(struct store *s) {
    s->replica.owes_since_ms = 0;
    s->replica.said_other = false;
    replica_failed(s->conf.replica, clock_mono_ms());
    store_refuse_gets(&s->replica_gets);
}

/* ---- floors ---- */

bool store_replica_send_place(struct store_lane *lane) {
    return store_sql_send(lane->conn, STORE_SQL_REPLICA_PLACE, 0, NULL, NULL);
}

/* Its three fields, or false: then nothing is known. */
static bool read_place(const PGresult *r, struct replica_place *out) {
    *out = (struct replica_place){.lsn = 0};
    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1 ||
        PQnfields(r) != REPLICA_PLACE_FIELDS || PQgetisnull(r, 0, 0) || PQgetisnull(r, 0, 1) ||
        PQgetisnull(r, 0, 2) || PQgetlength(r, 0, 2) >= (int)sizeof(out->lineage))
        return false;
    out->lsn = (uint64_t)pg_array_int64(PQgetvalue(r, 0, 1));
    snprintf(out->lineage, sizeof(out->lineage), "%s", PQgetvalue(r, 0, 2));
    return true;
}

void store_replica_read_place(const void *result, struct replica_place *out) {
    if (read_place(result, out))
        out->in_recovery = *PQgetvalue(result, 0, 0) != 0;
}

static struct store *store_of_floor(struct pg_group *group) {
    return (struct store *)((char *)group - offsetof(struct store, replica.floor));
}

static void on_floor_result(struct pg_group *group, struct pg_result *result) {
    struct store *s = store_of_floor(group);
    struct replica_place *place = &s->replica.floor_place;
    s->replica.floor_said = read_place((PGresult *)result, place);
    if (s->replica.floor_said)
        place->horizon = (uint32_t)pg_array_int64(PQgetvalue((PGresult *)result, 0, 0));
    else
        store_note_error(s, result);
}

static void on_floor_end(struct pg_group *group, enum pg_group_end end) {
    struct store *s = store_of_floor(group);
    struct store_replica *r = &s->replica;
    bool counts = end == PG_GROUP_SYNCED && r->floor_said && s->identity[0] != '\0' &&
                  strcmp(r->floor_identity, s->identity) == 0;
    r->asking_primary = false;
    replica_primary_said(s->conf.replica, counts ? &r->floor_place : NULL);
}

/* The floor begins before the primary can have seen the question. */
static void ask_primary(struct store *s, int64_t now_mono_ms) {
    struct store_replica *r = &s->replica;
    struct pg_conn *conn = store_pg_lend(s);
    if (conn == NULL)
        return;
    replica_began(s->conf.replica, now_mono_ms);
    r->asking_primary = true;
    r->floor_said = false;
    r->floor = (struct pg_group){.on_result = on_floor_result, .on_end = on_floor_end};
    snprintf(r->floor_identity, sizeof(r->floor_identity), "%s", pg_conn_identity(conn));
    if (!store_sql_send(conn, STORE_SQL_PRIMARY_PLACE, 0, NULL, NULL))
        pg_conn_close(conn, "the question for a floor could not be sent");
    pg_conn_send(conn, &r->floor);
}

static struct store *store_of_probe(struct pg_group *group) {
    return (struct store *)((char *)group - offsetof(struct store, replica.probe));
}

static void on_probe_result(struct pg_group *group, struct pg_result *result) {
    struct store *s = store_of_probe(group);
    if (PQresultStatus((PGresult *)result) == PGRES_TUPLES_OK)
        store_replica_read_place(result, &s->replica.probe_place);
    else
        store_note_error(s, result);
}

/* Once per connection: whoever set it up may have meant another server or database. */
static void judge(struct store_replica *r) {
    const struct replica_place *primary = &r->floor_place, *replica = &r->probe_place;
    if (replica->lineage[0] == '\0')
        return;
    if (!replica->in_recovery)
        pg_conn_close(r->lane.conn, "it is no standby any more");
    else if (!r->said_other && primary->lineage[0] != '\0' &&
             strcmp(primary->lineage, replica->lineage) != 0)
        log_event(LOG_LEVEL_WARN, "replica_not_read",
                  "primary=%s standby=%s why=\"system, timeline, database or table differ\"",
                  primary->lineage, replica->lineage);
    else
        return;
    r->said_other = true;
}

static void on_probe_end(struct pg_group *group, enum pg_group_end end) {
    struct store *s = store_of_probe(group);
    s->replica.probing = false;
    if (end != PG_GROUP_SYNCED)
        return;
    judge(&s->replica);
    replica_said(s->conf.replica, &s->replica.probe_place);
}

static void ask_replica(struct store *s) {
    struct store_replica *r = &s->replica;
    r->probing = true;
    r->probe_place = (struct replica_place){.lsn = 0};
    r->probe = (struct pg_group){.on_result = on_probe_result, .on_end = on_probe_end};
    if (!store_replica_send_place(&r->lane))
        pg_conn_close(r->lane.conn, "the question where it is could not be sent");
    pg_conn_send(r->lane.conn, &r->probe);
}

void store_replica_tick(struct store *s, int64_t now_mono_ms) {
    struct store_replica *r = &s->replica;
    if (s->conf.replica == NULL)
        return;
    pg_conn_tick(r->lane.conn, now_mono_ms);
    if (r->owes_since_ms != 0 && now_mono_ms - r->owes_since_ms > s->conf.replica_timeout_ms) {
        r->owes_since_ms = 0;
        r->lane.ready = false; /* what it owes is asked of the primary, when this is closed */
        pg_conn_close(r->lane.conn, "no answer in time");
    }
    if (!r->lane.ready)
        return;
    if (!r->asking_primary && s->identity[0] != '\0' && replica_due(s->conf.replica, now_mono_ms))
        ask_primary(s, now_mono_ms);
    if (!r->probing && replica_is_awaited(s->conf.replica, now_mono_ms))
        ask_replica(s);
}
