/* Measuring replies. What is accepted is compared with hiredis through the reader, which measures
 * with this very function; here are sizes, borders and limits. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/resp_parse.h"

/* One reply each, whole. */
static const char *const WHOLE[] = {
    "+OK\r\n",
    "+\r\n",
    "+a\rb\nc\r\r\n",
    "-ERR no\r\n",
    ":0\r\n",
    ":-9223372036854775808\r\n",
    "$-1\r\n",
    "$0\r\n\r\n",
    "$5\r\nhello\r\n",
    "$5\r\n\r\n\r\n\r\r\n",
    "$12\r\nhello, world\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*2\r\n$1\r\na\r\n:1\r\n",
    "*2\r\n*2\r\n+a\r\n+b\r\n*1\r\n*0\r\n",
    "*3\r\n*0\r\n*-1\r\n$-1\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:8\r\n",
    "_\r\n",
    ",1.5\r\n",
    "#t\r\n",
    "(12345678901234567890\r\n",
    "=7\r\ntxt:abc\r\n",
    "!5\r\nERR x\r\n",
    "%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:1\r\n:2\r\n",
    "~2\r\n:1\r\n:2\r\n",
    ">2\r\n+defer\r\n:1\r\n",
    ">3\r\n+late\r\n:1\r\n$3\r\nabc\r\n",
    "|1\r\n+ttl\r\n:5\r\n$1\r\na\r\n",
    "|0\r\n|0\r\n+x\r\n",
    "*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:2\r\n:3\r\n",
    "%0\r\n",
};
enum { WHOLE_COUNT = sizeof(WHOLE) / sizeof(WHOLE[0]) };

/* A copy without anything behind it, so that a sanitizer sees a read too far. */
static enum resp_result scan_exact(struct resp_scan *s, const char *data, size_t len,
                                   size_t *size) {
    char *exact = malloc(len + 1);
    memcpy(exact + 1, data, len);
    enum resp_result result = resp_scan_reply(s, exact + 1, len, size);
    free(exact);
    return result;
}

Test(resp_scan, measures_a_whole_reply_and_not_what_follows) {
    for (size_t i = 0; i < WHOLE_COUNT; i++) {
        struct resp_scan s = {0};
        char data[256];
        size_t len = strlen(WHOLE[i]), size = 0;
        cr_expect_eq(scan_exact(&s, WHOLE[i], len, &size), RESP_OK, "%s", WHOLE[i]);
        cr_expect_eq(size, len, "%s: %zu", WHOLE[i], size);
        int both = snprintf(data, sizeof(data), "%s%s", WHOLE[i], WHOLE[(i + 1) % WHOLE_COUNT]);
        cr_expect_eq(scan_exact(&s, data, (size_t)both, &size), RESP_OK, "%s", data);
        cr_expect_eq(size, len, "%s: %zu", data, size);
    }
}

Test(resp_scan, waits_for_the_last_byte_at_every_split_and_byte_by_byte) {
    for (size_t i = 0; i < WHOLE_COUNT; i++) {
        size_t len = strlen(WHOLE[i]), size = 0;
        struct resp_scan stepwise = {0};
        for (size_t have = 0; have < len; have++) {
            struct resp_scan s = {0};
            cr_expect_eq(scan_exact(&s, WHOLE[i], have, &size), RESP_PARTIAL, "%s at %zu", WHOLE[i],
                         have);
            cr_expect_eq(scan_exact(&s, WHOLE[i], len, &size), RESP_OK, "%s at %zu", WHOLE[i],
                         have);
            cr_expect_eq(size, len);
            cr_expect_eq(scan_exact(&stepwise, WHOLE[i], have, &size), RESP_PARTIAL);
        }
        cr_expect_eq(scan_exact(&stepwise, WHOLE[i], len, &size), RESP_OK, "%s", WHOLE[i]);
        cr_expect_eq(size, len);
    }
}

Test(resp_scan, is_ready_for_the_next_reply_after_one) {
    struct resp_scan s = {0};
    for (size_t i = 0; i < WHOLE_COUNT; i++) {
        size_t len = strlen(WHOLE[i]), size = 0;
        scan_exact(&s, WHOLE[i], len / 2, &size);
        cr_expect_eq(scan_exact(&s, WHOLE[i], len, &size), RESP_OK, "%s", WHOLE[i]);
        cr_expect_eq(size, len);
        cr_expect_eq(s.pos + s.depth + s.need + s.seen, 0u, "%s", WHOLE[i]);
    }
}

