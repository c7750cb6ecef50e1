/* What is refused, and how: by a clear error where the connection can go on, else it is closed, and
 * it alone. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { MIB = 1 << 20, KEY_MAX = 1024, STOP_MS = 15000 };

static const struct stack *s;
static struct caller *c;

static void open_all(void) {
    s = stack_shared();
    c = expect_caller(s->proxy_port);
}

/* Whatever was refused, the connection and the proxy go on. */
static void close_all(void) {
    EXPECT(c, "+PONG", "PING");
    caller_close(&c);
}

TestSuite(limits, .init = open_all, .fini = close_all);

static void say(const char *name, struct span key, struct span value) {
    const struct span argv[] = {span_str(name), key, value};
    caller_say(c, argv, value.ptr == NULL ? 2 : 3);
    expect_flush(c);
}

static char *filled(size_t len, const char *with) {
    size_t step = strlen(with);
    char *text = malloc(len + step);
    for (size_t at = 0; at < len; at += step)
        memcpy(text + at, with, step);
    text[len] = '\0';
    return text;
}

static const struct span NOTHING = {NULL, 0};

/* ---- values and keys ---- */

Test(limits, a_value_of_one_mib_goes_through) {
    char *value = filled(MIB, "\xf0\x9f\x8e\x89"), key[32];
    PGconn *sql = sql_open(s);
    for (int i = 0; i < 5; i++) {
        snprintf(key, sizeof(key), "limit:mib:%d", i);
        say("SET", span_str(key), span_of(value, MIB));
        EXPECT_NEXT(c, "+OK");
    }
    for (int i = 0; i < 5; i++) {
        snprintf(key, sizeof(key), "limit:mib:%d", i);
        say("GET", span_str(key), NOTHING);
        expect_bulk(c, span_of(value, MIB));
        EXPECT(c, ":1048576", "STRLEN", key);
    }
    cr_assert_eq(sql_int(sql, "SELECT octet_length(payload) FROM ringfence.entry "
                              "WHERE key = 'limit:mib:4'"),
                 MIB);
    caller_say_words(c, "MGET", "limit:mib:0", "limit:mib:1", "limit:mib:2", "limit:mib:3", NULL);
    expect_flush(c);
    struct resp_reply *reply = caller_hear(c);
    cr_assert(reply != NULL && reply->count == 4);
    for (int i = 0; i < 4; i++)
        cr_assert(reply->elements[i]->len == MIB &&
                  memcmp(reply->elements[i]->text, value, MIB) == 0);
    resp_reply_free(&reply);
    PQfinish(sql);
    free(value);
}

Test(limits, a_value_that_is_longer_is_refused) {
    char *value = filled(MIB + 1, "x");
    say("SET", SPAN("limit:long"), span_of(value, MIB + 1));
    EXPECT_NEXT(c, "-ERR value is longer than 1048576 bytes");
    EXPECT(c, "nil", "GET", "limit:long");
    EXPECT(c, "+OK", "SET", "limit:long", "short");
    free(value);
}

Test(limits, a_key_of_1024_bytes_goes_through_and_one_of_1025_does_not) {
    char *key = filled(KEY_MAX + 1, "k");
    say("SET", span_of(key, KEY_MAX), SPAN("v"));
    EXPECT_NEXT(c, "+OK");
    say("GET", span_of(key, KEY_MAX), NOTHING);
    EXPECT_NEXT(c, "$v");
    say("SET", span_of(key, KEY_MAX + 1), SPAN("v"));
    EXPECT_NEXT(c, "-ERR key is longer than 1024 bytes");
    say("GET", span_of(key, KEY_MAX + 1), NOTHING);
    EXPECT_NEXT(c, "-ERR key is longer than 1024 bytes");
    say("DEL", span_of(key, KEY_MAX + 1), NOTHING);
    EXPECT_NEXT(c, "-ERR key is longer than 1024 bytes");
    free(key);
}

Test(limits, an_empty_key_is_refused_and_an_empty_value_is_not) {
    EXPECT(c, "-ERR key is empty", "GET", "");
    EXPECT(c, "-ERR key is empty", "SET", "", "v");
    EXPECT(c, "-ERR key is empty", "MGET", "limit:a", "");
    EXPECT(c, "+OK", "SET", "limit:empty", "");
    EXPECT(c, "$", "GET", "limit:empty");
}

Test(limits, what_is_not_utf8_or_has_a_nul_is_refused) {
    static const struct span BAD[] = {{"\xff", 1},
                                      {"a\xc3", 2},
                                      {"\xc0\xaf", 2},
                                      {"\xed\xa0\x80", 3},
                                      {"\xf5\x80\x80\x80", 4},
                                      {"\xe2\x82", 2},
                                      {"nul\0inside", 10},
                                      {"\0", 1},
                                      {"\xf4\x90\x80\x80", 4},
                                      {"\x80", 1}};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        say("SET", SPAN("limit:text"), BAD[i]);
        EXPECT_NEXT(c, "-ERR value is not valid UTF-8 text");
        say("SET", BAD[i], SPAN("v"));
        EXPECT_NEXT(c, "-ERR key is not valid UTF-8 text");
        say("GET", BAD[i], NOTHING);
        EXPECT_NEXT(c, "-ERR key is not valid UTF-8 text");
        say("MGET", SPAN("limit:text"), BAD[i]);
        EXPECT_NEXT(c, "-ERR key is not valid UTF-8 text");
    }
    EXPECT(c, "nil", "GET", "limit:text");
}

