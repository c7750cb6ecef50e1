// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <stdio.h>

#include "../../node/pg_conn.h"
#include "../fakes/pg_rig.h"

enum { DEADLINE_MS = 20000, CONNECT_DEADLINE_MS = 3000, RETRY_MAX_MS = 900 };

/* One connection and what it told. */
struct watched {
    struct pg_conn *conn;
    unsigned ups, downs, notifies;
    char payload[64];
};

struct group {
    struct pg_group group;
    struct watched *watched;
    unsigned results, ends, errors, aborted;
    enum pg_group_end end;
    char text[64];
    bool close_it; /* in its first result */
    bool was_down; /* when it ended */
};

static void on_up(void *ctx, struct pg_conn *conn) {
    ((struct watched *)ctx)->ups++;
}

static void on_down(void *ctx, struct pg_conn *conn) {
    ((struct watched *)ctx)->downs++;
}

static void on_notify(void *ctx, const char *payload) {
    struct watched *w = ctx;
    w->notifies++;
    snprintf(w->payload, sizeof(w->payload), "%s", payload);
}

static void on_result(struct pg_group *group, struct pg_result *result) {
    struct group *g = (struct group *)group;
    PGresult *r = (PGresult *)result;
    g->results++;
    g->errors += PQresultStatus(r) == PGRES_FATAL_ERROR;
    g->aborted += PQresultStatus(r) == PGRES_PIPELINE_ABORTED;
    if (PQntuples(r) == 1)
        snprintf(g->text, sizeof(g->text), "%s", PQgetvalue(r, 0, 0));
    if (g->close_it)
        pg_conn_close(g->watched->conn, "the owner's wish");
}

static void on_end(struct pg_group *group, enum pg_group_end end) {
    struct group *g = (struct group *)group;
    g->ends++;
    g->end = end;
    g->was_down = g->watched->downs != 0;
}

static struct pg_rig *rig;
static struct watched w;
static struct group g1, g2;

static void tick(void *ctx, int64_t now_mono_ms) {
    if (w.conn != NULL)
        pg_conn_tick(w.conn, now_mono_ms);
}

static void open_with(bool terminate_lost) {
    static const struct pg_conn_handlers HANDLERS = {on_up, on_down, on_notify};
    const struct pg_conn_conf conf = {.conninfo = rig->conninfo,
                                      .name = "test1",
                                      .deadline_ms = DEADLINE_MS,
                                      .statement_timeout_ms = 750,
                                      .terminate_lost = terminate_lost};
    w.conn = pg_conn_new(rig->base, &conf, &HANDLERS, &w);
    cr_assert_not_null(w.conn);
}

static void set_up(void) {
    rig = pg_rig_new();
    rig->on_turn = tick;
    w = (struct watched){0};
}

static void tear_down(void) {
    pg_conn_free(&w.conn);
    pg_rig_free(&rig);
}

static void open_up(void) {
    open_with(true);
    cr_assert(PG_UNTIL(rig, w.ups == 1), "%s", pg_conn_error(w.conn));
}

static void send(struct group *g, const char *sql) {
    *g = (struct group){.group = {.on_result = on_result, .on_end = on_end}, .watched = &w};
    PQsendQueryParams(pg_conn_raw(w.conn), sql, 0, NULL, NULL, NULL, NULL, 0);
    pg_conn_send(w.conn, &g->group);
}

static void turns(unsigned count) {
    while (count-- > 0)
        pg_rig_turn(rig);
}

/* A back-off is over. */
static void retry(void) {
    pg_rig_later(rig, RETRY_MAX_MS + 1);
}

TestSuite(pg_conn, .init = set_up, .fini = tear_down);

/* ---- beginning ---- */

