// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
/* Scouts, and a store whose connections go where the scouts say, before two fake servers. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../../node/hosts.h"
#include "../../node/scout.h"
#include "../fakes/pg_rig.h"

enum { ALL = 3, WITH_SCOUT = ALL + 1 }; /* connections of the store */

static struct pg_rig *rig;
static struct pg_fake *second;
static struct scouts *scouts;
static unsigned newer;

static void on_newer(void *ctx) {
    newer++;
    if (rig->store != NULL)
        store_pg_leave(rig->store);
}

static void on_chosen(void *ctx) {
}

static void tick(void *ctx, int64_t now_mono_ms) {
    if (scouts != NULL)
        scouts_tick(scouts, now_mono_ms);
}

static void set_up(void) {
    static char conninfo[300];
    rig = pg_rig_new();
    rig->on_turn = tick;
    second = pg_fake_new(rig->base);
    snprintf(conninfo, sizeof(conninfo), "host=%s,%s user=u dbname=d", pg_fake_host(rig->fake),
             pg_fake_host(second));
    rig->conf.conninfo = conninfo;
    pg_fake_identity(second, "1/reads/other");
    pg_fake_standby(second, true);
}

static void tear_down(void) {
    store_pg_free(&rig->store);
    scouts_free(&scouts);
    pg_fake_free(&second);
    pg_rig_free(&rig);
}

TestSuite(scout, .init = set_up, .fini = tear_down);

static void open_scouts(void) {
    static const struct hosts_handlers HANDLERS = {.on_newer = on_newer, .on_chosen = on_chosen};
    scouts = scouts_new(rig->base, rig->conf.conninfo, &HANDLERS, NULL);
    cr_assert_not_null(scouts);
    rig->conf.hosts = scouts_hosts(scouts);
}

static void open_all(void) {
    open_scouts();
    pg_rig_store(rig);
}

static void promote_second(void) {
    pg_fake_standby(second, false);
    pg_fake_identity(second, "1/00000002/other");
    pg_fake_drop(second, "scout2"); /* the fake tells it to new sessions only */
}

static const struct host_place *place(int i) {
    return hosts_place(scouts_hosts(scouts), i);
}

/* ---- the servers that conninfo names ---- */

static void read_places(const char *conninfo, int count) {
    rig->conf.conninfo = conninfo;
    open_scouts();
    cr_assert_eq(hosts_count(scouts_hosts(scouts)), count, "%s", conninfo);
}

Test(scout, reads_lists_of_hosts_and_ports) {
    read_places("host=/a,/b port=5433,5434", 2);
    cr_assert_str_eq(place(0)->host, "/a");
    cr_assert_str_eq(place(0)->port, "5433");
    cr_assert_str_eq(place(1)->host, "/b");
    cr_assert_str_eq(place(1)->port, "5434");
}

Test(scout, reads_uris_and_one_port_for_all) {
    read_places("postgresql://u@/d?host=/a,/b,/c&port=5433", 3);
    cr_assert_str_eq(place(2)->host, "/c");
    cr_assert_str_eq(place(2)->port, "5433");
}

Test(scout, reads_addresses_beside_names) {
    read_places("host=a,b hostaddr=127.0.0.1,127.0.0.2 port=1", 2);
    cr_assert_str_eq(place(1)->host, "b");
    cr_assert_str_eq(place(1)->address, "127.0.0.2");
}

Test(scout, leaves_one_host_and_what_is_no_list_to_libpq) {
    read_places("host=/a port=5433", 1);
    cr_assert_str_eq(place(0)->host, "/a");
    cr_assert_str_eq(place(0)->port, "");
}

Test(scout, leaves_a_list_of_different_lengths_to_libpq) {
    read_places("host=/a,/b,/c port=1,2", 1);
    cr_assert_str_eq(place(0)->host, "");
}

Test(scout, reads_the_environment_as_libpq_does) {
    setenv("PGHOST", "/a,/b", 1);
    read_places("user=u", 2);
    cr_assert_str_eq(place(1)->host, "/b");
}

/* ---- where connections lead ---- */

Test(scout, all_connections_lead_to_the_server_that_takes_writes) {
    open_all();
    cr_assert_eq(pg_fake_sessions(rig->fake, NULL), WITH_SCOUT);
    cr_assert_eq(pg_fake_sessions(second, NULL), 1);
}

Test(scout, whichever_place_it_has_in_the_list) {
    pg_fake_identity(rig->fake, "1/reads/start");
    pg_fake_standby(rig->fake, true);
    pg_fake_identity(second, "1/00000001/start");
    pg_fake_standby(second, false);
    open_all();
    cr_assert_eq(pg_fake_sessions(rig->fake, NULL), 1);
    cr_assert_eq(pg_fake_sessions(second, NULL), WITH_SCOUT);
}

/* libpq would wait for it for as long as a try may last, and then begin with it again. */
Test(scout, one_that_does_not_answer_does_not_keep_from_the_others) {
    pg_fake_mute(rig->fake, true);
    pg_fake_identity(second, "1/00000001/start");
    pg_fake_standby(second, false);
    open_all();
    cr_assert_eq(pg_fake_sessions(second, NULL), WITH_SCOUT);
}

