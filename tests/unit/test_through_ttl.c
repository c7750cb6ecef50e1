// needs: fakes/store_fake.c fakes/through_rig.c
/* Rule 15: a row that expires is never served after that, and reads as absent. */
#include <criterion/criterion.h>

#include "../fakes/through_rig.h"

Test(through, rule_15_a_row_is_served_until_it_expires_and_no_longer) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    store_fake_row_ttl(rig->store, 0, 7, "v", 500);
    rig_pass(rig, 499);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_pass(rig, 1);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

/* The rest of its life was measured some time between the sending and the answer. */
Test(through, rule_15_the_deadline_counts_from_the_fills_sending) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    rig_pass(rig, 100);
    store_fake_row_ttl(rig->store, 0, 7, "v", 500);
    rig_pass(rig, 399);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_pass(rig, 1);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

/* What a read waits for may have ended before it asked. */
Test(through, rule_15_a_read_that_joins_after_the_rows_end_is_fetched_again) {
    struct rig *rig = rig_new();
    struct rig_read *early = rig_get(rig, "k");
    rig_pass(rig, 49);
    struct rig_read *in_time = rig_get(rig, "k");
    rig_pass(rig, 1);
    struct rig_read *late = rig_get(rig, "k");
    store_fake_row_ttl(rig->store, 0, 7, "v", 50);
    cr_expect(rig_has(early, "v"));
    cr_expect(rig_has(in_time, "v"));
    cr_expect_not(late->answered);
    store_fake_absent(rig->store, 0);
    cr_expect(rig_has(late, NULL));
    rig_free(&rig);
}

Test(through, rule_15_after_that_the_database_is_asked_and_says_absent) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    store_fake_row_ttl(rig->store, 0, 7, "v", 500);
    rig_pass(rig, 500);
    struct rig_read *read = rig_get(rig, "k");
    store_fake_absent(rig->store, 0);
    cr_expect(rig_has(read, NULL));
    cr_expect(rig_hits(rig, "k", NULL));
    rig_free(&rig);
}

Test(through, rule_15_a_row_without_an_end_has_none) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    for (int i = 0; i < 100; i++) {
        rig_pass(rig, 1000);
        rig_beat(rig);
    }
    cr_expect(rig_hits(rig, "k", "v"));
    rig_free(&rig);
}

Test(through, rule_15_an_expired_row_is_not_served_stale_either) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    store_fake_row_ttl(rig->store, 0, 7, "v", 500);
    through_feed_lost(rig->through);
    store_fake_up(rig->store, false, false);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_pass(rig, 500);
    cr_expect_eq(rig_get(rig, "k")->status, THROUGH_DBDOWN, "and it is not nil either");
    rig_free(&rig);
}

Test(through, rule_15_an_own_set_ends_the_expiry) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    store_fake_row_ttl(rig->store, 0, 7, "v", 500);
    rig_set(rig, "k", "for ever");
    store_fake_commit(rig->store, 0, 8);
    rig_pass(rig, 1000);
    cr_expect(rig_hits(rig, "k", "for ever"));
    rig_free(&rig);
}

Test(through, rule_15_a_row_about_to_expire_is_given_and_not_kept) {
    struct rig *rig = rig_new();
    struct rig_read *read = rig_get(rig, "k");
    store_fake_row_ttl(rig->store, 0, 7, "v", 0);
    cr_expect(rig_has(read, "v"));
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}
