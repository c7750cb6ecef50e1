#include <criterion/criterion.h>
#include <string.h>

#include "../../common/buf.h"
#include "../../node/pg_array.h"

static void expect(const struct buf *b, const char *want, size_t len) {
    cr_assert_not(b->failed);
    cr_assert_eq(buf_len(b), len, "%zu bytes, not %zu", buf_len(b), len);
    cr_assert(memcmp(buf_head(b), want, len) == 0);
}

#define EXPECT(b, bytes) expect(b, bytes, sizeof(bytes) - 1)

Test(pg_array, an_empty_array_has_no_dimension) {
    struct buf b;
    buf_init(&b, 0);
    pg_array_begin(&b, 0);
    EXPECT(&b, "\0\0\0\0"
               "\0\0\0\0"
               "\0\0\0\x19");
    buf_release(&b);
}

Test(pg_array, elements_are_counted_and_never_escaped) {
    struct buf b;
    buf_init(&b, 0);
    pg_array_begin(&b, 3);
    pg_array_add(&b, SPAN("a{,}\"\\'"));
    pg_array_add(&b, SPAN(""));
    pg_array_add(&b, SPAN("NULL"));
    EXPECT(&b, "\0\0\0\x01"
               "\0\0\0\0"
               "\0\0\0\x19"
               "\0\0\0\x03"
               "\0\0\0\x01"
               "\0\0\0\x07"
               "a{,}\"\\'"
               "\0\0\0\0"
               "\0\0\0\x04"
               "NULL");
    buf_release(&b);
}

Test(pg_array, counts_and_lengths_are_big_endian) {
    static char element[0x010203];
    struct buf b;
    buf_init(&b, 0);
    pg_array_begin(&b, 0x00A0B0C0);
    pg_array_add(&b, span_of(element, sizeof(element)));
    cr_assert(memcmp(buf_head(&b) + 12, "\x00\xA0\xB0\xC0", 4) == 0);
    cr_assert(memcmp(buf_head(&b) + 20, "\x00\x01\x02\x03", 4) == 0);
    cr_assert_eq(buf_len(&b), 24 + sizeof(element));
    buf_release(&b);
}

Test(pg_array, a_limit_is_the_buffers_sticky_failure) {
    struct buf b;
    buf_init(&b, 30);
    pg_array_begin(&b, 2);
    pg_array_add(&b, SPAN("0123456789"));
    cr_assert(b.failed);
    buf_release(&b);
}

Test(pg_array, an_int8_of_a_result) {
    static const struct {
        char data[8];
        int64_t want;
    } CASES[] = {{{0}, 0},
                 {{0, 0, 0, 0, 0, 0, 0, 1}, 1},
                 {{1, 2, 3, 4, 5, 6, 7, 8}, 0x0102030405060708},
                 {{0, 0, 0, 0, (char)0xFF, (char)0xFE, (char)0xFD, (char)0xFC}, 0xFFFEFDFC},
                 {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", -1},
                 {"\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", INT64_MAX},
                 {"\x80\0\0\0\0\0\0\0", INT64_MIN}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        cr_assert_eq(pg_array_int64(CASES[i].data), CASES[i].want, "case %zu", i);
}
