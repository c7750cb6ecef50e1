// needs: fakes/conn_peer.c
/* One connection: reading, writing, ends and limits. test_conn_loop.c has the turn. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/conn_private.h"
#include "../fakes/conn_peer.h"

static char *filler(size_t len) {
    char *text = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i * 7 % 26 + i / 1000 % 3);
    text[len] = '\0';
    return text;
}

/* Reads at the other end until `len` bytes or the end came; fails if they are not those of `text`.
 */
static void expect_stream(struct conn_peer *p, const char *text, size_t len) {
    size_t got = 0;
    for (int idle = 0; got < len && idle < 1000;) {
        const char *part = conn_peer_read(p);
        cr_assert_neq(part[0], '!');
        if (part[0] == '.')
            break;
        if (part[0] == '-' && part[1] == '\0') {
            idle++;
            conn_peer_turn(p);
            continue;
        }
        cr_assert_leq(got + strlen(part), len);
        cr_assert_eq(strncmp(part, text + got, strlen(part)), 0, "at %zu", got);
        got += strlen(part);
        idle = 0;
    }
    cr_assert_eq(got, len);
}

/* ---- reading ---- */

Test(conn, shows_again_what_is_not_taken) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.take = 2;
    conn_peer_write(&p, "abc");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abc");
    conn_peer_write(&p, "def");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abc read:cdef");
    p.take = SIZE_MAX;
    conn_peer_write(&p, "g");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abc read:cdef read:efg");
    conn_peer_write(&p, "h");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abc read:cdef read:efg read:h");
    cr_assert_eq(conn_in_total(p.c), 8u);
    conn_peer_release(&p);
}

Test(conn, holds_no_buffer_while_nothing_waits) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.take = 2;
    conn_peer_write(&p, "abc");
    conn_peer_turns(&p);
    cr_assert_not_null(p.c->in.data);
    p.take = SIZE_MAX;
    conn_peer_write(&p, "d");
    conn_peer_send(&p, "reply");
    conn_peer_turns(&p);
    cr_assert_null(p.c->in.data);
    cr_assert_null(p.c->out.data);
    cr_assert_str_eq(conn_peer_read(&p), "reply");
    conn_peer_release(&p);
}

/* More than one scratch buffer, and more than one read that finds bytes waiting. */
Test(conn, reads_a_long_stream_in_order) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    size_t len = 600000, sent = 0;
    char *text = filler(len);
    p.take = 0;
    while (conn_in_total(p.c) < len) {
        if (sent < len) {
            ssize_t n = send(p.fd, text + sent, len - sent, MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
        }
        conn_peer_turn(&p);
    }
    cr_assert_eq(buf_len(&p.c->in), len);
    cr_assert_eq(memcmp(buf_head(&p.c->in), text, len), 0);
    free(text);
    conn_peer_release(&p);
}

Test(conn, ends_as_full_above_the_limit_of_what_waits) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.conf.in_max = 5;
    p.take = 0;
    conn_peer_write(&p, "12345");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:12345", "as much as the limit may wait");
    conn_peer_write(&p, "6");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:12345 read:123456 full");
    conn_peer_write(&p, "7");
    conn_peer_send(&p, "x");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:12345 read:123456 full", "nothing follows");
    cr_assert_str_eq(conn_peer_read(&p), "-");
    conn_peer_release(&p);
}

static void pause_it(struct conn_peer *p) {
    conn_pause(p->c);
}

Test(conn, does_not_read_while_paused) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    conn_pause(p.c);
    conn_pause(p.c);
    conn_peer_write(&p, "abc");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "");
    conn_resume(p.c);
    conn_resume(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abc");
    conn_peer_release(&p);
}

/* Who pauses may leave what was read, whatever its length: it cannot grow. */
Test(conn, keeps_more_than_the_limit_while_paused) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.conf.in_max = 2;
    p.take = 0;
    p.on_read = pause_it;
    conn_peer_write(&p, "abcdef");
    conn_peer_turns(&p);
    conn_peer_write(&p, "gh");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abcdef");
    p.on_read = NULL;
    p.take = SIZE_MAX;
    conn_resume(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abcdef read:abcdefgh");
    conn_peer_release(&p);
}

/* ---- the end ---- */

