// needs: fakes/session_rig.c fakes/store_fake.c
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../fakes/session_rig.h"

static struct session_rig *rig;
static struct store *store;
static struct session_client *c;

static void set_up(void) {
    rig = session_rig_new();
    store = rig->server.store;
    c = session_rig_open(rig);
}

static void tear_down(void) {
    session_rig_free(&rig);
}

TestSuite(handlers_write, .init = set_up, .fini = tear_down);

/* Said, and the store has it. */
static struct store_write *sent(const char *request) {
    session_client_say(c, request);
    cr_assert(SESSION_UNTIL(rig, store_fake_writes(store) == 1), "%s", request);
    return store_fake_write(store, 0);
}

static bool is(struct span span, const char *text) {
    return span_equal(span, span_str(text));
}

static const char *next_line(void) {
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
    c->len = 0;
    return c->heard;
}

Test(handlers_write, answers_after_the_commit) {
    struct store_write *write = sent("SET k v\r\n");
    cr_assert_eq(write->op, STORE_SET);
    cr_assert(is(write->keys[0], "k") && is(write->values[0], "v"));
    cr_assert_null(write->more);
    for (int i = 0; i < 5; i++)
        session_rig_turn(rig);
    cr_assert_str_eq(session_client_listen(c), "");
    store_fake_commit(store, 0, 3);
    cr_assert(session_client_hears(c, "+OK\r\n"));
    session_client_say(c, "GET k\r\n");
    cr_assert(session_client_hears(c, "$1\r\nv\r\n"));
    cr_assert_eq(store_fake_gets(store), 0, "the written value was not cached");
}

Test(handlers_write, the_last_of_equal_keys_counts) {
    struct store_write *write = sent("MSET a 1 b 2 a 3 c 4 b 5\r\n");
    cr_assert_eq(write->count, 3);
    cr_assert(is(write->keys[0], "a") && is(write->values[0], "3"));
    cr_assert(is(write->keys[1], "c") && is(write->values[1], "4"));
    cr_assert(is(write->keys[2], "b") && is(write->values[2], "5"));
    store_fake_commit(store, 0, 3);
    cr_assert(session_client_hears(c, "+OK\r\n"));
}

Test(handlers_write, a_delete_may_name_a_key_twice) {
    struct store_write *write = sent("DEL a b a\r\n");
    cr_assert_eq(write->op, STORE_DELETE);
    cr_assert_eq(write->count, 3);
    store_fake_commit_each(store, 0, (uint64_t[]){7, 0, 7}, 1);
    cr_assert(session_client_hears(c, ":1\r\n"));
}

Test(handlers_write, passes_on_what_the_command_means) {
    struct store_write *write = sent("SET k v EX 10\r\n");
    cr_assert_not_null(write->more);
    cr_assert_eq(write->more->expiry, STORE_EXPIRY_IN);
    cr_assert_eq(write->more->expiry_ms, 10000);
    store_fake_commit_result(
        store, 0, 1, &(struct store_result){.live = true, .payload = SPAN("v"), .ttl_ms = 10000});
    cr_assert(session_client_hears(c, "+OK\r\n"));
    write = sent("SETNX k w\r\n");
    cr_assert_eq(write->op, STORE_SET_NX);
    store_fake_commit_result(
        store, 0, 0, &(struct store_result){.live = true, .payload = SPAN("v"), .ttl_ms = -1});
    cr_assert(session_client_hears(c, ":0\r\n"));
    write = sent("GETSET k w\r\n");
    cr_assert(write->want_old);
    store_fake_commit_result(
        store, 0, 2,
        &(struct store_result){
            .live = true, .payload = SPAN("w"), .ttl_ms = -1, .had_old = true, .old = SPAN("v")});
    cr_assert(session_client_hears(c, "$1\r\nv\r\n"));
}

Test(handlers_write, says_how_it_failed) {
    static const struct {
        enum store_status status;
        const char *want;
    } CASES[] = {{STORE_LOCKED, "-BUSY the row is locked"},
                 {STORE_DOWN, "-DBDOWN "},
                 {STORE_BUSY, "-BUSY "},
                 {STORE_REFUSED, "-ERR database refused: why not"}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        uint64_t errors = rig->server.errors;
        sent("SET k v\r\n");
        store_fake_fail_write(store, 0, CASES[i].status, "why not");
        const char *line = next_line();
        cr_expect_eq(strncmp(line, CASES[i].want, strlen(CASES[i].want)), 0, "%s", line);
        cr_expect_eq(rig->server.errors, errors + 1);
    }
    sent("SET k v\r\n");
    store_fake_send(store, 0);
    store_fake_fail_write(store, 0, STORE_UNCERTAIN, NULL);
    const char *line = next_line();
    cr_expect_eq(strncmp(line, "-UNCERTAIN ", 11), 0, "%s", line);
}

Test(handlers_write, is_refused_at_once_without_a_connection) {
    store_fake_up(store, true, false);
    session_client_say(c, "SET k v\r\n");
    const char *line = next_line();
    cr_assert_eq(strncmp(line, "-DBDOWN ", 8), 0, "%s", line);
    cr_assert_eq(through_pending(rig->server.through), 0);
}

Test(handlers_write, checks_values_before_anything_is_sent) {
    rig->conf.value_bytes_max = 4;
    session_client_say(c, "SET k 12345\r\n");
    cr_assert(session_client_hears(c, "-ERR value is longer than 4 bytes\r\n"));
    session_client_say(c, "MSET a 1 b \"\\xff\"\r\n");
    cr_assert(session_client_hears(c, "-ERR value is not valid UTF-8 text\r\n"));
    rig->conf.payload_format = NODE_PAYLOAD_JSON;
    session_client_say(c, "SET k nan\r\n");
    const char *line = next_line();
    cr_assert_eq(strncmp(line, "-ERR value is not valid JSON: ", 30), 0, "%s", line);
    cr_assert_eq(store_fake_asked(store), 0);
}

/* Keys and values are copied: the read buffer is used again while the write waits. */
Test(handlers_write, keeps_what_it_needs_beyond_the_read) {
    struct session_client *link = session_rig_link(rig);
    session_client_say(link, "SET first one\r\nSET second two\r\n");
    cr_assert(SESSION_UNTIL(rig, store_fake_writes(store) == 2));
    session_client_say(link, "ECHO xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(link), "xxx") != NULL));
    cr_assert(is(store_fake_write(store, 0)->keys[0], "first"));
    cr_assert(is(store_fake_write(store, 0)->values[0], "one"));
    cr_assert(is(store_fake_write(store, 1)->values[0], "two"));
}
