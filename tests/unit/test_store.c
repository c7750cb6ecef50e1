// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
/* Queues, connections and whom the store trusts; test_store_read and so on have the statements. */
#include <criterion/criterion.h>

#include "../../node/pg_conn.h"
#include "../fakes/pg_rig.h"

static struct pg_rig *rig;

static void set_up(void) {
    rig = pg_rig_new();
}

static void tear_down(void) {
    pg_rig_free(&rig);
}

TestSuite(store, .init = set_up, .fini = tear_down);

static void turns(unsigned count) {
    while (count-- > 0)
        pg_rig_turn(rig);
}

static struct pg_fake_group *await_group(unsigned count) {
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == count), "%u groups wait, not %u",
              pg_fake_groups(rig->fake), count);
    return pg_fake_group(rig->fake, 0);
}

static void commit(struct pg_fake_group *group, const char *key, int64_t version) {
    pg_fake_begin(group, 2);
    pg_fake_row(group, "ti", key, version);
    pg_fake_end(group);
    pg_fake_sync(group);
}

static void row(struct pg_fake_group *group, const char *key, const char *value) {
    pg_fake_begin(group, 4);
    pg_fake_row(group, "ttin", key, value, (int64_t)7);
    pg_fake_end(group);
    pg_fake_sync(group);
}

/* ---- making ---- */

Test(store, refuses_names_that_are_no_table) {
    static const char *const BAD[] = {"entry",
                                      "",
                                      ".",
                                      "app.",
                                      ".entry",
                                      "a.b.c",
                                      "app.en\"try",
                                      "app.en'try",
                                      "app.en\\try",
                                      "app.a234567890123456789012345678901234567"
                                      "8901234567890123"};
    char error[300];
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        rig->conf.table = BAD[i];
        error[0] = '\0';
        struct store *store = store_pg_new(rig->base, &rig->conf, error, sizeof(error));
        cr_expect_null(store, "'%s' was taken", BAD[i]);
        cr_expect_not_null(strstr(error, "schema.table"), "'%s': %s", BAD[i], error);
    }
}

Test(store, names_its_channel_and_its_table) {
    pg_rig_store(rig);
    cr_assert_str_eq(store_pg_channel(rig->store), "rf_app_entry");
    cr_assert_str_eq(store_pg_table(rig->store), "\"app\".\"entry\"");
}

Test(store, takes_nothing_before_a_connection_is_up) {
    char error[300];
    pg_fake_hold(rig->fake, "nextval"); /* the PREPAREs are not answered */
    rig->store = store_pg_new(rig->base, &rig->conf, error, sizeof(error));
    cr_assert_not_null(rig->store);
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 3));
    cr_assert_not(store_up(rig->store));
    cr_assert_eq(pg_rig_get(rig, "a")->status, STORE_DOWN);
    cr_assert_eq(pg_rig_set(rig, "a", "1")->status, STORE_DOWN);
    cr_assert_eq(pg_rig_ask(rig, STORE_COUNT_ROWS, "")->status, STORE_DOWN);
    cr_assert_null(store_pg_lend(rig->store));
    cr_assert_eq(pg_rig_connections(rig), 0);
}

Test(store, a_statement_that_cannot_be_prepared_keeps_the_connection_down) {
    char error[300];
    rig->store = store_pg_new(rig->base, &rig->conf, error, sizeof(error));
    pg_fake_fail(rig->fake, "RETURNING", "42501", "permission denied for table entry");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    struct store_figures figures;
    store_pg_figures(rig->store, &figures);
    cr_assert_eq(figures.errors, 1);
    cr_assert_not_null(strstr(figures.last_error, "permission denied"), "%s", figures.last_error);
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
}

/* ---- queues ---- */

Test(store, never_answers_inside_the_call) {
    pg_rig_store(rig);
    pg_fake_drop(rig->fake, NULL);
    struct pg_rig_ask *get = pg_rig_get(rig, "a"); /* pg_rig ends the test if it does */
    struct pg_rig_ask *set = pg_rig_set(rig, "b", "1");
    cr_assert(PG_UNTIL(rig, get->answered && set->answered));
}

