/*
 * conn_peer: for tests of conn: an event base, a connection over one end of a socket pair, a plain
 * descriptor at its other end, and a record of every callback.
 */
#ifndef RINGFENCE_CONN_PEER_H
#define RINGFENCE_CONN_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "../../common/conn.h"

struct event_base;
enum { CONN_PEER_LOG_MAX = 4096 };

struct conn_peer {
    struct event_base *base;
    struct conn_loop *loop;
    struct conn_conf conf;
    struct conn *c;
    int fd; /* the other end, non-blocking; -1: closed */

    /* What on_read does: take this many bytes; then call `on_read`, which may do anything. */
    size_t take; /* SIZE_MAX: all */
    void (*on_read)(struct conn_peer *p);
    void (*on_end)(struct conn_peer *p);
    void (*on_drained)(struct conn_peer *p);
    void (*on_connected)(struct conn_peer *p);
    struct conn_peer *other; /* for a test that lets one connection touch another */

    /* The record. Each callback is a word: "read:abc", "eof", "error", "full", "connected",
     * "drained"; separated by blanks. */
    char log[CONN_PEER_LOG_MAX];
    size_t log_len;
    unsigned reads, ends, drains, connects;
    bool inside; /* a callback runs now */
};

/** conn_peer_init(p, type): a base, a loop and a pair of AF_UNIX sockets of SOCK_STREAM or
 * SOCK_SEQPACKET (which keeps writes apart). Small kernel buffers. Generous limits. */
void conn_peer_init(struct conn_peer *p, int type);

/** conn_peer_init_beside(p, first, type): the same on the base and the loop of `first`. */
void conn_peer_init_beside(struct conn_peer *p, struct conn_peer *first, int type);

/** conn_peer_init_empty(p): a base and a loop, no connection. */
void conn_peer_init_empty(struct conn_peer *p);

/** conn_peer_adopt(p, fd, other): take `fd` as the connection. */
void conn_peer_adopt(struct conn_peer *p, int fd, int other);

/** conn_peer_release(p): frees all; the one that made the base last. */
void conn_peer_release(struct conn_peer *p);

/** conn_peer_turn(p): one turn of the loop, without waiting. */
void conn_peer_turn(struct conn_peer *p);

/** conn_peer_turns(p): turns until one in which nothing happened. */
void conn_peer_turns(struct conn_peer *p);

/** conn_peer_wait(p, counter, value): turns, with waiting, until *counter >= value; fails the test
 * after 10 s. */
void conn_peer_wait(struct conn_peer *p, const unsigned *counter, unsigned value);

/** conn_peer_write(p, text): the other end sends it whole. */
void conn_peer_write(struct conn_peer *p, const char *text);

/** conn_peer_read(p): what the other end can read now, at most 1,000 bytes, as a text; one message
 * of a SOCK_SEQPACKET; "-" for nothing, "." for the end, "!" for an error. */
const char *conn_peer_read(struct conn_peer *p);

/** conn_peer_send(p, text): append and conn_send(). */
void conn_peer_send(struct conn_peer *p, const char *text);

extern const struct conn_handlers CONN_PEER_HANDLERS; /* with a struct conn_peer as ctx */

#endif
