// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/conn.h"
#include "../../proxy/client.h"
#include "../fakes/bench.h"

/* `fmt` with one key in it. */
static void say(struct bench_client *c, const char *fmt, const char *key) {
    char text[256];
    snprintf(text, sizeof(text), fmt, key);
    bench_say(c, text);
}

/* A value of `len` bytes as a node's reply. */
static void say_big(struct node_fake *node, size_t len) {
    char head[32];
    snprintf(head, sizeof(head), "$%zu\r\n", len);
    char *body = malloc(len + 2);
    memset(body, 'v', len);
    memcpy(body + len, "\r\n", 2);
    node_fake_say(node, head);
    node_fake_say_span(node, span_of(body, len + 2));
    free(body);
}

/* ---- requests and replies ---- */

Test(client, replies_leave_in_the_order_of_the_requests) {
    struct bench *b = bench_start(2);
    struct bench_client *c = bench_client_new(b);
    say(c, "GET %s\r\n", bench_key(b, 0, 0));
    say(c, "GET %s\r\n", bench_key(b, 1, 0));
    say(c, "GET %s\r\n", bench_key(b, 0, 1));
    BENCH_HEARD(b, 0, 2);
    BENCH_HEARD(b, 1, 1);
    node_fake_say(b->nodes[1], "$3\r\ntwo\r\n");
    bench_settle(b);
    cr_assert(bench_hears(c, "")); /* it is the second's turn later */
    node_fake_say(b->nodes[0], "$3\r\none\r\n");
    cr_assert(bench_hears(c, "$3\r\none\r\n$3\r\ntwo\r\n"));
    node_fake_say(b->nodes[0], "$5\r\nthree\r\n");
    cr_assert(bench_hears(c, "$3\r\none\r\n$3\r\ntwo\r\n$5\r\nthree\r\n"));
    bench_stop(b, c);
}

/* Turns from the answer to the first of two requests until the client has it. */
static int turns_until_heard(struct bench *b, struct bench_client *c) {
    int turns = 0;
    BENCH_HEARD(b, 0, 2);
    bench_settle(b);
    node_fake_say(b->nodes[0], "$3\r\none\r\n");
    while (bench_listen(c)[0] == '\0' && turns < 1000) {
        bench_turn(b);
        turns++;
    }
    cr_assert_str_eq(c->heard, "$3\r\none\r\n");
    node_fake_say(b->nodes[0], "$3\r\ntwo\r\n");
    cr_assert(bench_hears(c, "$3\r\none\r\n$3\r\ntwo\r\n"));
    node_fake_forget(b->nodes[0]);
    bench_forget(c);
    return turns;
}

Test(client, in_a_crowd_replies_to_what_came_together_wait_one_turn_for_each_other) {
    static const uint32_t waiting = 1;
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\nGET b\r\n");
    int alone = turns_until_heard(b, c);
    conn_loop_pace(b->env.loop, 1, 1, &waiting);
    bench_settle(b);
    bench_say(c, "GET a\r\nGET b\r\n");
    cr_assert_gt(turns_until_heard(b, c), alone);
    bench_say(c, "GET a\r\n");
    BENCH_HEARD(b, 0, 1);
    usleep(1000); /* another moment, as the clock tells them */
    bench_say(c, "GET b\r\n");
    cr_assert_eq(turns_until_heard(b, c), alone, "each was asked by itself");
    bench_stop(b, c);
}

Test(client, requests_may_come_byte_by_byte) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    static const char REQUESTS[] =
        "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$0\r\n\r\n";
    for (size_t i = 0; i < sizeof(REQUESTS) - 1; i++) {
        bench_say_span(c, span_of(REQUESTS + i, 1));
        bench_turn(b);
    }
    BENCH_HEARD(b, 0, 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], 0), "GET a");
    cr_assert_str_eq(node_fake_request(b->nodes[0], 1), "SET b ");
    node_fake_say(b->nodes[0], "_\r\n+OK\r\n");
    cr_assert(bench_hears(c, "$-1\r\n+OK\r\n"));
    bench_stop(b, c);
}

Test(client, a_null_is_written_as_the_client_speaks) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\nMGET a b\r\n");
    BENCH_HEARD(b, 0, 2);
    node_fake_say(b->nodes[0], "_\r\n*2\r\n_\r\n$1\r\nx\r\n");
    cr_assert(bench_hears(c, "$-1\r\n*2\r\n$-1\r\n$1\r\nx\r\n"));
    bench_say(c, "HELLO 3\r\nGET a\r\n");
    BENCH_HEARD(b, 0, 3);
    bench_forget(c);
    node_fake_say(b->nodes[0], "_\r\n");
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), "\r\n_\r\n") != NULL));
    bench_stop(b, c);
}