Test(conn, may_still_answer_after_the_peers_end) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    conn_peer_write(&p, "ask");
    shutdown(p.fd, SHUT_WR);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:ask eof");
    conn_pause(p.c);
    conn_resume(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:ask eof", "said once");
    conn_peer_send(&p, "answer");
    conn_end_after_send(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:ask eof eof");
    cr_assert_str_eq(conn_peer_read(&p), "answer");
    cr_assert_str_eq(conn_peer_read(&p), ".");
    conn_peer_release(&p);
}

Test(conn, sends_all_before_it_ends) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    size_t len = 300000;
    char *text = filler(len);
    conn_peer_send(&p, text);
    conn_end_after_send(p.c);
    conn_end_after_send(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "", "the peer has not read it yet");
    expect_stream(&p, text, len);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "eof");
    cr_assert_str_eq(conn_peer_read(&p), ".");
    free(text);
    conn_peer_release(&p);
}

Test(conn, reads_nothing_more_once_it_is_to_end) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.take = 1;
    conn_peer_write(&p, "abc");
    conn_peer_turns(&p);
    conn_read_again(p.c);
    conn_end_after_send(p.c);
    conn_peer_write(&p, "def");
    conn_resume(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "read:abc eof", "%s", p.log);
    conn_peer_release(&p);
}

Test(conn, ends_with_an_error_when_the_peer_is_gone) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    conn_pause(p.c); /* so that the write meets it first */
    close(p.fd);
    p.fd = -1;
    conn_peer_send(&p, "x");
    cr_assert_str_eq(p.log, "", "not from inside the call");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "error");
    conn_peer_send(&p, "y");
    conn_resume(p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "error");
    conn_peer_release(&p);
}

/* ---- writing ---- */

Test(conn, sends_the_rest_when_the_peer_reads) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    size_t len = 1000000;
    char *text = filler(len);
    conn_peer_send(&p, text);
    cr_assert_eq(conn_out_len(p.c), len);
    conn_peer_turns(&p);
    cr_assert(conn_out_len(p.c) > 0 && conn_out_len(p.c) < len, "a part fits into the socket");
    cr_assert_eq(conn_out_total(p.c) + conn_out_len(p.c), len);
    cr_assert_eq(p.drains, 0u);
    expect_stream(&p, text, len);
    conn_peer_turns(&p);
    cr_assert_eq(conn_out_len(p.c), 0u);
    cr_assert_eq(conn_out_total(p.c), len);
    cr_assert_str_eq(p.log, "drained", "once");
    cr_assert_null(p.c->out.data, "a large buffer is not kept");
    free(text);
    conn_peer_release(&p);
}

Test(conn, tells_of_being_drained_only_after_much_output) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    char *text = filler(1001);
    p.conf.out_low = 1000;
    conn_peer_send(&p, text + 1);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "", "1,000 bytes are not above 1,000");
    conn_peer_send(&p, text);
    cr_assert_str_eq(p.log, "");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "drained");
    conn_peer_send(&p, "x");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "drained");
    free(text);
    conn_peer_release(&p);
}

Test(conn, ends_as_full_above_the_limit_of_output) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    conn_free(&p.c);
    close(p.fd);
    int pair[2];
    p.conf.out_max = 10;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    conn_peer_adopt(&p, pair[0], pair[1]);
    conn_peer_send(&p, "0123456789");
    conn_peer_turns(&p);
    cr_assert_str_eq(conn_peer_read(&p), "0123456789", "as much as the limit may wait");
    conn_peer_send(&p, "0123456789a");
    cr_assert_str_eq(p.log, "", "not from inside the call");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "full");
    cr_assert_str_eq(conn_peer_read(&p), "-", "a hole in the stream is worse than its end");
    conn_peer_release(&p);
}

Test(conn, keeps_what_was_sent_until_it_is_released) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.conf.retain = true;
    conn_peer_send(&p, "abcdef");
    cr_assert_eq(conn_sent(p.c), 0u);
    conn_peer_turns(&p);
    cr_assert_str_eq(conn_peer_read(&p), "abcdef");
    cr_assert_eq(conn_sent(p.c), 6u);
    cr_assert_eq(conn_out_len(p.c), 0u);
    cr_assert_eq(buf_len(conn_out(p.c)), 6u);
    conn_release(p.c, 2);
    cr_assert_eq(conn_sent(p.c), 4u);
    conn_peer_send(&p, "ghi");
    cr_assert_eq(conn_out_len(p.c), 3u);
    cr_assert_eq(memcmp(buf_head(conn_out(p.c)), "cdefghi", 7), 0);
    conn_peer_turns(&p);
    cr_assert_str_eq(conn_peer_read(&p), "ghi", "only what is new");
    conn_release(p.c, 7);
    cr_assert_eq(conn_sent(p.c), 0u);
    cr_assert_eq(buf_len(conn_out(p.c)), 0u);
    conn_peer_release(&p);
}