Test(limits, one_bad_value_of_an_mset_refuses_all) {
    const struct span argv[] = {SPAN("MSET"), SPAN("limit:m1"), SPAN("1"), SPAN("limit:m2"),
                                SPAN("\xff"), SPAN("limit:m3"), SPAN("3")};
    caller_say(c, argv, 7);
    expect_flush(c);
    EXPECT_NEXT(c, "-ERR value is not valid UTF-8 text");
    EXPECT(c, "[nil nil nil]", "MGET", "limit:m1", "limit:m2", "limit:m3");
}

/* A node of its own in JSON mode, behind a proxy of its own. */
Test(limits, json_mode_refuses_what_is_not_json) {
    char ring_file[STACK_PATH_BYTES], args[STACK_PATH_BYTES + 20], ring[100];
    uint16_t node_port, proxy_port;
    pid_t node = stack_node(s, "json", "--payload-format json", &node_port);
    stack_ring_own(s, ring_file);
    snprintf(ring, sizeof(ring), "node json 127.0.0.1:%u\n", node_port);
    stack_ring_write(ring_file, ring);
    snprintf(args, sizeof(args), "--ring-file %s", ring_file);
    pid_t proxy = stack_proxy(s, args, &proxy_port);
    struct caller *j = expect_caller(proxy_port);
    static const char *const GOOD[] = {"{\"a\": [1, 2.5e3, null, true]}", "\"text\"", "17", "null",
                                       " [] "};
    static const char *const BAD[] = {"",    "{",   "{'a': 1}", "[1,]",
                                      "nul", "1 2", "\"\x01\"", "{\"a\"}"};
    char want[64];
    EXPECT_WITHIN(5000, j, "+OK", "SET", "limit:json", "0"); /* the proxy may still be connecting */
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        snprintf(want, sizeof(want), "$%s", GOOD[i]);
        EXPECT(j, "+OK", "SET", "limit:json", GOOD[i]);
        EXPECT(j, want, "GET", "limit:json");
    }
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        EXPECT(j, "-ERR value is not valid JSON: *", "SET", "limit:json", BAD[i]);
        EXPECT(j, "-ERR value is not valid JSON: *", "MSET", "limit:json", "1", "limit:json2",
               BAD[i]);
        EXPECT(j, "-ERR value is not valid JSON: *", "GETSET", "limit:json", BAD[i]);
    }
    EXPECT(j, want, "GET", "limit:json");
    /* What SQL wrote is served as it is. */
    PGconn *sql = sql_open(s);
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('limit:sql', 'no json') "
                "ON CONFLICT (key) DO UPDATE SET payload = excluded.payload");
    EXPECT(j, "$no json", "GET", "limit:sql");
    PQfinish(sql);
    caller_close(&j);
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
    cr_assert_eq(program_stop(node, SIGTERM, STOP_MS), 0);
}

/* ---- requests ---- */

Test(limits, wrong_numbers_of_arguments) {
    EXPECT(c, "-ERR wrong number of arguments for 'get' command", "GET");
    EXPECT(c, "-ERR wrong number of arguments for 'get' command", "GET", "a", "b");
    EXPECT(c, "-ERR wrong number of arguments for 'set' command", "SET", "a");
    EXPECT(c, "-ERR wrong number of arguments for 'mset' command", "MSET", "a", "b", "c");
    EXPECT(c, "-ERR wrong number of arguments for 'mget' command", "MGET");
    EXPECT(c, "-ERR wrong number of arguments for 'dbsize' command", "DBSIZE", "x");
    EXPECT(c, "-ERR wrong number of arguments for 'echo' command", "ECHO");
}

Test(limits, unknown_commands) {
    EXPECT(c, "-ERR unknown command 'LRANGE', with args beginning with: ", "LRANGE");
    EXPECT(c, "-ERR unknown command 'LPUSH', with args beginning with: 'a' 'b' ", "LPUSH", "a",
           "b");
    EXPECT(c, "-ERR unknown command 'x  ', with args *", "x\r\n"); /* still one line */
    /* Those of the link between proxy and node are none of a client's. */
    EXPECT(c, "-ERR unknown command 'RF.DROP', with args *", "RF.DROP", "a");
    EXPECT(c, "-ERR unknown command 'RF.LINK', with args *", "RF.LINK", "1");
    EXPECT(c, "-ERR unknown command 'rf.status', with args *", "rf.status");
}

