/* What write commands ask for, read from their words; and their replies. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../../common/buf.h"
#include "../../common/command.h"
#include "../../node/node_conf.h"
#include "../../node/wish.h"

enum { WORDS_MAX = 16 };

static const struct node_conf CONF = {.key_bytes_max = 64, .value_bytes_max = 100};

struct parsed {
    struct wish wish;
    struct buf error;
    bool fine;
    char line[256];
    struct span words[WORDS_MAX];
};

/* `line`: words with one blank between them; ~ is an empty word. */
static void parse_with(const struct node_conf *conf, const char *line, struct parsed *p) {
    uint32_t argc = 0;
    snprintf(p->line, sizeof(p->line), "%s", line);
    char *rest = p->line;
    for (char *word; (word = strsep(&rest, " ")) != NULL && argc < WORDS_MAX;)
        p->words[argc++] = strcmp(word, "~") == 0 ? SPAN("") : span_str(word);
    int id = command_find(p->words[0]);
    cr_assert(id >= 0 && command_arity_ok(id, argc), "%s", line);
    buf_init(&p->error, 0);
    p->fine = wish_parse(conf, id, p->words, argc, &p->wish, &p->error);
    cr_expect_eq(p->fine, buf_len(&p->error) == 0, "%s", line);
}

static void expect_error_with(const struct node_conf *conf, const char *line, const char *want) {
    struct parsed p;
    parse_with(conf, line, &p);
    cr_expect_not(p.fine, "%s", line);
    struct span got = span_of(buf_head(&p.error), buf_len(&p.error));
    cr_expect(got.len > 3 && span_equal(span_of(got.ptr + 1, got.len - 3), span_str(want)),
              "%s: %.*s", line, (int)got.len, got.ptr);
    buf_release(&p.error);
}

static void expect_error(const char *line, const char *want) {
    expect_error_with(&CONF, line, want);
}

/* ---- options ---- */

#define IN(ms) .has_more = true, .more = {.expiry = STORE_EXPIRY_IN, .expiry_ms = (ms)}
#define AT(ms) .has_more = true, .more = {.expiry = STORE_EXPIRY_AT, .expiry_ms = (ms)}
#define KEEP   .has_more = true, .more = {.expiry = STORE_EXPIRY_KEEP}

static const struct {
    const char *line;
    struct wish want;
    unsigned conditions;
} FINE[] = {
    {"set k v", {.op = STORE_SET}, 0},
    {"SET k v NX", {.op = STORE_SET_NX, .is_conditional = true}, 0},
    {"set k v xx get", {.op = STORE_SET_XX, .is_conditional = true, .want_old = true}, 0},
    {"set k v GET NX nx", {.op = STORE_SET_NX, .is_conditional = true, .want_old = true}, 0},
    {"set k v ex 10", {IN(10000)}, 0},
    {"set k v PX 10", {IN(10)}, 0},
    {"set k v exat 10", {AT(10000)}, 0},
    {"set k v PXAT 10", {AT(10)}, 0},
    {"set k v EX 10 EX 20", {IN(20000)}, 0},
    {"set k v keepttl keepttl", {KEEP}, 0},
    {"set k v XX KEEPTTL", {.op = STORE_SET_XX, .is_conditional = true, KEEP}, 0},
    {"setex k 10 v", {IN(10000)}, 0},
    {"psetex k 10 v", {IN(10)}, 0},
    {"setnx k v", {.op = STORE_SET_NX}, 0},
    {"getset k v", {.want_old = true}, 0},
    {"getdel k", {.op = STORE_DELETE, .want_old = true}, 0},
    {"getex k", {.op = STORE_EXPIRE, .want_old = true, .is_read = true}, 0},
    {"getex k persist", {.op = STORE_PERSIST, .want_old = true}, 0},
    {"getex k PERSIST PERSIST", {.op = STORE_PERSIST, .want_old = true}, 0},
    {"getex k px 7", {.op = STORE_EXPIRE, .want_old = true, IN(7)}, 0},
    {"expire k 10", {.op = STORE_EXPIRE, IN(10000)}, 0},
    {"pexpire k -10 nx", {.op = STORE_EXPIRE, IN(-10)}, STORE_IF_NONE},
    {"expireat k 10 XX gt", {.op = STORE_EXPIRE, AT(10000)}, STORE_IF_SOME | STORE_IF_LATER},
    {"pexpireat k 0 LT", {.op = STORE_EXPIRE, AT(0)}, STORE_IF_EARLIER},
    {"persist k", {.op = STORE_PERSIST}, 0},
};

