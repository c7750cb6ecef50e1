// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
/* Group commit at the driver: rules 1, 7, 12 and 13 of the design. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "../fakes/pg_rig.h"

static struct pg_rig *rig;

static void set_up(void) {
    rig = pg_rig_new();
    pg_rig_store(rig);
}

static void tear_down(void) {
    pg_rig_free(&rig);
}

TestSuite(store_write, .init = set_up, .fini = tear_down);

static struct pg_fake_group *await_group(const char *session) {
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) != 0));
    struct pg_fake_group *group = pg_fake_group(rig->fake, 0);
    cr_assert_str_eq(pg_fake_session(group), session);
    return group;
}

static const char *keys_of(const struct pg_fake_group *group) {
    return pg_fake_array(pg_fake_param(group, 0, 0));
}

static void turns(unsigned count) {
    while (count-- > 0)
        pg_rig_turn(rig);
}

static void give(struct pg_fake_group *group, const char *key, int64_t version) {
    pg_fake_begin(group, 2);
    pg_fake_row(group, "ti", key, version);
    pg_fake_end(group);
}

static void commit(struct pg_fake_group *group, const char *key, int64_t version) {
    give(group, key, version);
    pg_fake_sync(group);
}

static void refuse(struct pg_fake_group *group, const char *state, const char *message) {
    pg_fake_error(group, state, message);
    pg_fake_sync(group);
}

/* A write is under way, so that what follows waits and shares a statement. */
static struct pg_rig_ask *occupy(void) {
    struct pg_rig_ask *ask = pg_rig_set(rig, "busy", "1");
    await_group("write1");
    return ask;
}

/* ---- the plain way ---- */

Test(store_write, a_write_is_one_statement_between_two_lock_timeouts) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    struct pg_fake_group *group = await_group("write1");
    cr_assert_eq(pg_fake_count(group), 1);
    cr_assert_not_null(strstr(pg_fake_sql(group, 0), "INSERT INTO \"app\".\"entry\""));
    cr_assert_str_eq(keys_of(group), "a");
    cr_assert_str_eq(pg_fake_array(pg_fake_param(group, 0, 1)), "va");
    cr_assert_str_eq(pg_fake_setting(group, 0), "50ms");
    cr_assert_str_eq(pg_fake_setting(group, 1), "0ms"); /* it would hit NOTIFY's lock at COMMIT */
    commit(group, "a", 42);
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_OK);
    cr_assert_eq(a->versions[0], 42);
    cr_assert_eq(a->changed, 1);
    cr_assert(a->cacheable);
    cr_assert_eq(a->outcome, -1);
}

Test(store_write, what_arrives_during_a_commit_is_committed_together) {
    struct pg_rig_ask *busy = occupy(), *c = pg_rig_set(rig, "c", "vc"),
                      *a = pg_rig_set(rig, "a", "va"), *b = pg_rig_mset2(rig, "d", "vd", "b", "vb");
    turns(5);
    cr_assert_eq(pg_fake_groups(rig->fake), 1, "a second write on a busy connection");
    commit(pg_fake_group(rig->fake, 0), "busy", 1);
    struct pg_fake_group *group = await_group("write1");
    cr_assert_str_eq(keys_of(group), "a b c d");
    cr_assert_str_eq(pg_fake_array(pg_fake_param(group, 0, 1)), "va vb vc vd");
    pg_fake_begin(group, 2);
    pg_fake_row(group, "ti", "d", (int64_t)14); /* in any order */
    pg_fake_row(group, "ti", "a", (int64_t)11);
    pg_fake_row(group, "ti", "c", (int64_t)13);
    pg_fake_row(group, "ti", "b", (int64_t)12);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, busy->answered && a->answered && b->answered && c->answered));
    cr_assert_eq(a->versions[0], 11);
    cr_assert_eq(c->versions[0], 13);
    cr_assert_eq(b->versions[0], 14);
    cr_assert_eq(b->versions[1], 12);
    cr_assert_eq(b->changed, 2);
}

/* A batch of five is answered, after it took long enough for a wait. */
static void answer_five(void) {
    static const char *const KEYS[] = {"a", "b", "c", "d", "e"};
    struct pg_rig_ask *asks[5], *busy = occupy();
    for (int i = 0; i < 5; i++)
        asks[i] = pg_rig_set(rig, KEYS[i], "v");
    commit(pg_fake_group(rig->fake, 0), "busy", 1);
    struct pg_fake_group *group = await_group("write1");
    cr_assert(busy->answered);
    usleep(8000);
    pg_fake_begin(group, 2);
    for (int i = 0; i < 5; i++)
        pg_fake_row(group, "ti", KEYS[i], (int64_t)(10 + i));
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, asks[4]->answered));
}

