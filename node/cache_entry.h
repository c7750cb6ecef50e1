/*
 * cache_entry: how one entry lies in memory. For the three files of the cache alone.
 *   version 8 | epoch 4 | value_len 4 | key_len 2 | flags 1 | freq 1 | [deadline 8] | key | value
 */
#ifndef RINGFENCE_CACHE_ENTRY_H
#define RINGFENCE_CACHE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../common/span.h"

enum cache_entry_flags {
    CACHE_ENTRY_ABSENT = 1 << 0,
    CACHE_ENTRY_DEAD = 1 << 1, /* replaced or dropped; its bytes wait for the hand */
    CACHE_ENTRY_DEADLINE = 1 << 2,
    CACHE_ENTRY_MAIN = 1 << 3, /* lies in the main log */
};

struct cache_entry {
    uint64_t version;
    uint32_t epoch;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t flags;
    uint8_t freq;
    char data[];
};

static inline size_t cache_entry_bytes(size_t key_len, size_t value_len, bool has_deadline) {
    return (offsetof(struct cache_entry, data) + (has_deadline ? 8 : 0) + key_len + value_len + 7) &
           ~(size_t)7;
}

static inline size_t cache_entry_size(const struct cache_entry *e) {
    return cache_entry_bytes(e->key_len, e->value_len, (e->flags & CACHE_ENTRY_DEADLINE) != 0);
}

static inline char *cache_entry_key(struct cache_entry *e) {
    return e->data + ((e->flags & CACHE_ENTRY_DEADLINE) != 0 ? 8 : 0);
}

static inline struct span cache_entry_key_span(const struct cache_entry *e) {
    return span_of(cache_entry_key((struct cache_entry *)e), e->key_len);
}

#endif