Test(client, what_the_proxy_answers_itself_takes_its_turn) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\nPING\r\nNOSUCH x\r\nGET\r\nECHO hi\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_settle(b);
    cr_assert(bench_hears(c, ""));
    node_fake_say(b->nodes[0], "$1\r\na\r\n");
    cr_assert(bench_hears(c, "$1\r\na\r\n+PONG\r\n"
                             "-ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n"
                             "-ERR wrong number of arguments for 'get' command\r\n$2\r\nhi\r\n"));
    cr_assert_eq(bench_stat(b, PROXY_STAT_ERRORS), 2);
    bench_stop(b, c);
}

Test(client, the_commands_between_proxy_and_node_are_unknown_to_it) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "RF.DROP a\r\n");
    cr_assert(bench_hears(c, "-ERR unknown command 'RF.DROP', with args beginning with: 'a' \r\n"));
    bench_stop(b, c);
}

/* ---- program order (rule 5) ---- */

/* `second` waits for `first`, or not. Both are of one node. */
static void order(const char *first, const char *second, bool waits) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    char text[256];
    snprintf(text, sizeof(text), "%s\r\n%s\r\n", first, second);
    bench_say(c, text);
    BENCH_HEARD(b, 0, 1);
    if (waits) {
        bench_settle(b);
        cr_assert_eq(node_fake_heard(b->nodes[0]), 1, "%s did not wait for %s", second, first);
        cr_assert_eq(bench_stat(b, PROXY_STAT_WAITED), 1);
        node_fake_say(b->nodes[0], ">2\r\n+defer\r\n:1\r\n"); /* that is no answer yet */
        bench_settle(b);
        cr_assert_eq(node_fake_heard(b->nodes[0]), 1, "%s did not wait for %s", second, first);
        node_fake_say(b->nodes[0], ">3\r\n+late\r\n:1\r\n:1\r\n");
    }
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 2), "%s waited for %s", second, first);
    bench_stop(b, c);
}

Test(client, rule_5_a_request_waits_for_an_earlier_one_of_its_key_if_one_of_them_writes) {
    order("SET a 1", "GET a", true);
    order("GET a", "SET a 1", true);
    order("SET a 1", "SET a 2", true);
    order("DEL a", "GET a", true);
    order("GETDEL a", "EXISTS a", true);
    order("SET {a}x 1", "GET {a}y", true); /* one place on the ring is as good as one key */
}

Test(client, rule_5_reads_and_other_keys_do_not_wait) {
    order("GET a", "GET a", false);
    order("GET a", "SET b 1", false);
    order("SET a 1", "GET b", false);
    order("SET a 1", "SET b 1", false);
    order("MGET a b", "GET a", false);
    order("DBSIZE", "GET a", false);
}

Test(client, rule_5_several_keys_wait_for_whatever_could_matter) {
    order("SET a 1", "MGET a b", true);
    order("MGET a b", "SET a 1", true);
    order("SET x 1", "MSET a 1 b 2", true);
    order("GET x", "MSET a 1 b 2", true);
    order("MSET a 1 b 2", "GET a", true);
    order("DEL a b", "MGET a b", true);
}

Test(client, rule_5_a_count_of_all_keys_is_a_read_of_each) {
    order("SET a 1", "DBSIZE", true);
    order("DBSIZE", "SET a 1", true);
}

Test(client, rule_5_is_about_one_client_alone) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b), *d = bench_client_new(b);
    bench_say(c, "SET a 1\r\nGET a\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_say(d, "GET a\r\n");
    BENCH_HEARD(b, 0, 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], 1), "GET a");
    bench_client_free(&d);
    bench_stop(b, c);
}

Test(client, rule_5_holds_across_a_ring_swap) {
    struct bench *b = bench_start(2);
    struct bench_client *c = bench_client_new(b);
    const char *key = bench_key(b, 0, 0);
    say(c, "SET %s 1\r\n", key);
    say(c, "SET %s 2\r\n", key);
    say(c, "GET %s\r\n", key);
    BENCH_HEARD(b, 0, 1);
    bench_swap(b, 2); /* node 1 alone owns everything now */
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[1]), 0);
    node_fake_say(b->nodes[0], "+OK\r\n");
    BENCH_HEARD(b, 1, 1);
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[1]), 1);
    node_fake_say(b->nodes[1], "+OK\r\n");
    BENCH_HEARD(b, 1, 2);
    node_fake_say(b->nodes[1], "$1\r\n2\r\n");
    cr_assert(bench_hears(c, "+OK\r\n+OK\r\n$1\r\n2\r\n"));
    bench_stop(b, c);
}

