// needs: fakes/store_fake.c fakes/through_rig.c
/* What is heard: rule 8 (lines only invalidate), rule 9 (trust is an interval), F3, F4, F5, F6, F8.
 */
#include <criterion/criterion.h>

#include "../../node/feed.h"
#include "../fakes/through_rig.h"

Test(through, rule_8_a_higher_version_drops_the_entry) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    rig_changed(rig, "k", 8);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through, rule_8_the_same_version_or_a_lower_one_stays) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    rig_changed(rig, "k", 7);
    cr_expect(rig_hits(rig, "k", "v"), "our own echo");
    rig_changed(rig, "k", 6);
    cr_expect(rig_hits(rig, "k", "v"), "an old one");
    rig_free(&rig);
}

Test(through, f3_gone_drops_whatever_the_version) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", UINT64_MAX - 1, "v");
    rig_gone(rig, "k");
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through, rule_8_everything_makes_every_entry_suspect) {
    struct rig *rig = rig_new();
    rig_fill(rig, "a", 7, "v");
    rig_get(rig, "b");
    store_fake_absent(rig->store, 0);
    through_everything(rig->through);
    cr_expect(rig_misses(rig, "a"));
    cr_expect(rig_misses(rig, "b"));
    cr_expect(rig_cached(rig, "a"), "suspect, not gone: it may still be served stale");
    rig_free(&rig);
}

Test(through, rule_8_after_everything_new_fills_are_trusted_at_once) {
    struct rig *rig = rig_new();
    through_everything(rig->through);
    rig_fill(rig, "k", 7, "v");
    cr_expect(rig_hits(rig, "k", "v"));
    rig_free(&rig);
}

/* A promotion: what the server before had may be of a history that is no more. */
Test(through, what_is_disowned_is_not_served_as_stale_either) {
    struct rig *rig = rig_new();
    rig_fill(rig, "a", 7, "v");
    struct rig_read *read = rig_get(rig, "b");
    through_disown(rig->through);
    through_feed_lost(rig->through);
    store_fake_row(rig->store, 0, 8, "zombie");
    cr_expect(rig_has(read, "zombie"), "who asked before that gets it");
    cr_expect(rig_misses(rig, "b"));
    store_fake_up(rig->store, false, false);
    cr_expect_eq(rig_get(rig, "a")->status, THROUGH_DBDOWN);
    cr_expect_eq(through_counters(rig->through)->stale_served, 0u);
    rig_free(&rig);
}

Test(through, after_a_disowning_what_the_new_server_says_is_cached_whatever_was_there) {
    struct rig *rig = rig_new();
    rig_fill(rig, "a", 70, "zombie");
    rig_fill(rig, "b", 70, "zombie");
    through_disown(rig->through);
    through_feed_lost(rig->through);
    through_feed_up(rig->through);
    rig_beat(rig);
    cr_expect(rig_misses(rig, "b"));
    store_fake_fail_get(rig->store, 0, STORE_FAILED);
    rig_fill(rig, "a", 7, "new");
    cr_expect(rig_hits(rig, "a", "new"), "of a lower version");
    struct rig_write *write = rig_set(rig, "b", "new");
    store_fake_commit(rig->store, 0, 8);
    cr_expect_eq(write->status, THROUGH_DONE);
    struct rig_read *behind = rig_get(rig, "b"); /* never the zombie's, whose version is higher */
    cr_assert_eq(store_fake_gets(rig->store), 1u);
    store_fake_row(rig->store, 0, 8, "new");
    cr_expect(rig_has(behind, "new"));
    through_feed_lost(rig->through);
    store_fake_up(rig->store, false, false);
    cr_expect(rig_has(rig_get(rig, "a"), "new"), "that is served as stale");
    cr_expect(rig_has(rig_get(rig, "b"), "new"));
    rig_free(&rig);
}

Test(through, a_fill_from_before_a_disowning_is_not_cached) {
    struct rig *rig = rig_new();
    rig_get(rig, "b");
    through_disown(rig->through);
    store_fake_row(rig->store, 0, 8, "zombie");
    cr_expect_not(rig_cached(rig, "b"));
    rig_free(&rig);
}

/* ---- a payload and what it does ---- */