Test(pg_conn, sets_its_session_up_whatever_the_role_says) {
    open_up();
    cr_assert(pg_fake_saw(rig->fake, "set_config('default_transaction_isolation', 'read "
                                     "committed', false)"));
    cr_assert(pg_fake_saw(rig->fake, "set_config('search_path', 'pg_catalog, pg_temp', false)"));
    cr_assert(pg_fake_saw(rig->fake, "set_config('statement_timeout', $1, false)"));
    cr_assert_eq(pg_fake_sessions(rig->fake, "test1"), 1);
    cr_assert(pg_conn_is_up(w.conn));
    cr_assert_str_eq(pg_conn_identity(w.conn), "1/00000001/start");
    cr_assert_str_eq(pg_fake_terminated(rig->fake), "");
}

Test(pg_conn, is_not_up_before_its_settings_are_known_to_hold) {
    pg_fake_hold(rig->fake, "set_config(");
    open_with(false);
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    turns(5);
    cr_assert_not(pg_conn_is_up(w.conn));
    cr_assert_eq(w.ups, 0);
}

Test(pg_conn, a_setting_that_is_refused_ends_the_connection) {
    pg_fake_fail(rig->fake, "set_config(", "42501", "permission \"denied\"\nto set");
    open_with(false);
    cr_assert(PG_UNTIL(rig, strstr(pg_conn_error(w.conn), "denied") != NULL));
    cr_assert_eq(w.ups + w.downs, 0);
    cr_assert_null(strpbrk(pg_conn_error(w.conn), "\"\n"), "%s", pg_conn_error(w.conn));
    retry();
    cr_assert(PG_UNTIL(rig, w.ups == 1));
}

Test(pg_conn, tries_again_when_nobody_listens) {
    pg_fake_listen(rig->fake, false);
    open_with(false);
    cr_assert(PG_UNTIL(rig, pg_conn_error(w.conn)[0] != '\0'));
    cr_assert_eq(w.downs, 0);
    pg_fake_listen(rig->fake, true);
    cr_assert(PG_UNTIL(rig, w.ups == 1));
    cr_assert_eq(pg_conn_reconnects(w.conn), 0);
}

Test(pg_conn, tries_again_when_it_is_refused) {
    pg_fake_refuse(rig->fake, "53300", "sorry, too many clients already");
    open_with(false);
    cr_assert(PG_UNTIL(rig, strstr(pg_conn_error(w.conn), "too many clients") != NULL));
    pg_fake_refuse(rig->fake, NULL, NULL);
    retry();
    cr_assert(PG_UNTIL(rig, w.ups == 1));
}

Test(pg_conn, gives_up_a_server_that_does_not_answer_its_start) {
    pg_fake_mute(rig->fake, true);
    open_with(false);
    turns(5);
    pg_rig_later(rig, CONNECT_DEADLINE_MS / 2);
    cr_assert_str_eq(pg_conn_error(w.conn), "");
    pg_rig_later(rig, CONNECT_DEADLINE_MS + 1);
    cr_assert_str_eq(pg_conn_error(w.conn), "no answer while connecting");
    pg_fake_mute(rig->fake, false);
    retry();
    cr_assert(PG_UNTIL(rig, w.ups == 1));
}

/* What comes too late is the machine's fault; only too early is ours. */
Test(pg_conn, waits_longer_between_its_tries_each_time) {
    static const int64_t LEAST_MS[] = {15, 30, 60};
    pg_fake_refuse(rig->fake, "53300", "sorry");
    int64_t before_ms = pg_rig_now_ms(), turn_ms = before_ms;
    open_with(false);
    cr_assert(PG_UNTIL(rig, pg_fake_started(rig->fake) == 1));
    for (unsigned i = 0; i < 3; i++) {
        /* The try before failed in the turn that began at `turn_ms`, or later. */
        before_ms = turn_ms;
        cr_assert(PG_UNTIL(rig, (turn_ms = pg_rig_now_ms(), pg_rig_turn(rig),
                                 pg_fake_started(rig->fake) == i + 2)));
        cr_assert_geq(pg_rig_now_ms() - before_ms, LEAST_MS[i], "pause %u", i);
    }
}

