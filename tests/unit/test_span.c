#include <criterion/criterion.h>
#include <stdio.h>

#include "../../common/span.h"

Test(span, equals_the_same_bytes_only) {
    cr_assert(span_equal(SPAN("a\0b"), SPAN("a\0b")));
    cr_assert_not(span_equal(SPAN("a\0b"), SPAN("a\0c")));
    cr_assert_not(span_equal(SPAN("ab"), SPAN("abc")));
    cr_assert_not(span_equal(SPAN("ab"), SPAN("AB")));
    cr_assert(span_equal(span_of(NULL, 0), SPAN("")));
    cr_assert(span_equal(span_str("abc"), SPAN("abc")));
}

Test(span, begins_with_the_bytes_of_a_head) {
    cr_assert(span_begins_with(SPAN("a\0b"), SPAN("a\0")));
    cr_assert(span_begins_with(SPAN("ab"), SPAN("ab")));
    cr_assert_not(span_begins_with(SPAN("ab"), SPAN("abc")));
    cr_assert_not(span_begins_with(SPAN("abc"), SPAN("Ab")));
    cr_assert_not(span_begins_with(SPAN("abc"), SPAN("b")));
    cr_assert(span_begins_with(SPAN("a"), span_of(NULL, 0)));
    cr_assert(span_begins_with(span_of(NULL, 0), SPAN("")));
    cr_assert_not(span_begins_with(span_of(NULL, 0), SPAN("a")));
}

/* Against the definition, for each pair of bytes: only the 26 ASCII letters have two cases. */
Test(span, ignores_the_case_of_ascii_letters_and_of_nothing_else) {
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char x[1] = {(char)a}, y[1] = {(char)b};
            bool is_letter = (a >= 'a' && a <= 'z') || (a >= 'A' && a <= 'Z');
            bool wanted = a == b || (is_letter && (a ^ b) == 0x20);
            cr_assert_eq(span_equal_nocase(span_of(x, 1), span_of(y, 1)), wanted, "%d %d", a, b);
        }
    }
    cr_assert(span_equal_nocase(SPAN("ClIeNt"), SPAN("cLiEnT")));
    cr_assert_not(span_equal_nocase(SPAN("get"), SPAN("gets")));
}

static int sign(int n) {
    return n < 0 ? -1 : n > 0;
}

Test(span, compares_as_unsigned_bytes_then_by_length) {
    static const struct {
        struct span a, b;
        int order;
    } CASES[] = {
        {SPAN(""), SPAN(""), 0},          {SPAN(""), SPAN("a"), -1},
        {SPAN("a"), SPAN("b"), -1},       {SPAN("a"), SPAN("ab"), -1},
        {SPAN("b"), SPAN("ab"), 1},       {SPAN("a\0b"), SPAN("a\0c"), -1},
        {SPAN("\x7f"), SPAN("\x80"), -1}, {SPAN("z"), SPAN("\xc3\xa9"), -1},
        {SPAN("same"), SPAN("same"), 0},  {SPAN("Z"), SPAN("a"), -1},
        {SPAN("a\0"), SPAN("a"), 1},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        cr_expect_eq(sign(span_compare(CASES[i].a, CASES[i].b)), CASES[i].order, "%zu", i);
        cr_expect_eq(sign(span_compare(CASES[i].b, CASES[i].a)), -CASES[i].order, "%zu", i);
    }
}

static const struct {
    struct span text;
    bool good;
    int64_t value;
} NUMBERS[] = {
    {SPAN("0"), true, 0},
    {SPAN("7"), true, 7},
    {SPAN("-1"), true, -1},
    {SPAN("1234567890"), true, 1234567890},
    {SPAN("9223372036854775807"), true, INT64_MAX},
    {SPAN("-9223372036854775808"), true, INT64_MIN},
    {SPAN("9223372036854775808"), false, 0},
    {SPAN("-9223372036854775809"), false, 0},
    {SPAN("18446744073709551615"), false, 0},
    {SPAN("18446744073709551616"), false, 0},
    {SPAN("18446744073709551617"), false, 0}, /* would be 1, wrapped */
    {SPAN("99999999999999999999"), false, 0},
    {SPAN("100000000000000000001"), false, 0},
    {SPAN(""), false, 0},
    {SPAN("-"), false, 0},
    {SPAN("-0"), false, 0},
    {SPAN("+1"), false, 0},
    {SPAN("00"), false, 0},
    {SPAN("01"), false, 0},
    {SPAN("-01"), false, 0},
    {SPAN(" 1"), false, 0},
    {SPAN("1 "), false, 0},
    {SPAN("1\0"), false, 0},
    {SPAN("1a"), false, 0},
    {SPAN("0x10"), false, 0},
    {SPAN("--1"), false, 0},
    {SPAN("1-"), false, 0},
    {SPAN("1/"), false, 0}, /* the neighbours of the digits */
    {SPAN("1:"), false, 0},
};

