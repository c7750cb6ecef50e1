// needs: fakes/bench.c fakes/node_fake.c fakes/upstream_bench.c
#include <criterion/criterion.h>
#include <event2/dns.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/buf.h"
#include "../../proxy/tracking.h"
#include "../fakes/upstream_bench.h"

#define END(t) cr_assert(upstream_bench_free(&(t)))

enum { BIG = 24 << 20 /* more than a loopback socket takes */ };

static bool heard(struct upstream_bench *t, unsigned count) {
    return UPSTREAM_UNTIL(t, node_fake_heard(t->node) >= count);
}

/* ---- answers by position ---- */

Test(upstream, replies_reach_their_requests_by_position) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "GET b"),
                 *c = upstream_bench_ask(t, "SET c 1");
    cr_assert(heard(t, 3));
    node_fake_say(t->node, "$1\r\n1\r\n$1\r\n2\r\n+OK\r\n");
    cr_assert(UPSTREAM_UNTIL(t, c->answered == 1));
    cr_assert_str_eq(a->reply, "$1\r\n1\r\n");
    cr_assert_str_eq(b->reply, "$1\r\n2\r\n");
    cr_assert_str_eq(c->reply, "+OK\r\n");
    cr_assert(upstream_idle(t->u));
    END(t);
}

Test(upstream, replies_may_come_byte_by_byte) {
    static const char REPLIES[] = "$3\r\nabc\r\n*2\r\n$1\r\nx\r\n_\r\n-ERR no\r\n";
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "GET b"),
                 *c = upstream_bench_ask(t, "GET c");
    cr_assert(heard(t, 3));
    for (size_t i = 0; i < sizeof(REPLIES) - 1; i++) {
        node_fake_say_span(t->node, span_of(REPLIES + i, 1));
        upstream_bench_turn(t);
    }
    cr_assert(UPSTREAM_UNTIL(t, c->answered == 1));
    cr_assert_str_eq(a->reply, "$3\r\nabc\r\n");
    cr_assert_str_eq(b->reply, "*2\r\n$1\r\nx\r\n_\r\n");
    cr_assert_str_eq(c->reply, "-ERR no\r\n");
    END(t);
}

Test(upstream, all_requests_of_a_turn_leave_after_the_link_was_asked_for) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_connect(t, NULL); /* not connected yet, but usable */
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert_not_null(a);
    cr_assert(heard(t, 1));
    cr_assert_eq(node_fake_links(t->node), 1);
    node_fake_say(t->node, "_\r\n");
    cr_assert(UPSTREAM_UNTIL(t, a->answered == 1));
    END(t);
}

/* ---- late answers ---- */

Test(upstream, a_deferred_request_is_answered_by_its_id_and_holds_up_nobody) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1"),
                 *c = upstream_bench_ask(t, "GET c");
    cr_assert(heard(t, 3));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:2\r\n$1\r\nc\r\n");
    cr_assert(UPSTREAM_UNTIL(t, c->answered == 1));
    cr_assert_eq(a->answered + b->answered, 0);
    cr_assert_eq(upstream_inflight(t->u), 2);
    node_fake_say(t->node, ">3\r\n+late\r\n:2\r\n+OK\r\n>3\r\n+late\r\n:1\r\n$1\r\na\r\n");
    cr_assert(UPSTREAM_UNTIL(t, a->answered == 1));
    cr_assert_str_eq(a->reply, "$1\r\na\r\n");
    cr_assert_str_eq(b->reply, "+OK\r\n");
    cr_assert_lt(b->order, a->order);
    cr_assert(upstream_idle(t->u));
    END(t);
}

Test(upstream, a_late_answer_is_taken_once) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "GET b");
    cr_assert(heard(t, 2));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n>3\r\n+late\r\n:1\r\n$1\r\n1\r\n"
                           ">3\r\n+late\r\n:1\r\n$1\r\n2\r\n$1\r\nb\r\n");
    cr_assert(UPSTREAM_UNTIL(t, b->answered == 1));
    cr_assert_str_eq(a->reply, "$1\r\n1\r\n");
    cr_assert_str_eq(b->reply, "$1\r\nb\r\n");
    END(t);
}

/* What a node must not say: then nothing of that connection can be trusted, and every request comes
 * back, none is forgotten. */