Test(store, what_waits_for_a_lost_connection_is_refused_as_not_sent) {
    pg_rig_store(rig);
    struct pg_rig_ask *sent = pg_rig_get(rig, "a"), *put = pg_rig_set(rig, "b", "1");
    await_group(2);
    struct pg_rig_ask *waits = pg_rig_get(rig, "c"), *asks = pg_rig_ask(rig, STORE_COUNT_ROWS, ""),
                      *writes = pg_rig_set(rig, "d", "1");
    turns(2);
    pg_fake_drop(rig->fake, NULL);
    cr_assert(PG_UNTIL(rig, sent->answered && put->answered && waits->answered &&
                                writes->answered && asks->answered));
    cr_assert_eq(sent->status, STORE_FAILED);
    cr_assert_eq(put->status, STORE_UNCERTAIN);
    cr_assert_eq(waits->status, STORE_DOWN);
    cr_assert_eq(asks->status, STORE_DOWN);
    cr_assert_eq(writes->status, STORE_DOWN);
}

Test(store, loses_only_what_the_lost_connection_had) {
    pg_rig_store(rig);
    struct pg_rig_ask *put = pg_rig_set(rig, "b", "1");
    struct pg_fake_group *group = await_group(1);
    pg_fake_drop(rig->fake, "read1");
    cr_assert(PG_UNTIL(rig, !store_up(rig->store)));
    cr_assert_eq(pg_rig_get(rig, "a")->status, STORE_DOWN);
    commit(group, "b", 9);
    cr_assert(PG_UNTIL(rig, put->answered));
    cr_assert_eq(put->status, STORE_OK);
    cr_assert(PG_UNTIL(rig, store_up(rig->store)));
    struct pg_rig_ask *get = pg_rig_get(rig, "a");
    row(await_group(1), "a", "v");
    cr_assert(PG_UNTIL(rig, get->answered));
    cr_assert_str_eq(get->value, "v");
}

Test(store, takes_a_write_back_of_which_nothing_was_sent) {
    pg_rig_store(rig);
    struct pg_rig_ask *sent = pg_rig_set(rig, "a", "1");
    struct pg_fake_group *group = await_group(1);
    struct pg_rig_ask *first = pg_rig_set(rig, "b", "1"), *second = pg_rig_set(rig, "c", "1");
    turns(2);
    cr_assert_not(store_write_cancel(rig->store, &sent->write));
    cr_assert(store_write_cancel(rig->store, &first->write));
    first->answered = true; /* never will be */
    commit(group, "a", 1);
    group = await_group(1);
    cr_assert_str_eq(pg_fake_array(pg_fake_param(group, 0, 0)), "c");
    commit(group, "c", 2);
    cr_assert(PG_UNTIL(rig, second->answered && sent->answered));
}

Test(store, freed_it_answers_all_that_it_was_asked) {
    pg_rig_store(rig);
    struct pg_rig_ask *sent = pg_rig_set(rig, "a", "1"), *read = pg_rig_get(rig, "r");
    await_group(2);
    struct pg_rig_ask *waits = pg_rig_set(rig, "b", "1"), *get = pg_rig_get(rig, "g");
    store_pg_free(&rig->store);
    cr_assert_eq(sent->status, STORE_UNCERTAIN);
    cr_assert_eq(read->status, STORE_FAILED);
    cr_assert_eq(waits->status, STORE_DOWN);
    cr_assert_eq(get->status, STORE_DOWN);
    cr_assert(sent->answered && read->answered && waits->answered && get->answered);
}

/* ---- whom it trusts: rule 9's identity ---- */

