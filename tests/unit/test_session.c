// needs: fakes/session_rig.c fakes/store_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../node/session.h"
#include "../fakes/session_rig.h"

#define GET_A "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
#define GET_B "*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"
#define GET_C "*2\r\n$3\r\nGET\r\n$1\r\nc\r\n"
#define PING  "*1\r\n$4\r\nPING\r\n"

static struct session_rig *rig;
static struct store *store;
static struct session_client *c;

static void set_up(void) {
    rig = session_rig_new();
    store = rig->server.store;
}

static void tear_down(void) {
    session_rig_free(&rig);
}

TestSuite(session, .init = set_up, .fini = tear_down);

static void turns(unsigned count) {
    while (count-- > 0)
        session_rig_turn(rig);
}

static void await_gets(unsigned count) {
    cr_assert(SESSION_UNTIL(rig, store_fake_gets(store) == count), "%u", store_fake_gets(store));
}

/* ---- a plain client: strictly in order ---- */

Test(session, answers_a_plain_client_in_order) {
    session_rig_cached(rig, "b", 1, "vb");
    c = session_rig_open(rig);
    session_client_say(c, GET_A GET_B PING);
    await_gets(1);
    turns(5);
    cr_assert_str_eq(session_client_listen(c), "", "an answer overtook the one before it");
    store_fake_row(store, 0, 1, "va");
    cr_assert(session_client_hears(c, "$2\r\nva\r\n$2\r\nvb\r\n+PONG\r\n"));
}

Test(session, reads_no_further_while_a_plain_client_waits) {
    c = session_rig_open(rig);
    session_client_say(c, GET_A "SET b 1\r\n");
    await_gets(1);
    turns(5);
    cr_assert_eq(store_fake_writes(store), 0);
    store_fake_absent(store, 0);
    cr_assert(SESSION_UNTIL(rig, store_fake_writes(store) == 1));
    store_fake_commit(store, 0, 7);
    cr_assert(session_client_hears(c, "$-1\r\n+OK\r\n"));
}

Test(session, several_gets_that_wait_are_answered_one_after_the_other) {
    c = session_rig_open(rig);
    session_client_say(c, GET_A GET_B GET_C);
    static const char *const VALUES[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        await_gets(1);
        cr_assert_eq(store_fake_get(store, 0)->key.ptr[0], "abc"[i]);
        store_fake_row(store, 0, 1, VALUES[i]);
    }
    cr_assert(session_client_hears(c, "$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n"));
}

Test(session, takes_a_request_byte_by_byte) {
    session_rig_cached(rig, "a", 1, "va");
    c = session_rig_open(rig);
    for (const char *at = GET_A PING; *at != '\0'; at++) {
        session_client_say(c, (char[]){*at, '\0'});
        session_rig_turn(rig);
    }
    cr_assert(session_client_hears(c, "$2\r\nva\r\n+PONG\r\n"));
}

/* ---- a link: late answers by their numbers ---- */

Test(session, answers_a_link_late_by_number) {
    session_rig_cached(rig, "b", 1, "vb");
    c = session_rig_link(rig);
    session_client_say(c, GET_A GET_B GET_C PING);
    cr_assert(session_client_hears(c, ">2\r\n+defer\r\n:1\r\n$2\r\nvb\r\n>2\r\n+defer\r\n:2\r\n"
                                      "+PONG\r\n"));
    await_gets(2);
    store_fake_row(store, 1, 1, "vc");
    cr_assert(session_client_hears(c, ">3\r\n+late\r\n:2\r\n$2\r\nvc\r\n"));
    store_fake_absent(store, 0);
    cr_assert(session_client_hears(c, ">3\r\n+late\r\n:1\r\n_\r\n"));
    session_client_say(c, GET_C "SET d 1\r\n");
    cr_assert(session_client_hears(c, "$2\r\nvc\r\n>2\r\n+defer\r\n:3\r\n"));
}

Test(session, a_deferral_alone_waits_for_the_next_answer_or_the_tick) {
    session_rig_cached(rig, "b", 1, "vb");
    rig->holds_ticks = true;
    c = session_rig_link(rig);
    session_client_say(c, GET_A);
    await_gets(1);
    session_rig_turn(rig);
    cr_assert(session_client_hears(c, ""));
    session_client_say(c, GET_B); /* an answer behind it */
    cr_assert(session_client_hears(c, ">2\r\n+defer\r\n:1\r\n$2\r\nvb\r\n"));
    session_client_say(c, GET_C);
    await_gets(2);
    cr_assert(session_client_hears(c, ""));
    session_tick(&rig->server);
    cr_assert(session_client_hears(c, ">2\r\n+defer\r\n:2\r\n"));
    session_client_say(c, "SET d 1\r\n");
    cr_assert(SESSION_UNTIL(rig, store_fake_writes(store) == 1));
    store_fake_row(store, 0, 1, "va"); /* an older one's */
    cr_assert(session_client_hears(c, ">2\r\n+defer\r\n:3\r\n>3\r\n+late\r\n:1\r\n$2\r\nva\r\n"));
}

