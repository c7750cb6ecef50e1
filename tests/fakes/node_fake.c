#include "node_fake.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/buf.h"
#include "../../common/resp_parse.h"

enum { LINKS_MAX = 64, REQUESTS_MAX = 4096, TEXT_BYTES = 200, PORT_TRIES = 1000 };

struct link {
    struct node_fake *node;
    int fd; /* -1: free */
    struct event *readable;
    struct resp_parser parser;
    struct buf in;
};

struct node_fake {
    struct event_base *base;
    uint16_t port;
    int fd; /* -1: refuses */
    struct event *acceptable;
    struct link links[LINKS_MAX];
    struct link *newest;
    node_fake_fn *fn;
    void *ctx;
    bool mute_link, mute_status, hangs, mute_watch;
    unsigned links_heard, statuses_heard, heard;
    char requests[REQUESTS_MAX][TEXT_BYTES + 1];
};

static const struct resp_limits LIMITS = {
    .args_max = 1 << 20, .bulk_bytes_max = 1 << 30, .inline_bytes_max = 1 << 16};

static void must(bool holds, const char *what) {
    if (holds)
        return;
    perror(what);
    abort();
}

static void close_link(struct link *link) {
    if (link->fd < 0)
        return;
    event_free(link->readable);
    close(link->fd);
    link->fd = -1;
    resp_parser_release(&link->parser);
    buf_release(&link->in);
    if (link->node->newest == link)
        link->node->newest = NULL;
}

/* ---- requests ---- */

static void note(struct node_fake *node, const struct span *argv, uint32_t argc) {
    must(node->heard < REQUESTS_MAX, "node_fake: too many requests");
    char *text = node->requests[node->heard++];
    size_t at = 0;
    for (uint32_t i = 0; i < argc && at < TEXT_BYTES; i++)
        at += (size_t)snprintf(text + at, TEXT_BYTES + 1 - at, i == 0 ? "%.*s" : " %.*s",
                               (int)argv[i].len, argv[i].ptr);
}

static void obey(struct link *link, const struct span *argv, uint32_t argc) {
    struct node_fake *node = link->node;
    if (span_equal(argv[0], SPAN("RF.LINK"))) {
        node->links_heard++;
        if (!node->mute_link)
            node_fake_say(node, "+OK\r\n");
    } else if (span_equal(argv[0], SPAN("RF.STATUS"))) {
        node->statuses_heard++;
        if (!node->mute_status)
            node_fake_say(node, "$8\r\nkeys:7\r\n\r\n");
    } else if (span_equal(argv[0], SPAN("RF.WATCH"))) {
        note(node, argv, argc);
        if (!node->mute_watch)
            node_fake_say(node, "+OK\r\n");
    } else {
        note(node, argv, argc);
        if (node->fn != NULL)
            node->fn(node->ctx, node, argv, argc);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct link *link = arg;
    char *to = buf_reserve(&link->in, 64 << 10);
    must(to != NULL, "node_fake: memory");
    ssize_t n = recv(fd, to, 64 << 10, MSG_DONTWAIT);
    if (n <= 0) {
        close_link(link);
        return;
    }
    buf_commit(&link->in, (size_t)n);
    while (link->fd >= 0 && buf_len(&link->in) != 0) {
        struct resp_request in = {0};
        enum resp_result result = resp_parse_request(&link->parser, buf_head(&link->in),
                                                     buf_len(&link->in), &LIMITS, &in);
        must(result != RESP_ERROR, "node_fake: not RESP");
        if (result == RESP_PARTIAL)
            break;
        must(!in.is_inline, "node_fake: an inline request");
        link->node->newest = link;
        if (in.argc != 0)
            obey(link, in.argv, in.argc);
        if (link->fd >= 0)
            buf_consume(&link->in, in.size);
    }
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg) {
    struct node_fake *node = arg;
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0)
        return;
    struct link *link = node->links;
    while (link < node->links + LINKS_MAX && link->fd >= 0)
        link++;
    must(link < node->links + LINKS_MAX, "node_fake: too many connections");
    *link = (struct link){.node = node, .fd = accepted};
    resp_parser_init(&link->parser);
    link->readable = event_new(node->base, accepted, EV_READ | EV_PERSIST, on_readable, link);
    must(link->readable != NULL && event_add(link->readable, NULL) == 0, "node_fake: event");
    node->newest = link;
}

