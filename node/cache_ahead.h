/*
 * cache_ahead: a thread that touches memory shortly before the cache needs it. The kernel zeroes a
 * huge page when it is first touched; where that takes milliseconds (a virtual machine), the node's
 * loop must not be who waits for it. It does nothing else and shares nothing but addresses.
 */
#ifndef RINGFENCE_CACHE_AHEAD_H
#define RINGFENCE_CACHE_AHEAD_H

#include <stddef.h>

struct cache_ahead;

/** cache_ahead_new(): NULL if there is no thread or memory for it: all works without, with pauses.
 * cache_ahead_free(ahead): waits until it has ended: at most one touch. */
struct cache_ahead *cache_ahead_new(void);
void cache_ahead_free(struct cache_ahead **ahead);

/** cache_ahead_touch(ahead, at, bytes): touch that soon; what is in it stays. Unmapped by then, it
 * is passed over; with too much to do it is forgotten. `ahead` may be NULL. Never waits. */
void cache_ahead_touch(struct cache_ahead *ahead, void *at, size_t bytes);

/** cache_ahead_wait(ahead): until all that it was asked for is done. For tests and benchmarks. */
void cache_ahead_wait(struct cache_ahead *ahead);

#endif
