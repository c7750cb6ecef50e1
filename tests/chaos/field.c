#include "field.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "truth.h"

enum { STOP_MS = 20000, WELL_MS = 120000 /* PostgreSQL recovers from a crash, on a busy disk */ };

/* ---- daemons ---- */

static void start(struct field_daemon *daemon, const char *const argv[]) {
    daemon->pid = program_start(argv, daemon->log);
    cr_assert_gt(daemon->pid, 0);
}

void field_node_start(struct field *f, int node) {
    char program[STACK_PATH_BYTES], name[16], conninfo[200], port[8], fence[16], stale[16];
    program_path("ringfence-node", program, sizeof(program));
    snprintf(name, sizeof(name), "n%d", node + 1);
    snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%u dbname=%s user=rf_node1",
             f->db_ports[node], f->stack->pg_database);
    snprintf(port, sizeof(port), "%u", f->nodes[node].port);
    snprintf(fence, sizeof(fence), "%d", f->fence_ms);
    snprintf(stale, sizeof(stale), "%d", f->stale_ms);
    const char *const argv[] = {program,  "--name",         name,  "--conninfo",
                                conninfo, "--port",         port,  "--fence-after-ms",
                                fence,    "--stale-max-ms", stale, NULL};
    start(&f->nodes[node], argv);
}

void field_proxy_start(struct field *f, int proxy) {
    char program[STACK_PATH_BYTES], port[8];
    program_path("ringfence-proxy", program, sizeof(program));
    snprintf(port, sizeof(port), "%u", f->proxies[proxy].port);
    const char *const argv[] = {program,     "--ring-file", f->rings[proxy], "--port", port,
                                "--workers", "2",           "--drain-ms",    "1000",   NULL};
    start(&f->proxies[proxy], argv);
}

void field_end(struct field_daemon *daemon, int signo) {
    kill(daemon->pid, SIGCONT);
    int status = program_stop(daemon->pid, signo, STOP_MS);
    cr_expect(status == 0 || status == PROGRAM_SIGNALLED + signo, "a daemon ended with %d: %s",
              status, daemon->log);
    daemon->pid = 0;
}

void field_ring_write(struct field *f, int proxy, int epoch,
                      const char *const attributes[CHAOS_NODES]) {
    char text[1000];
    size_t at = (size_t)snprintf(text, sizeof(text), "epoch %d\n", epoch);
    for (int i = 0; i < CHAOS_NODES; i++) {
        if (strcmp(attributes[i], "-") != 0)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "node n%d 127.0.0.1:%u %s\n",
                                   i + 1, f->node_ports[proxy][i], attributes[i]);
    }
    stack_ring_write(f->rings[proxy], text);
}

/* ---- health ---- */

/* As many connections as the stack's own node, which nobody breaks. */
static bool node_is_well(const struct field *f, int node) {
    uint16_t port = f->nodes[node].port;
    return stack_info(port, "feed_up") == 1 && stack_info(port, "db_up") == 1 &&
           stack_info(port, "db_connections") ==
               stack_info(f->stack->node_ports[0], "db_connections");
}

static bool proxy_is_well(const struct field *f, int proxy) {
    uint16_t port = f->proxies[proxy].port;
    return stack_info(port, "ring_nodes_heard") == CHAOS_NODES &&
           stack_info(port, "ring_epoch") == f->epoch;
}

static bool all_is_well(const struct field *f) {
    bool well = true;
    for (int i = 0; i < CHAOS_NODES && well; i++)
        well = node_is_well(f, i);
    for (int p = 0; p < CHAOS_PROXIES && well; p++)
        well = proxy_is_well(f, p);
    return well;
}

bool field_heal(struct field *f) {
    static const char *const PLAIN[CHAOS_NODES] = {"", "", ""};
    int links = f->client_links[CHAOS_PROXIES - 1];
    for (int i = 0; i <= links; i++)
        wire_set(f->wire, i, NULL);
    f->epoch++;
    for (int p = 0; p < CHAOS_PROXIES; p++) {
        field_ring_write(f, p, f->epoch, PLAIN);
        if (f->proxies[p].pid == 0)
            field_proxy_start(f, p);
        kill(f->proxies[p].pid, SIGCONT);
    }
    for (int i = 0; i < CHAOS_NODES; i++) {
        if (f->nodes[i].pid == 0)
            field_node_start(f, i);
        kill(f->nodes[i].pid, SIGCONT);
    }
    int64_t until_ms = clock_mono_ms() + WELL_MS;
    while (!all_is_well(f) && clock_mono_ms() < until_ms)
        expect_pause();
    return all_is_well(f);
}

