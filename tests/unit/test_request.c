// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/command.h"
#include "../../common/reply.h"
#include "../../proxy/client_private.h"
#include "../../proxy/slowlog.h"
#include "../../proxy/timing.h"
#include "../fakes/bench.h"

enum { POOL_REQUESTS_MAX = 4096 /* as in request.c */ };

struct setup {
    struct bench *b;
    struct bench_client *c;
    struct client *client; /* the proxy's side of it */
};

static struct setup start(void) {
    struct setup s = {.b = bench_new(1)};
    bench_up(s.b);
    s.c = bench_client_new(s.b);
    s.client = s.b->clients->first;
    return s;
}

static void stop(struct setup *s) {
    bench_client_free(&s->c);
    for (int i = 0; i < 10; i++)
        bench_turn(s->b);
    bench_free(&s->b);
}

static struct request *open_read(struct setup *s) {
    struct request *r = request_open(s->client, 0);
    cr_assert_not_null(r);
    s->client->open_reads++;
    return r;
}

Test(request, a_reply_in_its_turn_goes_straight_into_the_output) {
    struct setup s = start();
    struct request *r = open_read(&s);
    cr_assert_eq(request_reply(r), conn_out(s.client->conn));
    request_answer(r, SPAN("+A\r\n"));
    cr_assert(bench_hears(s.c, "+A\r\n"));
    cr_assert_eq(s.client->queued, 0);
    cr_assert_eq(s.client->open_reads, 0);
    stop(&s);
}

Test(request, replies_leave_in_the_order_of_the_requests_whatever_the_order_of_the_answers) {
    static const int ORDERS[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const char *const REPLIES[] = {"+A\r\n", "+B\r\n", "+C\r\n"};
    for (size_t o = 0; o < sizeof(ORDERS) / sizeof(ORDERS[0]); o++) {
        struct setup s = start();
        struct request *r[3];
        for (int i = 0; i < 3; i++)
            r[i] = open_read(&s);
        for (int i = 0; i < 3; i++)
            request_answer(r[ORDERS[o][i]], span_str(REPLIES[ORDERS[o][i]]));
        cr_assert(bench_hears(s.c, "+A\r\n+B\r\n+C\r\n"), "order %zu", o);
        cr_assert_eq(s.client->held_bytes, 0, "order %zu", o);
        stop(&s);
    }
}

Test(request, a_reply_that_waits_is_counted_with_its_memory) {
    struct setup s = start();
    struct request *a = open_read(&s), *b = open_read(&s);
    request_answer(b, SPAN("+B\r\n"));
    cr_assert_geq(s.client->held_bytes, sizeof(struct request) + 4);
    request_answer(a, SPAN("+A\r\n"));
    cr_assert_eq(s.client->held_bytes, 0);
    stop(&s);
}

Test(request, of_one_that_left_the_reply_goes_nowhere) {
    struct setup s = start();
    struct request *a = open_read(&s), *b = open_read(&s), *c = open_read(&s);
    request_answer(b, SPAN("+B\r\n"));
    bench_client_free(&s.c);
    cr_assert(BENCH_UNTIL(s.b, s.client->ended));
    cr_assert_not(s.client->dead, "what was asked is still answered");
    request_answer(a, SPAN("+A\r\n")); /* and that cannot be sent */
    cr_assert(BENCH_UNTIL(s.b, s.client->dead));
    cr_assert_eq(s.client->queued, 1);
    cr_assert_eq(request_reply(c), &c->held);
    cr_assert_eq(client_list_count(s.b->clients), 1);
    request_fail(c, REPLY_TIMEOUT);
    cr_assert_eq(client_list_count(s.b->clients), 0);
    bench_free(&s.b);
}

Test(request, errors_are_counted_others_are_not) {
    struct setup s = start();
    request_answer(open_read(&s), SPAN("-ERR x\r\n"));
    request_fail(open_read(&s), REPLY_TIMEOUT);
    request_fail_number(open_read(&s), REPLY_KEY_LONG, 7);
    request_answer(open_read(&s), SPAN("$2\r\n-x\r\n"));
    cr_assert_eq(bench_stat(s.b, PROXY_STAT_ERRORS), 3);
    cr_assert(BENCH_UNTIL(s.b, strstr(bench_listen(s.c), "$2\r\n-x\r\n") != NULL));
    cr_assert_eq(strncmp(s.c->heard, "-ERR x\r\n-TIMEOUT ", 17), 0);
    cr_assert_not_null(strstr(s.c->heard, "-ERR key is longer than 7 bytes\r\n"));
    stop(&s);
}

Test(request, the_one_that_ends_its_client_is_the_last_to_be_answered) {
    struct setup s = start();
    struct request *a = open_read(&s), *b = open_read(&s);
    b->ends_client = true;
    request_answer(b, SPAN("+BYE\r\n"));
    for (int i = 0; i < 5; i++)
        bench_turn(s.b);
    cr_assert_not(s.client->finishing);
    request_answer(a, SPAN("+A\r\n"));
    cr_assert(BENCH_UNTIL(s.b, (bench_listen(s.c), s.c->eof)));
    cr_assert_str_eq(s.c->heard, "+A\r\n+BYE\r\n");
    stop(&s);
}

Test(request, a_reply_without_memory_ends_its_client) {
    struct setup s = start();
    struct request *a = open_read(&s), *b = open_read(&s);
    request_reply(b)->failed = true; /* as buf does */
    request_done(b);
    request_answer(a, SPAN("+A\r\n"));
    cr_assert(BENCH_UNTIL(s.b, client_list_count(s.b->clients) == 0));
    stop(&s);
}

Test(request, objects_are_used_again_and_not_hoarded) {
    struct setup s = start();
    static struct request *r[POOL_REQUESTS_MAX + 100];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < POOL_REQUESTS_MAX + 100; i++)
            r[i] = open_read(&s);
        cr_assert_eq(s.b->clients->pool_count, 0);
        for (int i = 0; i < POOL_REQUESTS_MAX + 100; i++)
            request_answer(r[i], SPAN(":1\r\n"));
        cr_assert_eq(s.b->clients->pool_count, POOL_REQUESTS_MAX);
    }
    stop(&s);
}

