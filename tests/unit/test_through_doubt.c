// needs: fakes/store_fake.c fakes/through_rig.c
/* Rule 7, F9 and F15: a write whose outcome is not known. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../fakes/through_rig.h"

Test(through, rule_7_an_unknown_outcome_is_said_so) {
    struct rig *rig = rig_new();
    struct rig_write *set = rig_set(rig, "a", "1"), *del = rig_delete(rig, "b"),
                     *both = rig_mset2(rig, "c", "1", "d", "1");
    for (int i = 0; i < 3; i++)
        store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
    cr_expect_eq(set->status, THROUGH_UNCERTAIN);
    cr_expect_eq(del->status, THROUGH_UNCERTAIN);
    cr_expect_eq(both->status, THROUGH_UNCERTAIN);
    cr_expect_eq(through_counters(rig->through)->writes_uncertain, 3u);
    rig_free(&rig);
}

Test(through, rule_7_the_entry_becomes_suspect) {
    struct rig *rig = rig_new();
    rig_fill(rig, "a", 1, "v");
    rig_fill(rig, "b", 2, "v");
    rig_mset2(rig, "a", "1", "b", "1");
    store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
    cr_expect(rig_misses(rig, "a"));
    cr_expect(rig_misses(rig, "b"));
    rig_free(&rig);
}

/* Suspect, not gone: else a database that hangs takes the old copy away too. */
Test(through, f15_the_suspect_entry_can_still_be_served_stale) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 1, "v");
    rig_set(rig, "k", "new");
    store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
    store_fake_up(rig->store, false, false);
    cr_expect(rig_hits(rig, "k", "v"));
    cr_expect_eq(through_counters(rig->through)->stale_served, 1u);
    rig_free(&rig);
}

Test(through, rule_7_fills_are_marked) {
    struct rig *rig = rig_new();
    struct rig_read *read = rig_get(rig, "k");
    rig_set(rig, "k", "new");
    store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
    store_fake_row(rig->store, 0, 1, "old");
    cr_expect(rig_has(read, "old"));
    cr_expect_not(rig_cached(rig, "k"));
    rig_free(&rig);
}

/* The asker is told; what it reads next must come from the database, not from the copy that the
 * write may have replaced. */
Test(through, rule_7_a_write_that_ran_out_of_time_makes_its_entry_suspect) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 1, "old");
    struct rig_write *write = rig_set(rig, "k", "new");
    store_fake_send(rig->store, 0);
    rig_pass(rig, RIG_WRITE_MS);
    rig_beat(rig);
    cr_assert_eq(write->status, THROUGH_UNCERTAIN);
    struct rig_read *read = rig_get(rig, "k");
    cr_assert_eq(read->status, THROUGH_PENDING, "it got %s", read->value);
    store_fake_row(rig->store, 0, 2, "new");
    cr_expect(rig_has(read, "new"));
    store_fake_commit(rig->store, 0, 2);
    cr_expect(rig_hits(rig, "k", "new"));
    cr_expect_eq(through_counters(rig->through)->writes_uncertain, 1u);
    rig_free(&rig);
}

Test(through, rule_7_a_write_that_ran_out_of_time_marks_the_fills) {
    struct rig *rig = rig_new();
    struct rig_write *write = rig_set(rig, "k", "new");
    store_fake_send(rig->store, 0);
    rig_pass(rig, RIG_WRITE_MS - 1);
    rig_beat(rig);
    rig_get(rig, "k");
    rig_pass(rig, 1);
    cr_assert_eq(write->status, THROUGH_UNCERTAIN);
    rig_get(rig, "k");
    cr_expect_eq(store_fake_gets(rig->store), 2u, "nobody joins the fill of before");
    rig_free(&rig);
}

Test(through, rule_7_it_counts_once_whoever_says_it_first) {
    struct rig *rig = rig_new();
    struct rig_write *write = rig_set(rig, "k", "new");
    store_fake_send(rig->store, 0);
    rig_pass(rig, RIG_WRITE_MS);
    store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
    cr_expect_eq(write->status, THROUGH_UNCERTAIN);
    cr_expect(write->released);
    cr_expect_eq(through_counters(rig->through)->writes_uncertain, 1u);
    rig_free(&rig);
}

Test(through, rule_7_a_late_commit_is_still_an_ack) {
    struct rig *rig = rig_new();
    rig_set(rig, "k", "new");
    store_fake_send(rig->store, 0);
    rig_pass(rig, RIG_WRITE_MS);
    rig_changed(rig, "k", 9); /* somebody else's, later than ours */
    store_fake_commit(rig->store, 0, 8);
    rig_beat(rig);
    cr_expect(rig_misses(rig, "k"), "the record went on");
    rig_free(&rig);
}

/* ---- F9: sent means UNCERTAIN, unsent means a plain error ---- */

Test(through, f9_only_what_was_sent_is_uncertain) {
    struct rig *rig = rig_new();
    struct rig_write *sent = rig_set(rig, "a", "1"), *unsent = rig_set(rig, "b", "1");
    store_fake_send(rig->store, 0);
    rig_pass(rig, RIG_WRITE_MS);
    cr_expect_eq(sent->status, THROUGH_UNCERTAIN);
    cr_expect_eq(unsent->status, THROUGH_TIMEOUT);
    cr_expect_eq(store_fake_writes(rig->store), 1u, "the unsent one was taken back");
    rig_free(&rig);
}

/* A waiter whose budget ends is unlinked; its neighbours are not. */
Test(through, f9_one_waiter_that_runs_out_of_time_does_not_take_others_along) {
    struct rig *rig = rig_new();
    struct rig_write *early = rig_set(rig, "a", "1");
    rig_pass(rig, 1000);
    struct rig_write *late = rig_set(rig, "b", "1");
    store_fake_send(rig->store, 0);
    store_fake_send(rig->store, 1);
    rig_pass(rig, RIG_WRITE_MS - 1000);
    cr_expect_eq(early->status, THROUGH_UNCERTAIN);
    cr_expect_eq(late->status, THROUGH_PENDING);
    store_fake_commit(rig->store, 1, 5);
    cr_expect_eq(late->status, THROUGH_DONE);
    rig_free(&rig);
}

/* A connection that hangs may owe thousands of answers while new writes run out of time: each tick
 * must pass the owed ones only once. */
Test(through, f9_many_writes_that_are_owed_an_answer_do_not_hide_the_others) {
    enum { MANY = 200 };
    struct rig *rig = rig_new();
    struct rig_write *sent[MANY], *unsent[MANY];
    char key[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "sent%d", i);
        sent[i] = rig_set(rig, key, "v");
        store_fake_send(rig->store, (unsigned)i);
    }
    rig_pass(rig, RIG_WRITE_MS);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "unsent%d", i);
        unsent[i] = rig_set(rig, key, "v");
    }
    rig_pass(rig, RIG_WRITE_MS);
    for (int i = 0; i < MANY; i++) {
        cr_expect_eq(sent[i]->status, THROUGH_UNCERTAIN);
        cr_expect_eq(unsent[i]->status, THROUGH_TIMEOUT);
    }
    cr_expect_eq(through_pending(rig->through), (uint32_t)MANY, "what is owed still counts");
    for (int i = 0; i < MANY; i++)
        store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(through_pending(rig->through), 0u);
    rig_free(&rig);
}
