// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proxy/client.h"
#include "../fakes/bench.h"

static void on_tell(void *ctx, enum local_news news) {
    *(int *)ctx += news == LOCAL_NEWS_KILLED;
}

static int swept;
static const struct local_peers PEERS = {.tell = on_tell, .ctx = &swept};

static struct bench *start(void) {
    struct bench *b = bench_patient(1);
    b->server.peers = &PEERS;
    bench_up(b);
    return b;
}

static long id_of(struct bench_client *c) {
    bench_forget(c);
    bench_say(c, "CLIENT ID\r\n");
    cr_assert(BENCH_UNTIL(c->bench, strchr(bench_listen(c), '\n') != NULL));
    return strtol(c->heard + 1, NULL, 10);
}

static bool says_id(struct bench_client *c, const char *fmt, long id, const char *answer) {
    char text[128];
    snprintf(text, sizeof(text), fmt, id);
    return bench_says(c, text, answer);
}

Test(client_kill, by_id_it_ends_at_once_whatever_it_waits_for) {
    struct bench *b = start();
    struct bench_client *me = bench_client_new(b), *other = bench_client_new(b),
                        *third = bench_client_new(b);
    long id = id_of(other);
    bench_say(other, "GET a\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    cr_assert(says_id(me, "CLIENT KILL ID %ld\r\n", id, ":1\r\n"));
    cr_assert_eq(swept, 1);
    /* It is gone for whoever asks, before its worker has seen to it. */
    cr_assert(says_id(me, "CLIENT KILL ID %ld\r\n", id, ":0\r\n"));
    client_list_sweep(b->clients);
    cr_assert(bench_ended(other));
    node_fake_say(b->nodes[0], "$1\r\na\r\n"); /* for nobody */
    cr_assert(bench_says(third, "PING\r\n", "+PONG\r\n"));
    cr_assert(says_id(me, "CLIENT KILL ID %ld\r\n", id, ":0\r\n"));
    cr_assert_eq(swept, 1);
    bench_client_free(&other);
    bench_client_free(&third);
    bench_stop(b, me);
}

Test(client_kill, oneself_is_skipped_unless_one_says_otherwise) {
    struct bench *b = start();
    struct bench_client *me = bench_client_new(b);
    long id = id_of(me);
    cr_assert(says_id(me, "CLIENT KILL ID %ld\r\n", id, ":0\r\n"));
    cr_assert(bench_says(me, "CLIENT KILL TYPE normal\r\n", ":0\r\n"));
    cr_assert(bench_says(me, "PING\r\n", "+PONG\r\n"));
    bench_forget(me);
    bench_say(me, "CLIENT KILL USER default SKIPME no\r\nPING\r\n");
    cr_assert(bench_ended(me));
    cr_assert_str_eq(me->heard, ":1\r\n");
    bench_stop(b, me);
}

Test(client_kill, filters_are_taken_together) {
    struct bench *b = start();
    struct bench_client *me = bench_client_new(b), *other = bench_client_new(b);
    long id = id_of(other);
    cr_assert(says_id(me, "CLIENT KILL ID %ld TYPE master\r\n", id, ":0\r\n"));
    cr_assert(says_id(me, "CLIENT KILL ID %ld ADDR 1.2.3.4:5\r\n", id, ":0\r\n"));
    cr_assert(says_id(me, "CLIENT KILL ID %ld LADDR 1.2.3.4:5\r\n", id, ":0\r\n"));
    cr_assert(says_id(me, "CLIENT KILL ID %ld USER default TYPE normal\r\n", id, ":1\r\n"));
    bench_client_free(&other);
    bench_stop(b, me);
}

Test(client_kill, what_is_wrong_is_said_in_redis_words) {
    static const char *const CASES[][2] = {
        {"CLIENT KILL 1.2.3.4:5\r\n", "-ERR No such client\r\n"},
        {"CLIENT KILL ID x\r\n", "-ERR client-id should be greater than 0\r\n"},
        {"CLIENT KILL ID 0\r\n", "-ERR client-id should be greater than 0\r\n"},
        {"CLIENT KILL TYPE x\r\n", "-ERR Unknown client type 'x'\r\n"},
        {"CLIENT KILL USER x\r\n", "-ERR No such user 'x'\r\n"},
        {"CLIENT KILL SKIPME x\r\n", "-ERR syntax error\r\n"},
        {"CLIENT KILL ID 1 TYPE\r\n", "-ERR syntax error\r\n"},
        {"CLIENT KILL a b\r\n", "-ERR syntax error\r\n"},
        {"CLIENT KILL\r\n", "-ERR wrong number of arguments for 'client|kill' command\r\n"},
    };
    struct bench *b = start();
    struct bench_client *me = bench_client_new(b);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        cr_assert(bench_says(me, CASES[i][0], CASES[i][1]), "%s", CASES[i][0]);
    bench_stop(b, me);
}

/* ---- CLIENT REPLY ---- */

Test(client_reply, off_answers_nothing_until_on) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "CLIENT REPLY OFF\r\nPING\r\nGET a\r\nNOSUCH\r\nGET\r\nPING\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    node_fake_say(b->nodes[0], "$1\r\na\r\n");
    cr_assert(bench_says(c, "CLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\n",
                         "+OK\r\n+PONG\r\n"));
    bench_stop(b, c);
}

Test(client_reply, off_holds_nothing_back_while_an_answer_is_awaited) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\nCLIENT REPLY OFF\r\nGET b\r\nPING\r\nCLIENT REPLY ON\r\nGET c\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 3));
    node_fake_say(b->nodes[0], "$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    cr_assert(bench_hears(c, "$1\r\na\r\n+OK\r\n$1\r\nc\r\n"));
    bench_stop(b, c);
}

Test(client_reply, skip_is_for_one_request) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    cr_assert(bench_says(c, "CLIENT REPLY SKIP\r\nPING\r\nECHO a\r\n", "$1\r\na\r\n"));
    cr_assert(bench_says(c, "CLIENT REPLY SKIP\r\nNOSUCH\r\nECHO a\r\n", "$1\r\na\r\n"));
    cr_assert(bench_says(c, "CLIENT REPLY x\r\nPING\r\n", "-ERR syntax error\r\n+PONG\r\n"));
    bench_stop(b, c);
}
