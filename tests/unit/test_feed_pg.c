// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
#include <criterion/criterion.h>
#include <stdio.h>

#include "../../common/clock.h"
#include "../../node/feed_pg.h"
#include "../fakes/pg_rig.h"

enum { HEARTBEAT_MS = 500, SILENT_MS = 5000 };

static struct pg_rig *rig;
static struct feed_pg *feed;
static struct heard {
    unsigned changed, gone, everything, ups, losts, heard, refused;
    char key[32], why[300];
    uint64_t version;
    int64_t sent_mono_ms;
} h;

static void on_changed(void *ctx, struct span key, uint64_t version, enum change change) {
    h.changed++;
    snprintf(h.key, sizeof(h.key), "%.*s", (int)key.len, key.ptr);
    h.version = version;
}

static void on_gone(void *ctx, struct span key, enum change change) {
    h.gone++;
    snprintf(h.key, sizeof(h.key), "%.*s", (int)key.len, key.ptr);
}

static void on_everything(void *ctx) {
    h.everything++;
}

static void on_up(void *ctx) {
    h.ups++;
}

static void on_lost(void *ctx) {
    h.losts++;
}

static void on_heard(void *ctx, int64_t sent_mono_ms) {
    h.heard++;
    h.sent_mono_ms = sent_mono_ms;
}

static void on_refused(void *ctx, const char *why) {
    h.refused++;
    snprintf(h.why, sizeof(h.why), "%s", why);
}

static int64_t stands_ms; /* the feed's time, while it does not pass; 0: it does */

static void tick(void *ctx, int64_t now_mono_ms) {
    if (feed != NULL)
        feed_pg_tick(feed, stands_ms != 0 ? stands_ms : now_mono_ms);
}

static void open_feed(void) {
    static const struct feed_pg_handlers HANDLERS = {on_changed, on_gone,  on_everything, on_up,
                                                     on_lost,    on_heard, on_refused};
    feed = feed_pg_new(rig->base, &rig->conf, "node1", rig->store, &HANDLERS, &h);
    cr_assert_not_null(feed);
}

static void set_up(void) {
    rig = pg_rig_new();
    rig->on_turn = tick;
    pg_rig_store(rig);
    store_pg_trust(rig->store, "");
}

static void tear_down(void) {
    feed_pg_free(&feed);
    pg_rig_free(&rig);
}

TestSuite(feed_pg, .init = set_up, .fini = tear_down);

static void open_up(void) {
    open_feed();
    cr_assert(PG_UNTIL(rig, h.ups == 1), "%s", h.why);
}

static void turns(unsigned count) {
    while (count-- > 0)
        pg_rig_turn(rig);
}

static bool is_cacheable(void) {
    struct pg_rig_ask *get = pg_rig_get(rig, "a");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    struct pg_fake_group *group = pg_fake_group(rig->fake, 0);
    pg_fake_begin(group, 4);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, get->answered));
    return get->cacheable;
}

/* ---- beginning ---- */

Test(feed_pg, is_up_when_listen_is_committed_and_the_checks_hold) {
    pg_fake_hold(rig->fake, "LISTEN");
    open_feed();
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    struct pg_fake_group *group = pg_fake_group(rig->fake, 0);
    cr_assert_str_eq(pg_fake_sql(group, 0), "LISTEN \"rf_app_entry\"");
    cr_assert_str_eq(pg_fake_param(group, 1, 0).ptr, "\"app\".\"entry\"");
    pg_fake_begin(group, 0);
    pg_fake_end(group);
    pg_fake_begin(group, 1);
    pg_fake_row(group, "n");
    pg_fake_end(group);
    turns(5);
    cr_assert_eq(h.ups, 0);
    cr_assert_not(feed_pg_is_up(feed));
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, h.ups == 1));
    cr_assert(feed_pg_is_up(feed));
    cr_assert(is_cacheable(), "the store was not told who the feed's server is");
}

Test(feed_pg, refuses_a_table_that_is_not_as_it_must_be) {
    pg_fake_check(rig->fake, "the triggers are\nmissing");
    open_feed();
    cr_assert(PG_UNTIL(rig, h.refused == 1));
    cr_assert_str_eq(h.why, "the triggers are missing");
    cr_assert_eq(h.ups + h.losts, 0);
    pg_fake_check(rig->fake, NULL); /* mended */
    cr_assert(PG_UNTIL(rig, h.ups == 1));
}

Test(feed_pg, refuses_when_it_may_not_look) {
    pg_fake_fail(rig->fake, "server_encoding", "42501", "permission denied");
    open_feed();
    cr_assert(PG_UNTIL(rig, h.refused == 1));
    cr_assert_str_eq(h.why, "permission denied: grant the node's role ringfence_node, as "
                            "configs/schema.sql made it");
}

