/* Commands that change a part of a value, and MSETNX: one statement each, on the real table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { ROUNDS = 30, CROWD = 12, ADDS = 20, VALUE_MAX = 1 << 20 };

static const struct stack *s;
static PGconn *sql;
static struct caller *c, *node[SHARED_NODES];

static void open_all(void) {
    shared_open(&s, &sql, &c, node);
}

static void close_all(void) {
    shared_close(&sql, &c, node);
}

TestSuite(strings, .init = open_all, .fini = close_all);

#define NOT_INTEGER "-ERR value is not an integer or out of range"
#define NOT_FLOAT   "-ERR value is not a valid float"
#define OVERFLOW    "-ERR increment or decrement would overflow"
#define NOT_TEXT    "-ERR the value would no longer be valid UTF-8 text without NUL"
#define TOO_LONG    "-ERR string exceeds maximum allowed size (value-bytes-max)"

/* ---- integers ---- */

Test(strings, integers_are_added_to) {
    EXPECT(c, ":1", "INCR", "str:int");
    EXPECT(c, ":11", "INCRBY", "str:int", "10");
    EXPECT(c, ":10", "DECR", "str:int");
    EXPECT(c, ":-5", "DECRBY", "str:int", "15");
    EXPECT(c, ":0", "INCRBY", "str:int", "5");
    EXPECT(c, "$0", "GET", "str:int");
    EXPECT(c, ":-1", "DECR", "str:int:absent");
    sql_expect(sql, "-1", "SELECT payload FROM ringfence.entry_live WHERE key = 'str:int:absent'");
}

Test(strings, integers_end_at_64_bits) {
    EXPECT(c, "+OK", "SET", "str:max", "9223372036854775806");
    EXPECT(c, ":9223372036854775807", "INCR", "str:max");
    EXPECT(c, OVERFLOW, "INCR", "str:max");
    EXPECT(c, OVERFLOW, "INCRBY", "str:max", "9223372036854775807");
    EXPECT(c, "$9223372036854775807", "GET", "str:max");
    EXPECT(c, "+OK", "SET", "str:min", "-9223372036854775808");
    EXPECT(c, OVERFLOW, "DECR", "str:min");
    EXPECT(c, ":-1", "INCRBY", "str:min", "9223372036854775807");
    EXPECT(c, "-ERR decrement would overflow", "DECRBY", "str:min", "-9223372036854775808");
    EXPECT(c, ":9223372036854775806", "DECRBY", "str:min", "-9223372036854775807");
}

Test(strings, what_is_no_integer_stays_as_it_is) {
    static const char *const VALUES[] = {"",
                                         "a",
                                         "1.5",
                                         "+1",
                                         "01",
                                         " 1",
                                         "1 ",
                                         "-0",
                                         "0\n",
                                         "1e3",
                                         "--1",
                                         "0x1",
                                         "9223372036854775808",
                                         "-"};
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        char want[64];
        EXPECT(c, "+OK", "SET", "str:noint", VALUES[i]);
        EXPECT(c, NOT_INTEGER, "INCR", "str:noint");
        snprintf(want, sizeof(want), "$%s", VALUES[i]);
        EXPECT(c, want, "GET", "str:noint");
    }
    EXPECT(c, NOT_INTEGER, "INCRBY", "str:noint", "1.5");
}

/* ---- decimals ---- */

Test(strings, decimals_are_added_exactly) {
    static const char *const ROWS[][3] = {
        {"10.50", "0.1", "$10.6"},
        {"5.0e3", "2.0e2", "$5200"},
        {"3", "-1.1", "$1.9"},
        {"0.1", "0.2", "$0.3"},
        {"1", "-1", "$0"},
        {"-0", "0", "$0"},
        {".5", "5.", "$5.5"},
        {"+1", "+1", "$2"},
        {"1e2", "1E-2", "$100.01"},
        {"1", "1e-18", "$1"},
        {"1000.1", "0.1", "$1000.2"},
        {"100", "0", "$100"},
        {"0.00000000000000001", "0", "$0.00000000000000001"},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        EXPECT(c, "+OK", "SET", "str:dec", ROWS[i][0]);
        EXPECT(c, ROWS[i][2], "INCRBYFLOAT", "str:dec", ROWS[i][1]);
        EXPECT(c, ROWS[i][2], "GET", "str:dec");
    }
    EXPECT(c, "$-2.5", "INCRBYFLOAT", "str:dec:absent", "-2.5");
}

