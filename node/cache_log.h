/*
 * cache_log: entries back to back in segments, first in, first out: append at the tail, a hand that
 * passes them at the head. No index, no policy. Source: Yang, Yue, Vinayak, "Segcache", NSDI 2021
 * (segments instead of an allocation per entry). Embedded by value in the cache.
 */
#ifndef RINGFENCE_CACHE_LOG_H
#define RINGFENCE_CACHE_LOG_H

#include <stddef.h>

#include "cache_pages.h"

struct cache_entry;
struct cache_segment;

/* Ordinary segments that came free and wait to be used again, shared by the logs of a cache: near
 * the budget the system is not asked for memory again and again. */
struct cache_spare {
    struct cache_segment *first;
    size_t bytes;             /* memory held */
    struct cache_pages pages; /* where new segments come from */
};

struct cache_log {
    struct cache_spare *spare;
    struct cache_segment *head, *tail;
    size_t segment_bytes; /* of an ordinary segment; a larger entry gets one of its own */
    size_t bytes;         /* memory held */
    size_t used;          /* bytes of entries that the hand has not passed, dead ones included */
    size_t dead;          /* of those */
};

/** cache_log_init(log, segment_bytes, spare): an empty log. `spare`: borrowed; zero at first
 * but for its pages, which were initialised. */
void cache_log_init(struct cache_log *log, size_t segment_bytes, struct cache_spare *spare);

/** cache_log_release(log): free every segment. Cost: O(segments). */
void cache_log_release(struct cache_log *log);

/** cache_spare_release(spare): give the spare segments, and pages not used yet, back to the system.
 */
void cache_spare_release(struct cache_spare *spare);

/** cache_log_needs(log, bytes): memory that an append of `bytes` would take from the system: 0 or a
 * segment's. */
size_t cache_log_needs(const struct cache_log *log, size_t bytes);

/** cache_log_append(log, bytes): room for an entry of `bytes` (a multiple of 8) at the tail, not
 * initialised; NULL without memory. Entries never move. */
struct cache_entry *cache_log_append(struct cache_log *log, size_t bytes);

/** cache_log_hand(log): the oldest entry that was not passed, or NULL. Its header must be intact,
 * dead or not. */
struct cache_entry *cache_log_hand(struct cache_log *log);

/** cache_log_pass(log): the hand goes on; a segment whose entries were all passed is freed with
 * them, or becomes spare. */
void cache_log_pass(struct cache_log *log);

#endif
