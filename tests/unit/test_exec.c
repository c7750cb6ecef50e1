/* A transaction at the node: what it asks of the store, and its reply. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/buf.h"
#include "../../common/resp_write.h"
#include "../../node/cache.h"
#include "../../node/exec.h"
#include "../../node/node_conf.h"

static const struct node_conf CONF = {.key_bytes_max = 64, .value_bytes_max = 100, .args_max = 64};

enum { WORDS_MAX = 16 };

/* Lines of words, as requests. */
static void write_lines(struct buf *out, const char *lines) {
    char text[1024], *rest = text;
    snprintf(text, sizeof(text), "%s", lines);
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        struct span words[WORDS_MAX];
        uint32_t argc = 0;
        for (char *word; (word = strsep(&line, " ")) != NULL && argc < WORDS_MAX;)
            words[argc++] = strcmp(word, "~") == 0 ? SPAN("") : span_str(word);
        if (argc != 1 || words[0].len != 0)
            resp_write_request(out, words, argc);
    }
}

static struct exec *parse(const char *watches, const char *commands, struct buf *error) {
    struct buf w, c;
    buf_init(&w, 0);
    buf_init(&c, 0);
    buf_init(error, 0);
    write_lines(&w, watches);
    write_lines(&c, commands);
    struct exec *exec =
        exec_parse(&CONF, span_of(w.data, buf_len(&w)), span_of(c.data, buf_len(&c)), error);
    buf_release(&w);
    buf_release(&c);
    cr_assert_eq(exec == NULL, buf_len(error) != 0);
    return exec;
}

static struct exec *fine(const char *watches, const char *commands) {
    struct buf error;
    struct exec *exec = parse(watches, commands, &error);
    cr_assert_not_null(exec, "%s", commands);
    return exec;
}

static void expect_reply(struct exec *exec, const struct store_row *rows,
                         const struct store_result *results, const uint64_t *versions,
                         const char *want) {
    const struct store_exec_ack done = {.rows = rows, .results = results, .versions = versions};
    struct buf out;
    buf_init(&out, 0);
    cr_assert(exec_reply(exec, 3, &done, &out));
    cr_assert(span_equal(span_of(buf_head(&out), buf_len(&out)), span_str(want)), "%.*s",
              (int)buf_len(&out), buf_head(&out));
    buf_release(&out);
}

/* ---- rows ---- */

static struct store_row live(const char *payload, int64_t ttl_ms) {
    return (struct store_row){
        .present = true, .payload = span_str(payload), .version = 7, .ttl_ms = ttl_ms};
}

static struct store_result now_is(const char *payload) {
    return (struct store_result){
        .live = payload != NULL, .payload = span_str(payload != NULL ? payload : ""), .ttl_ms = -1};
}

/* ---- what is asked ---- */

Test(exec, keys_are_distinct_and_in_the_order_of_their_bytes) {
    struct exec *exec = fine("w 3 1\nb 0 0", "GET b\nMSET c 1 a 2\nDEL a d\nEXISTS ä a\nGET B");
    static const char *const WANT[] = {"B", "a", "b", "c", "d", "w", "ä"};
    static const bool HELD[] = {false, true, true, true, false, true, false};
    cr_assert_eq(exec->keys_count, 7);
    for (uint32_t i = 0; i < 7; i++) {
        cr_expect(span_equal(exec->keys[i], span_str(WANT[i])), "%u", i);
        cr_expect_eq(exec->plan.holds[i], HELD[i], "%s", WANT[i]);
        cr_expect_eq(exec_place(exec, span_str(WANT[i])), i);
    }
    exec_free(&exec);
}

Test(exec, many_keys_of_one_command_are_an_edit_each) {
    struct exec *exec = fine("", "MSET c 1 a 2\nGET a\nDEL a c\nSET d x EX 9 GET");
    const struct store_write *e = exec->plan.edits;
    cr_assert_eq(exec->plan.edits_count, 5);
    cr_assert(e[0].op == STORE_SET && span_equal(e[0].keys[0], SPAN("c")) &&
              span_equal(e[0].values[0], SPAN("1")));
    cr_assert(e[1].op == STORE_SET && span_equal(e[1].keys[0], SPAN("a")) &&
              span_equal(e[1].values[0], SPAN("2")));
    cr_assert(e[2].op == STORE_DELETE && span_equal(e[2].keys[0], SPAN("a")));
    cr_assert(e[3].op == STORE_DELETE && span_equal(e[3].keys[0], SPAN("c")));
    cr_assert(e[4].want_old && e[4].more->expiry == STORE_EXPIRY_IN &&
              e[4].more->expiry_ms == 9000);
    exec_free(&exec);
}

