#include "conn_peer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/buf.h"
#include "../../common/clock.h"

static void note(struct conn_peer *p, const char *word, const char *data, size_t len) {
    int n = snprintf(p->log + p->log_len, sizeof(p->log) - p->log_len, "%s%s%.*s",
                     p->log_len == 0 ? "" : " ", word, (int)(len > 100 ? 100 : len), data);
    if (n > 0 && (size_t)n < sizeof(p->log) - p->log_len)
        p->log_len += (size_t)n;
}

static void call(struct conn_peer *p, void (*hook)(struct conn_peer *p)) {
    cr_assert_not(p->inside, "a callback from inside a callback");
    p->inside = true;
    if (hook != NULL)
        hook(p);
    p->inside = false;
}

static size_t on_read(void *ctx, const char *data, size_t len) {
    struct conn_peer *p = ctx;
    size_t used = p->take < len ? p->take : len;
    p->reads++;
    note(p, "read:", data, len);
    call(p, p->on_read);
    return used;
}

static void on_end(void *ctx, enum conn_end why) {
    struct conn_peer *p = ctx;
    static const char *const WORDS[] = {
        [CONN_END_EOF] = "eof", [CONN_END_ERROR] = "error", [CONN_END_FULL] = "full"};
    p->ends++;
    note(p, WORDS[why], "", 0);
    call(p, p->on_end);
}

static void on_connected(void *ctx) {
    struct conn_peer *p = ctx;
    p->connects++;
    note(p, "connected", "", 0);
    call(p, p->on_connected);
}

static void on_drained(void *ctx) {
    struct conn_peer *p = ctx;
    p->drains++;
    note(p, "drained", "", 0);
    call(p, p->on_drained);
}

const struct conn_handlers CONN_PEER_HANDLERS = {
    .on_read = on_read, .on_end = on_end, .on_connected = on_connected, .on_drained = on_drained};

static void set_defaults(struct conn_peer *p) {
    *p = (struct conn_peer){.fd = -1, .take = SIZE_MAX};
    p->conf = (struct conn_conf){.in_max = 1 << 20, .out_max = 64 << 20, .out_low = 1000};
}

static void make_base(struct conn_peer *p) {
    p->base = event_base_new();
    p->loop = conn_loop_new(p->base);
    cr_assert_not_null(p->loop);
}

void conn_peer_adopt(struct conn_peer *p, int fd, int other) {
    p->fd = other;
    p->c = conn_adopt(p->loop, fd, &p->conf, &CONN_PEER_HANDLERS, p);
    cr_assert_not_null(p->c);
}

static void make_pair(struct conn_peer *p, int type) {
    int pair[2], bytes = 1; /* the kernel makes it as large as it must */
    cr_assert_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert_eq(evutil_make_socket_nonblocking(pair[1]), 0);
    for (int i = 0; i < 2; i++)
        setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    conn_peer_adopt(p, pair[0], pair[1]);
}

void conn_peer_init_empty(struct conn_peer *p) {
    set_defaults(p);
    make_base(p);
}

void conn_peer_init(struct conn_peer *p, int type) {
    conn_peer_init_empty(p);
    make_pair(p, type);
}

void conn_peer_init_beside(struct conn_peer *p, struct conn_peer *first, int type) {
    set_defaults(p);
    p->loop = first->loop;
    make_pair(p, type);
}

void conn_peer_release(struct conn_peer *p) {
    conn_free(&p->c);
    if (p->fd >= 0)
        close(p->fd);
    if (p->base == NULL)
        return;
    conn_loop_free(&p->loop);
    cr_assert_null(p->loop);
    event_base_free(p->base);
}

void conn_peer_turn(struct conn_peer *p) {
    event_base_loop(p->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

void conn_peer_turns(struct conn_peer *p) {
    for (int quiet = 0; quiet < 3;) {
        size_t before = p->log_len;
        conn_peer_turn(p);
        quiet = p->log_len == before ? quiet + 1 : 0;
    }
}

void conn_peer_wait(struct conn_peer *p, const unsigned *counter, unsigned value) {
    int64_t until_us = clock_mono_us() + 10 * 1000000;
    while (*counter < value) {
        const struct timeval tick = {0, 20000};
        cr_assert_lt(clock_mono_us(), until_us, "waited for %u, have %u: %s", value, *counter,
                     p->log);
        event_base_loopexit(p->base, &tick);
        event_base_loop(p->base, EVLOOP_ONCE);
    }
}

void conn_peer_write(struct conn_peer *p, const char *text) {
    size_t len = strlen(text);
    cr_assert_eq(send(p->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

const char *conn_peer_read(struct conn_peer *p) {
    static char text[1001];
    ssize_t n = recv(p->fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN ? "-" : "!";
    text[n] = '\0';
    return n == 0 ? "." : text;
}

void conn_peer_send(struct conn_peer *p, const char *text) {
    buf_append(conn_out(p->c), text, strlen(text));
    conn_send(p->c);
}
