/* What a node refuses to serve: its exit status, and a message that says what to do. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/sql.h"
#include "../harness/stack.h"
#include "../harness/standby.h"

enum { EXIT_CONFIG = 6, RUN_MS = 60000, PG_MS = 30000 };

static const struct stack *s;
static PGconn *sql;

static void set_up(void) {
    s = stack_shared();
    sql = sql_open(s);
}

static void tear_down(void) {
    PQfinish(sql);
}

TestSuite(refusals, .init = set_up, .fini = tear_down);

/* A table of the test's own, as configs/schema.sql makes it. */
static void make_table(const char *database, const char *schema) {
    char set[80], file[STACK_PATH_BYTES + 40], said[2000];
    snprintf(set, sizeof(set), "rf_schema=%s", schema);
    snprintf(file, sizeof(file), "%s/configs/schema.sql", program_root());
    const char *const argv[] = {"psql", "-qX",        "-h", s->pg_host, "-p", s->pg_port,
                                "-U",   "postgres",   "-d", database,   "-v", set,
                                "-v",   "rf_table=t", "-f", file,       NULL};
    int status = program_run(argv, said, sizeof(said), PG_MS);
    cr_assert_eq(status, 0, "%s: %s", schema, said);
}

/* Runs a node until it ends. */
static int run_node(const char *conninfo, const char *table, char *said, size_t size) {
    char path[STACK_PATH_BYTES];
    program_path("ringfence-node", path, sizeof(path));
    const char *const argv[] = {path,         "--name", "refused", "--port", "0",
                                "--conninfo", conninfo, "--table", table,    NULL};
    return program_run(argv, said, size, RUN_MS);
}

static void expect_refused(const char *conninfo, const char *table, const char *want,
                           const char *advice) {
    static char said[20000];
    int status = run_node(conninfo, table, said, sizeof(said));
    cr_expect_eq(status, EXIT_CONFIG, "%s: exit status %d: %s", table, status, said);
    char line[200];
    snprintf(line, sizeof(line), "ringfence-node: %s: ", table);
    const char *at = strstr(said, line);
    cr_expect_not_null(at, "%s: no line for people: %s", table, said);
    at = at == NULL ? said : at;
    cr_expect_not_null(strstr(at, want), "%s: not '%s' but: %s", table, want, at);
    cr_expect_not_null(strstr(at, advice), "%s: no '%s' but: %s", table, advice, at);
}

static const char *conninfo_of(const char *database, const char *user) {
    static char conninfo[400];
    snprintf(conninfo, sizeof(conninfo), "host=%s port=%s dbname=%s user=%s", s->pg_host,
             s->pg_port, database, user);
    return conninfo;
}

/* A fresh table, changed so, is refused; without the change it is served (see the last test). */
static void expect_table_refused(const char *schema, const char *change, const char *want,
                                 const char *advice) {
    char table[80];
    make_table(s->pg_database, schema);
    sql_do(sql, "SET search_path = %s; %s", schema, change);
    snprintf(table, sizeof(table), "%s.t", schema);
    expect_refused(conninfo_of(s->pg_database, "rf_node1"), table, want, advice);
    sql_do(sql, "SET client_min_messages = error; DROP SCHEMA %s CASCADE; RESET search_path",
           schema);
}

/* ---- the table ---- */

Test(refusals, a_table_that_is_not_there) {
    expect_refused(conninfo_of(s->pg_database, "rf_node1"), "nowhere.t",
                   "there is no table 'nowhere'.'t'", "load configs/schema.sql");
    static char said[20000];
    cr_assert_eq(run_node(conninfo_of(s->pg_database, "rf_node1"), "nodot", said, sizeof(said)),
                 EXIT_CONFIG);
    cr_assert_not_null(strstr(said, "table 'nodot' is not schema.table"), "%s", said);
}

