#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/clock.h"
#include "program.h"

enum {
    HEAD_BYTES = 1024,        /* in which `only` is looked for */
    READ_BYTES = 1 << 16,     /* at a time */
    HELD_BYTES_MAX = 4 << 20, /* of one way; beyond it nothing more is taken in */
    IDLE_MS = 1000,
    BIND_TRIES = 50,
};

enum side { ASKER, TARGET }; /* flow ASKER goes up, from the asker to the target */

struct chunk {
    struct chunk *next;
    int64_t due_us;
    size_t len, sent;
    char data[];
};

struct flow {
    struct chunk *first, *last;
    size_t held;
    int64_t next_us;  /* not before, because of bytes_per_s */
    bool ended, shut; /* its source said so; its sink was told */
};

struct line {
    struct line *next;
    struct link *link;
    int fds[2];
    bool dead[2]; /* that side is broken: nothing more comes from it or goes to it */
    struct flow flows[2];
    char head[HEAD_BYTES];
    size_t head_len;
    int64_t bytes, cut_at; /* passed on in all; reset when so many are; 0: never */
    bool doomed;           /* wire_cut() */
    enum wire_end end;
    int polled[2]; /* index of each side in the poll, -1: not there */
};

struct link {
    int listener, polled;
    uint16_t port, target_port;
    char path[108]; /* of the target; "": target_port */
    struct wire_fault fault;
    struct wire_figures figures;
};

struct wire {
    pthread_mutex_t mutex; /* of everything below; not held while the thread waits */
    pthread_t thread;
    int waker;
    bool stop;
    struct link links[WIRE_LINKS_MAX];
    int links_count;
    struct line *lines;
};

/* ---- sockets ---- */