Test(exec, msetnx_is_one_edit_of_each_key_once) {
    struct exec *exec = fine("", "MSETNX c 1 a 2 c 3\nMSETNX b 4 b 5\nSET d 6");
    const struct store_write *e = exec->plan.edits;
    cr_assert_eq(exec->plan.edits_count, 3);
    cr_assert(e[0].op == STORE_SET_NX && e[0].count == 2);
    cr_assert(span_equal(e[0].keys[0], SPAN("a")) && span_equal(e[0].values[0], SPAN("2")));
    cr_assert(span_equal(e[0].keys[1], SPAN("c")) && span_equal(e[0].values[1], SPAN("3")));
    cr_assert(e[1].op == STORE_SET_NX && e[1].count == 1);
    cr_assert(span_equal(e[1].keys[0], SPAN("b")) && span_equal(e[1].values[0], SPAN("5")));
    for (uint32_t i = 0; i < exec->keys_count; i++)
        cr_expect(exec->plan.holds[i], "%u may be made", i);
    const struct store_row rows[4] = {0};
    const struct store_result results[] = {{0}, now_is("4"), now_is("6")};
    const uint64_t versions[] = {7, 8, 0, 9};
    expect_reply(exec, rows, results, versions, "*3\r\n:1\r\n:0\r\n+OK\r\n");
    exec_free(&exec);
}

Test(exec, what_msetnx_wrote_is_read_behind_it_and_what_it_did_not_is_not) {
    struct exec *exec = fine("", "MSETNX a 1 b 2\nMGET a b\nTTL a");
    const struct store_row rows[] = {{.ttl_ms = -1}, live("old", 5000)};
    const struct store_result results[1] = {0};
    const uint64_t done[] = {7, 8}, not_done[] = {0, 0};
    expect_reply(exec, rows, results, done, "*3\r\n:1\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n:-1\r\n");
    expect_reply(exec, rows, results, not_done, "*3\r\n:0\r\n*2\r\n_\r\n$3\r\nold\r\n:-2\r\n");
    exec_free(&exec);
}

/* A row as it is at its place in the transaction is asked for there; to look holds no place. */
Test(exec, rows_are_looked_at_in_their_turn) {
    struct exec *exec = fine("w 3 1", "RF.GET a\nEXPIRETIME a\nPEXPIRETIME b");
    cr_assert_eq(exec->plan.edits_count, 3);
    cr_assert_not(exec->plan.writes);
    for (uint32_t i = 0; i < 3; i++) {
        cr_expect_eq(exec->plan.edits[i].op, STORE_LOOK);
        cr_expect_not(exec->plan.holds[i]);
    }
    const struct store_answer row = {.found = true,
                                     .live = true,
                                     .active = true,
                                     .payload = SPAN("x"),
                                     .version = 7,
                                     .expires_ms = 2600,
                                     .updated_ms = 5},
                              none = {.expires_ms = -1};
    const struct store_result results[] = {{.row = &row}, {.row = &row}, {.row = &none}};
    const struct store_row rows[3] = {0};
    const uint64_t versions[3] = {0};
    expect_reply(exec, rows, results, versions,
                 "*3\r\n%5\r\n$7\r\npayload\r\n$1\r\nx\r\n$7\r\nversion\r\n:7\r\n$6\r\n"
                 "active\r\n:1\r\n$10\r\nupdated_at\r\n:5\r\n$10\r\nexpires_at\r\n:2600\r\n"
                 ":3\r\n:-2\r\n");
    exec_free(&exec);
}

Test(exec, versions_are_set_and_switches_turned) {
    struct exec *exec =
        fine("", "RF.SETVER a 0 x\nRF.SETVER b 7 y\nRF.DISABLE c\nRF.ENABLE d\nGET a\nGET c");
    static const bool HELD[] = {true, false, false, false};
    for (uint32_t i = 0; i < 4; i++)
        cr_expect_eq(exec->plan.holds[i], HELD[i], "%u", i);
    cr_assert(exec->plan.writes);
    cr_assert_eq(exec->plan.edits[1].more->number, 7);
    const struct store_row rows[] = {{.ttl_ms = -1}, live("b", -1), live("c", -1), {.ttl_ms = -1}};
    const struct store_result results[] = {now_is("x"), now_is("b"), now_is(NULL), now_is("d")};
    const uint64_t versions[] = {11, 0, 12, 13};
    expect_reply(exec, rows, results, versions, "*6\r\n:11\r\n_\r\n:1\r\n:1\r\n$1\r\nx\r\n_\r\n");
    exec_free(&exec);
}

