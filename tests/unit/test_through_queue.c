// needs: fakes/store_fake.c fakes/through_rig.c
/* The queues of own writes: rule 5 (one of a key in flight until its final outcome), rules 12 and
 * 13, bounds and time-outs. */
#include <criterion/criterion.h>

#include "../fakes/through_rig.h"

/* The value, or key, of the i-th write that the store has. */
static bool store_has(struct rig *rig, unsigned i, const char *key, const char *value) {
    const struct store_write *write = store_fake_write(rig->store, i);
    return span_equal(write->keys[0], span_str(key)) &&
           (value == NULL || span_equal(write->values[0], span_str(value)));
}

Test(through, rule_5_one_own_write_of_a_key_is_in_flight) {
    struct rig *rig = rig_new();
    rig_set(rig, "k", "1");
    struct rig_write *second = rig_delete(rig, "k");
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    cr_expect(store_has(rig, 0, "k", "1"));
    store_fake_commit(rig->store, 0, 5);
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    cr_expect_eq(store_fake_write(rig->store, 0)->op, STORE_DELETE);
    cr_expect_eq(second->status, THROUGH_PENDING);
    rig_free(&rig);
}

Test(through, rule_5_writes_of_different_keys_do_not_wait) {
    struct rig *rig = rig_new();
    rig_set(rig, "a", "1");
    rig_set(rig, "b", "1");
    cr_expect_eq(store_fake_writes(rig->store), 2u);
    rig_free(&rig);
}

Test(through, rule_5_writes_of_a_key_keep_their_order) {
    static const enum store_op OPS[] = {STORE_SET_NX, STORE_DELETE, STORE_SET_XX, STORE_DELETE};
    struct rig *rig = rig_new();
    struct rig_write *writes[4];
    for (int i = 0; i < 4; i++)
        writes[i] = rig_set_if(rig, OPS[i], "k", "v");
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(store_fake_writes(rig->store), 1u);
        cr_expect_eq(store_fake_write(rig->store, 0)->op, OPS[i], "write %d", i);
        store_fake_commit(rig->store, 0, (uint64_t)i + 1);
        cr_expect_eq(writes[i]->version, (uint64_t)i + 1);
    }
    rig_free(&rig);
}

/* The final outcome counts: the store may still be trying (rule 12), or its answer may be owed
 * after the asker was told UNCERTAIN. */
Test(through, rule_5_the_next_write_waits_for_the_final_outcome) {
    struct rig *rig = rig_new();
    struct rig_write *first = rig_delete(rig, "k");
    store_fake_send(rig->store, 0);
    rig_pass(rig, RIG_WRITE_MS);
    cr_assert_eq(first->status, THROUGH_UNCERTAIN);
    cr_expect_not(first->released, "the store still has its arrays");
    struct rig_write *second = rig_set(rig, "k", "2");
    cr_expect_eq(store_fake_writes(rig->store), 1u);
    store_fake_commit(rig->store, 0, 5);
    cr_expect(first->released);
    cr_assert(store_has(rig, 0, "k", "2"));
    store_fake_commit(rig->store, 0, 6);
    cr_expect_eq(second->status, THROUGH_DONE);
    rig_free(&rig);
}

Test(through, rule_12_a_locked_row_is_its_own_writers_error_alone) {
    struct rig *rig = rig_new();
    struct rig_write *locked = rig_set(rig, "a", "1"), *free_one = rig_set(rig, "b", "1");
    struct rig_write *behind = rig_delete(rig, "a");
    store_fake_commit(rig->store, 1, 5);
    cr_expect_eq(free_one->status, THROUGH_DONE);
    cr_expect_eq(behind->status, THROUGH_PENDING, "never ahead of an earlier write of its key");
    store_fake_fail_write(rig->store, 0, STORE_LOCKED, NULL);
    cr_expect_eq(locked->status, THROUGH_LOCKED);
    cr_assert_eq(store_fake_write(rig->store, 0)->op, STORE_DELETE);
    store_fake_commit(rig->store, 0, 6);
    cr_expect_eq(behind->status, THROUGH_DONE);
    rig_free(&rig);
}