Test(session, takes_no_link_while_the_node_starts) {
    rig->server.starting = true;
    c = session_rig_open(rig);
    session_client_say(c, "RF.LINK 1\r\nGET a\r\n");
    await_gets(1);
    cr_assert_eq(strncmp(session_client_listen(c), "-DBDOWN ", 8), 0);
    store_fake_absent(store, 0);
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "$-1\r\n") != NULL));
}

/* ---- watchers ---- */

Test(session, tells_a_watcher_at_once_that_nothing_is_trusted) {
    c = session_rig_link(rig);
    through_feed_lost(rig->server.through);
    session_client_say(c, "RF.WATCH 1\r\n");
    cr_assert(session_client_hears(c, "+OK\r\n>1\r\n+stale-all\r\n"));
}

Test(session, tells_watchers_what_changes) {
    c = session_rig_link(rig);
    struct session_client *other = session_rig_link(rig);
    session_client_say(c, "RF.WATCH 1\r\n");
    cr_assert(session_client_hears(c, "+OK\r\n"));
    cr_assert_eq(rig->server.watchers, 1);
    session_watch_tell(&rig->server, SPAN("key"), 42, CHANGE_DEL);
    cr_assert(session_client_hears(c, ">3\r\n+stale\r\n+d\r\n$3\r\nkey\r\n"));
    session_watch_tell_all(&rig->server);
    cr_assert(session_client_hears(c, ">1\r\n+stale-all\r\n"));
    turns(3);
    cr_assert_str_eq(session_client_listen(other), "");
    session_client_say(c, "RF.WATCH 0\r\n");
    cr_assert(session_client_hears(c, "+OK\r\n"));
    cr_assert_eq(rig->server.watchers, 0);
    session_watch_tell(&rig->server, SPAN("key"), 42, CHANGE_DEL);
    turns(3);
    cr_assert_str_eq(session_client_listen(c), "");
}

#define VERSIONS "RF.WATCH 1 VERSIONS\r\n"

Test(session, tells_versions_to_who_wants_them) {
    c = session_rig_link(rig);
    session_client_say(c, VERSIONS);
    cr_assert(session_client_hears(c, "+OK\r\n"));
    cr_assert_eq(rig->server.watchers, 1);
    session_watch_tell(&rig->server, SPAN("key"), 42, CHANGE_DEL);
    cr_assert(session_client_hears(c, ">4\r\n+stale\r\n+d\r\n:42\r\n$3\r\nkey\r\n"));
    session_watch_tell(&rig->server, SPAN("key"), 0, CHANGE_DEL);
    cr_assert(session_client_hears(c, ">3\r\n+stale\r\n+d\r\n$3\r\nkey\r\n"));
    session_watch_tell_all(&rig->server);
    cr_assert(session_client_hears(c, ">1\r\n+stale-all\r\n"));
    session_client_say(c, "RF.WATCH 1\r\n");
    cr_assert(session_client_hears(c, "+OK\r\n"));
    session_watch_tell(&rig->server, SPAN("key"), 42, CHANGE_DEL);
    cr_assert(session_client_hears(c, ">3\r\n+stale\r\n+d\r\n$3\r\nkey\r\n"));
}

static void await_writes(unsigned n) {
    cr_assert(SESSION_UNTIL(rig, store_fake_writes(store) == n));
}

Test(session, says_which_versions_a_write_made_before_its_answer) {
    c = session_rig_link(rig);
    struct session_client *other = session_rig_link(rig);
    session_client_say(c, VERSIONS "MSET a 1 b 2\r\n");
    await_writes(1);
    session_client_say(other, "RF.WATCH 1\r\nSET c 1\r\n");
    await_writes(2);
    store_fake_commit(store, 0, 7);
    store_fake_commit(store, 0, 9);
    cr_assert(session_client_hears(c, "+OK\r\n>2\r\n+defer\r\n:1\r\n"
                                      ">4\r\n+wrote\r\n:1\r\n:7\r\n$1\r\na\r\n"
                                      ">4\r\n+wrote\r\n:1\r\n:8\r\n$1\r\nb\r\n"
                                      ">3\r\n+late\r\n:1\r\n+OK\r\n"));
    cr_assert(
        session_client_hears(other, "+OK\r\n>2\r\n+defer\r\n:1\r\n>3\r\n+late\r\n:1\r\n+OK\r\n"));
}

