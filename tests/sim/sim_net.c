#include "sim_net.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/buf.h"

enum {
    PORTS_MAX = 16,
    FD_FIRST = 1 << 20, /* no descriptor of the real process */
    SOON_US = 200,      /* a crowded loop's next turn */
};

struct conn_loop {
    struct sim *sim;
    struct sim_process *process;
    struct conn *dirty, *again;
    bool open;
    struct conn_loop *next_open;
};

struct conn {
    struct conn_loop *loop;
    const struct conn_conf *conf;
    const struct conn_handlers *handlers;
    void *ctx;
    struct conn *peer;
    int fd;
    uint16_t port;     /* that was connected to, on both sides */
    struct buf in;     /* left by the owner */
    struct buf kernel; /* not read yet */
    struct buf out;
    size_t sent;
    int64_t arrives_us; /* the last of what was sent */
    bool connecting, paused, ending, ended, freed, silent, told_eof;
    enum { PEER_OPEN, PEER_CLOSED, PEER_RESET } peer_state; /* seen when everything was read */
    bool is_dirty, is_again, was_high;
    struct conn *next_dirty, *next_again, *next_all;
    uint64_t in_total, out_total;
};

struct port {
    uint16_t number;
    struct sim_process *process;
    void (*accept)(void *ctx, int fd);
    void *ctx;
    bool unplugged;
};

struct sim_net {
    struct conn_loop *open;
    struct conn *all;
    struct conn *incoming; /* being accepted */
    int last_fd;
    struct port ports[PORTS_MAX];
};

struct segment {
    size_t len;
    char bytes[];
};

static void on_connect(struct sim *sim, void *ctx, uint64_t arg);
static void on_segment(struct sim *sim, void *ctx, uint64_t arg);
static void on_peer_end(struct sim *sim, void *ctx, uint64_t arg);
static void on_readable(struct sim *sim, void *ctx, uint64_t arg);

static int64_t delay_us(struct sim *sim) {
    return sim_between(sim, 10, sim_calm(sim, sim_profile(sim)->net_us_max));
}

struct sim_net *sim_net_new(struct sim *sim) {
    struct sim_net *net = sim_alloc(sim, sizeof(*net));
    net->last_fd = FD_FIRST;
    return net;
}

void sim_net_free(struct sim_net *net) {
    for (struct conn *c = net->all; c != NULL; c = c->next_all) {
        buf_release(&c->in);
        buf_release(&c->kernel);
        buf_release(&c->out);
    }
}

static struct port *port_of(struct sim_net *net, uint16_t number) {
    int i = 0;
    while (net->ports[i].number != number && net->ports[i].number != 0)
        i++;
    net->ports[i].number = number;
    return &net->ports[i];
}

void sim_net_listen(struct sim *sim, uint16_t number, struct sim_process *process,
                    void (*accept)(void *ctx, int fd), void *ctx) {
    struct port *port = port_of(sim_parts(sim)->net, number);
    port->process = process;
    port->accept = accept;
    port->ctx = ctx;
}

void sim_net_unplug(struct sim *sim, uint16_t number, bool unplugged) {
    port_of(sim_parts(sim)->net, number)->unplugged = unplugged;
}

/* ---- loops ---- */

struct conn_loop *conn_loop_new(struct event_base *base) {
    struct sim_process *process = (struct sim_process *)base;
    struct conn_loop *loop = sim_alloc(process->sim, sizeof(*loop));
    loop->sim = process->sim;
    loop->process = process;
    return loop;
}

void conn_loop_free(struct conn_loop **loop) {
    *loop = NULL; /* the run's memory */
}

static void open_turn(struct conn_loop *loop) {
    if (loop->open)
        return;
    struct sim_net *net = sim_parts(loop->sim)->net;
    loop->open = true;
    loop->next_open = net->open;
    net->open = loop;
}

int64_t conn_loop_now_us(struct conn_loop *loop) {
    return sim_now_us(loop->sim);
}