static void on_changed(void *ctx, struct span key, uint64_t version, enum change change) {
    through_changed(((struct rig *)ctx)->through, key, version);
}
static void on_gone(void *ctx, struct span key, enum change change) {
    through_gone(((struct rig *)ctx)->through, key);
}
static void on_everything(void *ctx) {
    through_everything(((struct rig *)ctx)->through);
}
static void on_heartbeat(void *ctx, struct span node, uint64_t counter, struct span nonce) {
    rig_beat(ctx);
}
static const struct feed_handlers HANDLERS = {on_changed, on_gone, on_everything, on_heartbeat};

Test(through, rule_8_one_payload_may_hold_many_lines_and_odd_keys) {
    struct rig *rig = rig_new();
    rig_fill(rig, "a b\n1", 7, "v");
    rig_fill(rig, "c", 7, "v");
    rig_fill(rig, "d", 7, "v");
    cr_assert(feed_parse(SPAN("1\nc 8 5 a b\n1\ng 1 c\nc 7 1 d\n"), &HANDLERS, rig));
    cr_expect(rig_misses(rig, "a b\n1"));
    cr_expect(rig_misses(rig, "c"));
    cr_expect(rig_hits(rig, "d", "v"));
    rig_free(&rig);
}

Test(through, rule_8_what_cannot_be_parsed_is_everything) {
    static const char *const PAYLOADS[] = {"",       "2\nc 8 1 k\n", "1\nc 8 1 k",
                                           "1\nx\n", "1\nc 8 9 k\n", "hello"};
    for (size_t i = 0; i < sizeof(PAYLOADS) / sizeof(PAYLOADS[0]); i++) {
        struct rig *rig = rig_new();
        rig_fill(rig, "k", 7, "v");
        cr_expect_not(feed_parse(span_str(PAYLOADS[i]), &HANDLERS, rig), "payload %zu", i);
        cr_expect(rig_misses(rig, "k"), "payload %zu", i);
        rig_free(&rig);
    }
}

/* Any role may NOTIFY: a bogus line costs a fetch and no more. */
Test(through, rule_8_a_bogus_line_does_no_lasting_harm) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    rig_changed(rig, "k", UINT64_MAX);
    rig_fill(rig, "k", 7, "v");
    cr_expect(rig_hits(rig, "k", "v"));
    rig_free(&rig);
}

/* ---- trust ---- */

Test(through, rule_9_nothing_is_trusted_before_a_heartbeat_was_heard) {
    struct rig *rig = rig_new_cold();
    through_feed_up(rig->through);
    rig_fill(rig, "k", 7, "v");
    cr_expect(rig_misses(rig, "k"));
    cr_expect_eq(through_lag_ms(rig->through, rig->now_mono_ms), INT64_MAX);
    rig_beat(rig);
    cr_expect(rig_hits(rig, "k", "v"), "then it is, without another fetch");
    rig_free(&rig);
}

Test(through, rule_9_a_late_heartbeat_suspends_trust_and_a_new_one_gives_it_back) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    rig_pass(rig, RIG_FENCE_MS);
    cr_expect(rig_hits(rig, "k", "v"), "at the limit");
    rig_pass(rig, 1);
    cr_expect(rig_misses(rig, "k"), "beyond it");
    rig_beat(rig);
    cr_expect(rig_hits(rig, "k", "v"), "the stream had no hole");
    rig_free(&rig);
}

/* What it brings may be as old as it is, and nothing that was heard says more. */
Test(through, rule_9_while_the_feed_is_late_nobody_joins_a_fill_that_is_older_than_the_fence) {
    struct rig *rig = rig_new();
    struct rig_read *first = rig_get(rig, "k");
    rig->now_mono_ms += RIG_FENCE_MS;
    rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 1u, "as old as it may be");
    rig->now_mono_ms++;
    struct rig_read *late = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 2u);
    store_fake_row(rig->store, 1, 9, "new");
    cr_expect(rig_has(late, "new"));
    store_fake_row(rig->store, 0, 8, "old");
    cr_expect(rig_has(first, "old"));
    rig_beat(rig);
    cr_expect(rig_hits(rig, "k", "new"), "it would go back in time");
    rig_free(&rig);
}