Test(request, one_from_the_pool_remembers_nothing) {
    struct setup s = start();
    struct request *a = open_read(&s);
    a->is_write = a->is_multi = a->is_all = true;
    s.client->open_reads--;
    s.client->open_writes++;
    request_answer(a, SPAN(":1\r\n"));
    struct request *b = open_read(&s);
    cr_assert_eq(a, b);
    cr_assert_not(b->is_write || b->is_multi || b->is_all || b->answered || b->ends_client);
    cr_assert_eq(buf_len(&b->held), 0);
    cr_assert_eq(b->held_bytes, 0);
    request_answer(b, SPAN(":1\r\n"));
    stop(&s);
}

/* ---- times ---- */

Test(request, what_takes_long_is_kept_with_its_key_and_counted) {
    struct bench *b = bench_new(1);
    struct timing *timing = calloc(1, sizeof(*timing));
    b->env.timing = timing;
    b->env.slowlog = slowlog_new(1);
    b->conf.request_timeout_ms = b->conf.write_timeout_ms = 600000;
    b->conf.slowlog_log_slower_than = 0;
    bench_up(b);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "PING\r\nGET some-key\r\nSET k secret\r\nPING\r\nGET\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 2));
    node_fake_say(b->nodes[0], "$1\r\nv\r\n-ERR no\r\n");
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), "wrong number") != NULL));
    size_t count;
    struct slowlog_entry *all = slowlog_get(b->env.slowlog, 10, &count);
    cr_assert_eq(count, 2); /* the proxy's own answers are not timed */
    cr_assert_eq(all[1].command, COMMAND_GET);
    cr_assert_eq(all[1].argc, 2);
    cr_assert_eq(all[1].key.len, 8);
    cr_assert_eq(memcmp(all[1].key.bytes, "some-key", 8), 0);
    cr_assert_eq(all[0].argc, 3);
    cr_assert_geq(all[0].usec, 0);
    free(all);
    cr_assert_eq(stats_get(&timing->rows[COMMAND_GET].timed), 1);
    cr_assert_eq(stats_get(&timing->rows[COMMAND_GET].rejected), 1);
    cr_assert_eq(stats_get(&timing->rows[COMMAND_SET].failed), 1);
    cr_assert_eq(stats_get(&timing->rows[COMMAND_PING].calls), 2);
    cr_assert_eq(stats_get(&timing->rows[COMMAND_PING].timed), 0);
    b->conf.slowlog_log_slower_than = -1;
    bench_say(c, "GET a\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 3));
    bench_forget(c);
    node_fake_say(b->nodes[0], "$1\r\nv\r\n");
    cr_assert(bench_hears(c, "$1\r\nv\r\n"));
    cr_assert_eq(slowlog_len(b->env.slowlog), 2);
    bench_client_free(&c);
    for (int i = 0; i < 20; i++)
        bench_turn(b);
    struct slowlog *log = b->env.slowlog;
    bench_free(&b);
    slowlog_free(&log);
    free(timing);
}