Test(refusals, a_partitioned_table) {
    expect_table_refused("refuse_part",
                         "DROP TABLE t CASCADE; CREATE TABLE t (key text PRIMARY KEY, payload text,"
                         " active boolean, version bigint, expires_at timestamptz, updated_at "
                         "timestamptz) PARTITION BY HASH (key)",
                         "partitioned", "name the table");
}

Test(refusals, a_view) {
    expect_table_refused("refuse_view",
                         "DROP VIEW t_live; ALTER TABLE t RENAME TO base; "
                         "CREATE VIEW t AS SELECT * FROM base",
                         "a view", "name the table");
}

Test(refusals, a_table_that_inherits) {
    expect_table_refused("refuse_heir", "CREATE TABLE child () INHERITS (t)", "inherit", "take it");
    expect_table_refused(
        "refuse_heir", "CREATE TABLE parent (payload text NOT NULL); ALTER TABLE t INHERIT parent",
        "inherits", "take it");
}

Test(refusals, the_target_of_a_subscription) {
    expect_table_refused(
        "refuse_sub",
        "SET allow_system_table_mods = on; "
        "CREATE SUBSCRIPTION refuse_sub CONNECTION 'host=/nowhere' PUBLICATION p "
        "WITH (connect = false, slot_name = NONE); INSERT INTO pg_subscription_rel "
        "SELECT oid, 't'::regclass, 'r', NULL FROM pg_subscription WHERE subname = 'refuse_sub'",
        "target of a subscription", "take it out");
    sql_do(sql, "SET allow_system_table_mods = on; DROP SUBSCRIPTION refuse_sub");
}

Test(refusals, row_level_security) {
    expect_table_refused("refuse_rls", "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                         "row-level security", "disable it");
}

/* ---- its columns ---- */

Test(refusals, a_column_that_is_missing) {
    expect_table_refused("refuse_column", "ALTER TABLE t DROP COLUMN expires_at CASCADE",
                         "a column is missing", "key, payload, active, version, expires_at");
}

Test(refusals, a_payload_that_does_not_come_back_as_it_was_written) {
    expect_table_refused("refuse_jsonb",
                         "DROP VIEW t_live; ALTER TABLE t ALTER payload TYPE jsonb USING "
                         "to_jsonb(payload)",
                         "must be text or varchar", "jsonb");
    expect_table_refused("refuse_char",
                         "DROP VIEW t_live; ALTER TABLE t ALTER payload TYPE char(10)",
                         "must be text or varchar", "char(n)");
    expect_table_refused("refuse_char", "DROP VIEW t_live; ALTER TABLE t ALTER key TYPE char(10)",
                         "must be text or varchar", "char(n)");
}

Test(refusals, a_collation_that_takes_different_keys_for_equal) {
    expect_table_refused(
        "refuse_collation",
        "CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false); "
        "DROP VIEW t_live; ALTER TABLE t ALTER key TYPE text COLLATE loose",
        "not deterministic", "COLLATE 'C'");
}

/* ---- its triggers and its sequence ---- */

Test(refusals, triggers_that_are_missing_or_do_not_always_run) {
    static const char *const CHANGES[] = {"DROP TRIGGER rf_feed_update ON t",
                                          "ALTER TABLE t DISABLE TRIGGER rf_feed_truncate",
                                          "ALTER TABLE t ENABLE TRIGGER rf_number_update",
                                          "ALTER TABLE t ENABLE REPLICA TRIGGER rf_feed_insert"};
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++)
        expect_table_refused("refuse_trigger", CHANGES[i], "triggers of configs/schema.sql",
                             "make them as it does");
}

Test(refusals, a_row_trigger_of_somebody_else) {
    expect_table_refused("refuse_foreign",
                         "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
                         "'BEGIN NEW.payload := upper(NEW.payload); RETURN NEW; END'; "
                         "CREATE TRIGGER loud BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
                         "row triggers of somebody else", "drop them");
}

