// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
#include <criterion/criterion.h>

#include "../fakes/pg_rig.h"

static struct pg_rig *rig;

static void set_up(void) {
    rig = pg_rig_new();
    pg_rig_store(rig);
}

static void tear_down(void) {
    pg_rig_free(&rig);
}

TestSuite(store_query, .init = set_up, .fini = tear_down);

static struct pg_fake_group *await_group(void) {
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    return pg_fake_group(rig->fake, 0);
}

static void give_count(struct pg_fake_group *group, int64_t count) {
    pg_fake_begin(group, 1);
    pg_fake_row(group, "i", count);
    pg_fake_end(group);
    pg_fake_sync(group);
}

Test(store_query, counts_rows) {
    struct pg_rig_ask *ask = pg_rig_ask(rig, STORE_COUNT_ROWS, "");
    struct pg_fake_group *group = await_group();
    cr_assert_str_eq(pg_fake_session(group), "read1");
    cr_assert_not_null(strstr(pg_fake_sql(group, 0), "count(*)"));
    give_count(group, 1234);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_OK);
    cr_assert_eq(ask->count, 1234);
}

Test(store_query, estimates_when_counting_takes_too_long) {
    struct pg_rig_ask *ask = pg_rig_ask(rig, STORE_COUNT_ROWS, "");
    struct pg_fake_group *group = await_group();
    pg_fake_error(group, "57014", "canceling statement due to statement timeout");
    pg_fake_sync(group);
    group = await_group();
    cr_assert_not_null(strstr(pg_fake_sql(group, 0), "reltuples"));
    cr_assert_not(ask->answered);
    give_count(group, 1000000);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->count, 1000000);
}

Test(store_query, an_estimate_that_fails_too_is_a_failure) {
    struct pg_rig_ask *ask = pg_rig_ask(rig, STORE_COUNT_ROWS, "");
    for (int i = 0; i < 2; i++) {
        struct pg_fake_group *group = await_group();
        pg_fake_error(group, "57014", "canceling statement");
        pg_fake_sync(group);
        if (i == 0)
            cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    }
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_FAILED);
}

Test(store_query, gives_a_whole_row_live_or_not) {
    struct pg_rig_ask *ask = pg_rig_ask(rig, STORE_WHOLE_ROW, "k");
    struct pg_fake_group *group = await_group();
    cr_assert_str_eq(pg_fake_param(group, 0, 0).ptr, "k");
    pg_fake_begin(group, 6); /* payload, active, version, expires, updated, live */
    pg_fake_row(group, "tbiiib", "old", 1, (int64_t)5, (int64_t)99000, (int64_t)88000, 0);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert(ask->present);
    cr_assert_not(ask->live);
    cr_assert_str_eq(ask->value, "old");
    cr_assert_eq(ask->versions[0], 5);
    cr_assert_eq(ask->ttl_ms, 99000);
}

Test(store_query, a_row_that_is_not_there_is_an_answer) {
    struct pg_rig_ask *ask = pg_rig_ask(rig, STORE_WHOLE_ROW, "k");
    struct pg_fake_group *group = await_group();
    pg_fake_begin(group, 6);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_OK);
    cr_assert_not(ask->present || ask->live);
    cr_assert_eq(ask->ttl_ms, -1);
}

Test(store_query, a_slow_one_holds_up_its_own_connection_alone) {
    pg_rig_free(&rig);
    rig = pg_rig_new();
    rig->conf.read_connections = 2;
    pg_rig_store(rig);
    struct pg_rig_ask *slow = pg_rig_ask(rig, STORE_COUNT_ROWS, "");
    struct pg_fake_group *count = await_group();
    struct pg_rig_ask *get = pg_rig_get(rig, "a");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    struct pg_fake_group *read = pg_fake_group(rig->fake, 1);
    pg_fake_begin(read, 4);
    pg_fake_end(read);
    pg_fake_sync(read);
    cr_assert(PG_UNTIL(rig, get->answered));
    cr_assert_not(slow->answered);
    struct pg_rig_ask *next = pg_rig_ask(rig, STORE_COUNT_ROWS, "");
    for (int i = 0; i < 5; i++)
        pg_rig_turn(rig);
    cr_assert_eq(pg_fake_groups(rig->fake), 1, "questions took all connections");
    give_count(count, 1);
    cr_assert(PG_UNTIL(rig, slow->answered));
    give_count(await_group(), 2);
    cr_assert(PG_UNTIL(rig, next->answered));
}

Test(store_query, lost_it_has_failed) {
    struct pg_rig_ask *ask = pg_rig_ask(rig, STORE_COUNT_ROWS, "");
    pg_fake_cut(await_group());
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_FAILED);
}

Test(store_query, its_queue_has_a_bound) {
    enum { QUERIES_MAX = 1024 };
    for (int i = 0; i < QUERIES_MAX; i++)
        cr_assert_eq(pg_rig_ask(rig, STORE_COUNT_ROWS, "")->status, STORE_OK, "%d", i);
    cr_assert_eq(pg_rig_ask(rig, STORE_COUNT_ROWS, "")->status, STORE_BUSY);
}