Test(strings, what_is_no_decimal_is_refused) {
    static const char *const VALUES[] = {"",    "a",       "1,5",    " 1", "1 ",
                                         "nan", "1e99999", "1e5000", "."};
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        EXPECT(c, "+OK", "SET", "str:nodec", VALUES[i]);
        EXPECT(c, NOT_FLOAT, "INCRBYFLOAT", "str:nodec", "1");
        EXPECT(c, "+OK", "SET", "str:nodec", "1");
        EXPECT(c, NOT_FLOAT, "INCRBYFLOAT", "str:nodec", VALUES[i]);
    }
    EXPECT(c, "-ERR increment would produce NaN or Infinity", "INCRBYFLOAT", "str:nodec", "inf");
    EXPECT(c, "+OK", "SET", "str:huge", "1.1e4932");
    EXPECT(c, "-ERR increment would produce NaN or Infinity", "INCRBYFLOAT", "str:huge", "1e4932");
    EXPECT(c, "$1.1e4932", "GET", "str:huge");
}

/* ---- bytes ---- */

Test(strings, append_returns_the_length_in_bytes) {
    EXPECT(c, ":3", "APPEND", "str:app", "abc");
    EXPECT(c, ":5", "APPEND", "str:app", "\xc3\xa4");
    EXPECT(c, ":5", "APPEND", "str:app", "");
    EXPECT(c, "$abc\xc3\xa4", "GET", "str:app");
    EXPECT(c, ":0", "APPEND", "str:app:empty", "");
    EXPECT(c, ":1", "EXISTS", "str:app:empty");
    EXPECT(c, "-ERR value is not valid UTF-8 text", "APPEND", "str:app", "\xc3");
}

Test(strings, setrange_writes_over_bytes) {
    EXPECT(c, "+OK", "SET", "str:over", "Hello World");
    EXPECT(c, ":11", "SETRANGE", "str:over", "6", "Redis");
    EXPECT(c, "$Hello Redis", "GET", "str:over");
    EXPECT(c, ":13", "SETRANGE", "str:over", "11", "!!");
    EXPECT(c, ":14", "SETRANGE", "str:over", "12", "ab");
    EXPECT(c, "$Hello Redis!ab", "GET", "str:over");
    EXPECT(c, ":14", "SETRANGE", "str:over", "100", "");
    EXPECT(c, ":0", "SETRANGE", "str:over:absent", "3", "");
    EXPECT(c, ":0", "EXISTS", "str:over:absent");
    EXPECT(c, ":2", "SETRANGE", "str:over:absent", "0", "xy");
    EXPECT(c, "-ERR offset is out of range", "SETRANGE", "str:over", "-1", "x");
    EXPECT(c, NOT_INTEGER, "SETRANGE", "str:over", "x", "x");
}

/* Text has no zero bytes to fill a gap with, and no half characters. */
Test(strings, setrange_refuses_what_would_be_no_text) {
    EXPECT(c, "+OK", "SET", "str:cut",
           "a\xe2\x82\xac"
           "b");
    EXPECT(c, NOT_TEXT, "SETRANGE", "str:cut", "2", "x");
    EXPECT(c, NOT_TEXT, "SETRANGE", "str:cut", "1", "xx");
    EXPECT(c, NOT_TEXT, "SETRANGE", "str:cut", "6", "x");
    EXPECT(c, NOT_TEXT, "SETRANGE", "str:cut:absent", "1", "x");
    EXPECT(c,
           "$a\xe2\x82\xac"
           "b",
           "GET", "str:cut");
    EXPECT(c, ":5", "SETRANGE", "str:cut", "1", "xyz");
    EXPECT(c, ":6", "SETRANGE", "str:cut", "4", "\xc3\xb6");
    EXPECT(c, "$axyz\xc3\xb6", "GET", "str:cut");
}

