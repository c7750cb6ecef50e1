// needs: fakes/bench.c fakes/node_fake.c
/* Subscribers as clients of a proxy: when they are answered, what they hear of nodes, and what they
 * may do. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../common/users.h"
#include "../../proxy/channels.h"
#include "../../proxy/client.h"
#include "../../proxy/rights.h"
#include "../../proxy/topology.h"
#include "../fakes/bench.h"

static void say_change(struct bench *b, unsigned node, char change, const char *key) {
    char push[128];
    snprintf(push, sizeof(push), ">3\r\n+stale\r\n+%c\r\n$%zu\r\n%s\r\n", change, strlen(key), key);
    node_fake_say(b->nodes[node], push);
}

/* Subscribes to all keys, and has forgotten the answer. */
static struct bench_client *subscriber(struct bench *b) {
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "PSUBSCRIBE __keyspace@0__:*\r\n",
                         "*3\r\n$10\r\npsubscribe\r\n$16\r\n__keyspace@0__:*\r\n:1\r\n"));
    bench_forget(c);
    return c;
}

#define HEARD_GAP                                                                                  \
    "*4\r\n$8\r\npmessage\r\n$16\r\n__keyspace@0__:*\r\n$15\r\n__keyspace@0__:\r\n$3\r\ngap\r\n"

/* Whether the subscriber hears of this key, and of nothing else. */
static bool hears(struct bench_client *c, const char *key, const char *event) {
    char want[256];
    snprintf(want, sizeof(want),
             "*4\r\n$8\r\npmessage\r\n$16\r\n__keyspace@0__:*\r\n$%zu\r\n__keyspace@0__:%s\r\n"
             "$%zu\r\n%s\r\n",
             strlen(key) + 15, key, strlen(event), event);
    bool heard = bench_hears(c, want);
    bench_forget(c);
    return heard;
}

/* ---- from which moment on ---- */

Test(client_channels, the_answer_waits_until_every_node_tells) {
    struct bench *b = bench_start(2);
    struct bench_client *c = bench_client_new(b);
    node_fake_mute_watch(b->nodes[0], true);
    node_fake_mute_watch(b->nodes[1], true);
    bench_say(c, "SUBSCRIBE __keyspace@0__:a\r\nPING\r\n");
    cr_assert(
        BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1 && node_fake_heard(b->nodes[1]) == 1));
    cr_assert_str_eq(node_fake_request(b->nodes[1], 0), "RF.WATCH 1");
    node_fake_say(b->nodes[0], "+OK\r\n");
    bench_settle(b);
    cr_assert_str_eq(bench_listen(c), "");
    node_fake_say(b->nodes[1], "+OK\r\n");
    cr_assert(bench_hears(c, "*3\r\n$9\r\nsubscribe\r\n$16\r\n__keyspace@0__:a\r\n:1\r\n"
                             "*2\r\n$4\r\npong\r\n$0\r\n\r\n"));
    bench_stop(b, c);
}

Test(client_channels, a_node_that_hangs_or_is_gone_is_not_waited_for) {
    struct bench *b = bench_new(2);
    b->conf.write_timeout_ms = 600000;
    bench_up(b);
    node_fake_hang(b->nodes[1], true);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "SUBSCRIBE __keyspace@0__:a\r\n");
    cr_assert(bench_hears(c, "*3\r\n$9\r\nsubscribe\r\n$16\r\n__keyspace@0__:a\r\n:1\r\n"));
    bench_stop(b, c);
}

Test(client_channels, what_carries_no_events_waits_for_nobody_and_hears_nothing) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "SUBSCRIBE news\r\nPSUBSCRIBE n*\r\n",
                         "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
                         "*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:2\r\n"));
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 0);
    bench_stop(b, c);
}