Test(wish, understands_every_option) {
    for (size_t i = 0; i < sizeof(FINE) / sizeof(FINE[0]); i++) {
        const char *line = FINE[i].line;
        const struct wish *want = &FINE[i].want;
        struct parsed p;
        parse_with(&CONF, line, &p);
        cr_expect(p.fine, "%s", line);
        cr_expect_eq(p.wish.op, want->op, "%s", line);
        cr_expect_eq(p.wish.want_old, want->want_old, "%s", line);
        cr_expect_eq(p.wish.is_conditional, want->is_conditional, "%s", line);
        cr_expect_eq(p.wish.is_read, want->is_read, "%s", line);
        cr_expect_eq(p.wish.has_more, want->has_more, "%s", line);
        cr_expect_eq(p.wish.more.expiry, want->more.expiry, "%s", line);
        cr_expect_eq(p.wish.more.expiry_ms, want->more.expiry_ms, "%s", line);
        cr_expect_eq(p.wish.more.conditions, FINE[i].conditions, "%s", line);
        cr_expect_eq(p.wish.count, 1u, "%s", line);
        cr_expect(span_equal(p.wish.keys[0], SPAN("k")), "%s", line);
        if (store_op_takes_value(p.wish.op))
            cr_expect(span_equal(p.wish.values[0], SPAN("v")), "%s", line);
    }
}

Test(wish, reads_what_a_value_is_compared_with) {
    struct parsed p;
    parse_with(&CONF, "set k v ifeq old EX 5 GET", &p);
    cr_expect(p.fine && p.wish.has_more && p.wish.want_old && p.wish.is_conditional);
    cr_expect_eq(p.wish.op, STORE_SET_IFEQ);
    cr_expect(span_equal(p.wish.more.compare, SPAN("old")));
    cr_expect_eq(p.wish.more.expiry_ms, 5000);
    parse_with(&CONF, "set k v IFEQ ~", &p);
    cr_expect(p.fine && p.wish.more.compare.len == 0);
    expect_error("set k v ifeq", "ERR syntax error");
    expect_error("set k v ifeq a NX", "ERR syntax error");
    expect_error("set k v xx ifeq a", "ERR syntax error");
    expect_error("set k v ifeq \xff", "ERR value is not valid UTF-8 text");
}

Test(wish, reads_several_keys) {
    struct parsed p;
    parse_with(&CONF, "mset a 1 b 2", &p);
    cr_expect(p.fine && p.wish.count == 2 && p.wish.step == 2 && !p.wish.has_more);
    cr_expect(span_equal(p.wish.keys[2], SPAN("b")) && span_equal(p.wish.values[2], SPAN("2")));
    parse_with(&CONF, "unlink a b a", &p);
    cr_expect(p.fine && p.wish.count == 3 && p.wish.step == 1 && p.wish.op == STORE_DELETE);
}

/* Nothing that is not understood is dropped; the texts are Redis'. */
Test(wish, refuses_what_does_not_go_together) {
    static const char *const SYNTAX[] = {
        "set k v foo",         "set k v NX XX",        "set k v XX NX",        "set k v EX",
        "set k v EX 1 PX 1",   "set k v KEEPTTL EX 1", "set k v EX 1 KEEPTTL", "set k v PERSIST",
        "set k v EXAT 1 EX 1", "getex k keepttl",      "getex k nx",           "getex k EX",
        "getex k EX 1 PX 1",   "getex k PERSIST EX 1", "getex k EX 1 PERSIST", "set k v GET 1",
    };
    for (size_t i = 0; i < sizeof(SYNTAX) / sizeof(SYNTAX[0]); i++)
        expect_error(SYNTAX[i], "ERR syntax error");
    expect_error("expire k 10 foo", "ERR Unsupported option foo");
    expect_error("expire k abc foo", "ERR Unsupported option foo");
    expect_error("expire k 10 NX XX",
                 "ERR NX and XX, GT or LT options at the same time are not compatible");
    expect_error("expire k 10 LT NX",
                 "ERR NX and XX, GT or LT options at the same time are not compatible");
    expect_error("expire k 10 GT LT", "ERR GT and LT options at the same time are not compatible");
}

static void expect_no_number(const char *before, const char *after) {
    static const char *const TEXTS[] = {"abc", "1.5", "~", "+1", "01", "9223372036854775808"};
    for (size_t t = 0; t < sizeof(TEXTS) / sizeof(TEXTS[0]); t++) {
        char line[80];
        snprintf(line, sizeof(line), "%s%s%s", before, TEXTS[t], after);
        expect_error(line, "ERR value is not an integer or out of range");
    }
}

