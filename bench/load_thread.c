/*
 * One thread of the load generator: epoll over its connections. Open loop: each connection has a
 * schedule, and latency counts from the intended start, so that a stall of the server is not hidden
 * by a generator that waits for it (coordinated omission).
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../common/buf.h"
#include "../common/resp_parse.h"
#include "load.h"
#include "load_request.h"

enum { READ_BYTES = 256 << 10, EVENTS_MAX = 256, DRAIN_US = 2000000 };

struct sent {
    int64_t at_ns; /* the intended start */
    uint8_t op;
};

struct link {
    int fd;
    struct buf out, in;
    struct resp_scan scan;
    struct sent *queue; /* [pipeline], a ring */
    unsigned first, count;
    int64_t next_ns; /* open loop: when the next request is due */
    bool writable_wanted;
};

struct load_thread {
    const struct load_conf *conf;
    unsigned index, links_count;
    struct link *links;
    int epoll;
    struct load_request request;
    int64_t start_us, measure_ns, end_ns, interval_ns;
    uint64_t quota; /* requests that may still be sent; UINT64_MAX: no limit */
    uint64_t outstanding;
    struct load_figures figures;
    pthread_t thread;
    atomic_ullong done;
    atomic_bool running;
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- requests ---- */

static void send_one(struct load_thread *t, struct link *l, int64_t at_ns) {
    enum load_op op = load_request_write(&t->request, &l->out);
    l->queue[(l->first + l->count++) % (unsigned)t->conf->pipeline] =
        (struct sent){at_ns, (uint8_t)op};
    t->outstanding++;
    if (t->quota != UINT64_MAX)
        t->quota--;
}

/* Requests that are due now, as far as the pipeline has room. Closed loop: a full pipeline is
 * refilled whole. */
static void fill(struct load_thread *t, struct link *l, int64_t now) {
    if (now >= t->end_ns)
        return;
    unsigned depth = (unsigned)t->conf->pipeline;
    if (t->interval_ns == 0 && l->count != 0)
        return; /* as redis-benchmark: the next batch when the last is answered */
    while (l->count < depth && t->quota != 0 && !load_request_over(&t->request)) {
        if (t->interval_ns != 0 && l->next_ns > now)
            return;
        send_one(t, l, t->interval_ns != 0 ? l->next_ns : now);
        l->next_ns += t->interval_ns;
    }
}

/* ---- the wire ---- */

static void lose(struct load_thread *t, struct link *l, const char *why) {
    t->figures.errors += l->count;
    t->outstanding -= l->count;
    l->count = 0;
    snprintf(t->figures.first_error, sizeof(t->figures.first_error), "connection lost: %s", why);
    close(l->fd);
    l->fd = -1;
}

static void flush(struct load_thread *t, struct link *l) {
    if (l->fd < 0 || buf_len(&l->out) == 0)
        return;
    ssize_t n = send(l->fd, buf_head(&l->out), buf_len(&l->out), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        lose(t, l, "send failed");
        return;
    }
    if (n > 0) {
        t->figures.bytes_out += (uint64_t)n;
        buf_consume(&l->out, (size_t)n);
    }
    bool wanted = buf_len(&l->out) != 0;
    if (wanted != l->writable_wanted) {
        struct epoll_event e = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = l};
        epoll_ctl(t->epoll, EPOLL_CTL_MOD, l->fd, &e);
        l->writable_wanted = wanted;
    }
}

/* The size of one memcached reply at `data`, 0 if it is incomplete. */
static size_t scan_memcached(const char *data, size_t len) {
    size_t at = 0;
    for (;;) {
        const char *end = memchr(data + at, '\n', len - at);
        if (end == NULL)
            return 0;
        size_t next = (size_t)(end - data) + 1;
        if (len - at < 6 || memcmp(data + at, "VALUE ", 6) != 0)
            return next; /* END, STORED or an error */
        const char *size = end;
        while (size[-1] != ' ')
            size--;
        at = next + strtoul(size, NULL, 10) + 2;
        if (at >= len)
            return 0;
    }
}

static bool is_null(const char *at) {
    return at[0] == '_' || (at[0] == '$' && at[1] == '-');
}