Test(pg_conn, a_standby_is_not_taken) {
    pg_fake_standby(rig->fake, true);
    open_with(false);
    cr_assert(PG_UNTIL(rig, pg_conn_error(w.conn)[0] != '\0'));
    cr_assert_eq(w.ups, 0);
    cr_assert(pg_conn_only_reads(w.conn), "%s", pg_conn_error(w.conn));
    pg_fake_standby(rig->fake, false);
    retry();
    cr_assert(PG_UNTIL(rig, w.ups == 1));
    cr_assert_not(pg_conn_only_reads(w.conn));
}

/* One standby and one host that does not answer: the primary may be that one. */
Test(pg_conn, a_standby_beside_a_silent_host_says_nothing_of_a_primary) {
    snprintf(rig->conninfo, sizeof(rig->conninfo), "host=%s,/nowhere user=u dbname=d",
             pg_fake_host(rig->fake));
    pg_fake_standby(rig->fake, true);
    open_with(false);
    cr_assert(PG_UNTIL(rig, pg_conn_error(w.conn)[0] != '\0'));
    cr_assert_not(pg_conn_only_reads(w.conn), "%s", pg_conn_error(w.conn));
}

/* ---- groups ---- */

Test(pg_conn, gives_each_group_its_own_results_in_order) {
    open_up();
    send(&g1, "SELECT 1");
    send(&g2, "SELECT 2");
    cr_assert_eq(pg_conn_busy(w.conn), 2);
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    for (int i = 0; i < 2; i++) {
        struct pg_fake_group *first = pg_fake_group(rig->fake, 0);
        pg_fake_begin(first, 1);
        pg_fake_row(first, "t", i == 0 ? "one" : "two");
        pg_fake_end(first);
        pg_fake_sync(first);
        cr_assert(PG_UNTIL(rig, (i == 0 ? g1 : g2).ends == 1));
        cr_assert_eq(g2.ends, (unsigned)i);
    }
    cr_assert_eq(g1.end, PG_GROUP_SYNCED);
    cr_assert_str_eq(g1.text, "one");
    cr_assert_str_eq(g2.text, "two");
    cr_assert_eq(g1.results + g2.results, 2);
    cr_assert_eq(pg_conn_busy(w.conn), 0);
}

/* Rule 1: what TUPLES says is not committed before the Sync is answered. */
Test(pg_conn, a_result_without_its_sync_is_no_end) {
    open_up();
    send(&g1, "SELECT 1");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    struct pg_fake_group *first = pg_fake_group(rig->fake, 0);
    pg_fake_begin(first, 1);
    pg_fake_row(first, "t", "one");
    pg_fake_end(first);
    cr_assert(PG_UNTIL(rig, g1.results == 1));
    turns(5);
    cr_assert_eq(g1.ends, 0);
    pg_fake_drop(rig->fake, "test1");
    cr_assert(PG_UNTIL(rig, g1.ends == 1));
    cr_assert_eq(g1.end, PG_GROUP_LOST);
}

Test(pg_conn, an_error_is_of_its_group_alone) {
    open_up();
    send(&g1, "SELECT 1");
    send(&g2, "SELECT 2");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    struct pg_fake_group *first = pg_fake_group(rig->fake, 0);
    pg_fake_error(first, "22012", "division by zero");
    pg_fake_sync(first);
    struct pg_fake_group *second = pg_fake_group(rig->fake, 0);
    pg_fake_begin(second, 1);
    pg_fake_row(second, "t", "two");
    pg_fake_end(second);
    pg_fake_sync(second);
    cr_assert(PG_UNTIL(rig, g2.ends == 1));
    cr_assert_eq(g1.end, PG_GROUP_SYNCED);
    cr_assert_eq(g1.errors, 1);
    cr_assert_eq(g2.errors + g2.aborted, 0);
    cr_assert_str_eq(g2.text, "two");
    cr_assert_eq(w.downs, 0);
}