Test(strings, values_stay_within_their_limit) {
    char *big = malloc(VALUE_MAX);
    memset(big, 'x', VALUE_MAX - 1);
    big[VALUE_MAX - 1] = '\0';
    EXPECT(c, "+OK", "SET", "str:big", big);
    EXPECT(c, ":1048576", "APPEND", "str:big", "y");
    EXPECT(c, TOO_LONG, "APPEND", "str:big", "z");
    EXPECT(c, TOO_LONG, "SETRANGE", "str:big", "1048576", "z");
    EXPECT(c, TOO_LONG, "SETRANGE", "str:big", "9223372036854775807", "z");
    EXPECT(c, ":1048576", "SETRANGE", "str:big", "1048575", "z");
    EXPECT(c, "$xz", "GETRANGE", "str:big", "-2", "-1");
    free(big);
}

/* ---- times to live, and rows that are not live ---- */

Test(strings, a_time_to_live_stays) {
    EXPECT(c, "+OK", "SET", "str:ttl", "5", "EX", "100");
    EXPECT(c, ":6", "INCR", "str:ttl");
    EXPECT(c, "$6.5", "INCRBYFLOAT", "str:ttl", ".5");
    EXPECT(c, ":4", "APPEND", "str:ttl", "0");
    EXPECT(c, ":4", "SETRANGE", "str:ttl", "0", "7");
    EXPECT(c, "$7.50", "GET", "str:ttl");
    EXPECT(c, ":100", "TTL", "str:ttl");
}

Test(strings, a_row_that_is_not_live_counts_as_none) {
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload, active, expires_at) SELECT "
           "'str:dead:' || n, '41', n %% 2 = 0, CASE n %% 2 WHEN 0 THEN now() - '1 s'::interval "
           "END FROM generate_series(1, 8) AS n");
    EXPECT(c, ":1", "INCR", "str:dead:1");
    EXPECT(c, ":1", "INCR", "str:dead:2");
    EXPECT(c, "$0.5", "INCRBYFLOAT", "str:dead:3", "0.5");
    EXPECT(c, "$0.5", "INCRBYFLOAT", "str:dead:4", "0.5");
    EXPECT(c, ":1", "APPEND", "str:dead:5", "x");
    EXPECT(c, ":1", "APPEND", "str:dead:6", "x");
    EXPECT(c, ":1", "SETRANGE", "str:dead:7", "0", "x");
    EXPECT(c, ":1", "SETRANGE", "str:dead:8", "0", "x");
    for (int i = 1; i <= 8; i++) {
        char key[16];
        snprintf(key, sizeof(key), "str:dead:%d", i);
        EXPECT(c, ":-1", "TTL", key);
    }
}

/* ---- several at once ---- */

static void flush_nodes(void) {
    for (int i = 0; i < 2; i++)
        expect_flush(node[i]);
}

static int64_t next_number(struct caller *who) {
    struct resp_reply *reply = caller_hear(who);
    char *text = caller_show(reply);
    cr_assert(text[0] == ':', "%s", text);
    int64_t n = strtoll(text + 1, NULL, 10);
    free(text);
    resp_reply_free(&reply);
    return n;
}

/* Both nodes write the same row: every answer is another number. */
Test(strings, no_increment_is_lost_between_two_nodes) {
    bool seen[2 * ADDS + 1] = {false};
    for (int i = 0; i < ADDS; i++) {
        caller_say_words(node[0], "INCR", "str:race", NULL);
        caller_say_words(node[1], "INCRBY", "str:race", "1", NULL);
    }
    flush_nodes();
    for (int i = 0; i < 2 * ADDS; i++) {
        int64_t n = next_number(node[i % 2]);
        cr_assert(n >= 1 && n <= 2 * ADDS && !seen[n], "%lld twice or out of range", (long long)n);
        seen[n] = true;
    }
    sql_expect(sql, "40", "SELECT payload FROM ringfence.entry WHERE key = 'str:race'");
}

