/* Each clause of the rule for fills from a replica (design-review F7) alone. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../node/replica.h"

enum { AGE_MS = 1000, T0 = 5000, KEY = 7, OTHER = 8 };

static struct replica *r;
static struct replica_ticket ticket;

static void make(void) {
    r = replica_new(AGE_MS);
    cr_assert_not_null(r);
}

static void end(void) {
    replica_free(&r);
    cr_assert_null(r);
}

TestSuite(replica, .init = make, .fini = end);

static struct replica_place at(uint64_t lsn, bool in_recovery) {
    struct replica_place place = {.lsn = lsn, .in_recovery = in_recovery, .horizon = 100};
    snprintf(place.lineage, sizeof(place.lineage), "sys/1/db/table");
    return place;
}

static void primary_says(uint64_t lsn) {
    const struct replica_place place = at(lsn, false);
    replica_primary_said(r, &place);
}

static void replica_says(uint64_t lsn) {
    const struct replica_place place = at(lsn, true);
    replica_said(r, &place);
}

/* A floor at `lsn` that the replica has reached. */
static void floor_at(int64_t now_ms, uint64_t lsn) {
    cr_assert(replica_due(r, now_ms));
    replica_began(r, now_ms);
    primary_says(lsn);
    cr_assert(replica_is_awaited(r, now_ms));
    replica_says(lsn);
}

static bool serves(int64_t now_ms) {
    return replica_serves(r, now_ms, KEY, &ticket);
}

Test(replica, serves_what_was_not_heard_of_once_it_has_reached_the_floor) {
    cr_expect(!serves(T0), "there is no floor");
    cr_expect_eq(replica_age_ms(r, T0), -1);
    replica_began(r, T0);
    cr_expect(!serves(T0), "the primary has not answered");
    cr_expect(!replica_is_awaited(r, T0));
    primary_says(500);
    cr_expect(!serves(T0), "the replica has not said how far it is");
    replica_says(499);
    cr_expect(!serves(T0), "it is not so far");
    cr_expect(replica_is_awaited(r, T0));
    replica_says(500);
    cr_expect(serves(T0 + 10));
    cr_expect_eq(ticket.lsn, 500);
    cr_expect_eq(ticket.began_mono_ms, T0);
    cr_expect_eq(replica_age_ms(r, T0 + 10), 10);
    cr_expect_eq(replica_counters(r)->floors, 1);
}

Test(replica, clause_1_the_answer_counts_only_from_a_replica_that_is_so_far_itself) {
    floor_at(T0, 500);
    cr_assert(serves(T0));
    struct replica_place place = at(500, true);
    cr_expect(replica_admits(r, &ticket, &place));
    place.lsn = 499; /* another one than the one that was asked before, or it was restarted */
    cr_expect(!replica_admits(r, &ticket, &place));
    place = at(500, false); /* promoted */
    cr_expect(!replica_admits(r, &ticket, &place));
    place = at(500, true);
    snprintf(place.lineage, sizeof(place.lineage), "sys/2/db/table");
    cr_expect(!replica_admits(r, &ticket, &place));
    place.lineage[0] = '\0';
    cr_expect(!replica_admits(r, &ticket, &place));
}

Test(replica, clause_1_a_position_of_another_lineage_reaches_no_floor) {
    replica_began(r, T0);
    primary_says(500);
    struct replica_place place = at(900, true);
    snprintf(place.lineage, sizeof(place.lineage), "sys/2/db/table");
    replica_said(r, &place);
    cr_expect(!serves(T0));
    place = at(900, false);
    replica_said(r, &place);
    cr_expect(!serves(T0), "it is no standby");
}

Test(replica, clause_2_what_came_in_since_the_floor_began_is_asked_of_the_primary) {
    floor_at(T0, 500);
    replica_met(r, OTHER);
    cr_expect(serves(T0 + 1), "that was another key");
    replica_met(r, KEY);
    cr_expect(!serves(T0 + 1));
    cr_expect(replica_serves(r, T0 + 1, KEY + 2, &ticket));
    cr_expect(!replica_serves(r, T0 + 1, KEY + REPLICA_SLOTS, &ticket), "they share a slot");
}

Test(replica, clause_2_what_came_in_before_the_next_floor_began_is_over) {
    floor_at(T0, 500);
    replica_met(r, KEY);
    floor_at(T0 + 300, 600);
    cr_expect(serves(T0 + 300));
    cr_expect_eq(ticket.lsn, 600);
}

Test(replica, clause_2_what_came_in_while_the_primary_was_asked_counts) {
    replica_began(r, T0);
    replica_met(r, KEY); /* its commit may be behind what the primary is about to say */
    primary_says(500);
    replica_says(500);
    cr_expect(!serves(T0));
    cr_expect(replica_serves(r, T0, OTHER, &ticket));
}

Test(replica, clause_2_what_came_in_while_the_replica_was_awaited_counts) {
    replica_began(r, T0);
    primary_says(500);
    replica_met(r, KEY);
    replica_says(500);
    cr_expect(!serves(T0));
}

Test(replica, clause_2_a_gap_ends_every_floor_also_for_what_is_in_flight) {
    floor_at(T0, 500);
    cr_assert(serves(T0));
    const struct replica_place place = at(500, true);
    cr_assert(replica_admits(r, &ticket, &place));
    replica_met_all(r);
    cr_expect(!serves(T0));
    cr_expect(!replica_admits(r, &ticket, &place));
    floor_at(T0 + 300, 500);
    cr_expect(serves(T0 + 300));
}