Test(refusals, a_sequence_that_does_not_rise_or_is_not_there) {
    expect_table_refused("refuse_cache", "ALTER SEQUENCE t_version CACHE 10", "CACHE above 1",
                         "CACHE 1");
    expect_table_refused("refuse_cache", "ALTER SEQUENCE t_version RENAME TO other",
                         "no sequence t_version", "configs/schema.sql");
}

/* ---- the database ---- */

Test(refusals, a_database_that_is_not_utf8) {
    sql_do(sql, "DROP DATABASE IF EXISTS refuse_ascii");
    sql_do(sql, "CREATE DATABASE refuse_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' "
                "LC_COLLATE 'C' LC_CTYPE 'C'");
    make_table("refuse_ascii", "refused");
    expect_refused(conninfo_of("refuse_ascii", "rf_node1"), "refused.t", "the encoding SQL_ASCII",
                   "ENCODING UTF8");
    sql_do(sql, "DROP DATABASE refuse_ascii WITH (FORCE)");
}

Test(refusals, a_role_without_its_rights) {
    static const char *const LACKS[] = {
        "REVOKE SELECT ON refuse_rights.t FROM ringfence_node",
        "REVOKE INSERT (payload) ON refuse_rights.t FROM ringfence_node",
        "REVOKE UPDATE (active) ON refuse_rights.t FROM ringfence_node",
        "REVOKE USAGE ON SEQUENCE refuse_rights.t_version FROM ringfence_node",
    };
    sql_do(sql, "DROP ROLE IF EXISTS rf_poor; CREATE ROLE rf_poor LOGIN");
    make_table(s->pg_database, "refuse_rights");
    expect_refused(conninfo_of(s->pg_database, "rf_poor"), "refuse_rights.t",
                   "permission denied for schema refuse_rights", "ringfence_node");
    sql_do(sql, "GRANT USAGE ON SCHEMA refuse_rights TO rf_poor");
    expect_refused(conninfo_of(s->pg_database, "rf_poor"), "refuse_rights.t",
                   "the role rf_poor lacks rights", "grant it ringfence_node");
    sql_do(sql, "DROP SCHEMA refuse_rights CASCADE; DROP ROLE rf_poor");
    for (size_t i = 0; i < sizeof(LACKS) / sizeof(LACKS[0]); i++)
        expect_table_refused("refuse_rights", LACKS[i], "the role rf_node1 lacks rights",
                             "grant it ringfence_node");
}

/* It goes on trying, as the database may come back; the log says why it waits. */
Test(refusals, not_a_database_that_cannot_be_reached) {
    char path[STACK_PATH_BYTES], log[] = "/var/tmp/rf-log-XXXXXX";
    close(mkstemp(log));
    program_path("ringfence-node", path, sizeof(path));
    const char *const argv[] = {path, "--port", "0", "--conninfo", "host=/nowhere user=nobody",
                                NULL};
    pid_t pid = program_start(argv, log);
    EVENTUALLY(RUN_MS,
               program_file_has(log, " db_connection_down connection=scout1 why=\"connection "
                                     "to server on socket '/nowhere/.s.PGSQL.5432' failed: "
                                     "No such file or directory"));
    cr_assert(program_runs(pid));
    cr_assert_eq(program_stop(pid, SIGTERM, RUN_MS), 0);
    unlink(log);
}

/* ---- servers that only read ---- */

Test(refusals, a_server_that_is_read_only) {
    sql_do(sql, "DROP ROLE IF EXISTS rf_reader; CREATE ROLE rf_reader LOGIN IN ROLE ringfence_node;"
                "ALTER ROLE rf_reader SET default_transaction_read_only = on");
    expect_refused(conninfo_of(s->pg_database, "rf_reader"), "ringfence.entry",
                   "no server takes writes", "name the primary");
    sql_do(sql, "DROP ROLE rf_reader");
}

