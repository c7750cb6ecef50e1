/*
 * pause: CLIENT PAUSE: what all workers hold back, and until when. Set by one worker and seen by
 * all at once, so that whoever was told OK may count on it. What each request asks is one word that
 * hardly ever changes. Owned by main; borrowed by workers. Knows no client.
 */
#ifndef RINGFENCE_PAUSE_H
#define RINGFENCE_PAUSE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pause_kind { PAUSE_NONE, PAUSE_WRITE, PAUSE_ALL }; /* the latter holds back more */

enum { PAUSE_MS_MAX = 3600 * 1000 };

struct pause {
    _Atomic size_t mask;  /* 0, or all bits while there is a pause */
    pthread_mutex_t lock; /* of what follows */
    enum pause_kind kind;
    int64_t until_us;
    bool finished;
};

/** pause_init(p): nothing is held back. False without resources. pause_release(p): after it. */
bool pause_init(struct pause *p);
void pause_release(struct pause *p);

/** pause_begin(p, kind, now_us, until_us): as Redis: with a pause that there is already the one
 * that holds back more, and the later end, count. Times are CLOCK_MONOTONIC's. */
void pause_begin(struct pause *p, enum pause_kind kind, int64_t now_us, int64_t until_us);

/** pause_end(p): nothing is held back any more. pause_finish(p): the same, and for good. */
void pause_end(struct pause *p);
void pause_finish(struct pause *p);

/** pause_mask(p): 0, or all bits while there may be a pause: then ask pause_now(). */
static inline size_t pause_mask(const struct pause *p) {
    return atomic_load_explicit((_Atomic size_t *)&p->mask, memory_order_relaxed);
}

/** pause_now(p, now_us, left_us): what is held back; PAUSE_NONE ends a pause whose time is over.
 * `left_us`: until it ends, 0 without one. */
enum pause_kind pause_now(struct pause *p, int64_t now_us, int64_t *left_us);

#endif
