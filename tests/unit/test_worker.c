// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/ring.h"
#include "../../proxy/worker.h"
#include "../fakes/bench.h"

static struct bench *b;
static struct local_server server;
static stats_value stats[PROXY_STAT_COUNT];
static const stats_value *blocks[1] = {stats};
static struct worker *w;

/* Of the nodes whose bits are set. */
static struct ring *make_ring(unsigned mask) {
    static struct ring_member members[BENCH_NODES_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < b->nodes_count; i++) {
        if ((mask & (1u << i)) == 0)
            continue;
        struct ring_member *m = &members[count++];
        *m = (struct ring_member){
            .host = "127.0.0.1", .port = node_fake_port(b->nodes[i]), .weight = 1};
        snprintf(m->name, sizeof(m->name), "n%u", i);
    }
    struct ring *ring = ring_build(members, count);
    cr_assert_not_null(ring);
    return ring;
}

static void serve(void *ctx, struct node_fake *node, const struct span *argv, uint32_t argc) {
    node_fake_say(node, ctx);
}

static void set_up(void) {
    b = bench_new(2);
    node_fake_serve(b->nodes[0], serve, "$4\r\nzero\r\n");
    node_fake_serve(b->nodes[1], serve, "$3\r\none\r\n");
    server = b->server;
    server.worker_stats = blocks;
    w = worker_start(&server, "ring.conf", make_ring(1), 1, NULL, stats);
    cr_assert_not_null(w);
}

static void tear_down(void) {
    if (w != NULL)
        worker_stop(w);
    worker_free(&w);
    bench_free(&b);
}

TestSuite(worker, .init = set_up, .fini = tear_down);

static struct bench_client *give_client(void) {
    struct bench_client *c = calloc(1, sizeof(*c));
    int pair[2];
    cr_assert_not_null(c);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    *c = (struct bench_client){.bench = b, .fd = pair[0]};
    cr_assert(worker_give_client(w, pair[1]));
    return c;
}

static bool ended(struct bench_client *c) {
    return BENCH_UNTIL(b, (bench_listen(c), c->eof));
}

Test(worker, serves_the_clients_that_it_is_given) {
    struct bench_client *c = give_client(), *other = give_client();
    bench_say(c, "PING\r\n");
    cr_assert(bench_hears(c, "+PONG\r\n"));
    cr_assert(BENCH_UNTIL(b, node_fake_statuses(b->nodes[0]) == 1));
    bench_say(other, "GET key\r\n");
    cr_assert(bench_hears(other, "$4\r\nzero\r\n"));
    cr_assert_eq(stats_get(&stats[PROXY_STAT_FORWARDED]), 1);
    cr_assert_eq(bench_stat(b, PROXY_STAT_FORWARDED), 0);
    bench_client_free(&c);
    bench_client_free(&other);
}

Test(worker, takes_a_new_ring_while_it_runs) {
    struct bench_client *c = give_client();
    cr_assert(BENCH_UNTIL(b, node_fake_statuses(b->nodes[0]) == 1));
    bench_say(c, "GET key\r\n");
    cr_assert(bench_hears(c, "$4\r\nzero\r\n"));
    bench_forget(c);
    cr_assert(worker_give_ring(w, make_ring(2), 2));
    cr_assert(BENCH_UNTIL(b, node_fake_statuses(b->nodes[1]) == 1));
    bench_say(c, "GET key\r\n");
    cr_assert(bench_hears(c, "$3\r\none\r\n"));
    cr_assert_eq(stats_get(&stats[PROXY_STAT_RELOADS]), 2);
    cr_assert(BENCH_UNTIL(b, node_fake_open(b->nodes[0]) == 0));
    bench_client_free(&c);
}

Test(worker, draining_it_finishes_what_was_asked_and_ends) {
    struct bench_client *idle = give_client(), *busy = give_client();
    cr_assert(BENCH_UNTIL(b, node_fake_statuses(b->nodes[0]) == 1));
    bench_say(idle, "PING\r\n");
    cr_assert(bench_hears(idle, "+PONG\r\n"));
    node_fake_serve(b->nodes[0], NULL, NULL);
    bench_say(busy, "SET key value\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    worker_drain(w);
    cr_assert(ended(idle));
    cr_assert_not(worker_ended(w));
    node_fake_say(b->nodes[0], "+OK\r\n");
    cr_assert(ended(busy));
    cr_assert_str_eq(busy->heard, "+OK\r\n");
    cr_assert(BENCH_UNTIL(b, worker_ended(w)));
    bench_client_free(&idle);
    bench_client_free(&busy);
}

Test(worker, stopped_it_closes_its_clients) {
    struct bench_client *c = give_client();
    bench_say(c, "PING\r\n");
    cr_assert(bench_hears(c, "+PONG\r\n"));
    cr_assert_not(worker_ended(w));
    worker_stop(w);
    cr_assert(BENCH_UNTIL(b, worker_ended(w)));
    worker_free(&w);
    cr_assert_null(w);
    cr_assert(ended(c));
    bench_client_free(&c);
}

Test(worker, what_comes_too_late_is_closed_and_freed) {
    worker_stop(w);
    cr_assert(BENCH_UNTIL(b, worker_ended(w)));
    struct bench_client *c = give_client();
    cr_assert(worker_give_ring(w, make_ring(3), 2));
    worker_free(&w);
    cr_assert(ended(c));
    bench_client_free(&c);
    cr_assert_not(bench_leaks());
}

/* Signals are for the main thread: no worker's thread may take one. */
Test(worker, its_thread_takes_no_signal) {
    char path[80], line[200];
    unsigned threads = 0, deaf = 0;
    DIR *dir = opendir("/proc/self/task");
    cr_assert_not_null(dir);
    for (struct dirent *task; (task = readdir(dir)) != NULL;) {
        if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
            continue;
        unsigned long long blocked = 0;
        snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", task->d_name);
        FILE *file = fopen(path, "re");
        cr_assert_not_null(file);
        while (fgets(line, sizeof(line), file) != NULL)
            sscanf(line, "SigBlk: %llx", &blocked);
        fclose(file);
        threads++;
        deaf += (blocked & (1ull << (SIGTERM - 1))) != 0 && (blocked & (1ull << (SIGHUP - 1))) != 0;
    }
    closedir(dir);
    cr_assert_geq(threads, 1); /* Criterion has one of its own, which is deaf as well */
    cr_assert_eq(deaf, threads);
}

Test(worker, without_a_node_to_reach_its_clients_are_told) {
    node_fake_refuse(b->nodes[1]);
    cr_assert(worker_give_ring(w, make_ring(2), 2));
    cr_assert(BENCH_UNTIL(b, stats_get(&stats[PROXY_STAT_RELOADS]) == 2));
    struct bench_client *c = give_client();
    bench_say(c, "GET key\r\n");
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), "\r\n") != NULL));
    cr_assert_eq(strncmp(c->heard, "-NODEDOWN ", 10), 0, "%s", c->heard);
    bench_client_free(&c);
}
