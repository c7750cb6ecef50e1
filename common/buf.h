/*
 * buf: a growable byte queue: append at the tail, consume at the head. Failure is sticky: when
 * memory or the limit runs out `failed` is set, the bytes of that append are dropped, and every
 * later append does nothing, so that writers need no check per call and the owner checks once
 * before it sends (and then closes). Embedded by value; owned by whoever embeds it. Knows no
 * sockets.
 */
#ifndef RINGFENCE_BUF_H
#define RINGFENCE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "span.h"

struct buf {
    char *data;       /* NULL while nothing is held */
    size_t cap;       /* bytes allocated */
    size_t head;      /* first byte that is not consumed */
    size_t tail;      /* one behind the last byte */
    size_t bytes_max; /* limit on tail - head; 0: none */
    bool failed;      /* sticky: an append did not fit */
};

/** buf_init(b, bytes_max): an empty buffer without memory. `bytes_max`: limit in bytes, 0 for none.
 */
void buf_init(struct buf *b, size_t bytes_max);

/** buf_release(b): free the memory; the buffer is empty and usable again, `failed` cleared. */
void buf_release(struct buf *b);

/**
 * buf_grow(b, len): make room for `len` more bytes at the tail (moves the bytes to the front or
 * doubles the memory). Returns false, and sets `failed`, when the limit or the memory is exceeded.
 */
bool buf_grow(struct buf *b, size_t len);

/** buf_len(b): bytes held. */
static inline size_t buf_len(const struct buf *b) {
    return b->tail - b->head;
}

/** buf_head(b): the first byte held; valid until the next append, reserve or release. */
static inline char *buf_head(const struct buf *b) {
    return b->data + b->head;
}

/**
 * buf_reserve(b, len): where `len` bytes may be written, or NULL (`failed` is set). Follow with
 * buf_commit(). Valid until the next call on `b`.
 */
static inline char *buf_reserve(struct buf *b, size_t len) {
    if (__builtin_expect(b->failed || b->cap - b->tail < len ||
                             (b->bytes_max != 0 && buf_len(b) + len > b->bytes_max),
                         0)) {
        if (b->failed || !buf_grow(b, len))
            return NULL;
    }
    return b->data + b->tail;
}

/** buf_commit(b, len): `len` of the reserved bytes were written. */
static inline void buf_commit(struct buf *b, size_t len) {
    b->tail += len;
}

/** buf_append(b, ptr, len): copy bytes to the tail. */
static inline void buf_append(struct buf *b, const char *ptr, size_t len) {
    char *to = buf_reserve(b, len);
    if (to != NULL && len != 0) {
        memcpy(to, ptr, len);
        b->tail += len;
    }
}

/** buf_append_span(b, s): copy a span to the tail. */
static inline void buf_append_span(struct buf *b, struct span s) {
    buf_append(b, s.ptr, s.len);
}

/** buf_consume(b, len): forget `len` bytes at the head; `len` <= buf_len(b). */
static inline void buf_consume(struct buf *b, size_t len) {
    b->head += len;
    if (b->head == b->tail)
        b->head = b->tail = 0;
}

#endif
