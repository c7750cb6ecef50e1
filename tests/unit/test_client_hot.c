// needs: fakes/bench.c fakes/node_fake.c
/* Copies of hot keys as clients see them: never anything older than what a client has seen. */
#include <criterion/criterion.h>

#include "../../proxy/hotkeys.h"
#include "../../proxy/near.h"
#include "../fakes/bench.h"

#define A "$1\r\na\r\n"
#define B "$1\r\nb\r\n"

static struct bench *start(void) {
    static const struct near_conf CONF = {
        .bytes_max = 1000, .keep_us = 3600 * INT64_C(1000000), .quiet_us = 0};
    struct bench *b = bench_patient(1);
    b->env.near = near_new(&CONF);
    b->env.hotkeys = hotkeys_new(1, 1);
    b->conf.hotkeys_sample = 1;
    b->conf.hot_cache_rate = 0; /* every key is hot, however long a test takes */
    bench_up(b);
    return b;
}

static void stop(struct bench *b, struct bench_client *c) {
    struct near *near = b->env.near;
    struct hotkeys *hotkeys = b->env.hotkeys;
    bench_stop(b, c);
    near_free(&near);
    hotkeys_free(&hotkeys);
}

/* It is asked, the node hears that, says so, and the client hears exactly this. Returns how many
 * requests the node has heard. */
static unsigned ask(struct bench *b, struct bench_client *c, const char *request,
                    const char *node_says, const char *client_hears) {
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    bench_say(c, request);
    BENCH_HEARD(b, 0, before + 1);
    node_fake_say(b->nodes[0], node_says);
    cr_assert(bench_hears(c, client_hears), "%s", request);
    return node_fake_heard(b->nodes[0]);
}

/* Answered without the node. */
static void expect_copy(struct bench *b, struct bench_client *c, const char *value) {
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    cr_assert(bench_says(c, "GET k\r\n", value));
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), before);
}

/* The first GET makes it hot, and its time to live is asked for; the next answer is kept. */
static void make_copy(struct bench *b, struct bench_client *c) {
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    bench_say(c, "GET k\r\n");
    BENCH_HEARD(b, 0, before + 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], before), "PTTL k");
    cr_assert_str_eq(node_fake_request(b->nodes[0], before + 1), "GET k");
    node_fake_say(b->nodes[0], ":-1\r\n" A);
    cr_assert(bench_hears(c, A));
    cr_assert_eq(ask(b, c, "GET k\r\n", A, A), before + 3);
    expect_copy(b, c, A);
}

Test(client_hot, a_hot_key_is_answered_without_its_node) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b), *other = bench_client_new(b);
    make_copy(b, c);
    expect_copy(b, other, A);
    cr_assert_eq(bench_stat(b, PROXY_STAT_HOT_HITS), 2);
    bench_client_free(&other);
    stop(b, c);
}

Test(client_hot, what_the_node_says_ends_the_copy) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    node_fake_say(b->nodes[0], ">3\r\n+stale\r\n+s\r\n$1\r\nk\r\n");
    bench_settle(b);
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    bench_say(c, "GET k\r\n");
    BENCH_HEARD(b, 0, before + 2); /* and whether it has a time to live now */
    node_fake_say(b->nodes[0], ":5000\r\n" B);
    cr_assert(bench_hears(c, B));
    for (int i = 0; i < 2; i++) /* it has: so it is never kept */
        ask(b, c, "GET k\r\n", B, B);
    node_fake_say(b->nodes[0], ">1\r\n+stale-all\r\n");
    bench_settle(b);
    make_copy(b, c);
    node_fake_say(b->nodes[0], ">1\r\n+stale-all\r\n");
    bench_settle(b);
    make_copy(b, c);
    stop(b, c);
}

Test(client_hot, an_own_write_ends_the_copy_before_its_answer_is_seen) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    bench_say(c, "SET k b\r\nGET k\r\n");
    BENCH_HEARD(b, 0, before + 1);
    node_fake_say(b->nodes[0], "+OK\r\n");
    BENCH_HEARD(b, 0, before + 3);
    cr_assert_str_eq(node_fake_request(b->nodes[0], before + 2), "GET k");
    node_fake_say(b->nodes[0], ":-1\r\n" B);
    cr_assert(bench_hears(c, "+OK\r\n" B));
    stop(b, c);
}

Test(client_hot, whatever_shows_the_key_ends_the_copy) {
    static const char *const CASES[][2] = {{"STRLEN k\r\n", ":7\r\n"},
                                           {"EXISTS x k\r\n", ":2\r\n"}};
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    for (size_t i = 0; i < 2; i++) {
        ask(b, c, CASES[i][0], CASES[i][1], CASES[i][1]);
        ask(b, c, "GET k\r\n", B, B);
        expect_copy(b, c, B);
    }
    stop(b, c);
}

/* The answer that it waits for may be newer than the copy. */
Test(client_hot, a_copy_does_not_follow_what_may_be_newer) {
    static const char *const OPEN[] = {"GET k\r\n", "STRLEN k\r\n", "MGET x k\r\n"};
    for (size_t i = 0; i < sizeof(OPEN) / sizeof(OPEN[0]); i++) {
        struct bench *b = start();
        struct bench_client *c = bench_client_new(b), *other = bench_client_new(b);
        make_copy(b, other);
        ask(b, other, "STRLEN k\r\n", ":1\r\n", ":1\r\n"); /* the copy is gone */
        unsigned before = node_fake_heard(b->nodes[0]);
        bench_say(other, "GET k\r\n");
        BENCH_HEARD(b, 0, before + 1);
        bench_say(c, OPEN[i]);
        BENCH_HEARD(b, 0, before + 2);
        node_fake_say(b->nodes[0], A);
        bench_settle(b); /* there is a copy again, while c waits */
        expect_copy(b, other, A);
        bench_say(c, "GET k\r\n");
        BENCH_HEARD(b, 0, before + 3);
        bench_client_free(&other);
        stop(b, c);
    }
}

