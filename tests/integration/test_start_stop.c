/* How the daemons start, refuse to start, and stop. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { RUN_MS = 30000, STOP_MS = 15000, EXIT_CONFIG = 6, ARGS_MAX = 16, LATE = 20 };

/* ---- stopping ---- */

static const struct stack *s;
static PGconn *sql;
static struct caller *c;

/* A write is under way, for as long as we want: the backend that has it is stopped. Node and proxy
 * are the test's own, and patient. */
static uint16_t node_port, proxy_port;
static pid_t node, proxy, backend;

static void open_pending(void) {
    char ring_file[STACK_PATH_BYTES], args[STACK_PATH_BYTES + 60], ring[100];
    s = stack_shared();
    sql = sql_open(s);
    node = stack_node(s, "stop", "--write-timeout-ms 20000", &node_port);
    backend = (pid_t)sql_int(sql, "SELECT pid FROM pg_stat_activity WHERE application_name = "
                                  "'ringfence write1' ORDER BY backend_start DESC LIMIT 1");
    stack_ring_own(s, ring_file);
    snprintf(ring, sizeof(ring), "node stop 127.0.0.1:%u\n", node_port);
    stack_ring_write(ring_file, ring);
    snprintf(args, sizeof(args), "--ring-file %s --write-timeout-ms 30000", ring_file);
    proxy = stack_proxy(s, args, &proxy_port);
    c = expect_caller(proxy_port);
    EXPECT_WITHIN(RUN_MS, c, "+OK", "SET", "stop:row",
                  "before"); /* the node may not be connected */
    kill(backend, SIGSTOP);
    caller_say_words(c, "SET", "stop:row", "after", NULL);
    caller_say_words(c, "GET", "stop:row", NULL);
    expect_flush(c);
    EVENTUALLY(RUN_MS, stack_info(node_port, "pending_requests") == 1);
}

static void close_pending(void) {
    kill(backend, SIGCONT);
    caller_close(&c);
    PQfinish(sql);
}

TestSuite(stopping, .init = open_pending, .fini = close_pending);

static bool nobody_listens(uint16_t port) {
    struct caller *probe = caller_open(port);
    bool refused = probe == NULL;
    caller_close(&probe);
    return refused;
}

Test(stopping, sigterm_lets_a_proxy_finish_what_was_asked) {
    struct caller *idle = expect_caller(proxy_port);
    EXPECT(idle, "+PONG", "PING");
    kill(proxy, SIGTERM);
    EVENTUALLY(STOP_MS, nobody_listens(proxy_port));
    cr_assert(program_runs(proxy));
    kill(backend, SIGCONT);
    EXPECT_NEXT(c, "+OK");
    EXPECT_NEXT(c, "$after"); /* it was not even taken yet: the SET of its key was under way */
    cr_assert(caller_ended(c));
    cr_assert(caller_ended(idle));
    cr_assert_eq(program_wait(proxy, STOP_MS), 0);
    caller_close(&idle);
    cr_assert_eq(program_stop(node, SIGTERM, STOP_MS), 0);
}

Test(stopping, sigterm_lets_a_node_finish_what_it_was_asked) {
    kill(node, SIGTERM);
    EVENTUALLY(STOP_MS, nobody_listens(node_port));
    cr_assert(program_runs(node));
    kill(backend, SIGCONT);
    EXPECT_NEXT(c, "+OK");
    cr_assert_eq(program_wait(node, STOP_MS), 0);
    sql_expect(sql, "after", "SELECT payload FROM ringfence.entry WHERE key = 'stop:row'");
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
}

