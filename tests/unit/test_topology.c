// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/buf.h"
#include "../../common/conn.h"
#include "../../common/hash.h"
#include "../../common/reply.h"
#include "../../common/resp_write.h"
#include "../../common/ring.h"
#include "../../proxy/topology.h"
#include "../../proxy/upstream.h"
#include "../fakes/bench.h"

/* One request, asked of the topology. */
struct asked {
    struct upstream_entry entry;
    unsigned answers;
    char reply[128];
};

static void on_done(struct upstream_entry *entry, struct span reply) {
    struct asked *a = (struct asked *)((char *)entry - offsetof(struct asked, entry));
    a->answers++;
    snprintf(a->reply, sizeof(a->reply), "%.*s", (int)reply.len, reply.ptr);
}

static struct bench *prepare(unsigned nodes) {
    struct bench *b = bench_patient(nodes);
    b->conf.node_retry_max_ms = 40;
    return b;
}

static struct bench *start(unsigned nodes) {
    struct bench *b = prepare(nodes);
    bench_up(b);
    return b;
}

/* Sends `name key`; returns what topology_send() returned. */
static int send_request(struct bench *b, struct asked *a, const char *name, const char *key) {
    struct buf request;
    buf_init(&request, 0);
    resp_write_request(&request, (struct span[]){span_str(name), span_str(key)}, 2);
    *a = (struct asked){.entry = {.done = on_done,
                                  .hash = hash_ring(span_str(key)),
                                  .start_us = conn_loop_now_us(b->env.loop),
                                  .is_write = strcmp(name, "GET") != 0}};
    int error =
        topology_send(b->env.topology, &a->entry, span_of(buf_head(&request), buf_len(&request)));
    buf_release(&request);
    return error;
}

#define SENT(b, a, name, key) cr_assert_eq(send_request(b, a, name, key), REPLY_ERROR_COUNT)
#define ANSWERED(b, a, text)                                                                       \
    do {                                                                                           \
        cr_assert(BENCH_UNTIL(b, (a)->answers == 1));                                              \
        cr_assert_eq(strncmp((a)->reply, text, strlen(text)), 0, "%s", (a)->reply);                \
    } while (0)

static void kill_node(struct bench *b, unsigned node) {
    node_fake_refuse(b->nodes[node]);
    node_fake_reset(b->nodes[node]);
}

/* Who comes second on the ring for `key`. */
static unsigned second_owner(const struct bench *b, const char *key) {
    uint32_t owners[2];
    size_t count = ring_owners(topology_ring(b->env.topology), hash_ring(span_str(key)), owners, 2);
    cr_assert_eq(count, 2);
    return owners[1];
}

static bool is_reachable(const struct bench *b, unsigned node) {
    struct topology_node facts;
    topology_node(b->env.topology, node, &facts);
    return facts.reachable;
}

/* ---- choosing ---- */

Test(topology, each_key_goes_to_its_owner) {
    struct bench *b = start(3);
    struct asked a[3];
    for (unsigned i = 0; i < 3; i++)
        SENT(b, &a[i], "GET", bench_key(b, i, 0));
    for (unsigned i = 0; i < 3; i++) {
        BENCH_HEARD(b, i, 1);
        node_fake_say(b->nodes[i], "_\r\n");
        ANSWERED(b, &a[i], "_\r\n");
    }
    cr_assert_eq(bench_stat(b, PROXY_STAT_FORWARDED), 3);
    cr_assert_eq(bench_stat(b, PROXY_STAT_REROUTED), 0);
    bench_free(&b);
}

Test(topology, keys_of_a_node_that_is_down_go_to_the_next_owner_and_the_others_stay) {
    struct bench *b = start(3);
    const char *key = bench_key(b, 0, 0);
    unsigned next = second_owner(b, key);
    kill_node(b, 0);
    cr_assert(BENCH_UNTIL(b, !is_reachable(b, 0)));
    struct asked a, other;
    SENT(b, &a, "GET", key);
    BENCH_HEARD(b, next, 1);
    cr_assert_eq(bench_stat(b, PROXY_STAT_REROUTED), 1);
    unsigned third = 3 - next;
    SENT(b, &other, "GET", bench_key(b, third, 0));
    BENCH_HEARD(b, third, 1);
    cr_assert_eq(bench_stat(b, PROXY_STAT_REROUTED), 1);
    bench_free(&b);
}