Test(span, reads_integers_in_the_strict_form_alone) {
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        int64_t value = 4711;
        cr_expect_eq(span_to_int64(NUMBERS[i].text, &value), NUMBERS[i].good, "'%.*s'",
                     (int)NUMBERS[i].text.len, NUMBERS[i].text.ptr);
        cr_expect_eq(value, NUMBERS[i].good ? NUMBERS[i].value : 4711, "'%.*s': %lld",
                     (int)NUMBERS[i].text.len, NUMBERS[i].text.ptr, (long long)value);
    }
}

Test(span, reads_every_integer_that_printf_writes) {
    uint64_t state = 1;
    for (int i = 0; i < 200000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        int64_t wanted = (int64_t)(state ^ state >> 29) >> (i % 64), got = 0;
        char text[32];
        int len = snprintf(text, sizeof(text), "%lld", (long long)wanted);
        cr_assert(span_to_int64(span_of(text, (size_t)len), &got), "%s", text);
        cr_assert_eq(got, wanted, "%s", text);
    }
}

/* ---- text ---- */

/* The definition, the slow way: decode to a number, see that its shortest form has that length. */
static bool naive_is_text(const unsigned char *p, size_t len) {
    size_t i = 0;
    while (i < len) {
        unsigned lead = p[i];
        size_t more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : 3;
        if ((lead >= 0x80 && lead < 0xC0) || lead >= 0xF8 || i + more >= len)
            return false;
        uint32_t code = more == 0 ? lead : lead & (0x3Fu >> more);
        for (size_t k = 1; k <= more; k++) {
            if (p[i + k] >> 6 != 2)
                return false;
            code = code << 6 | (p[i + k] & 0x3Fu);
        }
        size_t shortest = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) || shortest != more)
            return false;
        i += more + 1;
    }
    return true;
}

static void expect_as_naive(const unsigned char *p, size_t len) {
    bool got = span_is_text(span_of((const char *)p, len)), wanted = naive_is_text(p, len);
    if (got != wanted)
        cr_assert_fail("%02x %02x %02x %02x of %zu bytes: %d", p[0], p[1], p[2], p[3], len, got);
}

Test(span, takes_as_text_what_the_definition_takes_up_to_three_bytes, .timeout = 120) {
    for (uint32_t code = 0; code < 1u << 24; code++) {
        unsigned char p[4] = {(unsigned char)(code >> 16), (unsigned char)(code >> 8),
                              (unsigned char)code};
        expect_as_naive(p, 3);
        if (p[2] == 0)
            expect_as_naive(p, 2);
        if (p[2] == 0 && p[1] == 0)
            expect_as_naive(p, 1);
    }
}

Test(span, takes_as_text_what_the_definition_takes_of_four_bytes, .timeout = 120) {
    static const unsigned char BORDERS[] = {0x00, 0x41, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F,
                                            0xA0, 0xAF, 0xB0, 0xBE, 0xBF, 0xC0, 0xC2, 0xFF};
    for (unsigned lead = 0xE0; lead < 0x100; lead++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t i = 0; i < sizeof(BORDERS) * sizeof(BORDERS); i++) {
                unsigned char p[4] = {(unsigned char)lead, (unsigned char)second,
                                      BORDERS[i / sizeof(BORDERS)], BORDERS[i % sizeof(BORDERS)]};
                expect_as_naive(p, 4);
            }
        }
    }
}

/* Eight ASCII bytes are looked at together: what is wrong has to be seen at each place. */
Test(span, sees_what_is_no_text_at_every_place) {
    static const struct span WRONG[] = {SPAN("\0"),           SPAN("\x80"),
                                        SPAN("\xff"),         SPAN("\xc0\x80"),
                                        SPAN("\xed\xa0\x80"), SPAN("\xf4\x90\x80\x80")};
    static const struct span RIGHT[] = {SPAN("\x01"), SPAN("\x7f"), SPAN("\xc3\xa9"),
                                        SPAN("\xe2\x82\xac"), SPAN("\xf0\x9f\x98\x80")};
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
                char text[48];
                memset(text, 'x', sizeof(text));
                memcpy(text + at, WRONG[i].ptr, WRONG[i].len);
                cr_assert_not(span_is_text(span_of(text, len)), "wrong %zu at %zu", i, at);
            }
            for (size_t i = 0; i < sizeof(RIGHT) / sizeof(RIGHT[0]); i++) {
                char text[48];
                memset(text, 'x', sizeof(text));
                memcpy(text + at, RIGHT[i].ptr, RIGHT[i].len);
                cr_assert_eq(span_is_text(span_of(text, len)), at + RIGHT[i].len <= len,
                             "right %zu at %zu of %zu", i, at, len);
            }
        }
    }
    cr_assert(span_is_text(span_of(NULL, 0)));
}
