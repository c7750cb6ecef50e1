// needs: fakes/session_rig.c fakes/store_fake.c
#include <criterion/criterion.h>

#include "../../node/session.h"
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

TestSuite(handlers_query, .init = set_up, .fini = tear_down);

static struct store_query *asked(const char *request) {
    session_client_say(c, request);
    cr_assert(SESSION_UNTIL(rig, store_fake_queries(store) == 1), "%s", request);
    return store_fake_query(store, 0);
}

Test(handlers_query, counts_the_table) {
    cr_assert_eq(asked("DBSIZE\r\n")->question, STORE_COUNT_ROWS);
    store_fake_answer(store, 0, STORE_OK, &(struct store_answer){.count = 12});
    cr_assert(session_client_hears(c, ":12\r\n"));
}

Test(handlers_query, tells_when_a_key_ends) {
    static const struct {
        const char *request;
        struct store_answer answer;
        const char *want;
    } CASES[] = {
        {"PEXPIRETIME k\r\n", {.found = true, .live = true, .expires_ms = 1234567}, ":1234567\r\n"},
        {"EXPIRETIME k\r\n", {.found = true, .live = true, .expires_ms = 1234567}, ":1235\r\n"},
        {"EXPIRETIME k\r\n", {.found = true, .live = true, .expires_ms = -1}, ":-1\r\n"},
        {"EXPIRETIME k\r\n", {.found = true, .expires_ms = 5}, ":-2\r\n"},
        {"PEXPIRETIME k\r\n", {.expires_ms = -1}, ":-2\r\n"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct store_query *query = asked(CASES[i].request);
        cr_assert_eq(query->question, STORE_WHOLE_ROW);
        cr_assert(span_equal(query->key, SPAN("k")));
        store_fake_answer(store, 0, STORE_OK, &CASES[i].answer);
        cr_expect(session_client_hears(c, CASES[i].want), "case %zu", i);
    }
}

Test(handlers_query, says_how_it_failed) {
    static const struct {
        enum store_status status;
        const char *want;
    } CASES[] = {{STORE_FAILED, "-DBDOWN "}, {STORE_DOWN, "-DBDOWN "}, {STORE_BUSY, "-BUSY "}};
    for (size_t i = 0; i < 2 * sizeof(CASES) / sizeof(CASES[0]); i++) {
        const char *want = CASES[i / 2].want;
        if (i % 2 == 0) { /* at once */
            store_fake_refuse_next(store, CASES[i / 2].status);
            session_client_say(c, "DBSIZE\r\n");
        } else {
            asked("DBSIZE\r\n");
            store_fake_answer(store, 0, CASES[i / 2].status, NULL);
        }
        cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
        cr_expect_eq(strncmp(c->heard, want, strlen(want)), 0, "case %zu: %s", i, c->heard);
        c->len = 0;
    }
    cr_assert_eq(rig->server.errors, 6);
}

Test(handlers_query, outlives_its_asker) {
    asked("EXPIRETIME k\r\n");
    session_close_all(&rig->server);
    cr_assert(span_equal(store_fake_query(store, 0)->key, SPAN("k")));
    store_fake_answer(store, 0, STORE_OK, &(struct store_answer){.live = true});
}