/* ---- leaving ---- */

Test(client, half_closed_it_is_answered_to_the_end) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "SET a 1\r\nGET a\r\nPING\r\n"); /* the GET waits for the SET */
    shutdown(c->fd, SHUT_WR);
    BENCH_HEARD(b, 0, 1);
    bench_settle(b);
    node_fake_say(b->nodes[0], "+OK\r\n");
    BENCH_HEARD(b, 0, 2);
    node_fake_say(b->nodes[0], "$1\r\n1\r\n");
    cr_assert(bench_hears(c, "+OK\r\n$1\r\n1\r\n+PONG\r\n"));
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)));
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    bench_stop(b, c);
}

Test(client, half_closed_it_gets_what_its_socket_did_not_take_at_once) {
    enum { SIZE = 4 << 20 };
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\n");
    BENCH_HEARD(b, 0, 1);
    int room = SIZE + 4096; /* the node's end must take it at once */
    (void)room;
    char *value = malloc(SIZE);
    memset(value, 'v', SIZE);
    node_fake_say(b->nodes[0], "$4194304\r\n");
    for (size_t at = 0; at < SIZE; at += 65536) {
        node_fake_say_span(b->nodes[0], span_of(value + at, 65536));
        bench_turn(b);
    }
    free(value);
    node_fake_say(b->nodes[0], "\r\n");
    bench_settle(b); /* answered, and most of it not sent */
    shutdown(c->fd, SHUT_WR);
    bench_settle(b);
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)));
    cr_assert_eq(c->len, 10 + SIZE + 2);
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    bench_stop(b, c);
}

Test(client, quit_is_answered_in_its_turn_and_is_the_last) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\nQUIT\r\nGET b\r\nPING\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 1);
    node_fake_say(b->nodes[0], "$1\r\na\r\n");
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "$1\r\na\r\n+OK\r\n");
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    bench_stop(b, c);
}

Test(client, a_protocol_error_is_answered_in_its_turn_and_ends_it) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\n*1\r\n:5\r\nGET b\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_settle(b);
    node_fake_say(b->nodes[0], "$1\r\na\r\n");
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "$1\r\na\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    cr_assert_eq(node_fake_heard(b->nodes[0]), 1);
    cr_assert_eq(bench_stat(b, PROXY_STAT_PROTOCOL_ERRORS), 1);
    bench_stop(b, c);
}

Test(client, a_browser_is_turned_away) {
    static const char *const REQUESTS[] = {"POST / HTTP/1.1\r\nSET a 1\r\n",
                                           "GET / HTTP/1.1\r\nSET a 1\r\n",
                                           "Host: x\r\nSET a 1\r\n"};
    for (size_t i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++) {
        struct bench *b = bench_start(1);
        struct bench_client *c = bench_client_new(b);
        bench_say(c, REQUESTS[i]);
        cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)), "%s", REQUESTS[i]);
        cr_assert_str_eq(c->heard, "-ERR Protocol error: this is no HTTP server\r\n");
        cr_assert_eq(node_fake_heard(b->nodes[0]), 0);
        bench_stop(b, c);
    }
}

static void answer_whatever(void *ctx, struct node_fake *node, const struct span *argv,
                            uint32_t argc) {
    node_fake_say(node, "-ERR whatever\r\n");
}