Test(topology, a_node_that_returns_gets_its_keys_back) {
    struct bench *b = start(2);
    struct asked a;
    kill_node(b, 0);
    cr_assert(BENCH_UNTIL(b, !is_reachable(b, 0)));
    node_fake_listen(b->nodes[0]);
    cr_assert(BENCH_UNTIL(b, is_reachable(b, 0)));
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 1);
    bench_free(&b);
}

Test(topology, a_node_that_flaps_is_passed_over_unless_there_is_no_other) {
    struct bench *b = start(2);
    struct asked a, z;
    for (unsigned i = 2; i <= 3; i++) {
        node_fake_reset(b->nodes[0]);
        cr_assert(BENCH_UNTIL(b, node_fake_links(b->nodes[0]) == i && is_reachable(b, 0)));
    }
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    BENCH_HEARD(b, 1, 1);
    kill_node(b, 1); /* and with it, what it was just asked comes back */
    BENCH_HEARD(b, 0, 1);
    SENT(b, &z, "GET", bench_key(b, 1, 0));
    BENCH_HEARD(b, 0, 2);
    bench_free(&b);
}

Test(topology, without_any_node_it_says_so_and_nothing_is_sent) {
    struct bench *b = start(2);
    struct asked a;
    kill_node(b, 0);
    kill_node(b, 1);
    cr_assert(BENCH_UNTIL(b, !is_reachable(b, 0) && !is_reachable(b, 1)));
    cr_assert_eq(send_request(b, &a, "GET", "k"), REPLY_NODEDOWN);
    cr_assert_eq(a.answers, 0);
    cr_assert_eq(bench_stat(b, PROXY_STAT_NODEDOWN), 1);
    bench_free(&b);
}

Test(topology, a_node_with_too_much_to_do_is_busy) {
    struct bench *b = prepare(1);
    b->conf.node_inflight_max = 2;
    bench_up(b);
    struct asked a[3];
    SENT(b, &a[0], "GET", "k");
    SENT(b, &a[1], "GET", "k");
    cr_assert_eq(send_request(b, &a[2], "GET", "k"), REPLY_BUSY);
    cr_assert_eq(bench_stat(b, PROXY_STAT_BUSY), 1);
    bench_free(&b);
}

/* ---- losing nodes (rule 10, design.md section 7) ---- */

Test(topology, rule_10_a_read_that_was_sent_moves_on_to_the_next_owner) {
    struct bench *b = start(3);
    const char *key = bench_key(b, 0, 0);
    unsigned next = second_owner(b, key);
    struct asked a;
    SENT(b, &a, "GET", key);
    BENCH_HEARD(b, 0, 1);
    kill_node(b, 0);
    BENCH_HEARD(b, next, 1);
    node_fake_say(b->nodes[next], "$1\r\nv\r\n");
    ANSWERED(b, &a, "$1\r\nv\r\n");
    cr_assert_eq(bench_stat(b, PROXY_STAT_RETRIED), 1);
    bench_free(&b);
}

Test(topology, rule_10_a_deferred_read_moves_on_too) {
    struct bench *b = start(2);
    struct asked a;
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 1);
    node_fake_say(b->nodes[0], ">2\r\n+defer\r\n:1\r\n");
    cr_assert(BENCH_UNTIL(b, bench_stat(b, PROXY_STAT_LATE) == 1));
    kill_node(b, 0);
    BENCH_HEARD(b, 1, 1);
    node_fake_say(b->nodes[1], "_\r\n");
    ANSWERED(b, &a, "_\r\n");
    bench_free(&b);
}

Test(topology, rule_10_a_write_that_was_sent_is_uncertain_and_goes_nowhere_else) {
    struct bench *b = start(2);
    struct asked a;
    SENT(b, &a, "DEL", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 1);
    kill_node(b, 0);
    ANSWERED(b, &a, "-UNCERTAIN ");
    cr_assert_eq(node_fake_heard(b->nodes[1]), 0);
    cr_assert_eq(bench_stat(b, PROXY_STAT_UNCERTAIN), 1);
    bench_free(&b);
}

Test(topology, rule_10_a_deferred_write_is_uncertain_too) {
    struct bench *b = start(2);
    struct asked a;
    SENT(b, &a, "DEL", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 1);
    node_fake_say(b->nodes[0], ">2\r\n+defer\r\n:1\r\n");
    cr_assert(BENCH_UNTIL(b, bench_stat(b, PROXY_STAT_LATE) == 1));
    kill_node(b, 0);
    ANSWERED(b, &a, "-UNCERTAIN ");
    bench_free(&b);
}