Test(client_channels, who_leaves_while_it_waits_leaves_nothing_behind) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    node_fake_mute_watch(b->nodes[0], true);
    bench_say(c, "SUBSCRIBE __keyspace@0__:a\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    bench_client_free(&c);
    cr_assert(channels_watching(b->env.channels));
    node_fake_say(b->nodes[0], "+OK\r\n");
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    cr_assert_not(channels_watching(b->env.channels));
    bench_stop(b, NULL);
}

/* ---- whose word counts ---- */

Test(client_channels, the_word_of_the_node_that_would_be_read_counts_once) {
    struct bench *b = bench_start(2);
    struct bench_client *c = subscriber(b);
    char key[32];
    snprintf(key, sizeof(key), "%s", bench_key(b, 1, 0));
    say_change(b, 0, 's', key);
    bench_settle(b);
    cr_assert_str_eq(bench_listen(c), "");
    say_change(b, 1, 's', key);
    cr_assert(hears(c, key, "set"));
    say_change(b, 1, 'n', key);
    say_change(b, 1, 'x', key);
    cr_assert(hears(c, key, "expired"));
    bench_stop(b, c);
}

Test(client_channels, a_lost_node_is_a_gap_and_the_next_owner_takes_over) {
    struct bench *b = bench_start(2);
    struct bench_client *c = subscriber(b);
    char key[32];
    snprintf(key, sizeof(key), "%s", bench_key(b, 1, 0));
    node_fake_refuse(b->nodes[1]);
    node_fake_reset(b->nodes[1]);
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), HEARD_GAP) != NULL));
    say_change(b, 0, 'd', key);
    /* one more before it: the other node may have said something already when requests turned to it
     */
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), "\r\n$3\r\ndel\r\n") != NULL));
    cr_assert_not_null(strstr(bench_listen(c), HEARD_GAP HEARD_GAP));
    bench_stop(b, c);
}

Test(client_channels, a_node_that_comes_back_is_a_gap_once_it_tells) {
    struct bench *b = bench_start(1);
    struct bench_client *c = subscriber(b);
    node_fake_reset(b->nodes[0]);
    cr_assert(
        BENCH_UNTIL(b, node_fake_links(b->nodes[0]) == 2 && node_fake_heard(b->nodes[0]) == 2));
    bench_settle(b);
    cr_assert_not_null(strstr(bench_listen(c), HEARD_GAP HEARD_GAP), "%s", bench_listen(c));
    bench_forget(c);
    say_change(b, 0, 's', "a");
    cr_assert(hears(c, "a", "set"));
    bench_stop(b, c);
}

Test(client_channels, another_ring_is_a_gap) {
    struct bench *b = bench_start(2);
    struct bench_client *c = subscriber(b);
    char key[32];
    snprintf(key, sizeof(key), "%s", bench_key(b, 1, 0));
    bench_swap(b, 1);
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), HEARD_GAP) != NULL));
    say_change(b, 0, 's', key); /* perhaps behind one more, when the old connection ends */
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), "\r\n$3\r\nset\r\n") != NULL));
    bench_stop(b, c);
}

Test(client_channels, what_a_node_missed_is_a_gap) {
    struct bench *b = bench_start(2);
    struct bench_client *c = subscriber(b);
    node_fake_say(b->nodes[0], ">1\r\n+stale-all\r\n");
    cr_assert(bench_hears(c, HEARD_GAP));
    bench_stop(b, c);
}

/* ---- among replies ---- */

Test(client_channels, messages_take_their_turn_and_are_pushes_in_resp3) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "HELLO 3\r\n");
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), "ringfence_version") != NULL));
    bench_forget(c);
    cr_assert(bench_says(c, "SUBSCRIBE __keyspace@0__:a\r\n",
                         ">3\r\n$9\r\nsubscribe\r\n$16\r\n__keyspace@0__:a\r\n:1\r\n"));
    bench_forget(c);
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_say(c, "GET x\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == before + 1));
    say_change(b, 0, 's', "a");
    bench_settle(b);
    cr_assert_str_eq(bench_listen(c), "");
    node_fake_say(b->nodes[0], "$1\r\nv\r\n");
    cr_assert(bench_hears(
        c, "$1\r\nv\r\n>3\r\n$7\r\nmessage\r\n$16\r\n__keyspace@0__:a\r\n$3\r\nset\r\n"));
    bench_stop(b, c);
}

