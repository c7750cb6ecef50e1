// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
/* The connection to a replica: floors, rows with the place before them, and what becomes of fills
 * that it does not answer. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../node/replica.h"
#include "../fakes/pg_rig.h"

enum { AGE_MS = 600000, TIMEOUT_MS = 60000, KEY = 1 };

static const char LINEAGE[] = "7/1/5/16400";

static struct pg_rig *rig;
static struct pg_fake *standby;
static struct replica *policy;

struct fill {
    struct store_get get;
    bool answered, present, found, expires, in_recovery;
    enum store_status status;
    char value[40], lineage[REPLICA_LINEAGE_BYTES];
    uint64_t version, lsn;
    uint32_t transaction;
};

static bool is_up(void) {
    struct store_figures figures;
    store_pg_figures(rig->store, &figures);
    return figures.replica_up;
}

static void set_up(void) {
    static char conninfo[200];
    rig = pg_rig_new();
    policy = replica_new(AGE_MS);
    standby = pg_fake_new(rig->base);
    pg_fake_standby(standby, true);
    pg_fake_identity(standby, "1/reads/start");
    snprintf(conninfo, sizeof(conninfo), "host=%s user=u dbname=d", pg_fake_host(standby));
    rig->conf.replica = policy;
    rig->conf.read_conninfo = conninfo;
    rig->conf.replica_timeout_ms = TIMEOUT_MS;
    rig->conf.read_deadline_ms = 10 * TIMEOUT_MS;
    rig->conf.write_deadline_ms = 10 * TIMEOUT_MS;
    pg_rig_store(rig);
    cr_assert(PG_UNTIL(rig, is_up()));
    pg_fake_hold(standby, "pg_last_wal_replay_lsn()"); /* once it is prepared */
}

static void tear_down(void) {
    store_pg_free(&rig->store);
    pg_fake_free(&standby);
    pg_rig_free(&rig);
    replica_free(&policy);
}

TestSuite(store_replica, .init = set_up, .fini = tear_down);

static struct pg_fake_group *await(struct pg_fake *fake, const char *sql) {
    cr_assert(PG_UNTIL(rig, pg_fake_groups(fake) >= 1));
    struct pg_fake_group *group = pg_fake_group(fake, 0);
    cr_assert_not_null(strstr(pg_fake_sql(group, 0), sql), "%s", pg_fake_sql(group, 0));
    return group;
}

static void primary_says(uint64_t lsn, uint32_t horizon) {
    struct pg_fake_group *group = await(rig->fake, "pg_current_wal_insert_lsn()");
    pg_fake_begin(group, 3);
    pg_fake_row(group, "iit", (int64_t)horizon, (int64_t)lsn, LINEAGE);
    pg_fake_end(group);
    pg_fake_sync(group);
}

static void put_place(struct pg_fake_group *group, bool in_recovery, uint64_t lsn) {
    pg_fake_begin(group, 3);
    pg_fake_row(group, "bit", (int)in_recovery, (int64_t)lsn, LINEAGE);
    pg_fake_end(group);
}

static void replica_says(bool in_recovery, uint64_t lsn) {
    struct pg_fake_group *group = await(standby, "pg_last_wal_replay_lsn()");
    cr_assert_eq(pg_fake_count(group), 1);
    put_place(group, in_recovery, lsn);
    pg_fake_sync(group);
}

static bool serves(void) {
    struct replica_ticket ticket;
    return replica_serves(policy, pg_rig_now_ms(), KEY, &ticket);
}

/* A floor that is reached. */
static void make_floor(void) {
    primary_says(500, 100);
    replica_says(true, 500);
    cr_assert(PG_UNTIL(rig, serves()));
}