Test(scout, a_promotion_moves_all_and_nothing_goes_to_the_old_server) {
    open_all();
    struct pg_rig_ask *under_way = pg_rig_get(rig, "a");
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 1));
    promote_second();
    cr_assert(PG_UNTIL(rig, newer == 1));
    struct pg_rig_ask *asked = pg_rig_get(rig, "b"), *written = pg_rig_set(rig, "c", "1");
    cr_assert_eq(asked->status, STORE_DOWN);
    cr_assert_eq(written->status, STORE_DOWN);
    cr_assert(
        PG_UNTIL(rig, pg_rig_connections(rig) == ALL && pg_fake_sessions(rig->fake, NULL) == 1));
    cr_assert(under_way->answered);
    cr_assert_eq(pg_fake_sessions(second, NULL), WITH_SCOUT);
    struct store_figures figures;
    store_pg_figures(rig->store, &figures);
    cr_assert_eq(figures.timeline, 2);
    cr_assert_eq(figures.old_timeline, 1 + ALL); /* the server, and each connection to it */
    pg_fake_drop(second, "read1");
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == ALL - 1));
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == ALL));
    cr_assert_eq(pg_fake_sessions(rig->fake, NULL), 1);
}

Test(scout, without_the_promoted_server_the_old_one_gets_nothing) {
    open_all();
    promote_second();
    cr_assert(PG_UNTIL(rig, pg_fake_sessions(second, NULL) == WITH_SCOUT &&
                                pg_rig_connections(rig) == ALL));
    pg_fake_listen(second, false);
    pg_fake_drop(second, NULL);
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == 0));
    unsigned started = pg_fake_started(rig->fake);
    pg_rig_later(rig, 5000);
    for (int i = 0; i < 50; i++)
        pg_rig_turn(rig);
    cr_assert_eq(pg_fake_sessions(rig->fake, NULL), 1);
    cr_assert_eq(pg_fake_started(rig->fake), started);
    cr_assert_eq(pg_rig_get(rig, "a")->status, STORE_DOWN);
    pg_fake_listen(second, true);
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == ALL));
}

/* One address that leads to another server now (a proxy, a name): one new connection is enough. */
Test(scout, behind_one_address_an_old_server_is_left_as_soon_as_the_new_one_is_met) {
    rig->conf.conninfo = rig->conninfo;
    open_all();
    pg_fake_identity(rig->fake, "1/00000002/start");
    pg_fake_drop(rig->fake, "read1");
    cr_assert(PG_UNTIL(rig, newer == 1));
    struct store_figures figures;
    cr_assert(PG_UNTIL(rig, (store_pg_figures(rig->store, &figures),
                             figures.old_timeline == 2 && figures.connections_up == ALL)));
    unsigned started = pg_fake_started(rig->fake);
    for (int i = 0; i < 50; i++)
        pg_rig_turn(rig);
    cr_assert_leq(pg_fake_started(rig->fake), started + 1); /* the scout's, once */
    cr_assert_eq(pg_rig_connections(rig), ALL);
}

/* ---- while there is no server ---- */

Test(scout, while_there_is_none_one_connection_tries_for_all) {
    rig->conf.conninfo = rig->conninfo;
    open_all();
    pg_fake_refuse(rig->fake, "57P03", "the database system is shutting down");
    pg_fake_drop(rig->fake, NULL);
    cr_assert(
        PG_UNTIL(rig, pg_rig_connections(rig) == 0 && pg_fake_sessions(rig->fake, NULL) == 0));
    unsigned started = pg_fake_started(rig->fake);
    cr_assert(PG_UNTIL(rig, pg_fake_started(rig->fake) >= started + 3));
    static const char *const NAMES[] = {"read1", "write1", "slow1"};
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pg_fake_sessions(rig->fake, NAMES[i]), 0);
    struct store_figures figures;
    store_pg_figures(rig->store, &figures);
    cr_assert_not_null(strstr(figures.last_error, "shutting down"), "%s", figures.last_error);
    pg_fake_refuse(rig->fake, NULL, NULL);
    started = pg_fake_started(rig->fake);
    cr_assert(PG_UNTIL(rig, pg_rig_connections(rig) == ALL));
    cr_assert_eq(pg_fake_started(rig->fake), started + WITH_SCOUT);
}

Test(scout, a_server_that_falls_silent_is_missed) {
    open_all();
    pg_fake_mute(second, true);
    cr_assert(PG_UNTIL(rig, pg_fake_sessions(second, "scout2") == 1));
    for (int i = 0; i < 300; i++) /* until it has asked */
        pg_rig_turn(rig);
    pg_rig_later(rig, 2500);
    cr_assert_eq(hosts_state(scouts_hosts(scouts), 1), HOST_MISSED);
    cr_assert_eq(pg_rig_connections(rig), ALL);
}
