#include "caller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/buf.h"
#include "../../common/clock.h"
#include "../../common/resp_write.h"

enum { WORDS_MAX = 64, READ_BYTES = 1 << 16 };

struct caller {
    int fd;
    bool ended; /* the other side closed */
    struct buf out;
    struct resp_reader *in;
};

struct caller *caller_open(uint16_t port) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    struct caller *c = calloc(1, sizeof(*c));
    if (c == NULL || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        free(c);
        return NULL;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->fd = fd;
    c->in = resp_reader_new();
    buf_init(&c->out, 0);
    return c;
}

void caller_close(struct caller **pointer) {
    struct caller *c = *pointer;
    *pointer = NULL;
    if (c == NULL)
        return;
    close(c->fd);
    resp_reader_free(&c->in);
    buf_release(&c->out);
    free(c);
}

/* ---- saying ---- */

void caller_say(struct caller *c, const struct span *argv, uint32_t argc) {
    resp_write_request(&c->out, argv, argc);
}

void caller_say_words(struct caller *c, ...) {
    struct span argv[WORDS_MAX];
    uint32_t argc = 0;
    va_list words;
    va_start(words, c);
    for (const char *word; argc < WORDS_MAX && (word = va_arg(words, const char *)) != NULL;)
        argv[argc++] = span_str(word);
    va_end(words);
    caller_say(c, argv, argc);
}

void caller_say_raw(struct caller *c, struct span bytes) {
    buf_append_span(&c->out, bytes);
}

/* ---- sending and hearing ---- */

/* Waits for the socket until `until_ms`; what it is ready for, or 0. */
static short ready(struct caller *c, short what, int64_t until_ms) {
    struct pollfd p = {.fd = c->fd, .events = what};
    for (;;) {
        int64_t left_ms = until_ms - clock_mono_ms();
        int n = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);
        if (n > 0)
            return p.revents;
        if (n == 0 || errno != EINTR)
            return 0;
    }
}

static void take_in(struct caller *c) {
    char bytes[READ_BYTES];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0)
        resp_reader_feed(c->in, bytes, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        c->ended = true;
}

bool caller_flush(struct caller *c) {
    int64_t until_ms = clock_mono_ms() + CALLER_PATIENCE_MS;
    while (buf_len(&c->out) != 0 && !c->ended) {
        short what = ready(c, POLLIN | POLLOUT, until_ms);
        if (what == 0)
            return false;
        if ((what & POLLIN) != 0)
            take_in(c);
        if ((what & (POLLOUT | POLLERR)) == 0)
            continue;
        ssize_t n = send(c->fd, buf_head(&c->out), buf_len(&c->out), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            buf_consume(&c->out, (size_t)n);
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
    }
    return !c->ended;
}

struct resp_reply *caller_hear(struct caller *c) {
    int64_t until_ms = clock_mono_ms() + CALLER_PATIENCE_MS;
    struct resp_reply *reply = NULL;
    for (;;) {
        enum resp_result result = resp_reader_get(c->in, &reply);
        if (result == RESP_OK)
            return reply;
        if (result == RESP_ERROR || c->ended || ready(c, POLLIN, until_ms) == 0)
            return NULL;
        take_in(c);
    }
}

bool caller_ended(struct caller *c) {
    int64_t until_ms = clock_mono_ms() + CALLER_PATIENCE_MS;
    while (!c->ended && ready(c, POLLIN, until_ms) != 0)
        take_in(c);
    return c->ended;
}

int caller_fd(const struct caller *c) {
    return c->fd;
}

/* ---- showing ---- */

static void show(struct buf *out, const struct resp_reply *r) {
    static const char MARKS[] = {[RESP_STRING] = '$', [RESP_STATUS] = '+', [RESP_FAILURE] = '-',
                                 [RESP_DOUBLE] = ',', [RESP_BIGNUM] = '(', [RESP_VERBATIM] = '='};
    char number[32];
    switch (r->type) {
    case RESP_NIL:
        buf_append_span(out, SPAN("nil"));
        return;
    case RESP_INTEGER:
    case RESP_BOOL:
        snprintf(number, sizeof(number), "%c%lld", r->type == RESP_BOOL ? '#' : ':',
                 (long long)r->integer);
        buf_append_span(out, span_str(number));
        return;
    case RESP_STRING:
    case RESP_STATUS:
    case RESP_FAILURE:
    case RESP_DOUBLE:
    case RESP_BIGNUM:
    case RESP_VERBATIM:
        buf_append(out, &MARKS[r->type], 1);
        buf_append(out, r->text, r->len);
        return;
    case RESP_ARRAY:
    case RESP_MAP:
    case RESP_SET:
    case RESP_PUSH:
    case RESP_ATTRIBUTE:
        buf_append_span(out, SPAN("["));
        for (size_t i = 0; i < r->count; i++) {
            buf_append(out, " ", i != 0);
            show(out, r->elements[i]);
        }
        buf_append_span(out, SPAN("]"));
        return;
    }
}

char *caller_show(const struct resp_reply *reply) {
    struct buf out;
    buf_init(&out, 0);
    if (reply == NULL)
        buf_append_span(&out, SPAN("closed"));
    else
        show(&out, reply);
    buf_append(&out, "", 1);
    return out.data; /* its head is 0: nothing was consumed */
}
