/* What the table knows beside a value: RF.GET, RF.SETVER, RF.ENABLE, RF.DISABLE. */
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { SEEN_MS = 2000, ROUNDS = 30 };

static const struct stack *s;
static PGconn *sql;
static struct caller *c, *node[SHARED_NODES];

static void open_all(void) {
    shared_open(&s, &sql, &c, node);
}

static void close_all(void) {
    shared_close(&sql, &c, node);
}

TestSuite(rows, .init = open_all, .fini = close_all);

/* RF.GET says what `key` has in the table. */
static void expect_row(const char *key) {
    char *want = sql_text(sql,
                          "SELECT format('[$payload $%%s $version :%%s $active :%%s $updated_at "
                          ":%%s $expires_at :%%s]', payload, version, active::int, "
                          "floor(extract(epoch FROM updated_at) * 1000)::bigint, "
                          "coalesce(floor(extract(epoch FROM expires_at) * 1000)::bigint, -1)) "
                          "FROM ringfence.entry WHERE key = '%s'",
                          key);
    EXPECT(c, want, "RF.GET", key);
    free(want);
}

Test(rows, get_gives_all_that_is_in_the_row) {
    EXPECT(c, "nil", "RF.GET", "row:get");
    EXPECT(c, "+OK", "SET", "row:get", "v");
    expect_row("row:get");
    EXPECT(c, "+OK", "SET", "row:get", "w", "EX", "100");
    expect_row("row:get");
    EXPECT(c, ":1", "DEL", "row:get");
    expect_row("row:get");
}

Test(rows, get_is_a_map_in_resp3) {
    struct caller *three = expect_caller(s->proxy_port);
    caller_say_raw(three,
                   SPAN("HELLO 3\r\nSET row:map v\r\nRF.GET row:map\r\nRF.GET row:none\r\n"));
    expect_flush(three);
    EXPECT_NEXT(three, "[$server $redis *");
    EXPECT_NEXT(three, "+OK");
    struct resp_reply *reply = caller_hear(three);
    cr_assert(reply != NULL && reply->type == RESP_MAP);
    resp_reply_free(&reply);
    EXPECT_NEXT(three, "nil");
    caller_close(&three);
}

static int64_t version_of(const char *key) {
    return sql_int(sql, "SELECT version FROM ringfence.entry WHERE key = '%s'", key);
}

Test(rows, setver_writes_only_over_the_version_it_names) {
    char version[24], want[32];
    EXPECT(c, "nil", "RF.SETVER", "row:ver", "1", "v");
    EXPECT(c, ":*", "RF.SETVER", "row:ver", "0", "v");
    EXPECT(c, "nil", "RF.SETVER", "row:ver", "0", "w");
    snprintf(version, sizeof(version), "%lld", (long long)version_of("row:ver"));
    EXPECT(c, ":*", "RF.SETVER", "row:ver", version, "w");
    EXPECT(c, "nil", "RF.SETVER", "row:ver", version, "x");
    EXPECT(c, "$w", "GET", "row:ver");
    /* Its answer is the version for the next time, and a deleted row has one too. */
    EXPECT(c, ":1", "DEL", "row:ver");
    EXPECT(c, "nil", "RF.SETVER", "row:ver", "0", "y");
    snprintf(version, sizeof(version), "%lld", (long long)version_of("row:ver"));
    EXPECT(c, ":*", "RF.SETVER", "row:ver", version, "y");
    snprintf(want, sizeof(want), "[$payload $y $version :%lld *", (long long)version_of("row:ver"));
    EXPECT(c, want, "RF.GET", "row:ver");
    EXPECT(c, "-ERR value is not an integer or out of range", "RF.SETVER", "row:ver", "-1", "y");
}

/* A transaction that watches a key without a row leaves one behind that only keeps its place: for
 * everybody it is as if there were none, until somebody writes to it. */
