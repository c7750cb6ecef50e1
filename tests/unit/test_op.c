// needs: fakes/session_rig.c fakes/store_fake.c
#include <criterion/criterion.h>

#include "../../node/op.h"
#include "../../node/session.h"
#include "../fakes/session_rig.h"

static struct session_rig *rig;
static struct store *store;

static void set_up(void) {
    rig = session_rig_new();
    store = rig->server.store;
}

static void tear_down(void) {
    session_rig_free(&rig);
}

TestSuite(op, .init = set_up, .fini = tear_down);

Test(op, takes_its_sessions_protocol) {
    session_rig_link(rig);
    struct op *op = op_new(rig->server.sessions, 3);
    cr_assert_not_null(op);
    cr_assert_eq(op->command, 3);
    cr_assert_eq(op->proto, 3);
    cr_assert_eq(op->failure, -1);
    op_free(op);
}

/* Three keys of one request: two wait, one was answered. */
Test(op, abandoned_it_takes_back_the_reads_that_wait) {
    struct session_client *c = session_rig_link(rig);
    session_client_say(c, "MGET a b c\r\n");
    cr_assert(SESSION_UNTIL(rig, store_fake_gets(store) == 3));
    store_fake_row(store, 1, 1, "vb");
    cr_assert_eq(through_pending(rig->server.through), 2);
    session_close_all(&rig->server);
    cr_assert_eq(through_pending(rig->server.through), 0);
    store_fake_row(store, 0, 1, "va"); /* nobody waits for it: it is cached all the same */
    c = session_rig_open(rig);
    session_client_say(c, "MGET a b\r\n");
    cr_assert(session_client_hears(c, "*2\r\n$2\r\nva\r\n$2\r\nvb\r\n"));
}

/* Another client waits for the same row: only the one that left is taken back. */
Test(op, abandoned_it_leaves_others_their_fill) {
    struct session_client *c = session_rig_open(rig), *other = session_rig_open(rig);
    session_client_say(other, "GET a\r\n");
    cr_assert(SESSION_UNTIL(rig, store_fake_gets(store) == 1));
    session_client_say(c, "GET a\r\n");
    cr_assert(SESSION_UNTIL(rig, through_pending(rig->server.through) == 2));
    struct op *op = op_new(rig->server.sessions, 0);
    cr_assert_not_null(op);
    op_free(op);
    /* a reset, not a half-close: nothing can be answered any more */
    session_client_leave(c);
    store_fake_row(store, 0, 1, "va");
    cr_assert(session_client_hears(other, "$2\r\nva\r\n"));
    cr_assert(SESSION_UNTIL(rig, rig->server.sessions_count == 1));
}