/* ---- making and ending ---- */

static struct conn *make(struct conn_loop *loop, const struct conn_conf *conf,
                         const struct conn_handlers *handlers, void *ctx) {
    struct sim_net *net = sim_parts(loop->sim)->net;
    struct conn *c = sim_alloc(loop->sim, sizeof(*c));
    c->loop = loop;
    c->conf = conf;
    c->handlers = handlers;
    c->ctx = ctx;
    c->fd = ++net->last_fd;
    buf_init(&c->out, conf->out_max);
    c->next_all = net->all;
    net->all = c;
    return c;
}

struct conn *conn_adopt(struct conn_loop *loop, int fd, const struct conn_conf *conf,
                        const struct conn_handlers *handlers, void *ctx) {
    struct conn *c = make(loop, conf, handlers, ctx), *peer = sim_parts(loop->sim)->net->incoming;
    c->peer = peer;
    c->port = peer->port;
    peer->peer = c;
    return c;
}

struct conn *conn_connect(struct conn_loop *loop, const struct sockaddr *addr, unsigned len,
                          const struct conn_conf *conf, const struct conn_handlers *handlers,
                          void *ctx) {
    struct conn *c = make(loop, conf, handlers, ctx);
    c->port = ntohs(((const struct sockaddr_in *)addr)->sin_port);
    c->connecting = true;
    struct sim_process *server = port_of(sim_parts(loop->sim)->net, c->port)->process;
    sim_in(loop->sim, server, delay_us(loop->sim), on_connect, c, 0);
    return c;
}

static void end(struct conn *c, enum conn_end why) {
    if (c->freed || c->ended)
        return;
    c->ended = true;
    c->handlers->on_end(c->ctx, why);
}

static void on_refused(struct sim *sim, void *ctx, uint64_t arg) {
    end(ctx, CONN_END_ERROR);
}

static void on_accepted(struct sim *sim, void *ctx, uint64_t arg) {
    struct conn *c = ctx;
    if (c->freed || c->ended)
        return;
    c->connecting = false;
    if (c->handlers->on_connected != NULL)
        c->handlers->on_connected(c->ctx);
    if (!c->freed && buf_len(&c->out) != 0)
        conn_send(c);
}

/* At the server: accept, refuse, or nobody is there to do either. */
static void on_connect(struct sim *sim, void *ctx, uint64_t arg) {
    struct conn *c = ctx;
    struct sim_net *net = sim_parts(sim)->net;
    struct port *port = port_of(net, c->port);
    if (c->freed || port->unplugged)
        return;
    if (port->accept == NULL) {
        sim_in(sim, c->loop->process, delay_us(sim), on_refused, c, 0);
        return;
    }
    net->incoming = c;
    port->accept(port->ctx, ++net->last_fd);
    net->incoming = NULL;
    sim_in(sim, c->loop->process, delay_us(sim), on_accepted, c, 0);
}

static void tell_peer(struct conn *c, int state, int64_t at_us) {
    if (c->peer != NULL && !c->silent)
        sim_at(c->loop->sim, c->peer->loop->process, at_us, on_peer_end, c->peer, (uint64_t)state);
}

void conn_free(struct conn **pointer) {
    struct conn *c = *pointer;
    *pointer = NULL;
    if (c == NULL || c->freed)
        return;
    struct sim *sim = c->loop->sim;
    int64_t at_us = sim_now_us(sim) + delay_us(sim);
    bool resets = buf_len(&c->kernel) != 0 || sim_chance(sim, 300);
    /* A reset may overtake what was sent, and then that is lost. */
    tell_peer(c, resets ? PEER_RESET : PEER_CLOSED,
              resets || at_us > c->arrives_us ? at_us : c->arrives_us);
    buf_release(&c->in);
    buf_release(&c->kernel);
    buf_release(&c->out);
    c->freed = true;
}

static void on_peer_end(struct sim *sim, void *ctx, uint64_t arg) {
    struct conn *c = ctx;
    if (c->freed || c->silent)
        return;
    c->peer_state = (int)arg;
    on_readable(sim, c, 0);
}