Test(pg_conn, a_statement_behind_an_error_is_aborted) {
    open_up();
    PQsendQueryParams(pg_conn_raw(w.conn), "SELECT 0", 0, NULL, NULL, NULL, NULL, 0);
    send(&g1, "SELECT 1");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    pg_fake_error(pg_fake_group(rig->fake, 0), "22012", "division by zero");
    pg_fake_sync(pg_fake_group(rig->fake, 0));
    cr_assert(PG_UNTIL(rig, g1.ends == 1));
    cr_assert_eq(g1.errors, 1);
    cr_assert_eq(g1.aborted, 1);
}

/* ---- losing it ---- */

Test(pg_conn, groups_end_before_the_owner_hears_that_it_is_down) {
    open_up();
    send(&g1, "SELECT 1");
    send(&g2, "SELECT 2");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    pg_fake_drop(rig->fake, "test1");
    cr_assert(PG_UNTIL(rig, w.downs == 1));
    cr_assert_eq(g1.ends, 1);
    cr_assert_eq(g2.ends, 1);
    cr_assert_eq(g1.end, PG_GROUP_LOST);
    cr_assert_eq(g2.end, PG_GROUP_LOST);
    cr_assert_not(g1.was_down || g2.was_down);
    cr_assert_str_eq(pg_conn_identity(w.conn), "");
    cr_assert_eq(pg_conn_reconnects(w.conn), 1);
}

Test(pg_conn, an_answer_that_is_cut_in_the_middle_is_lost) {
    open_up();
    send(&g1, "SELECT 1");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    struct pg_fake_group *first = pg_fake_group(rig->fake, 0);
    pg_fake_begin(first, 1);
    pg_fake_row(first, "t", "one");
    pg_fake_cut(first);
    cr_assert(PG_UNTIL(rig, w.downs == 1));
    cr_assert_eq(g1.end, PG_GROUP_LOST);
}

Test(pg_conn, an_answer_that_came_whole_before_the_end_counts) {
    open_up();
    send(&g1, "SELECT 1");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    struct pg_fake_group *first = pg_fake_group(rig->fake, 0);
    pg_fake_begin(first, 1);
    pg_fake_row(first, "t", "one");
    pg_fake_end(first);
    pg_fake_sync(first);
    pg_fake_drop(rig->fake, "test1");
    cr_assert(PG_UNTIL(rig, w.downs == 1));
    cr_assert_eq(g1.ends, 1);
    cr_assert_eq(g1.end, PG_GROUP_SYNCED);
    cr_assert_str_eq(g1.text, "one");
}

/* Rule 14: after a time-out the connection is closed, never used again. */
Test(pg_conn, a_silent_server_loses_its_connection) {
    open_up();
    send(&g1, "SELECT 1");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    pg_rig_later(rig, DEADLINE_MS / 2);
    cr_assert_eq(g1.ends, 0);
    pg_rig_later(rig, DEADLINE_MS + 100);
    cr_assert_eq(g1.ends, 1);
    cr_assert_eq(g1.end, PG_GROUP_LOST);
    cr_assert_eq(w.downs, 1);
    cr_assert_str_eq(pg_conn_error(w.conn), "no answer in time");
    cr_assert(PG_UNTIL(rig, pg_fake_sessions(rig->fake, "test1") == 0 || w.ups == 2));
    cr_assert(PG_UNTIL(rig, w.ups == 2));
    cr_assert_eq(g1.results, 0);
}

Test(pg_conn, an_idle_one_has_no_deadline) {
    open_up();
    pg_rig_later(rig, 100 * DEADLINE_MS);
    turns(3);
    cr_assert_eq(w.downs, 0);
}

Test(pg_conn, closed_in_a_callback_it_ends_from_the_loop) {
    open_up();
    send(&g1, "SELECT 1");
    send(&g2, "SELECT 2");
    g1.close_it = true;
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    struct pg_fake_group *first = pg_fake_group(rig->fake, 0);
    pg_fake_begin(first, 1);
    pg_fake_row(first, "t", "one");
    pg_fake_end(first);
    pg_fake_sync(first);
    cr_assert(PG_UNTIL(rig, w.downs == 1));
    cr_assert_eq(g1.end, PG_GROUP_SYNCED);
    cr_assert_eq(g2.end, PG_GROUP_LOST);
    cr_assert_str_eq(pg_conn_error(w.conn), "the owner's wish");
}