Test(exec, watches_are_taken_as_they_are) {
    struct exec *exec = fine("a 7 1\nb 0 0", "GET a");
    const struct store_watch *w = exec->plan.watches;
    cr_assert_eq(exec->plan.watches_count, 2);
    cr_assert(span_equal(w[0].key, SPAN("a")) && w[0].version == 7 && w[0].live);
    cr_assert(span_equal(w[1].key, SPAN("b")) && w[1].version == 0 && !w[1].live);
    cr_assert_eq(exec->plan.edits_count, 0);
    exec_free(&exec);
}

static const struct {
    const char *watches, *commands;
} WRONG[] = {
    {"", "PING"},         {"", "NOSUCH a"},    {"", "GET"},        {"", "DBSIZE"},
    {"", "RF.DROP a"},    {"", "GET a\nEXEC"}, {"a 7", "GET a"},   {"a 7 1 1", "GET a"},
    {"a x 1", "GET a"},   {"a -1 1", "GET a"}, {"~ 1 1", "GET a"}, {"", "OBJECT ENCODING"},
    {"", "MEMORY STATS"}, {"", "CLIENT ID"},   {"", "MSET a 1 b"}, {"", "WATCH a"},
    {"", "MSETNX a 1 b"}, {"", "INFO"},
};

Test(exec, what_no_proxy_sends_is_refused) {
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct buf error;
        cr_assert_null(parse(WRONG[i].watches, WRONG[i].commands, &error), "%s / %s",
                       WRONG[i].watches, WRONG[i].commands);
        buf_release(&error);
    }
    static const char *const BYTES[] = {"x", "*1\r\n$3\r\nGE", "*0\r\n", "GET a\r\n",
                                        "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*"};
    for (size_t i = 0; i < sizeof(BYTES) / sizeof(BYTES[0]); i++) {
        struct buf error;
        buf_init(&error, 0);
        cr_assert_null(exec_parse(&CONF, SPAN(""), span_str(BYTES[i]), &error), "%s", BYTES[i]);
        cr_assert_null(exec_parse(&CONF, span_str(BYTES[i]), SPAN(""), &error), "%s", BYTES[i]);
        buf_release(&error);
    }
}

/* ---- what is answered ---- */

Test(exec, reads_are_answered_from_the_rows) {
    struct exec *exec =
        fine("", "GET a\nGET b\nMGET b a a\nEXISTS a a b\nSTRLEN a\nSTRLEN b\nTYPE a\nTYPE b\n"
                 "TTL a\nPTTL a\nTTL b\nGETRANGE a 1 -2\nSUBSTR b 0 9\nGETEX a");
    const struct store_row rows[] = {live("value", 1600), {.version = 9, .ttl_ms = -1}};
    expect_reply(exec, rows, NULL, NULL,
                 "*14\r\n$5\r\nvalue\r\n_\r\n*3\r\n_\r\n$5\r\nvalue\r\n$5\r\nvalue\r\n:2\r\n:5\r\n"
                 ":0\r\n+string\r\n+none\r\n:2\r\n:1600\r\n:-2\r\n$3\r\nalu\r\n$0\r\n\r\n"
                 "$5\r\nvalue\r\n");
    exec_free(&exec);
}

/* MEMORY and OBJECT are answered from the value as it is in their turn. */
Test(exec, aspects_are_those_of_the_value_in_its_turn) {
    struct exec *exec =
        fine("", "OBJECT ENCODING a\nSET a 12345678901234567890\nOBJECT ENCODING a\n"
                 "OBJECT REFCOUNT a\nOBJECT encoding b\nMEMORY USAGE a\n"
                 "MEMORY USAGE b samples 0\nMEMORY USAGE c SAMPLES 5");
    const struct store_row rows[] = {live("7", -1), {0}, live("x", 5000)};
    const struct store_result results[] = {now_is("12345678901234567890")};
    char want[256];
    cr_assert_eq(exec->plan.edits_count, 1);
    snprintf(want, sizeof(want),
             "*8\r\n$3\r\nint\r\n+OK\r\n$6\r\nembstr\r\n:1\r\n_\r\n:%zu\r\n_\r\n:%zu\r\n",
             cache_item_bytes(1, 20, false), cache_item_bytes(1, 1, true));
    expect_reply(exec, rows, results, (uint64_t[]){9}, want);
    exec_free(&exec);
}