Test(client_hot, a_late_answer_is_not_kept) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    ask(b, c, "STRLEN k\r\n", ":1\r\n", ":1\r\n");
    ask(b, c, "GET k\r\n", ">2\r\n+defer\r\n:1\r\n>3\r\n+late\r\n:1\r\n" B, B);
    ask(b, c, "GET k\r\n", A, A); /* it was asked for */
    expect_copy(b, c, A);
    stop(b, c);
}

Test(client_hot, an_answer_that_an_invalidation_overtook_is_not_kept) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    ask(b, c, "STRLEN k\r\n", ":1\r\n", ":1\r\n");
    ask(b, c, "GET k\r\n", ">3\r\n+stale\r\n+s\r\n$1\r\nk\r\n" B, B);
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_say(c, "GET k\r\n");
    BENCH_HEARD(b, 0, before + 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], before), "PTTL k");
    stop(b, c);
}

/* ---- MGET ---- */

Test(client_hot, an_mget_of_copies_alone_asks_nobody) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    cr_assert(bench_says(c, "MGET k k\r\nMGET k\r\n", "*2\r\n" A A "*1\r\n" A));
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), before);
    cr_assert_eq(bench_stat(b, PROXY_STAT_HOT_HITS), 4);
    stop(b, c);
}

#define X     "$1\r\nx\r\n"
#define Y     "$1\r\ny\r\n"
#define XY_OF "*2\r\n" X Y

/* The time to live of keys that have become hot is asked for, too: of x and y, each once. */
static void mget(struct bench *b, struct bench_client *c, const char *hears) {
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    bench_say(c, "MGET x k y\r\n");
    BENCH_HEARD(b, 0, before + 3);
    cr_assert_str_eq(node_fake_request(b->nodes[0], before), "PTTL x");
    cr_assert_str_eq(node_fake_request(b->nodes[0], before + 1), "PTTL y");
    cr_assert_str_eq(node_fake_request(b->nodes[0], before + 2), "mget x y");
    node_fake_say(b->nodes[0], ":-1\r\n:-1\r\n" XY_OF);
    cr_assert(bench_hears(c, hears));
}

Test(client_hot, an_mget_asks_for_what_has_no_copy_and_keeps_it) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    mget(b, c, "*3\r\n" X A Y);
    expect_copy(b, c, A); /* it was not asked for, so nothing newer was seen */
    unsigned before = ask(b, c, "MGET x k y\r\n", XY_OF, "*3\r\n" X A Y);
    cr_assert_str_eq(node_fake_request(b->nodes[0], before - 1), "mget x y");
    bench_forget(c);
    cr_assert(bench_says(c, "MGET x k y\r\nGET y\r\n", "*3\r\n" X A Y Y)); /* all copies now */
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), before);
    stop(b, c);
}

Test(client_hot, what_an_mget_saw_ends_older_copies_of_its_keys_alone) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b), *other = bench_client_new(b);
    make_copy(b, c);
    ask(b, c, "MGET x y\r\n", ":-1\r\n:-1\r\n" XY_OF, XY_OF);
    expect_copy(b, c, A);
    /* While it waits for another answer it is given none: that may be newer. */
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    bench_say(c, "STRLEN z\r\nMGET k x\r\n");
    BENCH_HEARD(b, 0, before + 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], before + 1), "mget k x");
    node_fake_say(b->nodes[0], ":0\r\n>2\r\n+defer\r\n:1\r\n"); /* late: it cannot be kept */
    bench_settle(b);
    expect_copy(b, other, A);
    node_fake_say(b->nodes[0], ">3\r\n+late\r\n:1\r\n*2\r\n" B X);
    cr_assert(bench_hears(c, ":0\r\n*2\r\n" B X));
    ask(b, other, "GET k\r\n", B, B); /* the copy was older than that */
    bench_client_free(&other);
    stop(b, c);
}

Test(client_hot, an_mget_behind_an_own_write_sees_it) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_forget(c);
    bench_say(c, "SET k b\r\nMGET k k\r\n");
    BENCH_HEARD(b, 0, before + 1);
    node_fake_say(b->nodes[0], "+OK\r\n");
    BENCH_HEARD(b, 0, before + 3);
    cr_assert_str_eq(node_fake_request(b->nodes[0], before + 2), "mget k k");
    node_fake_say(b->nodes[0], ":-1\r\n*2\r\n" B B);
    cr_assert(bench_hears(c, "+OK\r\n*2\r\n" B B));
    stop(b, c);
}

/* An error of one of its nodes shows nothing, and is the whole answer. */
Test(client_hot, an_mget_that_fails_is_an_error_also_with_copies) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    make_copy(b, c);
    ask(b, c, "MGET k x\r\n", ":-1\r\n-DBDOWN no\r\n", "-DBDOWN no\r\n");
    expect_copy(b, c, A);
    stop(b, c);
}
