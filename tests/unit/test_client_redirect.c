// needs: fakes/bench.c fakes/node_fake.c
/* CLIENT TRACKING REDIRECT: who is told, in which words, and that nobody goes on believing. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../proxy/client.h"
#include "../../proxy/inbox.h"
#include "../../proxy/registry.h"
#include "../../proxy/tracking.h"
#include "../fakes/bench.h"

#define CHANNEL "$20\r\n__redis__:invalidate\r\n"
#define MESSAGE "*3\r\n$7\r\nmessage\r\n" CHANNEL

/* Two clients, and what wakes workers. */
struct pair {
    struct bench *b;
    struct bench_client *reader, *target;
    struct local_peers peers;
    struct inbox *woken; /* the last one */
    unsigned wakes;
    unsigned deferred; /* the number of the node's last */
    bool deaf;
};

static bool on_wake(void *ctx, struct inbox *inbox) {
    struct pair *p = ctx;
    p->wakes++;
    p->woken = inbox;
    return !p->deaf;
}

static void answer(void *ctx, struct node_fake *node, const struct span *argv, uint32_t argc) {
    node_fake_say(node, span_equal(argv[0], SPAN("GET")) ? "$1\r\nv\r\n" : "+OK\r\n");
}

/* The target is client 1, the reader client 2, and the target of the reader when `redirects`. */
static struct pair *start(bool subscribes, bool redirects) {
    static struct pair p;
    memset(&p, 0, sizeof(p));
    p.b = bench_start(1);
    node_fake_serve(p.b->nodes[0], answer, NULL);
    p.peers = (struct local_peers){.wake = on_wake, .ctx = &p};
    p.b->server.peers = &p.peers;
    p.target = bench_client_new(p.b);
    p.reader = bench_client_new(p.b);
    if (subscribes)
        cr_assert(bench_says(p.target, "SUBSCRIBE __redis__:invalidate\r\n",
                             "*3\r\n$9\r\nsubscribe\r\n" CHANNEL ":1\r\n"));
    if (redirects)
        cr_assert(bench_says(p.reader, "CLIENT TRACKING ON REDIRECT 1\r\n", "+OK\r\n"));
    bench_forget(p.target);
    return &p;
}

static void stop(struct pair *p) {
    if (p->target != NULL)
        bench_client_free(&p->target);
    bench_stop(p->b, p->reader);
}

static void stale(struct pair *p, const char *key) {
    char push[128];
    snprintf(push, sizeof(push), ">3\r\n+stale\r\n+s\r\n$%zu\r\n%s\r\n", strlen(key), key);
    node_fake_say(p->b->nodes[0], push);
}

static void stale_version(struct pair *p, const char *key, int version) {
    char push[128];
    snprintf(push, sizeof(push), ">4\r\n+stale\r\n+s\r\n:%d\r\n$%zu\r\n%s\r\n", version,
             strlen(key), key);
    node_fake_say(p->b->nodes[0], push);
}

/* The node answers its oldest request later. answer_write(): now, and says what it wrote. */
static void defer(struct pair *p) {
    char push[64];
    snprintf(push, sizeof(push), ">2\r\n+defer\r\n:%u\r\n", ++p->deferred);
    node_fake_say(p->b->nodes[0], push);
}

static void answer_write(struct pair *p, const char *key, int version) {
    char push[160];
    snprintf(push, sizeof(push),
             ">4\r\n+wrote\r\n:%u\r\n:%d\r\n$%zu\r\n%s\r\n>3\r\n+late\r\n:%u\r\n+OK\r\n",
             p->deferred, version, strlen(key), key, p->deferred);
    node_fake_say(p->b->nodes[0], push);
}

static void write_key(struct pair *p, const char *key, int version) {
    char request[64];
    unsigned before = node_fake_heard(p->b->nodes[0]);
    node_fake_serve(p->b->nodes[0], NULL, NULL);
    snprintf(request, sizeof(request), "SET %s 1\r\n", key);
    bench_forget(p->reader);
    bench_say(p->reader, request);
    BENCH_HEARD(p->b, 0, before + 1);
    defer(p);
    answer_write(p, key, version);
    cr_assert(bench_hears(p->reader, "+OK\r\n"));
    bench_forget(p->reader);
    node_fake_serve(p->b->nodes[0], answer, NULL);
}

static void read_key(struct pair *p, const char *key) {
    char request[64];
    snprintf(request, sizeof(request), "GET %s\r\n", key);
    cr_assert(bench_says(p->reader, request, "$1\r\nv\r\n"));
    bench_forget(p->reader);
}