Test(session, says_nothing_of_versions_that_a_write_did_not_make) {
    c = session_rig_link(rig);
    session_client_say(c, VERSIONS "DEL a b\r\n");
    await_writes(1);
    store_fake_commit_each(store, 0, (uint64_t[]){0, 7}, 1);
    cr_assert(session_client_hears(c, "+OK\r\n>2\r\n+defer\r\n:1\r\n"
                                      ">4\r\n+wrote\r\n:1\r\n:7\r\n$1\r\nb\r\n"
                                      ">3\r\n+late\r\n:1\r\n:1\r\n"));
    session_client_say(c, "SET a 1\r\nSET b 1\r\n");
    await_writes(2);
    store_fake_foreign_commit(store, 0, 8);
    store_fake_fail_write(store, 0, STORE_UNCERTAIN, NULL);
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "UNCERTAIN") != NULL));
    cr_assert_null(strstr(c->heard, "wrote"), "%s", c->heard);
}

/* Rule 13: the second SET waits, and the third one overwrites it in the same commit. */
Test(session, an_overwritten_write_made_no_version) {
    c = session_rig_link(rig);
    session_client_say(c, VERSIONS "SET a 1\r\nSET a 2\r\nSET a 3\r\n");
    await_writes(1);
    store_fake_commit(store, 0, 7);
    await_writes(1);
    cr_assert(span_equal(store_fake_write(store, 0)->values[0], SPAN("3")));
    store_fake_commit(store, 0, 8);
    cr_assert(session_client_hears(
        c, "+OK\r\n>2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:2\r\n>2\r\n+defer\r\n:3\r\n"
           ">4\r\n+wrote\r\n:1\r\n:7\r\n$1\r\na\r\n>3\r\n+late\r\n:1\r\n+OK\r\n"
           ">4\r\n+wrote\r\n:3\r\n:8\r\n$1\r\na\r\n>3\r\n+late\r\n:3\r\n+OK\r\n"
           ">3\r\n+late\r\n:2\r\n+OK\r\n"));
}

Test(session, a_watcher_that_leaves_is_told_no_more) {
    c = session_rig_link(rig);
    session_client_say(c, "RF.WATCH 1\r\n");
    cr_assert(session_client_hears(c, "+OK\r\n"));
    session_client_leave(c);
    cr_assert(SESSION_UNTIL(rig, rig->server.watchers == 0));
    session_watch_tell(&rig->server, SPAN("key"), 42, CHANGE_DEL);
}

/* ---- ends ---- */

Test(session, quit_is_answered_and_nothing_after_it) {
    c = session_rig_open(rig);
    session_client_say(c, "PING\r\nQUIT\r\nPING\r\n");
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "+PONG\r\n+OK\r\n");
    cr_assert(SESSION_UNTIL(rig, rig->server.sessions_count == 0));
}

Test(session, a_protocol_error_is_said_in_its_turn_and_ends_it) {
    c = session_rig_open(rig);
    session_client_say(c, GET_A "*1\r\n+bad\r\n");
    await_gets(1);
    turns(5);
    cr_assert_str_eq(session_client_listen(c), "");
    store_fake_row(store, 0, 1, "va");
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "$2\r\nva\r\n-ERR Protocol error: expected '$', got '+'\r\n");
}

/* A client may say that it sends no more and still wait for its answers: printf ... | nc does. */
Test(session, a_half_close_drops_nothing_that_was_asked) {
    session_rig_cached(rig, "b", 1, "vb");
    c = session_rig_open(rig);
    session_client_say(c, GET_A GET_B "SET d 1\r\n" GET_C PING);
    session_client_end(c);
    await_gets(1);
    turns(5);
    store_fake_row(store, 0, 1, "va");
    cr_assert(SESSION_UNTIL(rig, store_fake_writes(store) == 1));
    turns(5);
    store_fake_commit(store, 0, 9);
    await_gets(1);
    turns(5);
    store_fake_absent(store, 0);
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "$2\r\nva\r\n$2\r\nvb\r\n+OK\r\n$-1\r\n+PONG\r\n");
    cr_assert(SESSION_UNTIL(rig, rig->server.sessions_count == 0));
}

