// needs: fakes/store_fake.c fakes/through_rig.c
/* Rule 4 and finding F1: a fill that was overtaken is not cached, nobody joins it, and its row
 * counts as an invalidation. */
#include <criterion/criterion.h>

#include "../fakes/through_rig.h"

/* What overtakes a fill of "k". */
static void by_notification(struct rig *rig) {
    rig_changed(rig, "k", 9);
}
static void by_gone(struct rig *rig) {
    rig_gone(rig, "k");
}
static void by_drop(struct rig *rig) {
    rig_drop(rig, "k");
}
static void by_everything(struct rig *rig) {
    through_everything(rig->through);
}
static void by_ack(struct rig *rig) {
    rig_set(rig, "k", "own");
    store_fake_commit(rig->store, 0, 9);
}
static void by_delete(struct rig *rig) {
    rig_delete(rig, "k");
    store_fake_commit(rig->store, 0, 9);
}
static void by_noop(struct rig *rig) {
    rig_delete(rig, "k");
    store_fake_commit(rig->store, 0, 0);
}
static void by_uncertain(struct rig *rig) {
    rig_set(rig, "k", "own");
    store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
}

static const struct {
    const char *name;
    void (*happens)(struct rig *rig);
} OVERTAKERS[] = {
    {"a notification", by_notification},
    {"gone", by_gone},
    {"a drop", by_drop},
    {"everything", by_everything},
    {"an ack", by_ack},
    {"a delete's ack", by_delete},
    {"a no-op", by_noop},
    {"an uncertain write", by_uncertain},
};
enum { OVERTAKERS_COUNT = sizeof(OVERTAKERS) / sizeof(OVERTAKERS[0]) };

Test(through, rule_4_an_overtaken_fill_is_not_cached) {
    for (int i = 0; i < OVERTAKERS_COUNT; i++) {
        struct rig *rig = rig_new();
        struct rig_read *read = rig_get(rig, "k");
        OVERTAKERS[i].happens(rig);
        store_fake_row(rig->store, 0, 7, "old");
        cr_expect(rig_has(read, "old"), "by %s: who waited already gets its row",
                  OVERTAKERS[i].name);
        cr_expect_not(rig_hits(rig, "k", "old"), "by %s", OVERTAKERS[i].name);
        rig_free(&rig);
    }
}

Test(through, rule_4_nobody_joins_an_overtaken_fill) {
    for (int i = 0; i < OVERTAKERS_COUNT; i++) {
        struct rig *rig = rig_new();
        struct rig_read *first = rig_get(rig, "k");
        OVERTAKERS[i].happens(rig);
        cache_drop(rig->cache, SPAN("k"), cache_hash(rig->cache, SPAN("k"))); /* an eviction */
        struct rig_read *later = rig_get(rig, "k");
        cr_assert_eq(store_fake_gets(rig->store), 2u, "by %s", OVERTAKERS[i].name);
        store_fake_row(rig->store, 1, 20, "new");
        cr_expect(rig_has(later, "new"), "by %s", OVERTAKERS[i].name);
        cr_expect_not(first->answered, "by %s", OVERTAKERS[i].name);
        store_fake_row(rig->store, 0, 7, "old");
        cr_expect(rig_has(first, "old"), "by %s", OVERTAKERS[i].name);
        cr_expect(rig_hits(rig, "k", "new"), "by %s", OVERTAKERS[i].name);
        rig_free(&rig);
    }
}

Test(through, rule_4_a_line_about_another_key_overtakes_nothing) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    rig_changed(rig, "other", 9);
    rig_gone(rig, "another");
    rig_drop(rig, "third");
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_hits(rig, "k", "v"));
    cr_expect_eq(through_counters(rig->through)->fills_overtaken, 0u);
    rig_free(&rig);
}

/* Nine steps without any fault: a fill that was sent before two own writes reads what the second
 * one committed, before its ack is here. Whoever reads next must not get the first one's value. */
Test(through, f1_the_row_of_an_overtaken_fill_drops_a_lower_entry) {
    struct rig *rig = rig_new();
    struct rig_read *slow = rig_get(rig, "k");
    rig_set(rig, "k", "two");
    store_fake_commit(rig->store, 0, 2);
    cr_assert(rig_hits(rig, "k", "two"));
    rig_set(rig, "k", "three"); /* commits as version 3; its ack is on the way */
    store_fake_row(rig->store, 0, 3, "three");
    cr_assert(rig_has(slow, "three"));
    struct rig_read *next = rig_get(rig, "k");
    cr_expect_neq(next->status, THROUGH_VALUE, "it got %s", next->value);
    rig_free(&rig);
}

Test(through, f1_an_absent_row_of_an_overtaken_fill_drops_any_entry) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    rig_set(rig, "k", "two");
    store_fake_commit(rig->store, 0, 2);
    store_fake_absent(rig->store, 0);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through, f1_a_row_that_is_not_newer_drops_nothing) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    rig_set(rig, "k", "two");
    store_fake_commit(rig->store, 0, 2);
    store_fake_row(rig->store, 0, 2, "two");
    cr_expect(rig_hits(rig, "k", "two"));
    rig_free(&rig);
}

/* The second form: F marked by an UNCERTAIN write; G, sent later, executed before that write
 * committed; F returns it. A new reader must not join G. */
Test(through, f1_the_row_of_an_overtaken_fill_marks_the_keys_other_fills) {
    struct rig *rig = rig_new();
    struct rig_read *f = rig_get(rig, "k");
    rig_set(rig, "k", "two");
    store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
    struct rig_read *g = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 2u);
    store_fake_row(rig->store, 0, 2, "two");
    cr_assert(rig_has(f, "two"));
    struct rig_read *next = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 2u, "a fill of its own");
    store_fake_row(rig->store, 0, 1, "one");
    cr_expect(rig_has(g, "one"), "it asked before F's answer was known");
    cr_expect_not(next->answered);
    cr_expect(rig_misses(rig, "k"), "what G brought is not cached");
    rig_free(&rig);
}

Test(through, f1_the_row_of_an_overtaken_fill_raises_the_record) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    rig_changed(rig, "k", 2);
    rig_set(rig, "k", "own");
    store_fake_row(rig->store, 0, 9, "newer");
    store_fake_commit(rig->store, 0, 8);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

/* ---- what is in flight across a gap of the feed ---- */

Test(through, f4_a_fill_sent_before_a_gap_is_not_trusted_after_it) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    through_feed_lost(rig->through);
    through_feed_up(rig->through);
    rig_beat(rig);
    store_fake_row(rig->store, 0, 1, "old");
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through, f4_a_fill_sent_before_listen_is_not_trusted) {
    struct rig *rig = rig_new_cold();
    rig_get(rig, "k");
    through_feed_up(rig->through);
    rig_beat(rig);
    store_fake_row(rig->store, 0, 1, "old");
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through, f4_nobody_joins_a_fill_of_an_older_epoch) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    through_feed_lost(rig->through);
    through_feed_up(rig->through);
    rig_get(rig, "k");
    cr_expect_eq(store_fake_gets(rig->store), 2u);
    rig_free(&rig);
}

Test(through, f4_an_own_write_sent_before_a_gap_is_not_trusted_after_it) {
    struct rig *rig = rig_new();
    struct rig_write *write = rig_set(rig, "k", "own");
    through_feed_lost(rig->through);
    through_feed_up(rig->through);
    rig_beat(rig);
    store_fake_commit(rig->store, 0, 5);
    cr_expect_eq(write->status, THROUGH_DONE);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}