/* ---- listening ---- */

static bool listen_on(struct node_fake *node, uint16_t port) {
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0, "node_fake: socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int room = 64 << 10; /* so that a test knows what does not fit when nobody reads */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 64) != 0) {
        close(fd);
        return false;
    }
    node->port = port;
    node->fd = fd;
    node->acceptable = event_new(node->base, fd, EV_READ | EV_PERSIST, on_acceptable, node);
    must(node->acceptable != NULL && event_add(node->acceptable, NULL) == 0, "node_fake: event");
    return true;
}

struct node_fake *node_fake_new(struct event_base *base) {
    struct node_fake *node = calloc(1, sizeof(*node));
    must(node != NULL, "node_fake: memory");
    node->base = base;
    for (int i = 0; i < LINKS_MAX; i++)
        node->links[i].fd = -1;
    unsigned seed = (unsigned)getpid() * 2654435761u + (unsigned)(uintptr_t)node / 64;
    for (int i = 0; i < PORT_TRIES; i++) {
        if (listen_on(node, (uint16_t)(20000 + rand_r(&seed) % 12000)))
            return node;
    }
    must(false, "node_fake: no free port");
    return NULL;
}

void node_fake_refuse(struct node_fake *node) {
    if (node->fd < 0)
        return;
    event_free(node->acceptable);
    close(node->fd);
    node->fd = -1;
}

void node_fake_listen(struct node_fake *node) {
    if (node->fd < 0)
        must(listen_on(node, node->port), "node_fake: its port");
}

void node_fake_free(struct node_fake **pointer) {
    struct node_fake *node = *pointer;
    *pointer = NULL;
    if (node == NULL)
        return;
    node_fake_refuse(node);
    for (int i = 0; i < LINKS_MAX; i++)
        close_link(&node->links[i]);
    free(node);
}

/* ---- what a test tells it ---- */

uint16_t node_fake_port(const struct node_fake *node) {
    return node->port;
}

void node_fake_serve(struct node_fake *node, node_fake_fn *fn, void *ctx) {
    node->fn = fn;
    node->ctx = ctx;
}

void node_fake_mute_watch(struct node_fake *node, bool watch) {
    node->mute_watch = watch;
}

void node_fake_mute(struct node_fake *node, bool link, bool status) {
    node->mute_link = link;
    node->mute_status = status;
}

void node_fake_hang(struct node_fake *node, bool hangs) {
    if (node->hangs == hangs)
        return;
    node->hangs = hangs;
    if (node->fd >= 0 && hangs)
        event_del(node->acceptable);
    else if (node->fd >= 0)
        event_add(node->acceptable, NULL);
    for (int i = 0; i < LINKS_MAX; i++) {
        if (node->links[i].fd >= 0 && hangs)
            event_del(node->links[i].readable);
        else if (node->links[i].fd >= 0)
            event_add(node->links[i].readable, NULL);
    }
}

void node_fake_reset(struct node_fake *node) {
    const struct linger now = {.l_onoff = 1};
    for (int i = 0; i < LINKS_MAX; i++) {
        if (node->links[i].fd >= 0)
            setsockopt(node->links[i].fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close_link(&node->links[i]);
    }
}

void node_fake_say_span(struct node_fake *node, struct span bytes) {
    if (node->newest == NULL)
        return; /* whom it would tell has left */
    ssize_t n = send(node->newest->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    must(n < 0 || (size_t)n == bytes.len, "node_fake: the socket is full");
}

void node_fake_say(struct node_fake *node, const char *text) {
    node_fake_say_span(node, span_str(text));
}

unsigned node_fake_links(const struct node_fake *node) {
    return node->links_heard;
}

unsigned node_fake_statuses(const struct node_fake *node) {
    return node->statuses_heard;
}

unsigned node_fake_open(const struct node_fake *node) {
    unsigned count = 0;
    for (int i = 0; i < LINKS_MAX; i++)
        count += node->links[i].fd >= 0;
    return count;
}

unsigned node_fake_heard(const struct node_fake *node) {
    return node->heard;
}

const char *node_fake_request(const struct node_fake *node, unsigned i) {
    return i < node->heard ? node->requests[i] : "";
}

void node_fake_forget(struct node_fake *node) {
    node->heard = 0;
}
