/*
 * conn: one non-blocking stream connection over libevent's `event`: two buffers, at most one read
 * and one write per loop turn. Bytes are read into a scratch buffer that all connections of a loop
 * share; only what the owner leaves unconsumed is kept per connection, so an idle connection holds
 * no buffer. Knows no protocol. Owned by whoever created it; conn_free() may be called anywhere,
 * also in a callback.
 */
#ifndef RINGFENCE_CONN_H
#define RINGFENCE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

struct buf;
struct conn;
struct conn_loop;
struct event_base;
struct sockaddr;

/* What all connections of one event base share: the scratch buffer and the list of those with bytes
 * to send. */
struct conn_loop *conn_loop_new(struct event_base *base);

/** conn_loop_pace(loop, rest_us, crowd_min, waiting): from now on the loop rests for `rest_us`
 * between two turns while at least `crowd_min` wait (see pace.h), as `*waiting`, which its owner
 * keeps up to date, says. */
void conn_loop_pace(struct conn_loop *loop, int64_t rest_us, uint32_t crowd_min,
                    const uint32_t *waiting);

/** conn_loop_free(loop): after its connections were freed. */
void conn_loop_free(struct conn_loop **loop);

/** conn_loop_now_us(loop): CLOCK_MONOTONIC as read once per loop turn, at the first callback after
 * the wait. */
int64_t conn_loop_now_us(struct conn_loop *loop);

enum conn_end {
    CONN_END_EOF,   /* the peer will send no more. What it asked may still be answered: free the
                       connection, or   go on sending and conn_end_after_send() */
    CONN_END_ERROR, /* read or write failed, or connect did */
    CONN_END_FULL,  /* a buffer reached its limit or memory ran out */
};

/* Callbacks run from the loop, never from inside a call that started them (except on_read from
 * conn_read_again's turn). */
struct conn_handlers {
    /**
     * Bytes to read: consume from the front, return how many. The rest is shown again, at the same
     * or another address, with more behind it. Also called by conn_read_again() with no new bytes.
     */
    size_t (*on_read)(void *ctx, const char *data, size_t len);
    /**
     * The connection ended by itself; the owner calls conn_free(), now or later. At most once for
     * CONN_END_EOF, and at most once (then nothing follows) for the others or after
     * conn_end_after_send().
     */
    void (*on_end)(void *ctx, enum conn_end why);
    /** Optional: an outgoing connection is established. */
    void (*on_connected)(void *ctx);
    /** Optional: all output has been taken by the kernel, after conn_out_len() had been above
     * conn_conf.out_low. */
    void (*on_drained)(void *ctx);
    /** Optional: the memory of its buffers that outlives a turn has changed, to so many bytes: by
     * output that the kernel did not take, or input that the owner left. Must not free it. */
    void (*on_kept)(void *ctx, size_t bytes);
};

struct conn_conf {
    size_t in_max;  /* bytes that may wait unconsumed */
    size_t out_max; /* hard limit of bytes that wait to be sent: CONN_END_FULL */
    size_t out_low; /* on_drained is called when output above this has been sent */
    bool retain;    /* sent bytes stay in the buffer until conn_release() */
};

/** conn_adopt(loop, fd, conf, handlers, ctx): take over a connected socket (made non-blocking,
 * TCP_NODELAY). NULL, fd closed, without memory. `conf` and `handlers` are borrowed for life. */
struct conn *conn_adopt(struct conn_loop *loop, int fd, const struct conn_conf *conf,
                        const struct conn_handlers *handlers, void *ctx);

/** conn_connect(loop, addr, len, conf, handlers, ctx): start connecting. on_connected or on_end
 * follows from the loop. Bytes may be appended at once. NULL without memory or sockets. */
struct conn *conn_connect(struct conn_loop *loop, const struct sockaddr *addr, unsigned len,
                          const struct conn_conf *conf, const struct conn_handlers *handlers,
                          void *ctx);

/** conn_free(c): close now, drop what was not sent, no more callbacks; nulls the pointer. NULL is
 * allowed. */
void conn_free(struct conn **c);

/** conn_out(c): where output is appended; then call conn_send(). Valid while the connection is. */
struct buf *conn_out(struct conn *c);

/** conn_send(c): what was appended leaves in one write at the end of this loop turn. Cheap; call it
 * as often as you like. */
void conn_send(struct conn *c);

/** conn_send_soon(c): the same for output that is about to be followed by more: while the loop is
 * crowded (see conn_loop_pace) it leaves with that at the next turn's end, which does not wait for
 * anything. */
void conn_send_soon(struct conn *c);

/** conn_out_len(c): bytes appended that the kernel has not taken. */
size_t conn_out_len(const struct conn *c);

/** conn_sent(c): with `retain`: how many bytes from the head of conn_out() the kernel has taken. */
size_t conn_sent(const struct conn *c);

/** conn_release(c, len): with `retain`: forget `len` bytes at the head; they must have been sent.
 */
void conn_release(struct conn *c, size_t len);

/** conn_pause(c) / conn_resume(c): stop and start reading from the socket (back-pressure). */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/** conn_read_again(c): call on_read later in this or the next loop turn with the bytes that were
 * left unconsumed. */
void conn_read_again(struct conn *c);

/** conn_end_after_send(c): no more reading; when the output is sent, shut down, then
 * on_end(CONN_END_EOF). For QUIT and protocol errors. */
void conn_end_after_send(struct conn *c);

/** conn_peer(c, out, size): "127.0.0.1:1234" or "unix:" of the other side. */
void conn_peer(const struct conn *c, char *out, size_t size);

/** conn_fd(c): the descriptor, for logs and CLIENT LIST. */
int conn_fd(const struct conn *c);

/** conn_in_total(c) / conn_out_total(c): bytes read and written over its life. */
uint64_t conn_in_total(const struct conn *c);
uint64_t conn_out_total(const struct conn *c);

#endif
