// needs: fakes/store_fake.c fakes/through_rig.c
/* Own writes whose result the database tells: it is what is cached, with its end (rules 2, 5, 13,
 * 15, F12). */
#include <criterion/criterion.h>

#include "../fakes/through_rig.h"

static struct store_result live(const char *payload, int64_t ttl_ms) {
    return (struct store_result){.live = true, .payload = span_str(payload), .ttl_ms = ttl_ms};
}

Test(through_edit, the_result_is_what_is_cached) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 1, "41");
    const struct store_result result = live("42", -1);
    struct rig_write *write = rig_set_if(rig, STORE_ADD, "k", "");
    cr_expect(rig_hits(rig, "k", "41"));
    store_fake_commit_result(rig->store, 0, 2, &result);
    cr_expect_eq(write->status, THROUGH_DONE);
    cr_expect(rig_hits(rig, "k", "42"));
    rig_free(&rig);
}

Test(through_edit, the_result_of_a_set_is_what_was_stored_not_what_was_asked) {
    struct rig *rig = rig_new();
    const struct store_result result = live("stored", -1);
    rig_set_if(rig, STORE_SET_IFEQ, "k", "asked");
    store_fake_commit_result(rig->store, 0, 2, &result);
    cr_expect(rig_hits(rig, "k", "stored"));
    rig_free(&rig);
}

Test(through_edit, something_newer_that_was_met_wins) {
    struct rig *rig = rig_new();
    const struct store_result result = live("42", -1);
    rig_set_if(rig, STORE_ADD, "k", "");
    rig_changed(rig, "k", 3);
    store_fake_commit_result(rig->store, 0, 2, &result);
    cr_expect_not(rig_cached(rig, "k"));
    rig_free(&rig);
}

/* F12: it was looked at, and may have been another's work that we have not heard of yet. */
Test(through_edit, one_that_did_nothing_drops_what_is_cached) {
    struct rig *rig = rig_new();
    const struct store_result result = live("v", -1);
    rig_fill(rig, "k", 1, "v");
    rig_set_if(rig, STORE_SET_IFEQ, "k", "w");
    store_fake_commit_result(rig->store, 0, 0, &result);
    cr_expect_not(rig_cached(rig, "k"));
    rig_free(&rig);
}

Test(through_edit, a_row_that_is_gone_after_it_is_not_cached) {
    struct rig *rig = rig_new();
    const struct store_result gone = {.live = false};
    rig_fill(rig, "k", 1, "v");
    rig_set_if(rig, STORE_EXPIRE, "k", "");
    store_fake_commit_result(rig->store, 0, 2, &gone);
    cr_expect_not(rig_cached(rig, "k"));
    rig_free(&rig);
}

Test(through_edit, rule_15_its_end_counts_from_the_sending) {
    struct rig *rig = rig_new();
    const struct store_result result = live("v", 500);
    rig_pass(rig, 1); /* so that through knows the time */
    rig_set_if(rig, STORE_SET_NX, "k", "v");
    rig_pass(rig, 100);
    store_fake_commit_result(rig->store, 0, 2, &result);
    rig_pass(rig, 399);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_pass(rig, 1);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

/* It waited for its turn: the database counted from when it was sent. */
Test(through_edit, rule_15_a_write_that_waited_is_sent_later) {
    struct rig *rig = rig_new();
    const struct store_result result = live("v", 500);
    rig_set(rig, "k", "first");
    rig_set_if(rig, STORE_SET_NX, "k", "v");
    rig_pass(rig, 300);
    store_fake_commit(rig->store, 0, 2);
    store_fake_commit_result(rig->store, 0, 3, &result);
    rig_pass(rig, 499);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_pass(rig, 1);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through_edit, a_row_without_an_end_has_none) {
    struct rig *rig = rig_new();
    const struct store_result ends = live("v", 100), stays = live("v", -1);
    rig_set_if(rig, STORE_SET_NX, "k", "v");
    store_fake_commit_result(rig->store, 0, 2, &ends);
    rig_set_if(rig, STORE_PERSIST, "k", "");
    store_fake_commit_result(rig->store, 0, 3, &stays);
    rig_pass(rig, 1000);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_free(&rig);
}

/* Rule 13: only plain SETs share a statement's last word. */
Test(through_edit, rule_13_a_set_with_an_expiry_is_not_folded) {
    static const struct store_more EXPIRES = {.expiry = STORE_EXPIRY_IN, .expiry_ms = 100};
    struct rig *rig = rig_new();
    rig_set(rig, "k", "first");
    rig_set(rig, "k", "second");
    struct rig_write *third = rig_set_more(rig, "k", "third", &EXPIRES);
    rig_set(rig, "k", "fourth");
    store_fake_commit(rig->store, 0, 2);
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    cr_expect_null(store_fake_write(rig->store, 0)->more);
    store_fake_commit(rig->store, 0, 3);
    cr_assert_eq(store_fake_writes(rig->store), 1u);
    cr_expect_eq(store_fake_write(rig->store, 0)->more, &EXPIRES);
    const struct store_result result = live("third", 100);
    store_fake_commit_result(rig->store, 0, 4, &result);
    cr_expect_eq(third->status, THROUGH_DONE);
    store_fake_commit(rig->store, 0, 5);
    cr_expect(rig_hits(rig, "k", "fourth"));
    rig_free(&rig);
}

Test(through_edit, tells_a_reader_when_the_value_ends) {
    struct rig *rig = rig_new();
    struct rig_read *read = rig_get(rig, "k");
    store_fake_row_ttl(rig->store, 0, 7, "v", 500);
    int64_t ends = rig->now_mono_ms + 500;
    cr_expect_eq(read->read.expires_mono_ms, ends, "asked");
    rig_pass(rig, 100);
    cr_expect_eq(rig_get(rig, "k")->read.expires_mono_ms, ends, "cached");
    rig_fill(rig, "for ever", 8, "v");
    cr_expect_eq(rig_get(rig, "for ever")->read.expires_mono_ms, 0);
    rig_free(&rig);
}
