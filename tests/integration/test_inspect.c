/* What an operator asks a running proxy: of all its workers, whichever answers. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/stack.h"

enum { WAIT_MS = 15000, CLIENTS = 6 };

static const struct stack *s;
static uint16_t port;
static pid_t proxy;
/* Handed out in balance: three on each of the two workers. */
static struct caller *c[CLIENTS];

static void open_all(void) {
    s = stack_shared();
    proxy = stack_proxy(s, "--workers 2 --slowlog-log-slower-than 0", &port);
    for (int i = 0; i < CLIENTS; i++)
        c[i] = expect_caller(port);
}

static void close_all(void) {
    for (int i = 0; i < CLIENTS; i++)
        caller_close(&c[i]);
    cr_assert_eq(program_stop(proxy, SIGTERM, WAIT_MS), 0);
}

TestSuite(inspect, .init = open_all, .fini = close_all);

static int64_t ask_number3(struct caller *caller, const char *one, const char *two,
                           const char *three) {
    caller_say_words(caller, one, two, three, NULL);
    expect_flush(caller);
    struct resp_reply *reply = caller_hear(caller);
    cr_assert(reply != NULL && reply->type == RESP_INTEGER, "%s %s", one, two);
    int64_t n = reply->integer;
    resp_reply_free(&reply);
    return n;
}

static int64_t ask_number(struct caller *caller, const char *one, const char *two) {
    return ask_number3(caller, one, two, NULL);
}

Test(inspect, kill_reaches_the_clients_of_every_worker) {
    char id[32];
    for (int i = 1; i < CLIENTS - 1; i++) {
        snprintf(id, sizeof(id), "%lld", (long long)ask_number(c[i], "CLIENT", "ID"));
        EXPECT(c[0], ":1", "CLIENT", "KILL", "ID", id);
        cr_assert(caller_ended(c[i]), "client %d", i);
        EXPECT(c[0], ":0", "CLIENT", "KILL", "ID", id);
    }
    EXPECT(c[0], "+PONG", "PING");
    EXPECT(c[CLIENTS - 1], "+PONG", "PING");
    EXPECT(c[0], ":2", "CLIENT", "KILL", "USER", "default", "SKIPME", "no");
    cr_assert(caller_ended(c[0]));
    cr_assert(caller_ended(c[CLIENTS - 1]));
}

Test(inspect, an_option_is_set_for_every_worker) {
    EXPECT(c[0], "+OK", "CONFIG", "SET", "key-bytes-max", "10");
    EXPECT(c[0], "-ERR key is longer than 10 bytes", "GET", "inspect:long"); /* at once here */
    for (int i = 1; i < CLIENTS; i++)
        EXPECT_WITHIN(WAIT_MS, c[i], "-ERR key is longer than 10 bytes", "GET", "inspect:long");
    EXPECT(c[0], "[$key-bytes-max $10]", "CONFIG", "GET", "key-bytes-max");
    EXPECT(c[0], "+OK", "CONFIG", "SET", "key-bytes-max", "1024");
    for (int i = 1; i < CLIENTS; i++)
        EXPECT_WITHIN(WAIT_MS, c[i], "nil", "GET", "inspect:long");
}

Test(inspect, slow_requests_of_all_workers_are_in_one_list) {
    EXPECT(c[0], "+OK", "SLOWLOG", "RESET");
    for (int i = 0; i < CLIENTS; i++)
        EXPECT(c[i], "nil", "GET", "inspect:none");
    EXPECT(c[0], ":6", "SLOWLOG", "LEN");
    EXPECT(c[1], ":6", "SLOWLOG", "LEN");
    caller_say_words(c[0], "SLOWLOG", "GET", "-1", NULL);
    expect_flush(c[0]);
    struct resp_reply *reply = caller_hear(c[0]);
    cr_assert(reply != NULL && reply->count == CLIENTS);
    for (size_t i = 0; i < reply->count; i++) {
        const struct resp_reply *e = reply->elements[i], *args = e->elements[3];
        cr_assert_eq(e->count, 6);
        cr_assert(i == 0 || e->elements[0]->integer < reply->elements[i - 1]->elements[0]->integer);
        cr_assert(args->count == 2 && strcmp(args->elements[0]->text, "get") == 0 &&
                  strcmp(args->elements[1]->text, "inspect:none") == 0);
    }
    resp_reply_free(&reply);
    EXPECT(c[0], "+OK", "CONFIG", "SET", "slowlog-log-slower-than", "-1");
    EXPECT(c[0], "nil", "GET", "inspect:none");
    EXPECT(c[0], ":6", "SLOWLOG", "LEN");
}

/* A worker whose client asked for nothing else knows of the keys of the others. */
Test(inspect, hot_keys_of_all_workers_are_in_one_list) {
    EXPECT(c[0], "+OK", "CONFIG", "SET", "hotkeys-sample", "1");
    EXPECT(c[1], "+OK", "CONFIG", "SET", "hotkeys-sample", "1");
    for (int i = 0; i < CLIENTS; i++) {
        for (int n = 0; n < 150; n++) /* the first gap is still by the old option */
            EXPECT(c[i], "nil", "GET", i % 2 == 0 ? "inspect:hot" : "inspect:warm");
    }
    for (int n = 0; n < 300; n++)
        EXPECT(c[2], "nil", "GET", "inspect:hot");
    for (int i = 0; i < CLIENTS; i++)
        EXPECT(c[i], "[[$inspect:hot :*", "RF.HOTKEYS", "COUNT", "2");
    EXPECT(c[0], "nil", "OBJECT", "FREQ", "inspect:hot");
    EXPECT(c[0], "+OK", "SET", "inspect:hot", "1");
    cr_assert_gt(ask_number3(c[0], "OBJECT", "FREQ", "inspect:hot"), 0);
    cr_assert_eq(ask_number3(c[0], "OBJECT", "FREQ", "greeting"), 0);
}