/* See write_gate.h. A machine that is busy elsewhere may sleep through a wait, not through all. */
Test(store_write, after_many_were_answered_the_next_waits_for_them_a_moment) {
    bool held = false;
    for (int tries = 0; tries < 50 && !held; tries++) {
        answer_five();
        struct pg_rig_ask *next = pg_rig_set(rig, "next", "v");
        pg_rig_turn(rig); /* in which it would be sent */
        struct pg_rig_ask *last = pg_rig_set(rig, "last", "v");
        struct pg_fake_group *group = await_group("write1"); /* nobody else comes */
        held = strcmp(keys_of(group), "last next") == 0;
        pg_fake_begin(group, 2);
        pg_fake_row(group, "ti", "next", (int64_t)20);
        if (held)
            pg_fake_row(group, "ti", "last", (int64_t)21);
        pg_fake_end(group);
        pg_fake_sync(group);
        if (!held)
            commit(await_group("write1"), "last", 21);
        cr_assert(PG_UNTIL(rig, next->answered && last->answered));
        cr_assert_eq(next->status, STORE_OK);
        cr_assert_eq(last->status, STORE_OK);
    }
    cr_assert(held);
}

Test(store_write, a_write_that_waits_for_others_can_be_taken_back) {
    answer_five();
    struct pg_rig_ask *next = pg_rig_set(rig, "next", "v");
    cr_assert(store_write_cancel(rig->store, &next->write));
    next->answered = true; /* never will be */
    struct pg_rig_ask *last = pg_rig_set(rig, "last", "v");
    struct pg_fake_group *group = await_group("write1");
    cr_assert_str_eq(keys_of(group), "last");
    commit(group, "last", 21);
    cr_assert(PG_UNTIL(rig, last->answered));
}

Test(store_write, sets_and_deletes_are_statements_of_their_own) {
    struct pg_rig_ask *busy = occupy(), *del = pg_rig_delete(rig, "x"),
                      *set = pg_rig_set(rig, "a", "va");
    commit(pg_fake_group(rig->fake, 0), "busy", 1);
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    struct pg_fake_group *sets = pg_fake_group(rig->fake, 0),
                         *deletes = pg_fake_group(rig->fake, 1);
    cr_assert_not_null(strstr(pg_fake_sql(sets, 0), "INSERT INTO"));
    cr_assert_not_null(strstr(pg_fake_sql(deletes, 0), "\"active\" = false"));
    cr_assert_str_eq(keys_of(deletes), "x");
    commit(sets, "a", 2);
    commit(deletes, "x", 3);
    cr_assert(PG_UNTIL(rig, busy->answered && del->answered && set->answered));
    cr_assert_eq(del->versions[0], 3);
}

Test(store_write, a_delete_of_nothing_changes_nothing) {
    struct pg_rig_ask *del = pg_rig_delete2(rig, "x", "y");
    struct pg_fake_group *group = await_group("write1");
    pg_fake_begin(group, 2);
    pg_fake_row(group, "ti", "y", (int64_t)3);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, del->answered));
    cr_assert_eq(del->versions[0], 0);
    cr_assert_eq(del->versions[1], 3);
    cr_assert_eq(del->changed, 1);
}

Test(store_write, a_key_that_is_named_twice_counts_once) {
    struct pg_rig_ask *del = pg_rig_delete2(rig, "x", "x");
    struct pg_fake_group *group = await_group("write1");
    cr_assert_str_eq(keys_of(group), "x");
    commit(group, "x", 3);
    cr_assert(PG_UNTIL(rig, del->answered));
    cr_assert_eq(del->versions[0], 3);
    cr_assert_eq(del->versions[1], 3);
    cr_assert_eq(del->changed, 1);
}

/* ---- rule 1: COMMIT is known when the Sync has answered ---- */

Test(store_write, a_row_is_no_commit_before_the_sync_is_answered) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    struct pg_fake_group *group = await_group("write1");
    give(group, "a", 42);
    turns(5);
    cr_assert_not(a->answered, "TUPLES_OK was taken for a commit");
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_OK);
}

Test(store_write, lost_after_its_row_it_is_uncertain) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    struct pg_fake_group *group = await_group("write1");
    give(group, "a", 42);
    turns(3);
    pg_fake_cut(group);
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_UNCERTAIN);
}

/* A deferred trigger or the COMMIT itself may fail after the row was given. */
Test(store_write, an_error_after_its_row_means_that_it_did_not_happen) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    struct pg_fake_group *group = await_group("write1");
    give(group, "a", 42);
    refuse(group, "53100", "could not write: disk full");
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_REFUSED);
    cr_assert_str_eq(a->detail, "could not write: disk full");
}

