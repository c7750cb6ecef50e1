// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proxy/client.h"
#include "../fakes/bench.h"

enum { KIB = 1 << 10, SECOND_US = 1000000 };

static int swept;

static void on_tell(void *ctx, enum local_news news) {
    swept += news == LOCAL_NEWS_KILLED;
}

static const struct local_peers PEERS = {.tell = on_tell};

static struct bench *start(unsigned nodes, int64_t clients_bytes_max) {
    struct bench *b = bench_patient(nodes);
    b->conf.clients_bytes_max = clients_bytes_max;
    b->server.peers = &PEERS;
    bench_up(b);
    return b;
}

/* The node's next answer: a value of so many bytes. */
static void say_value(struct bench *b, unsigned node, int bytes) {
    char head[32];
    char *value = malloc((size_t)bytes + 3);
    snprintf(head, sizeof(head), "$%d\r\n", bytes);
    memset(value, 'v', (size_t)bytes);
    memcpy(value + bytes, "\r\n", 3);
    node_fake_say(b->nodes[node], head);
    node_fake_say(b->nodes[node], value);
    free(value);
    bench_settle(b);
}

/* It asks for so much and does not read it. */
static void owe(struct bench_client *c, int kib) {
    unsigned asked = node_fake_heard(c->bench->nodes[0]);
    for (int i = 0; i < kib; i += 64) {
        bench_say(c, "GET a\r\n");
        BENCH_HEARD(c->bench, 0, asked + 1);
        asked++;
        say_value(c->bench, 0, 64 * KIB);
    }
}

/* Published in steps; by a tick, exactly. */
static uint64_t counted(const struct bench *b) {
    client_list_tick(b->clients, bench_now_ms() * 1000);
    return bench_stat(b, PROXY_STAT_CLIENTS_BYTES);
}

Test(client_memory, what_is_answered_as_it_comes_counts_for_nothing) {
    struct bench *b = start(1, 0);
    struct bench_client *c = bench_client_new(b);
    for (unsigned i = 1; i <= 20; i++) {
        bench_say(c, "GET a\r\n");
        BENCH_HEARD(b, 0, i);
        node_fake_say(b->nodes[0], "$1\r\na\r\n");
        bench_settle(b);
    }
    client_list_tick(b->clients, bench_now_ms() * 1000);
    cr_expect_eq(counted(b), 0);
    bench_stop(b, c);
}

Test(client_memory, replies_that_are_not_read_count_until_they_are_or_the_client_leaves) {
    struct bench *b = start(1, 0);
    struct bench_client *c = bench_client_new(b), *other = bench_client_new(b);
    owe(c, 1024);
    cr_expect(counted(b) >= 512 * KIB, "%llu", (unsigned long long)counted(b));
    cr_expect(counted(b) <= 4096 * KIB, "%llu", (unsigned long long)counted(b));
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), counted(b) == 0)));
    owe(other, 1024);
    cr_expect(counted(b) >= 512 * KIB);
    bench_client_free(&other);
    cr_assert(BENCH_UNTIL(b, counted(b) == 0));
    cr_expect_eq(bench_stat(b, PROXY_STAT_CLIENTS_EVICTED), 0);
    bench_stop(b, c);
}

Test(client_memory, the_largest_client_goes_when_all_have_too_much) {
    struct bench *b = start(1, 2 << 20);
    struct bench_client *small = bench_client_new(b), *large = bench_client_new(b);
    swept = 0;
    owe(small, 448);
    cr_assert(counted(b) > 0);
    for (int i = 0; i < 40 && swept == 0; i++)
        owe(large, 128);
    cr_assert(swept > 0);
    client_list_sweep(b->clients);
    cr_expect_eq(bench_stat(b, PROXY_STAT_CLIENTS_EVICTED), 1);
    cr_expect_eq(client_list_count(b->clients), 1);
    cr_assert(BENCH_UNTIL(b, (bench_listen(large), large->eof)));
    bench_client_free(&large);
    cr_assert(BENCH_UNTIL(b, (bench_listen(small), counted(b) == 0)));
    bench_stop(b, small);
}

Test(client_memory, no_evict_is_kept_to_and_the_cap_may_change_while_it_runs) {
    struct bench *b = start(1, 0);
    struct bench_client *admin = bench_client_new(b), *large = bench_client_new(b);
    cr_assert(bench_says(admin, "CLIENT NO-EVICT ON\r\n", "+OK\r\n"));
    owe(admin, 1024);
    owe(large, 512);
    swept = 0;
    client_list_tick(b->clients, bench_now_ms() * 1000);
    cr_expect_eq(swept, 0, "there is no cap");
    b->conf.clients_bytes_max = 256 * KIB;
    client_list_tick(b->clients, bench_now_ms() * 1000 + SECOND_US);
    cr_expect_eq(swept, 1);
    client_list_sweep(b->clients);
    cr_expect_eq(bench_stat(b, PROXY_STAT_CLIENTS_EVICTED), 1);
    cr_expect_eq(client_list_count(b->clients), 1);
    client_list_tick(b->clients, bench_now_ms() * 1000 + 2 * SECOND_US);
    cr_expect_eq(swept, 1, "nobody is left who may go");
    cr_expect(counted(b) > 256 * KIB);
    bench_client_free(&large);
    bench_stop(b, admin);
}

Test(client_memory, replies_that_wait_for_their_turn_count) {
    struct bench *b = start(2, 0);
    struct bench_client *c = bench_client_new(b);
    char text[64];
    snprintf(text, sizeof(text), "GET %s\r\n", bench_key(b, 0, 0));
    bench_say(c, text);
    BENCH_HEARD(b, 0, 1u);
    snprintf(text, sizeof(text), "GET %s\r\n", bench_key(b, 1, 0));
    for (unsigned i = 1; i <= 4; i++) {
        bench_say(c, text);
        BENCH_HEARD(b, 1, i);
        say_value(b, 1, 64 * KIB);
    }
    cr_expect(counted(b) >= 4 * 64 * KIB);
    node_fake_say(b->nodes[0], "_\r\n");
    cr_assert(BENCH_UNTIL(b, (bench_listen(c), counted(b) == 0)));
    bench_stop(b, c);
}

Test(client_memory, half_a_request_counts_and_so_does_a_transaction) {
    struct bench *b = start(1, 0);
    struct bench_client *half = bench_client_new(b), *multi = bench_client_new(b);
    static char part[100 * KIB + 1];
    memset(part, 'x', sizeof(part) - 1);
    bench_say(half, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$200000\r\n");
    bench_say(half, part);
    bench_settle(b);
    cr_expect(counted(b) >= 100 * KIB);
    uint64_t before = counted(b);
    cr_assert(bench_says(multi, "MULTI\r\n", "+OK\r\n"));
    bench_say(multi, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$102400\r\n");
    bench_say(multi, part);
    bench_say(multi, "\r\n");
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(multi), "QUEUED") != NULL));
    cr_expect(counted(b) >= before + 100 * KIB);
    bench_forget(multi);
    cr_assert(bench_says(multi, "DISCARD\r\n", "+OK\r\n"));
    bench_client_free(&half);
    cr_assert(BENCH_UNTIL(b, counted(b) == 0));
    bench_stop(b, multi);
}
