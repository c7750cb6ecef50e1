// needs: fakes/store_fake.c fakes/through_rig.c
/* Reads: hits, single flight, absence, bounds, time-outs, and what is served while PostgreSQL is
 * away. */
#include <criterion/criterion.h>

#include "../fakes/through_rig.h"

Test(through, a_row_that_was_read_is_a_hit_from_then_on) {
    struct rig *rig = rig_new();
    struct rig_read *read = rig_get(rig, "k");
    cr_assert_eq(read->status, THROUGH_PENDING);
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_has(read, "v"));
    cr_expect(rig_hits(rig, "k", "v"));
    cr_expect_eq(store_fake_asked(rig->store), 1u);
    cr_expect_eq(through_counters(rig->through)->hits, 1u);
    rig_free(&rig);
}

Test(through, rule_3_reads_of_one_key_share_one_fill) {
    struct rig *rig = rig_new();
    struct rig_read *reads[5];
    for (int i = 0; i < 5; i++)
        reads[i] = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 1u);
    store_fake_row(rig->store, 0, 7, "v");
    for (int i = 0; i < 5; i++)
        cr_expect(rig_has(reads[i], "v"), "read %d", i);
    cr_expect_eq(through_counters(rig->through)->coalesced, 4u);
    rig_free(&rig);
}

Test(through, rule_3_different_keys_do_not_share_a_fill) {
    struct rig *rig = rig_new();
    rig_get(rig, "a");
    rig_get(rig, "b");
    cr_expect_eq(store_fake_gets(rig->store), 2u);
    rig_free(&rig);
}

Test(through, rule_6_absence_is_cached) {
    struct rig *rig = rig_new();
    struct rig_read *read = rig_get(rig, "k");
    store_fake_absent(rig->store, 0);
    cr_expect(rig_has(read, NULL));
    cr_expect(rig_hits(rig, "k", NULL));
    cr_expect_eq(through_counters(rig->through)->negative_hits, 1u);
    rig_free(&rig);
}

Test(through, rule_6_any_line_about_an_absent_key_drops_it) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    store_fake_absent(rig->store, 0);
    rig_changed(rig, "k", 1);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through, rule_6_an_own_set_replaces_absence_before_its_answer) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    store_fake_absent(rig->store, 0);
    struct rig_write *write = rig_set(rig, "k", "v");
    cr_expect(rig_hits(rig, "k", NULL), "not before its commit");
    store_fake_commit(rig->store, 0, 3);
    cr_expect_eq(write->status, THROUGH_DONE);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_free(&rig);
}

/* ---- bounds and time ---- */

Test(through, one_read_more_than_may_wait_is_busy) {
    struct rig *rig = rig_new_small(3);
    rig_get(rig, "a");
    rig_get(rig, "a");
    rig_get(rig, "b");
    cr_expect_eq(rig_get(rig, "c")->status, THROUGH_BUSY);
    cr_expect_eq(rig_get(rig, "a")->status, THROUGH_BUSY, "also one that would share a fill");
    cr_expect_eq(store_fake_gets(rig->store), 2u);
    store_fake_row(rig->store, 0, 1, "v");
    cr_expect_eq(rig_get(rig, "c")->status, THROUGH_PENDING, "there is room again");
    rig_free(&rig);
}

Test(through, a_hit_needs_no_room) {
    struct rig *rig = rig_new_small(1);
    rig_fill(rig, "k", 1, "v");
    rig_get(rig, "other");
    cr_expect(rig_hits(rig, "k", "v"));
    rig_free(&rig);
}

Test(through, reads_keep_no_write_out_and_writes_no_read) {
    struct rig *rig = rig_new_small(2);
    rig_get(rig, "a");
    rig_get(rig, "b");
    cr_expect_eq(rig_get(rig, "c")->status, THROUGH_BUSY);
    cr_expect_eq(rig_set(rig, "c", "1")->status, THROUGH_PENDING);
    cr_expect_eq(rig_set(rig, "d", "1")->status, THROUGH_PENDING);
    cr_expect_eq(rig_set(rig, "e", "1")->status, THROUGH_BUSY);
    cr_expect_eq(through_pending(rig->through), 4u);
    store_fake_row(rig->store, 0, 1, "v");
    cr_expect_eq(rig_set(rig, "e", "1")->status, THROUGH_BUSY);
    cr_expect_eq(rig_get(rig, "c")->status, THROUGH_PENDING);
    cr_expect_eq(through_counters(rig->through)->refused_busy, 3u);
    rig_free(&rig);
}