/* ---- MSETNX ---- */

Test(strings, msetnx_is_all_or_nothing) {
    EXPECT(c, ":1", "MSETNX", "str:nx:1", "a", "str:nx:2", "b", "str:nx:3", "c");
    EXPECT(c, "[$a $b $c]", "MGET", "str:nx:1", "str:nx:2", "str:nx:3");
    EXPECT(c, ":0", "MSETNX", "str:nx:4", "d", "str:nx:3", "e", "str:nx:5", "f");
    EXPECT(c, "[nil $c nil]", "MGET", "str:nx:4", "str:nx:3", "str:nx:5");
    EXPECT(c, ":1", "DEL", "str:nx:2");
    EXPECT(c, ":1", "MSETNX", "str:nx:2", "g", "str:nx:6", "h");
    EXPECT(c, "[$g $h]", "MGET", "str:nx:2", "str:nx:6");
    EXPECT(c, ":1", "MSETNX", "str:nx:7", "first", "str:nx:7", "last");
    EXPECT(c, "$last", "GET", "str:nx:7");
    EXPECT(c, ":0", "MSETNX", "str:nx:7", "x");
    EXPECT(c, "-ERR wrong number of arguments for 'msetnx' command", "MSETNX", "str:nx:8", "x",
           "str:nx:9");
}

Test(strings, msetnx_ends_the_time_to_live_of_what_is_not_live) {
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, expires_at) VALUES ('str:nxdead', 'v', "
                "now() - '1 s'::interval)");
    EXPECT(c, ":1", "MSETNX", "str:nxdead", "w", "str:nxdead:2", "w");
    EXPECT(c, ":-1", "TTL", "str:nxdead");
}

/* From two nodes and in both orders: exactly one of all wins each round, and no half of another is
 * seen. */
Test(strings, msetnx_has_one_winner_between_nodes) {
    char key[2][32], value[CROWD][16], want[64];
    for (int round = 0; round < ROUNDS; round++) {
        for (int k = 0; k < 2; k++)
            snprintf(key[k], sizeof(key[k]), "str:nxrace:%d:%d", round, k);
        for (int i = 0; i < CROWD; i++) {
            snprintf(value[i], sizeof(value[i]), "%d", i);
            if (i % 4 == 3)
                caller_say_words(node[i % 2], "SET", key[i / 4 % 2], value[i], "NX", NULL);
            else
                caller_say_words(node[i % 2], "MSETNX", key[i / 2 % 2], value[i],
                                 key[1 - i / 2 % 2], value[i], NULL);
        }
        flush_nodes();
        int winner = -1, sets = 0;
        for (int i = 0; i < CROWD; i++) {
            struct resp_reply *reply = caller_hear(node[i % 2]);
            char *text = caller_show(reply);
            cr_assert(strcmp(text, ":1") == 0 || strcmp(text, ":0") == 0 ||
                          strcmp(text, "+OK") == 0 || strcmp(text, "nil") == 0,
                      "round %d, %d: %s", round, i, text);
            cr_assert(strcmp(text, ":1") != 0 || winner < 0, "two winners in round %d", round);
            winner = strcmp(text, ":1") == 0 ? i : winner;
            sets += strcmp(text, "+OK") == 0;
            free(text);
            resp_reply_free(&reply);
        }
        cr_assert_eq(winner >= 0, sets == 0, "round %d: %d and %d sets", round, winner, sets);
        if (winner < 0)
            continue;
        snprintf(want, sizeof(want), "%d %d", winner, winner);
        sql_expect(sql, want,
                   "SELECT string_agg(payload, ' ') FROM ringfence.entry WHERE key IN ('%s', '%s')",
                   key[0], key[1]);
    }
}
