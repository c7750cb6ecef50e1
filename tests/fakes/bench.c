#include "bench.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/clock.h"
#include "../../common/conf.h"
#include "../../common/conn.h"
#include "../../common/hash.h"
#include "../../common/log.h"
#include "../../common/ring.h"
#include "../../proxy/board.h"
#include "../../proxy/channels.h"
#include "../../proxy/client.h"
#include "../../proxy/gather.h"
#include "../../proxy/monitor.h"
#include "../../proxy/registry.h"
#include "../../proxy/topology.h"
#include "../../proxy/tracking.h"

static void on_pulse(evutil_socket_t fd, short what, void *arg);

static void must(bool holds, const char *what) {
    if (holds)
        return;
    perror(what);
    abort();
}

struct bench *bench_new(unsigned nodes) {
    struct bench *b = calloc(1, sizeof(*b));
    must(b != NULL && nodes <= BENCH_NODES_MAX, "bench");
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    conf_init(rows, count, &b->conf);
    b->conf.health_interval_ms = 600000;
    log_set_level(LOG_LEVEL_ERROR);
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK); /* as a worker's */
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    b->base = event_base_new_with_config(config);
    event_config_free(config);
    b->blocks[0] = b->stats;
    must(pause_init(&b->pause), "bench: pause");
    b->server = (struct local_server){.conf = &b->conf,
                                      .registry = registry_new(),
                                      .worker_stats = b->blocks,
                                      .workers = 1,
                                      .pause = &b->pause,
                                      .monitor = monitor_new(),
                                      .config_file = "",
                                      .run_id = "0123456789012345678901234567890123456789"};
    b->env = (struct proxy_env){.conf = &b->conf,
                                .base = b->base,
                                .loop = conn_loop_new(b->base),
                                .server = &b->server,
                                .pause = &b->pause,
                                .monitor = b->server.monitor,
                                .stats = b->stats};
    b->env.gathers = gathers_new();
    must(b->env.gathers != NULL, "bench: gathers");
    b->env.tracking = b->server.tracking = tracking_new(1000, &CLIENT_TRACKING_HANDLERS, &b->env);
    b->server.board = board_new(8, 3);
    b->env.channels = b->server.channels =
        channels_new(b->server.board, &CLIENT_CHANNELS_HANDLERS, &b->env);
    must(b->server.board != NULL && b->env.channels != NULL, "bench: channels");
    must(b->base != NULL && b->env.tracking != NULL && b->env.loop != NULL &&
             b->server.registry != NULL,
         "bench");
    const struct timeval every = {0, 1000};
    b->pulse = event_new(b->base, -1, EV_PERSIST, on_pulse, NULL);
    must(b->pulse != NULL && event_add(b->pulse, &every) == 0, "bench: pulse");
    for (unsigned i = 0; i < nodes; i++)
        b->nodes[i] = node_fake_new(b->base);
    b->nodes_count = nodes;
    return b;
}

struct bench *bench_patient(unsigned nodes) {
    struct bench *b = bench_new(nodes);
    b->conf.request_timeout_ms = b->conf.write_timeout_ms = 600000;
    return b;
}

struct bench *bench_start(unsigned nodes) {
    struct bench *b = bench_patient(nodes);
    bench_up(b);
    return b;
}

void bench_free(struct bench **pointer) {
    struct bench *b = *pointer;
    *pointer = NULL;
    topology_free(&b->env.topology); /* as worker.c does */
    client_list_free(&b->clients);
    gathers_free(&b->env.gathers);
    tracking_free(&b->env.tracking);
    channels_free(&b->env.channels);
    board_free(&b->server.board);
    for (unsigned i = 0; i < b->nodes_count; i++)
        node_fake_free(&b->nodes[i]);
    conn_loop_free(&b->env.loop);
    registry_free(&b->server.registry);
    pause_release(&b->pause);
    monitor_free(&b->server.monitor);
    event_free(b->pulse);
    event_base_free(b->base);
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    conf_release(rows, count, &b->conf);
    free(b);
}

static struct ring *make_ring(const struct bench *b, unsigned mask) {
    struct ring_member members[BENCH_NODES_MAX];
    size_t count = 0;
    memset(members, 0, sizeof(members));
    for (unsigned i = 0; i < b->nodes_count; i++) {
        if ((mask & (1u << i)) == 0)
            continue;
        struct ring_member *m = &members[count++];
        snprintf(m->name, sizeof(m->name), "n%u", i);
        snprintf(m->host, sizeof(m->host), "127.0.0.1");
        m->port = node_fake_port(b->nodes[i]);
        m->weight = 1;
    }
    struct ring *ring = ring_build(members, count);
    must(ring != NULL, "bench: ring");
    return ring;
}