Test(refusals, a_standby_and_only_that) {
    static struct standby standby;
    char conninfo[400];
    static char said[20000];
    standby_start(s, &standby);
    snprintf(conninfo, sizeof(conninfo), "host=%s port=%s dbname=%s user=rf_node1", standby.dir,
             s->pg_port, s->pg_database);
    int status = run_node(conninfo, "ringfence.entry", said, sizeof(said));
    cr_expect_eq(status, EXIT_CONFIG, "%s", said);
    cr_expect_not_null(strstr(said, " db_read_only connection=feed waits_for=\"a server that takes "
                                    "writes"),
                       "%s", said);
    cr_expect_not_null(strstr(said, "ringfence-node: ringfence.entry: no server takes writes"),
                       "%s", said);
    standby_stop(&standby);
}

/* ---- poolers ---- */

static bool pgbouncer_answers(const char *dir, uint16_t port) {
    char path[200];
    snprintf(path, sizeof(path), "%s/.s.PGSQL.%u", dir, port);
    return access(path, F_OK) == 0;
}

/* A pooler that gives each transaction another connection passes no notifications on. */
static void run_behind(const char *mode, char *said, size_t size, int *status_out) {
    char dir[] = "/var/tmp/rf-pgb-XXXXXX", ini[64], log[64], conninfo[200];
    uint16_t port = program_free_port();
    cr_assert_not_null(mkdtemp(dir));
    snprintf(ini, sizeof(ini), "%s/ini", dir);
    snprintf(log, sizeof(log), "%s/log", dir);
    FILE *file = fopen(ini, "we");
    cr_assert_not_null(file);
    fprintf(file,
            "[databases]\n%s = host=%s port=%s user=rf_node1\n[pgbouncer]\nlisten_addr "
            "=\nlisten_port = %u\n"
            "unix_socket_dir = %s\nauth_type = any\npool_mode = %s\n"
            "ignore_startup_parameters = extra_float_digits\n",
            s->pg_database, s->pg_host, s->pg_port, port, dir, mode);
    fclose(file);
    const char *const own[] = {"chown", "-R", "postgres", dir, NULL};
    cr_assert_eq(geteuid() == 0 ? program_run(own, NULL, 0, PG_MS) : 0, 0);
    const char *const argv[] = {"/usr/sbin/pgbouncer", "-u", "postgres", ini, NULL};
    pid_t pooler = program_start(argv, log);
    EVENTUALLY(PG_MS, pgbouncer_answers(dir, port) || !program_runs(pooler));
    cr_assert(program_runs(pooler), "%s", program_file_text(log));
    snprintf(conninfo, sizeof(conninfo), "host=%s port=%u dbname=%s user=rf_node1", dir, port,
             s->pg_database);
    *status_out = run_node(conninfo, "ringfence.entry", said, size);
    program_stop(pooler, SIGINT, PG_MS);
    const char *const rm[] = {"rm", "-rf", dir, NULL};
    program_run(rm, NULL, 0, PG_MS);
}

Test(refusals, a_transaction_pooler) {
    static char said[60000];
    int status;
    if (access("/usr/sbin/pgbouncer", X_OK) != 0)
        cr_skip_test("there is no pgbouncer here");
    run_behind("transaction", said, sizeof(said), &status);
    cr_expect_eq(status, EXIT_CONFIG, "exit status %d: %s", status, said);
    cr_expect_not_null(strstr(said, "transaction pooler"), "%s", said);
}

/* ---- and what is served ---- */

Test(refusals, not_a_table_as_the_schema_makes_it) {
    uint16_t port;
    make_table(s->pg_database, "refuse_nothing");
    pid_t pid = stack_node(s, "served", "--table refuse_nothing.t", &port);
    struct caller *c = expect_caller(port);
    EXPECT(c, "+OK", "SET", "a", "b");
    EXPECT(c, "$b", "GET", "a");
    caller_close(&c);
    cr_assert_eq(program_stop(pid, SIGTERM, RUN_MS), 0);
    sql_do(sql, "SET client_min_messages = error; DROP SCHEMA refuse_nothing CASCADE");
}
