#include <criterion/criterion.h>

#include "../../common/glob.h"

struct glob_case {
    const char *pattern, *text;
    bool nocase, want;
};

static const struct glob_case CASES[] = {
    {"", "", false, true},
    {"", "a", false, false},
    {"*", "", false, true},
    {"*", "abc", false, true},
    {"**", "abc", false, true},
    {"abc", "abc", false, true},
    {"abc", "abcd", false, false},
    {"abcd", "abc", false, false},
    {"a?c", "abc", false, true},
    {"a?c", "ac", false, false},
    {"a*c", "ac", false, true},
    {"a*c", "abbbc", false, true},
    {"a*c", "abbbd", false, false},
    {"*b*b*", "abcb", false, true},
    {"*b*b*", "abc", false, false},
    {"max*", "maxmemory", false, true},
    {"MAX*", "maxmemory", false, false},
    {"MAX*", "maxmemory", true, true},
    {"max*", "MAXMEMORY", true, true},
    {"[a-c]x", "bx", false, true},
    {"[c-a]x", "bx", false, true},
    {"[a-c]x", "dx", false, false},
    {"[^a-c]x", "dx", false, true},
    {"[^a-c]x", "bx", false, false},
    {"[A-C]x", "bx", true, true},
    {"[abc]", "c", false, true},
    {"[\\]]", "]", false, true},
    {"[a", "a", false, true},
    {"[", "a", false, false},
    {"[]", "a", false, false},
    {"\\*", "*", false, true},
    {"\\*", "a", false, false},
    {"a\\", "a\\", false, true},
    {"[a-]", "b", false, false}, /* a range up to ']', which has no end then */
    {"[Z-]", "\\", false, true},
    {"[Z-]]", "[", false, true},
    {"[\\a-c]", "b", false, false}, /* what was escaped begins no range */
    {"[\\a-c]", "-", false, true},
    {"a*[0-9]", "abc7", false, true},
    {"a*[0-9]", "abc7x", false, false},
};

Test(glob, patterns_match_as_in_redis) {
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct glob_case *c = &CASES[i];
        cr_assert_eq(glob_match(span_str(c->pattern), span_str(c->text), c->nocase), c->want,
                     "'%s' against '%s', nocase %d", c->pattern, c->text, c->nocase);
    }
}

Test(glob, bytes_above_ascii_and_nul_are_bytes) {
    cr_assert(glob_match(SPAN("?\0*"), SPAN("\xff\0x"), false));
    cr_assert_not(glob_match(SPAN("\xc3"), SPAN("\xe3"), true), "only ASCII has case");
}

/* A recursive matcher takes longer than the age of the universe for this. */
Test(glob, many_stars_cost_no_more_than_their_length, .timeout = 10) {
    char pattern[201], text[5001];
    for (size_t i = 0; i < 200; i += 2) {
        pattern[i] = '*';
        pattern[i + 1] = 'a';
    }
    pattern[199] = 'b';
    memset(text, 'a', sizeof(text));
    cr_assert_not(glob_match(span_of(pattern, 200), span_of(text, 5000), false));
}
