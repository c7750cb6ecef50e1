/*
 * cache_pages: memory for the cache in whole pages, cut from large mappings, so that the kernel may
 * back it with huge pages: a random read of a large table misses the TLB as often as the cache, and
 * pays for it more. Embedded by value in the cache.
 */
#ifndef RINGFENCE_CACHE_PAGES_H
#define RINGFENCE_CACHE_PAGES_H

#include <stddef.h>

enum { CACHE_PAGE_BYTES = 4096 };

struct cache_ahead;

struct cache_pages {
    size_t mapping_bytes; /* of one mapping; a multiple of 2 MiB: huge pages, else small ones */
    char *at;             /* what is left of the newest mapping */
    size_t left;
    char *next;                /* the mapping after it, once it is nearly used up; NULL: none yet */
    struct cache_ahead *ahead; /* touches huge pages early; NULL: nobody does */
};

/** cache_pages_init(pages, mapping_bytes, ahead): nothing is mapped yet. `ahead`: borrowed, or
 * NULL. */
void cache_pages_init(struct cache_pages *pages, size_t mapping_bytes, struct cache_ahead *ahead);

/** cache_pages_take(pages, bytes): zeroed memory of a multiple of CACHE_PAGE_BYTES, at such a
 * boundary, or NULL. Costs real memory once it is touched, up to
 * two huge pages more than that. */
void *cache_pages_take(struct cache_pages *pages, size_t bytes);

/** cache_pages_give(memory, bytes): back to the system; as it was taken. */
void cache_pages_give(void *memory, size_t bytes);

/** cache_pages_release(pages): what was never taken goes back. Pieces that were taken stay. */
void cache_pages_release(struct cache_pages *pages);

#endif
