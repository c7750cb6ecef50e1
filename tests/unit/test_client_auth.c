// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <string.h>

#include "../../common/users.h"
#include "../../proxy/client.h"
#include "../../proxy/rights.h"
#include "../fakes/bench.h"

#define PLAIN "sha256=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define USERS                                                                                      \
    "user app role=write prefix=app: " PLAIN "\nuser reader role=read " PLAIN                      \
    "\nuser admin role=admin " PLAIN "\n"

enum { SECOND_US = 1000 * 1000 };

static struct users *users_of(const char *text) {
    struct users_error error = {{0}};
    struct users *users = users_parse(span_str(text), "u", &error);
    cr_assert_not_null(users, "%s", error.text);
    return users;
}

static struct bench *start(const char *text, int64_t waiting_max) {
    struct bench *b = bench_patient(1);
    b->conf.unauthenticated_max = waiting_max;
    b->server.rights = rights_new(users_of(text));
    cr_assert_not_null(b->server.rights);
    bench_up(b);
    return b;
}

static void stop(struct bench *b, struct bench_client *c) {
    struct rights *rights = (struct rights *)b->server.rights;
    bench_stop(b, c);
    rights_free(&rights);
}

#define NOAUTH          "-NOAUTH Authentication required.\r\n"
#define WRONG           "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
#define NOKEY           "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"
#define NOCOMMAND(name) "-NOPERM this user has no permissions to run the '" name "' command\r\n"

Test(client_auth, nothing_goes_before_auth_and_everything_allowed_after_it) {
    struct bench *b = start(USERS, 100);
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "PING\r\nGET app:1\r\nCLIENT ID\r\n", NOAUTH NOAUTH NOAUTH));
    cr_assert(bench_says(c, "AUTH app wrong\r\nAUTH secret\r\nAUTH nobody secret\r\n",
                         WRONG WRONG WRONG));
    cr_assert_eq(node_fake_heard(b->nodes[0]), 0);
    cr_assert(bench_says(c, "AUTH app secret\r\nPING\r\n", "+OK\r\n+PONG\r\n"));
    bench_say(c, "SET app:1 v\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    cr_assert_eq(bench_stat(b, PROXY_STAT_DENIED_AUTH), 3);
    stop(b, c);
}

Test(client_auth, refusals_take_their_turn) {
    struct bench *b = start(USERS, 100);
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "AUTH app secret\r\n", "+OK\r\n"));
    bench_forget(c);
    bench_say(c, "GET app:1\r\nGET other\r\nCONFIG GET port\r\nPING\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    node_fake_say(b->nodes[0], "$1\r\nv\r\n");
    cr_assert(bench_hears(c, "$1\r\nv\r\n" NOKEY NOCOMMAND("config|get") "+PONG\r\n"));
    cr_assert_eq(node_fake_heard(b->nodes[0]), 1);
    cr_assert_eq(bench_stat(b, PROXY_STAT_DENIED_KEY), 1);
    stop(b, c);
}

Test(client_auth, roles_are_kept_apart) {
    struct bench *b = start(USERS, 100);
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "AUTH reader secret\r\n", "+OK\r\n"));
    cr_assert(bench_says(c, "SET a 1\r\n", NOCOMMAND("set")));
    cr_assert(bench_says(c, "CLIENT LIST\r\n", NOCOMMAND("client|list")));
    cr_assert(bench_says(c, "ACL LIST\r\n", NOCOMMAND("acl|list")));
    cr_assert(bench_says(c, "ACL WHOAMI\r\n", "$6\r\nreader\r\n"));
    cr_assert(bench_says(c, "AUTH admin secret\r\nACL USERS\r\n",
                         "+OK\r\n*3\r\n$5\r\nadmin\r\n$3\r\napp\r\n$6\r\nreader\r\n"));
    cr_assert(bench_says(c, "RESET\r\nPING\r\n", "+RESET\r\n" NOAUTH));
    stop(b, c);
}

Test(client_auth, hello_authenticates) {
    struct bench *b = start(USERS, 100);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "HELLO 3\r\n");
    cr_assert(BENCH_UNTIL(b, strncmp(bench_listen(c), "-NOAUTH HELLO must be called", 28) == 0));
    cr_assert(bench_says(c, "HELLO 3 AUTH app nope\r\n", WRONG));
    bench_forget(c);
    bench_say(c, "HELLO 3 AUTH app secret SETNAME me\r\n");
    cr_assert(BENCH_UNTIL(b, strncmp(bench_listen(c), "%8\r\n", 4) == 0));
    cr_assert(bench_says(c, "CLIENT GETNAME\r\n", "$2\r\nme\r\n"));
    stop(b, c);
}

