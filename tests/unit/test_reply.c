/* Texts that Redis has too are as Redis 7.0.15 sent them to a raw socket. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../../common/buf.h"
#include "../../common/reply.h"
#include "../../common/resp_parse.h"

static void expect(struct buf *b, const char *wanted) {
    cr_expect_eq(buf_len(b), strlen(wanted), "%.*s, not %s", (int)buf_len(b), buf_head(b), wanted);
    cr_expect_eq(memcmp(buf_head(b), wanted, strlen(wanted)), 0, "%.*s, not %s", (int)buf_len(b),
                 buf_head(b), wanted);
    buf_consume(b, buf_len(b));
}

/* What was written is one error reply and nothing else. */
static void expect_one_line(struct buf *b) {
    struct resp_scan s = {0};
    size_t size = 0;
    cr_assert_eq(resp_scan_reply(&s, buf_head(b), buf_len(b), &size), RESP_OK);
    cr_expect_eq(size, buf_len(b));
    cr_expect_eq(buf_head(b)[0], '-');
    cr_expect_leq(size, 1003u);
    buf_consume(b, buf_len(b));
}

Test(reply, has_a_text_for_every_error) {
    for (int error = 0; error < REPLY_ERROR_COUNT; error++) {
        const char *text = reply_text((enum reply_error)error);
        cr_assert_not_null(text, "error %d", error);
        size_t word = strcspn(text, " ");
        cr_expect_gt(word, 1u);
        for (size_t i = 0; i < word; i++)
            cr_expect(text[i] >= 'A' && text[i] <= 'Z', "%s begins with its code", text);
        int holes = 0;
        for (const char *hole = text; (hole = strchr(hole, '%')) != NULL; hole++, holes++)
            cr_expect_eq(hole[1], 's', "%s", text);
        cr_expect_leq(holes, 2, "%s", text);
        cr_expect_null(strpbrk(text, "\r\n"));
    }
}

Test(reply, fills_several_holes_in_their_order_and_cuts_each) {
    char most[301];
    struct buf b;
    buf_init(&b, 0);
    reply_error_with(&b, REPLY_CACHING_MODE, (struct span[]){SPAN("YES"), SPAN("OPTIN")}, 2);
    expect(&b, "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.\r\n");
    reply_error_with(&b, REPLY_CACHING_MODE, (struct span[]){SPAN("%s"), SPAN("")}, 2);
    expect(&b, "-ERR CLIENT CACHING %s is only valid when tracking is enabled in  mode.\r\n");
    reply_error_with(&b, REPLY_CACHING_MODE, (struct span[]){SPAN("NO")}, 1);
    expect(&b, "-ERR CLIENT CACHING NO is only valid when tracking is enabled in  mode.\r\n");
    memset(most, 'x', sizeof(most));
    struct span word = span_of(most, sizeof(most) - 1);
    reply_error_with(&b, REPLY_TRACKING_OVERLAPS, (struct span[]){word, word}, 2);
    cr_expect_eq(buf_len(&b), strlen(reply_text(REPLY_TRACKING_OVERLAPS)) - 4 + 2 * 128 + 3);
    expect_one_line(&b);
    reply_error_with(&b, REPLY_CLIENT_OPTION, (struct span[]){SPAN("a\r\nb")}, 1);
    expect_one_line(&b);
    buf_release(&b);
}

