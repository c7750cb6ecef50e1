/*
 * eviction: which clients have to go when the buffers of all of them together are too large: the
 * largest, of whatever worker. Walks the registry; needed in overload alone.
 */
#ifndef RINGFENCE_EVICTION_H
#define RINGFENCE_EVICTION_H

#include <stdint.h>

struct registry;

/**
 * eviction_mark(registry, bytes_max): mark clients as LOCAL_KILL_EVICTED, the largest first, until
 * the others have at most `bytes_max` in all. One that said CLIENT NO-EVICT is spared, and its
 * bytes count. Returns how many; their workers have to sweep. "Largest" is exact to a quarter.
 * Cost: two walks over all clients under the registry's lock, no memory.
 */
uint32_t eviction_mark(struct registry *registry, uint64_t bytes_max);

#endif
