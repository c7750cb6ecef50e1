// needs: fakes/session_rig.c fakes/store_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../fakes/session_rig.h"

static struct session_rig *rig;
static struct store *store;
static struct session_client *c;

static void set_up(void) {
    rig = session_rig_new();
    store = rig->server.store;
    session_rig_cached(rig, "a", 1, "hello");
    session_rig_cached(rig, "b", 1, "");
    c = session_rig_open(rig);
}

static void tear_down(void) {
    session_rig_free(&rig);
}

TestSuite(handlers_read, .init = set_up, .fini = tear_down);

static void ask(const char *request, const char *want) {
    session_client_say(c, request);
    cr_expect(session_client_hears(c, want), "%s", request);
}

static void await_gets(unsigned count) {
    cr_assert(SESSION_UNTIL(rig, store_fake_gets(store) == count), "%u", store_fake_gets(store));
}

Test(handlers_read, answers_from_memory) {
    ask("GET a\r\n", "$5\r\nhello\r\n");
    ask("GET b\r\n", "$0\r\n\r\n");
    ask("MGET a b a\r\n", "*3\r\n$5\r\nhello\r\n$0\r\n\r\n$5\r\nhello\r\n");
    ask("EXISTS a b a\r\n", ":3\r\n");
    ask("TOUCH a b\r\n", ":2\r\n");
    ask("STRLEN a\r\n", ":5\r\n");
    ask("TYPE a\r\n", "+string\r\n");
    ask("TTL a\r\n", ":-1\r\n");
    ask("PTTL a\r\n", ":-1\r\n");
    cr_assert_eq(store_fake_gets(store), 0);
}

Test(handlers_read, cuts_ranges_as_redis_does) {
    static const struct {
        const char *request, *want;
    } CASES[] = {
        {"GETRANGE a 0 -1\r\n", "$5\r\nhello\r\n"}, {"GETRANGE a 1 3\r\n", "$3\r\nell\r\n"},
        {"GETRANGE a -3 -2\r\n", "$2\r\nll\r\n"},   {"GETRANGE a 3 1\r\n", "$0\r\n\r\n"},
        {"GETRANGE a 5 9\r\n", "$0\r\n\r\n"},       {"GETRANGE a 2 100\r\n", "$3\r\nllo\r\n"},
        {"GETRANGE a -100 1\r\n", "$2\r\nhe\r\n"},  {"GETRANGE a -1 -2\r\n", "$0\r\n\r\n"},
        {"SUBSTR a 0 0\r\n", "$1\r\nh\r\n"},        {"GETRANGE b 0 -1\r\n", "$0\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        ask(CASES[i].request, CASES[i].want);
    ask("GETRANGE a x 1\r\n", "-ERR value is not an integer or out of range\r\n");
}

Test(handlers_read, answers_in_the_order_of_the_keys_when_some_wait) {
    session_client_say(c, "MGET a x b y a\r\n");
    await_gets(2);
    store_fake_absent(store, 1);
    store_fake_row(store, 0, 1, "vx");
    cr_assert(session_client_hears(c, "*5\r\n$5\r\nhello\r\n$2\r\nvx\r\n$0\r\n\r\n$-1\r\n$5\r\n"
                                      "hello\r\n"));
}

Test(handlers_read, counts_across_those_that_wait) {
    session_client_say(c, "EXISTS a x y b\r\n");
    await_gets(2);
    store_fake_row(store, 0, 1, "vx");
    store_fake_absent(store, 0);
    cr_assert(session_client_hears(c, ":3\r\n"));
}

/* All or nothing, and never nil for a failure. */
Test(handlers_read, one_key_that_cannot_be_answered_makes_the_whole_an_error) {
    session_client_say(c, "MGET a x y\r\n");
    await_gets(2);
    store_fake_row(store, 0, 1, "vx");
    store_fake_fail_get(store, 0, STORE_FAILED);
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
    cr_assert_eq(c->heard[0], '-', "%s", c->heard);
    cr_assert_null(strstr(c->heard, "hello"));
}

Test(handlers_read, a_key_that_is_refused_at_once_makes_the_whole_an_error) {
    session_client_say(c, "MGET x a y\r\n");
    await_gets(2);
    store_fake_absent(store, 0);
    store_fake_absent(store, 0);
    cr_assert(session_client_hears(c, "*3\r\n$-1\r\n$5\r\nhello\r\n$-1\r\n"));
    store_fake_up(store, false, true);
    session_client_say(c, "MGET a p b q\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
    cr_assert_eq(strncmp(c->heard, "-DBDOWN ", 8), 0, "%s", c->heard);
    c->len = 0;
    ask("PING\r\n", "+PONG\r\n");
}

/* The first key waits already when the second is refused. */
Test(handlers_read, an_error_behind_a_key_that_waits_cancels_it) {
    struct session_client *other = session_rig_open(rig);
    session_client_say(other, "GET p\r\n");
    await_gets(1); /* so that p is joined, and only q asks the store */
    store_fake_refuse_next(store, STORE_BUSY);
    session_client_say(c, "MGET a p q\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
    cr_assert_eq(strncmp(c->heard, "-BUSY ", 6), 0, "%s", c->heard);
    store_fake_row(store, 0, 1, "vp");
    cr_assert(session_client_hears(other, "$2\r\nvp\r\n"));
    cr_assert_eq(through_pending(rig->server.through), 0);
}

Test(handlers_read, speaks_the_protocol_that_was_asked_for) {
    session_client_say(c, "HELLO 3\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "node1\r\n") != NULL));
    c->len = 0;
    session_client_say(c, "MGET x y\r\n");
    await_gets(2);
    store_fake_absent(store, 0);
    store_fake_absent(store, 0);
    cr_assert(session_client_hears(c, "*2\r\n_\r\n_\r\n"));
}

Test(handlers_read, tells_what_is_left_of_a_life) {
    session_client_say(c, "PTTL t\r\n");
    await_gets(1);
    store_fake_row_ttl(store, 0, 1, "v", 100000);
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
    long ms = atol(c->heard + 1);
    cr_assert(ms > 80000 && ms <= 100000, "%s", c->heard);
    c->len = 0;
    session_client_say(c, "TTL t\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
    long s = atol(c->heard + 1);
    cr_assert(s >= 80 && s <= 100, "%s", c->heard);
}

Test(handlers_read, more_gets_in_a_row_than_are_taken_at_once) {
    static char request[40 * 25 + 1], want[40 * 12 + 1];
    for (int i = 0; i < 40; i++) {
        strcat(request, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
        strcat(want, "$5\r\nhello\r\n");
    }
    ask(request, want);
}