Test(reply, begins_with_the_code_that_clients_retry_by) {
    static const struct {
        enum reply_error error;
        const char *code;
    } CASES[] = {{REPLY_DBDOWN, "DBDOWN "},   {REPLY_UNCERTAIN, "UNCERTAIN "},
                 {REPLY_TIMEOUT, "TIMEOUT "}, {REPLY_BUSY, "BUSY "},
                 {REPLY_LOCKED, "BUSY "},     {REPLY_NODEDOWN, "NODEDOWN "},
                 {REPLY_OOM, "OOM "},         {REPLY_NOPROTO, "NOPROTO "}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        cr_expect_eq(strncmp(reply_text(CASES[i].error), CASES[i].code, strlen(CASES[i].code)), 0,
                     "%s", reply_text(CASES[i].error));
}

Test(reply, has_redis_own_wording_where_redis_has_one) {
    cr_expect_str_eq(reply_text(REPLY_SYNTAX), "ERR syntax error");
    cr_expect_str_eq(reply_text(REPLY_NOT_INTEGER), "ERR value is not an integer or out of range");
    cr_expect_str_eq(reply_text(REPLY_DB_INDEX), "ERR DB index is out of range");
    cr_expect_str_eq(reply_text(REPLY_NOPROTO), "NOPROTO unsupported protocol version");
    cr_expect_str_eq(reply_text(REPLY_CLIENTS_MAX), "ERR max number of clients reached");
}

Test(reply, fills_in_a_detail) {
    struct buf b;
    buf_init(&b, 0);
    reply_error_number(&b, REPLY_KEY_LONG, 1024);
    expect(&b, "-ERR key is longer than 1024 bytes\r\n");
    reply_error_number(&b, REPLY_VALUE_LONG, UINT64_MAX);
    expect(&b, "-ERR value is longer than 18446744073709551615 bytes\r\n");
    reply_error(&b, REPLY_EXPIRE_TIME, "set");
    expect(&b, "-ERR invalid expire time in 'set' command\r\n");
    reply_error_with(&b, REPLY_OPTION, (struct span[]){span_of("foobar", 3)}, 1);
    expect(&b, "-ERR Unsupported option foo\r\n");
    reply_error(&b, REPLY_NOT_JSON, NULL);
    expect(&b, "-ERR value is not valid JSON: \r\n");
    reply_error(&b, REPLY_SYNTAX, "is not asked for");
    expect(&b, "-ERR syntax error\r\n");
    buf_release(&b);
}

/* A8: PostgreSQL quotes what the user sent. */
Test(reply, cleans_and_cuts_a_detail) {
    struct buf b;
    buf_init(&b, 0);
    reply_error(&b, REPLY_REFUSED, "bad \"\r\n+OK\r\n\" %s %n");
    expect(&b, "-ERR database refused: bad \"  +OK  \" %s %n\r\n");
    char detail[5000];
    memset(detail, 'x', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    for (int error = 0; error < REPLY_ERROR_COUNT; error++) {
        reply_error(&b, (enum reply_error)error, detail);
        expect_one_line(&b);
    }
    buf_release(&b);
}

Test(reply, cuts_a_detail_between_characters) {
    for (size_t ascii = 0; ascii < 4; ascii++) {
        struct buf b;
        buf_init(&b, 0);
        char detail[2000];
        memset(detail, 'x', ascii);
        for (size_t i = 0; ascii + i * 4 + 4 < sizeof(detail); i++)
            memcpy(detail + ascii + i * 4, "\xF0\x9F\x98\x80", 5);
        reply_error(&b, REPLY_REFUSED, detail);
        cr_expect(span_is_text(span_of(buf_head(&b), buf_len(&b))), "%zu before", ascii);
        cr_expect_gt(buf_len(&b), 250u);
        buf_release(&b);
    }
}

static void unknown(struct buf *b, const char *a, const char *c, const char *d, const char *e) {
    const char *const text[] = {a, c, d, e};
    struct span argv[4];
    uint32_t argc = 0;
    while (argc < 4 && text[argc] != NULL) {
        argv[argc] = span_str(text[argc]);
        argc++;
    }
    reply_unknown_command(b, argv, argc);
}

Test(reply, says_unknown_command_as_redis_does) {
    struct buf b;
    buf_init(&b, 0);
    unknown(&b, "foo", "a", "b", NULL);
    expect(&b, "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n");
    unknown(&b, "foo", NULL, NULL, NULL);
    expect(&b, "-ERR unknown command 'foo', with args beginning with: \r\n");
    unknown(&b, "", "a'\\", NULL, NULL);
    expect(&b, "-ERR unknown command '', with args beginning with: 'a'\\' \r\n");
    unknown(&b, "fo\r\no", "a\nb", NULL, NULL);
    expect(&b, "-ERR unknown command 'fo  o', with args beginning with: 'a b' \r\n");
    struct span nul[] = {span_of("f\0o", 3), span_of("a\0b", 3)};
    reply_unknown_command(&b, nul, 2);
    expect(&b, "-ERR unknown command 'f', with args beginning with: 'a' \r\n");
    buf_release(&b);
}

Test(reply, cuts_an_unknown_command_where_redis_does) {
    char x[201], wanted[600];
    memset(x, 'x', 200);
    x[200] = '\0';
    struct buf b;
    buf_init(&b, 0);
    unknown(&b, x, NULL, NULL, NULL);
    snprintf(wanted, sizeof(wanted),
             "-ERR unknown command '%.128s', with args beginning with: \r\n", x);
    expect(&b, wanted);
    unknown(&b, "foo", x, x, NULL);
    snprintf(wanted, sizeof(wanted),
             "-ERR unknown command 'foo', with args beginning with: '%.128s' \r\n", x);
    expect(&b, wanted);
    unknown(&b, "f", x + 140, x + 140, x + 140);
    snprintf(wanted, sizeof(wanted),
             "-ERR unknown command 'f', with args beginning with: '%.60s' '%.60s' 'xx' \r\n", x, x);
    expect(&b, wanted);
    unknown(&b, "f", x + 78, x + 140, x + 140);
    snprintf(wanted, sizeof(wanted),
             "-ERR unknown command 'f', with args beginning with: '%.122s' 'xxx' \r\n", x);
    expect(&b, wanted);
    buf_release(&b);
}

Test(reply, says_unknown_subcommand_and_wrong_arity_as_redis_does) {
    struct buf b;
    buf_init(&b, 0);
    char x[201], wanted[300];
    memset(x, 'x', 200);
    x[200] = '\0';
    reply_unknown_subcommand(&b, "client", SPAN("Foo"));
    expect(&b, "-ERR unknown subcommand 'Foo'. Try CLIENT HELP.\r\n");
    reply_unknown_subcommand(&b, "config", SPAN("a\r\nb"));
    expect(&b, "-ERR unknown subcommand 'a  b'. Try CONFIG HELP.\r\n");
    reply_unknown_subcommand(&b, "client", span_str(x));
    snprintf(wanted, sizeof(wanted), "-ERR unknown subcommand '%.128s'. Try CLIENT HELP.\r\n", x);
    expect(&b, wanted);
    reply_wrong_arity(&b, "get");
    expect(&b, "-ERR wrong number of arguments for 'get' command\r\n");
    reply_wrong_arity(&b, "client|getname");
    expect(&b, "-ERR wrong number of arguments for 'client|getname' command\r\n");
    buf_release(&b);
}