/* Behind slow ones a question does not wait for ever. */
Test(store_query, what_waits_too_long_is_given_up) {
    struct pg_rig_ask *slow = pg_rig_ask(rig, STORE_COUNT_ROWS, "");
    struct pg_fake_group *count = await_group();
    struct pg_rig_ask *first = pg_rig_ask(rig, STORE_WHOLE_ROW, "a"),
                      *second = pg_rig_ask(rig, STORE_WHOLE_ROW, "b");
    pg_rig_later(rig, rig->conf.read_deadline_ms / 2);
    cr_assert_not(first->answered || second->answered);
    pg_fake_begin(count, 1); /* it is answered in time; and the next one takes its time, too */
    pg_fake_row(count, "i", (int64_t)1);
    pg_fake_end(count);
    pg_fake_sync(count);
    cr_assert(PG_UNTIL(rig, slow->answered));
    struct pg_fake_group *row = await_group();
    cr_assert_str_eq(pg_fake_param(row, 0, 0).ptr, "a");
    pg_rig_later(rig, rig->conf.read_deadline_ms + 1);
    cr_assert(second->answered);
    cr_assert_eq(second->status, STORE_BUSY);
}

/* What SCAN needs to leave the last place out. */
static uint32_t before;
static uint64_t place_before, last_place;

static void note_places(struct store_query *query, enum store_status status,
                        const struct store_answer *answer) {
    cr_assert_eq(status, STORE_OK);
    before = answer->keys_before;
    place_before = answer->place_before;
    last_place = answer->last_place;
    ((struct pg_rig_ask *)((char *)query - offsetof(struct pg_rig_ask, query)))->answered = true;
}

Test(store_query, a_scan_says_which_keys_are_before_the_last_place) {
    static const struct {
        int64_t hashes[3];
        uint32_t before;
        uint64_t places[2];
    } CASES[] = {{{1, 2, 3}, 2, {2, 3}}, {{1, 3, 3}, 1, {1, 3}}, {{3, 3, 3}, 0, {0, 3}}};
    const uint64_t middle = (uint64_t)1 << (STORE_PLACE_BITS - 1);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct pg_rig_ask *ask = pg_rig_ask(rig, STORE_SCAN, "");
        ask->query.done = note_places;
        struct pg_fake_group *group = await_group();
        pg_fake_begin(group, 2);
        for (int k = 0; k < 3; k++)
            pg_fake_row(group, "ti", "key", CASES[i].hashes[k]);
        pg_fake_end(group);
        if (i == 0) { /* whether there is the index */
            pg_fake_begin(group, 1);
            pg_fake_row(group, "b", 1);
            pg_fake_end(group);
        }
        pg_fake_sync(group);
        cr_assert(PG_UNTIL(rig, ask->answered));
        cr_assert_eq(before, CASES[i].before, "case %zu: %u", i, before);
        cr_assert_eq(last_place, middle + CASES[i].places[1]);
        if (before != 0)
            cr_assert_eq(place_before, middle + CASES[i].places[0]);
    }
}

/* ---- those that change rows ---- */

/* Its lock time-out is set before and taken back behind it. */
static struct pg_fake_group *await_chore(const char *timeout) {
    struct pg_fake_group *group = await_group();
    cr_assert_str_eq(pg_fake_session(group), "slow1");
    cr_assert_eq(pg_fake_count(group), 1);
    cr_assert_not_null(strstr(pg_fake_sql(group, 0), "UPDATE"));
    cr_assert_str_eq(pg_fake_setting(group, 0), timeout);
    cr_assert_str_eq(pg_fake_setting(group, 1), "0ms");
    return group;
}

Test(store_query, what_changes_rows_does_not_wait_for_a_lock) {
    static const enum store_question CHORES[] = {STORE_FLUSH, STORE_SWEEP};
    static const char *const TIMEOUTS[] = {"500ms", "5ms"};
    for (int i = 0; i < 2; i++) {
        struct pg_rig_ask *ask = pg_rig_ask(rig, CHORES[i], "");
        struct pg_fake_group *group = await_chore(TIMEOUTS[i]);
        pg_fake_error(group, "55P03", "canceling statement due to lock timeout");
        pg_fake_sync(group);
        cr_assert(PG_UNTIL(rig, ask->answered));
        cr_assert_eq(ask->status, STORE_LOCKED);
    }
}

Test(store_query, what_changes_rows_says_how_many) {
    struct pg_rig_ask *ask = pg_rig_ask(rig, STORE_FLUSH, "");
    struct pg_fake_group *group = await_chore("500ms");
    pg_fake_begin(group, 2);
    pg_fake_row(group, "it", (int64_t)3, "last");
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_OK);
    cr_assert_eq(ask->count, 3);
}
