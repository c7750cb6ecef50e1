#include <criterion/criterion.h>

#include "../../node/warmup.h"

enum { BEGUN = 1000000, FENCE = 2000 };

static struct warmup w;

static void begin(void) {
    warmup_begin(&w, BEGUN);
}

TestSuite(warmup, .init = begin);

static bool lasts(int64_t after_ms, bool connected, bool trusts) {
    return warmup_lasts(&w, BEGUN + after_ms, connected, trusts, FENCE);
}

Test(warmup, ends_with_the_first_heartbeat_when_all_is_connected) {
    cr_assert(lasts(0, false, false));
    cr_assert(lasts(20, false, true), "a connection is missing");
    cr_assert(lasts(30, true, false), "nothing was heard");
    cr_assert_not(lasts(40, true, true));
}

/* It was in a hurry to be of use, and is: what is lost later is told otherwise. */
Test(warmup, does_not_begin_again_by_itself) {
    cr_assert_not(lasts(10, true, true));
    cr_assert_not(lasts(20, false, false));
    cr_assert_not(lasts(5000, true, false));
}

Test(warmup, ends_without_a_heartbeat_when_the_feed_is_silent) {
    cr_assert(lasts(100, true, false));
    cr_assert(lasts(100 + FENCE - 1, true, false));
    cr_assert_not(lasts(100 + FENCE, true, false));
}

/* The feed was up for a moment, then not: what is silent is the one that is up. */
Test(warmup, counts_the_silence_of_an_unbroken_feed) {
    cr_assert(lasts(0, true, false));
    cr_assert(lasts(900, false, false));
    cr_assert(lasts(950, true, false));
    cr_assert(lasts(FENCE + 10, true, false));
    cr_assert_not(lasts(950 + FENCE, true, false));
}

Test(warmup, ends_without_a_database) {
    cr_assert(lasts(WARMUP_MS - 1, false, false));
    cr_assert_not(lasts(WARMUP_MS, false, false));
}

/* However long the fence is. */
Test(warmup, ends_in_any_case) {
    cr_assert(warmup_lasts(&w, BEGUN + 10, true, false, 60000));
    cr_assert(warmup_lasts(&w, BEGUN + WARMUP_MS - 1, true, false, 60000));
    cr_assert_not(warmup_lasts(&w, BEGUN + WARMUP_MS, true, false, 60000));
}

Test(warmup, may_be_begun_anew) {
    cr_assert_not(lasts(10, true, true));
    warmup_begin(&w, BEGUN + 60000);
    cr_assert(lasts(60000, true, false));
    cr_assert(lasts(60010, false, false));
    cr_assert_not(lasts(60020, true, true));
}
