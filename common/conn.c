#include "conn_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

/* ---- making and freeing ---- */

static struct conn *make(struct conn_loop *loop, int fd, const struct conn_conf *conf,
                         const struct conn_handlers *handlers, void *ctx) {
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->loop = loop;
    c->conf = conf;
    c->handlers = handlers;
    c->ctx = ctx;
    c->fd = fd;
    buf_init(&c->in, 0);
    buf_init(&c->out, conf->out_max);
    if (evutil_make_socket_nonblocking(fd) != 0 ||
        event_assign(&c->readable, loop->base, fd, EV_READ | EV_PERSIST, on_readable, c) != 0 ||
        event_assign(&c->writable, loop->base, fd, EV_WRITE | EV_PERSIST, on_writable, c) != 0) {
        free(c);
        return NULL;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on a Unix socket: no harm */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    return c;
}

struct conn *conn_adopt(struct conn_loop *loop, int fd, const struct conn_conf *conf,
                        const struct conn_handlers *handlers, void *ctx) {
    struct conn *c = make(loop, fd, conf, handlers, ctx);
    if (c != NULL && event_add(&c->readable, NULL) == 0)
        return c;
    free(c);
    close(fd);
    return NULL;
}

struct conn *conn_connect(struct conn_loop *loop, const struct sockaddr *addr, unsigned len,
                          const struct conn_conf *conf, const struct conn_handlers *handlers,
                          void *ctx) {
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    struct conn *c = make(loop, fd, conf, handlers, ctx);
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    c->connecting = true;
    bool failed = connect(fd, addr, len) != 0 && errno != EINPROGRESS;
    /* A failure at once is reported from the loop all the same: on_writable reads SO_ERROR, or
     * getpeername fails. */
    if (event_add(&c->writable, NULL) != 0) {
        free(c);
        close(fd);
        return NULL;
    }
    if (failed)
        event_active(&c->writable, EV_WRITE, 0);
    return c;
}

static void give_block_back(struct conn_loop *loop, struct buf *b) {
    if (b->data != NULL && b->cap == BLOCK_BYTES && loop->blocks_count < BLOCKS_MAX) {
        loop->blocks[loop->blocks_count++] = b->data;
        b->data = NULL;
    }
    buf_release(b);
}

void conn_free(struct conn **pointer) {
    struct conn *c = *pointer;
    *pointer = NULL;
    if (c == NULL || c->freed)
        return;
    event_del(&c->readable);
    event_del(&c->writable);
    close(c->fd);
    c->fd = -1;
    buf_release(&c->in);
    give_block_back(c->loop, &c->out);
    c->freed = true;
    /* A list of the loop may still hold it; else its memory waits for the turn's end: callers up
     * the stack may look at it. */
    if (!c->is_dirty && !c->is_again)
        conn_loop_bury(c->loop, c);
}

static void end(struct conn *c, enum conn_end why) {
    if (c->freed || c->ended)
        return;
    c->ended = true;
    event_del(&c->readable);
    event_del(&c->writable);
    c->handlers->on_end(c->ctx, why);
}

/* A connection with nothing to keep, as most are at any time, costs a comparison a turn. */
static void tell_kept(struct conn *c) {
    size_t kept = c->in.cap + c->out.cap;
    if (kept == c->kept)
        return;
    c->kept = kept;
    if (c->handlers->on_kept != NULL)
        c->handlers->on_kept(c->ctx, kept);
}

/* ---- reading ---- */

void conn_show(struct conn *c, const char *data, size_t len, bool from_in) {
    size_t used = c->handlers->on_read(c->ctx, data, len);
    if (c->freed)
        return;
    if (from_in) {
        buf_consume(&c->in, used);
        if (buf_len(&c->in) == 0)
            buf_release(&c->in);
    } else if (used < len) {
        buf_append(&c->in, data + used, len - used);
    }
    if ((from_in || used < len) && !c->is_dirty) /* else the turn's end tells */
        tell_kept(c);
    if (c->in.failed || (buf_len(&c->in) > c->conf->in_max && !c->paused && !c->ending))
        end(c, CONN_END_FULL);
}

static void got_eof(struct conn *c) {
    c->eof = true;
    event_del(&c->readable);
    if (!c->ended)
        c->handlers->on_end(c->ctx, CONN_END_EOF);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct conn *c = arg;
    conn_loop_open_turn(c->loop);
    bool from_in = buf_len(&c->in) != 0;
    char *to = c->loop->scratch;
    size_t room = SCRATCH_BYTES;
    if (from_in) {
        to = buf_reserve(&c->in, READ_BYTES_MIN);
        if (to == NULL) {
            end(c, CONN_END_FULL);
            return;
        }
        room = c->in.cap - c->in.tail;
    }
    ssize_t n = recv(fd, to, room, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            end(c, CONN_END_ERROR);
        return;
    }
    if (n == 0) {
        got_eof(c);
        return;
    }
    c->in_total += (uint64_t)n;
    if (from_in) {
        buf_commit(&c->in, (size_t)n);
        conn_show(c, buf_head(&c->in), buf_len(&c->in), true);
    } else {
        conn_show(c, to, (size_t)n, false);
    }
}

/* Without memory for an event it would wait for ever: it ends at the turn's end. */
static void give_up(struct conn *c) {
    c->out.failed = true;
    conn_send(c);
}

void conn_pause(struct conn *c) {
    if (!c->paused && !c->ended) {
        c->paused = true;
        event_del(&c->readable);
    }
}

void conn_resume(struct conn *c) {
    if (!c->paused)
        return;
    c->paused = false;
    if (!c->ended && !c->eof && !c->ending && !c->connecting && event_add(&c->readable, NULL) != 0)
        give_up(c);
}

void conn_read_again(struct conn *c) {
    if (c->is_again)
        return;
    c->is_again = true;
    c->next_again = c->loop->again;
    c->loop->again = c;
    if (c->loop->in_turn_end)
        conn_loop_turn_again(c->loop);
    else
        conn_loop_open_turn(c->loop);
}

/* ---- writing ---- */

struct buf *conn_out(struct conn *c) {
    struct conn_loop *loop = c->loop;
    if (c->out.data == NULL && loop->blocks_count > 0) {
        c->out.data = loop->blocks[--loop->blocks_count];
        c->out.cap = BLOCK_BYTES;
    } else if (c->out.data == NULL) {
        c->out.data = malloc(BLOCK_BYTES); /* NULL: the append will try a smaller one */
        c->out.cap = c->out.data != NULL ? BLOCK_BYTES : 0;
    }
    return &c->out;
}

static void make_dirty(struct conn *c) {
    c->is_dirty = true;
    c->next_dirty = c->loop->dirty;
    c->loop->dirty = c;
    conn_loop_open_turn(c->loop);
}

void conn_send(struct conn *c) {
    c->expects_more = false;
    if (!c->is_dirty)
        make_dirty(c);
}

void conn_send_soon(struct conn *c) {
    if (c->is_dirty)
        return;
    c->expects_more = true;
    make_dirty(c);
}

/* Close so that the reply before it arrives: unread input would turn the close into a reset. */
static void finish(struct conn *c) {
    shutdown(c->fd, SHUT_WR);
    for (int i = 0; i < DISCARD_READS_MAX; i++) {
        if (recv(c->fd, c->loop->scratch, SCRATCH_BYTES, 0) <= 0)
            break;
    }
    end(c, CONN_END_EOF);
}

static void after_send(struct conn *c) {
    if (!c->conf->retain) {
        if (c->out.cap == BLOCK_BYTES || c->out.cap > 4 * BLOCK_BYTES)
            give_block_back(c->loop, &c->out);
    }
    tell_kept(c);
    if (c->ending) {
        finish(c);
        return;
    }
    if (c->was_high) {
        c->was_high = false;
        if (c->handlers->on_drained != NULL)
            c->handlers->on_drained(c->ctx);
    }
}

void conn_send_now(struct conn *c) {
    if (c->connecting || c->ended)
        return;
    if (c->out.failed) {
        end(c, CONN_END_FULL);
        return;
    }
    size_t left = buf_len(&c->out) - c->sent;
    ssize_t n = 0;
    c->was_high = c->was_high || left > c->conf->out_low;
    if (left != 0) {
        n = send(c->fd, buf_head(&c->out) + c->sent, left, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            end(c, CONN_END_ERROR);
            return;
        }
        n = n < 0 ? 0 : n;
        c->out_total += (uint64_t)n;
        if (c->conf->retain)
            c->sent += (size_t)n;
        else
            buf_consume(&c->out, (size_t)n);
    }
    if ((size_t)n < left) {
        tell_kept(c);
        if (event_add(&c->writable, NULL) != 0)
            end(c, CONN_END_FULL);
        return;
    }
    event_del(&c->writable);
    after_send(c);
}

static void on_connected(struct conn *c) {
    int error = 0;
    socklen_t len = sizeof(error);
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0 ||
        getpeername(c->fd, (struct sockaddr *)&peer, &peer_len) != 0) {
        end(c, CONN_END_ERROR);
        return;
    }
    c->connecting = false;
    event_del(&c->writable);
    if (!c->paused && !c->ending && event_add(&c->readable, NULL) != 0) {
        end(c, CONN_END_FULL);
        return;
    }
    if (c->handlers->on_connected != NULL)
        c->handlers->on_connected(c->ctx);
    if (!c->freed && (buf_len(&c->out) != 0 || c->out.failed || c->ending))
        conn_send(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    struct conn *c = arg;
    conn_loop_open_turn(c->loop);
    if (c->connecting)
        on_connected(c);
    else
        conn_send(c); /* in one write with whatever this turn adds */
}

size_t conn_out_len(const struct conn *c) {
    return buf_len(&c->out) - c->sent;
}

size_t conn_sent(const struct conn *c) {
    return c->sent;
}

void conn_release(struct conn *c, size_t len) {
    c->sent -= len;
    buf_consume(&c->out, len);
    if (buf_len(&c->out) == 0 && c->out.cap > 16 * BLOCK_BYTES)
        buf_release(&c->out); /* after a burst */
}

void conn_end_after_send(struct conn *c) {
    if (c->ending)
        return;
    c->ending = true;
    event_del(&c->readable);
    conn_send(c);
}

/* ---- facts ---- */

void conn_peer(const struct conn *c, char *out, size_t size) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    char host[INET6_ADDRSTRLEN] = "";
    if (c->fd < 0 || getpeername(c->fd, (struct sockaddr *)&peer, &len) != 0) {
        snprintf(out, size, "?:0");
    } else if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)&peer;
        inet_ntop(AF_INET, &in4->sin_addr, host, sizeof(host));
        snprintf(out, size, "%s:%u", host, ntohs(in4->sin_port));
    } else if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(out, size, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        snprintf(out, size, "unix:");
    }
}

int conn_fd(const struct conn *c) {
    return c->fd;
}

uint64_t conn_in_total(const struct conn *c) {
    return c->in_total;
}

uint64_t conn_out_total(const struct conn *c) {
    return c->out_total;
}
