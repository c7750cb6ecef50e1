// needs: fakes/bench.c fakes/node_fake.c
/* NOLOOP: a client is not told of its own change, however early nodes speak of it, and is told of
 * all that may be another's. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../proxy/client.h"
#include "../../proxy/tracking.h"
#include "../fakes/bench.h"

static struct bench *b;
static struct bench_client *c;
static unsigned deferred;

#define PUSH(key) ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\n" key "\r\n"

static void set_up(void) {
    deferred = 0;
    b = bench_start(1);
    c = bench_client_new(b);
    bench_say(c, "HELLO 3\r\n");
    bench_settle(b);
    bench_listen(c);
    bench_forget(c);
}

static void tear_down(void) {
    bench_stop(b, c);
}

TestSuite(client_tracking, .init = set_up, .fini = tear_down);

static void track(const char *how) {
    char request[64];
    snprintf(request, sizeof(request), "CLIENT TRACKING ON NOLOOP %s\r\n", how);
    cr_assert(bench_says(c, request, "+OK\r\n"));
    BENCH_HEARD(b, 0, 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], 1), "RF.WATCH 1 VERSIONS");
    bench_forget(c);
}

/* It is said, and the node, which has it, answers later. */
static void say(const char *request) {
    char push[64];
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_say(c, request);
    BENCH_HEARD(b, 0, before + 1);
    snprintf(push, sizeof(push), ">2\r\n+defer\r\n:%u\r\n", ++deferred);
    node_fake_say(b->nodes[0], push);
}

static void stale(const char *key, int version) {
    char push[128];
    snprintf(push, sizeof(push), ">4\r\n+stale\r\n+s\r\n:%d\r\n$%zu\r\n%s\r\n", version,
             strlen(key), key);
    node_fake_say(b->nodes[0], push);
}

static void wrote(const char *key, int version) {
    char push[128];
    snprintf(push, sizeof(push), ">4\r\n+wrote\r\n:%u\r\n:%d\r\n$%zu\r\n%s\r\n", deferred, version,
             strlen(key), key);
    node_fake_say(b->nodes[0], push);
}

static void answer(const char *reply) {
    char push[128];
    snprintf(push, sizeof(push), ">3\r\n+late\r\n:%u\r\n%s\r\n", deferred, reply);
    node_fake_say(b->nodes[0], push);
}

/* All that it has heard, and nothing comes after it. */
static void expect(const char *heard) {
    bench_settle(b);
    bench_listen(c);
    cr_assert_str_eq(c->heard == NULL ? "" : c->heard, heard);
    bench_forget(c);
}

Test(client_tracking, its_own_change_is_not_told_before_and_after_the_answer) {
    track("BCAST");
    say("SET a 1\r\n");
    stale("a", 7); /* another node's word may come first */
    wrote("a", 7);
    answer("+OK");
    stale("a", 7);
    expect("+OK\r\n");
}

Test(client_tracking, anothers_change_is_told_behind_the_answer) {
    track("BCAST");
    say("SET a 1\r\n");
    stale("a", 6);
    stale("a", 7);
    wrote("a", 7);
    answer("+OK");
    stale("a", 8);
    expect("+OK\r\n" PUSH("a") PUSH("a"));
}

Test(client_tracking, a_write_whose_outcome_is_not_known_is_told) {
    track("BCAST");
    say("SET a 1\r\n");
    stale("a", 7);
    answer("-UNCERTAIN x");
    expect("-UNCERTAIN x\r\n" PUSH("a"));
}

Test(client_tracking, a_write_that_did_nothing_keeps_what_was_read) {
    track("");
    say("GET a\r\n");
    answer("$1\r\n1");
    expect("$1\r\n1\r\n");
    say("SETNX a 2\r\n");
    answer(":0");
    stale("a", 7);
    expect(":0\r\n" PUSH("a"));
}

Test(client_tracking, what_it_wrote_itself_it_still_holds) {
    track("");
    say("GET a\r\n");
    answer("$1\r\n1");
    say("SET a 2\r\n");
    stale("a", 7);
    wrote("a", 7);
    answer("+OK");
    stale("a", 7);
    stale("a", 8);
    stale("a", 8);
    expect("$1\r\n1\r\n+OK\r\n" PUSH("a"));
}

Test(client_tracking, several_keys_of_one_write_are_all_its_own) {
    track("BCAST");
    say("MSET a 1 b 2\r\n");
    stale("b", 8);
    wrote("a", 7);
    wrote("b", 8);
    answer("+OK");
    stale("a", 7);
    expect("+OK\r\n");
}

Test(client_tracking, what_a_transaction_wrote_is_its_own) {
    track("BCAST");
    cr_assert(bench_says(c, "MULTI\r\nSET a 1\r\nINCR b\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n"));
    bench_forget(c);
    say("EXEC\r\n");
    stale("a", 7);
    wrote("a", 7);
    wrote("b", 8);
    answer("*2\r\n+OK\r\n:1");
    stale("b", 8);
    stale("b", 9);
    expect("*2\r\n+OK\r\n:1\r\n" PUSH("b"));
}

Test(client_tracking, others_of_the_same_worker_are_told) {
    struct bench_client *other = bench_client_new(b);
    bench_say(other, "HELLO 3\r\nCLIENT TRACKING ON BCAST NOLOOP\r\n");
    bench_settle(b);
    bench_listen(other);
    bench_forget(other);
    track("BCAST");
    say("SET a 1\r\n");
    stale("a", 7);
    wrote("a", 7);
    answer("+OK");
    expect("+OK\r\n");
    cr_assert(bench_hears(other, PUSH("a")));
    bench_client_free(&other);
}

Test(client_tracking, after_a_gap_nothing_is_known_to_be_its_own) {
    track("BCAST");
    say("SET a 1\r\n");
    wrote("a", 7);
    answer("+OK");
    node_fake_say(b->nodes[0], ">1\r\n+stale-all\r\n");
    stale("a", 7);
    expect("+OK\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n" PUSH("a"));
}