Test(limits, options_that_are_none_are_refused_and_never_dropped) {
    EXPECT(c, "-ERR syntax error", "SET", "limit:option", "v", "BOGUS");
    EXPECT(c, "-ERR syntax error", "SET", "limit:option", "v", "EX", "10", "BOGUS");
    EXPECT(c, "-ERR syntax error", "SET", "limit:option", "v", "KEEPTTL", "EX", "10");
    EXPECT(c, "-ERR invalid expire time in 'set' command", "SET", "limit:option", "v", "EX", "0");
    EXPECT(c, "-ERR Unsupported option BOGUS", "EXPIRE", "limit:option", "10", "BOGUS");
    EXPECT(c, "nil", "GET", "limit:option");
}

Test(limits, inline_commands) {
    caller_say_raw(c, SPAN("SET limit:inline \"two words\"\r\n"
                           "\r\n"
                           "get limit:inline\n"
                           "mset limit:in1 1 limit:in2 '2'\r\n"
                           "MGET limit:in1 limit:in2 limit:in1\r\n"
                           "  EXISTS   limit:in1   limit:inline  \r\n"
                           "*0\r\n"
                           "DEL limit:in1 limit:in2\r\n"));
    expect_flush(c);
    EXPECT_NEXT(c, "+OK");
    EXPECT_NEXT(c, "$two words");
    EXPECT_NEXT(c, "+OK");
    EXPECT_NEXT(c, "[$1 $2 $1]");
    EXPECT_NEXT(c, ":2");
    EXPECT_NEXT(c, ":2");
}

/* Each closes its connection, after an error, and after what was asked before it is answered. */
Test(limits, a_protocol_error_closes_that_connection_only) {
    static const char *const BAD[] = {"*1\r\n:5\r\n",
                                      "*1\r\n$-5\r\n",
                                      "*x\r\n",
                                      "*2147483648\r\n",
                                      "*1\r\n$99999999999\r\n",
                                      "*1\r\n$x\r\n",
                                      "GET \"unbalanced\r\n",
                                      "*3\r\n$3\r\nSET\r\n+a\r\n"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct caller *bad = expect_caller(s->proxy_port);
        caller_say_words(bad, "SET", "limit:protocol", "v", NULL);
        caller_say_words(bad, "GET", "limit:protocol", NULL);
        caller_say_raw(bad, span_str(BAD[i]));
        caller_say_words(bad, "SET", "limit:protocol", "never", NULL);
        caller_flush(bad);
        EXPECT_NEXT(bad, "+OK");
        EXPECT_NEXT(bad, "$v");
        EXPECT_NEXT(bad, "-ERR Protocol error: *");
        cr_assert(caller_ended(bad), "still open after %s", BAD[i]);
        EXPECT_NEXT(bad, "closed");
        caller_close(&bad);
        EXPECT(c, "$v", "GET", "limit:protocol");
    }
}

Test(limits, a_request_in_single_bytes) {
    static const char REQUEST[] = "*3\r\n$3\r\nSET\r\n$10\r\nlimit:byte\r\n$2\r\n\r\n\r\n"
                                  "*2\r\n$3\r\nGET\r\n$10\r\nlimit:byte\r\n";
    for (size_t i = 0; i + 1 < sizeof(REQUEST); i++) {
        caller_say_raw(c, span_of(REQUEST + i, 1));
        expect_flush(c);
    }
    EXPECT_NEXT(c, "+OK");
    EXPECT_NEXT(c, "$\r\n");
}

/* As `printf ... | nc` does: it says all, and that it says no more; what was asked is answered. */
Test(limits, a_client_that_only_listens_any_more) {
    for (int i = 0; i < 20; i++) {
        struct caller *half = expect_caller(s->proxy_port);
        caller_say_raw(half, SPAN("SET limit:eof 1\r\nGET limit:eof\r\nSET limit:eof 2\r\n"
                                  "MGET limit:eof limit:eof2 limit:eof3\r\nPING\r\n"));
        expect_flush(half);
        shutdown(caller_fd(half), SHUT_WR);
        EXPECT_NEXT(half, "+OK");
        EXPECT_NEXT(half, "$1");
        EXPECT_NEXT(half, "+OK");
        EXPECT_NEXT(half, "[$2 nil nil]");
        EXPECT_NEXT(half, "+PONG");
        EXPECT_NEXT(half, "closed");
        caller_close(&half);
    }
}

/* Half a request, and then nothing more, costs nobody else anything. */
Test(limits, a_client_that_goes_away_in_the_middle) {
    for (int i = 0; i < 20; i++) {
        struct caller *half = expect_caller(s->proxy_port);
        caller_say_words(half, "SET", "limit:half", "v", NULL);
        caller_say_words(half, "GET", "limit:half", NULL);
        caller_say_raw(half, SPAN("*3\r\n$3\r\nSET\r\n$10\r\nlimit:half\r\n$100000\r\nabc"));
        caller_flush(half);
        caller_close(&half); /* with all answers unread */
    }
    EXPECT_WITHIN(2000, c, "$v", "GET", "limit:half");
}
