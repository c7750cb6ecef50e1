// needs: fakes/bench.c fakes/node_fake.c
/* CLIENT PAUSE as clients see it: what waits, what does not, and that nothing is lost. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../proxy/client.h"
#include "../../proxy/proxy_conf.h"
#include "../fakes/bench.h"

static struct bench *b;
static struct bench_client *admin, *c;
static unsigned tellings;

static void on_tell(void *ctx, enum local_news news) {
    tellings += news == LOCAL_NEWS_PAUSE;
}

static void answer(void *ctx, struct node_fake *node, const struct span *argv, uint32_t argc) {
    node_fake_say(node, span_equal(argv[0], SPAN("GET"))       ? "$1\r\nv\r\n"
                        : span_equal(argv[0], SPAN("RF.EXEC")) ? "*1\r\n+OK\r\n"
                                                               : "+OK\r\n");
}

static void begin(void) {
    static const struct local_peers PEERS = {.tell = on_tell};
    b = bench_start(1);
    b->server.peers = &PEERS;
    node_fake_serve(b->nodes[0], answer, NULL);
    admin = bench_client_new(b);
    c = bench_client_new(b);
}

static void end(void) {
    bench_client_free(&admin);
    bench_stop(b, c);
}

TestSuite(client_pause, .init = begin, .fini = end);

static void pause_for(const char *how) {
    char request[64];
    snprintf(request, sizeof(request), "CLIENT PAUSE %s\r\n", how);
    cr_assert(bench_says(admin, request, "+OK\r\n"));
}

static void unpause(void) {
    cr_assert(bench_says(admin, "CLIENT UNPAUSE\r\n", "+OK\r\n"));
    client_list_pause(b->clients); /* as its worker does when it is told */
}

/* Says it, and hears nothing. */
static void says_and_waits(const char *request) {
    bench_forget(c);
    bench_say(c, request);
    bench_settle(b);
    cr_assert_str_eq(bench_listen(c), "");
}

Test(client_pause, everything_waits_and_nothing_is_lost) {
    unsigned before = node_fake_heard(b->nodes[0]);
    pause_for("100000");
    cr_assert_eq(tellings, 1);
    says_and_waits("SET a 1\r\nGET a\r\nPING\r\nECHO x\r\n");
    cr_assert_eq(node_fake_heard(b->nodes[0]), before);
    cr_assert_gt(client_list_pause(b->clients), 0); /* looked at, and still held back */
    bench_settle(b);
    cr_assert_str_eq(bench_listen(c), "");
    unpause();
    cr_assert_eq(tellings, 2);
    cr_assert(bench_hears(c, "+OK\r\n$1\r\nv\r\n+PONG\r\n$1\r\nx\r\n"));
    cr_assert_eq(client_list_pause(b->clients), 0);
}

Test(client_pause, writes_wait_and_reads_do_not) {
    pause_for("100000 WRITE");
    cr_assert(bench_says(c, "GET a\r\nPING\r\n", "$1\r\nv\r\n+PONG\r\n"));
    bench_forget(c);
    bench_say(c, "GET a\r\nSET a 1\r\nGET b\r\n");
    cr_assert(bench_hears(c, "$1\r\nv\r\n"));
    bench_settle(b);
    cr_assert(bench_hears(c, "$1\r\nv\r\n"));
    unpause();
    cr_assert(bench_hears(c, "$1\r\nv\r\n+OK\r\n$1\r\nv\r\n"));
}

Test(client_pause, ends_by_itself) {
    pause_for("30");
    bench_forget(c);
    bench_say(c, "PING\r\n");
    bench_turn(b);
    cr_assert(BENCH_UNTIL(b, client_list_pause(b->clients) == 0));
    cr_assert(bench_hears(c, "+PONG\r\n"));
}

Test(client_pause, transactions_wait_where_they_write) {
    cr_assert(bench_says(c, "MULTI\r\nSET a 1\r\n", "+OK\r\n+QUEUED\r\n"));
    pause_for("100000 WRITE");
    says_and_waits("EXEC\r\n");
    unpause();
    cr_assert(bench_hears(c, "*1\r\n+OK\r\n"));
    pause_for("100000 WRITE");
    cr_assert(bench_says(c, "MULTI\r\nPING\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"));
    cr_assert(bench_says(c, "MULTI\r\n", "+OK\r\n"));
    says_and_waits("SET a 1\r\nEXEC\r\n");
    unpause();
    cr_assert(bench_hears(c, "+QUEUED\r\n*1\r\n+OK\r\n"));
}

/* As with Redis, what would be refused anyway is refused at once. */
Test(client_pause, errors_do_not_wait) {
    pause_for("100000");
    cr_assert(bench_says(c, "GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n"));
    cr_assert(bench_says(c, "NOSUCH\r\n",
                         "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"));
}

Test(client_pause, who_waits_is_not_idle) {
    b->conf.client_idle_s = 1;
    pause_for("100000");
    says_and_waits("PING\r\n");
    client_list_tick(b->clients, (bench_now_ms() + 50000) * 1000);
    bench_settle(b);
    cr_assert_not(c->eof);
    pause_end(&b->pause); /* the admin was idle */
    client_list_pause(b->clients);
    cr_assert(bench_hears(c, "+PONG\r\n"));
}

Test(client_pause, a_drain_lets_what_waits_be_answered) {
    pause_for("100000");
    says_and_waits("SET a 1\r\nPING\r\n");
    pause_finish(&b->pause); /* as main.c does at SIGTERM */
    client_list_drain(b->clients, bench_now_ms() * 1000);
    client_list_pause(b->clients);
    cr_assert(bench_ended(c));
    cr_assert_str_eq(bench_listen(c), "+OK\r\n+PONG\r\n");
}

Test(client_pause, messages_come_all_the_same) {
    cr_assert(bench_says(c, "SUBSCRIBE __keyspace@0__:a\r\n",
                         "*3\r\n$9\r\nsubscribe\r\n$16\r\n__keyspace@0__:a\r\n:1\r\n"));
    bench_forget(c);
    pause_for("100000");
    node_fake_say(b->nodes[0], ">3\r\n+stale\r\n+s\r\n$1\r\na\r\n");
    cr_assert(bench_hears(c, "*3\r\n$7\r\nmessage\r\n$16\r\n__keyspace@0__:a\r\n$3\r\nset\r\n"));
    unpause();
}