struct wrong {
    const char *data;
    const char *error;
};

static const struct wrong WRONG[] = {
    {"OK\r\n", "unknown type byte"},
    {"\r\n", "unknown type byte"},
    {":\r\n", "bad integer"},
    {":1x\r\n", "bad integer"},
    {":9223372036854775808\r\n", "bad integer"},
    {"$x\r\n", "bad length"},
    {"$1\r2\r\n", "bad length"},
    {"$-2\r\n", "length out of range"},
    {"*-2\r\n", "length out of range"},
    {"*2147483648\r\n", "length out of range"},
    {"%9223372036854775807\r\n", "length out of range"},
    {"|-1\r\n", "length out of range"},
    {"*2\r\n+a\r\n?", "unknown type byte"},
    {"#maybe\r\n", "bad boolean"},
    {"=3\r\nabc\r\n", "verbatim string without its type"},
    /* a ninth level, even an empty one */
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*", "nested too deeply"},
    {"|1\r\n%1\r\n~1\r\n>1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*", "nested too deeply"},
};

Test(resp_scan, refuses_what_is_not_resp_byte_by_byte_too) {
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        size_t len = strlen(WRONG[i].data), size = 0;
        struct resp_scan whole = {0}, stepwise = {0};
        cr_expect_eq(scan_exact(&whole, WRONG[i].data, len, &size), RESP_ERROR, "%s",
                     WRONG[i].data);
        cr_expect_str_eq(whole.error, WRONG[i].error, "%s: %s", WRONG[i].data, whole.error);
        enum resp_result result = RESP_PARTIAL;
        for (size_t have = 0; have <= len && result == RESP_PARTIAL; have++)
            result = scan_exact(&stepwise, WRONG[i].data, have, &size);
        cr_expect_eq(result, RESP_ERROR, "%s", WRONG[i].data);
        cr_expect_str_eq(stepwise.error, WRONG[i].error);
    }
}

Test(resp_scan, does_not_wrap_on_the_largest_lengths) {
    static const char *const HUGE_ONES[] = {"$9223372036854775807\r\nab", "*2147483647\r\n:1\r\n",
                                            "%2147483647\r\n:1\r\n",
                                            "*1\r\n$9223372036854775807\r\nab"};
    for (size_t i = 0; i < sizeof(HUGE_ONES) / sizeof(HUGE_ONES[0]); i++) {
        struct resp_scan s = {0};
        size_t size = 0;
        for (int again = 0; again < 2; again++)
            cr_expect_eq(scan_exact(&s, HUGE_ONES[i], strlen(HUGE_ONES[i]), &size), RESP_PARTIAL);
    }
}

Test(resp_scan, bounds_a_header_line_that_does_not_end) {
    size_t len = (64 << 10) + 1, size;
    char *data = malloc(len);
    memset(data, '1', len);
    data[0] = '$';
    struct resp_scan s = {0};
    cr_assert_eq(resp_scan_reply(&s, data, len - 1, &size), RESP_PARTIAL);
    cr_assert_eq(resp_scan_reply(&s, data, len, &size), RESP_ERROR);
    cr_assert_str_eq(s.error, "header line too long");
    free(data);
}

/* "Nothing is scanned twice": a megabyte in pieces of 16 bytes would take minutes otherwise. */
Test(resp_scan, does_not_look_at_the_same_bytes_again, .timeout = 20) {
    size_t len = 1 << 20, size;
    char *data = malloc(len);
    struct resp_scan line = {0}, array = {0};
    memset(data, 'x', len);
    memcpy(data, "+", 1);
    memcpy(data + len - 2, "\r\n", 2);
    for (size_t have = 16; have < len; have += 16) {
        cr_assert_eq(resp_scan_reply(&line, data, have, &size), RESP_PARTIAL);
        cr_assert_geq(line.seen, have - 1);
    }
    cr_assert_eq(resp_scan_reply(&line, data, len, &size), RESP_OK);
    memcpy(data, "*65535\r\n:12345678\r\n", 19);
    for (size_t at = 8; at + 12 < len; at += 12)
        memcpy(data + at, ":123456789\r\n", 12);
    for (size_t have = 8; have + 16 < len && have < 65000 * 12; have += 16) {
        cr_assert_eq(resp_scan_reply(&array, data, have, &size), RESP_PARTIAL);
        cr_assert_geq(array.pos + 12, have);
    }
    free(data);
}