/* ---- reading ---- */

static void show(struct conn *c, const char *data, size_t len, bool from_in) {
    size_t used = c->handlers->on_read(c->ctx, data, len);
    if (c->freed)
        return;
    if (from_in)
        buf_consume(&c->in, used);
    else if (used < len)
        buf_append(&c->in, data + used, len - used);
    if (buf_len(&c->in) > c->conf->in_max && !c->paused && !c->ending)
        end(c, CONN_END_FULL);
}

static void receive(struct conn *c, const char *data, size_t len) {
    c->in_total += len;
    if (buf_len(&c->in) == 0) {
        show(c, data, len, false);
        return;
    }
    buf_append(&c->in, data, len);
    show(c, buf_head(&c->in), buf_len(&c->in), true);
}

/* What arrived while the owner did not read, then the end. */
static void on_readable(struct sim *sim, void *ctx, uint64_t arg) {
    struct conn *c = ctx;
    if (c->freed || c->ended || c->paused || c->ending)
        return;
    if (buf_len(&c->kernel) != 0) {
        struct buf bytes = c->kernel;
        buf_init(&c->kernel, 0);
        receive(c, buf_head(&bytes), buf_len(&bytes));
        buf_release(&bytes);
    }
    if (c->freed || c->ended || c->paused || c->told_eof)
        return;
    if (c->peer_state == PEER_RESET) {
        end(c, CONN_END_ERROR);
    } else if (c->peer_state == PEER_CLOSED) {
        c->told_eof = true;
        c->handlers->on_end(c->ctx, CONN_END_EOF);
    }
}

static void on_segment(struct sim *sim, void *ctx, uint64_t arg) {
    struct conn *c = ctx;
    struct segment *segment = (struct segment *)(uintptr_t)arg;
    if (c->freed || c->ended || c->ending || c->silent || c->peer_state == PEER_RESET)
        return;
    if (!c->paused && buf_len(&c->kernel) == 0) {
        receive(c, segment->bytes, segment->len);
        return;
    }
    buf_append(&c->kernel, segment->bytes, segment->len);
    on_readable(sim, c, 0);
}

void conn_pause(struct conn *c) {
    c->paused = true;
}

void conn_resume(struct conn *c) {
    if (!c->paused)
        return;
    c->paused = false;
    if (buf_len(&c->kernel) != 0 || c->peer_state != PEER_OPEN)
        sim_in(c->loop->sim, c->loop->process, 0, on_readable, c, 0);
}

void conn_read_again(struct conn *c) {
    if (c->is_again)
        return;
    c->is_again = true;
    c->next_again = c->loop->again;
    c->loop->again = c;
    open_turn(c->loop);
}

/* ---- writing ---- */

struct buf *conn_out(struct conn *c) {
    return &c->out;
}

void conn_send(struct conn *c) {
    if (c->is_dirty)
        return;
    c->is_dirty = true;
    c->next_dirty = c->loop->dirty;
    c->loop->dirty = c;
    open_turn(c->loop);
}

static void on_soon(struct sim *sim, void *ctx, uint64_t arg) {
    struct conn *c = ctx;
    if (!c->freed && !c->ended)
        conn_send(c);
}

/* With the next turn's output, whenever that is; here a loop may always be crowded. */
void conn_send_soon(struct conn *c) {
    struct sim *sim = c->loop->sim;
    if (c->is_dirty)
        return;
    if (sim_chance(sim, 500))
        sim_in(sim, c->loop->process, sim_between(sim, 0, SOON_US), on_soon, c, 0);
    else
        conn_send(c);
}

