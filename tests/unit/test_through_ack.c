// needs: fakes/store_fake.c fakes/through_rig.c
/* Own writes and the cache: rule 1 (database first), rule 2 and F2 (the record), F3, F12, and rule
 * 11's drops. */
#include <criterion/criterion.h>

#include "../fakes/through_rig.h"

Test(through, rule_1_nothing_changes_before_the_commit_is_known) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 1, "old");
    struct rig_write *write = rig_set(rig, "k", "new");
    cr_expect_eq(write->status, THROUGH_PENDING);
    cr_expect(rig_hits(rig, "k", "old"));
    store_fake_commit(rig->store, 0, 2);
    cr_expect_eq(write->status, THROUGH_DONE);
    cr_expect_eq(write->version, 2u);
    cr_expect(rig_hits(rig, "k", "new"));
    rig_free(&rig);
}

Test(through, rule_1_a_definite_error_changes_nothing) {
    static const enum store_status ERRORS[] = {STORE_REFUSED, STORE_LOCKED, STORE_DOWN, STORE_BUSY};
    static const enum through_status ANSWERS[] = {THROUGH_REFUSED, THROUGH_LOCKED, THROUGH_DBDOWN,
                                                  THROUGH_BUSY};
    for (int i = 0; i < 4; i++) {
        struct rig *rig = rig_new();
        rig_fill(rig, "k", 1, "old");
        struct rig_write *write = rig_set(rig, "k", "new");
        store_fake_fail_write(rig->store, 0, ERRORS[i], "why");
        cr_expect_eq(write->status, ANSWERS[i], "error %d", i);
        cr_expect_str_eq(write->detail, "why");
        cr_expect(rig_hits(rig, "k", "old"), "error %d", i);
        rig_free(&rig);
    }
}

Test(through, a_deleted_key_leaves_no_entry) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 1, "old");
    struct rig_write *write = rig_delete(rig, "k");
    store_fake_commit(rig->store, 0, 2);
    cr_expect_eq(write->changed, 1u);
    cr_expect_not(rig_cached(rig, "k"));
    rig_free(&rig);
}

/* ---- the record ---- */

/* Each happens between the sending of an own SET and its ack, version 5. */
static void higher_line(struct rig *rig) {
    rig_changed(rig, "k", 6);
}
static void gone(struct rig *rig) {
    rig_gone(rig, "k");
}
static void everything(struct rig *rig) {
    through_everything(rig->through);
}
static void drop(struct rig *rig) {
    rig_drop(rig, "k");
}
static void higher_row(struct rig *rig) {
    rig_get(rig, "k");
    store_fake_row(rig->store, 0, 6, "newer");
    cache_drop(rig->cache, SPAN("k"), cache_hash(rig->cache, SPAN("k"))); /* an eviction */
}
static void absent_row(struct rig *rig) {
    rig_get(rig, "k");
    store_fake_absent(rig->store, 0);
}
static void new_feed(struct rig *rig) {
    through_feed_lost(rig->through);
    through_feed_up(rig->through);
    rig_beat(rig);
}

/* F2: without the record, an entry that is not there compares with nothing. */
Test(through, f2_an_ack_is_not_cached_after_something_newer_was_met) {
    static const struct {
        const char *name;
        void (*happens)(struct rig *rig);
    } CASES[] = {{"a higher line", higher_line}, {"gone", gone},
                 {"everything", everything},     {"a drop", drop},
                 {"a higher row", higher_row},   {"an absent row", absent_row},
                 {"a new feed", new_feed}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct rig *rig = rig_new();
        struct rig_write *write = rig_set(rig, "k", "own");
        CASES[i].happens(rig);
        store_fake_commit(rig->store, 0, 5);
        cr_expect_eq(write->status, THROUGH_DONE, "%s", CASES[i].name);
        cr_expect_not(rig_hits(rig, "k", "own"), "%s", CASES[i].name);
        rig_free(&rig);
    }
}

Test(through, rule_2_our_own_echo_keeps_the_ack) {
    struct rig *rig = rig_new();
    rig_set(rig, "k", "own");
    rig_changed(rig, "k", 5);
    store_fake_commit(rig->store, 0, 5);
    cr_expect(rig_hits(rig, "k", "own"), "the echo came first");
    rig_changed(rig, "k", 5);
    cr_expect(rig_hits(rig, "k", "own"), "and once more");
    rig_free(&rig);
}

Test(through, rule_2_the_record_begins_when_the_write_is_sent) {
    struct rig *rig = rig_new();
    rig_changed(rig, "k", 100);
    rig_set(rig, "k", "own");
    store_fake_commit(rig->store, 0, 5);
    cr_expect(rig_hits(rig, "k", "own"));
    rig_free(&rig);
}