void bench_swap(struct bench *b, unsigned mask) {
    must(topology_swap(b->env.topology, make_ring(b, mask), ++b->epoch), "bench: swap");
}

void bench_open(struct bench *b) {
    b->env.topology = b->server.topology = topology_new(&b->env, "ring.conf");
    b->clients = client_list_new(&b->env);
    must(b->env.topology != NULL && b->clients != NULL, "bench");
    bench_swap(b, (1u << b->nodes_count) - 1);
}

static bool all_heard(const struct bench *b) {
    for (unsigned i = 0; i < b->nodes_count; i++) {
        struct topology_node node;
        topology_node(b->env.topology, i, &node);
        if (node.status.len == 0)
            return false;
    }
    return true;
}

void bench_up(struct bench *b) {
    bench_open(b);
    must(BENCH_UNTIL(b, all_heard(b)), "bench: a node is not up");
}

int64_t bench_now_ms(void) {
    return clock_mono_ms();
}

static void on_pulse(evutil_socket_t fd, short what, void *arg) {
}

void bench_turn(struct bench *b) {
    event_base_loop(b->base, EVLOOP_ONCE);
}

uint64_t bench_stat(const struct bench *b, enum proxy_stat stat) {
    return stats_get(&b->stats[stat]);
}

unsigned bench_owner(const struct bench *b, const char *key) {
    struct ring *ring = make_ring(b, (1u << b->nodes_count) - 1);
    unsigned owner = ring_lookup(ring, hash_ring(span_str(key)));
    ring_free(&ring);
    return owner;
}

const char *bench_key(const struct bench *b, unsigned node, unsigned n) {
    static char rooms[8][16];
    static unsigned next;
    char *key = rooms[next++ % 8];
    for (unsigned i = 0;; i++) {
        snprintf(key, sizeof(rooms[0]), "k%u", i);
        if (bench_owner(b, key) == node && n-- == 0)
            return key;
    }
}

/* ---- clients ---- */

struct bench_client *bench_client_new(struct bench *b) {
    struct bench_client *c = calloc(1, sizeof(*c));
    int pair[2];
    must(c != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0,
         "bench: client");
    c->bench = b;
    c->fd = pair[0];
    client_open(b->clients, pair[1]);
    return c;
}

void bench_client_free(struct bench_client **pointer) {
    struct bench_client *c = *pointer;
    *pointer = NULL;
    if (c->fd >= 0)
        close(c->fd);
    free(c->heard);
    free(c);
}

void bench_say_span(struct bench_client *c, struct span bytes) {
    ssize_t n = send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    must(n == (ssize_t)bytes.len, "bench: a client's socket is full");
}

void bench_say(struct bench_client *c, const char *text) {
    bench_say_span(c, span_str(text));
}

const char *bench_listen(struct bench_client *c) {
    for (;;) {
        if (c->cap - c->len < (64 << 10)) {
            c->cap = c->cap * 2 + (128 << 10);
            c->heard = realloc(c->heard, c->cap);
            must(c->heard != NULL, "bench: memory");
        }
        ssize_t n = recv(c->fd, c->heard + c->len, c->cap - c->len - 1, 0);
        c->eof = c->eof || n == 0 || (n < 0 && errno != EAGAIN);
        c->len += n > 0 ? (size_t)n : 0;
        c->heard[c->len] = '\0';
        if (n <= 0)
            return c->heard;
    }
}

bool bench_hears(struct bench_client *c, const char *text) {
    size_t len = strlen(text);
    bench_listen(c);
    BENCH_UNTIL(c->bench,
                (bench_listen(c), c->len >= len || c->eof || strncmp(c->heard, text, c->len) != 0));
    if (c->len == len && memcmp(c->heard, text, len) == 0)
        return true;
    fprintf(stderr, "expected: %.400s\nheard:    %.400s%s\n", text, c->heard,
            c->eof ? " and the end" : "");
    return false;
}

void bench_forget(struct bench_client *c) {
    c->len = 0;
    if (c->heard != NULL)
        c->heard[0] = '\0';
}

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
bool bench_leaks(void) {
    return __lsan_do_recoverable_leak_check() != 0;
}
#else
bool bench_leaks(void) {
    return false;
}
#endif

void bench_settle(struct bench *b) {
    for (int i = 0; i < 20; i++)
        bench_turn(b);
}

bool bench_says(struct bench_client *c, const char *request, const char *answer) {
    bench_forget(c);
    bench_say(c, request);
    return bench_hears(c, answer);
}

bool bench_ended(struct bench_client *c) {
    return BENCH_UNTIL(c->bench, (bench_listen(c), c->eof));
}

void bench_stop(struct bench *b, struct bench_client *c) {
    if (c != NULL)
        bench_client_free(&c);
    bench_settle(b);
    bench_free(&b);
}