/* It leaves after so many turns, with requests everywhere on their way. */
static void leaves_after(int turns, bool by_reset) {
    struct bench *b = bench_start(2);
    struct bench_client *c = bench_client_new(b), *other = bench_client_new(b);
    say(c, "GET %s\r\n", bench_key(b, 0, 0));
    say(c, "SET %s 1\r\n", bench_key(b, 1, 0));
    say(c, "PING\r\nSET %s 2\r\n", bench_key(b, 1, 0));
    say(c, "MGET %s k0 k1 k2 k3 k4\r\n", bench_key(b, 0, 1));
    for (int i = 0; i < turns; i++)
        bench_turn(b);
    if (by_reset) { /* what it has heard and not read makes it one */
        bench_client_free(&c);
    } else {
        bench_listen(c);
        bench_client_free(&c);
    }
    bench_settle(b);
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned i = 0; i < node_fake_heard(b->nodes[n]); i++)
            node_fake_say(b->nodes[n], "-ERR whatever\r\n");
        node_fake_serve(b->nodes[n], answer_whatever, NULL);
    }
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 1), "after %d turns", turns);
    for (unsigned n = 0; n < 2; n++) {
        node_fake_serve(b->nodes[n], NULL, NULL);
        node_fake_forget(b->nodes[n]);
        say(other, "GET %s\r\n", bench_key(b, n, 0));
    }
    for (unsigned n = 0; n < 2; n++) {
        BENCH_HEARD(b, n, 1);
        node_fake_say(b->nodes[n], "$2\r\nok\r\n");
    }
    cr_assert(bench_hears(other, "$2\r\nok\r\n$2\r\nok\r\n"), "after %d turns", turns);
    cr_assert_eq(*client_list_waiting(b->clients), 0u, "after %d turns", turns);
    bench_stop(b, other);
}

Test(client, may_leave_at_any_moment_and_nobody_gets_its_replies) {
    for (int turns = 0; turns < 12; turns++) {
        leaves_after(turns, false);
        leaves_after(turns, true);
    }
}

Test(client, one_that_left_is_counted_until_nodes_have_answered_it) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_client_free(&c);
    bench_settle(b);
    cr_assert_eq(client_list_count(b->clients), 1);
    node_fake_say(b->nodes[0], "$1\r\na\r\n");
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    cr_assert_eq(bench_stat(b, PROXY_STAT_CLIENTS), 0);
    cr_assert_eq(bench_stat(b, PROXY_STAT_CONNECTIONS), 1);
    bench_free(&b);
}

/* ---- limits ---- */

Test(client, is_counted_as_waiting_once_while_it_is_owed_a_reply) {
    struct bench *b = bench_start(1);
    const uint32_t *waiting = client_list_waiting(b->clients);
    struct bench_client *c = bench_client_new(b), *d = bench_client_new(b);
    cr_assert_eq(*waiting, 0u);
    bench_say(c, "GET a\r\nGET b\r\nPING\r\n");
    BENCH_HEARD(b, 0, 2);
    cr_assert_eq(*waiting, 1u);
    bench_say(d, "GET c\r\n");
    BENCH_HEARD(b, 0, 3);
    cr_assert_eq(*waiting, 2u);
    node_fake_say(b->nodes[0], "$1\r\n1\r\n");
    cr_assert(bench_hears(c, "$1\r\n1\r\n"));
    cr_assert_eq(*waiting, 2u, "it still waits for its second");
    bench_client_free(&d); /* half closed, it is answered to the end */
    bench_settle(b);
    cr_assert_eq(*waiting, 2u);
    node_fake_say(b->nodes[0], "$1\r\n2\r\n$1\r\n3\r\n");
    cr_assert(bench_hears(c, "$1\r\n1\r\n$1\r\n2\r\n+PONG\r\n"));
    cr_assert_eq(*waiting, 0u);
    bench_stop(b, c);
}

/* A request's hash may be known from the one before: of the same shape, or nearly. */
Test(client, each_request_of_a_pipeline_goes_to_the_owner_of_its_own_key) {
    static const char *const SHAPES[] = {"*2\r\n$3\r\nGET\r\n$4\r\nk%u\r\n",
                                         "*2\r\n$3\r\nget\r\n$4\r\nj%u\r\n",
                                         "*2\r\n$6\r\nEXISTS\r\n$5\r\nkk%u\r\n"};
    enum { REQUESTS = 60 };
    struct bench *b = bench_start(2);
    struct bench_client *c = bench_client_new(b);
    char text[REQUESTS * 48];
    size_t len = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        const char *shape = SHAPES[i % 7 == 5 ? 1 : i % 7 == 6 ? 2 : 0];
        len += (size_t)snprintf(text + len, sizeof(text) - len, shape, 100 + i);
    }
    bench_say(c, text);
    cr_assert(
        BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) + node_fake_heard(b->nodes[1]) == REQUESTS));
    for (unsigned node = 0; node < 2; node++) {
        cr_assert_gt(node_fake_heard(b->nodes[node]), REQUESTS / 10);
        for (unsigned n = 0; n < node_fake_heard(b->nodes[node]); n++) {
            const char *request = node_fake_request(b->nodes[node], n);
            cr_assert_eq(bench_owner(b, strchr(request, ' ') + 1), node, "%s", request);
        }
    }
    bench_client_free(&c);
    bench_free(&b);
}