/* Not at once: one of them may be about to be promoted. */
Test(feed_pg, refuses_when_no_server_takes_writes) {
    pg_fake_standby(rig->fake, true);
    open_feed();
    int64_t begun_ms = clock_mono_ms();
    cr_assert(PG_UNTIL(rig, h.refused == 1));
    cr_assert_geq(clock_mono_ms() - begun_ms, 3000);
    cr_assert_not_null(strstr(h.why, "no server takes writes"), "%s", h.why);
    turns(5);
    cr_assert_eq(h.refused, 1);
    pg_fake_standby(rig->fake, false); /* promoted */
    cr_assert(PG_UNTIL(rig, h.ups == 1));
}

/* ---- what is heard ---- */

Test(feed_pg, passes_on_what_changed) {
    open_up();
    pg_fake_notify(rig->fake, "1\nc 42 3 abc\n");
    cr_assert(PG_UNTIL(rig, h.changed == 1));
    cr_assert_str_eq(h.key, "abc");
    cr_assert_eq(h.version, 42);
    pg_fake_notify(rig->fake, "1\ng 2 xy\n");
    cr_assert(PG_UNTIL(rig, h.gone == 1));
    cr_assert_str_eq(h.key, "xy");
    pg_fake_notify(rig->fake, "1\ne\n");
    cr_assert(PG_UNTIL(rig, h.everything == 1));
}

Test(feed_pg, takes_what_it_does_not_understand_as_everything) {
    open_up();
    pg_fake_notify(rig->fake, "hello");
    cr_assert(PG_UNTIL(rig, h.everything == 1));
    cr_assert_eq(h.changed + h.gone, 0);
}

/* ---- heartbeats ---- */

Test(feed_pg, hears_its_heartbeats_and_when_they_were_sent) {
    int64_t begun_ms = clock_mono_ms();
    open_up();
    cr_assert(PG_UNTIL(rig, h.heard >= 1));
    cr_assert_geq(h.sent_mono_ms, begun_ms);
    cr_assert_leq(h.sent_mono_ms, clock_mono_ms());
    unsigned heard = h.heard;
    pg_rig_later(rig, HEARTBEAT_MS + 1);
    cr_assert(PG_UNTIL(rig, h.heard > heard));
}

/* Anybody may NOTIFY: a heartbeat of somebody else's, or of another life, proves nothing. */
Test(feed_pg, does_not_hear_the_heartbeats_of_others) {
    pg_fake_deaf(rig->fake, true);
    open_up();
    cr_assert(PG_UNTIL(rig, pg_fake_beats(rig->fake) >= 1));
    pg_fake_notify(rig->fake, "1\nh node1 1 0123456789abcdef\n");
    pg_fake_notify(rig->fake, "1\nh node2 1 0123456789abcdef\n");
    pg_fake_notify(rig->fake, "1\nc 1 4 last\n");
    cr_assert(PG_UNTIL(rig, h.changed == 1));
    cr_assert_eq(h.heard + h.everything, 0);
}

/* Those of the store, the feed's stays; and none can be made. */
static void drop_connections(void) {
    static const char *const NAMES[] = {"read1", "write1", "slow1"};
    pg_fake_listen(rig->fake, false);
    for (int i = 0; i < 3; i++)
        pg_fake_drop(rig->fake, NAMES[i]);
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 0));
}

Test(feed_pg, without_a_connection_of_the_store_there_is_no_heartbeat) {
    open_up();
    cr_assert(PG_UNTIL(rig, h.heard >= 1));
    drop_connections();
    unsigned beats = pg_fake_beats(rig->fake);
    pg_rig_later(rig, HEARTBEAT_MS + 1);
    turns(5);
    cr_assert_eq(pg_fake_beats(rig->fake), beats);
    cr_assert_eq(h.losts, 0);
}

/* Not half a second later: until it is heard nothing is trusted. */
Test(feed_pg, a_heartbeat_that_found_no_connection_is_sent_when_there_is_one) {
    open_up();
    cr_assert(PG_UNTIL(rig, h.heard >= 1));
    drop_connections();
    unsigned heard = h.heard;
    stands_ms = clock_mono_ms() + HEARTBEAT_MS + 1;
    turns(5);
    cr_assert_eq(h.heard, heard);
    pg_fake_listen(rig->fake, true);
    cr_assert(PG_UNTIL(rig, h.heard == heard + 1));
    turns(50);
    cr_assert_eq(h.heard, heard + 1, "it is sent once");
}