Test(through, bytes_that_wait_are_bounded_as_requests_are) {
    struct rig *rig = rig_new_narrow(20);
    struct rig_write *first = rig_set(rig, "k1", "0123456789");
    cr_expect_eq(first->status, THROUGH_PENDING);
    cr_expect_eq(rig_set(rig, "k2", "0123456")->status, THROUGH_BUSY, "21 bytes");
    cr_expect_eq(rig_set(rig, "k2", "012345")->status, THROUGH_PENDING, "20 bytes");
    cr_expect_eq(rig_set(rig, "k", "")->status, THROUGH_BUSY);
    cr_expect_eq(rig_get(rig, "0123456789")->status, THROUGH_PENDING, "room of their own");
    cr_expect_eq(rig_get(rig, "0123456789")->status, THROUGH_PENDING);
    cr_expect_eq(rig_get(rig, "k")->status, THROUGH_BUSY);
    store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(first->status, THROUGH_DONE);
    cr_expect_eq(rig_set(rig, "k3", "0123456789")->status, THROUGH_PENDING);
    rig_free(&rig);
}

Test(through, bytes_of_all_that_a_transaction_writes_are_counted) {
    const struct span keys[] = {SPAN("k"), SPAN("k")}, values[] = {SPAN("012345"), SPAN("012345")};
    const struct store_more more = {.compare = SPAN("01234")};
    const struct store_write edits[] = {
        {.op = STORE_SET_NX, .count = 2, .keys = keys, .values = values},
        {.op = STORE_SET_IFEQ, .count = 1, .keys = keys, .values = values, .more = &more},
        {.op = STORE_DELETE, .count = 1, .keys = keys, .values = values}}; /* it has no value */
    const bool holds[] = {false};
    const struct store_exec first = {.edits = edits, .edits_count = 1, .holds = holds},
                            all = {.edits = edits, .edits_count = 3, .holds = holds};
    struct rig *rig = rig_new_narrow(24);
    rig_set(rig, "a", "");
    cr_expect_eq(rig_exec(rig, &all, "k")->status, THROUGH_BUSY, "25 bytes");
    cr_expect_eq(rig_exec(rig, &first, "k")->status, THROUGH_PENDING, "14 bytes");
    cr_expect_eq(rig_exec(rig, &first, "k")->status, THROUGH_BUSY, "27 bytes");
    rig_free(&rig);
    rig = rig_new_narrow(25);
    rig_set(rig, "a", "");
    cr_expect_eq(rig_exec(rig, &all, "k")->status, THROUGH_PENDING, "25 bytes");
    rig_free(&rig);
}

Test(through, one_that_is_larger_than_all_the_room_may_wait_alone) {
    struct rig *rig = rig_new_narrow(4);
    struct rig_write *large = rig_set(rig, "k", "0123456789");
    cr_expect_eq(large->status, THROUGH_PENDING);
    cr_expect_eq(rig_set(rig, "a", "")->status, THROUGH_BUSY);
    store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(rig_set(rig, "a", "")->status, THROUGH_PENDING);
    rig_free(&rig);
}

/* ... and neither is our own queue, while the heartbeat is in time. */
Test(through, a_read_that_postgresql_was_not_asked_for_in_time_gets_no_old_copy) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 1, "old");
    through_everything(rig->through); /* what is cached is suspect */
    store_fake_hold(rig->store, true);
    struct rig_read *read = rig_get(rig, "k");
    rig_pass(rig, RIG_READ_MS);
    cr_expect_eq(read->status, THROUGH_TIMEOUT);
    store_fake_hold(rig->store, false);
    read = rig_get(rig, "k");
    rig_pass(rig, RIG_READ_MS);
    cr_expect(rig_has(read, "old"), "it was asked, and did not answer");
    store_fake_hold(rig->store, true);
    rig->now_mono_ms += RIG_FENCE_MS;
    read = rig_get(rig, "other");
    rig_pass(rig, RIG_READ_MS);
    cr_expect_eq(read->status, THROUGH_TIMEOUT, "never nil");
    rig_free(&rig);
}

