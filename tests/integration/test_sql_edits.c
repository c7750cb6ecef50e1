/* Edits of the table by SQL, of every kind, are seen by whoever has the key cached. */
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { SEEN_MS = 2000 /* what the project promises */, BULK_ROWS = 100000, PROBES = 50 };

static const struct stack *s;
static PGconn *sql;
static struct caller *c;

static void open_all(void) {
    shared_open(&s, &sql, &c, NULL);
}

static void close_all(void) {
    shared_close(&sql, &c, NULL);
}

TestSuite(sql_edits, .init = open_all, .fini = close_all);

Test(sql_edits, insert_into_a_key_known_as_absent) {
    EXPECT(c, "[nil nil]", "MGET", "edit:insert:1", "edit:insert:2");
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('edit:insert:1', 'a'), "
                "('edit:insert:2', 'b')");
    EXPECT_WITHIN(SEEN_MS, c, "[$a $b]", "MGET", "edit:insert:1", "edit:insert:2");
}

Test(sql_edits, update) {
    EXPECT(c, "+OK", "SET", "edit:update", "0");
    char want[16];
    for (int i = 1; i <= 20; i++) {
        sql_do(sql, "UPDATE ringfence.entry SET payload = '%d' WHERE key = 'edit:update'", i);
        snprintf(want, sizeof(want), "$%d", i);
        EXPECT_WITHIN(SEEN_MS, c, want, "GET", "edit:update");
    }
}

Test(sql_edits, update_that_sets_the_version_back) {
    EXPECT(c, "+OK", "SET", "edit:version", "new");
    EXPECT(c, "$new", "GET", "edit:version");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'newer', version = 1 "
                "WHERE key = 'edit:version'");
    EXPECT_WITHIN(SEEN_MS, c, "$newer", "GET", "edit:version");
    cr_assert_gt(sql_int(sql, "SELECT version FROM ringfence.entry WHERE key = 'edit:version'"), 1);
}

Test(sql_edits, delete_and_a_row_that_comes_back_lower) {
    EXPECT(c, "+OK", "SET", "edit:delete", "here");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'edit:delete'");
    EXPECT_WITHIN(SEEN_MS, c, "nil", "GET", "edit:delete");
    EXPECT(c, "+OK", "SET", "edit:delete", "here again");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'edit:delete'; "
                "INSERT INTO ringfence.entry (key, payload, version) VALUES "
                "('edit:delete', 'lower', 1)");
    EXPECT_WITHIN(SEEN_MS, c, "$lower", "GET", "edit:delete");
}

Test(sql_edits, soft_delete_and_revival) {
    EXPECT(c, "+OK", "SET", "edit:soft", "on");
    sql_do(sql, "UPDATE ringfence.entry SET active = false WHERE key = 'edit:soft'");
    EXPECT_WITHIN(SEEN_MS, c, "nil", "GET", "edit:soft");
    sql_do(sql, "UPDATE ringfence.entry SET active = true WHERE key = 'edit:soft'");
    EXPECT_WITHIN(SEEN_MS, c, "$on", "GET", "edit:soft");
}

Test(sql_edits, rename_of_a_key) {
    EXPECT(c, "+OK", "SET", "edit:old name", "value");
    EXPECT(c, "nil", "GET", "edit:new name");
    sql_do(sql, "UPDATE ringfence.entry SET key = 'edit:new name' WHERE key = 'edit:old name'");
    EXPECT_WITHIN(SEEN_MS, c, "[nil $value]", "MGET", "edit:old name", "edit:new name");
}

Test(sql_edits, copy) {
    EXPECT(c, "[nil nil]", "MGET", "edit:copy:1", "edit:copy:2");
    sql_copy_in(sql, "edit:copy:1\tone\nedit:copy:2\ttwo\n");
    EXPECT_WITHIN(SEEN_MS, c, "[$one $two]", "MGET", "edit:copy:1", "edit:copy:2");
}

Test(sql_edits, upsert_and_merge) {
    EXPECT(c, "+OK", "SET", "edit:upsert", "0");
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('edit:upsert', '1') "
                "ON CONFLICT (key) DO UPDATE SET payload = EXCLUDED.payload");
    EXPECT_WITHIN(SEEN_MS, c, "$1", "GET", "edit:upsert");
    sql_do(sql, "MERGE INTO ringfence.entry e USING (VALUES ('edit:upsert')) v (k) ON e.key = v.k "
                "WHEN MATCHED THEN UPDATE SET payload = '2'");
    EXPECT_WITHIN(SEEN_MS, c, "$2", "GET", "edit:upsert");
}

Test(sql_edits, a_transaction_is_seen_whole_and_a_rollback_never) {
    EXPECT(c, "+OK", "MSET", "edit:tx:1", "a", "edit:tx:2", "b");
    sql_do(sql, "BEGIN");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'never' WHERE key LIKE 'edit:tx:%%'");
    EXPECT(c, "[$a $b]", "MGET", "edit:tx:1", "edit:tx:2");
    sql_do(sql, "ROLLBACK");
    EXPECT(c, "[$a $b]", "MGET", "edit:tx:1", "edit:tx:2");
    sql_do(sql, "BEGIN");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'c' WHERE key = 'edit:tx:1'");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'edit:tx:2'");
    sql_do(sql, "COMMIT");
    EXPECT_WITHIN(SEEN_MS, c, "[$c nil]", "MGET", "edit:tx:1", "edit:tx:2");
}