Test(client, no_more_than_pipeline_max_requests_wait_at_nodes) {
    struct bench *b = bench_new(1);
    b->conf.pipeline_max = 10;
    b->conf.request_timeout_ms = 600000;
    bench_up(b);
    struct bench_client *c = bench_client_new(b);
    for (int i = 0; i < 25; i++)
        bench_say(c, "GET a\r\n");
    BENCH_HEARD(b, 0, 10);
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 10);
    for (int i = 0; i < 25; i++) {
        BENCH_HEARD(b, 0, (unsigned)i + 1);
        node_fake_say(b->nodes[0], ":1\r\n");
    }
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->len == 25 * 4)));
    bench_stop(b, c);
}

Test(client, what_the_proxy_answers_itself_counts_for_pipeline_max_too) {
    struct bench *b = bench_new(1);
    b->conf.pipeline_max = 10;
    b->conf.request_timeout_ms = 600000;
    bench_up(b);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\n");
    for (int i = 0; i < 100; i++)
        bench_say(c, "PING\r\nNOSUCH\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_settle(b);
    cr_assert_leq(bench_stat(b, PROXY_STAT_COMMANDS), 10);
    node_fake_say(b->nodes[0], ":1\r\n");
    cr_assert(BENCH_UNTIL(b, bench_stat(b, PROXY_STAT_COMMANDS) == 201));
    bench_stop(b, c);
}

Test(client, one_that_does_not_read_is_not_read_from) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    for (int i = 0; i < 100; i++)
        bench_say(c, "GET a\r\n");
    unsigned answered = 0;
    while (answered < node_fake_heard(b->nodes[0]) || answered == 0) {
        BENCH_HEARD(b, 0, answered + 1);
        say_big(b->nodes[0], 60000);
        answered++;
        bench_settle(b);
        if (answered == 100)
            break;
    }
    cr_assert_eq(answered, 100); /* they were sent before anything had been answered */
    char pings[300 * 6 + 1] = "";
    for (int i = 0; i < 300; i++)
        memcpy(pings + (size_t)i * 6, "PING\r\n", 7);
    bench_say(c, pings);
    bench_settle(b);
    cr_assert_leq(bench_stat(b, PROXY_STAT_COMMANDS), 101);
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), bench_stat(b, PROXY_STAT_COMMANDS) == 400)));
    bench_stop(b, c);
}

Test(client, one_whose_replies_exceed_output_bytes_max_is_closed) {
    struct bench *b = bench_new(1);
    b->conf.output_bytes_max = 2 << 20;
    b->conf.request_timeout_ms = 600000;
    bench_up(b);
    struct bench_client *c = bench_client_new(b);
    for (int i = 0; i < 100; i++)
        bench_say(c, "GET a\r\n");
    BENCH_HEARD(b, 0, 100);
    for (int i = 0; i < 100; i++) {
        say_big(b->nodes[0], 60000);
        bench_settle(b);
    }
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    cr_assert_eq(bench_stat(b, PROXY_STAT_CLIENTS_OVERFLOWED), 1);
    bench_stop(b, c);
}

/* The first of its requests is not answered, the others are: what waits is bounded all the same. */
Test(client, replies_that_wait_for_their_turn_count_for_output_bytes_max) {
    struct bench *b = bench_new(2);
    b->conf.output_bytes_max = 2 << 20;
    b->conf.request_timeout_ms = 600000;
    bench_up(b);
    struct bench_client *c = bench_client_new(b);
    say(c, "GET %s\r\n", bench_key(b, 0, 0));
    for (int i = 0; i < 100; i++)
        say(c, "GET %s\r\n", bench_key(b, 1, 0));
    BENCH_HEARD(b, 1, 100);
    for (int i = 0; i < 100; i++) {
        say_big(b->nodes[1], 60000);
        bench_settle(b);
    }
    BENCH_HEARD(b, 0, 1);
    cr_assert(BENCH_UNTIL(b, bench_stat(b, PROXY_STAT_CLIENTS_OVERFLOWED) == 1));
    cr_assert_eq(bench_listen(c)[0], '\0');
    node_fake_say(b->nodes[0], "_\r\n");
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    bench_stop(b, c);
}

/* ---- time ---- */

enum { SECOND_US = 1000000 };

