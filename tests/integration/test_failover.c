/* A standby is promoted and the old primary lives on and takes writes: nodes that name both follow
 * the promoted one, and what the zombie has is not served by a node that saw the new timeline. The
 * stack's own node and proxy know the old primary alone. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/load.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"
#include "../harness/standby.h"

enum {
    NODES = 2,
    KEYS = 20,
    CONNECTIONS = 2 + 1 + 1 + 2, /* of a node: for reads, writes, locked rows, transactions */
    FOLLOWED_MS = 10000,         /* a busy machine; what it took is printed */
    PATIENCE_MS = 60000,
    STOP_MS = 15000
};

static struct stack *s; /* the old primary's */
static struct stack promoted;
static struct standby standby;
static PGconn *old_sql, *new_sql;
static uint16_t node_ports[NODES], proxy_port;
static pid_t nodes[NODES], proxy;
static char node_args[400], node_logs[NODES][32];
static struct caller *c;

static void start_node(int i) {
    char name[8];
    snprintf(name, sizeof(name), "both%d", i + 1);
    nodes[i] = stack_node(s, name, node_args, &node_ports[i]);
    snprintf(node_logs[i], sizeof(node_logs[i]), "%s.%u", name, node_ports[i]);
}

static void start_proxy(void) {
    char path[STACK_PATH_BYTES + 16], text[200], args[STACK_PATH_BYTES + 40];
    snprintf(path, sizeof(path), "%s/both.conf", s->dir);
    snprintf(text, sizeof(text), "node both1 127.0.0.1:%u\nnode both2 127.0.0.1:%u\n",
             node_ports[0], node_ports[1]);
    stack_ring_write(path, text);
    snprintf(args, sizeof(args), "--ring-file %s", path);
    proxy = stack_proxy(s, args, &proxy_port);
}

static void open_all(void) {
    s = stack_private((struct stack_conf){.nodes = 1});
    old_sql = sql_open(s);
    standby_start(s, &standby);
    /* The old primary comes first: libpq's own order would take it again and again. */
    snprintf(node_args, sizeof(node_args),
             "--conninfo postgresql://rf_node1@/%s?host=%s,%s&port=%s", s->pg_database, s->pg_host,
             standby.dir, s->pg_port);
    for (int i = 0; i < NODES; i++)
        start_node(i);
    start_proxy();
    c = expect_caller(proxy_port);
}

static void close_all(void) {
    caller_close(&c);
    cr_expect_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
    for (int i = 0; i < NODES; i++) {
        cr_expect_eq(program_stop(nodes[i], SIGTERM, STOP_MS), 0);
        cr_expect(!stack_log_has(s, node_logs[i], "Sanitizer") &&
                  !stack_log_has(s, node_logs[i], "runtime error"));
    }
    PQfinish(old_sql);
    PQfinish(new_sql);
    standby_stop(&standby);
    stack_down(&s);
}

TestSuite(failover, .init = open_all, .fini = close_all);

static void key_name(int i, char *out, size_t size) {
    snprintf(out, size, "fo:%d", i);
}

static void set_all(const char *value) {
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        key_name(i, key, sizeof(key));
        EXPECT(c, "+OK", "SET", key, value);
    }
}

static void expect_all(const char *want) {
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        key_name(i, key, sizeof(key));
        EXPECT(c, want, "GET", key);
    }
}

/* What was written so far is on the standby, too. */
static void replicate(void) {
    struct stack at_standby = *s;
    snprintf(at_standby.pg_host, sizeof(at_standby.pg_host), "%s", standby.dir);
    PGconn *sql = sql_open(&at_standby);
    char *lsn = sql_text(old_sql, "SELECT pg_current_wal_flush_lsn()");
    EVENTUALLY(PATIENCE_MS, sql_int(sql, "SELECT (pg_last_wal_replay_lsn() >= '%s')::int", lsn));
    free(lsn);
    PQfinish(sql);
}

static void promote(void) {
    standby_promote(&standby);
    promoted = *s;
    snprintf(promoted.pg_host, sizeof(promoted.pg_host), "%s", standby.dir);
    new_sql = sql_open(&promoted);
}

static bool has_followed(int i) {
    return stack_info(node_ports[i], "db_timeline") == 2 &&
           stack_info(node_ports[i], "feed_up") == 1 &&
           stack_info(node_ports[i], "db_connections") == CONNECTIONS &&
           stack_info(node_ports[i], "feed_lag_ms") < 2000;
}

static void expect_followed(void) {
    int64_t begun_ms = clock_mono_ms();
    for (int i = 0; i < NODES; i++)
        EVENTUALLY(FOLLOWED_MS, has_followed(i));
    fprintf(stderr, "failover: followed %lld ms after the promotion\n",
            (long long)(clock_mono_ms() - begun_ms));
}

static int64_t sum_of(const char *field) {
    return stack_info(node_ports[0], field) + stack_info(node_ports[1], field);
}

/* All of a node's connections are at one server: none but its scout at the old one. */
static int64_t at_old(void) {
    return sql_int(old_sql, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE "
                            "'ringfence %%' AND application_name NOT LIKE 'ringfence scout%%'");
}

static void edit_zombie(void) {
    sql_do(old_sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT 'fo:' || i, 'zombie' FROM "
           "generate_series(0, %d) AS i ON CONFLICT (key) DO UPDATE SET payload = "
           "'zombie', active = true",
           KEYS - 1);
}