Test(rows, a_row_that_keeps_a_place_is_none) {
    static const char *const KEYS[] = {"row:held:a", "row:held:b", "row:held:c"};
    for (int i = 0; i < 3; i++) {
        EXPECT(c, "+OK", "WATCH", KEYS[i]);
        EXPECT(c, "+OK", "MULTI");
        EXPECT(c, "+QUEUED", "SET", "row:other", "v");
        EXPECT(c, "[+OK]", "EXEC");
        cr_assert_eq(sql_int(sql, "SELECT count(*) FROM ringfence.entry WHERE key = '%s'", KEYS[i]),
                     1);
        EXPECT(c, "nil", "RF.GET", KEYS[i]);
        EXPECT(c, ":0", "RF.ENABLE", KEYS[i]);
        EXPECT(c, "nil", "GET", KEYS[i]);
    }
    /* Whoever watches the key sees no change, though its row came meanwhile. */
    EXPECT(c, "+OK", "WATCH", "row:held:d");

    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, active, version)"
                " VALUES ('row:held:d', 'null', false, 0)");
    EXPECT(c, "+OK", "MULTI");
    EXPECT(c, "+QUEUED", "SET", "row:other", "w");
    EXPECT(c, "[+OK]", "EXEC");
    EXPECT(c, ":*", "RF.SETVER", KEYS[0], "0", "v");
    EXPECT(c, "$v", "GET", KEYS[0]);
    EXPECT(c, "+OK", "SET", KEYS[1], "v", "NX");
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('row:held:c', 'v')"
                " ON CONFLICT (key) DO UPDATE SET payload = 'sql', active = true");
    EXPECT(c, "[$payload $sql *", "RF.GET", KEYS[2]);
    for (int i = 0; i < 3; i++)
        cr_assert_gt(version_of(KEYS[i]), 0, "%s", KEYS[i]);
}

/* Both nodes with the same version: one of them wins. */
Test(rows, setver_has_one_winner_between_nodes) {
    char version[24];
    EXPECT(c, "+OK", "SET", "row:race", "v");
    for (int round = 0; round < ROUNDS; round++) {
        snprintf(version, sizeof(version), "%lld", (long long)version_of("row:race"));
        for (int i = 0; i < 2; i++)
            caller_say_words(node[i], "RF.SETVER", "row:race", version, i == 0 ? "a" : "b", NULL);
        for (int i = 0; i < 2; i++)
            expect_flush(node[i]);
        int64_t won = 0;
        for (int i = 0; i < 2; i++) {
            struct resp_reply *reply = caller_hear(node[i]);
            char *text = caller_show(reply);
            cr_assert(text[0] == ':' || strcmp(text, "nil") == 0, "round %d: %s", round, text);
            cr_assert(text[0] != ':' || won == 0, "two winners in round %d", round);
            won = text[0] == ':' ? strtoll(text + 1, NULL, 10) : won;
            free(text);
            resp_reply_free(&reply);
        }
        cr_assert_eq(won, version_of("row:race"), "round %d", round);
    }
}

Test(rows, disable_and_enable_switch_a_key) {
    EXPECT(c, ":0", "RF.ENABLE", "row:flag");
    EXPECT(c, ":0", "RF.DISABLE", "row:flag");
    EXPECT(c, "+OK", "SET", "row:flag", "on");
    EXPECT(c, "$on", "GET", "row:flag");
    EXPECT(c, ":0", "RF.ENABLE", "row:flag");
    EXPECT(c, ":1", "RF.DISABLE", "row:flag");
    EXPECT(c, "nil", "GET", "row:flag");
    EXPECT(c, ":0", "RF.DISABLE", "row:flag");
    sql_expect(sql, "f", "SELECT active FROM ringfence.entry WHERE key = 'row:flag'");
    EXPECT(c, ":1", "RF.ENABLE", "row:flag");
    EXPECT(c, "$on", "GET", "row:flag");
    EXPECT(c, ":1", "DEL", "row:flag");
    EXPECT(c, ":1", "RF.ENABLE", "row:flag");
    EXPECT(c, "$on", "GET", "row:flag");
}

/* What has expired comes back for good; what is switched off keeps its end. */
Test(rows, enable_takes_an_end_away_only_if_it_is_past) {
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, expires_at) VALUES ('row:dead', 'v', "
                "now() - '1 s'::interval)");
    EXPECT(c, "nil", "GET", "row:dead");
    EXPECT(c, ":1", "RF.ENABLE", "row:dead");
    EXPECT(c, "$v", "GET", "row:dead");
    EXPECT(c, ":-1", "TTL", "row:dead");
    EXPECT(c, "+OK", "SET", "row:end", "v", "EX", "100");
    EXPECT(c, ":1", "RF.DISABLE", "row:end");
    EXPECT(c, ":1", "RF.ENABLE", "row:end");
    EXPECT(c, ":100", "TTL", "row:end");
}
