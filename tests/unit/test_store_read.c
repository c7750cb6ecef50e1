// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
#include <criterion/criterion.h>
#include <stdio.h>

#include "../fakes/pg_rig.h"

static struct pg_rig *rig;

static void set_up(void) {
    rig = pg_rig_new();
    pg_rig_store(rig);
}

static void tear_down(void) {
    pg_rig_free(&rig);
}

TestSuite(store_read, .init = set_up, .fini = tear_down);

static struct pg_fake_group *await_group(void) {
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    return pg_fake_group(rig->fake, 0);
}

static const char *keys_of(const struct pg_fake_group *group) {
    return pg_fake_array(pg_fake_param(group, 0, 0));
}

Test(store_read, the_first_miss_goes_at_once_and_the_next_together) {
    struct pg_rig_ask *a = pg_rig_get(rig, "a");
    struct pg_fake_group *group = await_group();
    cr_assert_not_null(strstr(pg_fake_sql(group, 0), "= ANY ($1::text[])"));
    cr_assert_eq(pg_fake_count(group), 1);
    cr_assert_str_eq(keys_of(group), "a");
    struct pg_rig_ask *c = pg_rig_get(rig, "c"), *b = pg_rig_get(rig, "b");
    for (int i = 0; i < 5; i++)
        pg_rig_turn(rig);
    cr_assert_eq(pg_fake_groups(rig->fake), 1, "a second read on a busy connection");
    pg_fake_begin(group, 4);
    pg_fake_row(group, "ttii", "a", "va", (int64_t)7, (int64_t)1500);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_str_eq(a->value, "va");
    cr_assert_eq(a->versions[0], 7);
    cr_assert_eq(a->ttl_ms, 1500);
    cr_assert(a->present && a->cacheable);
    group = await_group();
    cr_assert_str_eq(keys_of(group), "b c");
    pg_fake_begin(group, 4);
    pg_fake_row(group, "ttin", "c", "vc", (int64_t)9);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, b->answered && c->answered));
    cr_assert_eq(b->status, STORE_OK);
    cr_assert_not(b->present);
    cr_assert(b->cacheable);
    cr_assert_str_eq(c->value, "vc");
    cr_assert_eq(c->ttl_ms, -1);
}

Test(store_read, matches_rows_by_key_and_not_by_place) {
    struct pg_rig_ask *asks[3];
    static const char *const KEYS[] = {"x", "y", "x"}; /* asked for twice: both get it */
    for (int i = 0; i < 3; i++)
        asks[i] = pg_rig_get(rig, KEYS[i]);
    struct pg_fake_group *group = await_group();
    pg_fake_begin(group, 4);
    pg_fake_row(group, "ttin", "y", "vy", (int64_t)2);
    pg_fake_row(group, "ttin", "x", "vx", (int64_t)1);
    pg_fake_row(group, "ttin", "z", "nobody's", (int64_t)3);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, asks[0]->answered && asks[1]->answered && asks[2]->answered));
    cr_assert_str_eq(asks[0]->value, "vx");
    cr_assert_str_eq(asks[1]->value, "vy");
    cr_assert_str_eq(asks[2]->value, "vx");
}

/* Rule 1, for reads: the answer is whole when its Sync is answered. */
Test(store_read, a_row_without_the_sync_is_no_answer) {
    struct pg_rig_ask *a = pg_rig_get(rig, "a");
    struct pg_fake_group *group = await_group();
    pg_fake_begin(group, 4);
    pg_fake_row(group, "ttin", "a", "va", (int64_t)7);
    pg_fake_end(group);
    for (int i = 0; i < 5; i++)
        pg_rig_turn(rig);
    cr_assert_not(a->answered);
    pg_fake_cut(group);
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_FAILED);
}

Test(store_read, an_error_fails_the_batch_and_says_why) {
    struct pg_rig_ask *a = pg_rig_get(rig, "a"), *b = pg_rig_get(rig, "b");
    struct pg_fake_group *group = await_group();
    pg_fake_error(group, "57014", "canceling statement\ndue to statement timeout");
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, a->answered && b->answered));
    cr_assert_eq(a->status, STORE_FAILED);
    cr_assert_eq(b->status, STORE_FAILED);
    cr_assert_not_null(strstr(a->detail, "statement timeout"), "%s", a->detail);
    cr_assert_null(strchr(a->detail, '\n'));
    struct pg_rig_ask *again = pg_rig_get(rig, "a"); /* the connection serves on */
    group = await_group();
    pg_fake_begin(group, 4);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, again->answered));
    cr_assert_eq(again->status, STORE_OK);
}

Test(store_read, never_answers_absent_for_a_failure) {
    struct pg_rig_ask *a = pg_rig_get(rig, "a");
    struct pg_fake_group *group = await_group();
    pg_fake_begin(group, 4); /* a part of the rows, then an error */
    pg_fake_row(group, "ttin", "b", "vb", (int64_t)7);
    pg_fake_error(group, "XX001", "invalid page");
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, a->answered));
    cr_assert_eq(a->status, STORE_FAILED);
}