/* A window of unanswered requests over a slow peer: in order, nothing twice, memory given back. */
Test(conn, retains_a_long_stream) {
    struct conn_peer p;
    conn_peer_init(&p, SOCK_STREAM);
    p.conf.retain = true;
    size_t len = 900000, added = 0, got = 0, released = 0;
    char *text = filler(len);
    while (got < len) {
        size_t part = len - added < 7000 ? len - added : 7000;
        if (conn_out_len(p.c) < 50000 && part != 0) {
            buf_append(conn_out(p.c), text + added, part);
            conn_send(p.c);
            added += part;
        }
        conn_peer_turn(&p);
        for (const char *in = conn_peer_read(&p); in[0] != '-'; in = conn_peer_read(&p)) {
            cr_assert_eq(strncmp(in, text + got, strlen(in)), 0, "at %zu", got);
            got += strlen(in);
        }
        cr_assert_eq(released + conn_sent(p.c), conn_out_total(p.c));
        cr_assert_leq(got, conn_out_total(p.c));
        size_t gone = got - released > 30000 ? got - released - 30000 : 0;
        conn_release(p.c, gone);
        released += gone;
        if (buf_len(conn_out(p.c)) != 0)
            cr_assert_eq(memcmp(buf_head(conn_out(p.c)), text + released, buf_len(conn_out(p.c))),
                         0);
    }
    conn_release(p.c, conn_sent(p.c));
    cr_assert_eq(buf_len(conn_out(p.c)), 0u);
    free(text);
    conn_peer_release(&p);
}

/* ---- connecting ---- */

static int listen_tcp(struct sockaddr_in *addr) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(*addr);
    *addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(fd, (struct sockaddr *)addr, len), 0);
    cr_assert_eq(listen(fd, 5), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)addr, &len), 0);
    return fd;
}

static void connect_to(struct conn_peer *p, const void *addr, unsigned len) {
    p->c = conn_connect(p->loop, addr, len, &p->conf, &CONN_PEER_HANDLERS, p);
    cr_assert_not_null(p->c);
    cr_assert_str_eq(p->log, "", "not from inside the call");
}

Test(conn, connects_and_sends_what_was_appended_before) {
    struct conn_peer p;
    struct sockaddr_in addr;
    conn_peer_init_empty(&p);
    int listener = listen_tcp(&addr);
    connect_to(&p, &addr, sizeof(addr));
    conn_peer_send(&p, "early ");
    conn_peer_wait(&p, &p.connects, 1);
    p.fd = accept(listener, NULL, NULL);
    conn_peer_send(&p, "late");
    conn_peer_turns(&p);
    expect_stream(&p, "early late", 10);
    conn_peer_write(&p, "answer");
    conn_peer_wait(&p, &p.reads, 1);
    cr_assert_str_eq(p.log, "connected read:answer");
    conn_peer_release(&p);
    close(listener);
}

Test(conn, ends_with_an_error_when_nobody_listens) {
    struct conn_peer p;
    struct sockaddr_in addr;
    conn_peer_init_empty(&p);
    close(listen_tcp(&addr));
    connect_to(&p, &addr, sizeof(addr));
    conn_peer_send(&p, "early");
    conn_peer_wait(&p, &p.ends, 1);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "error");
    conn_peer_release(&p);
}

/* connect() fails at once for these; the caller hears of it from the loop all the same. */
Test(conn, ends_with_an_error_from_the_loop_when_connecting_fails_at_once) {
    struct conn_peer p;
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/nowhere/at/all"};
    conn_peer_init_empty(&p);
    connect_to(&p, &addr, sizeof(addr));
    conn_peer_wait(&p, &p.ends, 1);
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "error");
    conn_peer_release(&p);
}

Test(conn, ends_a_connection_that_was_told_so_before_it_was_made) {
    struct conn_peer p;
    struct sockaddr_in addr;
    conn_peer_init_empty(&p);
    int listener = listen_tcp(&addr);
    connect_to(&p, &addr, sizeof(addr));
    conn_end_after_send(p.c);
    conn_peer_wait(&p, &p.ends, 1);
    cr_assert_str_eq(p.log, "connected eof");
    conn_peer_release(&p);
    close(listener);
}

