/* The links that the chaos tests break do what they are told. No daemon is needed. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/wire.h"

enum { PATIENCE_MS = 20000, QUIET_MS = 60 };

static struct wire *wire;
static int listener, way /* the link */, asker, target;
static uint16_t port;

static struct sockaddr_in at_port(uint16_t number) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(number),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int dial(void) {
    struct sockaddr_in to = at_port(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool has_news(int fd, int patience_ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, patience_ms) == 1;
}

static int answer(void) {
    cr_assert(has_news(listener, PATIENCE_MS));
    return accept(listener, NULL, NULL);
}

static void say(int fd, const char *text) {
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Exactly this arrives. */
static void hear(int fd, const char *text) {
    char got[256];
    size_t len = 0;
    while (len < strlen(text)) {
        cr_assert(has_news(fd, PATIENCE_MS), "'%.*s' and then nothing", (int)len, got);
        ssize_t n = recv(fd, got + len, sizeof(got) - len, 0);
        cr_assert_gt(n, 0, "'%.*s' and then the end", (int)len, got);
        len += (size_t)n;
    }
    cr_assert(len == strlen(text) && memcmp(got, text, len) == 0, "'%.*s'", (int)len, got);
}

static ssize_t hear_end(int fd) { /* 0: FIN, -1: RST */
    char byte;
    cr_assert(has_news(fd, PATIENCE_MS));
    return recv(fd, &byte, 1, 0);
}

static void open_all(void) {
    struct sockaddr_in at = at_port(0);
    socklen_t size = sizeof(at);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_port = htons(program_free_port());
    cr_assert_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(listener, 8), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    wire = wire_new();
    cr_assert_not_null(wire);
    way = wire_link(wire, NULL, ntohs(at.sin_port), &port);
    cr_assert_geq(way, 0);
    asker = dial();
    cr_assert_geq(asker, 0);
    target = answer();
}

static void close_all(void) {
    wire_free(&wire);
    close(asker);
    close(target);
    close(listener);
}

TestSuite(wire, .init = open_all, .fini = close_all, .timeout = 60);

Test(wire, passes_everything_and_the_end_of_each_way) {
    say(asker, "question");
    hear(target, "question");
    say(target, "answer");
    hear(asker, "answer");
    shutdown(asker, SHUT_WR);
    cr_assert_eq(hear_end(target), 0);
    say(target, "last words");
    hear(asker, "last words");
    close(target);
    cr_assert_eq(hear_end(asker), 0);
    EVENTUALLY(PATIENCE_MS, wire_figures(wire, way).open == 0);
    cr_assert_eq(wire_figures(wire, way).connections, 1);
    cr_assert_eq(wire_figures(wire, way).bytes, 24);
}

Test(wire, a_delay_holds_up_every_byte) {
    wire_set(wire, way, &(struct wire_fault){.delay_ms = 80});
    int64_t sent_ms = clock_mono_ms();
    say(asker, "slow");
    hear(target, "slow");
    cr_assert_geq(clock_mono_ms() - sent_ms, 79);
    say(target, "too");
    hear(asker, "too");
    cr_assert_geq(clock_mono_ms() - sent_ms, 159);
}

Test(wire, a_stall_keeps_bytes_until_it_ends) {
    wire_set(wire, way, &(struct wire_fault){.stall_up = true});
    say(asker, "kept");
    EVENTUALLY(PATIENCE_MS, wire_figures(wire, way).held == 4);
    say(target, "the other way");
    hear(asker, "the other way");
    cr_assert_not(has_news(target, QUIET_MS));
    wire_set(wire, way, NULL);
    hear(target, "kept");
}

/* Half-open: one side is gone, and the other does not hear of it. */
Test(wire, a_stall_hides_the_end_of_a_connection) {
    wire_set(wire, way, &(struct wire_fault){.stall_up = true, .stall_down = true});
    close(asker);
    cr_assert_not(has_news(target, QUIET_MS));
    say(target, "into the void");
    wire_set(wire, way, NULL);
    cr_assert_eq(hear_end(target), 0);
    asker = -1;
}

Test(wire, refuses_and_takes_again_at_the_same_port) {
    wire_set(wire, way, &(struct wire_fault){.refuse = true});
    cr_assert_eq(dial(), -1);
    say(asker, "who is there stays");
    hear(target, "who is there stays");
    wire_set(wire, way, NULL);
    int again = dial();
    cr_assert_geq(again, 0);
    close(again);
    close(answer());
}

Test(wire, nobody_behind_it_is_a_reset) {
    close(listener);
    int fd = dial();
    cr_assert(fd < 0 || hear_end(fd) < 0);
    close(fd);
}

Test(wire, cuts_by_reset_or_by_end) {
    wire_cut(wire, way, WIRE_RESET, NULL);
    cr_assert_eq(hear_end(asker), -1);
    cr_assert_eq(hear_end(target), -1);
    int again = dial(), other = answer();
    wire_cut(wire, way, WIRE_FIN, NULL);
    cr_assert_eq(hear_end(again), 0);
    cr_assert_eq(hear_end(other), 0);
    close(again);
    close(other);
}

Test(wire, a_fault_may_concern_one_kind_of_connection) {
    int feed = dial(), feed_target = answer();
    say(feed, "I am the feed. ");
    hear(feed_target, "I am the feed. ");
    wire_set(wire, way, &(struct wire_fault){.only = "the feed", .stall_down = true});
    say(feed_target, "stalled");
    say(target, "not stalled");
    hear(asker, "not stalled");
    cr_assert_not(has_news(feed, QUIET_MS));
    wire_cut(wire, way, WIRE_RESET, "the feed");
    cr_assert_eq(hear_end(feed), -1);
    say(asker, "still here");
    hear(target, "still here");
    close(feed);
    close(feed_target);
}

Test(wire, cuts_after_so_many_bytes) {
    wire_set(wire, way, &(struct wire_fault){.cut_after_bytes = 5});
    say(asker, "hello world");
    hear(target, "hello");
    cr_assert_eq(hear_end(target), -1);
    cr_assert_eq(hear_end(asker), -1);
}

Test(wire, limits_bytes_per_second) {
    wire_set(wire, way, &(struct wire_fault){.bytes_per_s = 1000});
    int64_t sent_ms = clock_mono_ms();
    const char *hundred = "0123456789012345678901234567890123456789012345678901234567890123456789"
                          "012345678901234567890123456789";
    say(asker, hundred);
    hear(target, hundred);
    cr_assert_geq(clock_mono_ms() - sent_ms, 80);
}
