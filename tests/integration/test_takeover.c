/* A new proxy takes the port over from one that drains, and no client's request fails. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/stack.h"

enum { ROUNDS = 4, CLIENTS = 3, READY_MS = 30000, PATIENCE_MS = 60000, ASKED = 150 };

static const struct stack *s;
static uint16_t port;
static int started;

static pid_t start_proxy(void) {
    char program[STACK_PATH_BYTES], text[8], log[STACK_PATH_BYTES + 40];
    program_path("ringfence-proxy", program, sizeof(program));
    snprintf(text, sizeof(text), "%u", port);
    snprintf(log, sizeof(log), "%s/takeover%d.log", s->dir, ++started);
    const char *const argv[] = {program,  "--ring-file", s->ring_file, "--workers", "2",
                                "--port", text,          "--bind",     "127.0.0.1", "--port-shared",
                                "yes",    "--drain-ms",  "5000",       NULL};
    pid_t pid = program_start(argv, log);
    cr_assert_gt(pid, 0);
    EVENTUALLY(READY_MS, program_file_has(log, " proxy_ready ") || !program_runs(pid));
    cr_assert(program_runs(pid), "see %s", log);
    return pid;
}

/* What client libraries do: a connection, a few requests, and again; one that was closed meanwhile
 * is not used. A proxy that drains closes right behind a reply, so it shows in time. */
struct client {
    pthread_t thread;
    _Atomic bool stop;
    _Atomic uint64_t asked, failed;
    char first[200];
};

static void fail(struct client *c, const char *text) {
    if (atomic_fetch_add(&c->failed, 1) == 0)
        snprintf(c->first, sizeof(c->first), "%s", text);
}

static bool was_closed(struct caller *caller) {
    struct pollfd p = {.fd = caller_fd(caller), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void ask(struct client *c, struct caller *caller) {
    for (int i = 0; i < 3 && (i == 0 || !was_closed(caller)); i++) {
        caller_say_words(caller, "GET", "takeover", NULL);
        caller_flush(caller);
        struct resp_reply *reply = caller_hear(caller);
        char *text = caller_show(reply);
        if (!expect_is(text, "$value")) {
            char why[200];
            snprintf(why, sizeof(why), "request %d of its connection: %.150s", i, text);
            fail(c, why);
        }
        atomic_fetch_add(&c->asked, 1);
        resp_reply_free(&reply);
        free(text);
        expect_pause();
    }
}

static void *run(void *arg) {
    struct client *c = arg;
    while (!atomic_load(&c->stop)) {
        struct caller *caller = caller_open(port);
        if (caller == NULL)
            fail(c, "connection refused");
        else
            ask(c, caller);
        caller_close(&caller);
        expect_pause();
    }
    return NULL;
}

static uint64_t asked(struct client *clients) {
    uint64_t sum = 0;
    for (int i = 0; i < CLIENTS; i++)
        sum += atomic_load(&clients[i].asked);
    return sum;
}

Test(takeover, no_request_fails_while_a_new_proxy_takes_the_port_over) {
    static struct client clients[CLIENTS];
    s = stack_shared();
    port = program_free_port();
    pid_t proxy = start_proxy();
    struct caller *c = expect_caller(port);
    EXPECT(c, "+OK", "SET", "takeover", "value");
    caller_close(&c);
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_eq(pthread_create(&clients[i].thread, NULL, run, &clients[i]), 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t before = asked(clients);
        EVENTUALLY(PATIENCE_MS, asked(clients) > before + ASKED);
        pid_t next = start_proxy();
        EVENTUALLY(PATIENCE_MS, asked(clients) > before + 2 * ASKED);
        cr_assert_eq(program_stop(proxy, SIGTERM, PATIENCE_MS), 0);
        proxy = next;
    }
    for (int i = 0; i < CLIENTS; i++) {
        atomic_store(&clients[i].stop, true);
        pthread_join(clients[i].thread, NULL);
        cr_expect_eq(clients[i].failed, 0, "client %d: %llu of %llu requests failed, the first: %s",
                     i, (unsigned long long)clients[i].failed, (unsigned long long)clients[i].asked,
                     clients[i].first);
    }
    cr_assert_eq(program_stop(proxy, SIGTERM, PATIENCE_MS), 0);
}
