/* CLIENT PAUSE: what clients of any worker ask for waits, until the pause is over, or the proxy
 * ends. */
#include <signal.h>
#include <stdio.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/stack.h"

enum { CLIENTS = 6, QUIET_MS = 100, STOP_MS = 20000 };

static const struct stack *s;
static struct caller *admin, *clients[CLIENTS];
static uint16_t port;
static pid_t proxy;

static void open_all(void) {
    s = stack_shared();
    proxy = stack_proxy(s, "--workers 2", &port);
    admin = expect_caller(port);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = expect_caller(port);
}

static void close_all(void) {
    caller_close(&admin);
    for (int i = 0; i < CLIENTS; i++)
        caller_close(&clients[i]);
}

TestSuite(pause, .init = open_all, .fini = close_all);

/* Each asks for a write and a read. */
static void ask_all(void) {
    char key[32];
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(key, sizeof(key), "pause:%d", i);
        caller_say_words(clients[i], "SET", key, "2", NULL);
        caller_say_words(clients[i], "GET", key, NULL);
        expect_flush(clients[i]);
    }
}

static void hear_all(void) {
    for (int i = 0; i < CLIENTS; i++) {
        EXPECT_NEXT(clients[i], "+OK");
        EXPECT_NEXT(clients[i], "$2");
    }
}

static void set_all(void) {
    char key[32];
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(key, sizeof(key), "pause:%d", i);
        EXPECT(admin, "+OK", "SET", key, "1");
    }
}

/* What was written by now: the pause holds for everybody from its answer on. */
static void expect_unwritten(void) {
    char key[32];
    for (int64_t until_ms = clock_mono_ms() + QUIET_MS; clock_mono_ms() < until_ms;) {
        for (int i = 0; i < CLIENTS; i++) {
            snprintf(key, sizeof(key), "pause:%d", i);
            EXPECT(admin, "$1", "GET", key);
        }
    }
}

Test(pause, writes_of_every_worker_wait_until_it_is_ended) {
    set_all();
    EXPECT(admin, "+OK", "CLIENT", "PAUSE", "600000", "WRITE");
    ask_all();
    expect_unwritten();
    EXPECT(admin, "+OK", "CLIENT", "UNPAUSE");
    hear_all();
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
}

Test(pause, everything_waits_until_its_time_is_over) {
    set_all();
    EXPECT(admin, "+OK", "CLIENT", "PAUSE", "300");
    int64_t begun_ms = clock_mono_ms();
    ask_all();
    EXPECT(admin, "+PONG", "PING");
    cr_assert_geq(clock_mono_ms() - begun_ms, 250);
    hear_all();
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
}

Test(pause, everything_can_be_ended_by_who_may_begin_it) {
    EXPECT(admin, "+OK", "CLIENT", "PAUSE", "600000");
    ask_all();
    EXPECT(admin, "+OK", "CLIENT", "UNPAUSE");
    hear_all();
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
}

Test(pause, a_proxy_that_ends_answers_what_waits) {
    EXPECT(admin, "+OK", "CLIENT", "PAUSE", "600000");
    ask_all();
    kill(proxy, SIGTERM);
    hear_all();
    for (int i = 0; i < CLIENTS; i++)
        cr_assert(caller_ended(clients[i]));
    cr_assert_eq(program_wait(proxy, STOP_MS), 0);
}