/* A transaction pooler passes no notifications. */
Test(feed_pg, refuses_a_pooler_that_passes_nothing_on) {
    pg_fake_deaf(rig->fake, true);
    open_up();
    for (int i = 0; i < 3; i++) {
        unsigned beats = pg_fake_beats(rig->fake);
        pg_rig_later(rig, (i + 1) * (HEARTBEAT_MS + 1));
        cr_assert(PG_UNTIL(rig, pg_fake_beats(rig->fake) > beats));
        turns(3);
    }
    cr_assert_eq(h.refused, 0);
    pg_rig_later(rig, SILENT_MS + 1);
    cr_assert_eq(h.refused, 1);
    cr_assert_not_null(strstr(h.why, "transaction pooler"), "%s", h.why);
}

Test(feed_pg, that_was_heard_once_is_not_refused_when_it_falls_silent) {
    open_up();
    cr_assert(PG_UNTIL(rig, h.heard >= 1));
    pg_fake_deaf(rig->fake, true);
    pg_rig_later(rig, 2 * SILENT_MS);
    turns(3);
    pg_rig_later(rig, 3 * SILENT_MS);
    cr_assert_eq(h.refused, 0);
}

/* ---- what no trigger tells ---- */

static void beat(void) {
    unsigned heard = h.heard;
    cr_assert(PG_UNTIL(rig, h.heard > heard)); /* in its own time: the clocks are compared */
    turns(3);
}

Test(feed_pg, notices_that_the_table_was_altered) {
    open_up();
    cr_assert(PG_UNTIL(rig, h.heard >= 1));
    turns(3);
    cr_assert_eq(h.everything, 0);
    pg_fake_sentinel(rig->fake, "101 rf_number_insertA1");
    beat();
    cr_assert_eq(h.everything, 1);
    beat();
    cr_assert_eq(h.everything, 1);
}

Test(feed_pg, notices_that_the_clock_was_set) {
    open_up();
    cr_assert(PG_UNTIL(rig, h.heard >= 1));
    turns(3);
    pg_fake_clock(rig->fake, 3600000);
    beat();
    cr_assert_eq(h.everything, 1);
}

/* ---- losing it ---- */

Test(feed_pg, lost_it_trusts_nobody_and_comes_back) {
    open_up();
    cr_assert(is_cacheable());
    pg_fake_hold(rig->fake, "LISTEN");
    pg_fake_drop(rig->fake, "feed");
    cr_assert(PG_UNTIL(rig, h.losts == 1));
    cr_assert_not(feed_pg_is_up(feed));
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    pg_fake_drop(rig->fake, "feed"); /* also before its LISTEN is committed */
    pg_fake_hold(rig->fake, NULL);
    cr_assert(PG_UNTIL(rig, h.ups == 2));
    cr_assert_eq(h.losts, 1);
    cr_assert_eq(feed_pg_reconnects(feed), 2);
    cr_assert(is_cacheable());
}

/* A failover that the store's connections notice first: all end up at one server. */
Test(feed_pg, follows_the_store_to_another_server) {
    open_up();
    pg_fake_identity(rig->fake, "1/00000002/start");
    pg_fake_drop(rig->fake, "read1");
    cr_assert(PG_UNTIL(rig, h.losts == 1));
    cr_assert(PG_UNTIL(rig, h.ups == 2));
    cr_assert(PG_UNTIL(rig, pg_fake_saw(rig->fake, "LISTEN") && pg_rig_connections(rig) < 3));
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
    cr_assert_not(store_pg_moved(rig->store));
    cr_assert(is_cacheable());
    turns(50);
    cr_assert_eq(h.losts, 1);
}

/* It may also be the store's connection that is wrong. */
Test(feed_pg, that_comes_up_where_it_was_has_the_others_come_back) {
    open_up();
    pg_fake_identity(rig->fake, "2/00000001/other");
    pg_fake_drop(rig->fake, "read1");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
    pg_fake_identity(rig->fake, "1/00000001/start");
    cr_assert(PG_UNTIL(rig, h.ups == 2));
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 3));
    cr_assert(is_cacheable());
    cr_assert_eq(h.losts, 1);
}

Test(feed_pg, says_nothing_before_it_is_up_again) {
    open_up();
    pg_fake_drop(rig->fake, "feed");
    pg_fake_check(rig->fake, "no more");
    cr_assert(PG_UNTIL(rig, h.refused == 1));
    pg_fake_notify(rig->fake, "1\nc 1 1 a\n");
    turns(5);
    cr_assert_eq(h.changed, 0);
    cr_assert_not(feed_pg_is_up(feed));
}

/* A connection of the store may still have its heartbeat. */
Test(feed_pg, may_be_freed_while_a_heartbeat_is_under_way) {
    pg_fake_hold(rig->fake, "pg_notify(");
    open_up();
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    feed_pg_free(&feed);
    pg_fake_hold(rig->fake, NULL);
    pg_fake_cut(pg_fake_group(rig->fake, 0));
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 2));
    cr_assert_eq(h.losts, 0);
}