static void closes_at(const char *text, unsigned answered_before) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1");
    cr_assert(heard(t, 2));
    node_fake_say(t->node, text);
    cr_assert(UPSTREAM_UNTIL(t, a->lost + a->answered + b->lost + b->answered == 2), "%s", text);
    cr_assert_eq(a->answered + b->answered, answered_before, "%s", text);
    cr_assert_not(upstream_connected(t->u), "%s", text);
    cr_assert(UPSTREAM_UNTIL(t, upstream_connected(t->u))); /* and it comes back by itself */
    cr_assert(upstream_bench_free(&t), "%s", text);
}

Test(upstream, a_wrong_id_closes_the_connection_and_forgets_no_request) {
    closes_at(">2\r\n+defer\r\n:2\r\n", 0);
    closes_at(">2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:1\r\n", 0);
    closes_at(">3\r\n+late\r\n:1\r\n$1\r\nx\r\n", 0);
    closes_at(">2\r\n+defer\r\n:1\r\n>3\r\n+late\r\n:2\r\n$1\r\nx\r\n", 0);
}

Test(upstream, an_answer_that_nobody_asked_for_closes_the_connection) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    node_fake_say(t->node, "+OK\r\n");
    cr_assert(UPSTREAM_UNTIL(t, !upstream_connected(t->u)));
    cr_assert(UPSTREAM_UNTIL(t, node_fake_links(t->node) == 2));
    struct asked *a = upstream_bench_ask(t, "GET a"), *b;
    cr_assert(UPSTREAM_UNTIL(t, upstream_connected(t->u)));
    a = a != NULL ? a : upstream_bench_ask(t, "GET a");
    cr_assert(heard(t, 1));
    node_fake_say(t->node, "_\r\n>2\r\n+defer\r\n:1\r\n");
    cr_assert(UPSTREAM_UNTIL(t, a->answered == 1 && !upstream_connected(t->u)));
    b = upstream_bench_ask(t, "GET b");
    cr_assert_null(b);
    END(t);
}

Test(upstream, bytes_that_are_not_resp_close_the_connection) {
    closes_at("SSH-2.0-OpenSSH\r\n", 0);
    closes_at("_\r\n\r\n", 1);
}

Test(upstream, a_push_of_another_kind_is_not_for_us) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert(heard(t, 1));
    node_fake_say(t->node, ">2\r\n+moving\r\n:1\r\n$1\r\na\r\n");
    cr_assert(UPSTREAM_UNTIL(t, a->answered == 1));
    cr_assert(upstream_connected(t->u));
    END(t);
}

/* A node refuses a request whose end it has not read: that is no answer that can be matched. */
Test(upstream, an_answer_before_the_request_was_sent_closes_the_connection) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    node_fake_hang(t->node, true);
    struct asked *a = upstream_bench_ask_big(t, true, BIG);
    for (int i = 0; i < 20; i++)
        upstream_bench_turn(t);
    node_fake_say(t->node, "-ERR Protocol error: invalid bulk length\r\n");
    cr_assert(UPSTREAM_UNTIL(t, a->answered + a->lost == 1));
    cr_assert_eq(a->lost, 1);
    cr_assert_eq(a->why, UPSTREAM_LOST_SENT);
    END(t);
}

/* ---- losing the connection ---- */

Test(upstream, a_lost_connection_tells_what_was_sent_from_what_was_not) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert(heard(t, 1));
    node_fake_hang(t->node, true);
    struct asked *big = upstream_bench_ask_big(t, true, BIG); /* its first bytes leave */
    for (int i = 0; i < 20; i++)
        upstream_bench_turn(t);
    struct asked *c = upstream_bench_ask(t, "GET c"), *d = upstream_bench_ask(t, "SET d 1");
    upstream_bench_turn(t);
    node_fake_reset(t->node);
    cr_assert(UPSTREAM_UNTIL(t, d->lost == 1));
    cr_assert_eq(a->why, UPSTREAM_LOST_SENT);
    cr_assert(a->bytes_same); /* so that a read can be asked elsewhere */
    cr_assert_eq(big->why, UPSTREAM_LOST_SENT);
    cr_assert_eq(c->why, UPSTREAM_LOST_UNSENT);
    cr_assert_eq(d->why, UPSTREAM_LOST_UNSENT);
    cr_assert(c->bytes_same && d->bytes_same);
    cr_assert(a->order < big->order && big->order < c->order && c->order < d->order);
    END(t);
}