static void on_row(struct store_get *get, enum store_status status, const struct store_row *row,
                   const char *detail) {
    struct fill *fill = (struct fill *)get;
    cr_assert(!fill->answered);
    fill->answered = true;
    fill->status = status;
    if (status != STORE_OK)
        return;
    fill->present = row->present;
    fill->version = row->version;
    snprintf(fill->value, sizeof(fill->value), "%.*s", (int)row->payload.len, row->payload.ptr);
    cr_assert_not_null(row->origin);
    fill->found = row->origin->found;
    fill->expires = row->origin->expires;
    fill->transaction = row->origin->transaction;
    fill->lsn = row->origin->place->lsn;
    fill->in_recovery = row->origin->place->in_recovery;
    snprintf(fill->lineage, sizeof(fill->lineage), "%s", row->origin->place->lineage);
}

static enum store_status ask(struct fill *fill, const char *key) {
    *fill = (struct fill){.get = {.key = span_str(key), .from_replica = true, .done = on_row}};
    return store_get(rig->store, &fill->get);
}

Test(store_replica, a_floor_is_the_primarys_position_that_the_replica_has_replayed) {
    primary_says(500, 100);
    replica_says(true, 499);
    for (int i = 0; i < 5; i++)
        pg_rig_turn(rig);
    cr_expect(!serves());
    replica_says(true, 500); /* it is asked again */
    cr_assert(PG_UNTIL(rig, serves()));
    struct replica_ticket ticket;
    cr_assert(replica_serves(policy, pg_rig_now_ms(), KEY, &ticket));
    cr_expect_eq(ticket.lsn, 500);
    cr_expect_eq(ticket.horizon, 100);
    cr_expect_eq(pg_rig_connections(rig), 3, "it is none of the primary's");
}

Test(store_replica, the_place_is_read_in_a_statement_before_the_rows) {
    struct fill a, b, c, off;
    make_floor();
    cr_assert_eq(ask(&a, "a"), STORE_OK);
    cr_assert_eq(ask(&b, "b"), STORE_OK);
    cr_assert_eq(ask(&c, "c"), STORE_OK);
    cr_assert_eq(ask(&off, "off"), STORE_OK);
    struct pg_fake_group *group = await(standby, "pg_last_wal_replay_lsn()");
    cr_assert_eq(pg_fake_count(group), 2);
    cr_assert_not_null(strstr(pg_fake_sql(group, 1), "xmin"));
    cr_assert_null(strstr(pg_fake_sql(group, 1), "replay"));
    cr_assert_str_eq(pg_fake_array(pg_fake_param(group, 1, 0)), "a b c off");
    put_place(group, true, 700);
    pg_fake_begin(group, 6);
    pg_fake_row(group, "ttibbi", "a", "va", (int64_t)7, 1, 0, (int64_t)90);
    pg_fake_row(group, "ttibbi", "b", "vb", (int64_t)8, 1, 1, (int64_t)91);
    pg_fake_row(group, "tnibbi", "off", (int64_t)9, 0, 0, (int64_t)4294967295);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, a.answered && b.answered && c.answered && off.answered));
    cr_expect(a.status == STORE_OK && a.present && a.found && !a.expires);
    cr_expect_str_eq(a.value, "va");
    cr_expect_eq(a.version, 7);
    cr_expect_eq(a.transaction, 90);
    cr_expect_eq(a.lsn, 700);
    cr_expect(a.in_recovery);
    cr_expect_str_eq(a.lineage, LINEAGE);
    cr_expect(b.present && b.expires);
    cr_expect(c.status == STORE_OK && !c.present && !c.found);
    cr_expect_eq(c.lsn, 700);
    cr_expect(off.status == STORE_OK && !off.present && off.found);
    cr_expect_eq(off.transaction, UINT32_MAX);
}

Test(store_replica, without_a_connection_nothing_is_taken) {
    struct fill a;
    make_floor();
    pg_fake_listen(standby, false);
    pg_fake_drop(standby, NULL);
    cr_assert(PG_UNTIL(rig, replica_counters(policy)->failures == 1));
    cr_expect_eq(ask(&a, "a"), STORE_DOWN);
    cr_expect(!serves());
}

