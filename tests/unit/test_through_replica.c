// needs: fakes/store_fake.c fakes/through_rig.c
/* Fills from a replica (design-review F7): what counts as news of a key, and what becomes of an
 * answer that does not count. The clauses alone are in test_replica.c. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../fakes/through_rig.h"

enum { AGE_MS = 1000, SETTLED = 90, HORIZON = 100 };

static struct rig *rig;
static uint64_t lsn;

static struct replica_place place_at(uint64_t at, bool in_recovery) {
    struct replica_place place = {.lsn = at, .in_recovery = in_recovery, .horizon = HORIZON};
    snprintf(place.lineage, sizeof(place.lineage), "sys/1/db/table");
    return place;
}

/* A new floor, which the replica has reached. */
static void new_floor(void) {
    lsn += 100;
    rig->now_mono_ms += AGE_MS / 2;
    rig_beat(rig);
    cr_assert(replica_due(rig->replica, rig->now_mono_ms));
    replica_began(rig->replica, rig->now_mono_ms);
    const struct replica_place primary = place_at(lsn, false), replica = place_at(lsn, true);
    replica_primary_said(rig->replica, &primary);
    replica_said(rig->replica, &replica);
}

static void make(void) {
    rig = rig_new_replica(AGE_MS);
    lsn = 0;
    new_floor();
}

static void end(void) {
    rig_free(&rig);
}

TestSuite(through_replica, .init = make, .fini = end);

static bool at_replica(unsigned i) {
    return store_fake_get(rig->store, i)->from_replica;
}

/* The replica's answer to the i-th get: of a server at `at`, by transaction `transaction`. */
static void answer(unsigned i, uint64_t at, uint32_t transaction, uint64_t version,
                   const char *payload) {
    const struct replica_place place = place_at(at, true);
    const struct store_origin origin = {
        .place = &place, .found = payload != NULL, .transaction = transaction};
    const struct store_row row = {.present = payload != NULL,
                                  .payload = span_str(payload != NULL ? payload : ""),
                                  .version = version,
                                  .ttl_ms = -1,
                                  .cacheable = true,
                                  .origin = &origin};
    store_fake_answer_row(rig->store, i, &row);
}

/* The next read of the key, which is not cached, goes to the replica. */
static bool goes_to_replica(const char *key) {
    rig_get(rig, key);
    cr_assert_eq(store_fake_gets(rig->store), 1u);
    bool replica = at_replica(0);
    store_fake_fail_get(rig->store, 0, STORE_FAILED);
    if (replica)
        store_fake_fail_get(rig->store, 0, STORE_FAILED);
    return replica;
}

static void forget(const char *key) {
    cache_drop(rig->cache, span_str(key), cache_hash(rig->cache, span_str(key)));
}

Test(through_replica, a_cold_key_is_read_from_it_and_trusted) {
    struct rig_read *read = rig_get(rig, "k");
    cr_assert(at_replica(0));
    answer(0, lsn, SETTLED, 7, "v");
    cr_expect(rig_has(read, "v"));
    cr_expect(rig_hits(rig, "k", "v"));
    cr_expect_eq(through_counters(rig->through)->replica_fills, 1u);
    cr_expect_eq(through_counters(rig->through)->replica_refused, 0u);
}

Test(through_replica, absence_counts_too) {
    struct rig_read *read = rig_get(rig, "k");
    answer(0, lsn, 0, 0, NULL);
    cr_expect(rig_has(read, NULL));
    cr_expect(rig_hits(rig, "k", NULL));
}

Test(through_replica, without_one_everything_goes_to_the_primary) {
    struct rig *plain = rig_new();
    rig_get(plain, "k");
    cr_expect(!store_fake_get(plain->store, 0)->from_replica);
    rig_free(&plain);
}

Test(through_replica, a_notification_is_news) {
    rig_changed(rig, "k", 3);
    cr_expect(!goes_to_replica("k"));
    rig_gone(rig, "g");
    cr_expect(!goes_to_replica("g"));
    cr_expect(goes_to_replica("other"));
    new_floor();
    cr_expect(goes_to_replica("k"));
    cr_expect(goes_to_replica("g"));
}