/* It was connected and has asked, whether the node had time to accept and to read or not. */
Test(stopping, a_node_answers_who_was_in_its_backlog) {
    struct caller *late[LATE];
    struct rlimit was, few = {.rlim_cur = 3};
    char log[32];
    kill(backend, SIGCONT);
    EXPECT_NEXT(c, "+OK");
    EXPECT_NEXT(c, "$after");
    /* It cannot accept while it has no descriptors, and rests. */
    cr_assert_eq(prlimit(node, RLIMIT_NOFILE, NULL, &was), 0);
    few.rlim_max = was.rlim_max;
    cr_assert_eq(prlimit(node, RLIMIT_NOFILE, &few, NULL), 0);
    for (int i = 0; i < LATE; i++) {
        late[i] = expect_caller(node_port);
        caller_say_words(late[i], "SET", "stop:late", "value", NULL);
        caller_say_words(late[i], "GET", "stop:late", NULL);
        expect_flush(late[i]);
    }
    snprintf(log, sizeof(log), "stop.%u", node_port);
    EVENTUALLY(STOP_MS, stack_log_has(s, log, "accept_failed"));
    cr_assert_eq(prlimit(node, RLIMIT_NOFILE, &was, NULL), 0);
    kill(node, SIGTERM);
    for (int i = 0; i < LATE; i++) {
        EXPECT_NEXT(late[i], "+OK");
        EXPECT_NEXT(late[i], "$value");
        cr_assert(caller_ended(late[i]));
        caller_close(&late[i]);
    }
    cr_assert_eq(program_wait(node, STOP_MS), 0);
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
}

Test(stopping, a_second_sigterm_ends_at_once) {
    kill(proxy, SIGTERM);
    EVENTUALLY(STOP_MS, nobody_listens(proxy_port));
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
    cr_assert(caller_ended(c)); /* without its answers */
    kill(node, SIGTERM);
    EVENTUALLY(STOP_MS, nobody_listens(node_port));
    cr_assert_eq(program_stop(node, SIGTERM, STOP_MS), 0);
}

/* ---- starting: what is refused ---- */

struct refusal {
    const char *const args[8]; /* "@" stands for the path of a file with `text` in it */
    const char *text, *want;
};

static void expect_refusal(const char *program, const struct refusal *refusal) {
    char path[STACK_PATH_BYTES], file[] = "/var/tmp/rf-conf-XXXXXX", said[2000];
    program_path(program, path, sizeof(path));
    int fd = mkstemp(file);
    cr_assert_geq(fd, 0);
    dprintf(fd, "%s", refusal->text != NULL ? refusal->text : "");
    close(fd);
    const char *argv[ARGS_MAX] = {path};
    for (int i = 0; i < 8 && refusal->args[i] != NULL; i++)
        argv[i + 1] = strcmp(refusal->args[i], "@") == 0 ? file : refusal->args[i];
    int status = program_run(argv, said, sizeof(said), RUN_MS);
    unlink(file);
    cr_expect_eq(status, EXIT_CONFIG, "%s %s: exit status %d, said: %s", program, argv[1], status,
                 said);
    cr_expect_not_null(strstr(said, refusal->want), "%s %s said '%s', nothing of '%s'", program,
                       argv[1], said, refusal->want);
}