/* ---- up and down ---- */

PGconn *field_sql(const struct field *f) {
    PGconn *sql = PQconnectdb(f->conninfo);
    if (PQstatus(sql) == CONNECTION_OK)
        return sql;
    PQfinish(sql);
    return NULL;
}

/* Commits are stamped with their time; only a restart switches that on. */
static void prepare_database(struct field *f, bool fsync) {
    PGconn *sql = sql_open(f->stack);
    sql_do(sql, "ALTER SYSTEM SET track_commit_timestamp = on");
    if (!fsync) /* what dies here is processes: what they have written stays written */
        sql_do(sql, "ALTER SYSTEM SET fsync = off");
    PQfinish(sql);
    stack_database_stop(f->stack, "fast");
    stack_database_start(f->stack);
    sql = sql_open(f->stack);
    truth_prepare(sql);
    PQfinish(sql);
}

static int link_to(struct field *f, const char *path, uint16_t port, uint16_t *port_out) {
    int link = wire_link(f->wire, path, port, port_out);
    cr_assert_geq(link, 0, "no link to %s%u", path != NULL ? path : "", port);
    return link;
}

static void prepare_links(struct field *f) {
    char socket_path[200];
    snprintf(socket_path, sizeof(socket_path), "%s/.s.PGSQL.%s", f->stack->pg_host,
             f->stack->pg_port);
    for (int i = 0; i < CHAOS_NODES; i++) {
        f->nodes[i].port = program_free_port();
        f->db_links[i] = link_to(f, socket_path, 0, &f->db_ports[i]);
        snprintf(f->nodes[i].log, sizeof(f->nodes[i].log), "%s/n%d.log", f->stack->dir, i + 1);
        for (int p = 0; p < CHAOS_PROXIES; p++)
            f->node_links[p][i] = link_to(f, NULL, f->nodes[i].port, &f->node_ports[p][i]);
    }
    for (int p = 0; p < CHAOS_PROXIES; p++) {
        f->proxies[p].port = program_free_port();
        f->client_links[p] = link_to(f, NULL, f->proxies[p].port, &f->client_ports[p]);
        snprintf(f->proxies[p].log, sizeof(f->proxies[p].log), "%s/p%d.log", f->stack->dir, p + 1);
        stack_ring_own(f->stack, f->rings[p]);
    }
}

struct field *field_up(int fence_ms, int stale_ms, bool fsync) {
    struct field *f = calloc(1, sizeof(*f));
    cr_assert_not_null(f);
    f->fence_ms = fence_ms;
    f->stale_ms = stale_ms;
    f->stack = stack_private((struct stack_conf){.nodes = 1});
    f->wire = wire_new();
    cr_assert_not_null(f->wire);
    snprintf(f->conninfo, sizeof(f->conninfo), "host=%s port=%s dbname=%s user=postgres",
             f->stack->pg_host, f->stack->pg_port, f->stack->pg_database);
    prepare_database(f, fsync);
    prepare_links(f);
    bool well = field_heal(f);
    cr_assert(well, "the daemons did not start: see %s", f->stack->dir);
    return f;
}

static void end_daemon(struct field_daemon *daemon) {
    if (daemon->pid != 0)
        field_end(daemon, SIGTERM);
    cr_expect(!program_file_has(daemon->log, "Sanitizer") &&
                  !program_file_has(daemon->log, "runtime error"),
              "%s has a sanitizer's report", daemon->log);
}

void field_down(struct field **pointer) {
    struct field *f = *pointer;
    *pointer = NULL;
    for (int p = 0; p < CHAOS_PROXIES; p++)
        end_daemon(&f->proxies[p]);
    for (int i = 0; i < CHAOS_NODES; i++)
        end_daemon(&f->nodes[i]);
    wire_free(&f->wire);
    stack_down(&f->stack);
    free(f);
}
