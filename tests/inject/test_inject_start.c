/*
 * Every call of a kind fails once while a daemon starts: it says why it cannot and ends with an
 * error, or it serves, be it a little later; it never crashes, and leaks nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/stack.h"
#include "page.h"
#include "script.h"

enum { START_MS = 30000, SERVE_MS = 30000, ARGS_MAX = 20, PORT_TRIES = 20 };

struct starting {
    const struct stack *stack;
    enum inject_program program;
    char path[STACK_PATH_BYTES], conninfo[300], log[STACK_PATH_BYTES + 16], port_text[8];
    const char *argv[ARGS_MAX];
    struct script users;
    uint16_t port;
    pid_t pid;
};

static void new_port(struct starting *st) {
    st->port = program_free_port();
    snprintf(st->port_text, sizeof(st->port_text), "%u", st->port);
}

static void prepare(struct starting *st, const struct stack *stack, enum inject_program program) {
    *st = (struct starting){.stack = stack, .program = program};
    const char *name = program == INJECT_NODE ? "ringfence-node" : "ringfence-proxy";
    program_path(name, st->path, sizeof(st->path));
    snprintf(st->log, sizeof(st->log), "%s/start.log", stack->dir);
    snprintf(st->conninfo, sizeof(st->conninfo), "host=%s port=%s dbname=%s user=rf_node1",
             stack->pg_host, stack->pg_port, stack->pg_database);
    const char *const node[] = {st->path, "--port", st->port_text, "--conninfo", st->conninfo};
    const char *const proxy[] = {st->path,      "--port",         st->port_text,
                                 "--ring-file", stack->ring_file, "--workers",
                                 "1",           "--users-file",   st->users.users_file};
    if (program == INJECT_NODE)
        memcpy(st->argv, node, sizeof(node));
    else
        memcpy(st->argv, proxy, sizeof(proxy));
    script_users(&st->users);
    new_port(st);
}

/* True when it is ready, false when it has ended. */
static bool start(struct starting *st) {
    unlink(st->log);
    st->pid = program_start(st->argv, st->log);
    cr_assert_gt(st->pid, 0);
    EVENTUALLY(START_MS, program_file_has(st->log, "_ready ") || !program_runs(st->pid));
    return program_runs(st->pid);
}

static bool serves(const struct starting *st) {
    return st->program == INJECT_NODE
               ? stack_info(st->port, "feed_up") == 1 &&
                     stack_info(st->port, "db_connections") ==
                         stack_info(st->stack->node_ports[0], "db_connections")
               : stack_info(st->port, "ring_nodes_heard") == 1;
}

static void expect_service(const struct starting *st, const char *title) {
    int64_t until_ms = clock_mono_ms() + SERVE_MS;
    while (!serves(st)) {
        cr_assert(clock_mono_ms() < until_ms, "%s: it does not serve; see %s", title, st->log);
        expect_pause();
    }
    for (bool right = false; !right; expect_pause()) { /* a connection may break, once */
        cr_assert(clock_mono_ms() < until_ms, "%s: it gives no row; see %s", title, st->log);
        struct caller *c = caller_open(st->port);
        if (c == NULL)
            continue;
        caller_say_words(c, "GET", "greeting", NULL);
        struct resp_reply *reply = caller_flush(c) ? caller_hear(c) : NULL;
        char *shown = caller_show(reply);
        cr_assert(strcmp(shown, "closed") == 0 || shown[0] == '-' ||
                      strcmp(shown, "$hello from PostgreSQL") == 0,
                  "%s: GET greeting answered %s", title, shown);
        right = shown[0] == '$';
        free(shown);
        resp_reply_free(&reply);
        caller_close(&c);
    }
}

/* One start with one failure. Returns whether it serves. */
static bool one_start(struct starting *st, const struct inject_aim *aim, const char *title) {
    inject_arm(aim);
    bool ready = start(st);
    for (int i = 0; !ready && program_file_has(st->log, "in use") && i < PORT_TRIES; i++) {
        program_wait(st->pid, START_MS);
        new_port(st);
        inject_arm(aim);
        ready = start(st);
    }
    if (ready)
        expect_service(st, title);
    inject_disarm(st->program);
    int status = ready ? program_stop(st->pid, SIGTERM, SERVE_MS) : program_wait(st->pid, START_MS);
    char *said = program_file_text(st->log);
    cr_assert(strstr(said, "Sanitizer") == NULL && strstr(said, "runtime error") == NULL,
              "%s (%s): %s", title, inject_place(st->program), said);
    if (ready)
        cr_assert_eq(status, 0, "%s (%s): ended with %d", title, inject_place(st->program), status);
    else
        cr_assert(status > 0 && status < PROGRAM_SIGNALLED && said[0] != '\0',
                  "%s (%s): ended with %d and said '%s'", title, inject_place(st->program), status,
                  said);
    free(said);
    return ready;
}

static void sweep(struct starting *st, enum inject_kind kind) {
    char name[80], title[100];
    snprintf(name, sizeof(name), "%s start %s", inject_program_name(st->program),
             inject_kind_name(kind));
    if (!inject_is_wanted(name))
        return;
    struct inject_aim aim = {st->program, kind, INJECT_FAIL, INJECT_COUNT_ONLY};
    cr_assert(one_start(st, &aim, name));
    unsigned calls = inject_count(st->program), rounds = 0, fired = 0, served = 0;
    for (unsigned nth = 1 + inject_stride() / 2; nth <= calls; nth += inject_stride()) {
        alarm(100);
        snprintf(title, sizeof(title), "%s %u of %u", name, nth, calls);
        aim.nth = nth;
        served += one_start(st, &aim, title);
        fired += inject_has_fired(st->program);
        rounds++;
    }
    printf("inject %-28s calls=%u rounds=%u failed=%u served_all_the_same=%u\n", name, calls,
           rounds, fired, served);
    fflush(stdout);
}

TestSuite(inject_start, .init = inject_open, .fini = inject_close);

static void sweep_all(enum inject_program program) {
    static const enum inject_kind KINDS[] = {INJECT_ALLOC,     INJECT_EVENT_ALLOC, INJECT_PQ,
                                             INJECT_PQ_RESULT, INJECT_SYSTEM,      INJECT_CRYPTO,
                                             INJECT_RECV,      INJECT_SEND};
    if (inject_is_brief())
        cr_skip_test("a start takes long: make inject");
    inject_hide(); /* from the stack's own daemons */
    struct stack *stack = stack_private((struct stack_conf){.nodes = 1});
    inject_show();
    struct starting st;
    prepare(&st, stack, program);
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
        sweep(&st, KINDS[i]);
    unlink(st.users.users_file);
    stack_down(&stack);
}

Test(inject_start, each_call_of_a_node_that_starts_fails_once) {
    sweep_all(INJECT_NODE);
}

Test(inject_start, each_call_of_a_proxy_that_starts_fails_once) {
    sweep_all(INJECT_PROXY);
}
