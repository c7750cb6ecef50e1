/*
 * The floor of a server's CPU time per request on this machine's sockets: it answers GETs and MGETs
 * of five with a constant, one read and one write for each connection that is ready, without
 * looking at what was asked. What a proxy needs beyond this is its own. floor PORT    listens on
 * 127.0.0.1 until it is ended
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READY_MAX = 256, IN_BYTES = 128 << 10, VALUE_BYTES = 100, MGET_KEYS = 5 };

struct answers {
    char get[VALUE_BYTES + 16], mget[MGET_KEYS * (VALUE_BYTES + 16)];
    size_t get_len, mget_len;
};

static void make_answers(struct answers *a) {
    char value[VALUE_BYTES + 1];
    memset(value, 'x', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    a->get_len = (size_t)snprintf(a->get, sizeof(a->get), "$%d\r\n%s\r\n", VALUE_BYTES, value);
    a->mget_len = (size_t)snprintf(a->mget, sizeof(a->mget), "*%d\r\n", MGET_KEYS);
    for (int i = 0; i < MGET_KEYS; i++, a->mget_len += a->get_len)
        memcpy(a->mget + a->mget_len, a->get, a->get_len);
}

static int listen_on(const char *port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    const struct sockaddr_in addr = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)atoi(port)),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        listen(fd, 512) != 0)
        err(1, "127.0.0.1:%s", port);
    return fd;
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        err(1, "epoll");
}

static void accept_one(int epoll, int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(epoll, fd);
}

/* A request begins with its number of arguments, which no key of the benchmark looks like. */
static void answer(int fd, const struct answers *a) {
    static char in[IN_BYTES], out[8 * IN_BYTES];
    ssize_t len = recv(fd, in, sizeof(in), 0);
    if (len == 0)
        close(fd);
    if (len <= 0)
        return;
    size_t used = 0;
    const char *at = in, *end = in + len;
    while ((at = memchr(at, '*', (size_t)(end - at))) != NULL && used < sizeof(out) - sizeof(*a)) {
        bool is_get = ++at == end || *at == '2';
        memcpy(out + used, is_get ? a->get : a->mget, is_get ? a->get_len : a->mget_len);
        used += is_get ? a->get_len : a->mget_len;
    }
    if (used != 0 && send(fd, out, used, MSG_NOSIGNAL) != (ssize_t)used)
        close(fd); /* a client that does not read: none of the benchmark's */
}

int main(int argc, char **argv) {
    if (argc != 2)
        errx(2, "usage: floor PORT");
    struct answers answers;
    make_answers(&answers);
    int listener = listen_on(argv[1]), epoll = epoll_create1(0);
    watch(epoll, listener);
    for (;;) {
        struct epoll_event ready[READY_MAX];
        int count = epoll_wait(epoll, ready, READY_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == listener)
                accept_one(epoll, listener);
            else
                answer(ready[i].data.fd, &answers);
        }
    }
}