/* ---- fills that nobody waits for ---- */

Test(through, a_fill_that_was_not_sent_is_given_up_with_its_last_waiter) {
    struct rig *rig = rig_new();
    store_fake_hold(rig->store, true);
    rig_get(rig, "k");
    rig_pass(rig, RIG_READ_MS / 2);
    struct rig_read *second = rig_get(rig, "k");
    rig_pass(rig, RIG_READ_MS / 2);
    cr_expect_eq(store_fake_gets(rig->store), 1u, "one still waits");
    rig_pass(rig, RIG_READ_MS / 2);
    cr_expect_eq(second->status, THROUGH_TIMEOUT);
    cr_expect_eq(store_fake_gets(rig->store), 0u);
    cr_expect_eq(through_counters(rig->through)->fills_unwanted, 1u);
    struct rig_read *again = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 1u, "a new one");
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_has(again, "v"));
    rig_free(&rig);
}

Test(through, a_fill_is_given_up_when_its_askers_leave_and_a_write_of_the_key_goes_on) {
    struct rig *rig = rig_new();
    store_fake_hold(rig->store, true);
    struct rig_write *write = rig_set(rig, "k", "new");
    struct rig_read *read = rig_get(rig, "k");
    through_get_cancel(rig->through, &read->read);
    cr_expect_eq(store_fake_gets(rig->store), 0u);
    store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(write->status, THROUGH_DONE);
    cr_expect(rig_hits(rig, "k", "new"));
    rig_free(&rig);
}

Test(through, a_read_waits_for_its_time_and_no_longer) {
    struct rig *rig = rig_new();
    struct rig_read *read = rig_get(rig, "k");
    rig_pass(rig, RIG_READ_MS - 1);
    cr_expect_eq(read->status, THROUGH_PENDING);
    rig_pass(rig, 1);
    cr_expect_eq(read->status, THROUGH_TIMEOUT);
    rig_free(&rig);
}

Test(through, the_row_of_a_read_that_timed_out_is_still_cached) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    rig_pass(rig, RIG_READ_MS);
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_hits(rig, "k", "v"));
    rig_free(&rig);
}

Test(through, each_read_has_its_own_time) {
    struct rig *rig = rig_new();
    struct rig_read *first = rig_get(rig, "k");
    rig_pass(rig, 100);
    struct rig_read *second = rig_get(rig, "k");
    rig_pass(rig, 50);
    cr_expect_eq(first->status, THROUGH_TIMEOUT);
    cr_expect_eq(second->status, THROUGH_PENDING);
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_has(second, "v"));
    rig_free(&rig);
}

Test(through, a_cancelled_read_is_not_answered) {
    struct rig *rig = rig_new();
    struct rig_read *gone = rig_get(rig, "k"), *stays = rig_get(rig, "k");
    through_get_cancel(rig->through, &gone->read);
    cr_expect_eq(through_pending(rig->through), 1u);
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect_not(gone->answered);
    cr_expect(rig_has(stays, "v"));
    rig_free(&rig);
}

static struct rig_read *to_cancel;

static void cancel_another(struct rig_read *read) {
    through_get_cancel(read->rig->through, &to_cancel->read);
}

Test(through, a_read_may_be_cancelled_by_the_answer_of_another) {
    struct rig *rig = rig_new();
    struct rig_read *first = rig_get(rig, "k");
    to_cancel = rig_get(rig, "k");
    struct rig_read *third = rig_get(rig, "k");
    first->then = cancel_another;
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect_not(to_cancel->answered);
    cr_expect(rig_has(third, "v"));
    rig_free(&rig);
}

static struct rig_read *asked_again;

static void ask_again(struct rig_read *read) {
    asked_again = rig_get(read->rig, "k");
}

