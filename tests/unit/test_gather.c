// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proxy/client.h"
#include "../fakes/bench.h"

/* Two nodes; a0, a1 are keys of the first, b0, b1 of the second. */
struct two {
    struct bench *b;
    struct bench_client *c;
    struct node_fake *a, *z;
    char a0[16], a1[16], b0[16], b1[16];
};

static struct two start_with(int64_t value_bytes_max, int64_t output_bytes_max) {
    struct two t = {.b = bench_new(2)};
    t.b->conf.request_timeout_ms = t.b->conf.write_timeout_ms = 600000;
    t.b->conf.value_bytes_max = value_bytes_max;
    t.b->conf.output_bytes_max = output_bytes_max;
    bench_up(t.b);
    t.c = bench_client_new(t.b);
    t.a = t.b->nodes[0];
    t.z = t.b->nodes[1];
    snprintf(t.a0, sizeof(t.a0), "%s", bench_key(t.b, 0, 0));
    snprintf(t.a1, sizeof(t.a1), "%s", bench_key(t.b, 0, 1));
    snprintf(t.b0, sizeof(t.b0), "%s", bench_key(t.b, 1, 0));
    snprintf(t.b1, sizeof(t.b1), "%s", bench_key(t.b, 1, 1));
    return t;
}

static struct two start(void) {
    return start_with(1 << 20, 64 << 20);
}

static void stop(struct two *t) {
    bench_stop(t->b, t->c);
}

#define SAY(t, ...)                                                                                \
    do {                                                                                           \
        char text_[512];                                                                           \
        snprintf(text_, sizeof(text_), __VA_ARGS__);                                               \
        bench_say((t)->c, text_);                                                                  \
    } while (0)

#define HEARD(t, node, n, ...)                                                                     \
    do {                                                                                           \
        char text_[512];                                                                           \
        snprintf(text_, sizeof(text_), __VA_ARGS__);                                               \
        cr_assert(BENCH_UNTIL((t)->b, node_fake_heard(node) >= (n)));                              \
        cr_assert_str_eq(node_fake_request(node, (n)-1), text_);                                   \
    } while (0)

/* ---- reads ---- */

Test(gather, values_come_back_in_the_order_of_the_keys_duplicates_too) {
    struct two t = start();
    SAY(&t, "MGET %s %s %s %s %s\r\n", t.b0, t.a0, t.b1, t.a1, t.b0);
    HEARD(&t, t.a, 1, "mget %s %s", t.a0, t.a1);
    HEARD(&t, t.z, 1, "mget %s %s %s", t.b0, t.b1, t.b0);
    node_fake_say(t.a, "*2\r\n$2\r\na0\r\n_\r\n");
    bench_settle(t.b);
    cr_assert(bench_hears(t.c, ""));
    node_fake_say(t.z, "*3\r\n$2\r\nb0\r\n$0\r\n\r\n$2\r\nB0\r\n");
    cr_assert(bench_hears(t.c, "*5\r\n$2\r\nb0\r\n$2\r\na0\r\n$0\r\n\r\n$-1\r\n$2\r\nB0\r\n"));
    cr_assert_eq(bench_stat(t.b, PROXY_STAT_SPLIT), 1);
    stop(&t);
}

Test(gather, keys_of_one_node_go_there_as_they_came) {
    struct two t = start();
    SAY(&t, "MGET %s %s\r\n", t.a0, t.a1);
    HEARD(&t, t.a, 1, "MGET %s %s", t.a0, t.a1);
    cr_assert_eq(bench_stat(t.b, PROXY_STAT_SPLIT), 0);
    node_fake_say(t.a, "*2\r\n_\r\n_\r\n");
    cr_assert(bench_hears(t.c, "*2\r\n$-1\r\n$-1\r\n"));
    stop(&t);
}

