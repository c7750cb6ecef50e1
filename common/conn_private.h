/*
 * conn_private: what conn.c (one connection) and conn_loop.c (the turn) share. For these two alone.
 */
#ifndef RINGFENCE_CONN_PRIVATE_H
#define RINGFENCE_CONN_PRIVATE_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "buf.h"
#include "conn.h"
#include "pace.h"

enum {
    SCRATCH_BYTES = 128 * 1024, /* one read of any connection */
    READ_BYTES_MIN = 16 * 1024, /* room made behind bytes that wait for more */
    BLOCK_BYTES = 16 * 1024,    /* an output buffer as lent by the pool */
    BLOCKS_MAX = 256,           /* idle blocks that the pool keeps */
    DISCARD_READS_MAX =
        8, /* reads thrown away before a close, so that it does not become a reset */
};

/*
 * A turn: libevent runs the callbacks of all ready descriptors; the first of them that needs it
 * activates `turn_end`, which libevent puts behind them in the same pass. There everything that was
 * appended leaves.
 */
struct conn_loop {
    struct event_base *base;
    struct event turn_end;
    struct event
        next_turn; /* a timer of 0: for what must wait until descriptors were polled again */
    bool turn_open, in_turn_end;
    int64_t now_us;
    struct conn *dirty; /* have output to send, linked by next_dirty */
    struct conn *again; /* asked for conn_read_again(), linked by next_again */
    struct conn *dead;  /* freed; the memory goes at the turn's end, linked by next_dirty */
    struct pace pace;
    const uint32_t *waiting; /* NULL: it never rests */
    char *blocks[BLOCKS_MAX];
    unsigned blocks_count;
    char scratch[SCRATCH_BYTES];
};

struct conn {
    struct conn_loop *loop;
    const struct conn_conf *conf;
    const struct conn_handlers *handlers;
    void *ctx;
    int fd;
    struct event readable, writable;
    struct buf in;  /* bytes that the owner left */
    struct buf out; /* with retain: sent bytes first */
    size_t sent;    /* of `out`, from its head (0 without retain) */
    size_t kept;    /* memory of both, as last told */
    struct conn *next_dirty, *next_again;
    uint64_t in_total, out_total;
    bool connecting, paused, eof, ending, ended, freed;
    bool is_dirty, is_again, was_high;
    bool expects_more; /* conn_send_soon(): its output may wait for one more turn */
};

/** conn_loop_open_turn(loop): reads the clock once and sees to it that the turn's end runs. */
void conn_loop_open_turn(struct conn_loop *loop);

/** conn_loop_turn_again(loop): there is a next turn even if no descriptor is ready. */
void conn_loop_turn_again(struct conn_loop *loop);

/** conn_loop_bury(loop, c): `c` is freed and on no list any more: its memory goes at the turn's
 * end. */
void conn_loop_bury(struct conn_loop *loop, struct conn *c);

/** conn_show(c, data, len, from_in): show bytes to the owner; what it leaves is in c->in
 * afterwards. */
void conn_show(struct conn *c, const char *data, size_t len, bool from_in);

/** conn_send_now(c): the one write of this turn. */
void conn_send_now(struct conn *c);

#endif
