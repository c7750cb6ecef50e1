// needs: fakes/session_rig.c fakes/store_fake.c
#include <criterion/criterion.h>
#include <stdio.h>

#include "../../common/clock.h"
#include "../../common/version.h"
#include "../fakes/session_rig.h"

static struct session_rig *rig;
static struct session_client *c;

static void set_up(void) {
    rig = session_rig_new();
    c = session_rig_open(rig);
}

static void tear_down(void) {
    session_rig_free(&rig);
}

TestSuite(handlers_local, .init = set_up, .fini = tear_down);

static void ask(const char *request, const char *want) {
    session_client_say(c, request);
    cr_expect(session_client_hears(c, want), "%s", request);
}

Test(handlers_local, answers_what_needs_no_key) {
    ask("PING\r\n", "+PONG\r\n");
    ask("PING hi\r\n", "$2\r\nhi\r\n");
    ask("ECHO hi\r\n", "$2\r\nhi\r\n");
    ask("RESET\r\n", "+RESET\r\n");
    ask("COMMAND\r\n", "*0\r\n");
    ask("CLIENT ID\r\n", ":1\r\n");
    ask("CLIENT GETNAME\r\n", "$-1\r\n");
    ask("CLIENT SETNAME x\r\n", "+OK\r\n");
    ask("CLIENT SETINFO LIB-NAME x\r\n", "+OK\r\n");
    ask("CLIENT BOGUS\r\n", "-ERR unknown subcommand 'BOGUS'. Try CLIENT HELP.\r\n");
}

Test(handlers_local, has_one_database_only) {
    ask("SELECT 0\r\n", "+OK\r\n");
    ask("SELECT 1\r\n", "-ERR DB index is out of range\r\n");
    ask("SELECT x\r\n", "-ERR value is not an integer or out of range\r\n");
}

Test(handlers_local, hello_chooses_the_protocol) {
    char want[300];
    snprintf(want, sizeof(want),
             "%%5\r\n$6\r\nserver\r\n$14\r\nringfence-node\r\n$7\r\nversion\r\n$%zu\r\n%s\r\n"
             "$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nnode\r\n$5\r\nnode1\r\n",
             strlen(RINGFENCE_VERSION), RINGFENCE_VERSION);
    ask("HELLO 3\r\n", want);
    ask("CLIENT GETNAME\r\n", "_\r\n");
    ask("HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n");
    ask("HELLO x\r\n", "-NOPROTO unsupported protocol version\r\n");
    ask("HELLO 2 AUTH u p\r\n", "-ERR syntax error\r\n");
    ask("CLIENT GETNAME\r\n", "_\r\n"); /* still 3 */
    ask("RESET\r\n", "+RESET\r\n");
    ask("CLIENT GETNAME\r\n", "$-1\r\n");
}

Test(handlers_local, tells_its_options) {
    ask("CONFIG GET port\r\n", "*2\r\n$4\r\nport\r\n$4\r\n7101\r\n");
    ask("CONFIG GET PORT\r\n", "*2\r\n$4\r\nport\r\n$4\r\n7101\r\n");
    ask("CONFIG GET bogus\r\n", "*0\r\n");
    ask("CONFIG SET port 1\r\n", "-ERR unknown subcommand 'SET'. Try CONFIG HELP.\r\n");
    session_client_say(c, "CONFIG GET *\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "log-level") != NULL));
    cr_assert_not_null(strstr(c->heard, "$14\r\nfence-after-ms\r\n$4\r\n2000\r\n"), "%s", c->heard);
}

/* It may hold a password. */
Test(handlers_local, tells_no_secret) {
    free(rig->conf.conninfo);
    rig->conf.conninfo = strdup("host=/tmp password=hunter2");
    session_client_say(c, "CONFIG GET conninfo\r\nPING\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "+PONG") != NULL));
    cr_assert_null(strstr(c->heard, "hunter2"), "%s", c->heard);
}

Test(handlers_local, knows_the_time) {
    long long s, us;
    session_client_say(c, "TIME\r\n");
    cr_assert(SESSION_UNTIL(rig, strlen(session_client_listen(c)) > 24));
    cr_assert_eq(sscanf(c->heard, "*2\r\n$10\r\n%lld\r\n$%*d\r\n%lld\r\n", &s, &us), 2, "%s",
                 c->heard);
    cr_assert_leq(s, clock_wall_ms() / 1000);
    cr_assert_geq(s, clock_wall_ms() / 1000 - 10);
    cr_assert(us >= 0 && us < 1000000);
}

Test(handlers_local, tells_its_figures) {
    session_rig_figures(&(struct store_figures){.connections_up = 4, .last_error = "none yet"},
                        true);
    session_client_say(c, "INFO\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "loading:0") != NULL));
    cr_assert_not_null(strstr(c->heard, "\r\ndb_connections:4\r\n"), "%s", c->heard);
    cr_assert_not_null(strstr(c->heard, "\r\nfeed_up:1\r\n"));
    cr_assert_not_null(strstr(c->heard, "\r\ndb_last_error:none yet\r\n"));
    c->len = 0;
    session_client_say(c, "RF.STATUS\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\nnode:node1\r\n") != NULL));
}

/* They are in the same table of commands, and a node has none of that. */
Test(handlers_local, does_not_know_what_is_a_proxys_business) {
    ask("MULTI\r\n", "-ERR unknown command 'MULTI', with args beginning with: \r\n");
    ask("SUBSCRIBE a\r\n", "-ERR unknown command 'SUBSCRIBE', with args beginning with: 'a' \r\n");
    ask("RF.HOTKEYS\r\n", "-ERR unknown command 'RF.HOTKEYS', with args beginning with: \r\n");
    ask("SLOWLOG GET\r\n", "-ERR unknown command 'SLOWLOG', with args beginning with: 'GET' \r\n");
}

Test(handlers_local, has_no_passwords) {
    session_client_say(c, "AUTH secret\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
    cr_assert_eq(strncmp(c->heard, "-ERR AUTH ", 10), 0, "%s", c->heard);
}