static const char *next_line(const char *at, const char *end) {
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    return feed == NULL ? end : feed + 1;
}

/* Of a reply that was scanned: a null, or an array of bulk strings and nulls. */
static unsigned count_nulls(struct span reply) {
    if (reply.ptr[0] != '*')
        return is_null(reply.ptr);
    unsigned nulls = 0;
    const char *end = reply.ptr + reply.len, *at = next_line(reply.ptr, end);
    while (at < end) {
        bool null = is_null(at);
        nulls += null;
        size_t body = null || at[0] != '$' ? 0 : strtoul(at + 1, NULL, 10) + 2;
        at = next_line(at, end) + body;
    }
    return nulls;
}

static void answered(struct load_thread *t, struct link *l, struct span reply, int64_t now) {
    struct sent sent = l->queue[l->first];
    l->first = (l->first + 1) % (unsigned)t->conf->pipeline;
    l->count--;
    t->outstanding--;
    atomic_fetch_add_explicit(&t->done, 1, memory_order_relaxed);
    if (now < t->measure_ns)
        return;
    if (reply.ptr[0] == '-' || reply.ptr[0] == 'E') {
        bool memcached_end = t->conf->protocol == LOAD_MEMCACHED && reply.len == 5;
        t->figures.nulls += memcached_end;
        if (!memcached_end && t->figures.errors++ == 0)
            snprintf(t->figures.first_error, sizeof(t->figures.first_error), "%.*s",
                     (int)reply.len - 2, reply.ptr);
    }
    t->figures.nulls += count_nulls(reply);
    histogram_add(&t->figures.latency_ns[sent.op], (uint64_t)(now - sent.at_ns));
}

static void receive(struct load_thread *t, struct link *l) {
    char *to = buf_reserve(&l->in, READ_BYTES);
    ssize_t n = to == NULL ? -1 : recv(l->fd, to, READ_BYTES, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            lose(t, l, n == 0 ? "closed by the server" : "recv failed");
        return;
    }
    buf_commit(&l->in, (size_t)n);
    t->figures.bytes_in += (uint64_t)n;
    int64_t now = now_ns();
    while (l->count != 0 && buf_len(&l->in) != 0) {
        size_t size = 0;
        enum resp_result result = RESP_OK;
        if (t->conf->protocol == LOAD_RESP)
            result = resp_scan_reply(&l->scan, buf_head(&l->in), buf_len(&l->in), &size);
        else
            size = scan_memcached(buf_head(&l->in), buf_len(&l->in));
        if (result == RESP_ERROR) {
            lose(t, l, "the answer is not RESP");
            return;
        }
        if (result == RESP_PARTIAL || size == 0)
            break;
        answered(t, l, span_of(buf_head(&l->in), size), now);
        buf_consume(&l->in, size);
    }
}

/* ---- the thread ---- */