Test(upstream, requests_for_a_node_that_refuses_come_back_unsent) {
    struct upstream_bench *t = upstream_bench_new();
    node_fake_refuse(t->node);
    upstream_bench_connect(t, NULL);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1");
    cr_assert(UPSTREAM_UNTIL(t, b->lost == 1));
    cr_assert_eq(a->why, UPSTREAM_LOST_UNSENT);
    cr_assert_eq(b->why, UPSTREAM_LOST_UNSENT);
    cr_assert(a->bytes_same && b->bytes_same);
    cr_assert_not(upstream_usable(t->u));
    END(t);
}

Test(upstream, a_deferred_read_comes_back_with_its_bytes) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1");
    cr_assert(heard(t, 2));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:2\r\n");
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_LATE) == 2));
    node_fake_reset(t->node);
    cr_assert(UPSTREAM_UNTIL(t, b->lost == 1));
    cr_assert_eq(a->why, UPSTREAM_LOST_SENT);
    cr_assert(a->bytes_same);
    cr_assert_eq(b->why, UPSTREAM_LOST_SENT);
    cr_assert_eq(b->bytes_len, 0);
    END(t);
}

Test(upstream, freeing_it_hands_everything_back) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1");
    cr_assert(heard(t, 2));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n");
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_LATE) == 1));
    upstream_free(&t->u);
    cr_assert_eq(a->lost, 1);
    cr_assert_eq(b->lost, 1);
    cr_assert_null(t->u);
    END(t);
}

Test(upstream, ids_begin_anew_with_each_connection) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert(heard(t, 1));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n");
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_LATE) == 1));
    node_fake_reset(t->node);
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1 && upstream_connected(t->u)));
    struct asked *b = upstream_bench_ask(t, "GET b");
    cr_assert(heard(t, 2));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n>3\r\n+late\r\n:1\r\n$1\r\nb\r\n");
    cr_assert(UPSTREAM_UNTIL(t, b->answered == 1));
    cr_assert_str_eq(b->reply, "$1\r\nb\r\n");
    END(t);
}

/* ---- connecting ---- */

Test(upstream, connects_again_by_itself) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    for (unsigned i = 2; i < 5; i++) {
        node_fake_refuse(t->node);
        node_fake_reset(t->node);
        cr_assert(UPSTREAM_UNTIL(t, !upstream_connected(t->u)));
        cr_assert_not(upstream_usable(t->u));
        node_fake_listen(t->node);
        cr_assert(UPSTREAM_UNTIL(t, upstream_connected(t->u)));
        cr_assert_eq(node_fake_links(t->node), i);
    }
    cr_assert_eq(bench_stat(t->b, PROXY_STAT_NODE_LOST), 3);
    END(t);
}

Test(upstream, a_server_that_is_no_node_is_left) {
    struct upstream_bench *t = upstream_bench_new();
    node_fake_mute(t->node, true, true);
    upstream_bench_connect(t, NULL);
    cr_assert(UPSTREAM_UNTIL(t, node_fake_links(t->node) == 1));
    struct asked *a = upstream_bench_ask(t, "GET a");
    node_fake_say(t->node, "-ERR unknown command 'RF.LINK'\r\n");
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1));
    cr_assert_not(upstream_usable(t->u));
    cr_assert(UPSTREAM_UNTIL(t, node_fake_links(t->node) == 2)); /* it might become one */
    cr_assert_not(upstream_usable(t->u));
    END(t);
}

Test(upstream, a_node_that_does_not_confirm_the_link_in_time_is_left) {
    struct upstream_bench *t = upstream_bench_new();
    t->b->conf.connect_timeout_ms = 30;
    node_fake_mute(t->node, true, true);
    upstream_bench_connect(t, NULL);
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1));
    cr_assert(UPSTREAM_UNTIL(t, node_fake_links(t->node) >= 3));
    cr_assert_not(upstream_usable(t->u));
    node_fake_mute(t->node, false, false);
    cr_assert(UPSTREAM_UNTIL(t, upstream_connected(t->u)));
    END(t);
}