Test(client_auth, eight_wrong_passwords_end_a_connection) {
    struct bench *b = start(USERS, 100);
    struct bench_client *c = bench_client_new(b);
    for (int i = 0; i < 7; i++)
        cr_assert(bench_says(c, "AUTH app wrong\r\n", WRONG), "%d", i);
    bench_say(c, "AUTH app wrong\r\nAUTH app secret\r\n");
    cr_assert(bench_ended(c));
    cr_assert_str_eq(c->heard, WRONG WRONG);
    stop(b, c);
}

Test(client_auth, before_auth_only_small_requests_are_taken) {
    static const char *const CASES[][2] = {
        {"*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
        {"*2\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
    };
    struct bench *b = start(USERS, 100);
    for (size_t i = 0; i < 2; i++) {
        struct bench_client *c = bench_client_new(b);
        bench_say(c, CASES[i][0]);
        cr_assert(bench_ended(c));
        cr_assert_str_eq(c->heard, CASES[i][1]);
        bench_client_free(&c);
    }
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "AUTH app secret\r\n", "+OK\r\n"));
    bench_say(c, "*11\r\n$4\r\nMGET\r\n");
    for (int i = 0; i < 10; i++)
        bench_say(c, "$5\r\napp:1\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    stop(b, c);
}

Test(client_auth, who_does_not_authenticate_in_time_is_closed) {
    struct bench *b = start(USERS, 100);
    struct bench_client *quick = bench_client_new(b), *slow = bench_client_new(b);
    cr_assert(bench_says(quick, "AUTH app secret\r\n", "+OK\r\n"));
    client_list_tick(b->clients, bench_now_ms() * 1000 + 9 * SECOND_US);
    cr_assert_eq(client_list_count(b->clients), 2);
    client_list_tick(b->clients, bench_now_ms() * 1000 + 11 * SECOND_US);
    cr_assert(bench_ended(slow));
    cr_assert(bench_says(quick, "PING\r\n", "+PONG\r\n"));
    cr_assert_eq(bench_stat(b, PROXY_STAT_UNAUTHENTICATED_CLOSED), 1);
    bench_client_free(&slow);
    stop(b, quick);
}

Test(client_auth, the_oldest_without_auth_makes_room) {
    struct bench *b = start(USERS, 2);
    struct bench_client *known = bench_client_new(b), *c[4];
    cr_assert(bench_says(known, "AUTH app secret\r\n", "+OK\r\n"));
    for (int i = 0; i < 3; i++)
        c[i] = bench_client_new(b);
    cr_assert(bench_ended(c[0]));
    cr_assert(bench_says(c[1], "AUTH app secret\r\n", "+OK\r\n")); /* it waits no more */
    c[3] = bench_client_new(b);
    cr_assert(bench_says(c[2], "PING\r\n", NOAUTH));
    cr_assert(bench_says(known, "RESET\r\nPING\r\n", "+RESET\r\n" NOAUTH)); /* it waits again */
    cr_assert(bench_ended(c[2]));
    cr_assert(bench_says(c[3], "PING\r\n", NOAUTH));
    for (int i = 0; i < 4; i++)
        bench_client_free(&c[i]);
    stop(b, known);
}

Test(client_auth, a_user_that_is_gone_loses_its_connections_behind_their_answers) {
    struct bench *b = start(USERS, 100);
    struct bench_client *gone = bench_client_new(b), *idle = bench_client_new(b),
                        *stays = bench_client_new(b);
    cr_assert(bench_says(gone, "AUTH app secret\r\n", "+OK\r\n"));
    cr_assert(bench_says(idle, "AUTH app secret\r\n", "+OK\r\n"));
    cr_assert(bench_says(stays, "AUTH reader secret\r\n", "+OK\r\n"));
    bench_forget(gone);
    bench_say(gone, "GET app:1\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    rights_swap(b->server.rights, users_of("user reader role=read prefix=x: " PLAIN));
    client_list_renew(b->clients);
    bench_say(gone, "SET app:1 v\r\n");
    cr_assert(bench_ended(idle));
    node_fake_say(b->nodes[0], "$1\r\nv\r\n");
    cr_assert(bench_ended(gone));
    cr_assert_str_eq(gone->heard, "$1\r\nv\r\n");
    cr_assert_eq(node_fake_heard(b->nodes[0]), 1);
    cr_assert(bench_says(stays, "GET a\r\n", NOKEY)); /* by the new rules */
    bench_client_free(&gone);
    bench_client_free(&idle);
    stop(b, stays);
}

/* What a node was asked, behind what it was asked before; and its answer. */
static bool asks(struct bench *b, struct bench_client *c, const char *says, const char *request) {
    unsigned heard = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    bench_say(c, says);
    if (!BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == heard + 1))
        return false;
    bool same = strcmp(node_fake_request(b->nodes[0], heard), request) == 0;
    node_fake_say(b->nodes[0], ":1\r\n");
    return bench_hears(c, ":1\r\n") && same;
}

Test(client_auth, who_has_some_of_the_keys_is_shown_these) {
    struct bench *b = start("user app role=write prefix=app: prefix=x " PLAIN
                            "\nuser reader role=read " PLAIN "\n",
                            100);
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "AUTH app secret\r\n", "+OK\r\n"));
    cr_assert(asks(b, c, "SCAN 7 MATCH *\r\n", "RF.SCOPE 2 app: x SCAN 7 MATCH *"));
    cr_assert(asks(b, c, "KEYS *\r\n", "RF.SCOPE 2 app: x KEYS *"));
    cr_assert(asks(b, c, "*1\r\n$9\r\nRANDOMKEY\r\n", "RF.SCOPE 2 app: x RANDOMKEY"));
    cr_assert(asks(b, c, "DBSIZE\r\n", "RF.SCOPE 2 app: x DBSIZE"));
    cr_assert(bench_says(c, "FLUSHALL\r\n", NOCOMMAND("flushall")));
    cr_assert(bench_says(c, "AUTH reader secret\r\n", "+OK\r\n"));
    cr_assert(asks(b, c, "SCAN 7\r\n", "SCAN 7"));
    stop(b, c);
}