Test(gather, counts_are_added_up) {
    struct two t = start();
    SAY(&t, "EXISTS %s %s %s\r\n", t.a0, t.b0, t.a0);
    HEARD(&t, t.a, 1, "exists %s %s", t.a0, t.a0);
    HEARD(&t, t.z, 1, "exists %s", t.b0);
    node_fake_say(t.a, ":2\r\n");
    node_fake_say(t.z, ":1\r\n");
    cr_assert(bench_hears(t.c, ":3\r\n"));
    stop(&t);
}

Test(gather, one_error_makes_the_whole_an_error_never_a_nil) {
    struct two t = start();
    SAY(&t, "MGET %s %s\r\n", t.a0, t.b0);
    HEARD(&t, t.z, 1, "mget %s", t.b0);
    node_fake_say(t.z, "-DBDOWN no\r\n");
    bench_settle(t.b);
    cr_assert(bench_hears(t.c, "")); /* when all have answered */
    HEARD(&t, t.a, 1, "mget %s", t.a0);
    node_fake_say(t.a, "*1\r\n$1\r\na\r\n");
    cr_assert(bench_hears(t.c, "-DBDOWN no\r\n"));
    cr_assert_eq(bench_stat(t.b, PROXY_STAT_ERRORS), 1);
    stop(&t);
}

Test(gather, a_node_that_answers_with_another_number_of_values_makes_it_an_error) {
    static const char *const WRONG[] = {"*0\r\n", "*2\r\n_\r\n_\r\n", "$1\r\nx\r\n", ":1\r\n"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct two t = start();
        SAY(&t, "MGET %s %s\r\n", t.a0, t.b0);
        HEARD(&t, t.a, 1, "mget %s", t.a0);
        HEARD(&t, t.z, 1, "mget %s", t.b0);
        node_fake_say(t.z, WRONG[i]);
        node_fake_say(t.a, "*1\r\n_\r\n");
        cr_assert(bench_hears(t.c, "-ERR internal error\r\n"), "%s", WRONG[i]);
        stop(&t);
    }
}

Test(gather, a_part_whose_node_is_lost_is_asked_elsewhere) {
    struct two t = start();
    SAY(&t, "MGET %s %s\r\n", t.a0, t.b0);
    HEARD(&t, t.a, 1, "mget %s", t.a0);
    HEARD(&t, t.z, 1, "mget %s", t.b0);
    node_fake_refuse(t.z);
    node_fake_reset(t.z);
    HEARD(&t, t.a, 2, "mget %s", t.b0);
    node_fake_say(t.a, "*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n");
    cr_assert(bench_hears(t.c, "*2\r\n$1\r\na\r\n$1\r\nb\r\n"));
    stop(&t);
}

Test(gather, without_any_node_it_says_so_at_once) {
    struct two t = start();
    node_fake_refuse(t.a);
    node_fake_refuse(t.z);
    node_fake_reset(t.a);
    node_fake_reset(t.z);
    cr_assert(BENCH_UNTIL(t.b, bench_stat(t.b, PROXY_STAT_NODE_LOST) == 2));
    SAY(&t, "MGET %s %s\r\nMSET %s 1 %s 2\r\n", t.a0, t.b0, t.a0, t.b0);
    cr_assert(BENCH_UNTIL(t.b, bench_stat(t.b, PROXY_STAT_ERRORS) == 2));
    cr_assert_eq(strncmp(bench_listen(t.c), "-NODEDOWN ", 10), 0);
    stop(&t);
}

/* ---- many values ---- */