Test(starting, a_proxy_refuses_a_bad_configuration) {
    static const struct refusal REFUSALS[] = {
        {{"--bogus", "1"}, NULL, "unknown option 'bogus'"},
        {{"--workers", "65"}, NULL, "workers: '65' is not a whole number from 0 to 64 threads"},
        {{"--workers", "-1"}, NULL, "workers: '-1'"},
        {{"--port", "http"}, NULL, "port: 'http' is not a whole number"},
        {{"--value-bytes-max", "1tb"}, NULL, "value-bytes-max: '1tb' is not a size"},
        {{"--value-bytes-max", "17mb"}, NULL, "value-bytes-max: '17mb'"},
        {{"--log-level", "loud"}, NULL, "log-level: 'loud' is none of debug, info, warn, error"},
        {{"--port"}, NULL, "--port needs a value"},
        {{"/nowhere/proxy.conf"}, NULL, "/nowhere/proxy.conf: No such file or directory"},
        {{"@"}, "# fine\nworkers 1\nbogus 2\n", ":3: unknown option 'bogus'"},
        {{"@"}, "port 70000\n", ":1: port: '70000'"},
        {{"@"}, "\nworkers 1\nworkers 2\n", ":3: workers was given before"},
        {{"@"}, "workers\n", ":1: an option needs a value"},
        {{"@"}, "bind \"localhost\n", ":1: a quote does not end"},
        {{"@", "@"}, "", "one configuration file"},
        {{"-t", "@"}, "workers many\n", ":1: workers: 'many'"},
        {{"--ring-file", "/nowhere/ring.conf"}, NULL, "/nowhere/ring.conf: No such file"},
        {{"--ring-file", "@"}, "", "no node in it"},
        {{"--ring-file", "@"}, "node a 127.0.0.1:1\nnode a 127.0.0.1:2\n", ":2: node 'a' stands"},
        {{"-t", "--ring-file", "@"}, "nodes\n", ":1: unknown word 'nodes'"},
    };
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++)
        expect_refusal("ringfence-proxy", &REFUSALS[i]);
}

Test(starting, a_node_refuses_a_bad_configuration) {
    static const struct refusal REFUSALS[] = {
        {{"--bogus", "1"}, NULL, "unknown option 'bogus'"},
        {{"--read-connections", "0"}, NULL, "read-connections: '0' is not a whole number from 1"},
        {{"--cache-bytes-max", "1kb"}, NULL, "cache-bytes-max: '1kb' is not a size"},
        {{"--payload-format", "xml"}, NULL, "payload-format: 'xml' is none of text, json"},
        {{"--table", "entry"}, NULL, "table 'entry' is not schema.table"},
        {{"--table", "a.b\"c"}, NULL, "is not schema.table"},
        {{"--name"}, NULL, "--name needs a value"},
        {{"/nowhere/node.conf"}, NULL, "/nowhere/node.conf: No such file or directory"},
        {{"@"}, "name a\nbogus 2\n", ":2: unknown option 'bogus'"},
        {{"-t", "@"}, "port 70000\n", ":1: port: '70000'"},
    };
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++)
        expect_refusal("ringfence-node", &REFUSALS[i]);
}

static int run(const char *program, const char *a, const char *b, const char *d, char *said,
               size_t size) {
    char path[STACK_PATH_BYTES];
    program_path(program, path, sizeof(path));
    const char *const argv[] = {path, a, b, d, NULL};
    return program_run(argv, said, size, RUN_MS);
}

Test(starting, t_checks_and_starts_nothing) {
    char said[2000], ring_file[STACK_PATH_BYTES];
    s = stack_shared();
    stack_ring_own(s, ring_file);
    cr_assert_eq(run("ringfence-proxy", "-t", "--ring-file", ring_file, said, sizeof(said)), 0);
    cr_assert_not_null(strstr(said, "configuration and ring are fine"), "%s", said);
    cr_assert_eq(run("ringfence-node", "-t", NULL, NULL, said, sizeof(said)), 0);
    cr_assert_not_null(strstr(said, "configuration is fine"), "%s", said);
}

Test(starting, help_names_every_option_with_its_range) {
    static char said[32000];
    cr_assert_eq(run("ringfence-proxy", "--help", NULL, NULL, said, sizeof(said)), 0);
    cr_assert_not_null(strstr(said, "# (0 to 64 threads)\n# workers 0\n"), "%s", said);
    cr_assert_eq(run("ringfence-node", "--help", NULL, NULL, said, sizeof(said)), 0);
    cr_assert_not_null(strstr(said, "# (1 to 16)\n# read-connections 2\n"), "%s", said);
    cr_assert_eq(run("ringfence-proxy", "--version", NULL, NULL, said, sizeof(said)), 0);
    cr_assert(expect_is(said, "ringfence-proxy *"));
    cr_assert_eq(run("ringfence-node", "--version", NULL, NULL, said, sizeof(said)), 0);
    cr_assert(expect_is(said, "ringfence-node *"));
}

