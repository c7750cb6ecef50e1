#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../node/json_check.h"

static bool check(struct span text, char why[200]) {
    char *exact = malloc(text.len != 0 ? text.len : 1); /* no NUL behind it: ASan sees a read */
    memcpy(exact, text.ptr, text.len);
    memset(why, 0, 200);
    bool is_json = json_check(span_of(exact, text.len), why, 200);
    free(exact);
    return is_json;
}

Test(json_check, takes_every_kind_of_value) {
    static const char *const GOOD[] = {"{}",
                                       "[]",
                                       "null",
                                       "true",
                                       "false",
                                       "0",
                                       "-0",
                                       "-1.5e-3",
                                       "1E+2",
                                       "\"\"",
                                       "\"\\u0041\\n\\\"\"",
                                       " {\"a\" : [1, {\"b\": null}] }\n",
                                       "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
                                       "\"\\ud83d\\ude00\"",
                                       "1180591620717411303424",
                                       "{\"a\":1,\"a\":2}",
                                       "\"\\u0000\""};
    char why[200];
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++)
        cr_assert(check(span_str(GOOD[i]), why), "%s: %s", GOOD[i], why);
}

Test(json_check, refuses_what_is_not_json_and_says_where) {
    static const char *const BAD[] = {"",
                                      " ",
                                      "{",
                                      "[1,]",
                                      "{\"a\":}",
                                      "{a:1}",
                                      "'a'",
                                      "01",
                                      "+1",
                                      ".5",
                                      "1.",
                                      "NaN",
                                      "Infinity",
                                      "nul",
                                      "True",
                                      "\"a",
                                      "\"\\x41\"",
                                      "\"\\ud800\"",
                                      "{} {}",
                                      "1 2",
                                      "[1] x",
                                      "\"\t\"",
                                      "\xEF\xBB\xBF{}",
                                      "\"\xFF\"",
                                      "\"\xC0\x80\"",
                                      "\"\xED\xA0\x80\"",
                                      "// c\n1",
                                      "1e400"};
    char why[200];
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        cr_assert_not(check(span_str(BAD[i]), why), "took: %s", BAD[i]);
        cr_assert_not_null(strstr(why, " at byte "), "%s: '%s'", BAD[i], why);
    }
}

Test(json_check, a_nul_ends_nothing) {
    char why[200];
    cr_assert_not(check(span_of("{}\0", 3), why));
    cr_assert_not(check(span_of("1\0 2", 4), why));
    cr_assert_not(check(span_of("\"a\0b\"", 5), why), "raw control characters are not JSON");
}

Test(json_check, nesting_is_bounded_and_does_not_crash) {
    char why[200];
    for (size_t depth = 1; depth <= 200000; depth = depth < 2000 ? depth * 10 : depth * 100) {
        char *text = malloc(2 * depth);
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        cr_assert_eq(check(span_of(text, 2 * depth), why), depth <= 2000, "depth %zu: %s", depth,
                     why);
        free(text);
    }
}

Test(json_check, the_reason_fits_the_room_given) {
    char why[16];
    memset(why, 'x', sizeof(why));
    cr_assert_not(json_check(SPAN("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), why, 8));
    cr_assert_eq(strnlen(why, 8), 7, "cut and ended");
    cr_assert_eq(why[8], 'x', "written behind its end");
}