Test(gather, a_node_is_asked_for_no_more_values_at_once_than_its_connection_may_hold) {
    struct two t = start_with(8 << 20, 64 << 20); /* three of them make 24 MiB, below 32 */
    SAY(&t, "MGET %s %s %s %s %s %s %s\r\n", t.a0, t.a1, t.a0, t.a1, t.a0, t.b0, t.a1);
    HEARD(&t, t.z, 1, "mget %s", t.b0);
    HEARD(&t, t.a, 1, "mget %s %s %s", t.a0, t.a1, t.a0);
    bench_settle(t.b);
    cr_assert_eq(node_fake_heard(t.a), 1); /* one after the other */
    node_fake_say(t.a, "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    HEARD(&t, t.a, 2, "mget %s %s %s", t.a1, t.a0, t.a1);
    node_fake_say(t.a, "*3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n");
    bench_settle(t.b);
    node_fake_say(t.z, "*1\r\n$1\r\nb\r\n");
    cr_assert(bench_hears(t.c,
                          "*7\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\nb\r\n"
                          "$1\r\n6\r\n"));
    stop(&t);
}

Test(gather, what_one_request_may_bring_together_is_bounded) {
    struct two t = start_with(16 << 20, 2 << 20); /* one value at a time */
    SAY(&t, "MGET %s %s %s %s\r\n", t.a0, t.a1, t.a0, t.a1);
    static char value[40000 + 32];
    int head = snprintf(value, sizeof(value), "*1\r\n$40000\r\n");
    memset(value + head, 'v', 40000);
    memcpy(value + head + 40000, "\r\n", 2);
    t.b->conf.output_bytes_max = 60000;
    for (unsigned i = 1; i <= 2; i++) {
        cr_assert(BENCH_UNTIL(t.b, node_fake_heard(t.a) == i));
        node_fake_say_span(t.a, span_of(value, (size_t)head + 40002));
    }
    cr_assert(bench_hears(t.c, "-OOM out of memory for this request\r\n"));
    bench_settle(t.b);
    cr_assert_eq(node_fake_heard(t.a), 2); /* the others were not asked for any more */
    stop(&t);
}

/* ---- writes (rule 11) ---- */

Test(gather, rule_11_a_write_goes_whole_to_the_owner_of_its_first_key_and_the_others_drop_theirs) {
    struct two t = start();
    SAY(&t, "MSET %s 1 %s 2 %s 3\r\n", t.b0, t.a0, t.b1);
    HEARD(&t, t.z, 1, "MSET %s 1 %s 2 %s 3", t.b0, t.a0, t.b1);
    bench_settle(t.b);
    cr_assert_eq(node_fake_heard(t.a), 0); /* it is not committed */
    node_fake_say(t.z, ">2\r\n+defer\r\n:1\r\n>3\r\n+late\r\n:1\r\n+OK\r\n");
    HEARD(&t, t.a, 1, "RF.DROP %s", t.a0);
    bench_settle(t.b);
    cr_assert(bench_hears(t.c, "")); /* not before they have dropped it */
    node_fake_say(t.a, ":1\r\n");
    cr_assert(bench_hears(t.c, "+OK\r\n"));
    cr_assert_eq(bench_stat(t.b, PROXY_STAT_DROP_FAILED), 0);
    stop(&t);
}

/* MSETNX that did nothing found some key there: what the others think of it may be old. */
Test(gather, rule_11_a_write_that_did_nothing_makes_the_others_drop) {
    struct two t = start();
    SAY(&t, "MSETNX %s 1 %s 2\r\n", t.a0, t.b0);
    HEARD(&t, t.a, 1, "MSETNX %s 1 %s 2", t.a0, t.b0);
    node_fake_say(t.a, ":0\r\n");
    HEARD(&t, t.z, 1, "RF.DROP %s", t.b0);
    bench_settle(t.b);
    cr_assert(bench_hears(t.c, ""));
    node_fake_say(t.z, ":1\r\n");
    cr_assert(bench_hears(t.c, ":0\r\n"));
    stop(&t);
}

Test(gather, rule_11_a_write_that_failed_makes_nobody_drop) {
    struct two t = start();
    SAY(&t, "DEL %s %s\r\n", t.a0, t.b0);
    HEARD(&t, t.a, 1, "DEL %s %s", t.a0, t.b0);
    node_fake_say(t.a, "-DBDOWN no\r\n");
    cr_assert(bench_hears(t.c, "-DBDOWN no\r\n"));
    bench_settle(t.b);
    cr_assert_eq(node_fake_heard(t.z), 0);
    stop(&t);
}

Test(gather, rule_11_a_write_that_may_have_been_done_makes_the_others_drop) {
    struct two t = start();
    SAY(&t, "DEL %s %s\r\n", t.a0, t.b0);
    HEARD(&t, t.a, 1, "DEL %s %s", t.a0, t.b0);
    node_fake_say(t.a, "-UNCERTAIN perhaps\r\n");
    HEARD(&t, t.z, 1, "RF.DROP %s", t.b0);
    node_fake_say(t.z, ":1\r\n");
    cr_assert(bench_hears(t.c, "-UNCERTAIN perhaps\r\n"));
    stop(&t);
}

Test(gather, rule_11_a_write_whose_coordinator_is_lost_is_uncertain_and_the_others_drop) {
    struct two t = start();
    SAY(&t, "DEL %s %s\r\n", t.a0, t.b0);
    HEARD(&t, t.a, 1, "DEL %s %s", t.a0, t.b0);
    node_fake_refuse(t.a);
    node_fake_reset(t.a);
    HEARD(&t, t.z, 1, "RF.DROP %s", t.b0);
    node_fake_say(t.z, ":1\r\n");
    cr_assert(BENCH_UNTIL(t.b, strncmp(bench_listen(t.c), "-UNCERTAIN ", 11) == 0));
    stop(&t);
}

Test(gather, rule_11_an_owner_that_cannot_be_told_is_counted_and_the_reply_is_ok) {
    for (int reset = 0; reset < 2; reset++) {
        struct two t = start();
        SAY(&t, "MSET %s 1 %s 2\r\n", t.a0, t.b0);
        HEARD(&t, t.a, 1, "MSET %s 1 %s 2", t.a0, t.b0);
        node_fake_say(t.a, "+OK\r\n");
        HEARD(&t, t.z, 1, "RF.DROP %s", t.b0);
        if (reset) { /* who stands in for it is told, but that is another cache */
            node_fake_refuse(t.z);
            node_fake_reset(t.z);
            HEARD(&t, t.a, 2, "RF.DROP %s", t.b0);
            node_fake_say(t.a, ":1\r\n");
        } else {
            node_fake_say(t.z, "-ERR no\r\n");
        }
        cr_assert(bench_hears(t.c, "+OK\r\n"));
        cr_assert_eq(bench_stat(t.b, PROXY_STAT_DROP_FAILED), 1);
        stop(&t);
    }
}

Test(gather, rule_11_a_flush_is_done_by_one_node_and_all_drop_everything) {
    struct two t = start();
    SAY(&t, "FLUSHALL\r\n");
    cr_assert(BENCH_UNTIL(t.b, node_fake_heard(t.a) + node_fake_heard(t.z) == 1));
    struct node_fake *first = node_fake_heard(t.a) == 1 ? t.a : t.z,
                     *second = first == t.a ? t.z : t.a;
    cr_assert_str_eq(node_fake_request(first, 0), "FLUSHALL");
    bench_settle(t.b);
    cr_assert_eq(node_fake_heard(second), 0); /* it is not committed */
    node_fake_say(first, "+OK\r\n");
    HEARD(&t, first, 2, "RF.DROPALL");
    HEARD(&t, second, 1, "RF.DROPALL");
    node_fake_say(first, "+OK\r\n");
    bench_settle(t.b);
    cr_assert(bench_hears(t.c, "")); /* not before both have dropped it */
    node_fake_say(second, "+OK\r\n");
    cr_assert(bench_hears(t.c, "+OK\r\n"));
    SAY(&t, "FLUSHDB ASYNC\r\n");
    HEARD(&t, first, 3, "FLUSHDB ASYNC");
    node_fake_say(first, "-ERR no\r\n");
    cr_assert(bench_hears(t.c, "+OK\r\n-ERR no\r\n"));
    bench_settle(t.b);
    cr_assert_eq(node_fake_heard(second), 1);
    stop(&t);
}

Test(gather, a_write_that_came_inline_is_written_anew) { /* the fake takes no other */
    struct two t = start();
    SAY(&t, "MSET %s \"x y\" %s 2\r\n", t.a0, t.b0);
    HEARD(&t, t.a, 1, "MSET %s x y %s 2", t.a0, t.b0);
    node_fake_say(t.a, "-ERR no\r\n");
    cr_assert(bench_hears(t.c, "-ERR no\r\n"));
    stop(&t);
}

/* ---- the client leaves ---- */

Test(gather, goes_on_without_its_client_and_leaves_nothing_behind) {
    static const char *const REQUESTS[] = {"MGET %s %s\r\n", "EXISTS %s %s\r\n", "DEL %s %s\r\n"};
    for (size_t i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++) {
        struct two t = start();
        char text[64];
        snprintf(text, sizeof(text), REQUESTS[i], t.a0, t.b0);
        bench_say(t.c, text);
        cr_assert(BENCH_UNTIL(t.b, node_fake_heard(t.a) == 1));
        bench_client_free(&t.c);
        bench_settle(t.b);
        node_fake_say(t.a, i == 0 ? "*1\r\n_\r\n" : ":1\r\n");
        cr_assert(BENCH_UNTIL(t.b, node_fake_heard(t.z) == 1), "%s", REQUESTS[i]);
        node_fake_say(t.z, i == 0 ? "*1\r\n_\r\n" : ":1\r\n");
        cr_assert(BENCH_UNTIL(t.b, client_list_count(t.b->clients) == 0), "%s", REQUESTS[i]);
        bench_free(&t.b);
    }
}

/* Its memory is used again: nothing of a request may show in the next one. */
Test(gather, what_is_used_again_remembers_nothing) {
    struct two t = start();
    for (unsigned i = 0; i < 6; i += 2) {
        SAY(&t, "MGET %s %s %s %s\r\n", t.a0, t.b0, t.b1, t.a1);
        HEARD(&t, t.a, i + 1, "mget %s %s", t.a0, t.a1);
        HEARD(&t, t.z, i + 1, "mget %s %s", t.b0, t.b1);
        node_fake_say(t.z, "*2\r\n$2\r\nb0\r\n$10\r\nbbbbbbbbbb\r\n");
        node_fake_say(t.a, i == 4 ? "-ERR no\r\n" : "*2\r\n$2\r\na0\r\n_\r\n");
        cr_assert(bench_hears(
            t.c,
            i == 4 ? "-ERR no\r\n" : "*4\r\n$2\r\na0\r\n$2\r\nb0\r\n$10\r\nbbbbbbbbbb\r\n$-1\r\n"));
        bench_forget(t.c);
        SAY(&t, "DEL %s %s\r\n", t.b1, t.a0);
        HEARD(&t, t.z, i + 2, "DEL %s %s", t.b1, t.a0);
        node_fake_say(t.z, ":2\r\n");
        HEARD(&t, t.a, i + 2, "RF.DROP %s", t.a0);
        node_fake_say(t.a, ":1\r\n");
        cr_assert(bench_hears(t.c, ":2\r\n"));
        bench_forget(t.c);
    }
    stop(&t);
}

/* The limit is one of replies: what is to be said to others is no longer than the request. */
Test(gather, a_write_may_be_longer_than_all_output_that_may_wait) {
    struct two t = start_with(1 << 20, 16);
    SAY(&t, "DEL %s %s %s\r\n", t.a0, t.b0, t.b1);
    HEARD(&t, t.a, 1, "DEL %s %s %s", t.a0, t.b0, t.b1);
    node_fake_say(t.a, ":3\r\n");
    HEARD(&t, t.z, 1, "RF.DROP %s %s", t.b0, t.b1);
    node_fake_say(t.z, ":2\r\n");
    cr_assert(bench_hears(t.c, ":3\r\n"));
    stop(&t);
}

Test(gather, a_value_is_no_key) {
    struct two t = start();
    SAY(&t, "MSET %s %s %s 1\r\n", t.a0, t.b0, t.a1);
    HEARD(&t, t.a, 1, "MSET %s %s %s 1", t.a0, t.b0, t.a1);
    cr_assert_eq(bench_stat(t.b, PROXY_STAT_SPLIT), 0);
    stop(&t);
}