/* libpq says so when it had no memory for the row: the statement was done all the same. */
Test(store_write, a_result_that_libpq_could_not_take_is_uncertain) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    refuse(await_group("write1"), NULL, "out of memory");
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_UNCERTAIN);
    cr_assert(PG_UNTIL(rig, pg_fake_sessions(rig->fake, "write1") == 1 &&
                                pg_fake_terminated(rig->fake)[0] != '\0'));
}

Test(store_write, a_fatal_error_is_uncertain) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    pg_fake_fatal(await_group("write1"), "57P01", "terminating connection");
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_UNCERTAIN);
}

Test(store_write, an_error_without_its_sync_is_uncertain) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    struct pg_fake_group *group = await_group("write1");
    pg_fake_error(group, "23514", "violates a check");
    turns(3);
    cr_assert_not(a->answered);
    pg_fake_cut(group);
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_UNCERTAIN);
}

Test(store_write, silence_is_uncertain_and_the_late_answer_reaches_nobody) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    await_group("write1");
    pg_rig_later(rig, rig->conf.write_deadline_ms + 100);
    cr_assert(a->answered);
    cr_assert_eq(a->status, STORE_UNCERTAIN);
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
    struct pg_rig_ask *b = pg_rig_set(rig, "b", "vb"); /* pg_rig ends the test at a second answer */
    commit(await_group("write1"), "b", 7);
    cr_assert(PG_UNTIL(rig, b->answered));
    cr_assert_eq(b->versions[0], 7);
}

/* Rule 7. */
Test(store_write, nothing_is_written_before_the_lost_backend_is_terminated) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    await_group("write1");
    pg_fake_hold(rig->fake, "pg_terminate_backend");
    pg_fake_drop(rig->fake, "write1");
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    turns(5);
    cr_assert_eq(pg_rig_set(rig, "b", "vb")->status, STORE_DOWN);
    struct pg_fake_group *setup = pg_fake_group(rig->fake, 0);
    pg_fake_begin(setup, 1);
    pg_fake_end(setup);
    pg_fake_begin(setup, 3);
    pg_fake_row(setup, "ttt", "1/00000001/start", "2000", "2026-01-01 00:00:00+00");
    pg_fake_end(setup);
    pg_fake_sync(setup);
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
    struct pg_rig_ask *b = pg_rig_set(rig, "b", "vb");
    commit(await_group("write1"), "b", 7);
    cr_assert(PG_UNTIL(rig, b->answered));
}

/* ---- rule 12: a batch isolates its bad request ---- */

Test(store_write, a_request_alone_that_is_refused_is_not_tried_again) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    refuse(await_group("write1"), "23514", "violates a check \"c\"\nof yours");
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_REFUSED);
    cr_assert_str_eq(a->detail, "violates a check 'c' of yours");
    cr_assert_eq(pg_fake_groups(rig->fake), 0);
}

Test(store_write, a_batch_that_fails_is_tried_again_request_by_request) {
    struct pg_rig_ask *busy = occupy(), *a = pg_rig_set(rig, "a", "va"),
                      *bad = pg_rig_set(rig, "bad", "x"),
                      *both = pg_rig_mset2(rig, "m1", "1", "m2", "2");
    commit(pg_fake_group(rig->fake, 0), "busy", 1);
    refuse(await_group("write1"), "23514", "violates a check");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 3));
    cr_assert_not(a->answered || bad->answered || both->answered);
    static const char *const KEYS[] = {"a", "bad", "m1 m2"}; /* never row by row */
    for (unsigned i = 0; i < 3; i++) {
        cr_expect_str_eq(pg_fake_session(pg_fake_group(rig->fake, i)), "slow1");
        cr_expect_str_eq(keys_of(pg_fake_group(rig->fake, i)), KEYS[i]);
        cr_expect_str_eq(pg_fake_setting(pg_fake_group(rig->fake, i), 0), "5ms");
    }
    commit(pg_fake_group(rig->fake, 0), "a", 2);
    refuse(pg_fake_group(rig->fake, 0), "23514", "violates a check");
    struct pg_fake_group *last = pg_fake_group(rig->fake, 0);
    pg_fake_begin(last, 2);
    pg_fake_row(last, "ti", "m1", (int64_t)3);
    pg_fake_row(last, "ti", "m2", (int64_t)4);
    pg_fake_end(last);
    pg_fake_sync(last);
    cr_assert(PG_UNTIL(rig, busy->answered && a->answered && bad->answered && both->answered));
    cr_assert_eq(a->status, STORE_OK);
    cr_assert_eq(bad->status, STORE_REFUSED);
    cr_assert_eq(both->status, STORE_OK);
    struct store_figures figures;
    store_pg_figures(rig->store, &figures);
    cr_assert_eq(figures.retried_alone, 3);
}