/* ---- MONITOR ---- */

/* Reads lines until one has this in it; true if none before it has `not`. */
static bool hears_line(struct caller *m, const char *want, const char * not ) {
    for (;;) {
        struct resp_reply *r = caller_hear(m);
        cr_assert(r != NULL && r->type == RESP_STATUS, "no %s", want);
        bool found = strstr(r->text, want) != NULL, bad = strstr(r->text, not ) != NULL;
        resp_reply_free(&r);
        if (found || bad)
            return !bad;
    }
}

Test(inspect, monitor_shows_what_all_workers_are_asked_for) {
    char word[32], want[40];
    struct caller *m = expect_caller(port);
    EXPECT(m, "-ERR MONITOR is not allowed here: it needs allow-monitor yes*", "MONITOR");
    EXPECT(c[0], "+OK", "CONFIG", "SET", "allow-monitor", "yes");
    EXPECT_WITHIN(10000, m, "+OK", "MONITOR"); /* the other worker has yet to hear of it */
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(word, sizeof(word), "inspect:monitor:%d", i);
        snprintf(want, sizeof(want), "\"GET\" \"%s\"", word);
        /* Its worker may hear of it a turn later: so until it is seen, by this client alone. */
        int64_t until_ms = clock_mono_ms() + 10000;
        for (bool seen = false; !seen;) {
            cr_assert_lt(clock_mono_ms(), until_ms);
            EXPECT(c[i], "nil", "GET", word);
            EXPECT(c[i], "-*", "AUTH", "geheim");
            caller_say_words(m, "ECHO", "end", NULL);
            expect_flush(m);
            for (bool ended = false; !ended;) {
                struct resp_reply *r = caller_hear(m);
                cr_assert_not_null(r);
                ended = r->type == RESP_STRING;
                seen = seen || strstr(r->text, want) != NULL;
                cr_assert_null(strstr(r->text, "geheim"));
                resp_reply_free(&r);
            }
        }
    }
    EXPECT(c[0], "-*", "AUTH", "geheim");
    cr_assert(hears_line(m, "\"AUTH\" \"(redacted)\"", "geheim"));
    EXPECT(c[0], "+OK", "CONFIG", "SET", "allow-monitor", "no");
    cr_assert(caller_ended(m));
    caller_close(&m);
}

Test(inspect, what_a_key_takes_is_asked_of_its_node) {
    EXPECT(c[0], "+OK", "SET", "inspect:key", "0123456789");
    int64_t ten = 0, hundred = 0;
    char value[101];
    memset(value, 'v', sizeof(value) - 1);
    value[100] = '\0';
    for (int round = 0; round < 2; round++) {
        caller_say_words(c[0], "MEMORY", "USAGE", "inspect:key", NULL);
        expect_flush(c[0]);
        struct resp_reply *reply = caller_hear(c[0]);
        *(round == 0 ? &ten : &hundred) = reply->integer;
        resp_reply_free(&reply);
        EXPECT(c[0], "+OK", "SET", "inspect:key", value);
    }
    cr_assert_geq(ten, 21); /* key and value */
    cr_assert_leq(ten, 21 + 32);
    cr_assert(hundred - ten >= 88 && hundred - ten <= 96, "%lld, %lld", (long long)ten,
              (long long)hundred);
    EXPECT(c[0], "nil", "MEMORY", "USAGE", "inspect:none");
    EXPECT(c[0], "$raw", "OBJECT", "ENCODING", "inspect:key");
    EXPECT(c[0], "+OK", "SET", "inspect:key", "-12");
    EXPECT(c[0], "$int", "OBJECT", "ENCODING", "inspect:key");
    EXPECT(c[0], ":1", "OBJECT", "REFCOUNT", "inspect:key");
    EXPECT(c[0], "-ERR syntax error", "MEMORY", "USAGE", "inspect:key", "foo");
    EXPECT(c[0], ":1", "DEL", "inspect:key");
}

Test(inspect, counters_begin_anew_when_asked) {
    for (int i = 0; i < CLIENTS; i++)
        EXPECT(c[i], "nil", "GET", "inspect:none");
    cr_assert_geq(stack_info(port, "total_commands_processed"), CLIENTS);
    EXPECT(c[0], "+OK", "CONFIG", "RESETSTAT");
    EVENTUALLY(WAIT_MS, stack_info(port, "forwarded_requests") == 0);
    EXPECT(c[0], "nil", "GET", "inspect:none");
    EVENTUALLY(WAIT_MS, stack_info(port, "forwarded_requests") == 1);
    cr_assert_geq(stack_info(port, "connected_clients"), CLIENTS);
}

Test(inspect_start, a_node_listens_where_only_this_machine_reaches_it) {
    char path[STACK_PATH_BYTES], said[1000];
    const char *const refused[] = {path, "-t", "--bind", "0.0.0.0", NULL};
    const char *const taken[] = {path, "-t", "--bind", "0.0.0.0", "--protected-mode", "no", NULL};
    program_path("ringfence-node", path, sizeof(path));
    cr_assert_eq(program_run(refused, said, sizeof(said), WAIT_MS), 6, "%s", said);
    cr_assert_not_null(strstr(said, "--protected-mode no"), "%s", said);
    cr_assert_eq(program_run(taken, said, sizeof(said), WAIT_MS), 0, "%s", said);
}