Test(wish, refuses_times_that_are_none) {
    expect_no_number("set k v EX ", "");
    expect_no_number("set k v pxat ", "");
    expect_no_number("setex k ", " v");
    expect_no_number("getex k PX ", "");
    expect_no_number("expire k ", "");
    expect_no_number("pexpireat k ", " NX");
    expect_error("set k v EX 0", "ERR invalid expire time in 'set' command");
    expect_error("set k v PXAT -1", "ERR invalid expire time in 'set' command");
    expect_error("set k v EX 9223372036854775807", "ERR invalid expire time in 'set' command");
    expect_error("setex k 0 v", "ERR invalid expire time in 'setex' command");
    expect_error("psetex k -5 v", "ERR invalid expire time in 'psetex' command");
    expect_error("getex k EX 0", "ERR invalid expire time in 'getex' command");
    expect_error("expire k 9223372036854775807", "ERR invalid expire time in 'expire' command");
    expect_error("expire k -9223372036854775807", "ERR invalid expire time in 'expire' command");
    expect_error("pexpire k 9223372036854775807", "ERR invalid expire time in 'pexpire' command");
}

/* Any time that is past deletes; what PostgreSQL could not hold is cut to what it can. */
Test(wish, takes_a_time_that_is_long_past) {
    struct parsed p;
    parse_with(&CONF, "pexpire k -9223372036854775808", &p);
    cr_expect(p.fine);
    cr_expect_eq(p.wish.more.expiry_ms, -8000000000000000);
    parse_with(&CONF, "expireat k -9000000000000000", &p);
    cr_expect(p.fine);
    cr_expect_eq(p.wish.more.expiry_ms, -8000000000000000);
}

Test(wish, checks_values) {
    static const struct node_conf JSON = {.value_bytes_max = 100,
                                          .payload_format = NODE_PAYLOAD_JSON};
    expect_error("set k \xff", "ERR value is not valid UTF-8 text");
    expect_error("setex k 10 \xff", "ERR value is not valid UTF-8 text");
    expect_error("mset a b c \xff", "ERR value is not valid UTF-8 text");
    char line[200] = "set k ";
    memset(line + 6, 'x', 101);
    expect_error(line, "ERR value is longer than 100 bytes");
    struct parsed p;
    parse_with(&JSON, "setex k 10 [1", &p);
    cr_expect_not(p.fine);
    buf_release(&p.error);
    parse_with(&JSON, "setex k 10 [1]", &p);
    cr_expect(p.fine);
}

/* ---- replies ---- */

static void expect_reply(const char *command, bool want_old, bool is_conditional,
                         const struct store_ack *ack, const char *want) {
    for (int proto = 2; proto <= 3; proto++) {
        const struct wish wish = {.command = command_find(span_str(command)),
                                  .want_old = want_old,
                                  .is_conditional = is_conditional};
        struct buf out;
        buf_init(&out, 0);
        bool fine = wish_reply(&wish, proto, ack, &out);
        const char *text = strcmp(want, "nil") != 0 ? want : proto == 3 ? "_\r\n" : "$-1\r\n";
        cr_expect_eq(fine, text[0] != '-', "%s", command);
        cr_expect(span_equal(span_of(buf_head(&out), buf_len(&out)), span_str(text)),
                  "%s, RESP%d: %.*s", command, proto, (int)buf_len(&out), buf_head(&out));
        buf_release(&out);
    }
}

Test(wish, replies_as_redis) {
    const struct store_result old = {.had_old = true, .old = SPAN("old"), .live = true};
    const struct store_result none = {.live = false};
    const struct store_ack done = {.changed = 1}, undone = {.changed = 0}, two = {.changed = 2},
                           had = {.changed = 1, .result = &old}, had_not = {.result = &none};
    expect_reply("set", false, false, &done, "+OK\r\n");
    expect_reply("set", false, true, &done, "+OK\r\n");
    expect_reply("set", false, true, &undone, "nil");
    expect_reply("set", true, false, &had, "$3\r\nold\r\n");
    expect_reply("set", true, true, &had_not, "nil");
    expect_reply("getdel", true, false, &had_not, "nil");
    expect_reply("getex", true, false, &had, "$3\r\nold\r\n");
    expect_reply("mset", false, false, &two, "+OK\r\n");
    expect_reply("setex", false, false, &done, "+OK\r\n");
    expect_reply("setnx", false, false, &undone, ":0\r\n");
    expect_reply("del", false, false, &two, ":2\r\n");
    expect_reply("expire", false, false, &done, ":1\r\n");
    expect_reply("persist", false, false, &undone, ":0\r\n");
}