Test(upstream, a_first_connection_is_waited_for_half_a_budget_at_most) {
    struct upstream_bench *t = upstream_bench_new();
    t->b->conf.request_timeout_ms = 60; /* while connecting may take for ever */
    node_fake_hang(t->node, true);
    upstream_bench_connect(t, NULL);
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1));
    cr_assert_not(upstream_usable(t->u));
    END(t);
}

/* ---- silence, and time ---- */

enum { A_WHILE = 120 }; /* ms; tests below wait for things to happen, never for them not to */

Test(upstream, a_silent_node_gives_back_what_can_be_asked_elsewhere) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    node_fake_hang(t->node, true);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1"),
                 *big = upstream_bench_ask_big(t, true, BIG);
    for (int i = 0; i < 20; i++)
        upstream_bench_turn(t);
    struct asked *d = upstream_bench_ask(t, "SET d 1"), *e = upstream_bench_ask(t, "GET e");
    a->entry.start_us = e->entry.start_us = INT64_MAX / 2; /* their own time is not over */
    t->b->conf.request_timeout_ms = A_WHILE;
    cr_assert(UPSTREAM_UNTIL(t, a->lost && d->lost && e->lost));
    cr_assert_eq(a->why, UPSTREAM_LOST_SENT);
    cr_assert_eq(d->why, UPSTREAM_LOST_UNSENT);
    cr_assert_eq(e->why, UPSTREAM_LOST_UNSENT);
    cr_assert(a->bytes_same && d->bytes_same && e->bytes_same);
    cr_assert_eq(b->lost + big->lost,
                 0); /* they may have been done: their answers are waited for */
    cr_assert_not(upstream_usable(t->u));
    cr_assert_not(upstream_last_resort(t->u));
    cr_assert_eq(bench_stat(t->b, PROXY_STAT_NODE_HUNG), 1);
    END(t);
}

Test(upstream, a_write_gets_its_answer_from_a_node_that_was_silent_for_a_while) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    node_fake_hang(t->node, true);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1"),
                 *c = upstream_bench_ask(t, "GET c"), *d = upstream_bench_ask(t, "SET d 1");
    upstream_bench_turn(t);
    t->b->conf.request_timeout_ms = A_WHILE;
    cr_assert(UPSTREAM_UNTIL(t, a->lost && c->lost));
    node_fake_hang(t->node, false);
    cr_assert(heard(t, 4));
    node_fake_say(t->node, "$1\r\na\r\n>2\r\n+defer\r\n:1\r\n$1\r\nc\r\n-ERR d\r\n"
                           ">3\r\n+late\r\n:1\r\n+OK\r\n");
    cr_assert(UPSTREAM_UNTIL(t, b->answered && d->answered));
    cr_assert_str_eq(b->reply, "+OK\r\n");
    cr_assert_str_eq(d->reply, "-ERR d\r\n");
    cr_assert(UPSTREAM_UNTIL(t, node_fake_links(t->node) == 2)); /* it is never used again */
    cr_assert_eq(node_fake_heard(t->node), 4);
    END(t);
}

Test(upstream, a_write_that_a_silent_node_never_answers_is_lost_when_its_time_is_over) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    node_fake_hang(t->node, true);
    struct asked *a = upstream_bench_ask(t, "SET a 1");
    upstream_bench_turn(t);
    t->b->conf.request_timeout_ms = A_WHILE;
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_NODE_HUNG) == 1));
    cr_assert_eq(a->lost, 0);
    t->b->conf.write_timeout_ms = A_WHILE;
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1));
    cr_assert_eq(a->why, UPSTREAM_LOST_LATE);
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_NODE_LOST) == 1));
    END(t);
}

Test(upstream, a_hung_node_is_found_without_any_request) {
    struct upstream_bench *t = upstream_bench_new();
    t->b->conf.request_timeout_ms = A_WHILE;
    t->b->conf.health_interval_ms = 5;
    upstream_bench_up(t);
    node_fake_hang(t->node, true);
    cr_assert(UPSTREAM_UNTIL(t, !upstream_usable(t->u)));
    node_fake_hang(t->node, false);
    cr_assert(UPSTREAM_UNTIL(t, upstream_usable(t->u)));
    END(t);
}

/* Its times are over long after the silence is noticed, so it is given back, to be asked elsewhere.
 */