Test(session, a_half_close_waits_for_what_is_under_way) {
    c = session_rig_open(rig);
    session_client_say(c, GET_A);
    await_gets(1);
    session_client_end(c);
    turns(5);
    store_fake_row(store, 0, 1, "va");
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "$2\r\nva\r\n");
}

Test(session, a_half_close_of_a_link_waits_for_its_late_answers) {
    c = session_rig_link(rig);
    session_client_say(c, GET_A GET_B);
    session_client_end(c);
    await_gets(2);
    turns(5);
    store_fake_row(store, 1, 1, "vb");
    turns(5);
    store_fake_row(store, 0, 1, "va");
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, ">2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:2\r\n"
                               ">3\r\n+late\r\n:2\r\n$2\r\nvb\r\n"
                               ">3\r\n+late\r\n:1\r\n$2\r\nva\r\n");
}

/* Replies that the socket did not take yet belong to what was asked, too. */
Test(session, a_half_close_sends_what_a_slow_reader_has_not_read) {
    enum { VALUE_BYTES = 100 << 10, GETS = 30 };
    static char value[VALUE_BYTES + 1];
    memset(value, 'x', VALUE_BYTES);
    c = session_rig_open(rig);
    session_client_say(c, GET_A);
    await_gets(1);
    store_fake_row(store, 0, 1, value);
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->len > VALUE_BYTES)));
    size_t one = c->len;
    c->len = 0;
    for (int i = 0; i < GETS; i++)
        session_client_say(c, GET_A);
    session_client_end(c);
    turns(30); /* nothing is read, and the buffers are full */
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->eof)));
    cr_assert_eq(c->len, GETS * one, "%zu of %zu bytes", c->len, GETS * one);
}

Test(session, a_client_that_leaves_takes_its_reads_along) {
    c = session_rig_open(rig);
    session_client_say(c, GET_A);
    await_gets(1);
    session_client_leave(c);
    /* A plain client's end is noticed when its answer is there. */
    store_fake_row(store, 0, 1, "va");
    cr_assert(SESSION_UNTIL(rig, rig->server.sessions_count == 0));
    cr_assert_eq(through_pending(rig->server.through), 0);
}

Test(session, a_write_goes_on_without_its_asker) {
    c = session_rig_link(rig);
    session_client_say(c, "SET a 1\r\n");
    cr_assert(SESSION_UNTIL(rig, store_fake_writes(store) == 1));
    session_close_all(&rig->server);
    cr_assert_eq(rig->server.sessions_count, 0);
    store_fake_commit(store, 0, 9);
    cr_assert_eq(through_pending(rig->server.through), 0);
}

/* ---- bounds ---- */

Test(session, one_client_too_many_is_told_so) {
    rig->conf.clients_max = 1;
    struct session_client *first = session_rig_open(rig);
    c = session_rig_open(rig);
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "-ERR max number of clients reached\r\n");
    cr_assert_eq(rig->server.sessions_refused, 1);
    session_client_say(first, PING);
    cr_assert(session_client_hears(first, "+PONG\r\n"));
    session_client_leave(first);
    cr_assert(SESSION_UNTIL(rig, rig->server.sessions_count == 0));
    c = session_rig_open(rig);
    session_client_say(c, PING);
    cr_assert(session_client_hears(c, "+PONG\r\n"));
}

Test(session, who_does_not_read_is_not_read_from) {
    enum { VALUE_BYTES = 100 << 10, GETS = 200 };
    static char value[VALUE_BYTES + 1];
    memset(value, 'x', VALUE_BYTES);
    c = session_rig_open(rig);
    session_client_say(c, GET_A);
    await_gets(1);
    store_fake_row(store, 0, 1, value);
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->len > VALUE_BYTES)));
    size_t one = c->len;
    c->len = 0;
    uint64_t before = rig->server.commands;
    for (int i = 0; i < GETS; i++)
        session_client_say(c, GET_A);
    turns(50);
    cr_assert_lt(rig->server.commands - before, 40, "%llu replies of 100 kB wait",
                 (unsigned long long)(rig->server.commands - before));
    cr_assert(SESSION_UNTIL(rig, (session_client_listen(c), c->len == GETS * one)));
    cr_assert_eq(rig->server.commands - before, GETS);
}

Test(session, knows_when_nobody_waits) {
    cr_assert(session_idle(&rig->server));
    c = session_rig_open(rig);
    session_client_say(c, GET_A);
    await_gets(1);
    cr_assert_not(session_idle(&rig->server));
    store_fake_absent(store, 0);
    cr_assert(session_client_hears(c, "$-1\r\n"));
    cr_assert(session_idle(&rig->server));
}
