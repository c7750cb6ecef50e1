/* Through the cache: rows are read through it and written through it; the table is the truth. */
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { SEEN_MS = 2000 /* what the project promises for edits of the table */ };

static const struct stack *s;
static PGconn *sql;
static struct caller *c;

static void open_all(void) {
    shared_open(&s, &sql, &c, NULL);
}

static void close_all(void) {
    shared_close(&sql, &c, NULL);
}

TestSuite(through, .init = open_all, .fini = close_all);

static int64_t database_reads(void) {
    int64_t sum = 0;
    for (int i = 0; i < s->nodes; i++)
        sum += stack_info(s->node_ports[i], "db_reads");
    return sum;
}

static bool read_costs_nothing(const char *key) {
    int64_t before = database_reads();
    caller_say_words(c, "GET", key, NULL);
    expect_flush(c);
    EXPECT_NEXT(c, "$*");
    return database_reads() == before;
}

Test(through, a_row_is_read_and_then_remembered) {
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('through:read', 'a value')");
    EXPECT(c, "$a value", "GET", "through:read");
    /* The news of the INSERT may have overtaken the first read: then the next one is kept. */
    EVENTUALLY(SEEN_MS, read_costs_nothing("through:read"));
    int64_t before = database_reads();
    for (int i = 0; i < 100; i++)
        EXPECT(c, "$a value", "GET", "through:read");
    cr_assert_eq(database_reads(), before);
}

Test(through, absence_is_remembered_too) {
    EXPECT(c, "nil", "GET", "through:nothing");
    int64_t before = database_reads();
    for (int i = 0; i < 100; i++)
        EXPECT(c, "nil", "GET", "through:nothing");
    cr_assert_eq(database_reads(), before);
}

Test(through, a_set_is_a_row_when_it_is_answered) {
    EXPECT(c, "+OK", "SET", "through:set", "first");
    sql_expect(sql, "first", "SELECT payload FROM ringfence.entry WHERE key = 'through:set'");
    sql_expect(sql, "t", "SELECT active FROM ringfence.entry WHERE key = 'through:set'");
    int64_t version = sql_int(sql, "SELECT version FROM ringfence.entry WHERE key = 'through:set'");
    cr_assert_gt(version, 0);
    EXPECT(c, "+OK", "SET", "through:set", "second");
    sql_expect(sql, "second", "SELECT payload FROM ringfence.entry WHERE key = 'through:set'");
    cr_assert_gt(sql_int(sql, "SELECT version FROM ringfence.entry WHERE key = 'through:set'"),
                 version);
    EXPECT(c, "$second", "GET", "through:set");
}

Test(through, a_delete_switches_the_row_off_and_a_set_on_again) {
    EXPECT(c, "+OK", "SET", "through:del", "kept for the operator");
    EXPECT(c, ":1", "DEL", "through:del");
    sql_expect(sql, "kept for the operator",
               "SELECT payload FROM ringfence.entry WHERE key = 'through:del' AND NOT active");
    EXPECT(c, "nil", "GET", "through:del");
    EXPECT(c, ":0", "EXISTS", "through:del");
    EXPECT(c, ":0", "DEL", "through:del");
    EXPECT(c, "+OK", "SET", "through:del", "back");
    sql_expect(sql, "back",
               "SELECT payload FROM ringfence.entry WHERE key = 'through:del' AND active");
    EXPECT(c, "$back", "GET", "through:del");
}

Test(through, an_insert_replaces_the_memory_of_absence) {
    EXPECT(c, "nil", "GET", "through:late");
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('through:late', 'here')");
    EXPECT_WITHIN(SEEN_MS, c, "$here", "GET", "through:late");
}

Test(through, an_own_set_replaces_the_memory_of_absence_before_its_answer) {
    char key[32];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "through:own:%d", i);
        EXPECT(c, "nil", "GET", key);
        EXPECT(c, "+OK", "SET", key, key + 8);
        caller_say_words(c, "GET", key, NULL);
        expect_flush(c);
        expect_bulk(c, span_str(key + 8));
    }
}

Test(through, an_inactive_row_does_not_exist) {
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, active) VALUES "
                "('through:off', 'hidden', false)");
    EXPECT(c, "nil", "GET", "through:off");
    EXPECT(c, ":0", "EXISTS", "through:off");
    EXPECT(c, "+none", "TYPE", "through:off");
    EXPECT(c, ":0", "STRLEN", "through:off");
    sql_do(sql, "UPDATE ringfence.entry SET active = true WHERE key = 'through:off'");
    EXPECT_WITHIN(SEEN_MS, c, "$hidden", "GET", "through:off");
}