Test(through_replica, a_coordinators_drop_is_news) {
    rig_drop(rig, "k");
    cr_expect(!goes_to_replica("k"));
}

Test(through_replica, an_own_write_that_was_answered_is_news) {
    rig_set(rig, "k", "v");
    store_fake_commit(rig->store, 0, 5);
    forget("k");
    cr_expect(!goes_to_replica("k"));
    rig_delete(rig, "noop");
    store_fake_commit(rig->store, 0, 0);
    cr_expect(!goes_to_replica("noop"));
}

Test(through_replica, an_own_write_of_unknown_outcome_is_news) {
    rig_set(rig, "k", "v");
    store_fake_send(rig->store, 0);
    store_fake_fail_write(rig->store, 0, STORE_UNCERTAIN, NULL);
    cr_expect(!goes_to_replica("k"));
    struct rig_write *write = rig_set(rig, "late", "v");
    store_fake_send(rig->store, 0);
    rig_pass(rig, RIG_WRITE_MS + 1);
    cr_assert_eq(write->status, THROUGH_UNCERTAIN);
    rig_beat(rig);
    new_floor();
    cr_expect(goes_to_replica("late"), "it is settled by now, or nobody was told of it");
    store_fake_commit(rig->store, 0, 9);
    forget("late");
    cr_expect(!goes_to_replica("late"));
}

Test(through_replica, a_row_from_the_primary_is_news) {
    rig_changed(rig, "k", 3);
    rig_get(rig, "k");
    cr_assert(!at_replica(0));
    new_floor(); /* the notification is over; the row came in later */
    store_fake_row(rig->store, 0, 9, "v");
    forget("k");
    cr_expect(!goes_to_replica("k"));
}

Test(through_replica, a_row_from_a_replica_is_news) {
    rig_get(rig, "k");
    answer(0, lsn + 50, SETTLED, 7, "v"); /* that one is ahead; the next one asked may not be */
    forget("k");
    cr_expect(!goes_to_replica("k"));
}

Test(through_replica, everything_and_gaps_are_news_of_every_key) {
    through_everything(rig->through);
    rig_beat(rig);
    cr_expect(!goes_to_replica("k"));
    new_floor();
    cr_expect(goes_to_replica("k"));
    through_feed_lost(rig->through);
    cr_expect(!goes_to_replica("k"));
    through_feed_up(rig->through);
    rig_beat(rig);
    cr_expect(!goes_to_replica("k"));
    new_floor();
    cr_expect(goes_to_replica("k"));
    through_disown(rig->through);
    cr_expect(!goes_to_replica("k"));
}

Test(through_replica, while_the_feed_is_late_everything_goes_to_the_primary) {
    rig->now_mono_ms += RIG_FENCE_MS;
    replica_began(rig->replica, rig->now_mono_ms);
    const struct replica_place primary = place_at(lsn, false), replica = place_at(lsn, true);
    replica_primary_said(rig->replica, &primary);
    replica_said(rig->replica, &replica);
    cr_expect(goes_to_replica("k"));
    rig->now_mono_ms++;
    cr_expect(!goes_to_replica("k"));
}

Test(through_replica, an_answer_that_does_not_count_is_asked_of_the_primary) {
    struct rig_read *read = rig_get(rig, "k");
    answer(0, lsn - 1, SETTLED, 7, "old");
    cr_assert_eq(read->status, THROUGH_PENDING);
    cr_assert_eq(store_fake_gets(rig->store), 1u);
    cr_assert(!at_replica(0));
    store_fake_row(rig->store, 0, 8, "new");
    cr_expect(rig_has(read, "new"));
    cr_expect(rig_hits(rig, "k", "new"));
    cr_expect_eq(through_counters(rig->through)->replica_refused, 1u);
}

Test(through_replica, a_row_that_the_primary_may_not_show_yet_is_asked_of_it) {
    struct rig_read *read = rig_get(rig, "k");
    answer(0, lsn + 1, HORIZON, 8, "not committed yet");
    cr_assert_eq(read->status, THROUGH_PENDING);
    cr_assert(!at_replica(0));
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_has(read, "v"));
}