Test(through, rule_2_each_write_has_a_record_of_its_own) {
    struct rig *rig = rig_new();
    rig_set(rig, "k", "one");
    rig_delete(rig, "k");
    rig_set(rig, "k", "three");
    rig_changed(rig, "k", 50);
    store_fake_commit(rig->store, 0, 5); /* the first */
    cr_expect(rig_misses(rig, "k"));
    store_fake_commit(rig->store, 0, 51);
    store_fake_commit(rig->store, 0, 52);
    cr_expect(rig_hits(rig, "k", "three"));
    rig_free(&rig);
}

/* Keeping the higher entry would break read-your-write after a re-insert, whose version is low. */
Test(through, f2_a_higher_entry_is_dropped_not_kept) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 9, "before the re-insert");
    rig_set(rig, "k", "own");
    store_fake_commit(rig->store, 0, 5);
    cr_expect_not(rig_cached(rig, "k"));
    rig_free(&rig);
}

Test(through, f3_a_clean_fill_is_adopted_whatever_its_version) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 90, "on the old server");
    through_everything(rig->through);
    rig_fill(rig, "k", 5, "on the new one");
    cr_expect(rig_hits(rig, "k", "on the new one"));
    rig_free(&rig);
}

Test(through, f6_what_another_server_says_is_given_but_not_kept) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 1, "v");
    through_everything(rig->through);
    struct rig_read *read = rig_get(rig, "k");
    store_fake_foreign_row(rig->store, 0, 2, "theirs");
    cr_expect(rig_has(read, "theirs"));
    cr_expect_not(rig_cached(rig, "k"));
    struct rig_write *write = rig_set(rig, "k", "own");
    store_fake_foreign_commit(rig->store, 0, 3);
    cr_expect_eq(write->status, THROUGH_DONE);
    cr_expect_not(rig_cached(rig, "k"));
    rig_free(&rig);
}

/* ---- statements that did nothing ---- */

Test(through, f12_a_no_op_drops_the_entry) {
    static const enum store_op OPS[] = {STORE_DELETE, STORE_SET_NX, STORE_SET_XX};
    for (int i = 0; i < 3; i++) {
        struct rig *rig = rig_new();
        rig_fill(rig, "k", 7, "v");
        struct rig_write *write = rig_set_if(rig, OPS[i], "k", "own");
        store_fake_commit(rig->store, 0, 0);
        cr_expect_eq(write->status, THROUGH_DONE);
        cr_expect_eq(write->changed, 0u);
        cr_expect_not(rig_cached(rig, "k"), "op %d", i);
        rig_free(&rig);
    }
}

Test(through, f12_a_no_op_on_one_of_several_keys_drops_that_one) {
    static const uint64_t VERSIONS[] = {8, 0};
    struct rig *rig = rig_new();
    rig_fill(rig, "a", 1, "v");
    rig_fill(rig, "b", 2, "v");
    struct rig_write *write = rig_delete2(rig, "a", "b");
    store_fake_commit_each(rig->store, 0, VERSIONS, 1);
    cr_expect_eq(write->changed, 1u);
    cr_expect_not(rig_cached(rig, "a"));
    cr_expect_not(rig_cached(rig, "b"));
    rig_free(&rig);
}

Test(through, f12_a_coordinators_drop_is_a_full_invalidation) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    rig_drop(rig, "k");
    cr_expect_not(rig_cached(rig, "k"), "entry");
    struct rig_read *read = rig_get(rig, "k");
    rig_drop(rig, "k");
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_has(read, "v"));
    cr_expect_not(rig_cached(rig, "k"), "fill");
    rig_set(rig, "k", "own");
    rig_drop(rig, "k");
    store_fake_commit(rig->store, 0, 8);
    cr_expect_not(rig_cached(rig, "k"), "record");
    rig_free(&rig);
}

Test(through, rule_11_the_coordinator_caches_every_key_it_wrote) {
    struct rig *rig = rig_new();
    struct rig_write *write = rig_mset2(rig, "a", "1", "b", "2");
    cr_assert_eq(store_fake_writes(rig->store), 1u, "one transaction");
    store_fake_commit(rig->store, 0, 10);
    cr_expect_eq(write->changed, 2u);
    cr_expect(rig_hits(rig, "a", "1"));
    cr_expect(rig_hits(rig, "b", "2"));
    rig_changed(rig, "b", 11);
    cr_expect(rig_hits(rig, "b", "2"), "b was version 11: its echo");
    rig_changed(rig, "b", 12);
    cr_expect(rig_misses(rig, "b"));
    rig_free(&rig);
}
