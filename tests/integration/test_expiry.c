/* Times to live: kept in the table, honoured by every node and by SQL. */
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { SEEN_MS = 2000, KEYS = 20 };

static const struct stack *s;
static PGconn *sql;
static struct caller *c, *node[SHARED_NODES];

static void open_all(void) {
    shared_open(&s, &sql, &c, node);
}

static void close_all(void) {
    shared_close(&sql, &c, node);
}

TestSuite(expiry, .init = open_all, .fini = close_all);

Test(expiry, is_kept_in_the_table) {
    EXPECT(c, "+OK", "SET", "ttl:kept", "v", "PXAT", "4102444800123");
    sql_expect(sql, "4102444800123",
               "SELECT (extract(epoch FROM expires_at) * 1000)::bigint FROM ringfence.entry "
               "WHERE key = 'ttl:kept'");
    EXPECT(c, ":4102444800123", "PEXPIRETIME", "ttl:kept");
    EXPECT(c, ":4102444800", "EXPIRETIME", "ttl:kept");
    EXPECT(c, ":1", "PERSIST", "ttl:kept");
    sql_expect(sql, "null", "SELECT expires_at FROM ringfence.entry WHERE key = 'ttl:kept'");
    EXPECT(c, ":-1", "PEXPIRETIME", "ttl:kept");
}

/* Relative times are by the database's clock, in the server's own second. */
Test(expiry, counts_from_the_databases_now) {
    EXPECT(c, "+OK", "SETEX", "ttl:now", "100", "v");
    sql_expect(sql, "t",
               "SELECT expires_at BETWEEN updated_at + '99.9 s' AND now() + '100 s' "
               "FROM ringfence.entry WHERE key = 'ttl:now'");
}

/* From the moment on at which SQL says that a row has expired, no node may give it any more,
 * however it came into its cache. */
Test(expiry, no_node_serves_a_row_longer_than_it_lives) {
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "ttl:short:%d", i);
        EXPECT(c, "+OK", "SET", key, "v", "PX", i % 2 == 0 ? "400" : "450");
        EXPECT(node[i % 2], "$v", "GET", key);
        if (i % 4 == 3) /* written again by a node: its own ack is what is cached */
            EXPECT(node[0], "+OK", "SET", key, "v", "PX", "420");
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "ttl:short:%d", i);
        EVENTUALLY(SEEN_MS, sql_int(sql,
                                    "SELECT (expires_at <= clock_timestamp())::int FROM "
                                    "ringfence.entry WHERE key = '%s'",
                                    key) == 1);
        EXPECT(node[0], "nil", "GET", key);
        EXPECT(node[1], "nil", "GET", key);
        EXPECT(c, ":-2", "TTL", key);
    }
    sql_expect(sql, "0", "SELECT count(*) FROM ringfence.entry_live WHERE key LIKE 'ttl:short:%%'");
}

Test(expiry, set_by_sql_is_seen) {
    EXPECT(c, "+OK", "SET", "ttl:sql", "v");
    EXPECT(c, ":-1", "TTL", "ttl:sql");
    sql_do(sql, "UPDATE ringfence.entry SET expires_at = now() + '100 s' WHERE key = 'ttl:sql'");
    EXPECT_WITHIN(SEEN_MS, c, ":100", "TTL", "ttl:sql");
    sql_do(sql, "UPDATE ringfence.entry SET expires_at = now() WHERE key = 'ttl:sql'");
    EXPECT_WITHIN(SEEN_MS, c, "nil", "GET", "ttl:sql");
    sql_do(sql, "UPDATE ringfence.entry SET expires_at = NULL, active = true WHERE key = "
                "'ttl:sql'"); /* it may have been swept */
    EXPECT_WITHIN(SEEN_MS, c, "$v", "GET", "ttl:sql");
}

Test(expiry, a_time_that_is_past_deletes) {
    EXPECT(c, "+OK", "SET", "ttl:past", "v");
    EXPECT(c, ":1", "EXPIREAT", "ttl:past", "1");
    EXPECT(c, ":0", "EXISTS", "ttl:past");
    sql_expect(sql, "f", "SELECT active FROM ringfence.entry WHERE key = 'ttl:past'");
    sql_expect(sql, "v", "SELECT payload FROM ringfence.entry WHERE key = 'ttl:past'");
}

/* What other writes do to it. */
Test(expiry, a_plain_set_ends_it_and_keepttl_keeps_it) {
    EXPECT(c, "+OK", "SET", "ttl:set", "v", "EX", "100");
    EXPECT(c, "+OK", "SET", "ttl:set", "w", "KEEPTTL");
    EXPECT(c, ":100", "TTL", "ttl:set");
    EXPECT(c, "$w", "GET", "ttl:set");
    EXPECT(c, "+OK", "SET", "ttl:set", "x");
    EXPECT(c, ":-1", "TTL", "ttl:set");
    EXPECT(c, "+OK", "MSET", "ttl:set", "y", "ttl:set:2", "y");
    EXPECT(c, ":-1", "TTL", "ttl:set");
}

/* An expired row is no row: NX sets it, XX does not, and nobody's time to live is inherited. */
Test(expiry, an_expired_row_is_absent_to_every_write) {
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, expires_at) SELECT 'ttl:dead:' || n, "
                "'v', now() - '1 s'::interval FROM generate_series(1, 6) AS n");
    EXPECT(c, "nil", "SET", "ttl:dead:1", "w", "XX");
    EXPECT(c, ":1", "SETNX", "ttl:dead:1", "w");
    EXPECT(c, ":-1", "TTL", "ttl:dead:1");
    EXPECT(c, "nil", "GETDEL", "ttl:dead:2");
    EXPECT(c, "nil", "GETEX", "ttl:dead:2", "EX", "10");
    EXPECT(c, ":0", "EXPIRE", "ttl:dead:3", "10");
    EXPECT(c, ":0", "PERSIST", "ttl:dead:3");
    EXPECT(c, ":0", "DEL", "ttl:dead:4");
    EXPECT(c, "+OK", "SET", "ttl:dead:5", "w", "KEEPTTL");
    EXPECT(c, ":-1", "TTL", "ttl:dead:5");
    EXPECT(c, "nil", "SET", "ttl:dead:6", "w", "GET");
    EXPECT(c, "$w", "GET", "ttl:dead:6");
}

/* Two nodes write the same key at once: each condition is judged on the newest row. */
Test(expiry, conditions_hold_when_two_nodes_write) {
    EXPECT(c, "+OK", "SET", "ttl:race", "v");
    for (int round = 0; round < 50; round++) {
        EXPECT(c, "+OK", "SET", "ttl:race", "v");
        for (int i = 0; i < 2; i++)
            caller_say_words(node[i], "EXPIRE", "ttl:race", "100", "NX", NULL);
        int set = 0;
        for (int i = 0; i < 2; i++)
            expect_flush(node[i]);
        for (int i = 0; i < 2; i++) {
            struct resp_reply *reply = caller_hear(node[i]);
            char *text = caller_show(reply);
            set += strcmp(text, ":1") == 0;
            free(text);
            resp_reply_free(&reply);
        }
        cr_assert_eq(set, 1, "round %d", round);
    }
}