Test(client_auth, bcast_tells_of_no_keys_but_ones_own) {
    struct bench *b = start(USERS, 100);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "HELLO 3 AUTH app secret\r\n");
    cr_assert(BENCH_UNTIL(b, strncmp(bench_listen(c), "%8\r\n", 4) == 0));
    cr_assert(bench_says(c, "CLIENT TRACKING ON BCAST\r\n", NOKEY));
    cr_assert(bench_says(c, "CLIENT TRACKING ON BCAST PREFIX ap\r\n", NOKEY));
    cr_assert(bench_says(c, "CLIENT TRACKING ON BCAST PREFIX app:x\r\n", "+OK\r\n"));
    stop(b, c);
}

/* ---- what the users file takes away ---- */

static void change_users(struct bench *b, const char *text) {
    rights_swap((struct rights *)b->server.rights, users_of(text));
    client_list_renew(b->clients);
}

/* A command was allowed when it was queued: what counts is what is allowed when it is done. */
Test(client_auth, exec_does_nothing_that_is_not_allowed_any_more) {
    static const char *const LESS[] = {"user app role=read prefix=app: " PLAIN "\n",
                                       "user app role=write prefix=other: " PLAIN "\n"};
    for (unsigned i = 0; i < sizeof(LESS) / sizeof(LESS[0]); i++) {
        struct bench *b = start(USERS, 100);
        struct bench_client *c = bench_client_new(b);
        cr_assert(bench_says(c, "AUTH app secret\r\nMULTI\r\nSET app:1 v\r\n",
                             "+OK\r\n+OK\r\n+QUEUED\r\n"));
        bench_forget(c);
        change_users(b, LESS[i]);
        cr_assert(bench_says(
            c, "EXEC\r\nPING\r\n",
            "-EXECABORT Transaction discarded because of previous errors.\r\n+PONG\r\n"));
        cr_assert_eq(node_fake_heard(b->nodes[0]), 0);
        stop(b, c);
    }
}

Test(client_auth, exec_goes_on_when_what_it_does_is_still_allowed) {
    struct bench *b = start(USERS, 100);
    struct bench_client *c = bench_client_new(b);
    cr_assert(
        bench_says(c, "AUTH app secret\r\nMULTI\r\nSET app:1 v\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n"));
    change_users(b, "user app role=write prefix=app:1 prefix=more: " PLAIN "\n");
    bench_say(c, "EXEC\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    stop(b, c);
}

/* Who reads it as Redis' rules must not take a prefix for a pattern. */
Test(client_auth, acl_list_shows_roles_and_prefixes_as_rules_of_redis) {
    struct bench *b =
        start("user ops role=admin " PLAIN "\nuser a role=write prefix=x*? prefix=[y] " PLAIN
              "\nuser z role=read " PLAIN "\n",
              100);
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "AUTH ops secret\r\n", "+OK\r\n"));
    bench_forget(c);
    cr_assert(bench_says(c, "ACL LIST\r\n",
                         "*3\r\n$42\r\nuser a on ~x\\*\\?* ~\\[y\\]* &* +@all -@admin\r\n"
                         "$23\r\nuser ops on ~* &* +@all\r\n"
                         "$37\r\nuser z on ~* &* +@all -@write -@admin\r\n"),
              "%s", bench_listen(c));
    stop(b, c);
}