Test(store, caches_nothing_before_the_feed_has_said_who_it_is) {
    pg_rig_store(rig);
    store_pg_trust(rig->store, "");
    struct pg_rig_ask *get = pg_rig_get(rig, "a"), *put = pg_rig_set(rig, "b", "1");
    await_group(2);
    for (int i = 0; i < 2; i++) {
        struct pg_fake_group *group = pg_fake_group(rig->fake, 0);
        if (strcmp(pg_fake_session(group), "read1") == 0)
            row(group, "a", "v");
        else
            commit(group, "b", 3);
    }
    cr_assert(PG_UNTIL(rig, get->answered && put->answered));
    cr_assert_eq(get->status, STORE_OK);
    cr_assert_not(get->cacheable);
    cr_assert_eq(put->status, STORE_OK);
    cr_assert_not(put->cacheable);
}

Test(store, closes_connections_to_another_server_than_the_feeds) {
    pg_rig_store(rig);
    store_pg_trust(rig->store, "1/00000002/start");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 0));
    pg_fake_identity(rig->fake, "1/00000002/start");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
    struct pg_rig_ask *get = pg_rig_get(rig, "a");
    row(await_group(1), "a", "v");
    cr_assert(PG_UNTIL(rig, get->answered));
    cr_assert(get->cacheable);
}

Test(store, tells_of_a_connection_that_comes_up_on_another_server) {
    pg_rig_store(rig);
    cr_assert_not(store_pg_moved(rig->store));
    pg_fake_drop(rig->fake, "read1");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
    cr_assert_not(store_pg_moved(rig->store));
    pg_fake_identity(rig->fake, "1/00000002/start");
    pg_fake_drop(rig->fake, "read1");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
    cr_assert(store_pg_moved(rig->store));
    cr_assert_not(store_pg_moved(rig->store), "it is told once");
    struct pg_rig_ask *get = pg_rig_get(rig, "a");
    row(await_group(1), "a", "v");
    cr_assert(PG_UNTIL(rig, get->answered));
    cr_assert_not(get->cacheable);
}

Test(store, lends_another_connection_each_time) {
    pg_rig_store(rig);
    struct pg_conn *first = store_pg_lend(rig->store), *second = store_pg_lend(rig->store);
    cr_assert_not_null(first);
    cr_assert_not_null(second);
    cr_assert_neq(first, second);
    cr_assert_eq(store_pg_lend(rig->store), first);
    pg_fake_drop(rig->fake, "write1");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    cr_assert_eq(store_pg_lend(rig->store), store_pg_lend(rig->store));
}

/* ---- figures ---- */

Test(store, counts_what_it_does) {
    struct store_figures figures;
    pg_rig_store(rig);
    struct pg_rig_ask *get = pg_rig_get(rig, "a"), *same = pg_rig_get(rig, "b"),
                      *put = pg_rig_set(rig, "c", "1");
    store_pg_figures(rig->store, &figures);
    cr_assert_eq(figures.reads_waiting, 2);
    cr_assert_eq(figures.writes_waiting, 1);
    await_group(2);
    for (int i = 0; i < 2; i++) {
        struct pg_fake_group *group = pg_fake_group(rig->fake, 0);
        if (strcmp(pg_fake_session(group), "read1") == 0)
            row(group, "a", "v");
        else
            commit(group, "c", 3);
    }
    cr_assert(PG_UNTIL(rig, get->answered && same->answered && put->answered));
    store_pg_figures(rig->store, &figures);
    cr_assert_eq(figures.reads, 2);
    cr_assert_eq(figures.read_batches, 1);
    cr_assert_eq(figures.rows, 1);
    cr_assert_eq(figures.writes, 1);
    cr_assert_eq(figures.write_batches, 1);
    cr_assert_eq(figures.reads_waiting + figures.writes_waiting, 0);
    cr_assert_eq(figures.errors + figures.reconnects, 0);
    pg_fake_drop(rig->fake, "slow1");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    store_pg_figures(rig->store, &figures);
    cr_assert_eq(figures.reconnects, 1);
    cr_assert_neq(figures.last_error[0], '\0');
}