Test(replica, clause_2_a_gap_while_the_primary_is_asked_ends_that_floor_too) {
    replica_began(r, T0);
    replica_met_all(r);
    primary_says(500);
    replica_says(500);
    cr_expect(!serves(T0));
    replica_began(r, T0 + 300);
    primary_says(500);
    replica_met_all(r);
    replica_says(500);
    cr_expect(!serves(T0 + 300));
    cr_expect(replica_due(r, T0 + 600));
}

Test(replica, clause_3_a_row_that_the_primary_did_not_show_yet_does_not_count) {
    floor_at(T0, 500);
    cr_assert(serves(T0));
    cr_expect(replica_is_settled(&ticket, 99));
    cr_expect(replica_is_settled(&ticket, 2), "frozen");
    cr_expect(!replica_is_settled(&ticket, 100));
    cr_expect(!replica_is_settled(&ticket, 101));
    ticket.horizon = 3; /* the numbers have just wrapped around */
    cr_expect(replica_is_settled(&ticket, UINT32_MAX));
    cr_expect(!replica_is_settled(&ticket, 3));
}

Test(replica, the_age_of_a_floor_is_bounded) {
    floor_at(T0, 500);
    cr_expect(serves(T0 + AGE_MS));
    cr_expect(replica_joins(r, T0 + AGE_MS, &ticket));
    cr_expect(!serves(T0 + AGE_MS + 1));
    cr_expect(!replica_joins(r, T0 + AGE_MS + 1, &ticket));
    cr_expect_eq(replica_age_ms(r, T0 + AGE_MS + 1), -1);
}

Test(replica, an_older_floor_serves_while_the_next_is_awaited) {
    floor_at(T0, 500);
    replica_began(r, T0 + 300);
    cr_expect(serves(T0 + 300));
    primary_says(600);
    cr_expect(serves(T0 + 300));
    cr_expect_eq(ticket.lsn, 500);
    replica_says(599);
    cr_expect(serves(T0 + 300));
    replica_says(600);
    cr_assert(serves(T0 + 300));
    cr_expect_eq(ticket.lsn, 600);
    cr_expect_eq(replica_age_ms(r, T0 + 300), 0);
}

Test(replica, one_floor_at_a_time_and_one_that_is_never_reached_is_given_up) {
    cr_assert(replica_due(r, T0));
    replica_began(r, T0);
    cr_expect(!replica_due(r, T0 + AGE_MS * 10), "its answer would count for the next one");
    primary_says(500);
    cr_expect(!replica_due(r, T0 + AGE_MS), "a lagging replica would never reach the newest");
    cr_expect(replica_due(r, T0 + AGE_MS + 1));
    replica_began(r, T0 + AGE_MS + 1);
    primary_says(600);
    replica_says(600);
    cr_expect(!replica_due(r, T0 + AGE_MS + 2), "there is time between two");
    cr_expect(replica_due(r, T0 + 2 * AGE_MS));
}

Test(replica, a_gap_or_a_failure_meanwhile_does_not_lend_an_answer_to_another_floor) {
    replica_began(r, T0);
    replica_met_all(r);
    replica_failed(r, T0);
    cr_expect(!replica_due(r, T0 + 60000));
    primary_says(500); /* of the floor that is of no use any more */
    cr_expect(!replica_is_awaited(r, T0 + 60000));
    cr_expect(replica_due(r, T0 + 60000));
}

Test(replica, no_answer_of_the_primary_is_no_floor) {
    replica_began(r, T0);
    replica_primary_said(r, NULL);
    cr_expect(!replica_is_awaited(r, T0));
    replica_says(UINT64_MAX);
    cr_expect(!serves(T0));
    replica_began(r, T0);
    struct replica_place place = at(500, true); /* no primary */
    replica_primary_said(r, &place);
    cr_expect(!replica_is_awaited(r, T0));
    replica_began(r, T0);
    place = at(500, false);
    place.lineage[0] = '\0';
    replica_primary_said(r, &place);
    cr_expect(!replica_is_awaited(r, T0));
    primary_says(500); /* nobody asked */
    cr_expect(!replica_is_awaited(r, T0));
}

Test(replica, a_primary_of_another_lineage_ends_what_was_reached_before) {
    floor_at(T0, 500);
    struct replica_ticket old;
    cr_assert(replica_serves(r, T0, KEY, &old));
    replica_began(r, T0 + 300);
    struct replica_place place = at(400, false);
    snprintf(place.lineage, sizeof(place.lineage), "sys/2/db/table");
    replica_primary_said(r, &place);
    cr_expect(!serves(T0 + 300));
    place.in_recovery = true;
    place.lsn = 500;
    cr_expect(!replica_admits(r, &old, &place), "its position is of the other log");
    replica_said(r, &place);
    cr_expect(serves(T0 + 300));
    cr_expect_eq(ticket.lsn, 400);
}

Test(replica, after_a_failure_it_is_left_alone_longer_each_time_up_to_a_bound) {
    int64_t now_ms = T0;
    for (int64_t pause_ms = REPLICA_PAUSE_MS_MIN; pause_ms < REPLICA_PAUSE_MS_MAX; pause_ms *= 2) {
        floor_at(now_ms, 500);
        cr_assert(serves(now_ms));
        replica_failed(r, now_ms);
        cr_expect(!serves(now_ms), "what it said before counts no more");
        cr_expect(!replica_due(r, now_ms + pause_ms - 1));
        now_ms += pause_ms;
        cr_assert(replica_due(r, now_ms));
    }
    replica_failed(r, now_ms);
    cr_expect(!replica_due(r, now_ms + REPLICA_PAUSE_MS_MAX - 1));
    cr_expect(replica_due(r, now_ms + REPLICA_PAUSE_MS_MAX));
    replica_answered(r);
    replica_failed(r, now_ms);
    cr_expect(replica_due(r, now_ms + REPLICA_PAUSE_MS_MIN));
    cr_expect_eq(replica_counters(r)->failures, 7);
}