Test(through, an_answer_may_ask_again) {
    struct rig *rig = rig_new();
    struct rig_read *first = rig_get(rig, "k"), *second = rig_get(rig, "k");
    first->then = ask_again;
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_has(asked_again, "v"), "a hit: the row is cached before the first answer");
    cr_expect(rig_has(second, "v"));
    rig_free(&rig);
}

/* ---- PostgreSQL is away ---- */

static bool refused(const struct rig_read *read) {
    return read->status == THROUGH_DBDOWN || read->status == THROUGH_TIMEOUT ||
           read->status == THROUGH_BUSY;
}

Test(through, a_failure_is_never_nil) {
    struct rig *rig = rig_new();
    struct rig_read *lost = rig_get(rig, "a");
    store_fake_fail_get(rig->store, 0, STORE_FAILED);
    struct rig_read *down = rig_get(rig, "b");
    store_fake_fail_get(rig->store, 0, STORE_DOWN);
    struct rig_read *late = rig_get(rig, "c");
    rig_pass(rig, RIG_READ_MS);
    store_fake_up(rig->store, false, true);
    struct rig_read *unsent = rig_get(rig, "d");
    store_fake_up(rig->store, true, true);
    store_fake_refuse_next(rig->store, STORE_DOWN);
    struct rig_read *just_lost = rig_get(rig, "e");
    cr_expect(refused(lost) && refused(down) && refused(late) && refused(unsent) &&
              refused(just_lost));
    rig_free(&rig);
}

Test(through, without_a_database_the_error_says_so) {
    struct rig *rig = rig_new();
    store_fake_up(rig->store, false, false);
    cr_expect_eq(rig_get(rig, "k")->status, THROUGH_DBDOWN);
    cr_expect_eq(rig_set(rig, "k", "v")->status, THROUGH_DBDOWN);
    cr_expect_eq(store_fake_asked(rig->store), 0u);
    rig_free(&rig);
}

Test(through, rule_9_a_suspect_copy_is_served_while_the_database_is_away) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    through_feed_lost(rig->through);
    store_fake_up(rig->store, false, false);
    cr_expect(rig_hits(rig, "k", "v"));
    cr_expect_eq(through_counters(rig->through)->stale_served, 1u, "and it is counted");
    cr_expect_eq(rig_get(rig, "other")->status, THROUGH_DBDOWN);
    rig_free(&rig);
}

Test(through, rule_9_a_suspect_copy_is_served_no_longer_than_stale_max_ms) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    through_feed_lost(rig->through);
    store_fake_up(rig->store, false, false);
    rig_pass(rig, RIG_STALE_MS);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_pass(rig, 1);
    cr_expect_eq(rig_get(rig, "k")->status, THROUGH_DBDOWN);
    rig_free(&rig);
}

Test(through, rule_9_who_waited_in_vain_gets_the_suspect_copy) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    through_feed_lost(rig->through);
    struct rig_read *failed = rig_get(rig, "k"), *late;
    store_fake_fail_get(rig->store, 0, STORE_FAILED);
    cr_expect(rig_has(failed, "v"));
    late = rig_get(rig, "k");
    rig_pass(rig, RIG_READ_MS);
    cr_expect(rig_has(late, "v"));
    cr_expect_eq(through_counters(rig->through)->stale_served, 2u);
    rig_free(&rig);
}

/* A full queue is no outage: promise 4 bounds staleness while PostgreSQL answers. */
Test(through, rule_9_a_full_queue_is_no_reason_to_serve_a_suspect_copy) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    through_feed_lost(rig->through);
    store_fake_refuse_next(rig->store, STORE_BUSY);
    cr_expect_eq(rig_get(rig, "k")->status, THROUGH_BUSY);
    rig_free(&rig);
}

Test(through, rule_9_nothing_is_served_stale_by_a_node_that_never_heard_the_feed) {
    struct rig *rig = rig_new_cold();
    rig_fill(rig, "k", 7, "v");
    store_fake_up(rig->store, false, false);
    cr_expect_eq(rig_get(rig, "k")->status, THROUGH_DBDOWN);
    rig_free(&rig);
}
