#include "truth.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/clock.h"
#include "../harness/sql.h"

static const char PREPARE[] =
    "CREATE SCHEMA chaos;"
    "CREATE TABLE chaos.history (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text "
    "NOT NULL, payload text, version bigint, app text DEFAULT current_setting('application_name'));"
    "CREATE FUNCTION chaos.note_new() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ "
    "BEGIN "
    "INSERT INTO chaos.history (key, payload, version) SELECT key, CASE WHEN active THEN payload "
    "END, version FROM new_rows WHERE key ~ '^[kn]'; RETURN NULL; END $$;"
    "CREATE FUNCTION chaos.note_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ "
    "BEGIN "
    "INSERT INTO chaos.history (key) SELECT key FROM old_rows WHERE key ~ '^[kn]'; RETURN NULL; "
    "END "
    "$$;"
    "CREATE FUNCTION chaos.note_all_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ "
    "BEGIN INSERT INTO chaos.history (key) SELECT key FROM ringfence.entry WHERE key ~ '^[kn]'; "
    "RETURN "
    "NULL; END $$;"
    "CREATE TRIGGER chaos_insert AFTER INSERT ON ringfence.entry REFERENCING NEW TABLE AS new_rows "
    "FOR EACH STATEMENT EXECUTE FUNCTION chaos.note_new();"
    "CREATE TRIGGER chaos_update AFTER UPDATE ON ringfence.entry REFERENCING NEW TABLE AS new_rows "
    "FOR EACH STATEMENT EXECUTE FUNCTION chaos.note_new();"
    "CREATE TRIGGER chaos_delete AFTER DELETE ON ringfence.entry REFERENCING OLD TABLE AS old_rows "
    "FOR EACH STATEMENT EXECUTE FUNCTION chaos.note_gone();"
    "CREATE TRIGGER chaos_truncate BEFORE TRUNCATE ON ringfence.entry FOR EACH STATEMENT EXECUTE "
    "FUNCTION chaos.note_all_gone()";

/* The row of the history was written in the transaction that changed the key, under its lock. */
static const char READ[] = "SELECT key, payload, xmin::text, app LIKE 'ringfence %', "
                           "(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint "
                           "FROM chaos.history WHERE key ~ '^k' ORDER BY seq";

void truth_prepare(PGconn *sql) {
    sql_do(sql, "%s", PREPARE);
}

void truth_reset(PGconn *sql) {
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key ~ '^[kn]'");
    sql_do(sql, "DELETE FROM chaos.history");
}

static void add(struct truth_key *key, const struct truth_state *state) {
    if ((key->count & (key->count - 1)) == 0) { /* full: double it */
        size_t room = key->count == 0 ? 1 : 2 * (size_t)key->count;
        key->states = realloc(key->states, room * sizeof(*state));
        cr_assert_not_null(key->states);
    }
    key->states[key->count++] = *state;
}

static void add_row(struct truth *truth, int keys, const PGresult *r, int row, int64_t offset_us) {
    unsigned key = (unsigned)atoi(PQgetvalue(r, row, 0) + 1);
    struct truth_state state = {.xid = (uint32_t)strtoul(PQgetvalue(r, row, 2), NULL, 10),
                                .by_node = PQgetvalue(r, row, 3)[0] == 't',
                                .commit_us = atoll(PQgetvalue(r, row, 4)) - offset_us};
    cr_assert_lt(key, (unsigned)keys, "the history has key %u", key);
    if (!PQgetisnull(r, row, 1)) {
        bool is_ours = chaos_read_value(key, PQgetvalue(r, row, 1), (size_t)PQgetlength(r, row, 1),
                                        &state.value);
        cr_assert(is_ours, "the table had '%.60s' in k%04u", PQgetvalue(r, row, 1), key);
    }
    add(&truth->keys[key], &state);
}

void truth_read(PGconn *sql, int keys, struct truth *out) {
    int64_t offset_us = clock_wall_us() - clock_mono_us();
    *out = (struct truth){0};
    for (int i = 0; i < keys; i++)
        add(&out->keys[i], &(struct truth_state){.commit_us = INT64_MIN});
    PGresult *r = PQexec(sql, READ);
    cr_assert_eq(PQresultStatus(r), PGRES_TUPLES_OK, "%s", PQresultErrorMessage(r));
    out->changes = (uint64_t)PQntuples(r);
    for (int row = 0; row < PQntuples(r); row++)
        add_row(out, keys, r, row, offset_us);
    PQclear(r);
}

void truth_release(struct truth *truth) {
    for (int i = 0; i < CHAOS_KEYS_MAX; i++)
        free(truth->keys[i].states);
    *truth = (struct truth){0};
}