static int connect_to(const struct load_conf *conf) {
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    snprintf(port, sizeof(port), "%lld", (long long)conf->port);
    if (getaddrinfo(conf->host, port, &hints, &list) != 0)
        return -1;
    int fd = -1;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    int on = 1;
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* Open loop: until the next request is due, to the nanosecond; polling would take the CPU that the
 * servers need. */
static struct timespec wait_for(const struct load_thread *t, int64_t now) {
    int64_t next = now + 100000000;
    for (unsigned i = 0; t->interval_ns != 0 && i < t->links_count; i++) {
        if (t->links[i].count < (unsigned)t->conf->pipeline && t->links[i].next_ns < next)
            next = t->links[i].next_ns;
    }
    int64_t left = next > now ? next - now : 0;
    return (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
}

static bool finished(const struct load_thread *t, int64_t now) {
    bool all_sent = now >= t->end_ns || t->quota == 0 || load_request_over(&t->request);
    return (all_sent && t->outstanding == 0) || now >= t->end_ns + DRAIN_US * 1000;
}

static void *run(void *arg) {
    struct load_thread *t = arg;
    struct epoll_event events[EVENTS_MAX];
    while (now_ns() < t->start_us * 1000)
        usleep(500);
    for (;;) {
        int64_t now = now_ns();
        if (finished(t, now))
            break;
        for (unsigned i = 0; i < t->links_count; i++) {
            if (t->links[i].fd >= 0 && (t->interval_ns != 0 || t->links[i].count == 0)) {
                fill(t, &t->links[i], now);
                flush(t, &t->links[i]);
            }
        }
        struct timespec wait = wait_for(t, now);
        int count = epoll_pwait2(t->epoll, events, EVENTS_MAX, &wait, NULL);
        for (int i = 0; i < count; i++) {
            struct link *l = events[i].data.ptr;
            if (l->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
                receive(t, l);
            if (l->fd >= 0 && l->count == 0 && t->interval_ns == 0)
                fill(t, l, now_ns());
            flush(t, l);
        }
    }
    t->figures.errors += t->outstanding;
    if (t->outstanding != 0)
        snprintf(t->figures.first_error, sizeof(t->figures.first_error),
                 "no answer within 2 s of the end");
    atomic_store(&t->running, false);
    return NULL;
}

static bool open_links(struct load_thread *t) {
    for (unsigned i = 0; i < t->links_count; i++) {
        struct link *l = &t->links[i];
        l->fd = connect_to(t->conf);
        l->queue = calloc((size_t)t->conf->pipeline, sizeof(*l->queue));
        if (l->fd < 0 || l->queue == NULL)
            return false;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
        epoll_ctl(t->epoll, EPOLL_CTL_ADD, l->fd, &e);
        /* Connections start spread over one interval. */
        l->next_ns = t->start_us * 1000 + t->interval_ns * i / (int64_t)t->links_count;
    }
    return true;
}

static void share_work(struct load_thread *t) {
    const struct load_conf *c = t->conf;
    uint64_t threads = (uint64_t)c->threads, index = t->index;
    t->links_count =
        (unsigned)((uint64_t)c->clients / threads + (index < (uint64_t)c->clients % threads));
    t->interval_ns = c->rate == 0 ? 0 : 1000000000 * c->clients / c->rate;
    t->measure_ns = (t->start_us + c->warmup_s * 1000000) * 1000;
    t->end_ns = t->measure_ns + c->seconds * 1000000000;
    t->quota = c->requests == 0 ? UINT64_MAX : (uint64_t)c->requests / threads;
}

struct load_thread *load_thread_start(const struct load_conf *conf, unsigned index,
                                      int64_t start_us) {
    struct load_thread *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->conf = conf;
    t->index = index;
    t->start_us = start_us;
    share_work(t);
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->links = calloc(t->links_count + 1, sizeof(*t->links));
    if (!load_request_init(&t->request, conf, index)) {
        fprintf(stderr, "ringfence-load: out of memory\n");
        return NULL;
    }
    if (t->links == NULL || !open_links(t)) {
        fprintf(stderr, "ringfence-load: cannot connect to %s:%lld\n", conf->host,
                (long long)conf->port);
        return NULL; /* the program ends */
    }
    atomic_store(&t->running, true);
    return pthread_create(&t->thread, NULL, run, t) == 0 ? t : NULL;
}

uint64_t load_thread_done(const struct load_thread *t) {
    return atomic_load_explicit((atomic_ullong *)&t->done, memory_order_relaxed);
}

bool load_thread_running(const struct load_thread *t) {
    return atomic_load((atomic_bool *)&t->running);
}

void load_thread_join(struct load_thread **pointer, struct load_figures *into) {
    struct load_thread *t = *pointer;
    *pointer = NULL;
    pthread_join(t->thread, NULL);
    for (int op = 0; op < LOAD_OPS; op++)
        histogram_merge(&into->latency_ns[op], &t->figures.latency_ns[op]);
    into->errors += t->figures.errors;
    into->nulls += t->figures.nulls;
    into->bytes_in += t->figures.bytes_in;
    into->bytes_out += t->figures.bytes_out;
    if (into->first_error[0] == '\0')
        memcpy(into->first_error, t->figures.first_error, sizeof(into->first_error));
    for (unsigned i = 0; i < t->links_count; i++) {
        if (t->links[i].fd >= 0)
            close(t->links[i].fd);
        buf_release(&t->links[i].in);
        buf_release(&t->links[i].out);
        free(t->links[i].queue);
    }
    close(t->epoll);
    free(t->links);
    load_request_release(&t->request);
    free(t);
}