Test(sql_edits, keys_of_any_characters) {
    static const char *const KEYS[] = {"edit:\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\x89",
                                       "edit:a b",
                                       "edit:line\nbreak",
                                       "edit:'quote\"",
                                       "edit:back\\slash",
                                       "edit:{tag}",
                                       "edit:c 1 2\nx"};
    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++) {
        EXPECT(c, "+OK", "SET", KEYS[i], "before");
        const char *const values[] = {KEYS[i]};
        PGresult *r =
            PQexecParams(sql, "UPDATE ringfence.entry SET payload = 'after' WHERE key = $1", 1,
                         NULL, values, NULL, NULL, 0);
        cr_assert_str_eq(PQcmdTuples(r), "1", "%s", KEYS[i]);
        PQclear(r);
        EXPECT_WITHIN(SEEN_MS, c, "$after", "GET", KEYS[i]);
    }
}

Test(sql_edits, everything_is_fetched_again_when_an_operator_says_so) {
    int64_t before = stack_info(s->node_ports[0], "invalidations_of_everything");
    sql_do(sql, "SELECT ringfence.everything()");
    EVENTUALLY(SEEN_MS, stack_info(s->node_ports[0], "invalidations_of_everything") > before);
}

/* Behind our backs: with the triggers off nothing is sent, but their state is looked at. */
Test(sql_edits, an_edit_with_the_triggers_off_is_found) {
    EXPECT(c, "+OK", "SET", "edit:silent", "before");
    EXPECT(c, "$before", "GET", "edit:silent");
    sql_do(sql, "BEGIN; ALTER TABLE ringfence.entry DISABLE TRIGGER USER; "
                "UPDATE ringfence.entry SET payload = 'after', version = version + 1 "
                "WHERE key = 'edit:silent'; "
                "ALTER TABLE ringfence.entry ENABLE ALWAYS TRIGGER rf_number_insert, "
                "ENABLE ALWAYS TRIGGER rf_number_update, ENABLE ALWAYS TRIGGER rf_feed_insert, "
                "ENABLE ALWAYS TRIGGER rf_feed_update, ENABLE ALWAYS TRIGGER rf_feed_delete, "
                "ENABLE ALWAYS TRIGGER rf_feed_truncate; COMMIT");
    EXPECT_WITHIN(SEEN_MS, c, "$after", "GET", "edit:silent");
}

/* session_replication_role = replica keeps usual triggers from firing. */
Test(sql_edits, a_replication_session_is_heard) {
    EXPECT(c, "+OK", "SET", "edit:replica", "before");
    sql_do(sql, "SET session_replication_role = replica; "
                "UPDATE ringfence.entry SET payload = 'after' WHERE key = 'edit:replica'; "
                "RESET session_replication_role");
    EXPECT_WITHIN(SEEN_MS, c, "$after", "GET", "edit:replica");
}

static void expect_probes(int ms, const char *want) {
    char key[32];
    for (int i = 0; i < PROBES; i++) {
        snprintf(key, sizeof(key), "edit:bulk:%d", i * (BULK_ROWS / PROBES));
        EXPECT_WITHIN(ms, c, want, "GET", key);
    }
}

Test(sql_edits, a_bulk_update_of_100000_rows) {
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT 'edit:bulk:' || i, 'before' "
           "FROM generate_series(0, %d) AS i",
           BULK_ROWS - 1);
    expect_probes(SEEN_MS, "$before");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'after' WHERE key LIKE 'edit:bulk:%%'");
    expect_probes(SEEN_MS, "$after");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key LIKE 'edit:bulk:%%'");
    expect_probes(SEEN_MS, "nil");
}

/* Just below and above what the feed names one by one. */
Test(sql_edits, updates_around_the_limit_of_what_is_named_row_by_row) {
    static const int COUNTS[] = {1999, 2000, 2001};
    char last[32], want[16];
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) SELECT 'edit:edge:' || i, 'x' "
                "FROM generate_series(1, 2001) AS i");
    for (int i = 0; i < 3; i++) {
        snprintf(last, sizeof(last), "edit:edge:%d", COUNTS[i]);
        EXPECT_WITHIN(SEEN_MS, c, "$*", "GET", last);
        sql_do(sql,
               "UPDATE ringfence.entry SET payload = '%d' WHERE key IN "
               "(SELECT 'edit:edge:' || i FROM generate_series(1, %d) AS i)",
               i, COUNTS[i]);
        snprintf(want, sizeof(want), "$%d", i);
        EXPECT_WITHIN(SEEN_MS, c, want, "GET", "edit:edge:1");
        EXPECT_WITHIN(SEEN_MS, c, want, "GET", last);
    }
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key LIKE 'edit:edge:%%'");
    EXPECT_WITHIN(SEEN_MS, c, "nil", "GET", "edit:edge:1000");
}

/* Everybody's rows go, so on a stack of its own. */
Test(sql_edits_alone, truncate) {
    struct stack *own = stack_private((struct stack_conf){.nodes = 2});
    sql = sql_open(own);
    c = expect_caller(own->proxy_port);
    EXPECT(c, "+OK", "MSET", "a", "1", "b", "2", "c", "3");
    EXPECT(c, "[$1 $2 $3]", "MGET", "a", "b", "c");
    sql_do(sql, "TRUNCATE ringfence.entry");
    EXPECT_WITHIN(SEEN_MS, c, "[nil nil nil]", "MGET", "a", "b", "c");
    EXPECT(c, "+OK", "SET", "b", "4");
    EXPECT(c, "[nil $4 nil]", "MGET", "a", "b", "c");
    EXPECT(c, ":1", "DBSIZE");
    close_all();
    stack_down(&own);
}
