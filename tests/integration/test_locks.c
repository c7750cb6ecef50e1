/* Somebody holds a lock: only what needs it waits, and not for long. */
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { SEEN_MS = 2000, NEIGHBOURS = 40 };

static const struct stack *s;
static PGconn *sql;
static struct caller *c, *other;

static void open_all(void) {
    shared_open(&s, &sql, &c, NULL);
    other = expect_caller(s->proxy_port);
}

static void close_all(void) {
    caller_close(&other);
    shared_close(&sql, &c, NULL);
}

TestSuite(locks, .init = open_all, .fini = close_all);

static void hold(const char *key) {
    sql_do(sql, "BEGIN");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'held' WHERE key = '%s'", key);
}

Test(locks, a_locked_row_refuses_its_own_writes_and_is_read_on) {
    EXPECT(c, "+OK", "SET", "lock:row", "before");
    hold("lock:row");
    EXPECT(c, "-BUSY the row is locked *", "SET", "lock:row", "refused");
    EXPECT(c, "-BUSY the row is locked *", "DEL", "lock:row");
    EXPECT(c, "-BUSY the row is locked *", "GETSET", "lock:row", "refused");
    EXPECT(c, "-BUSY the row is locked *", "SET", "lock:row", "refused", "XX");
    EXPECT(c, "-BUSY the row is locked *", "SETNX", "lock:row", "refused");
    EXPECT(c, "$before", "GET", "lock:row");
    sql_do(sql, "COMMIT");
    EXPECT_WITHIN(SEEN_MS, c, "$held", "GET", "lock:row");
    EXPECT(c, "+OK", "SET", "lock:row", "after");
    EXPECT(c, "$after", "GET", "lock:row");
}

/* In one batch with the locked row, before and behind it. */
Test(locks, neighbours_of_a_locked_row_are_written) {
    char key[32], value[16], want[16];
    EXPECT(c, "+OK", "SET", "lock:middle", "before");
    hold("lock:middle");
    for (int round = 0; round < 3; round++) {
        snprintf(value, sizeof(value), "%d", round);
        snprintf(want, sizeof(want), "$%d", round);
        for (int i = 0; i < NEIGHBOURS; i++) {
            snprintf(key, sizeof(key), "lock:near:%d", i);
            caller_say_words(c, "SET", i == NEIGHBOURS / 2 ? "lock:middle" : key, value, NULL);
        }
        expect_flush(c);
        for (int i = 0; i < NEIGHBOURS; i++)
            EXPECT_NEXT(c, i == NEIGHBOURS / 2 ? "-BUSY the row is locked *" : "+OK");
        for (int i = 0; i < NEIGHBOURS; i++) {
            snprintf(key, sizeof(key), "lock:near:%d", i);
            EXPECT(other, i == NEIGHBOURS / 2 ? "nil" : want, "GET", key);
        }
    }
    sql_do(sql, "ROLLBACK");
    EXPECT(c, "$before", "GET", "lock:middle");
}

/* Another client's writes and cold reads succeed while one waits for the lock. */
Test(locks, other_clients_go_on) {
    char key[32];
    EXPECT(c, "+OK", "SET", "lock:slow", "before");
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT 'lock:cold:' || i, 'cold' "
           "FROM generate_series(0, %d) AS i",
           NEIGHBOURS - 1);
    hold("lock:slow");
    for (int round = 0; round < 3; round++) {
        caller_say_words(c, "SET", "lock:slow", "refused", NULL);
        expect_flush(c);
        for (int i = 0; i < NEIGHBOURS / 3; i++) {
            snprintf(key, sizeof(key), "lock:other:%d", i);
            EXPECT(other, "+OK", "SET", key, "v");
            snprintf(key, sizeof(key), "lock:cold:%d", round * (NEIGHBOURS / 3) + i);
            EXPECT(other, "$cold", "GET", key);
        }
        EXPECT_NEXT(c, "-BUSY the row is locked *");
    }
    sql_do(sql, "ROLLBACK");
}

Test(locks, an_mset_with_a_locked_row_writes_nothing) {
    EXPECT(c, "+OK", "MSET", "lock:m1", "1", "lock:m2", "2", "lock:m3", "3");
    hold("lock:m2");
    EXPECT(c, "-BUSY the row is locked *", "MSET", "lock:m1", "a", "lock:m2", "b", "lock:m3", "c");
    EXPECT(c, "-BUSY the row is locked *", "DEL", "lock:m1", "lock:m2", "lock:m3");
    sql_do(sql, "ROLLBACK");
    EXPECT(c, "[$1 $2 $3]", "MGET", "lock:m1", "lock:m2", "lock:m3");
    EXPECT(c, ":3", "DEL", "lock:m1", "lock:m2", "lock:m3");
}

/* A row that an open transaction has inserted is nobody's to insert. */
Test(locks, an_insert_that_is_not_committed) {
    sql_do(sql, "BEGIN");
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('lock:new', 'theirs')");
    EXPECT(c, "nil", "GET", "lock:new");
    EXPECT(c, "-BUSY the row is locked *", "SET", "lock:new", "ours");
    EXPECT(c, "-BUSY the row is locked *", "SETNX", "lock:new", "ours");
    EXPECT(c, "nil", "GET", "lock:new");
    sql_do(sql, "COMMIT");
    EXPECT_WITHIN(SEEN_MS, c, "$theirs", "GET", "lock:new");
    EXPECT(c, ":0", "SETNX", "lock:new", "ours");
}

/* A lock of the table keeps writers out, not readers. */
Test(locks, a_locked_table_refuses_writes_and_is_read) {
    EXPECT(c, "+OK", "SET", "lock:table", "before");
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('lock:table:cold', 'cold')");
    sql_do(sql, "BEGIN");
    sql_do(sql, "LOCK TABLE ringfence.entry IN EXCLUSIVE MODE");
    EXPECT(c, "-BUSY the row is locked *", "SET", "lock:table", "refused");
    EXPECT(c, "[$before $cold]", "MGET", "lock:table", "lock:table:cold");
    sql_do(sql, "COMMIT");
    EXPECT(c, "+OK", "SET", "lock:table", "after");
}