Test(client_channels, resp2_subscribers_may_do_little_else) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "SUBSCRIBE x\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"));
    bench_forget(c);
    static const char REST[] = ": only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                               "allowed in this context\r\n";
    char want[512];
    snprintf(want, sizeof(want), "-ERR Can't execute 'get'%s-ERR Can't execute 'config|get'%s",
             REST, REST);
    cr_assert(bench_says(c, "GET a\r\nCONFIG GET x\r\n", want));
    bench_forget(c);
    cr_assert(bench_says(c, "UNSUBSCRIBE\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE a\r\nECHO a\r\n",
                         "*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:0\r\n"
                         "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"
                         "*3\r\n$12\r\npunsubscribe\r\n$1\r\na\r\n:0\r\n$1\r\na\r\n"));
    bench_stop(b, c);
}

Test(client_channels, reset_unsubscribes) {
    struct bench *b = bench_start(1);
    struct bench_client *c = subscriber(b);
    cr_assert(bench_says(c, "RESET\r\nECHO a\r\n", "+RESET\r\n$1\r\na\r\n"));
    cr_assert_not(channels_watching(b->env.channels));
    bench_stop(b, c);
}

Test(client_channels, bounds_are_errors_in_their_place) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    char name[5000];
    bench_say(c, "PSUBSCRIBE a* b* c* d*\r\n"); /* the bench allows three patterns */
    cr_assert(
        BENCH_UNTIL(b, strstr(bench_listen(c), "c*\r\n:3\r\n-ERR too many subscriptions") != NULL));
    bench_forget(c);
    memset(name, 'n', sizeof(name));
    bench_say(c, "SUBSCRIBE ");
    bench_say_span(c, span_of(name, CHANNELS_NAME_BYTES_MAX + 1));
    cr_assert(bench_says(c, "\r\n", "-ERR a channel's name is longer than 4096 bytes\r\n"));
    bench_stop(b, c);
}

/* ---- users ---- */

#define PLAIN "sha256=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

Test(client_channels, a_user_hears_of_its_own_keys_alone) {
    struct bench *b = bench_patient(1);
    struct users_error error = {{0}};
    struct users *users = users_parse(
        SPAN("user app role=read prefix=app: " PLAIN "\nuser ops role=admin " PLAIN "\n"), "u",
        &error);
    cr_assert_not_null(users, "%s", error.text);
    struct rights *rights = rights_new(users);
    b->server.rights = rights;
    bench_up(b);
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "SUBSCRIBE a\r\n", "-NOAUTH Authentication required.\r\n"));
    bench_forget(c);
    cr_assert(bench_says(
        c, "AUTH app secret\r\nSUBSCRIBE __keyspace@0__:other\r\nPUBSUB CHANNELS\r\n",
        "+OK\r\n-NOPERM this user has no permissions to access one of the channels used as "
        "arguments\r\n-NOPERM this user has no permissions to run the 'pubsub|channels' "
        "command\r\n"));
    bench_forget(c);
    cr_assert(bench_says(c, "PSUBSCRIBE __keyspace@0__:*\r\n",
                         "*3\r\n$10\r\npsubscribe\r\n$16\r\n__keyspace@0__:*\r\n:1\r\n"));
    bench_forget(c);
    say_change(b, 0, 's', "other");
    say_change(b, 0, 's', "app:1");
    cr_assert(hears(c, "app:1", "set"));
    node_fake_say(b->nodes[0], ">1\r\n+stale-all\r\n");
    cr_assert(bench_hears(c, HEARD_GAP));
    bench_stop(b, c);
    rights_free(&rights);
}
