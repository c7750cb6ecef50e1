/* Which part of the table a command about all keys is for. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../../node/scope.h"

enum { PREFIXES = 3 };

/* The ranges as one text. */
static const char *ranges(const struct scope *scope, const char *plain) {
    static char text[200];
    struct span range;
    uint32_t at = 0;
    size_t len = 0;
    while (scope_range(scope, span_str(plain), &at, &range))
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "<%.*s>", (int)range.len, range.ptr);
    text[len] = '\0';
    return text;
}

Test(scope, without_prefixes_it_is_all_keys) {
    const struct scope all = {0};
    cr_assert(scope_covers(&all, SPAN("")));
    cr_assert(scope_covers(&all, SPAN("a")));
    cr_assert_str_eq(ranges(&all, ""), "<>");
    cr_assert_str_eq(ranges(&all, "user:"), "<user:>");
}

Test(scope, covers_what_begins_with_one_of_its_prefixes) {
    const struct span prefixes[] = {SPAN("app:"), SPAN("x"), SPAN("\xc3")};
    const struct scope scope = {.prefixes = prefixes, .count = PREFIXES};
    cr_assert(scope_covers(&scope, SPAN("app:")));
    cr_assert(scope_covers(&scope, SPAN("app:1")));
    cr_assert(scope_covers(&scope, SPAN("xy")));
    cr_assert(scope_covers(&scope, SPAN("\xc3\xb6")));
    cr_assert_not(scope_covers(&scope, SPAN("app")));
    cr_assert_not(scope_covers(&scope, SPAN("")));
    cr_assert_not(scope_covers(&scope, SPAN("yx")));
}

Test(scope, ranges_have_each_of_its_keys_once) {
    static const struct {
        struct span prefixes[PREFIXES];
        const char *plain, *want;
    } CASES[] = {
        {{SPAN("app:"), SPAN("x:"), SPAN("y:")}, "", "<app:><x:><y:>"},
        {{SPAN("app:"), SPAN("x:"), SPAN("y:")}, "x", "<x:>"},
        {{SPAN("app:"), SPAN("x:"), SPAN("y:")}, "x:1", "<x:1>"},
        {{SPAN("app:"), SPAN("x:"), SPAN("y:")}, "z", ""},
        {{SPAN("a:b"), SPAN("a:"), SPAN("a:")}, "", "<a:>"}, /* one within the other; twice */
        {{SPAN("a:b"), SPAN("a:"), SPAN("c")}, "a:b:c", "<a:b:c>"},
        {{SPAN("a:b"), SPAN("a:c"), SPAN("b")}, "a:", "<a:b><a:c>"},
        {{SPAN("a\xc3"), SPAN("a"), SPAN("b")}, "", "<a><b>"}, /* a cut character */
        {{SPAN("a\xc3"), SPAN("ab"), SPAN("b")}, "", "<a><b>"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct scope scope = {.prefixes = CASES[i].prefixes, .count = PREFIXES};
        cr_expect_str_eq(ranges(&scope, CASES[i].plain), CASES[i].want, "case %zu", i);
    }
}

Test(scope, text_ends_before_a_cut_character) {
    cr_assert(span_equal(scope_text(SPAN("a\xc3\xb6")), SPAN("a\xc3\xb6")));
    cr_assert(span_equal(scope_text(SPAN("a\xc3")), SPAN("a")));
    cr_assert_eq(scope_text(SPAN("\xff")).len, 0);
}

Test(scope, cursors_have_few_digits_and_are_behind_what_was_given) {
    cr_assert_eq(scope_cursor(0, 1), 1);
    cr_assert_eq(scope_cursor(0, 7), 4);
    cr_assert_eq(scope_cursor(4, 7), 6);
    cr_assert_eq(scope_cursor(5, 7), 6);
    cr_assert_eq(scope_cursor(6, 7), 7);
    uint64_t before = 0x123456789abcd, last = 0x1234589abcdef;
    cr_assert_eq(scope_cursor(before, last), 0x1234580000000);
}