Test(store_replica, what_is_not_answered_in_time_fails_and_so_does_what_waits_behind_it) {
    struct fill a, b, late;
    make_floor();
    cr_assert_eq(ask(&a, "a"), STORE_OK);
    await(standby, "pg_last_wal_replay_lsn()");
    cr_assert_eq(ask(&b, "b"), STORE_OK);
    pg_rig_later(rig, TIMEOUT_MS - 5000); /* it has time */
    for (int i = 0; i < 5; i++)
        pg_rig_turn(rig);
    cr_assert(!a.answered && !b.answered);
    pg_rig_later(rig, TIMEOUT_MS + 1);
    cr_expect_eq(ask(&late, "late"), STORE_DOWN);
    cr_assert(PG_UNTIL(rig, a.answered && b.answered));
    cr_expect_eq(a.status, STORE_FAILED);
    cr_expect_eq(b.status, STORE_DOWN);
    cr_expect_eq(replica_counters(policy)->failures, 1);
    cr_expect(!serves());
}

Test(store_replica, an_error_fails_the_batch_and_leaves_it_alone_for_a_while) {
    struct fill a, b;
    make_floor();
    cr_assert_eq(ask(&a, "a"), STORE_OK);
    struct pg_fake_group *group = await(standby, "pg_last_wal_replay_lsn()");
    put_place(group, true, 700);
    pg_fake_error(group, "40001", "canceling statement due to conflict with recovery");
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, a.answered));
    cr_expect_eq(a.status, STORE_FAILED);
    cr_expect_eq(replica_counters(policy)->failures, 1);
    cr_expect(!serves());
    cr_expect_eq(ask(&b, "b"), STORE_OK, "the connection is fine");
    group = await(standby, "pg_last_wal_replay_lsn()");
    pg_fake_begin(group, 3); /* it does not say where it is */
    pg_fake_row(group, "bnn", 1);
    pg_fake_end(group);
    pg_fake_begin(group, 6);
    pg_fake_row(group, "ttibbi", "b", "vb", (int64_t)8, 1, 0, (int64_t)90);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, b.answered));
    cr_expect_eq(b.status, STORE_OK);
    cr_expect_str_eq(b.lineage, "", "which no floor is compared with");
}

Test(store_replica, an_answer_for_a_floor_from_another_server_than_the_feeds_does_not_count) {
    struct pg_fake_group *group = await(rig->fake, "pg_current_wal_insert_lsn()");
    store_pg_trust(rig->store, ""); /* the feed is lost */
    pg_fake_begin(group, 3);
    pg_fake_row(group, "iit", (int64_t)100, (int64_t)500, LINEAGE);
    pg_fake_end(group);
    pg_fake_sync(group);
    for (int i = 0; i < 20; i++)
        pg_rig_turn(rig);
    cr_expect_eq(pg_fake_groups(standby), 0, "there is nothing to reach");
    cr_expect(!replica_is_awaited(policy, pg_rig_now_ms()));
}

Test(store_replica, one_that_was_promoted_is_left) {
    primary_says(500, 100);
    unsigned started = pg_fake_started(standby);
    replica_says(false, 500);
    cr_assert(PG_UNTIL(rig, pg_fake_started(standby) > started));
    cr_expect(!serves());
}

Test(store_replica, what_it_owes_at_the_end_is_answered) {
    static struct fill a, b;
    make_floor();
    cr_assert_eq(ask(&a, "a"), STORE_OK);
    await(standby, "pg_last_wal_replay_lsn()");
    cr_assert_eq(ask(&b, "b"), STORE_OK);
    store_pg_free(&rig->store);
    cr_expect(a.answered && b.answered);
    cr_expect_neq(a.status, STORE_OK);
    cr_expect_neq(b.status, STORE_OK);
}