/* Also by another of ours: two on a port would each get a part of the clients. */
Test(starting, a_port_that_is_taken_is_no_configuration_error) {
    char port[8], said[2000], ring_file[STACK_PATH_BYTES], path[STACK_PATH_BYTES];
    s = stack_shared();
    stack_ring_own(s, ring_file);
    snprintf(port, sizeof(port), "%u", s->proxy_port);
    program_path("ringfence-proxy", path, sizeof(path));
    const char *const argv[] = {path, "--port", port, "--ring-file", ring_file, NULL};
    cr_assert_eq(program_run(argv, said, sizeof(said), RUN_MS), EXIT_FAILURE, "%s", said);
    cr_assert_not_null(strstr(said, "cannot listen on localhost:"), "%s", said);
    cr_assert_not_null(strstr(said, "Address already in use"), "%s", said);
    snprintf(port, sizeof(port), "%u", s->node_ports[0]);
    cr_assert_eq(run("ringfence-node", "--port", port, NULL, said, sizeof(said)), EXIT_FAILURE);
    cr_assert_not_null(strstr(said, "cannot listen on 127.0.0.1:"), "%s", said);
}

/* A new proxy beside the old one, then the old one goes: somebody always listens. */
Test(starting, a_port_that_is_shared_can_be_taken_over) {
    char port[8], ring_file[STACK_PATH_BYTES], path[STACK_PATH_BYTES], log[STACK_PATH_BYTES + 20];
    s = stack_shared();
    stack_ring_own(s, ring_file);
    snprintf(port, sizeof(port), "%u", program_free_port());
    program_path("ringfence-proxy", path, sizeof(path));
    const char *const argv[] = {path,      "--port",        port,  "--ring-file",
                                ring_file, "--port-shared", "yes", NULL};
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        snprintf(log, sizeof(log), "%s.%d.log", ring_file, i);
        pids[i] = program_start(argv, log);
        EVENTUALLY(RUN_MS, program_file_has(log, " proxy_ready ") || !program_runs(pids[i]));
        cr_assert(program_runs(pids[i]), "proxy %d did not start", i);
    }
    struct caller *old = expect_caller((uint16_t)atoi(port));
    EXPECT(old, "+PONG", "PING");
    cr_assert_eq(program_stop(pids[0], SIGTERM, STOP_MS), 0);
    caller_close(&old);
    for (int i = 0; i < 20; i++) {
        struct caller *fresh = expect_caller((uint16_t)atoi(port));
        EXPECT(fresh, "+PONG", "PING");
        caller_close(&fresh);
    }
    cr_assert_eq(program_stop(pids[1], SIGTERM, STOP_MS), 0);
}

/* Without its database a node starts, says so, and goes on trying. */
Test(starting, a_node_without_its_database_answers_that_it_is_down) {
    char log[] = "/var/tmp/rf-log-XXXXXX", path[STACK_PATH_BYTES], port[8];
    uint16_t number = program_free_port();
    close(mkstemp(log));
    snprintf(port, sizeof(port), "%u", number);
    program_path("ringfence-node", path, sizeof(path));
    const char *const argv[] = {path, "--port", port, "--conninfo", "host=/nowhere user=nobody",
                                NULL};
    pid_t pid = program_start(argv, log);
    EVENTUALLY(RUN_MS, program_file_has(log, " node_ready ") || !program_runs(pid));
    struct caller *direct = expect_caller(number);
    EXPECT(direct, "-DBDOWN *", "GET", "a");
    EXPECT(direct, "-DBDOWN *", "SET", "a", "b");
    EVENTUALLY(RUN_MS, program_file_has(log, " db_connection_down "));
    cr_assert_eq(stack_info(number, "db_up"), 0);
    caller_close(&direct);
    cr_assert_eq(program_stop(pid, SIGTERM, STOP_MS), 0);
    unlink(log);
}