Test(upstream, a_node_that_owes_late_answers_alone_is_asked_whether_it_lives) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert(heard(t, 1));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n");
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_LATE) == 1));
    a->entry.start_us = INT64_MAX / 2;
    t->b->conf.request_timeout_ms = A_WHILE;
    cr_assert(heard(t, 2)); /* while it answers, nothing happens to the request */
    cr_assert_str_eq(node_fake_request(t->node, 1), "PING");
    node_fake_say(t->node, "+PONG\r\n");
    cr_assert(heard(t, 3));
    cr_assert_eq(a->lost, 0);
    node_fake_hang(t->node, true);
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1));
    cr_assert_eq(a->why, UPSTREAM_LOST_SENT);
    cr_assert(a->bytes_same);
    END(t);
}

Test(upstream, nobody_gets_an_answer_by_position_that_comes_too_late) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1");
    cr_assert(heard(t, 2));
    a->entry.start_us -= 2000000;
    b->entry.start_us -= 2000000;
    t->b->conf.request_timeout_ms = 1000; /* it is not silent, so it is not left */
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1));
    cr_assert_eq(a->why, UPSTREAM_LOST_LATE);
    cr_assert_eq(b->lost, 0); /* a write has more time */
    t->b->conf.write_timeout_ms = 1000;
    cr_assert(UPSTREAM_UNTIL(t, b->lost == 1));
    cr_assert_eq(b->why, UPSTREAM_LOST_LATE);
    t->b->conf.request_timeout_ms = t->b->conf.write_timeout_ms = 600000;
    cr_assert(upstream_connected(t->u));
    struct asked *c = upstream_bench_ask(t, "GET c");
    cr_assert(heard(t, 3));
    node_fake_say(t->node, "$1\r\na\r\n+OK\r\n$1\r\nc\r\n");
    cr_assert(UPSTREAM_UNTIL(t, c->answered == 1));
    cr_assert_str_eq(c->reply, "$1\r\nc\r\n");
    END(t);
}

Test(upstream, nobody_gets_a_late_answer_that_comes_too_late) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "SET b 1");
    cr_assert(heard(t, 2));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:2\r\n");
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_LATE) == 2));
    a->entry.start_us -= 2000000;
    b->entry.start_us -= 2000000;
    t->b->conf.request_timeout_ms = 1000;
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1));
    cr_assert_eq(a->why, UPSTREAM_LOST_LATE);
    cr_assert_eq(b->lost, 0);
    struct asked *c = upstream_bench_ask(t, "GET c");
    cr_assert_not_null(c);
    node_fake_say(t->node, ">3\r\n+late\r\n:1\r\n$1\r\na\r\n>3\r\n+late\r\n:2\r\n+OK\r\n");
    cr_assert(UPSTREAM_UNTIL(t, b->answered == 1 && node_fake_heard(t->node) == 3));
    node_fake_say(t->node, "$1\r\nc\r\n");
    cr_assert(UPSTREAM_UNTIL(t, c->answered == 1));
    cr_assert_str_eq(c->reply, "$1\r\nc\r\n");
    END(t);
}

Test(upstream, a_request_that_was_given_back_still_uses_up_its_late_id) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert(heard(t, 1));
    a->entry.start_us -= 2000000;
    t->b->conf.request_timeout_ms = 1000;
    cr_assert(UPSTREAM_UNTIL(t, a->lost == 1));
    t->b->conf.request_timeout_ms = 600000;
    struct asked *b = upstream_bench_ask(t, "GET b");
    cr_assert(heard(t, 2));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:2\r\n"
                           ">3\r\n+late\r\n:1\r\n$1\r\na\r\n>3\r\n+late\r\n:2\r\n$1\r\nb\r\n");
    cr_assert(UPSTREAM_UNTIL(t, b->answered == 1));
    cr_assert_str_eq(b->reply, "$1\r\nb\r\n");
    END(t);
}

/* What was asked elsewhere before is older than its neighbours, and must not get their time. */
static void old_behind_young(bool deferred) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *young = upstream_bench_ask(t, "GET a");
    struct asked *old = upstream_bench_ask_retry(t, "GET b");
    cr_assert(heard(t, 2));
    if (deferred) {
        node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:2\r\n");
        cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_LATE) == 2));
    }
    young->entry.start_us = INT64_MAX / 2;
    old->entry.start_us -= 2000000;
    t->b->conf.request_timeout_ms = 1000;
    cr_assert(UPSTREAM_UNTIL(t, old->lost == 1));
    cr_assert_eq(old->why, UPSTREAM_LOST_LATE);
    cr_assert_eq(young->lost, 0);
    END(t);
}

