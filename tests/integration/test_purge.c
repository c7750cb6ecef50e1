/* `ringfence-ctl purge`: rows that were switched off long ago leave the table, and nothing else. */
#include <stdio.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { RUN_MS = 20000, SAID_BYTES = 2000 };

static const struct stack *s;
static PGconn *sql;
static char ctl[STACK_PATH_BYTES], conninfo[400], said[SAID_BYTES];

static void open_all(void) {
    s = stack_shared();
    sql = sql_open(s);
    program_path("ringfence-ctl", ctl, sizeof(ctl));
    sql_do(sql, "SET client_min_messages = error; DROP ROLE IF EXISTS rf_purger; "
                "CREATE ROLE rf_purger LOGIN IN ROLE ringfence_purge");
    snprintf(conninfo, sizeof(conninfo), "host=%s port=%s dbname=%s user=rf_purger", s->pg_host,
             s->pg_port, s->pg_database);
}

static void close_all(void) {
    sql_do(sql, "DROP ROLE rf_purger");
    PQfinish(sql);
}

TestSuite(purge, .init = open_all, .fini = close_all);

static int purge(const char *age, const char *table) {
    const char *const argv[] = {ctl, "purge", "--older-than", age, conninfo, table, NULL};
    return program_run(argv, said, sizeof(said), RUN_MS);
}

/* More than two pages, every third row switched off two hours ago (a trigger sets updated_at, so it
 * is set by an INSERT). */
Test(purge, takes_what_is_old_and_off_page_by_page) {
    sql_do(
        sql,
        "INSERT INTO ringfence.entry (key, payload, active, updated_at) SELECT 'purge:' || n, n, "
        "n %% 3 <> 0, now() - CASE WHEN n %% 2 = 0 THEN '2 h' ELSE '0 h' END::interval "
        "FROM generate_series(1, 3000) AS n");
    cr_assert_eq(purge("1h", "ringfence.entry"), 0, "%s", said);
    cr_expect_not_null(strstr(said, "ringfence.entry: 500 of "), "%s", said);
    sql_expect(sql, "2500", "SELECT count(*) FROM ringfence.entry WHERE key LIKE 'purge:%%'");
    sql_expect(sql, "0",
               "SELECT count(*) FROM ringfence.entry WHERE key LIKE 'purge:%%' AND NOT active "
               "AND updated_at < now() - '1 h'::interval");
    cr_assert_eq(purge("1h", "ringfence.entry"), 0, "%s", said);
    cr_expect_not_null(strstr(said, "ringfence.entry: 0 of "), "%s", said);
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key LIKE 'purge:%%'");
}

/* A row that was purged is a key that was never there: it can be set again and is seen. */
Test(purge, a_key_that_went_can_come_back) {
    struct caller *c = expect_caller(s->proxy_port);
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, active, updated_at) "
                "VALUES ('purge:back', 'old', false, now() - '2 h'::interval)");
    EXPECT(c, "nil", "GET", "purge:back");
    cr_assert_eq(purge("1h", "ringfence.entry"), 0, "%s", said);
    EXPECT(c, "nil", "GET", "purge:back");
    EXPECT(c, "+OK", "SET", "purge:back", "new");
    EXPECT(c, "$new", "GET", "purge:back");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'purge:back'");
    caller_close(&c);
}

Test(purge, says_what_it_cannot_do) {
    cr_expect_eq(purge("1h", "entry"), 2);
    cr_expect_not_null(strstr(said, "table 'entry' is not schema.table"), "%s", said);
    cr_expect_eq(purge("1h", "ringfence.nothing"), 1);
    cr_expect_not_null(strstr(said, "relation \"ringfence.nothing\" does not exist"), "%s", said);
    cr_expect_not_null(strstr(said, "ringfence.nothing: 0 of 0 rows purged, then it stopped"), "%s",
                       said);
}