Test(store_write, a_locked_row_costs_only_those_who_want_it) {
    struct pg_rig_ask *busy = occupy(), *a = pg_rig_set(rig, "a", "va"),
                      *locked = pg_rig_set(rig, "locked", "x");
    commit(pg_fake_group(rig->fake, 0), "busy", 1);
    refuse(await_group("write1"), "55P03", "lock timeout");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    commit(pg_fake_group(rig->fake, 0), "a", 2);
    refuse(pg_fake_group(rig->fake, 0), "55P03", "lock timeout");
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_OK);
    struct pg_fake_group *patient = await_group("slow1");
    cr_assert_str_eq(keys_of(patient), "locked");
    cr_assert_str_eq(pg_fake_setting(patient, 0), "500ms");
    /* others go on meanwhile */
    struct pg_rig_ask *other = pg_rig_set(rig, "b", "vb");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    commit(pg_fake_group(rig->fake, 1), "b", 3);
    cr_assert(PG_UNTIL(rig, other->answered && busy->answered));
    cr_assert_not(locked->answered);
    refuse(patient, "55P03", "lock timeout");
    cr_assert(PG_UNTIL(rig, locked->answered));
    cr_assert_eq(locked->status, STORE_LOCKED);
}

Test(store_write, a_request_alone_that_meets_a_lock_gets_its_patience) {
    struct pg_rig_ask *a = pg_rig_set(rig, "a", "va");
    refuse(await_group("write1"), "40P01", "deadlock detected");
    refuse(await_group("slow1"), "55P03", "lock timeout");
    commit(await_group("slow1"), "a", 9);
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_OK);
    cr_assert_eq(a->versions[0], 9);
}

Test(store_write, without_a_slow_lane_the_error_is_the_answer) {
    struct pg_rig_ask *busy = occupy(), *a = pg_rig_set(rig, "a", "va"),
                      *b = pg_rig_set(rig, "b", "vb");
    pg_fake_listen(rig->fake, false);
    pg_fake_drop(rig->fake, "slow1");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    commit(pg_fake_group(rig->fake, 0), "busy", 1);
    refuse(await_group("write1"), "55P03", "lock timeout");
    cr_assert(PG_UNTIL(rig, busy->answered && a->answered && b->answered));
    cr_assert_eq(a->status, STORE_LOCKED);
    cr_assert_eq(b->status, STORE_LOCKED);
}

Test(store_write, the_slow_lane_lost_what_waits_there_was_not_sent) {
    struct pg_rig_ask *busy = occupy(), *a = pg_rig_set(rig, "a", "va"),
                      *b = pg_rig_set(rig, "b", "vb");
    commit(pg_fake_group(rig->fake, 0), "busy", 1);
    refuse(await_group("write1"), "55P03", "lock timeout");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    refuse(pg_fake_group(rig->fake, 0), "55P03", "lock timeout");
    refuse(pg_fake_group(rig->fake, 0), "55P03", "lock timeout");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1)); /* one has its 500 ms, one waits */
    pg_fake_drop(rig->fake, "slow1");
    cr_assert(PG_UNTIL(rig, busy->answered && a->answered && b->answered));
    cr_assert_eq(a->status, STORE_UNCERTAIN);
    cr_assert_eq(b->status, STORE_DOWN);
}

Test(store_write, a_write_that_waits_to_be_tried_again_can_be_taken_back) {
    struct pg_rig_ask *busy = occupy(), *a = pg_rig_set(rig, "a", "va"),
                      *b = pg_rig_set(rig, "b", "vb");
    commit(pg_fake_group(rig->fake, 0), "busy", 1);
    refuse(await_group("write1"), "55P03", "lock timeout");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    refuse(pg_fake_group(rig->fake, 0), "55P03", "lock timeout");
    refuse(pg_fake_group(rig->fake, 0), "55P03", "lock timeout");
    struct pg_fake_group *patient = await_group("slow1");
    cr_assert_str_eq(keys_of(patient), "a");
    cr_assert_not(store_write_cancel(rig->store, &a->write));
    cr_assert(store_write_cancel(rig->store, &b->write));
    b->answered = true; /* never will be */
    commit(patient, "a", 5);
    cr_assert(PG_UNTIL(rig, a->answered && busy->answered));
}