Test(failover, nodes_follow_the_promoted_server_and_leave_the_zombie) {
    int64_t others = at_old() - (int64_t)NODES * (CONNECTIONS + 1);
    set_all("before");
    expect_all("$before");
    replicate();
    promote();
    edit_zombie(); /* before the nodes may have noticed: they may even have heard of it */
    expect_followed();
    cr_expect_eq(at_old(), others);
    expect_all("$before");
    sql_do(new_sql, "UPDATE ringfence.entry SET payload = 'edited' WHERE key LIKE 'fo:%%'");
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        key_name(i, key, sizeof(key));
        EXPECT_WITHIN(2000, c, "$edited", "GET", key);
    }
    set_all("after");
    edit_zombie();
    expect_all("$after");
    sql_expect(new_sql, "20", "SELECT count(*) FROM ringfence.entry WHERE payload = 'after'");
    sql_expect(old_sql, "0", "SELECT count(*) FROM ringfence.entry WHERE payload = 'after'");
    for (int i = 0; i < NODES; i++) {
        cr_expect(stack_log_has(s, node_logs[i], " db_old_timeline "));
        cr_expect_gt(stack_info(node_ports[i], "db_old_timeline"), 0);
    }
}

Test(failover, the_end_of_the_zombie_and_its_return_change_nothing) {
    set_all("before");
    replicate();
    promote();
    expect_followed();
    set_all("after");
    int64_t lost = sum_of("db_reconnects"), epochs = sum_of("epoch");
    PQfinish(old_sql);
    stack_database_stop(s, "immediate");
    expect_all("$after");
    set_all("later");
    expect_all("$later");
    stack_database_start(s);
    old_sql = sql_open(s);
    edit_zombie();
    /* until a scout of each node has found it again */
    EVENTUALLY(PATIENCE_MS,
               sql_int(old_sql, "SELECT count(*) FROM pg_stat_activity WHERE "
                                "application_name = 'ringfence scout1' AND state = "
                                "'idle' AND query LIKE '%%pg_control_system%%'") >= NODES);
    expect_all("$later");
    cr_expect_eq(sum_of("db_reconnects"), lost);
    cr_expect_eq(sum_of("epoch"), epochs);
    cr_expect_eq(sum_of("stale_served"), 0);
}

/* What is promised of a split brain: see docs/reliability.md. */
Test(failover, who_saw_the_new_timeline_never_goes_back_and_who_cannot_see_it_cannot_know) {
    struct caller *blind = expect_caller(s->proxy_port); /* its node names the old primary alone */
    set_all("before");
    replicate();
    promote();
    expect_followed();
    set_all("new");
    EXPECT(blind, "+OK", "SET", "fo:0", "lost");
    EXPECT(blind, "$lost", "GET", "fo:0");
    sql_expect(old_sql, "lost", "SELECT payload FROM ringfence.entry WHERE key = 'fo:0'");
    expect_all("$new");
    /* A node that starts now asks all before it takes one. */
    cr_expect_eq(program_stop(nodes[0], SIGKILL, STOP_MS), PROGRAM_SIGNALLED + SIGKILL);
    start_node(0);
    struct caller *fresh = expect_caller(node_ports[0]);
    EXPECT(fresh, "$new", "GET", "fo:0");
    cr_expect_eq(stack_info(node_ports[0], "db_timeline"), 2);
    caller_close(&fresh);
    /* Without the new one there is none. */
    PQfinish(new_sql);
    new_sql = NULL;
    const char *const kill_it[] = {"sh", "-c", "kill -QUIT $(head -n 1 \"$0/data/postmaster.pid\")",
                                   standby.dir, NULL};
    cr_assert_eq(program_run(kill_it, NULL, 0, STOP_MS), 0);
    EVENTUALLY(PATIENCE_MS, sum_of("db_connections") == 0);
    struct caller *direct = expect_caller(node_ports[1]);
    EXPECT(direct, "-DBDOWN *", "GET", "fo:unknown");
    EXPECT(direct, "-DBDOWN *", "SET", "fo:0", "to nobody");
    cr_expect_eq(sql_int(old_sql, "SELECT count(*) FROM ringfence.entry WHERE payload = "
                                  "'to nobody'"),
                 0);
    cr_expect_eq(stack_info(node_ports[1], "feed_up"), 0);
    caller_close(&direct);
    caller_close(&blind);
}

/* With synchronous replication the zombie cannot acknowledge anything more either. */
Test(failover, under_load_no_acknowledged_write_is_lost_with_synchronous_replication) {
    sql_do(old_sql, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    sql_do(old_sql, "SELECT pg_reload_conf()");
    EVENTUALLY(PATIENCE_MS, sql_int(old_sql, "SELECT count(*) FROM pg_stat_replication WHERE "
                                             "sync_state = 'sync'") == 1);
    struct load *load = load_start(&(struct load_conf){.ports = {proxy_port},
                                                       .prefix = "fo:load",
                                                       .clients = 6,
                                                       .keys = 20,
                                                       .depth = 4,
                                                       .write_percent = 40});
    cr_assert_not_null(load);
    EVENTUALLY(PATIENCE_MS, load_requests(load) >= 1000);
    promote();
    expect_followed();
    load_let_recover(load, 500, PATIENCE_MS, PATIENCE_MS);
    struct load_result r;
    load_end(&load, &r);
    fprintf(stderr, "failover: requests=%llu errors=%llu uncertain=%llu old=%llu wrong=%llu\n",
            (unsigned long long)r.requests, (unsigned long long)r.errors,
            (unsigned long long)r.uncertain, (unsigned long long)r.old,
            (unsigned long long)r.wrong);
    cr_expect_eq(r.wrong, 0, "%s", r.first_wrong);
    cr_expect_eq(r.old, 0);
}