Test(upstream, an_old_request_behind_younger_ones_ends_in_time) {
    old_behind_young(false);
    old_behind_young(true);
}

Test(upstream, a_node_that_flaps_is_passed_over_but_there_as_a_last_resort) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    node_fake_reset(t->node);
    cr_assert(UPSTREAM_UNTIL(t, node_fake_links(t->node) == 2 && upstream_connected(t->u)));
    cr_assert(upstream_usable(t->u)); /* that may happen */
    node_fake_reset(t->node);
    cr_assert(UPSTREAM_UNTIL(t, node_fake_links(t->node) == 3 && upstream_connected(t->u)));
    cr_assert_not(upstream_usable(t->u));
    cr_assert(upstream_last_resort(t->u));
    cr_assert_eq(bench_stat(t->b, PROXY_STAT_NODE_PROBATIONS), 1);
    cr_assert(UPSTREAM_UNTIL(t, upstream_usable(t->u)));
    END(t);
}

Test(upstream, each_address_of_a_name_is_tried_in_turn) {
    static const char HOSTS[] = "127.0.0.77 twofold\n127.0.0.1 twofold\n";
    struct upstream_bench *t = upstream_bench_new();
    char path[] = "/tmp/test_upstream_XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, HOSTS, sizeof(HOSTS) - 1), (ssize_t)sizeof(HOSTS) - 1);
    close(fd);
    t->b->env.dns = evdns_base_new(t->b->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    evdns_base_load_hosts(t->b->env.dns, path);
    unlink(path);
    upstream_bench_connect(t, "twofold"); /* the node listens on the second alone */
    cr_assert(UPSTREAM_UNTIL(t, upstream_connected(t->u)));
    node_fake_reset(t->node);
    cr_assert(UPSTREAM_UNTIL(t, node_fake_links(t->node) == 2)); /* it stays with what worked */
    struct evdns_base *dns = t->b->env.dns;
    END(t);
    evdns_base_free(dns, 0);
}

Test(upstream, a_name_without_an_address_is_never_usable) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_connect(t, "no-such-name.invalid"); /* and no resolver */
    cr_assert_not(upstream_usable(t->u));
    for (int i = 0; i < 60; i++)
        upstream_bench_turn(t);
    cr_assert_not(upstream_usable(t->u));
    END(t);
}

/* ---- limits ---- */

Test(upstream, takes_no_more_requests_than_node_inflight_max) {
    struct upstream_bench *t = upstream_bench_new();
    t->b->conf.node_inflight_max = 3;
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a");
    cr_assert_not_null(upstream_bench_ask(t, "GET b"));
    cr_assert_not_null(upstream_bench_ask(t, "GET c"));
    cr_assert_null(upstream_bench_ask(t, "GET d"));
    cr_assert(heard(t, 3));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n"); /* a deferred one counts too */
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_LATE) == 1));
    cr_assert_null(upstream_bench_ask(t, "GET d"));
    node_fake_say(t->node, ">3\r\n+late\r\n:1\r\n_\r\n");
    cr_assert(UPSTREAM_UNTIL(t, a->answered == 1));
    cr_assert_not_null(upstream_bench_ask(t, "GET d"));
    END(t);
}

Test(upstream, takes_no_more_bytes_than_its_buffer_may_hold) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    node_fake_hang(t->node, true);
    unsigned taken = 0;
    while (taken < 10 && upstream_bench_ask_big(t, true, 16 << 20) != NULL)
        taken++;
    cr_assert_eq(taken, 3);                             /* of 16 MiB each, below 64 MiB */
    cr_assert_not_null(upstream_bench_ask(t, "GET a")); /* what is small still fits */
    END(t);
}

Test(upstream, a_drained_one_takes_nothing_new_and_finishes_the_rest) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    struct asked *a = upstream_bench_ask(t, "GET a"), *b = upstream_bench_ask(t, "GET b");
    cr_assert(heard(t, 2));
    upstream_drain(t->u);
    cr_assert_not(upstream_usable(t->u));
    cr_assert_not(upstream_idle(t->u));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n$1\r\nb\r\n");
    cr_assert(UPSTREAM_UNTIL(t, b->answered == 1));
    cr_assert_not(upstream_idle(t->u)); /* one is owed late */
    node_fake_say(t->node, ">3\r\n+late\r\n:1\r\n$1\r\na\r\n");
    cr_assert(UPSTREAM_UNTIL(t, a->answered == 1));
    cr_assert(upstream_idle(t->u));
    END(t);
}

