/* When watchers are told that anything may have changed. */
#include <criterion/criterion.h>

#include "../../node/distrust.h"

enum { EVERY = 500 };

static struct distrust d;

static void begin(void) {
    d = (struct distrust){0};
}

TestSuite(distrust, .init = begin);

static bool due(int64_t now_mono_ms, bool trusts, uint64_t stale_served) {
    return distrust_is_due(&d, now_mono_ms, EVERY, trusts, stale_served);
}

Test(distrust, while_all_is_well_there_is_nothing_to_tell) {
    cr_expect(!due(1000, true, 0));
    cr_expect(!due(9000, true, 0));
}

Test(distrust, it_is_told_at_once_and_again_and_again) {
    cr_expect(due(1000, false, 0));
    cr_expect(!due(1499, false, 0));
    cr_expect(due(1500, false, 0));
    cr_expect(!due(1501, true, 0));
}

Test(distrust, old_copies_that_were_served_while_the_feed_is_well_are_told_once) {
    cr_expect(due(1000, true, 3));
    cr_expect(!due(1010, true, 3));
    cr_expect(due(1020, true, 4));
}

/* The next one tells it. */
Test(distrust, old_copies_while_nothing_is_trusted_are_no_cause_of_their_own) {
    cr_expect(due(1000, false, 1));
    cr_expect(!due(1010, false, 2));
    cr_expect(due(1500, false, 3));
}

/* Served between two times, just before trust came back. */
Test(distrust, old_copies_that_nobody_was_told_of_are_told_when_trust_is_back) {
    cr_expect(due(1000, false, 1));
    cr_expect(!due(1010, false, 2));
    cr_expect(due(1020, true, 2));
}