/* Rule 7: a zombie statement must not commit after later writes. */
Test(pg_conn, terminates_the_backend_that_was_lost_at_work) {
    open_up();
    send(&g1, "SELECT 1");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    pg_fake_hold(rig->fake, "pg_terminate_backend");
    pg_fake_drop(rig->fake, "test1");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    struct pg_fake_group *setup = pg_fake_group(rig->fake, 0);
    cr_assert_not_null(strstr(pg_fake_sql(setup, 0), "pg_terminate_backend(pid, 1000)"));
    cr_assert_str_eq(pg_fake_param(setup, 0, 0).ptr, "1000");
    cr_assert_str_eq(pg_fake_param(setup, 0, 1).ptr, "2026-01-01 00:00:00+00");
    turns(5);
    cr_assert_eq(w.ups, 1, "it is up before the old backend is gone");
}

Test(pg_conn, leaves_a_backend_alone_that_was_lost_idle) {
    open_up();
    pg_fake_drop(rig->fake, "test1");
    cr_assert(PG_UNTIL(rig, w.ups == 2));
    cr_assert_str_eq(pg_fake_terminated(rig->fake), "");
}

Test(pg_conn, goes_on_meaning_to_terminate_until_it_was_done) {
    open_up();
    send(&g1, "SELECT 1");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    pg_fake_refuse(rig->fake, "57P03", "starting up");
    pg_fake_drop(rig->fake, "test1");
    cr_assert(PG_UNTIL(rig, pg_fake_started(rig->fake) >= 3));
    pg_fake_refuse(rig->fake, NULL, NULL);
    cr_assert(PG_UNTIL(rig, w.ups == 2));
    cr_assert_str_eq(pg_fake_terminated(rig->fake), "1000 2026-01-01 00:00:00+00");
}

Test(pg_conn, freed_with_groups_under_way_it_ends_them) {
    open_up();
    send(&g1, "SELECT 1");
    pg_conn_free(&w.conn);
    cr_assert_null(w.conn);
    cr_assert_eq(g1.ends, 1);
    cr_assert_eq(g1.end, PG_GROUP_LOST);
    cr_assert_eq(w.downs, 0);
}

/* ---- notifications ---- */

Test(pg_conn, passes_on_what_it_is_notified_of) {
    open_up();
    PQsendQueryParams(pg_conn_raw(w.conn), "LISTEN \"x\"", 0, NULL, NULL, NULL, NULL, 0);
    g1 = (struct group){.group = {.on_result = on_result, .on_end = on_end}, .watched = &w};
    pg_conn_send(w.conn, &g1.group);
    cr_assert(PG_UNTIL(rig, g1.ends == 1));
    pg_fake_notify(rig->fake, "hello");
    cr_assert(PG_UNTIL(rig, w.notifies == 1));
    cr_assert_str_eq(w.payload, "hello");
}

/* ---- texts ---- */

Test(pg_conn, cleans_texts_for_a_log_line) {
    static const struct {
        const char *text, *want;
        unsigned size;
    } CASES[] = {
        {"plain", "plain", 20},
        {"two\r\nlines\n", "two  lines", 20},
        {"a \"b\"", "a 'b'", 20},
        {"cut here", "cut", 4},
        {"cut here", "cut", 5},
        {NULL, "", 20},
        {"\x01\x1f\t", "", 20},
        {"", "", 1},
        {"a", "", 1},
        {"\xc3\xa4", "\xc3\xa4", 20},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char out[20];
        pg_clean(CASES[i].text, out, CASES[i].size);
        cr_expect_str_eq(out, CASES[i].want, "case %zu: '%s'", i, out);
    }
}
