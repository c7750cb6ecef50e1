#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../common/buf.h"
#include "../../common/resp_parse.h"
#include "../../common/resp_write.h"

static void expect(struct buf *b, const char *wanted) {
    cr_expect_eq(buf_len(b), strlen(wanted), "%.*s, not %s", (int)buf_len(b), buf_head(b), wanted);
    cr_expect_eq(memcmp(buf_head(b), wanted, strlen(wanted)), 0, "%.*s, not %s", (int)buf_len(b),
                 buf_head(b), wanted);
    buf_consume(b, buf_len(b));
}

Test(resp_write, writes_each_type_as_the_protocol_has_it) {
    struct buf b;
    buf_init(&b, 0);
    resp_write_bulk(&b, SPAN("hello"));
    expect(&b, "$5\r\nhello\r\n");
    resp_write_bulk(&b, span_of(NULL, 0));
    expect(&b, "$0\r\n\r\n");
    resp_write_status(&b, "OK");
    expect(&b, "+OK\r\n");
    resp_write_error(&b, SPAN("ERR no"));
    expect(&b, "-ERR no\r\n");
    resp_write_array(&b, 0);
    expect(&b, "*0\r\n");
    resp_write_array(&b, UINT64_MAX);
    expect(&b, "*18446744073709551615\r\n");
    resp_write_push(&b, 3);
    expect(&b, ">3\r\n");
    const struct span argv[] = {SPAN("GET"), SPAN("a\r\nb")};
    resp_write_request(&b, argv, 2);
    expect(&b, "*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    buf_release(&b);
}

Test(resp_write, writes_what_differs_between_resp2_and_resp3) {
    struct buf b;
    buf_init(&b, 0);
    resp_write_null(&b, 2);
    expect(&b, "$-1\r\n");
    resp_write_null(&b, 3);
    expect(&b, "_\r\n");
    resp_write_map(&b, 7, 2);
    expect(&b, "*14\r\n");
    resp_write_map(&b, 7, 3);
    expect(&b, "%7\r\n");
    resp_write_set(&b, 7, 2);
    expect(&b, "*7\r\n");
    resp_write_set(&b, 7, 3);
    expect(&b, "~7\r\n");
    resp_write_verbatim(&b, SPAN("abc"), 2);
    expect(&b, "$3\r\nabc\r\n");
    resp_write_verbatim(&b, SPAN("abc"), 3);
    expect(&b, "=7\r\ntxt:abc\r\n");
    buf_release(&b);
}

Test(resp_write, writes_integers_to_their_ends) {
    static const struct {
        int64_t n;
        const char *wanted;
    } CASES[] = {{0, ":0\r\n"},
                 {9, ":9\r\n"},
                 {10, ":10\r\n"},
                 {-1, ":-1\r\n"},
                 {1000000, ":1000000\r\n"},
                 {INT64_MAX, ":9223372036854775807\r\n"},
                 {INT64_MIN, ":-9223372036854775808\r\n"}};
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        resp_write_int(&b, CASES[i].n);
        expect(&b, CASES[i].wanted);
    }
    buf_release(&b);
}

/* A8: an error that quotes a value cannot end itself and begin another reply. */
Test(resp_write, keeps_an_error_one_line) {
    struct buf b;
    buf_init(&b, 0);
    resp_write_error(&b, SPAN("ERR \"\r\n+OK\r\n\""));
    expect(&b, "-ERR \"  +OK  \"\r\n");
    buf_release(&b);
}

Test(resp_write, cuts_an_error_at_1000_bytes) {
    struct buf b;
    buf_init(&b, 0);
    char text[2000];
    memset(text, 'x', sizeof(text));
    resp_write_error(&b, span_of(text, sizeof(text)));
    cr_assert_eq(buf_len(&b), 1003u);
    cr_assert_eq(memcmp(buf_head(&b) + 1001, "\r\n", 2), 0);
    buf_release(&b);
}

/* Every length around a change of digits, read back. */
Test(resp_write, writes_bulk_strings_that_the_scanner_measures) {
    static const size_t LENGTHS[] = {0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 99999, 100000};
    char *value = calloc(1, 100000);
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
        resp_write_bulk(&b, span_of(value, LENGTHS[i]));
        struct resp_scan s = {0};
        size_t size = 0;
        cr_assert_eq(resp_scan_reply(&s, buf_head(&b), buf_len(&b), &size), RESP_OK);
        cr_assert_eq(size, buf_len(&b));
        buf_consume(&b, size);
    }
    buf_release(&b);
    free(value);
}

Test(resp_write, leaves_a_full_buffer_failed_and_within_its_limit) {
    struct buf b;
    buf_init(&b, 64);
    const struct span argv[] = {SPAN("GET"), SPAN("0123456789")};
    for (int i = 0; i < 10; i++) {
        resp_write_request(&b, argv, 2);
        resp_write_int(&b, -5);
        resp_write_error(&b, SPAN("ERR something that is long"));
        resp_write_verbatim(&b, SPAN("abc"), 3);
        resp_write_status(&b, "OK");
    }
    cr_assert(b.failed);
    cr_assert_leq(buf_len(&b), 64u);
    buf_release(&b);
}
