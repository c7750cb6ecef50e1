// needs: fakes/session_rig.c fakes/store_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/reply.h"
#include "../../node/handlers.h"
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

TestSuite(handlers, .init = set_up, .fini = tear_down);

/* Asked, and what was heard begins so. */
static void expect(const char *request, const char *want) {
    session_client_say(c, request);
    bool came = SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL);
    cr_assert(came, "%.60s: no answer", request);
    cr_expect_eq(strncmp(c->heard, want, strlen(want)), 0, "%.60s: %.100s", request, c->heard);
    c->len = 0;
}

Test(handlers, refuses_what_is_no_command) {
    uint64_t errors = rig->server.errors;
    expect("BOGUS a b\r\n", "-ERR unknown command 'BOGUS', with args beginning with: 'a' 'b' \r\n");
    expect("GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n");
    expect("MSET a\r\n", "-ERR wrong number of arguments for 'mset' command\r\n");
    expect("PING\r\n", "+PONG\r\n");
    cr_assert_eq(rig->server.errors, errors + 3);
}

/* Rule of the design, section 7: keys are checked before any SQL is sent. */
Test(handlers, checks_every_key_before_anything_is_sent) {
    char request[2000];
    rig->conf.key_bytes_max = 10;
    static const char *const COMMANDS[] = {"GET %s\r\n",        "SET %s v\r\n", "MGET a %s\r\n",
                                           "MSET a 1 %s 2\r\n", "DEL a %s\r\n", "EXISTS a b %s\r\n",
                                           "EXPIRE %s 10\r\n",  "PTTL %s\r\n",  "EXPIRETIME %s\r\n",
                                           "RF.DROP a %s\r\n"};
    static const struct {
        const char *key, *want;
    } KEYS[] = {{"12345678901", "-ERR key is longer than 10 bytes\r\n"},
                {"\"\"", "-ERR key is empty\r\n"},
                {"\"\\xff\"", "-ERR key is not valid UTF-8 text\r\n"},
                {"\"a\\x00b\"", "-ERR key is not valid UTF-8 text\r\n"}};
    for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++) {
        for (size_t k = 0; k < sizeof(KEYS) / sizeof(KEYS[0]); k++) {
            snprintf(request, sizeof(request), COMMANDS[i], KEYS[k].key);
            expect(request, KEYS[k].want);
        }
    }
    cr_assert_eq(store_fake_asked(store), 0);
}

Test(handlers, says_what_came_of_it_in_the_words_of_its_kind) {
    static const struct {
        enum through_status status;
        enum reply_error error;
    } CASES[] = {
        {THROUGH_DBDOWN, REPLY_DBDOWN},   {THROUGH_BUSY, REPLY_BUSY},
        {THROUGH_LOCKED, REPLY_LOCKED},   {THROUGH_TIMEOUT, REPLY_TIMEOUT},
        {THROUGH_REFUSED, REPLY_REFUSED}, {THROUGH_UNCERTAIN, REPLY_UNCERTAIN},
        {THROUGH_DONE, REPLY_INTERNAL},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        cr_expect_eq(handlers_error_of((int)CASES[i].status), (int)CASES[i].error, "case %zu", i);
}

/* Rule 11: the coordinator's word, and the next read asks the database. */
Test(handlers, drops_what_a_coordinator_names) {
    session_rig_cached(rig, "a", 1, "old");
    session_rig_cached(rig, "b", 1, "vb");
    expect("RF.DROP a x\r\n", ":2\r\n");
    session_client_say(c, "GET b\r\nGET a\r\n");
    cr_assert(SESSION_UNTIL(rig, store_fake_gets(store) == 1));
    store_fake_row(store, 0, 2, "new");
    cr_assert(session_client_hears(c, "$2\r\nvb\r\n$3\r\nnew\r\n"));
}