Test(client, one_that_asks_for_nothing_is_closed_after_client_idle_s) {
    struct bench *b = bench_start(1);
    b->conf.client_idle_s = 5;
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "PING\r\n");
    cr_assert(bench_hears(c, "+PONG\r\n"));
    int64_t now_us = bench_now_ms() * 1000;
    client_list_tick(b->clients, now_us + 4 * SECOND_US);
    bench_settle(b);
    cr_assert_eq(client_list_count(b->clients), 1);
    client_list_tick(b->clients, now_us + 7 * SECOND_US);
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    bench_stop(b, c);
}

Test(client, one_that_waits_for_an_answer_is_not_idle) {
    struct bench *b = bench_start(1);
    b->conf.client_idle_s = 5;
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\n");
    BENCH_HEARD(b, 0, 1);
    client_list_tick(b->clients, bench_now_ms() * 1000 + 60 * SECOND_US);
    node_fake_say(b->nodes[0], "$1\r\na\r\n");
    cr_assert(bench_hears(c, "$1\r\na\r\n"));
    cr_assert_eq(client_list_count(b->clients), 1);
    bench_stop(b, c);
}

Test(client, one_that_does_not_take_its_last_replies_is_not_waited_for) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    for (int i = 0; i < 40; i++)
        bench_say(c, "GET a\r\n");
    bench_say(c, "QUIT\r\n");
    BENCH_HEARD(b, 0, 40);
    for (int i = 0; i < 40; i++) {
        say_big(b->nodes[0], 60000);
        bench_settle(b);
    }
    int64_t now_us = bench_now_ms() * 1000;
    client_list_tick(b->clients, now_us + 5 * SECOND_US);
    bench_settle(b);
    cr_assert_eq(client_list_count(b->clients), 1);
    client_list_tick(b->clients, now_us + 30 * SECOND_US);
    client_list_tick(b->clients, now_us + 60 * SECOND_US);
    cr_assert_eq(client_list_count(b->clients), 0);
    bench_stop(b, c);
}

/* ---- draining ---- */

static void drain(struct bench *b) {
    client_list_drain(b->clients, bench_now_ms() * 1000);
}

Test(client, drained_it_is_closed_right_behind_its_reply) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\n");
    BENCH_HEARD(b, 0, 1);
    drain(b);
    bench_settle(b);
    node_fake_say(b->nodes[0], "$1\r\na\r\n");
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "$1\r\na\r\n");
    bench_stop(b, c);
}

Test(client, drained_it_is_answered_whatever_it_has_sent) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "SET a 1\r\nGET a\r\n"); /* the GET waits for the SET */
    BENCH_HEARD(b, 0, 1);
    drain(b);
    node_fake_say(b->nodes[0], "+OK\r\n");
    BENCH_HEARD(b, 0, 2);
    bench_say(c, "GE"); /* half a request is on its way */
    bench_settle(b);
    node_fake_say(b->nodes[0], "$1\r\n1\r\n");
    bench_settle(b);
    bench_say(c, "T b\r\n");
    BENCH_HEARD(b, 0, 3);
    node_fake_say(b->nodes[0], "$1\r\nb\r\n");
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "+OK\r\n$1\r\n1\r\n$1\r\nb\r\n");
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    bench_stop(b, c);
}

Test(client, drained_it_may_ask_once_more_and_is_closed_when_it_does_not) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b), *idle = bench_client_new(b);
    bench_say(c, "PING\r\n");
    bench_say(idle, "PING\r\n");
    cr_assert(bench_hears(c, "+PONG\r\n"));
    cr_assert(bench_hears(idle, "+PONG\r\n"));
    drain(b);
    client_list_tick(b->clients, bench_now_ms() * 1000);
    bench_settle(b);
    cr_assert_eq(client_list_count(b->clients), 2); /* what they send now is on its way perhaps */
    bench_say(c, "PING\r\n");
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "+PONG\r\n+PONG\r\n");
    client_list_tick(b->clients, bench_now_ms() * 1000 + SECOND_US);
    cr_assert(BENCH_UNTIL(b, (bench_listen(idle), idle->eof)));
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    bench_client_free(&idle);
    bench_stop(b, c);
}

Test(client, one_that_comes_while_draining_is_answered_too) {
    struct bench *b = bench_start(1);
    drain(b);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "PING\r\n");
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->eof)));
    cr_assert_str_eq(c->heard, "+PONG\r\n");
    bench_stop(b, c);
}