/* ---- commands that change a part of a value ---- */

Test(wish, reads_what_is_to_be_added) {
    static const struct {
        const char *line;
        int64_t number;
    } ROWS[] = {{"incr k", 1},       {"DECR k", -1},
                {"incrby k -7", -7}, {"incrby k -9223372036854775808", INT64_MIN},
                {"decrby k 7", -7},  {"decrby k 9223372036854775807", -INT64_MAX}};
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct parsed p;
        parse_with(&CONF, ROWS[i].line, &p);
        cr_expect(p.fine && p.wish.has_more && p.wish.op == STORE_ADD, "%s", ROWS[i].line);
        cr_expect_eq(p.wish.more.number, ROWS[i].number, "%s", ROWS[i].line);
    }
    expect_no_number("incrby k ", "");
    expect_no_number("decrby k ", "");
    expect_error("decrby k -9223372036854775808", "ERR decrement would overflow");
}

/* PostgreSQL reads it again, so nothing may pass that its numeric would choke on. */
Test(wish, takes_only_decimal_numbers) {
    static const char *const FINE_ONES[] = {"1",   "-1.5", "+1",   ".5",      "5.",
                                            "1e3", "1E-3", "1e+3", "1e-4940", "1.1e4932"};
    static const char *const NONE[] = {"~",      "a",       "1,5",   "1.5.",   ".",      "e5",
                                       "1e",     "1e+",     "--1",   "nan",    "0x10",   "1e00005",
                                       "1e5000", "1e-5000", "1_000", "1e4933", "-1e4933"};
    char line[400];
    for (size_t i = 0; i < sizeof(FINE_ONES) / sizeof(FINE_ONES[0]); i++) {
        struct parsed p;
        snprintf(line, sizeof(line), "incrbyfloat k %s", FINE_ONES[i]);
        parse_with(&CONF, line, &p);
        cr_expect(p.fine && p.wish.has_more && p.wish.op == STORE_ADD_DECIMAL, "%s", line);
        cr_expect(span_equal(p.wish.more.compare, span_str(FINE_ONES[i])), "%s", line);
    }
    for (size_t i = 0; i < sizeof(NONE) / sizeof(NONE[0]); i++) {
        snprintf(line, sizeof(line), "incrbyfloat k %s", NONE[i]);
        expect_error(line, "ERR value is not a valid float");
    }
    expect_error("incrbyfloat k -inf", "ERR increment would produce NaN or Infinity");
    snprintf(line, sizeof(line), "incrbyfloat k %0380d", 1);
    struct parsed p;
    parse_with(&CONF, line, &p);
    cr_expect(p.fine);
}

Test(wish, reads_parts_of_values) {
    struct parsed p;
    parse_with(&CONF, "append k v", &p);
    cr_expect(p.fine && p.wish.has_more && p.wish.op == STORE_APPEND);
    cr_expect(span_equal(p.wish.values[0], SPAN("v")));
    cr_expect_eq(p.wish.more.bytes_max, 100);
    parse_with(&CONF, "setrange k 98 vw", &p);
    cr_expect(p.fine && p.wish.has_more && p.wish.op == STORE_OVERLAY);
    cr_expect(span_equal(p.wish.values[0], SPAN("vw")));
    cr_expect(p.wish.more.number == 98 && p.wish.more.bytes_max == 100);
    parse_with(&CONF, "setrange k 9223372036854775807 ~", &p);
    cr_expect(p.fine && p.wish.more.number == 0, "nothing is written, wherever");
    expect_error("setrange k 99 vw", "ERR string exceeds maximum allowed size (value-bytes-max)");
    expect_error("setrange k 9223372036854775807 v",
                 "ERR string exceeds maximum allowed size (value-bytes-max)");
    expect_error("setrange k -1 v", "ERR offset is out of range");
    expect_error("append k \xff", "ERR value is not valid UTF-8 text");
    expect_error("setrange k 0 \xff", "ERR value is not valid UTF-8 text");
    expect_no_number("setrange k ", " v");
}