/* Bytes leave; they arrive whole or in two pieces, never out of order. */
static void transmit(struct conn *c, const char *data, size_t len) {
    struct sim *sim = c->loop->sim;
    c->out_total += len;
    if (c->peer == NULL || c->silent)
        return;
    size_t pieces = len > 1 && sim_chance(sim, 100) ? 2 : 1, at = 0;
    for (size_t i = 0; i < pieces; i++) {
        size_t size = i + 1 == pieces ? len - at : 1 + sim_random(sim, len - 1);
        struct segment *segment = sim_alloc(sim, sizeof(*segment) + size);
        segment->len = size;
        memcpy(segment->bytes, data + at, size);
        int64_t at_us = sim_now_us(sim) + delay_us(sim);
        c->arrives_us = at_us > c->arrives_us ? at_us : c->arrives_us;
        sim_at(sim, c->peer->loop->process, c->arrives_us, on_segment, c->peer,
               (uint64_t)(uintptr_t)segment);
        at += size;
    }
}

static void send_now(struct conn *c) {
    if (c->connecting || c->ended)
        return;
    if (c->out.failed) {
        end(c, CONN_END_FULL);
        return;
    }
    size_t left = buf_len(&c->out) - c->sent;
    c->was_high = left > c->conf->out_low;
    if (left != 0)
        transmit(c, buf_head(&c->out) + c->sent, left);
    if (c->conf->retain)
        c->sent += left;
    else
        buf_consume(&c->out, left);
    if (c->ending) {
        int64_t now_us = sim_now_us(c->loop->sim);
        tell_peer(c, PEER_CLOSED, c->arrives_us > now_us ? c->arrives_us : now_us);
        end(c, CONN_END_EOF);
    } else if (c->was_high && c->handlers->on_drained != NULL) {
        c->was_high = false;
        c->handlers->on_drained(c->ctx);
    }
}

static void end_turn(struct conn_loop *loop) {
    struct conn *again = loop->again;
    loop->again = NULL;
    while (again != NULL) {
        struct conn *c = again;
        again = c->next_again;
        c->is_again = false;
        if (!c->freed && !c->ended && buf_len(&c->in) != 0)
            show(c, buf_head(&c->in), buf_len(&c->in), true);
    }
    while (loop->dirty != NULL) {
        struct conn *c = loop->dirty;
        loop->dirty = c->next_dirty;
        c->is_dirty = false;
        if (!c->freed)
            send_now(c);
    }
}

void sim_net_turns(struct sim *sim) {
    struct sim_net *net = sim_parts(sim)->net;
    while (net->open != NULL) {
        struct conn_loop *loop = net->open;
        net->open = loop->next_open;
        loop->open = false;
        end_turn(loop);
    }
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
}

void conn_end_after_send(struct conn *c) {
    if (c->ending)
        return;
    c->ending = true;
    conn_send(c);
}

/* ---- breaking ---- */

static void break_one(struct sim *sim, struct conn *c, bool silently) {
    struct conn *sides[2] = {c, c->peer};
    for (int i = 0; i < 2; i++) {
        if (sides[i] == NULL || sides[i]->freed)
            continue;
        if (silently)
            sides[i]->silent = true;
        else
            sim_in(sim, sides[i]->loop->process, delay_us(sim), on_peer_end, sides[i], PEER_RESET);
    }
}

void sim_net_break(struct sim *sim, const struct sim_process *from, uint16_t port, bool silently) {
    for (struct conn *c = sim_parts(sim)->net->all; c != NULL; c = c->next_all) {
        if (!c->freed && !c->silent && c->loop->process == from && c->port == port) {
            sim_trace(sim, "%s: its connection to %u %s", from->name, port,
                      silently ? "goes silent" : "is reset");
            break_one(sim, c, silently);
            return;
        }
    }
}

void sim_net_kill(struct sim *sim, const struct sim_process *process, bool silently) {
    for (struct conn *c = sim_parts(sim)->net->all; c != NULL; c = c->next_all) {
        if (!c->freed && !c->silent && c->loop->process == process)
            break_one(sim, c, silently);
    }
}

/* ---- facts ---- */

void conn_peer(const struct conn *c, char *out, size_t size) {
    snprintf(out, size, "sim:%d", c->fd);
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