/* ---- rule 13: folding ---- */

Test(through, rule_13_of_plain_sets_that_wait_the_last_one_is_sent) {
    struct rig *rig = rig_new();
    struct rig_write *w[4];
    for (int i = 0; i < 4; i++)
        w[i] = rig_set(rig, "k", (const char *[]){"0", "1", "2", "3"}[i]);
    store_fake_commit(rig->store, 0, 5);
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    cr_expect(store_has(rig, 0, "k", "3"));
    cr_expect_eq(w[1]->status, THROUGH_PENDING, "not before the commit that covers it");
    store_fake_commit(rig->store, 0, 6);
    for (int i = 1; i < 4; i++) {
        cr_expect_eq(w[i]->status, THROUGH_DONE, "write %d", i);
        cr_expect_eq(w[i]->version, 6u);
    }
    cr_expect(rig_hits(rig, "k", "3"));
    rig_free(&rig);
}

Test(through, rule_13_any_other_mix_is_one_operation_after_the_other) {
    struct rig *rig = rig_new();
    rig_set(rig, "k", "0");
    rig_set(rig, "k", "1");
    rig_set_if(rig, STORE_SET_NX, "k", "2");
    rig_set(rig, "k", "3");
    rig_get_set(rig, "k", "4");
    rig_set(rig, "k", "5");
    rig_mset2(rig, "k", "6", "other", "7");
    rig_set(rig, "k", "8");
    static const char *const SENT[] = {"0", "1", "2", "3", "4", "5", "6", "8"};
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(store_fake_writes(rig->store), 1u);
        cr_expect(store_has(rig, 0, "k", SENT[i]), "%s", SENT[i]);
        store_fake_commit(rig->store, 0, 10 * (uint64_t)(i + 1));
    }
    rig_free(&rig);
}

Test(through, rule_13_an_uncertain_fold_is_uncertain_for_all) {
    struct rig *rig = rig_new();
    rig_set(rig, "k", "0");
    struct rig_write *older = rig_set(rig, "k", "1"), *newer = rig_set(rig, "k", "2");
    store_fake_commit(rig->store, 0, 5);
    store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
    cr_expect_eq(older->status, THROUGH_UNCERTAIN);
    cr_expect_eq(newer->status, THROUGH_UNCERTAIN);
    rig_free(&rig);
}

Test(through, rule_13_when_the_newest_was_not_written_the_one_before_it_is_sent) {
    struct rig *rig = rig_new();
    rig_set(rig, "k", "0");
    struct rig_write *one = rig_set(rig, "k", "1"), *two = rig_set(rig, "k", "2"),
                     *three = rig_set(rig, "k", "3"), *behind = rig_delete(rig, "k");
    store_fake_commit(rig->store, 0, 5);
    store_fake_fail_write(rig->store, 0, STORE_REFUSED, "no");
    cr_expect_eq(three->status, THROUGH_REFUSED);
    cr_assert(store_has(rig, 0, "k", "2"));
    store_fake_fail_write(rig->store, 0, STORE_LOCKED, NULL);
    cr_expect_eq(two->status, THROUGH_LOCKED);
    cr_assert(store_has(rig, 0, "k", "1"));
    store_fake_commit(rig->store, 0, 6);
    cr_expect_eq(one->status, THROUGH_DONE);
    cr_expect(rig_hits(rig, "k", "1"));
    cr_assert_eq(store_fake_write(rig->store, 0)->op, STORE_DELETE);
    store_fake_commit(rig->store, 0, 7);
    cr_expect_eq(behind->status, THROUGH_DONE);
    rig_free(&rig);
}