Test(through, an_expired_row_does_not_exist) {
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, expires_at) VALUES "
                "('through:past', 'old', now() - interval '1 second'),"
                "('through:soon', 'young', now() + interval '700 milliseconds')");
    EXPECT(c, "nil", "GET", "through:past");
    EXPECT(c, "$young", "GET", "through:soon");
    EXPECT_WITHIN(3000, c, "nil", "GET", "through:soon");
    sql_expect(sql, "t",
               "SELECT now() >= expires_at FROM ringfence.entry WHERE key = 'through:soon'");
}

/* ---- batches ---- */

/* 100 pipelined SETs of which the table refuses one. */
Test(through, a_row_that_the_table_refuses_fails_alone) {
    enum { COUNT = 100, BAD = 37 };
    char key[32];
    sql_do(sql, "ALTER TABLE ringfence.entry ADD CONSTRAINT through_bad CHECK "
                "(key <> 'through:batch:37' OR payload <> 'refused') NOT VALID");
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "through:batch:%d", i);
        caller_say_words(c, "SET", key, i == BAD ? "refused" : "written", NULL);
    }
    expect_flush(c);
    for (int i = 0; i < COUNT; i++)
        EXPECT_NEXT(c, i == BAD ? "-ERR database refused: *" : "+OK");
    sql_do(sql, "ALTER TABLE ringfence.entry DROP CONSTRAINT through_bad");
    cr_assert_eq(sql_int(sql, "SELECT count(*) FROM ringfence.entry WHERE key LIKE "
                              "'through:batch:%%' AND payload = 'written'"),
                 COUNT - 1);
    EXPECT(c, "nil", "GET", "through:batch:37");
    EXPECT(c, "+OK", "SET", "through:batch:37", "refused");
    EXPECT(c, "$refused", "GET", "through:batch:37");
}

/* The database's text goes to the client as one line. */
Test(through, what_the_database_says_is_told_in_one_line) {
    sql_do(sql, "ALTER TABLE ringfence.entry ADD CONSTRAINT \"two\r\n-ERR lines\" CHECK "
                "(key <> 'through:lines' OR payload <> 'refused') NOT VALID");
    EXPECT(c, "-ERR database refused: *", "SET", "through:lines", "refused");
    EXPECT(c, "+PONG", "PING");
    sql_do(sql, "ALTER TABLE ringfence.entry DROP CONSTRAINT \"two\r\n-ERR lines\"");
}

Test(through, an_mset_that_the_table_refuses_writes_nothing) {
    sql_do(sql, "ALTER TABLE ringfence.entry ADD CONSTRAINT through_mset CHECK "
                "(key <> 'through:mset:b' OR payload <> 'refused') NOT VALID");
    EXPECT(c, "-ERR database refused: *", "MSET", "through:mset:a", "1", "through:mset:b",
           "refused", "through:mset:c", "3");
    sql_do(sql, "ALTER TABLE ringfence.entry DROP CONSTRAINT through_mset");
    sql_expect(sql, "0", "SELECT count(*) FROM ringfence.entry WHERE key LIKE 'through:mset:%%'");
    EXPECT(c, "[nil nil nil]", "MGET", "through:mset:a", "through:mset:b", "through:mset:c");
}

Test(through, the_last_value_of_a_repeated_key_of_mset_wins) {
    EXPECT(c, "+OK", "MSET", "through:twice", "1", "through:once", "2", "through:twice", "3");
    EXPECT(c, "[$3 $2]", "MGET", "through:twice", "through:once");
    sql_expect(sql, "3", "SELECT payload FROM ringfence.entry WHERE key = 'through:twice'");
}

/* A key on each node, so that every answer has to be put together. */
Test(through, many_keys_on_all_nodes_keep_their_order_and_their_repeats) {
    char a[48], b[48], d[48];
    stack_key_of(s, 0, "through:many:", a, sizeof(a));
    stack_key_of(s, 1, "through:many:", b, sizeof(b));
    stack_key_of(s, 2, "through:many:", d, sizeof(d));
    EXPECT(c, "+OK", "MSET", a, "A", b, "B", d, "D");
    EXPECT(c, "[$B $A nil $D $A $B nil $D]", "MGET", b, a, "through:none", d, a, b, "through:none",
           d);
    EXPECT(c, ":5", "EXISTS", a, b, a, "through:none", d, a);
    EXPECT(c, ":4", "TOUCH", d, d, b, a);
    EXPECT(c, ":2", "DEL", a, d, a, "through:none", d);
    EXPECT(c, "[nil $B nil]", "MGET", a, b, d);
    EXPECT(c, ":1", "UNLINK", a, b, b);
    EXPECT(c, ":0", "EXISTS", a, b, d);
}