Test(topology, rule_10_a_write_of_which_nothing_was_sent_moves_on) {
    struct bench *b = prepare(2);
    node_fake_refuse(b->nodes[0]);
    bench_open(b); /* it is not known yet that nobody listens there */
    struct asked a;
    SENT(b, &a, "DEL", bench_key(b, 0, 0));
    BENCH_HEARD(b, 1, 1);
    node_fake_say(b->nodes[1], ":1\r\n"); /* perhaps its status is asked after it */
    ANSWERED(b, &a, ":1\r\n");
    cr_assert_eq(bench_stat(b, PROXY_STAT_UNCERTAIN), 0);
    bench_free(&b);
}

Test(topology, rule_10_without_another_owner_a_lost_read_gets_nodedown_a_write_uncertain) {
    struct bench *b = start(1);
    struct asked a, z;
    SENT(b, &a, "GET", "k");
    SENT(b, &z, "DEL", "k");
    BENCH_HEARD(b, 0, 2);
    kill_node(b, 0);
    ANSWERED(b, &a, "-NODEDOWN ");
    ANSWERED(b, &z, "-UNCERTAIN ");
    bench_free(&b);
}

static unsigned asked_nodes(const struct bench *b) {
    unsigned count = 0;
    for (unsigned n = 0; n < b->nodes_count; n++)
        count += node_fake_heard(b->nodes[n]) != 0;
    return count;
}

Test(topology, a_read_is_not_sent_around_for_ever) {
    struct bench *b = start(8);
    struct asked a;
    SENT(b, &a, "GET", "k");
    for (int i = 0; i < 8 && a.answers == 0; i++) { /* whoever is asked dies */
        cr_assert(BENCH_UNTIL(b, a.answers == 1 || asked_nodes(b) == (unsigned)i + 1));
        for (unsigned n = 0; n < 8; n++) {
            if (node_fake_heard(b->nodes[n]) != 0)
                kill_node(b, n);
        }
    }
    ANSWERED(b, &a, "-NODEDOWN ");
    cr_assert_eq(bench_stat(b, PROXY_STAT_RETRIED), 3);
    bench_free(&b);
}

Test(topology, a_read_whose_time_is_over_gets_timeout_and_moves_nowhere) {
    struct bench *b = start(2);
    struct asked a;
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 1);
    node_fake_say(b->nodes[0], ">2\r\n+defer\r\n:1\r\n");
    cr_assert(BENCH_UNTIL(b, bench_stat(b, PROXY_STAT_LATE) == 1));
    b->conf.request_timeout_ms = 1000;
    a.entry.start_us -= 2000000;
    ANSWERED(b, &a, "-TIMEOUT ");
    cr_assert_eq(node_fake_heard(b->nodes[1]), 0);
    cr_assert_eq(bench_stat(b, PROXY_STAT_TIMEOUTS), 1);
    bench_free(&b);
}

Test(topology, a_lost_read_whose_time_is_over_does_not_move_on) {
    struct bench *b = start(2);
    struct asked a;
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 1);
    a.entry.start_us -= 2 * 600000LL * 1000;
    kill_node(b, 0);
    ANSWERED(b, &a, "-TIMEOUT ");
    bench_free(&b);
}

Test(topology, a_write_whose_time_is_over_is_uncertain) {
    struct bench *b = start(1);
    struct asked a;
    SENT(b, &a, "DEL", "k");
    BENCH_HEARD(b, 0, 1);
    node_fake_say(b->nodes[0], ">2\r\n+defer\r\n:1\r\n");
    cr_assert(BENCH_UNTIL(b, bench_stat(b, PROXY_STAT_LATE) == 1));
    b->conf.write_timeout_ms = b->conf.request_timeout_ms = 1000;
    a.entry.start_us -= 2000000;
    ANSWERED(b, &a, "-UNCERTAIN ");
    cr_assert_eq(bench_stat(b, PROXY_STAT_TIMEOUTS), 0);
    bench_free(&b);
}

Test(topology, a_hung_node_holds_up_its_reads_for_half_a_budget_and_nobody_elses) {
    struct bench *b = start(2);
    struct asked a, other;
    node_fake_hang(b->nodes[0], true);
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    SENT(b, &other, "GET", bench_key(b, 1, 0));
    BENCH_HEARD(b, 1, 1);
    node_fake_say(b->nodes[1], "_\r\n");
    ANSWERED(b, &other, "_\r\n");
    cr_assert_eq(a.answers, 0);
    a.entry.start_us = INT64_MAX / 2; /* a slow machine must not end its time */
    b->conf.request_timeout_ms = 40;
    BENCH_HEARD(b, 1, 2);
    node_fake_say(b->nodes[1], "$1\r\nv\r\n");
    ANSWERED(b, &a, "$1\r\nv\r\n");
    bench_free(&b);
}