/* A part of JSON is none, and nobody would check the whole. */
Test(wish, changes_no_part_of_json) {
    static const struct node_conf JSON = {.value_bytes_max = 100,
                                          .payload_format = NODE_PAYLOAD_JSON};
    expect_error_with(&JSON, "append k 1",
                      "ERR value is not valid JSON: a part of a value is none");
    expect_error_with(&JSON, "setrange k 0 1",
                      "ERR value is not valid JSON: a part of a value is none");
    struct parsed p;
    parse_with(&JSON, "incr k", &p);
    cr_expect(p.fine);
}

Test(wish, msetnx_is_one_condition_for_all) {
    struct parsed p;
    parse_with(&CONF, "msetnx a 1 b 2", &p);
    cr_expect(p.fine && p.wish.op == STORE_SET_NX && p.wish.count == 2 && p.wish.step == 2);
    cr_expect(!p.wish.has_more && !p.wish.want_old);
    expect_error("msetnx a 1 b \xff", "ERR value is not valid UTF-8 text");
}

Test(wish, replies_with_what_the_value_has_become) {
    const struct store_result number = {.live = true, .payload = SPAN("-12")},
                              none = {.live = false},
                              float_ = {.live = true, .payload = SPAN("0.3")};
    static const struct {
        const char *command;
        enum store_outcome outcome;
        const char *want;
    } WRONG[] = {
        {"incr", STORE_OUTCOME_NOT_INTEGER, "-ERR value is not an integer or out of range\r\n"},
        {"incr", STORE_OUTCOME_OVERFLOW, "-ERR increment or decrement would overflow\r\n"},
        {"incrbyfloat", STORE_OUTCOME_NOT_NUMBER, "-ERR value is not a valid float\r\n"},
        {"incrbyfloat", STORE_OUTCOME_INFINITE, "-ERR increment would produce NaN or Infinity\r\n"},
        {"append", STORE_OUTCOME_TOO_LONG,
         "-ERR string exceeds maximum allowed size (value-bytes-max)\r\n"},
        {"setrange", STORE_OUTCOME_NOT_TEXT,
         "-ERR the value would no longer be valid UTF-8 text without NUL\r\n"},
    };
    const struct store_ack a = {.changed = 1, .result = &number}, b = {.result = &none},
                           f = {.changed = 1, .result = &float_}, all = {.changed = 3},
                           nothing = {.changed = 0};
    expect_reply("incr", false, false, &a, ":-12\r\n");
    expect_reply("decrby", false, false, &a, ":-12\r\n");
    expect_reply("append", false, false, &a, ":3\r\n");
    expect_reply("setrange", false, false, &b, ":0\r\n");
    expect_reply("incrbyfloat", false, false, &f, "$3\r\n0.3\r\n");
    expect_reply("msetnx", false, false, &all, ":1\r\n");
    expect_reply("msetnx", false, false, &nothing, ":0\r\n");
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        const struct store_result wrong = {.outcome = WRONG[i].outcome};
        const struct store_ack ack = {.result = &wrong};
        expect_reply(WRONG[i].command, false, false, &ack, WRONG[i].want);
    }
}

/* ---- our own commands ---- */

Test(wish, reads_versions) {
    struct parsed p;
    parse_with(&CONF, "rf.setver k 12 v", &p);
    cr_expect(p.fine && p.wish.has_more && p.wish.op == STORE_SET_VERSION);
    cr_expect_eq(p.wish.more.number, 12);
    cr_expect(span_equal(p.wish.values[0], SPAN("v")));
    expect_no_number("rf.setver k ", " v");
    expect_error("rf.setver k -1 v", "ERR value is not an integer or out of range");
    expect_error("rf.setver k 1 \xff", "ERR value is not valid UTF-8 text");
    parse_with(&CONF, "rf.enable k", &p);
    cr_expect(p.fine && p.wish.op == STORE_ENABLE);
    parse_with(&CONF, "rf.disable k", &p);
    cr_expect(p.fine && p.wish.op == STORE_DISABLE);
}

Test(wish, replies_with_the_new_version) {
    const struct store_result result = {.live = true, .payload = SPAN("v")};
    const uint64_t version = 17, none = 0;
    const struct store_ack done = {.changed = 1, .versions = &version, .result = &result},
                           undone = {.changed = 0, .versions = &none, .result = &result};
    expect_reply("rf.setver", false, false, &done, ":17\r\n");
    expect_reply("rf.setver", false, false, &undone, "nil");
    expect_reply("rf.enable", false, false, &done, ":1\r\n");
    expect_reply("rf.disable", false, false, &undone, ":0\r\n");
}