Test(conn, ends_as_full_when_too_much_was_appended_before_it_was_made) {
    struct conn_peer p;
    struct sockaddr_in addr;
    conn_peer_init_empty(&p);
    p.conf.out_max = 3;
    int listener = listen_tcp(&addr);
    connect_to(&p, &addr, sizeof(addr));
    conn_peer_send(&p, "early");
    conn_peer_wait(&p, &p.ends, 1);
    cr_assert_str_eq(p.log, "connected full");
    conn_peer_release(&p);
    close(listener);
}

Test(conn, stays_paused_while_it_connects) {
    struct conn_peer p;
    struct sockaddr_in addr;
    conn_peer_init_empty(&p);
    int listener = listen_tcp(&addr);
    connect_to(&p, &addr, sizeof(addr));
    conn_pause(p.c);
    conn_peer_wait(&p, &p.connects, 1);
    p.fd = accept(listener, NULL, NULL);
    conn_peer_write(&p, "x");
    conn_peer_turns(&p);
    cr_assert_str_eq(p.log, "connected");
    conn_resume(p.c);
    conn_peer_wait(&p, &p.reads, 1);
    conn_peer_release(&p);
    close(listener);
}

/* ---- over TCP ---- */

static void connect_tcp(struct conn_peer *p) {
    struct sockaddr_in addr;
    conn_peer_init_empty(p);
    int listener = listen_tcp(&addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    conn_peer_adopt(p, accept(listener, NULL, NULL), fd);
    close(listener);
}

Test(conn, ends_with_an_error_after_a_reset) {
    struct conn_peer p;
    connect_tcp(&p);
    const struct linger now = {1, 0};
    setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(p.fd);
    p.fd = -1;
    conn_peer_wait(&p, &p.ends, 1);
    cr_assert_str_eq(p.log, "error");
    conn_peer_release(&p);
}

/* Input that nobody read would turn the close into a reset, which can overtake the last reply. */
Test(conn, lets_the_last_reply_arrive_though_input_was_not_read) {
    struct conn_peer p;
    connect_tcp(&p);
    char *text = filler(50000);
    cr_assert_eq(send(p.fd, text, 50000, MSG_NOSIGNAL), 50000);
    conn_peer_send(&p, "-ERR Protocol error");
    conn_end_after_send(p.c);
    conn_peer_wait(&p, &p.ends, 1);
    cr_assert_str_eq(p.log, "eof");
    conn_free(&p.c);
    conn_peer_turns(&p);
    cr_assert_str_eq(conn_peer_read(&p), "-ERR Protocol error");
    cr_assert_str_eq(conn_peer_read(&p), ".");
    free(text);
    conn_peer_release(&p);
}

/* ---- facts ---- */

static void expect_peer(int family, const char *wanted) {
    struct conn_peer p;
    struct sockaddr_storage addr = {.ss_family = (sa_family_t)family};
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (family == AF_INET)
        ((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)&addr)->sin6_addr = in6addr_loopback;
    conn_peer_init_empty(&p);
    int listener = socket(family, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&addr, len) != 0)
        cr_skip_test("this machine has no such addresses");
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    int fd = socket(family, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&addr, len), 0);
    conn_peer_adopt(&p, accept(listener, NULL, NULL), fd);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    char text[100], expected[100];
    conn_peer(p.c, text, sizeof(text));
    snprintf(expected, sizeof(expected), "%s:%u", wanted,
             ntohs(((struct sockaddr_in *)&addr)->sin_port)); /* both families have it there */
    cr_assert_str_eq(text, expected);
    cr_assert_geq(conn_fd(p.c), 0);
    cr_assert((fcntl(conn_fd(p.c), F_GETFL) & O_NONBLOCK) != 0, "adopted sockets do not block");
    conn_peer_release(&p);
    close(listener);
}

Test(conn, names_its_peer_by_ipv4) {
    expect_peer(AF_INET, "127.0.0.1");
}

Test(conn, names_its_peer_by_ipv6) {
    expect_peer(AF_INET6, "[::1]");
}

Test(conn, names_its_peer_without_an_address) {
    struct conn_peer p;
    char text[100];
    conn_peer_init(&p, SOCK_STREAM);
    conn_peer(p.c, text, sizeof(text));
    cr_assert_str_eq(text, "unix:");
    conn_peer_release(&p);
    connect_tcp(&p);
    const struct linger now = {1, 0};
    setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(p.fd);
    p.fd = -1;
    conn_peer_wait(&p, &p.ends, 1);
    conn_peer(p.c, text, sizeof(text));
    cr_assert_str_eq(text, "?:0", "it is gone");
    conn_peer_release(&p);
}