Test(topology, a_hung_node_is_found_although_nobody_asks_it_anything) {
    struct bench *b = prepare(2);
    b->conf.health_interval_ms = 50;
    b->conf.request_timeout_ms = 100;
    bench_up(b);
    node_fake_hang(b->nodes[0], true);
    cr_assert(BENCH_UNTIL(b, !is_reachable(b, 0)));
    cr_assert(is_reachable(b, 1));
    bench_free(&b);
}

/* ---- swapping rings ---- */

Test(topology, nodes_that_stay_keep_their_connections) {
    struct bench *b = start(3);
    struct asked a, z;
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    bench_swap(b, 3);
    SENT(b, &z, "GET", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 2);
    node_fake_say(b->nodes[0], ":1\r\n:2\r\n");
    ANSWERED(b, &a, ":1\r\n");
    ANSWERED(b, &z, ":2\r\n");
    cr_assert_eq(node_fake_links(b->nodes[0]), 1);
    cr_assert_eq(topology_count(b->env.topology), 2);
    cr_assert_eq(topology_epoch(b->env.topology), 2);
    cr_assert_eq(bench_stat(b, PROXY_STAT_RELOADS), 2);
    bench_free(&b);
}

Test(topology, a_node_that_left_finishes_what_it_has_and_gets_nothing_new) {
    struct bench *b = start(2);
    struct asked a, w, z;
    const char *key = bench_key(b, 0, 0);
    SENT(b, &a, "GET", key);
    SENT(b, &w, "DEL", key);
    BENCH_HEARD(b, 0, 2);
    node_fake_say(b->nodes[0], ">2\r\n+defer\r\n:1\r\n");
    bench_swap(b, 2);
    SENT(b, &z, "GET", key);
    BENCH_HEARD(b, 1, 1);
    cr_assert_eq(node_fake_open(b->nodes[0]), 1);
    node_fake_say(b->nodes[0], ":2\r\n>3\r\n+late\r\n:1\r\n$1\r\nv\r\n");
    ANSWERED(b, &a, "$1\r\nv\r\n");
    ANSWERED(b, &w, ":2\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_open(b->nodes[0]) == 0)); /* then its connection closes */
    cr_assert_eq(node_fake_heard(b->nodes[0]), 2);
    bench_free(&b);
}

Test(topology, a_node_that_left_is_not_waited_for_longer_than_drain_ms) {
    struct bench *b = prepare(2);
    b->conf.drain_ms = 20;
    bench_up(b);
    struct asked a, w;
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    SENT(b, &w, "DEL", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 2);
    bench_swap(b, 2);
    ANSWERED(b, &w, "-UNCERTAIN ");
    BENCH_HEARD(b, 1, 1); /* the read moves on */
    node_fake_say(b->nodes[1], "_\r\n");
    ANSWERED(b, &a, "_\r\n");
    bench_free(&b);
}

Test(topology, a_node_may_leave_and_return_while_it_drains) {
    struct bench *b = start(2);
    struct asked a, z;
    const char *key = bench_key(b, 0, 0);
    SENT(b, &a, "GET", key);
    BENCH_HEARD(b, 0, 1);
    node_fake_say(b->nodes[0], ">2\r\n+defer\r\n:1\r\n");
    cr_assert(BENCH_UNTIL(b, bench_stat(b, PROXY_STAT_LATE) == 1));
    bench_swap(b, 2);
    bench_swap(b, 3);
    SENT(b, &z, "GET", key);
    BENCH_HEARD(b, 0, 2); /* on a connection of its own */
    cr_assert_eq(node_fake_links(b->nodes[0]), 2);
    node_fake_say(b->nodes[0], ":9\r\n");
    ANSWERED(b, &z, ":9\r\n");
    cr_assert_eq(a.answers, 0);
    bench_free(&b); /* which gives the first its error */
}

Test(topology, a_member_that_drains_or_is_down_is_not_connected_to) {
    struct bench *b = prepare(3);
    b->env.topology = b->server.topology = topology_new(&b->env, "r");
    struct ring_member members[3] = {{"n0", "127.0.0.1", 0, 1, RING_UP},
                                     {"n1", "127.0.0.1", 0, 1, RING_DRAIN},
                                     {"n2", "127.0.0.1", 0, 1, RING_DOWN}};
    for (int i = 0; i < 3; i++)
        members[i].port = node_fake_port(b->nodes[i]);
    cr_assert(topology_swap(b->env.topology, ring_build(members, 3), 1));
    cr_assert(BENCH_UNTIL(b, is_reachable(b, 0)));
    struct asked a[20];
    for (int i = 0; i < 20; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        SENT(b, &a[i], "GET", key);
    }
    BENCH_HEARD(b, 0, 20);
    cr_assert_eq(node_fake_links(b->nodes[1]) + node_fake_links(b->nodes[2]), 0);
    cr_assert_eq(topology_count(b->env.topology), 3);
    bench_free(&b);
}

Test(topology, another_address_is_another_connection) {
    struct bench *b = start(2);
    struct ring_member moved = {"n0", "127.0.0.1", 0, 1, RING_UP};
    struct asked a, z;
    moved.port = node_fake_port(b->nodes[1]); /* n0 lives where n1 lived */
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    BENCH_HEARD(b, 0, 1);
    cr_assert(topology_swap(b->env.topology, ring_build(&moved, 1), 9));
    SENT(b, &z, "GET", bench_key(b, 0, 0));
    BENCH_HEARD(b, 1, 1);
    cr_assert_eq(node_fake_links(b->nodes[1]), 2);
    bench_free(&b);
}

static void answer_nil(void *ctx, struct node_fake *node, const struct span *argv, uint32_t argc) {
    node_fake_say(node, "_\r\n");
}

/* At every moment of a swap to and fro, each request is answered exactly once. */
Test(topology, no_swap_loses_a_request) {
    enum { ROUNDS = 30, EACH = 5 };
    struct bench *b = start(3);
    static struct asked a[ROUNDS * EACH];
    static const unsigned MASKS[] = {7, 3, 5, 6, 1, 2, 4};
    unsigned count = 0, seed = 5;
    for (unsigned n = 0; n < 3; n++)
        node_fake_serve(b->nodes[n], answer_nil, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%u", count);
            SENT(b, &a[count], "GET", key);
            count++;
        }
        for (int turns = rand_r(&seed) % 4; turns > 0; turns--)
            bench_turn(b);
        bench_swap(b, MASKS[(unsigned)rand_r(&seed) % 7]);
    }
    for (unsigned i = 0; i < count; i++)
        ANSWERED(b, &a[i], "_\r\n");
    bench_free(&b);
}