Test(upstream, a_drained_one_does_not_connect_again) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    upstream_drain(t->u);
    node_fake_reset(t->node);
    cr_assert(UPSTREAM_UNTIL(t, !upstream_connected(t->u)));
    int64_t until_ms = bench_now_ms() + 150; /* several pauses of at most 40 ms */
    while (bench_now_ms() < until_ms)
        upstream_bench_turn(t);
    cr_assert_eq(node_fake_links(t->node), 1);
    cr_assert(upstream_idle(t->u));
    END(t);
}

/* ---- what changes ---- */

static struct upstream_bench *watching(void) {
    static struct tracking_client somebody;
    struct upstream_bench *t = upstream_bench_new();
    tracking_start(t->b->env.tracking, &somebody, TRACKING_BCAST, NULL, 0);
    upstream_bench_up(t);
    cr_assert(heard(t, 1));
    cr_assert_str_eq(node_fake_request(t->node, 0), "RF.WATCH 1");
    return t;
}

Test(upstream, passes_on_what_the_node_says_of_changes) {
    struct upstream_bench *t = watching();
    node_fake_say(t->node, ">3\r\n+stale\r\n+d\r\n$3\r\na\nb\r\n");
    cr_assert(UPSTREAM_UNTIL(t, strcmp(t->stale, "d:a\nb") == 0));
    node_fake_say(t->node, ">1\r\n+stale-all\r\n");
    cr_assert(UPSTREAM_UNTIL(t, t->gaps == 1));
    END(t);
}

Test(upstream, passes_on_versions_and_who_wrote_them) {
    struct upstream_bench *t = watching();
    static struct tracking_client noloop = {.id = 5};
    tracking_start(t->b->env.tracking, &noloop, TRACKING_BCAST | TRACKING_NOLOOP, NULL, 0);
    upstream_watch(t->u);
    upstream_watch(t->u);
    cr_assert(heard(t, 2));
    cr_assert_str_eq(node_fake_request(t->node, 1), "RF.WATCH 1 VERSIONS");
    node_fake_say(t->node, ">4\r\n+stale\r\n+s\r\n:42\r\n$3\r\na\nb\r\n");
    cr_assert(UPSTREAM_UNTIL(t, strcmp(t->stale, "s:a\nb") == 0));
    cr_assert_eq(t->stale_version, 42);
    struct asked *own = upstream_bench_ask(t, "SET a 1"), *other = upstream_bench_ask(t, "SET b 1");
    own->entry.author = 5;
    cr_assert(heard(t, 4));
    node_fake_say(t->node, ">2\r\n+defer\r\n:1\r\n>2\r\n+defer\r\n:2\r\n"
                           ">4\r\n+wrote\r\n:2\r\n:44\r\n$1\r\nb\r\n>3\r\n+late\r\n:2\r\n+OK\r\n");
    cr_assert(UPSTREAM_UNTIL(t, other->answered == 1));
    cr_assert_str_eq(t->wrote, "", "nobody minds");
    node_fake_say(t->node, ">4\r\n+wrote\r\n:1\r\n:43\r\n$1\r\na\r\n>3\r\n+late\r\n:1\r\n+OK\r\n");
    cr_assert(UPSTREAM_UNTIL(t, own->answered == 1));
    cr_assert_str_eq(t->wrote, "5:a:43");
    node_fake_say(t->node, ">4\r\n+wrote\r\n:1\r\n:45\r\n$1\r\nx\r\n");
    node_fake_say(t->node, ">1\r\n+stale-all\r\n");
    cr_assert(UPSTREAM_UNTIL(t, t->gaps == 1));
    cr_assert_str_eq(t->wrote, "5:a:43", "it was answered before");
    END(t);
}