Test(exec, an_aspect_that_is_none_is_an_error_of_its_command_alone) {
    struct exec *exec =
        fine("", "OBJECT IDLETIME a\nMEMORY USAGE a SAMPLES x\nMEMORY USAGE a foo 1\nOBJECT no a");
    expect_reply(exec, (struct store_row[]){live("7", -1)}, NULL, NULL,
                 "*4\r\n-ERR idle time is not tracked here\r\n"
                 "-ERR value is not an integer or out of range\r\n-ERR syntax error\r\n"
                 "-ERR syntax error\r\n");
    exec_free(&exec);
}

Test(exec, a_read_sees_what_was_written_before_it_and_not_after) {
    struct exec *exec = fine("", "GET a\nSET a two\nGET a\nDEL a b\nGET a\nTTL a");
    const struct store_row rows[] = {live("one", -1), {.ttl_ms = -1}};
    const struct store_result results[] = {now_is("two"), now_is(NULL), now_is(NULL)};
    const uint64_t versions[] = {8, 9, 0};
    expect_reply(exec, rows, results, versions,
                 "*6\r\n$3\r\none\r\n+OK\r\n$3\r\ntwo\r\n:1\r\n_\r\n:-2\r\n");
    exec_free(&exec);
}

Test(exec, an_error_of_one_command_is_its_reply_alone) {
    struct exec *exec =
        fine("", "SET a x EX 0\nSET a one\nEXPIRE a soon\nGET ~\nGETRANGE a x 1\nGET a");
    const struct store_row rows[] = {{.ttl_ms = -1}};
    const struct store_result results[] = {now_is("one")};
    const uint64_t versions[] = {8};
    cr_assert_eq(exec->plan.edits_count, 1);
    expect_reply(exec, rows, results, versions,
                 "*6\r\n-ERR invalid expire time in 'set' command\r\n+OK\r\n"
                 "-ERR value is not an integer or out of range\r\n-ERR key is empty\r\n"
                 "-ERR value is not an integer or out of range\r\n$3\r\none\r\n");
    exec_free(&exec);
}

Test(exec, a_condition_that_does_not_hold_is_nil) {
    struct exec *exec = fine("", "SET a x NX\nGETSET a y\nSETNX a z");
    const struct store_row rows[] = {live("one", -1)};
    struct store_result results[] = {now_is("one"), now_is("y"), now_is("y")};
    const uint64_t versions[] = {0, 8, 0};
    results[1].had_old = true;
    results[1].old = SPAN("one");
    expect_reply(exec, rows, results, versions, "*3\r\n_\r\n$3\r\none\r\n:0\r\n");
    exec_free(&exec);
}

Test(exec, only_errors_need_no_keys) {
    struct exec *exec = fine("", "GET ~\nSET ~ x");
    cr_assert_eq(exec->keys_count, 0);
    expect_reply(exec, NULL, NULL, NULL, "*2\r\n-ERR key is empty\r\n-ERR key is empty\r\n");
    exec_free(&exec);
}

Test(exec, watched_keys_are_compared_by_version_and_life) {
    struct exec *exec = fine("a 7 1\nb 0 0", "GET c");
    struct store_row rows[] = {live("x", -1), {.ttl_ms = -1}, live("y", -1)};
    cr_assert(exec_watched(exec, rows));
    rows[0].version = 8;
    cr_assert_not(exec_watched(exec, rows));
    rows[0] = (struct store_row){.version = 7, .ttl_ms = -1}; /* it expired */
    cr_assert_not(exec_watched(exec, rows));
    rows[0] = live("x", -1);
    rows[1].version = 1; /* it was made, and deleted */
    cr_assert_not(exec_watched(exec, rows));
    exec_free(&exec);
}

Test(exec, a_full_reply_is_said) {
    struct exec *exec = fine("", "GET a\nGET a");
    const struct store_row rows[] = {live("0123456789", -1)};
    const struct store_exec_ack done = {.rows = rows};
    struct buf out;
    buf_init(&out, 30);
    cr_assert_not(exec_reply(exec, 3, &done, &out));
    buf_release(&out);
    exec_free(&exec);
}