/* Makes the target one of another worker, as far as everybody can see. */
static void move_target(struct pair *p) {
    registry_lock(p->b->server.registry);
    registry_first(p->b->server.registry)->worker = 1;
    registry_unlock(p->b->server.registry);
}

Test(client_redirect, a_subscriber_is_told_as_redis_tells_it) {
    struct pair *p = start(true, true);
    read_key(p, "a");
    stale(p, "a");
    cr_assert(bench_hears(p->target, MESSAGE "*1\r\n$1\r\na\r\n"));
    bench_forget(p->target);
    stale(p, "a");
    bench_settle(p->b);
    cr_assert_str_eq(bench_listen(p->target), "", "once a read");
    cr_assert_str_eq(bench_listen(p->reader), "");
    read_key(p, "b");
    node_fake_say(p->b->nodes[0], ">1\r\n+stale-all\r\n");
    cr_assert(bench_hears(p->target, MESSAGE "$-1\r\n"));
    stop(p);
}

Test(client_redirect, a_target_with_resp3_gets_a_push) {
    struct pair *p = start(false, true);
    bench_say(p->target, "HELLO 3\r\n");
    bench_settle(p->b);
    read_key(p, "a");
    bench_listen(p->target);
    bench_forget(p->target);
    stale(p, "a");
    cr_assert(bench_hears(p->target, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"));
    bench_forget(p->target);
    read_key(p, "a");
    node_fake_say(p->b->nodes[0], ">1\r\n+stale-all\r\n");
    cr_assert(bench_hears(p->target, ">2\r\n$10\r\ninvalidate\r\n_\r\n"));
    stop(p);
}

Test(client_redirect, bcast_noloop_and_optin_work_as_without_it) {
    struct pair *p = start(true, false);
    cr_assert(
        bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 1 BCAST PREFIX f:\r\n", "+OK\r\n"));
    stale(p, "g:1");
    stale(p, "f:1");
    cr_assert(bench_hears(p->target, MESSAGE "*1\r\n$3\r\nf:1\r\n"));
    bench_forget(p->target);
    cr_assert(bench_says(p->reader,
                         "CLIENT TRACKING OFF\r\nCLIENT TRACKING ON REDIRECT 1 OPTIN NOLOOP\r\n",
                         "+OK\r\n+OK\r\n"));
    read_key(p, "a");
    cr_assert(bench_says(p->reader, "CLIENT CACHING YES\r\nGET b\r\n", "+OK\r\n$1\r\nv\r\n"));
    cr_assert(bench_says(p->reader, "CLIENT CACHING YES\r\nGET c\r\n", "+OK\r\n$1\r\nv\r\n"));
    write_key(p, "c", 7);
    stale(p, "a");
    stale(p, "b");
    stale_version(p, "c", 7);
    cr_assert(bench_hears(p->target, MESSAGE "*1\r\n$1\r\nb\r\n"));
    bench_settle(p->b);
    cr_assert(bench_hears(p->target, MESSAGE "*1\r\n$1\r\nb\r\n"));
    stop(p);
}

/* Whose change it is shows when the reader has its answer, and so does whether it is told. */
Test(client_redirect, noloop_tells_the_target_of_others_changes_alone) {
    struct pair *p = start(true, false);
    cr_assert(bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 1 BCAST NOLOOP\r\n", "+OK\r\n"));
    node_fake_serve(p->b->nodes[0], NULL, NULL);
    for (int own = 0; own < 2; own++) {
        unsigned before = node_fake_heard(p->b->nodes[0]);
        bench_forget(p->reader);
        bench_forget(p->target);
        bench_say(p->reader, "SET a 1\r\n");
        BENCH_HEARD(p->b, 0, before + 1);
        defer(p);
        stale_version(p, "a", 7 + own);
        bench_settle(p->b);
        cr_assert_str_eq(bench_listen(p->target), "", "it is not decided");
        answer_write(p, "a", own != 0 ? 7 + own : 100);
        cr_assert(bench_hears(p->reader, "+OK\r\n"));
        bench_settle(p->b);
        cr_assert_str_eq(bench_listen(p->target), own != 0 ? "" : MESSAGE "*1\r\n$1\r\na\r\n");
    }
    stop(p);
}

/* What the reader will have read by then may be older than the change. */
Test(client_redirect, the_message_leaves_behind_the_replies_that_the_reader_waits_for) {
    struct pair *p = start(true, true);
    node_fake_serve(p->b->nodes[0], NULL, NULL);
    unsigned before = node_fake_heard(p->b->nodes[0]);
    bench_say(p->reader, "GET a\r\nGET b\r\n");
    BENCH_HEARD(p->b, 0, before + 2);
    stale(p, "a");
    bench_settle(p->b);
    cr_assert_str_eq(bench_listen(p->target), "");
    node_fake_say(p->b->nodes[0], "$1\r\n1\r\n");
    bench_settle(p->b);
    cr_assert_str_eq(bench_listen(p->target), "");
    node_fake_say(p->b->nodes[0], "$1\r\n2\r\n");
    cr_assert(bench_hears(p->target, MESSAGE "*1\r\n$1\r\na\r\n"));
    cr_assert(bench_hears(p->reader, "+OK\r\n$1\r\n1\r\n$1\r\n2\r\n"));
    stop(p);
}

Test(client_redirect, who_redirects_to_itself_hears_itself) {
    struct pair *p = start(false, false);
    bench_say(p->reader, "HELLO 3\r\n");
    bench_settle(p->b);
    bench_listen(p->reader);
    cr_assert(bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 2\r\n", "+OK\r\n"));
    node_fake_serve(p->b->nodes[0], NULL, NULL);
    unsigned before = node_fake_heard(p->b->nodes[0]);
    bench_forget(p->reader);
    bench_say(p->reader, "GET a\r\n");
    BENCH_HEARD(p->b, 0, before + 1);
    stale(p, "a");
    bench_settle(p->b);
    node_fake_say(p->b->nodes[0], "$1\r\n1\r\n");
    cr_assert(bench_hears(p->reader, "$1\r\n1\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"));
    stop(p);
}

Test(client_redirect, what_nobody_could_hear_is_everything_when_somebody_can) {
    struct pair *p = start(false, true);
    read_key(p, "a");
    stale(p, "a");
    bench_settle(p->b);
    cr_assert(bench_says(p->target, "PING\r\n", "+PONG\r\n"));
    cr_assert(bench_says(p->target, "SUBSCRIBE __redis__:invalidate\r\n",
                         "*3\r\n$9\r\nsubscribe\r\n" CHANNEL ":1\r\n" MESSAGE "$-1\r\n"));
    read_key(p, "a");
    bench_forget(p->target);
    stale(p, "a");
    cr_assert(bench_hears(p->target, MESSAGE "*1\r\n$1\r\na\r\n"));
    bench_say(p->target, "UNSUBSCRIBE\r\n");
    read_key(p, "a");
    stale(p, "a");
    bench_settle(p->b);
    bench_listen(p->target);
    bench_forget(p->target);
    bench_say(p->target, "HELLO 3\r\n");
    cr_assert(BENCH_UNTIL(p->b, strstr(bench_listen(p->target), "invalidate") != NULL));
    cr_assert_not_null(strstr(bench_listen(p->target), ">2\r\n$10\r\ninvalidate\r\n_\r\n"));
    stop(p);
}

#define INFO(flags, redirect)                                                                      \
    "%3\r\n$5\r\nflags\r\n" flags "$8\r\nredirect\r\n" redirect "\r\n$8\r\nprefixes\r\n*0\r\n"

Test(client_redirect, a_target_that_left_is_a_broken_redirect) {
    struct pair *p = start(true, true);
    read_key(p, "a");
    read_key(p, "b");
    bench_client_free(&p->target);
    cr_assert(BENCH_UNTIL(p->b, client_list_count(p->b->clients) == 1));
    stale(p, "a"); /* RESP2 cannot say it */
    bench_settle(p->b);
    cr_assert(bench_says(p->reader, "PING\r\n", "+PONG\r\n"));
    bench_say(p->reader, "HELLO 3\r\n");
    bench_settle(p->b);
    bench_listen(p->reader);
    cr_assert(bench_says(p->reader, "CLIENT TRACKINGINFO\r\n",
                         INFO("~2\r\n$2\r\non\r\n$15\r\nbroken_redirect\r\n", ":1")));
    bench_forget(p->reader);
    stale(p, "b");
    cr_assert(bench_hears(p->reader, ">2\r\n$21\r\ntracking-redir-broken\r\n:1\r\n"));
    cr_assert(bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 1\r\n",
                         "-ERR The client ID you want redirect to does not exist\r\n"));
    cr_assert(bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 2\r\n", "+OK\r\n"));
    cr_assert(bench_says(p->reader, "CLIENT TRACKINGINFO\r\n", INFO("~1\r\n$2\r\non\r\n", ":2")));
    stop(p);
}

Test(client_redirect, client_list_shows_it) {
    struct pair *p = start(true, true);
    bench_forget(p->reader);
    bench_say(p->reader, "CLIENT INFO\r\n");
    cr_assert(BENCH_UNTIL(p->b, strstr(bench_listen(p->reader), "resp=") != NULL));
    cr_assert_not_null(strstr(bench_listen(p->reader), " flags=t db=0"));
    cr_assert_not_null(strstr(bench_listen(p->reader), " redir=1 resp=2"));
    bench_say(p->reader, "CLIENT TRACKING OFF\r\nCLIENT INFO\r\n");
    cr_assert(BENCH_UNTIL(p->b, strstr(bench_listen(p->reader), " redir=-1 ") != NULL));
    cr_assert_not_null(strstr(bench_listen(p->reader), " flags=N db=0"));
    stop(p);
}

/* ---- another worker's client ---- */

Test(client_redirect, another_workers_client_is_told_through_its_inbox) {
    struct pair *p = start(true, false);
    move_target(p);
    cr_assert(bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 1\r\n", "+OK\r\n"));
    read_key(p, "a");
    read_key(p, "b");
    stale(p, "a");
    stale(p, "b");
    cr_assert(BENCH_UNTIL(p->b, p->wakes == 1));
    bench_settle(p->b);
    cr_assert_eq(p->wakes, 1, "one wake for both");
    cr_assert_eq(inbox_worker(p->woken), 1);
    cr_assert_str_eq(bench_listen(p->target), "");
    client_inbox(p->woken);
    cr_assert(bench_hears(p->target, MESSAGE "*1\r\n$1\r\na\r\n" MESSAGE "*1\r\n$1\r\nb\r\n"));
    bench_forget(p->target);
    read_key(p, "a");
    node_fake_say(p->b->nodes[0], ">1\r\n+stale-all\r\n");
    cr_assert(BENCH_UNTIL(p->b, p->wakes == 2));
    client_inbox(p->woken);
    cr_assert(bench_hears(p->target, MESSAGE "$-1\r\n"));
    stop(p);
}

Test(client_redirect, more_than_an_inbox_holds_is_everything) {
    struct pair *p = start(true, false);
    char key[1001], request[1100];
    move_target(p);
    cr_assert(bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 1 BCAST\r\n", "+OK\r\n"));
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    snprintf(request, sizeof(request), ">3\r\n+stale\r\n+s\r\n$%zu\r\n%s\r\n", strlen(key), key);
    for (int i = 0; i < 300; i++) {
        node_fake_say(p->b->nodes[0], request);
        bench_turn(p->b);
    }
    bench_settle(p->b);
    cr_assert_eq(p->wakes, 1);
    client_inbox(p->woken);
    cr_assert(bench_hears(p->target, MESSAGE "$-1\r\n"));
    stop(p);
}

Test(client_redirect, a_worker_that_cannot_be_woken_looks_by_itself) {
    struct pair *p = start(true, false);
    move_target(p);
    p->deaf = true;
    cr_assert(bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 1\r\n", "+OK\r\n"));
    read_key(p, "a");
    read_key(p, "b");
    stale(p, "a");
    stale(p, "b");
    cr_assert(BENCH_UNTIL(p->b, p->wakes == 2));
    client_list_tick(p->b->clients, bench_now_ms() * 1000);
    cr_assert(bench_hears(p->target, MESSAGE "*1\r\n$1\r\na\r\n" MESSAGE "*1\r\n$1\r\nb\r\n"));
    stop(p);
}

Test(client_redirect, another_workers_client_that_left_is_a_broken_redirect) {
    struct pair *p = start(true, false);
    move_target(p);
    bench_say(p->reader, "HELLO 3\r\nCLIENT TRACKING ON REDIRECT 1\r\n");
    bench_settle(p->b);
    bench_listen(p->reader);
    read_key(p, "a");
    bench_client_free(&p->target);
    cr_assert(BENCH_UNTIL(p->b, client_list_count(p->b->clients) == 1));
    stale(p, "a");
    cr_assert(bench_hears(p->reader, ">2\r\n$21\r\ntracking-redir-broken\r\n:1\r\n"));
    stop(p);
}

Test(client_redirect, a_target_that_does_not_read_is_cut) {
    struct pair *p = start(true, false);
    cr_assert(bench_says(p->reader, "CLIENT TRACKING ON REDIRECT 1 BCAST\r\n", "+OK\r\n"));
    char key[1001], request[1100];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    snprintf(request, sizeof(request), ">3\r\n+stale\r\n+s\r\n$%zu\r\n%s\r\n", strlen(key), key);
    unsigned said = 0;
    while (client_list_count(p->b->clients) == 2 && said++ < 100000) {
        node_fake_say(p->b->nodes[0], request);
        bench_turn(p->b);
    }
    cr_assert_eq(client_list_count(p->b->clients), 1);
    cr_assert_eq(bench_stat(p->b, PROXY_STAT_CLIENTS_OVERFLOWED), 1);
    cr_assert(bench_says(p->reader, "PING\r\n", "+PONG\r\n"));
    stop(p);
}