Test(topology, freeing_it_answers_what_is_open) {
    struct bench *b = start(2);
    struct asked a, w;
    SENT(b, &a, "GET", bench_key(b, 0, 0));
    SENT(b, &w, "DEL", bench_key(b, 1, 0));
    BENCH_HEARD(b, 0, 1);
    BENCH_HEARD(b, 1, 1);
    topology_free(&b->env.topology);
    cr_assert_eq(a.answers, 1);
    cr_assert_eq(strncmp(a.reply, "-NODEDOWN ", 10), 0);
    cr_assert_eq(w.answers, 1);
    cr_assert_eq(strncmp(w.reply, "-UNCERTAIN ", 11), 0);
    bench_free(&b);
}

/* ---- facts ---- */

Test(topology, facts_are_those_of_the_members_in_their_order) {
    struct bench *b = start(3);
    struct asked a;
    uint32_t share = 0;
    SENT(b, &a, "GET", bench_key(b, 1, 0));
    for (uint32_t i = 0; i < 3; i++) {
        struct topology_node facts;
        char name[8];
        topology_node(b->env.topology, i, &facts);
        snprintf(name, sizeof(name), "n%u", i);
        cr_assert_str_eq(facts.name, name);
        cr_assert_str_eq(facts.host, "127.0.0.1");
        cr_assert_eq(facts.port, node_fake_port(b->nodes[i]));
        cr_assert(facts.reachable);
        cr_assert_eq(facts.inflight, i == 1 ? 1 : 0);
        cr_assert(span_equal(facts.status, SPAN("keys:7\r\n")));
        cr_assert_geq(facts.status_age_ms, 0);
        share += facts.share_ppm;
    }
    cr_assert(share > 999990 && share <= 1000000, "%u", share);
    cr_assert_str_eq(topology_path(b->env.topology), "ring.conf");
    bench_free(&b);
}
