#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../common/lines.h"

enum { WORDS_MAX = 3 };

static void expect_words(const char *line, int want, ...) {
    struct span words[WORDS_MAX];
    unsigned count;
    va_list args;
    bool fits = lines_words(span_str(line), words, WORDS_MAX, &count);
    cr_assert_eq(fits, want >= 0, "'%s'", line);
    va_start(args, want);
    for (int i = 0; i < want; i++) {
        cr_assert_lt((unsigned)i, count, "'%s'", line);
        cr_assert(span_equal(words[i], span_str(va_arg(args, const char *))), "'%s': %d", line, i);
    }
    va_end(args);
    if (fits)
        cr_assert_eq(count, (unsigned)want, "'%s'", line);
}

Test(lines, words_end_at_blanks_and_comments) {
    expect_words("", 0);
    expect_words("   \t\r", 0);
    expect_words("# a b c d e", 0);
    expect_words("a", 1, "a");
    expect_words("  a\tbc  ", 2, "a", "bc");
    expect_words("a b#c # d e f", 2, "a", "b#c");
    expect_words("a b c", 3, "a", "b", "c");
    expect_words("a b c # d", 3, "a", "b", "c");
    expect_words("a b c d", -1);
}

Test(lines, come_one_by_one_with_or_without_a_last_end) {
    static const char *const TEXTS[] = {"a\n\nbc\n", "a\n\nbc"}, *const WANT[] = {"a", "", "bc"};
    for (int t = 0; t < 2; t++) {
        struct span line;
        size_t at = 0;
        for (int i = 0; i < 3; i++) {
            cr_assert(lines_next(span_str(TEXTS[t]), &at, &line), "%d", i);
            cr_assert(span_equal(line, span_str(WANT[i])), "%d", i);
        }
        cr_assert_not(lines_next(span_str(TEXTS[t]), &at, &line));
    }
    struct span line;
    size_t at = 0;
    cr_assert_not(lines_next(SPAN(""), &at, &line));
}

Test(lines, a_file_is_read_whole_or_not_at_all) {
    char why[64] = "";
    size_t len;
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    fputs("12345", file);
    rewind(file);
    char *text = lines_read(file, 5, &len, why, sizeof(why));
    cr_assert_not_null(text);
    cr_assert(span_equal(span_of(text, len), SPAN("12345")));
    free(text);
    rewind(file);
    cr_assert_null(lines_read(file, 4, &len, why, sizeof(why)));
    cr_assert_str_eq(why, "longer than 4 bytes");
    fclose(file);
    file = fopen("/", "re"); /* a folder: it opens, and cannot be read */
    cr_assert_not_null(file);
    cr_assert_null(lines_read(file, 5, &len, why, sizeof(why)));
    cr_assert_str_eq(why, "cannot be read");
    fclose(file);
}