Test(through, rule_13_a_fold_that_cannot_be_sent_any_more_says_why) {
    static const struct {
        enum store_status refusal;
        enum through_status answer;
    } CASES[] = {{STORE_DOWN, THROUGH_DBDOWN}, {STORE_BUSY, THROUGH_BUSY}};
    for (int i = 0; i < 2; i++) {
        struct rig *rig = rig_new();
        rig_set(rig, "k", "0");
        struct rig_write *one = rig_set(rig, "k", "1"), *two = rig_set(rig, "k", "2"),
                         *three = rig_set(rig, "k", "3"), *behind = rig_delete(rig, "k");
        store_fake_commit(rig->store, 0, 5);
        store_fake_refuse_next(rig->store, CASES[i].refusal);
        store_fake_fail_write(rig->store, 0, STORE_REFUSED, "no");
        cr_expect_eq(three->status, THROUGH_REFUSED);
        cr_expect_eq(two->status, CASES[i].answer);
        cr_expect_eq(one->status, CASES[i].answer);
        cr_assert_eq(store_fake_writes(rig->store), 1u, "the queue goes on");
        store_fake_commit(rig->store, 0, 6);
        cr_expect_eq(behind->status, THROUGH_DONE);
        rig_free(&rig);
    }
}

/* ---- several keys ---- */

Test(through, rule_11_a_write_of_several_keys_waits_for_each_of_them) {
    struct rig *rig = rig_new();
    rig_set(rig, "a", "1");
    rig_set(rig, "b", "1");
    rig_mset2(rig, "a", "2", "b", "2");
    cr_assert_eq(store_fake_writes(rig->store), 2u);
    store_fake_commit(rig->store, 0, 5);
    cr_assert_eq(store_fake_writes(rig->store), 1u, "b is not free");
    store_fake_commit(rig->store, 0, 6);
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    cr_expect_eq(store_fake_write(rig->store, 0)->count, 2u);
    rig_free(&rig);
}

Test(through, rule_11_writes_that_cross_each_other_do_not_wait_in_a_circle) {
    struct rig *rig = rig_new();
    struct rig_write *w[6] = {
        rig_mset2(rig, "a", "1", "b", "1"), rig_mset2(rig, "b", "2", "a", "2"),
        rig_mset2(rig, "b", "3", "c", "3"), rig_mset2(rig, "c", "4", "a", "4"),
        rig_delete2(rig, "c", "b"),         rig_mset2(rig, "a", "6", "c", "6")};
    for (uint64_t n = 1; store_fake_writes(rig->store) != 0; n++)
        store_fake_commit(rig->store, 0, 10 * n);
    for (int i = 0; i < 6; i++) {
        cr_expect_eq(w[i]->status, THROUGH_DONE, "write %d", i);
        cr_expect(i == 0 || w[i]->order > w[i - 1]->order, "each shares a key with the one before");
    }
    cr_expect_eq(through_pending(rig->through), 0u);
    rig_free(&rig);
}

Test(through, a_delete_may_name_a_key_twice) {
    static const uint64_t VERSIONS[] = {5, 5};
    struct rig *rig = rig_new();
    struct rig_write *write = rig_delete2(rig, "k", "k"), *behind = rig_set(rig, "k", "v");
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    store_fake_commit_each(rig->store, 0, VERSIONS, 1);
    cr_expect_eq(write->changed, 1u);
    store_fake_commit(rig->store, 0, 6);
    cr_expect_eq(behind->status, THROUGH_DONE);
    rig_free(&rig);
}

/* ---- bounds, time-outs, refusals ---- */

Test(through, one_write_more_than_may_wait_is_busy) {
    struct rig *rig = rig_new_small(2);
    rig_set(rig, "k", "1");
    rig_set(rig, "k", "2");
    cr_expect_eq(rig_set(rig, "k", "3")->status, THROUGH_BUSY);
    cr_expect_eq(rig_mset2(rig, "a", "3", "b", "3")->status, THROUGH_BUSY);
    cr_expect_eq(store_fake_writes(rig->store), 1u);
    store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(rig_set(rig, "k", "4")->status, THROUGH_PENDING);
    rig_free(&rig);
}