Test(store_read, a_silent_server_costs_the_reads_their_connection) {
    struct pg_rig_ask *a = pg_rig_get(rig, "a");
    await_group();
    pg_rig_later(rig, rig->conf.read_deadline_ms + 100);
    cr_assert(a->answered);
    cr_assert_eq(a->status, STORE_FAILED);
    cr_assert(PG_UNTIL(rig, store_up(rig->store)));
}

/* ---- the gate: overload, as after the loss of another node ---- */

static void make_with(int64_t connections, int64_t fills_max, int64_t fill_rate_max) {
    pg_rig_free(&rig);
    rig = pg_rig_new();
    rig->conf.read_connections = connections;
    rig->conf.fills_max = fills_max;
    rig->conf.fill_rate_max = fill_rate_max;
    pg_rig_store(rig);
}

static size_t keys_in(const struct pg_fake_group *group) {
    return (pg_fake_param(group, 0, 0).len - 20) / 9;
}

static void ask_many(int from, int until) {
    char key[16];
    for (int i = from; i < until; i++) {
        snprintf(key, sizeof(key), "%05d", i);
        pg_rig_get(rig, key);
    }
}

static void answer_empty(struct pg_fake_group *group) {
    pg_fake_begin(group, 4);
    pg_fake_end(group);
    pg_fake_sync(group);
}

static void answer_all(void) {
    struct store_figures figures;
    do {
        while (pg_fake_groups(rig->fake) != 0)
            answer_empty(pg_fake_group(rig->fake, 0));
        pg_rig_turn(rig);
        store_pg_figures(rig->store, &figures);
    } while (figures.reads_waiting != 0 || pg_fake_groups(rig->fake) != 0);
    pg_rig_turn(rig);
}

Test(store_read, rows_at_postgresql_are_bounded_over_all_connections) {
    make_with(2, 10, 0);
    ask_many(0, 40);
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    for (int i = 0; i < 20; i++)
        pg_rig_turn(rig);
    cr_assert_eq(pg_fake_groups(rig->fake), 2);
    cr_expect_eq(keys_in(pg_fake_group(rig->fake, 0)), 5);
    cr_expect_eq(keys_in(pg_fake_group(rig->fake, 1)), 5);
    answer_all();
}

Test(store_read, writes_go_while_the_reads_are_at_their_bound) {
    make_with(2, 2, 0);
    ask_many(0, 40);
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    struct pg_rig_ask *set = pg_rig_set(rig, "k", "v");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 3));
    cr_expect_not(set->answered);
    pg_fake_cut(pg_fake_group(rig->fake, 2));
    cr_assert(PG_UNTIL(rig, set->answered));
    answer_all();
}

Test(store_read, a_rate_is_kept_without_an_answer_to_wake_it) {
    make_with(1, 0, 1000);
    ask_many(0, 60);
    int64_t from_ms = pg_rig_now_ms();
    struct store_figures figures;
    answer_all();
    store_pg_figures(rig->store, &figures);
    cr_expect_eq(figures.reads, 60u);
    cr_expect(pg_rig_now_ms() - from_ms >= 45, "60 rows within %d ms at 1000/s",
              (int)(pg_rig_now_ms() - from_ms));
    cr_expect(figures.read_batches < 40, "they still travel together: %d statements",
              (int)figures.read_batches);
}

Test(store_read, a_get_that_waits_can_be_taken_back_and_one_that_was_sent_cannot) {
    struct pg_rig_ask *asks[5];
    static const char *const KEYS[] = {"sent", "b", "c", "d", "e"};
    asks[0] = pg_rig_get(rig, KEYS[0]);
    struct pg_fake_group *group = await_group();
    for (int i = 1; i < 5; i++)
        asks[i] = pg_rig_get(rig, KEYS[i]);
    cr_expect_not(store_get_cancel(rig->store, &asks[0]->get));
    cr_expect(store_get_cancel(rig->store, &asks[1]->get), "the first");
    cr_expect(store_get_cancel(rig->store, &asks[4]->get), "the last");
    asks[1]->answered = asks[4]->answered = true; /* by nobody */
    answer_empty(group);
    cr_assert(PG_UNTIL(rig, asks[0]->answered));
    group = await_group();
    cr_expect_str_eq(keys_of(group), "c d");
    pg_rig_get(rig, "f");
    answer_empty(group);
    cr_assert(PG_UNTIL(rig, asks[2]->answered && asks[3]->answered));
    group = await_group();
    cr_expect_str_eq(keys_of(group), "f");
    answer_empty(group);
    answer_all();
}

Test(store_read, a_batch_has_its_bound) {
    enum { READS = 600, BATCH_ROWS_MAX = 512 };
    char key[16];
    size_t len = 0;
    struct pg_rig_ask *last = NULL;
    for (int i = 0; i < READS; i++) {
        snprintf(key, sizeof(key), "%05d", i);
        last = pg_rig_get(rig, key);
    }
    struct pg_fake_group *group = await_group();
    len = pg_fake_param(group, 0, 0).len;
    cr_assert_eq(len, 20 + BATCH_ROWS_MAX * 9, "%zu bytes", len);
    pg_fake_begin(group, 4);
    pg_fake_end(group);
    pg_fake_sync(group);
    group = await_group();
    cr_assert_eq(pg_fake_param(group, 0, 0).len, 20 + (READS - BATCH_ROWS_MAX) * 9);
    pg_fake_begin(group, 4);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, last->answered));
}