static int listen_at(uint16_t port) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 512) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_to(const struct link *link) {
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in remote = {.sin_family = AF_INET,
                                 .sin_port = htons(link->target_port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_local = link->path[0] != '\0';
    int on = 1;
    int fd = socket(is_local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    memcpy(local.sun_path, link->path, sizeof(local.sun_path));
    if (!is_local)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, is_local ? (struct sockaddr *)&local : (struct sockaddr *)&remote,
                is_local ? sizeof(local) : sizeof(remote)) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static void listen_again(struct link *link) {
    if (!link->fault.refuse && link->listener < 0)
        link->listener = listen_at(link->port);
}

static void close_hard(int fd) { /* RST instead of FIN */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close(fd);
}

/* ---- lines ---- */

static bool concerns(const struct line *line, const char *only) {
    return only == NULL || memmem(line->head, line->head_len, only, strlen(only)) != NULL;
}

static const struct wire_fault *fault_of(const struct line *line) {
    static const struct wire_fault NONE;
    return concerns(line, line->link->fault.only) ? &line->link->fault : &NONE;
}

static bool is_stalled(const struct line *line, enum side from) {
    const struct wire_fault *fault = fault_of(line);
    return from == ASKER ? fault->stall_up : fault->stall_down;
}

static void drop_first(struct flow *flow) {
    struct chunk *chunk = flow->first;
    flow->first = chunk->next;
    if (flow->first == NULL)
        flow->last = NULL;
    flow->held -= chunk->len - chunk->sent;
    free(chunk);
}

static void drop_all(struct flow *flow) {
    while (flow->first != NULL)
        drop_first(flow);
}

static void line_free(struct line *line, enum wire_end end) {
    for (int side = 0; side < 2; side++) {
        if (end == WIRE_RESET)
            close_hard(line->fds[side]);
        else
            close(line->fds[side]);
        drop_all(&line->flows[side]);
    }
    line->link->figures.open--;
    free(line);
}

static void take_line(struct wire *wire, struct link *link) {
    int on = 1, fd = accept4(link->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    link->figures.tries++;
    int target = connect_to(link);
    struct line *line = target < 0 ? NULL : calloc(1, sizeof(*line));
    if (line == NULL) {
        close_hard(fd);
        if (target >= 0)
            close(target);
        return;
    }
    line->link = link;
    line->fds[ASKER] = fd;
    line->fds[TARGET] = target;
    line->polled[ASKER] = line->polled[TARGET] = -1;
    line->cut_at = link->fault.only == NULL ? link->fault.cut_after_bytes : 0;
    line->next = wire->lines;
    wire->lines = line;
    link->figures.connections++;
    link->figures.open++;
}

static void take_in(struct line *line, enum side from) {
    struct flow *flow = &line->flows[from];
    char bytes[READ_BYTES];
    ssize_t n = recv(line->fds[from], bytes, sizeof(bytes), 0);
    if (n == 0)
        flow->ended = true;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        line->dead[from] = true;
    if (n <= 0)
        return;
    if (from == ASKER && line->head_len < HEAD_BYTES) {
        size_t room = HEAD_BYTES - line->head_len, take = (size_t)n < room ? (size_t)n : room;
        memcpy(line->head + line->head_len, bytes, take);
        line->head_len += take;
    }
    struct chunk *chunk = malloc(sizeof(*chunk) + (size_t)n);
    if (chunk == NULL) {
        line->doomed = true;
        return;
    }
    *chunk = (struct chunk){.due_us = clock_mono_us() + fault_of(line)->delay_ms * (int64_t)1000,
                            .len = (size_t)n};
    memcpy(chunk->data, bytes, (size_t)n);
    flow->held += (size_t)n;
    if (flow->last != NULL)
        flow->last->next = chunk;
    else
        flow->first = chunk;
    flow->last = chunk;
}

/* How many bytes may go now. */
static size_t allowance(const struct line *line, const struct flow *flow, int64_t now_us) {
    const struct wire_fault *fault = fault_of(line);
    size_t most = flow->first->len - flow->first->sent;
    if (fault->bytes_per_s > 0) {
        size_t in_10_ms = (size_t)(fault->bytes_per_s / 100);
        most = now_us < flow->next_us ? 0 : most < in_10_ms ? most : in_10_ms + (in_10_ms == 0);
    }
    if (line->cut_at > 0 && line->bytes + (int64_t)most > line->cut_at)
        most = (size_t)(line->cut_at - line->bytes);
    return most;
}

static void pass_on(struct line *line, enum side from, int64_t now_us) {
    struct flow *flow = &line->flows[from];
    enum side to = from == ASKER ? TARGET : ASKER;
    const struct wire_fault *fault = fault_of(line);
    while (flow->first != NULL && flow->first->due_us <= now_us && !is_stalled(line, from)) {
        size_t most = allowance(line, flow, now_us);
        if (most == 0)
            break;
        ssize_t n = send(line->fds[to], flow->first->data + flow->first->sent, most,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            line->dead[to] = errno != EAGAIN && errno != EINTR && errno != ENOTCONN;
            break;
        }
        flow->first->sent += (size_t)n;
        flow->held -= (size_t)n;
        line->bytes += n;
        line->link->figures.bytes += (uint64_t)n;
        if (fault->bytes_per_s > 0)
            flow->next_us = now_us + n * (int64_t)1000000 / fault->bytes_per_s;
        if (flow->first->sent == flow->first->len)
            drop_first(flow);
    }
    if (flow->first == NULL && flow->ended && !flow->shut && !is_stalled(line, from)) {
        shutdown(line->fds[to], SHUT_WR);
        flow->shut = true;
    }
}

/* True if it is over; `end`: how. */
static bool is_over(const struct line *line, enum wire_end *end) {
    *end = line->doomed ? line->end : WIRE_RESET;
    if (line->doomed || (line->cut_at > 0 && line->bytes >= line->cut_at))
        return true;
    if (line->flows[ASKER].shut && line->flows[TARGET].shut) {
        *end = WIRE_FIN;
        return true;
    }
    /* A broken side ends the other, once what is on its way is there; a stall hides even that. */
    for (int side = 0; side < 2; side++) {
        if (line->dead[side] && !is_stalled(line, side) &&
            (line->flows[side].first == NULL || line->dead[1 - side]))
            return true;
    }
    return false;
}

/* ---- the thread ---- */

/* The next time at which something may go on that no socket tells of. */
static int64_t next_due_us(const struct line *line) {
    int64_t due_us = INT64_MAX;
    for (int side = 0; side < 2; side++) {
        const struct flow *flow = &line->flows[side];
        if (flow->first == NULL || is_stalled(line, side))
            continue;
        int64_t at_us = flow->first->due_us > flow->next_us ? flow->first->due_us : flow->next_us;
        due_us = at_us < due_us ? at_us : due_us;
    }
    return due_us;
}

static short interest(const struct line *line, enum side side, int64_t now_us) {
    const struct flow *in = &line->flows[side], *out = &line->flows[1 - side];
    short events = 0;
    if (!in->ended && in->held < HELD_BYTES_MAX)
        events |= POLLIN;
    if (out->first != NULL && out->first->due_us <= now_us && out->next_us <= now_us &&
        !is_stalled(line, 1 - side))
        events |= POLLOUT;
    return events;
}

static nfds_t gather(struct wire *wire, struct pollfd *fds, nfds_t max, int *timeout_ms) {
    int64_t now_us = clock_mono_us(), due_us = now_us + IDLE_MS * (int64_t)1000;
    nfds_t count = 0;
    fds[count++] = (struct pollfd){.fd = wire->waker, .events = POLLIN};
    for (int i = 0; i < wire->links_count; i++) {
        wire->links[i].polled = -1;
        listen_again(&wire->links[i]);
        if (wire->links[i].listener < 0)
            continue;
        wire->links[i].polled = (int)count;
        fds[count++] = (struct pollfd){.fd = wire->links[i].listener, .events = POLLIN};
    }
    for (struct line *line = wire->lines; line != NULL; line = line->next) {
        for (int side = 0; side < 2; side++) {
            short events = interest(line, side, now_us);
            line->polled[side] = -1;
            if (line->dead[side] || events == 0 || count == max)
                continue;
            line->polled[side] = (int)count;
            fds[count++] = (struct pollfd){.fd = line->fds[side], .events = events};
        }
        int64_t at_us = next_due_us(line);
        if (at_us > now_us && at_us < due_us)
            due_us = at_us;
    }
    *timeout_ms = (int)((due_us - now_us + 999) / 1000);
    return count;
}

static void serve_lines(struct wire *wire, const struct pollfd *fds) {
    int64_t now_us = clock_mono_us();
    for (struct line **at = &wire->lines; *at != NULL;) {
        struct line *line = *at;
        enum wire_end end;
        for (int side = 0; side < 2; side++) {
            if (line->polled[side] >= 0 &&
                (fds[line->polled[side]].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
                take_in(line, side);
        }
        pass_on(line, ASKER, now_us);
        pass_on(line, TARGET, now_us);
        if (is_over(line, &end)) {
            *at = line->next;
            line->link->figures.cuts += end == WIRE_RESET;
            line_free(line, end);
        } else {
            at = &line->next;
        }
    }
}

static void *serve(void *arg) {
    enum { FDS_MAX = 2048 };
    struct wire *wire = arg;
    struct pollfd fds[FDS_MAX];
    int timeout_ms;
    uint64_t woken;
    pthread_mutex_lock(&wire->mutex);
    while (!wire->stop) {
        nfds_t count = gather(wire, fds, FDS_MAX, &timeout_ms);
        int links = wire->links_count;
        pthread_mutex_unlock(&wire->mutex);
        if (poll(fds, count, timeout_ms) > 0 && (fds[0].revents & POLLIN) != 0 &&
            read(wire->waker, &woken, sizeof(woken)) < 0)
            perror("wire");
        pthread_mutex_lock(&wire->mutex);
        serve_lines(wire, fds);
        for (int i = 0; i < links; i++) {
            struct link *link = &wire->links[i];
            if (link->polled >= 0 && link->listener >= 0 && fds[link->polled].revents != 0)
                take_line(wire, link);
        }
    }
    pthread_mutex_unlock(&wire->mutex);
    return NULL;
}

/* ---- from outside ---- */

static void wake(struct wire *wire) {
    uint64_t one = 1;
    if (write(wire->waker, &one, sizeof(one)) < 0)
        perror("wire");
}

struct wire *wire_new(void) {
    struct wire *wire = calloc(1, sizeof(*wire));
    if (wire == NULL)
        return NULL;
    pthread_mutex_init(&wire->mutex, NULL);
    wire->waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wire->waker >= 0 && pthread_create(&wire->thread, NULL, serve, wire) == 0)
        return wire;
    free(wire);
    return NULL;
}

void wire_free(struct wire **pointer) {
    struct wire *wire = *pointer;
    *pointer = NULL;
    pthread_mutex_lock(&wire->mutex);
    wire->stop = true;
    wake(wire);
    pthread_mutex_unlock(&wire->mutex);
    pthread_join(wire->thread, NULL);
    while (wire->lines != NULL) {
        struct line *line = wire->lines;
        wire->lines = line->next;
        line_free(line, WIRE_FIN);
    }
    for (int i = 0; i < wire->links_count; i++) {
        if (wire->links[i].listener >= 0)
            close(wire->links[i].listener);
    }
    close(wire->waker);
    pthread_mutex_destroy(&wire->mutex);
    free(wire);
}

int wire_link(struct wire *wire, const char *path, uint16_t port, uint16_t *port_out) {
    struct link link = {.listener = -1, .polled = -1, .target_port = port};
    int number = -1;
    if (path != NULL &&
        (size_t)snprintf(link.path, sizeof(link.path), "%s", path) >= sizeof(link.path))
        return -1;
    for (int i = 0; i < BIND_TRIES && link.listener < 0; i++) {
        link.port = program_free_port();
        link.listener = listen_at(link.port);
    }
    pthread_mutex_lock(&wire->mutex);
    if (link.listener >= 0 && wire->links_count < WIRE_LINKS_MAX) {
        number = wire->links_count++;
        wire->links[number] = link;
        *port_out = link.port;
    }
    wake(wire);
    pthread_mutex_unlock(&wire->mutex);
    if (number < 0 && link.listener >= 0)
        close(link.listener);
    return number;
}

void wire_set(struct wire *wire, int number, const struct wire_fault *fault) {
    struct link *link = &wire->links[number];
    pthread_mutex_lock(&wire->mutex);
    link->fault = fault != NULL ? *fault : (struct wire_fault){0};
    for (struct line *line = wire->lines; line != NULL; line = line->next) {
        if (line->link != link)
            continue;
        int64_t more = fault_of(line)->cut_after_bytes;
        line->cut_at = more > 0 ? line->bytes + more : 0;
    }
    if (link->fault.refuse && link->listener >= 0) {
        shutdown(link->listener, SHUT_RDWR); /* the thread may be waiting for it: now, not then */
        close(link->listener);
        link->listener = -1;
    }
    listen_again(link);
    wake(wire);
    pthread_mutex_unlock(&wire->mutex);
}

void wire_cut(struct wire *wire, int number, enum wire_end end, const char *only) {
    pthread_mutex_lock(&wire->mutex);
    for (struct line *line = wire->lines; line != NULL; line = line->next) {
        if (line->link == &wire->links[number] && concerns(line, only)) {
            line->doomed = true;
            line->end = end;
        }
    }
    wake(wire);
    pthread_mutex_unlock(&wire->mutex);
}

struct wire_figures wire_figures(struct wire *wire, int number) {
    pthread_mutex_lock(&wire->mutex);
    struct wire_figures figures = wire->links[number].figures;
    for (const struct line *line = wire->lines; line != NULL; line = line->next) {
        if (line->link == &wire->links[number])
            figures.held += line->flows[ASKER].held + line->flows[TARGET].held;
    }
    pthread_mutex_unlock(&wire->mutex);
    return figures;
}