Test(through, rule_9_while_the_feed_is_heard_a_fill_of_any_age_is_joined) {
    struct rig *rig = rig_new();
    rig_get(rig, "k");
    rig->now_mono_ms += 10 * RIG_FENCE_MS;
    rig_beat(rig);
    struct rig_read *late = rig_get(rig, "k");
    cr_assert_eq(store_fake_gets(rig->store), 1u, "a change would have been heard, and marked it");
    store_fake_row(rig->store, 0, 7, "v");
    cr_expect(rig_has(late, "v"));
    rig_free(&rig);
}

Test(through, rule_9_a_lost_feed_ends_trust_for_good) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    through_feed_lost(rig->through);
    cr_expect(rig_misses(rig, "k"));
    through_feed_up(rig->through);
    rig_beat(rig);
    cr_expect(rig_misses(rig, "k"), "what came in between was heard by nobody");
    rig_free(&rig);
}

Test(through, rule_9_what_is_fetched_without_a_feed_is_suspect) {
    struct rig *rig = rig_new();
    through_feed_lost(rig->through);
    rig_fill(rig, "k", 7, "v");
    rig_set(rig, "own", "v");
    store_fake_commit(rig->store, 0, 8);
    cr_expect(rig_misses(rig, "k"));
    cr_expect(rig_misses(rig, "own"));
    through_feed_up(rig->through);
    rig_beat(rig);
    cr_expect(rig_misses(rig, "k"), "LISTEN first, then trust");
    cr_expect(rig_misses(rig, "own"));
    rig_free(&rig);
}

/* After a crash or a promotion the same version held other data, twice. */
Test(through, f5_a_suspect_entry_is_fetched_again_and_never_compared) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 50, "lost with the old server");
    through_feed_lost(rig->through);
    through_feed_up(rig->through);
    rig_beat(rig);
    rig_fill(rig, "k", 50, "on the new one");
    cr_expect(rig_hits(rig, "k", "on the new one"));
    rig_free(&rig);
}

Test(through, f5_a_lower_version_is_adopted_too) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 50, "lost with the old server");
    through_feed_lost(rig->through);
    through_feed_up(rig->through);
    rig_beat(rig);
    rig_fill(rig, "k", 33, "on the new one");
    cr_expect(rig_hits(rig, "k", "on the new one"));
    rig_changed(rig, "k", 34);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

/* Heartbeats go out on the pool's connections: none is heard when the feed is on another server. */
Test(through, f6_a_feed_that_does_not_hear_our_heartbeats_gives_no_trust) {
    struct rig *rig = rig_new();
    through_feed_lost(rig->through);
    through_feed_up(rig->through); /* on a server where nobody writes any more */
    rig_fill(rig, "k", 7, "v");
    cr_expect(rig_misses(rig, "k"), "what was heard on the old connection does not count");
    rig_free(&rig);
}

/* A feed that is 10 s behind delivers a heartbeat every 500 ms: never late, and 10 s stale. */
Test(through, f8_lag_counts_from_the_heartbeats_sending) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    for (int i = 1; i <= 20; i++) {
        rig_pass(rig, 500);
        through_heard(rig->through, rig->now_mono_ms - i * 500 + 1);
    }
    cr_expect_eq(through_lag_ms(rig->through, rig->now_mono_ms), 9999);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through, f8_an_older_heartbeat_does_not_set_the_lag_back) {
    struct rig *rig = rig_new();
    rig_pass(rig, 300);
    rig_beat(rig);
    through_heard(rig->through, rig->now_mono_ms - 250);
    cr_expect_eq(through_lag_ms(rig->through, rig->now_mono_ms), 0);
    rig_free(&rig);
}

/* After a SIGSTOP clients may be read before any timer: the read itself has to judge. */
Test(through, f8_trust_is_judged_at_each_read_without_a_tick) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    rig->now_mono_ms += RIG_FENCE_MS + 1;
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}

Test(through, f8_stale_max_ms_counts_from_the_same_time) {
    struct rig *rig = rig_new();
    rig_fill(rig, "k", 7, "v");
    rig_pass(rig, 1000);
    through_heard(rig->through, rig->now_mono_ms - 400);
    through_feed_lost(rig->through);
    store_fake_up(rig->store, false, false);
    rig_pass(rig, RIG_STALE_MS - 400);
    cr_expect(rig_hits(rig, "k", "v"));
    rig_pass(rig, 1);
    cr_expect(rig_misses(rig, "k"));
    rig_free(&rig);
}