Test(through, a_write_that_was_not_sent_in_time_is_taken_back) {
    struct rig *rig = rig_new();
    struct rig_write *first = rig_set(rig, "k", "1"), *second = rig_delete(rig, "k");
    store_fake_send(rig->store, 0);
    struct rig_write *other = rig_set(rig, "other", "1");
    rig_pass(rig, RIG_WRITE_MS - 1);
    cr_expect_eq(second->status, THROUGH_PENDING);
    rig_pass(rig, 1);
    cr_expect_eq(first->status, THROUGH_UNCERTAIN, "it was sent");
    cr_expect_eq(second->status, THROUGH_TIMEOUT, "it waited for its turn");
    cr_expect_eq(other->status, THROUGH_TIMEOUT, "it waited in the store");
    cr_expect(second->released && other->released);
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(store_fake_writes(rig->store), 0u, "what timed out is not sent any more");
    rig_free(&rig);
}

Test(through, a_write_taken_back_lets_the_next_one_go) {
    struct rig *rig = rig_new();
    rig_set(rig, "k", "1");
    rig_pass(rig, 100);
    struct rig_write *second = rig_delete(rig, "k");
    rig_pass(rig, RIG_WRITE_MS - 100);
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    cr_expect_eq(store_fake_write(rig->store, 0)->op, STORE_DELETE);
    store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(second->status, THROUGH_DONE);
    rig_free(&rig);
}

Test(through, a_folded_write_times_out_as_not_written) {
    struct rig *rig = rig_new();
    rig_delete(rig, "k");
    struct rig_write *older = rig_set(rig, "k", "1");
    rig_pass(rig, 100);
    struct rig_write *newer = rig_set(rig, "k", "2");
    store_fake_commit(rig->store, 0, 5);
    store_fake_send(rig->store, 0);
    rig_pass(rig, RIG_WRITE_MS - 100);
    cr_expect_eq(older->status, THROUGH_TIMEOUT);
    cr_expect(older->released);
    store_fake_fail_write(rig->store, 0, STORE_REFUSED, "no");
    cr_expect_eq(newer->status, THROUGH_REFUSED);
    cr_expect_eq(store_fake_writes(rig->store), 0u, "the older one is not sent any more");
    rig_free(&rig);
}

Test(through, a_waiting_write_of_several_keys_that_times_out_frees_them_all) {
    struct rig *rig = rig_new();
    rig_set(rig, "a", "1");
    store_fake_send(rig->store, 0);
    struct rig_write *both = rig_mset2(rig, "b", "2", "a", "2");
    rig_pass(rig, 100);
    rig_set(rig, "b", "3");
    cr_assert_eq(store_fake_writes(rig->store), 1u, "b waits behind both");
    rig_pass(rig, RIG_WRITE_MS - 100);
    cr_expect_eq(both->status, THROUGH_TIMEOUT);
    cr_assert_eq(store_fake_writes(rig->store), 2u);
    cr_expect(store_has(rig, 1, "b", "3"));
    rig_free(&rig);
}

Test(through, what_the_store_refuses_is_answered_at_once_and_the_queue_goes_on) {
    struct rig *rig = rig_new();
    rig_delete(rig, "k");
    struct rig_write *refused = rig_delete(rig, "k"), *next = rig_delete(rig, "k");
    store_fake_refuse_next(rig->store, STORE_BUSY);
    store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(refused->status, THROUGH_BUSY);
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    store_fake_commit(rig->store, 0, 6);
    cr_expect_eq(next->status, THROUGH_DONE);
    store_fake_refuse_next(rig->store, STORE_DOWN);
    cr_expect_eq(rig_set(rig, "k", "v")->status, THROUGH_DBDOWN);
    cr_expect_eq(through_pending(rig->through), 0u);
    rig_free(&rig);
}

static void write_again(struct rig_write *write) {
    rig_delete(write->rig, "k");
    rig_mset2(write->rig, "k", "again", "other", "again");
}

Test(through, an_answer_may_write_again) {
    struct rig *rig = rig_new();
    struct rig_write *first = rig_set(rig, "k", "1");
    rig_delete(rig, "k");
    first->then = write_again;
    for (uint64_t n = 1; store_fake_writes(rig->store) != 0; n++)
        store_fake_commit(rig->store, 0, 10 * n);
    cr_expect(rig_hits(rig, "k", "again"));
    cr_expect_eq(through_pending(rig->through), 0u);
    rig_free(&rig);
}