Test(through_replica, a_row_with_an_expiry_is_asked_of_the_primary) {
    struct rig_read *read = rig_get(rig, "k");
    const struct replica_place place = place_at(lsn, true);
    const struct store_origin origin = {
        .place = &place, .found = true, .expires = true, .transaction = SETTLED};
    const struct store_row row = {.ttl_ms = -1, .cacheable = true, .origin = &origin};
    store_fake_answer_row(rig->store, 0, &row);
    cr_assert_eq(read->status, THROUGH_PENDING);
    cr_assert(!at_replica(0));
    store_fake_row_ttl(rig->store, 0, 7, "v", 5000);
    cr_expect(rig_has(read, "v"));
}

Test(through_replica, a_failure_costs_a_read_nothing_but_time) {
    struct rig_read *read = rig_get(rig, "k"), *joined = rig_get(rig, "k");
    store_fake_fail_get(rig->store, 0, STORE_FAILED);
    cr_assert(!at_replica(0));
    store_fake_row(rig->store, 0, 8, "v");
    cr_expect(rig_has(read, "v"));
    cr_expect(rig_has(joined, "v"));
    struct rig_read *other = rig_get(rig, "other");
    cr_assert(at_replica(0));
    store_fake_fail_get(rig->store, 0, STORE_DOWN);
    store_fake_fail_get(rig->store, 0, STORE_FAILED);
    cr_expect_eq(other->status, THROUGH_DBDOWN, "the primary's failure counts");
}

Test(through_replica, none_at_hand_is_as_if_there_were_none) {
    store_fake_refuse_next(rig->store, STORE_DOWN);
    struct rig_read *read = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 1u);
    cr_expect(!at_replica(0));
    store_fake_row(rig->store, 0, 8, "v");
    cr_expect(rig_has(read, "v"));
    cr_expect_eq(through_counters(rig->through)->replica_fills, 0u);
}

Test(through_replica, nobody_waits_any_more_so_the_primary_is_not_asked) {
    struct rig_read *read = rig_get(rig, "k");
    rig_pass(rig, RIG_READ_MS + 1);
    cr_assert_eq(read->status, THROUGH_TIMEOUT);
    store_fake_fail_get(rig->store, 0, STORE_FAILED);
    cr_expect_eq(store_fake_gets(rig->store), 0u);
    cr_expect_eq(through_pending(rig->through), 0u);
}

Test(through_replica, what_is_heard_meanwhile_overtakes_it) {
    struct rig_read *first = rig_get(rig, "k");
    rig_changed(rig, "k", 9);
    struct rig_read *second = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 2u);
    cr_assert(at_replica(0) && !at_replica(1));
    answer(0, lsn, SETTLED, 8, "old");
    cr_expect(rig_has(first, "old"), "it asked before that was heard");
    cr_expect(!rig_cached(rig, "k"));
    store_fake_row(rig->store, 0, 9, "new");
    cr_expect(rig_has(second, "new"));
}

Test(through_replica, a_gap_meanwhile_makes_it_worthless) {
    struct rig_read *read = rig_get(rig, "k");
    through_everything(rig->through);
    answer(0, lsn, SETTLED, 8, "old");
    cr_assert_eq(read->status, THROUGH_PENDING);
    cr_expect(!at_replica(0));
    store_fake_row(rig->store, 0, 9, "new");
    cr_expect(rig_has(read, "new"));
}

Test(through_replica, nobody_joins_a_fill_whose_floor_is_too_old) {
    struct rig_read *first = rig_get(rig, "k");
    rig->now_mono_ms += AGE_MS;
    rig_beat(rig);
    rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 1u, "as old as it may be");
    rig->now_mono_ms++;
    struct rig_read *late = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 2u);
    cr_assert(!at_replica(1));
    store_fake_row(rig->store, 1, 9, "new");
    cr_expect(rig_has(late, "new"));
    answer(0, lsn, SETTLED, 8, "old");
    cr_expect(rig_has(first, "old"));
    cr_expect(!rig_hits(rig, "k", "old"), "it would go back in time");
}