Test(upstream, a_node_that_knows_no_versions_is_watched_all_the_same) {
    static struct tracking_client noloop = {.id = 5};
    struct upstream_bench *t = upstream_bench_new();
    node_fake_mute_watch(t->node, true);
    node_fake_mute(t->node, false, true);
    tracking_start(t->b->env.tracking, &noloop, TRACKING_NOLOOP, NULL, 0);
    upstream_bench_connect(t, NULL);
    cr_assert(heard(t, 2));
    node_fake_say(t->node, "+OK\r\n-ERR wrong number of arguments for 'rf.watch' command\r\n");
    cr_assert(UPSTREAM_UNTIL(t, t->watched == 1));
    node_fake_say(t->node, ">3\r\n+stale\r\n+s\r\n$1\r\na\r\n");
    cr_assert(UPSTREAM_UNTIL(t, strcmp(t->stale, "s:a") == 0));
    cr_assert_eq(t->stale_version, 0);
    cr_assert(upstream_connected(t->u));
    END(t);
}

Test(upstream, a_watch_ends_when_nobody_watches_and_begins_anew_with_versions) {
    static struct tracking_client noloop = {.id = 5};
    struct upstream_bench *t = upstream_bench_new();
    t->b->conf.health_interval_ms = 1;
    tracking_start(t->b->env.tracking, &noloop, TRACKING_NOLOOP, NULL, 0);
    upstream_bench_up(t);
    cr_assert(heard(t, 2));
    cr_assert_str_eq(node_fake_request(t->node, 0), "RF.WATCH 1");
    cr_assert_str_eq(node_fake_request(t->node, 1), "RF.WATCH 1 VERSIONS");
    tracking_stop(t->b->env.tracking, &noloop);
    cr_assert(heard(t, 3));
    cr_assert_str_eq(node_fake_request(t->node, 2), "RF.WATCH 0");
    tracking_start(t->b->env.tracking, &noloop, TRACKING_NOLOOP, NULL, 0);
    upstream_watch(t->u);
    cr_assert(heard(t, 5));
    cr_assert_str_eq(node_fake_request(t->node, 3), "RF.WATCH 1");
    cr_assert_str_eq(node_fake_request(t->node, 4), "RF.WATCH 1 VERSIONS");
    END(t);
}

Test(upstream, a_lost_connection_is_a_gap_and_it_watches_again) {
    struct upstream_bench *t = watching();
    node_fake_reset(t->node);
    cr_assert(UPSTREAM_UNTIL(t, t->gaps == 1));
    cr_assert(heard(t, 2)); /* before anything can be read from it */
    cr_assert_str_eq(node_fake_request(t->node, 1), "RF.WATCH 1");
    END(t);
}

Test(upstream, a_node_that_hangs_is_a_gap_at_once_and_not_again) {
    struct upstream_bench *t = watching();
    node_fake_hang(t->node, true);
    struct asked *a = upstream_bench_ask(t, "SET a 1");
    upstream_bench_turn(t);
    t->b->conf.request_timeout_ms = A_WHILE;
    cr_assert(UPSTREAM_UNTIL(t, t->gaps == 1));
    cr_assert_eq(a->lost, 0);
    t->b->conf.write_timeout_ms = A_WHILE;
    cr_assert(UPSTREAM_UNTIL(t, bench_stat(t->b, PROXY_STAT_NODE_LOST) == 1));
    cr_assert_eq(t->gaps, 1);
    END(t);
}

/* ---- what the node says of itself ---- */

Test(upstream, asks_for_status_and_keeps_the_text) {
    struct upstream_bench *t = upstream_bench_new();
    int64_t heard_us;
    t->b->conf.health_interval_ms = 5;
    upstream_bench_up(t);
    cr_assert(UPSTREAM_UNTIL(t, upstream_status(t->u, &heard_us).len != 0));
    cr_assert(span_equal(upstream_status(t->u, &heard_us), SPAN("keys:7\r\n")));
    cr_assert_gt(heard_us, 0);
    int64_t first_us = heard_us;
    cr_assert(UPSTREAM_UNTIL(t, (upstream_status(t->u, &heard_us), heard_us > first_us)));
    END(t);
}

Test(upstream, its_own_questions_are_nobodys_requests) {
    struct upstream_bench *t = upstream_bench_new();
    t->b->conf.health_interval_ms = 1;
    upstream_bench_up(t);
    node_fake_mute(t->node, false, true);
    for (int i = 0; i < 50; i++)
        upstream_bench_turn(t);
    cr_assert(upstream_idle(t->u));
    cr_assert_eq(upstream_inflight(t->u), 0);
    END(t);
}
