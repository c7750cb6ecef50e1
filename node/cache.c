#include "cache.h"

#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"
#include "cache_entry.h"
#include "cache_index.h"
#include "cache_log.h"

enum {
    FREQ_MAX = 3,
    SMALL_SHARE = 10,  /* the small log's share of the bytes is one in so many */
    GHOST_SHARE = 64,  /* memory of the ghost: one byte in so many */
    SEGMENTS_MIN = 64, /* the budget is at least so many segments */
    SEGMENT_BYTES_MAX = 1 << 20,
    SEGMENT_BYTES_MIN = 64 << 10,
    RESERVE_SEGMENTS = 3, /* the hand starts when no more than this is left */
    INDEX_GROWTH_BYTES =
        128 << 10, /* what one insert may add to the index: a chunk, a pool, the directories */
    PACED_STEPS_MAX = 32,      /* entries that a put passes beyond its need */
    FORCED_AFTER_STEPS = 4096, /* then used entries go as well: a put ends */
};

struct cache {
    size_t bytes_max;
    uint64_t seed;
    struct cache_index index;
    struct cache_log small, main;
    uint32_t *ghost; /* fingerprints of what left the small log; later ones overwrite */
    uint64_t ghost_mask;
    uint64_t absent_items, bytes_live, evicted, inserted, promoted;
};

static size_t held(const struct cache *c) {
    return sizeof(*c) + c->index.bytes + c->small.bytes + c->main.bytes +
           (c->ghost_mask + 1) * sizeof(uint32_t);
}

struct cache *cache_new(size_t bytes_max, uint64_t seed) {
    struct cache *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    size_t segment = bytes_max / SEGMENTS_MIN & ~(size_t)4095;
    segment = segment > SEGMENT_BYTES_MAX   ? SEGMENT_BYTES_MAX
              : segment < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN
                                            : segment;
    c->bytes_max = bytes_max;
    c->seed = seed;
    cache_log_init(&c->small, segment);
    cache_log_init(&c->main, segment);
    uint64_t slots = 1;
    while (slots * 2 * sizeof(uint32_t) <= bytes_max / GHOST_SHARE)
        slots *= 2;
    c->ghost = calloc(slots, sizeof(uint32_t));
    c->ghost_mask = slots - 1;
    if (c->ghost == NULL || !cache_index_init(&c->index, seed))
        cache_free(&c);
    return c;
}

void cache_free(struct cache **cache) {
    if (*cache == NULL)
        return;
    cache_index_release(&(*cache)->index);
    cache_log_release(&(*cache)->small);
    cache_log_release(&(*cache)->main);
    free((*cache)->ghost);
    free(*cache);
    *cache = NULL;
}

uint64_t cache_hash(const struct cache *cache, struct span key) {
    return hash_table(key, cache->seed);
}

/* ---- reading ---- */

static void view(struct cache_entry *e, struct cache_item *out) {
    out->value = span_of(cache_entry_key(e) + e->key_len, e->value_len);
    out->version = e->version;
    out->epoch = e->epoch;
    out->absent = (e->flags & CACHE_ENTRY_ABSENT) != 0;
    out->deadline_ms = 0;
    if ((e->flags & CACHE_ENTRY_DEADLINE) != 0)
        memcpy(&out->deadline_ms, e->data, sizeof(out->deadline_ms));
}

bool cache_peek(const struct cache *cache, struct span key, uint64_t hash, struct cache_item *out) {
    const uint64_t *slot = cache_index_find(&cache->index, key, hash);
    if (slot == NULL)
        return false;
    view(cache_index_entry(*slot), out);
    return true;
}

bool cache_get(struct cache *cache, struct span key, uint64_t hash, struct cache_item *out) {
    const uint64_t *slot = cache_index_find(&cache->index, key, hash);
    if (slot == NULL)
        return false;
    struct cache_entry *e = cache_index_entry(*slot);
    if (e->freq < FREQ_MAX)
        e->freq++;
    view(e, out);
    return true;
}

/* ---- forgetting ---- */

static struct cache_log *log_of(struct cache *c, const struct cache_entry *e) {
    return (e->flags & CACHE_ENTRY_MAIN) != 0 ? &c->main : &c->small;
}

/* The entry is no longer in the index; its bytes stay until the hand passes. */
static void bury(struct cache *c, struct cache_entry *e) {
    c->bytes_live -= (size_t)e->key_len + e->value_len;
    c->absent_items -= (e->flags & CACHE_ENTRY_ABSENT) != 0;
    e->flags |= CACHE_ENTRY_DEAD;
    log_of(c, e)->dead += cache_entry_size(e);
}

bool cache_drop(struct cache *cache, struct span key, uint64_t hash) {
    uint64_t *slot = cache_index_find(&cache->index, key, hash);
    if (slot == NULL)
        return false;
    bury(cache, cache_index_entry(*slot));
    cache_index_remove(&cache->index, slot);
    return true;
}

bool cache_suspect(struct cache *cache, struct span key, uint64_t hash) {
    uint64_t *slot = cache_index_find(&cache->index, key, hash);
    if (slot == NULL)
        return false;
    cache_index_entry(*slot)->epoch = 0;
    return true;
}

void cache_clear(struct cache *cache) {
    uint64_t seed = cache->index.seed;
    cache_log_release(&cache->small);
    cache_log_release(&cache->main);
    cache_index_release(&cache->index);
    while (!cache_index_init(&cache->index, seed)) {
        /* 64 KiB were just given back: this ends */
    }
    cache->absent_items = cache->bytes_live = 0;
}

/* ---- eviction: S3-FIFO, see cache.h ---- */

static bool ghost_take(struct cache *c, uint64_t hash) {
    uint32_t *slot = &c->ghost[hash & c->ghost_mask], print = (uint32_t)(hash >> 32) | 1;
    if (*slot != print)
        return false;
    *slot = 0;
    return true;
}

static void ghost_add(struct cache *c, uint64_t hash) {
    c->ghost[hash & c->ghost_mask] = (uint32_t)(hash >> 32) | 1;
}

/* Copy the entry under the hand to the tail of `to`. False when the budget or the memory has no
 * room. */
static bool move(struct cache *c, struct cache_entry *e, uint64_t *slot, uint64_t hash,
                 struct cache_log *to, uint8_t freq) {
    size_t size = cache_entry_size(e);
    if (held(c) + cache_log_needs(to, size) > c->bytes_max)
        return false;
    struct cache_entry *copy = cache_log_append(to, size);
    if (copy == NULL)
        return false;
    memcpy(copy, e, size);
    copy->freq = freq;
    copy->flags =
        (uint8_t)(to == &c->main ? e->flags | CACHE_ENTRY_MAIN : e->flags & ~CACHE_ENTRY_MAIN);
    cache_index_point(slot, hash, copy);
    return true;
}

/* What becomes of the live entry under the hand of `log`. */
static void judge(struct cache *c, struct cache_log *log, struct cache_entry *e, bool compacting,
                  bool forced) {
    struct span key = cache_entry_key_span(e);
    uint64_t hash = hash_table(key, c->seed);
    uint64_t *slot = cache_index_find(&c->index, key, hash);
    bool absent = (e->flags & CACHE_ENTRY_ABSENT) != 0, kept = false;
    if (slot == NULL || cache_index_entry(*slot) != e) { /* lost by the index for lack of memory */
        bury(c, e);
        return;
    }
    if (forced)
        kept = false;
    else if (compacting) /* the log is full of dead bytes: nobody has to go for them */
        kept = move(c, e, slot, hash, log, e->freq);
    else if (log == &c->main)
        kept = e->freq > 0 && move(c, e, slot, hash, log, (uint8_t)(e->freq - 1));
    else if (e->freq > 0 && !absent) {
        kept = move(c, e, slot, hash, &c->main, 0);
        c->promoted += kept;
    }
    if (kept) {
        e->flags |= CACHE_ENTRY_DEAD;
        log->dead += cache_entry_size(e);
        return;
    }
    if (log == &c->small && !absent)
        ghost_add(c, hash);
    bury(c, e);
    cache_index_remove(&c->index, slot);
    c->evicted++;
}

/* Pass one entry. Returns the bytes passed, 0 when there is none. */
static size_t step(struct cache *c, bool forced) {
    size_t used = c->small.used + c->main.used, dead = c->small.dead + c->main.dead;
    bool compacting = dead > used / 4;
    struct cache_log *log;
    if (compacting)
        log = c->small.dead > c->main.dead ? &c->small : &c->main;
    else
        log =
            c->main.used == 0 || c->small.bytes > c->bytes_max / SMALL_SHARE ? &c->small : &c->main;
    if (log->used == 0)
        log = log == &c->small ? &c->main : &c->small;
    struct cache_entry *e = cache_log_hand(log);
    if (e == NULL)
        return 0;
    size_t size = cache_entry_size(e);
    if ((e->flags & CACHE_ENTRY_DEAD) == 0)
        judge(c, log, e, compacting, forced);
    cache_log_pass(log);
    return size;
}

/* Room for `size` bytes in `log`, and for the index to grow. The hand may free the segment that had
 * room, so ask again each time. */
static bool make_room(struct cache *c, const struct cache_log *log, size_t size) {
    for (unsigned steps = 0;
         held(c) + cache_log_needs(log, size) + INDEX_GROWTH_BYTES > c->bytes_max; steps++) {
        if (step(c, steps > FORCED_AFTER_STEPS) == 0)
            return false;
    }
    return true;
}

/* Near the budget the hand keeps pace with the tail, so that a put rarely has to wait for a whole
 * segment to come free. */
static void keep_pace(struct cache *c, size_t size) {
    size_t passed = 0;
    for (int i = 0; i < PACED_STEPS_MAX && passed < 2 * size; i++) {
        if (held(c) + RESERVE_SEGMENTS * c->small.segment_bytes <= c->bytes_max)
            return;
        passed += step(c, false);
    }
}

/* ---- writing ---- */

static void fill(struct cache *c, struct cache_entry *e, struct span key,
                 const struct cache_item *item, uint8_t flags, uint8_t freq) {
    struct span value = item->absent ? span_of(NULL, 0) : item->value;
    *e = (struct cache_entry){.version = item->absent ? 0 : item->version,
                              .epoch = item->epoch,
                              .value_len = (uint32_t)value.len,
                              .key_len = (uint16_t)key.len,
                              .flags = flags,
                              .freq = freq};
    if ((flags & CACHE_ENTRY_DEADLINE) != 0)
        memcpy(e->data, &item->deadline_ms, sizeof(item->deadline_ms));
    char *to = cache_entry_key(e);
    memcpy(to, key.ptr, key.len);
    if (value.len != 0)
        memcpy(to + key.len, value.ptr, value.len);
    c->bytes_live += key.len + value.len;
    c->absent_items += item->absent;
}

bool cache_put(struct cache *cache, struct span key, uint64_t hash, const struct cache_item *item) {
    size_t value_len = item->absent ? 0 : item->value.len;
    bool has_deadline = item->deadline_ms != 0;
    size_t size = cache_entry_bytes(key.len, value_len, has_deadline);
    uint8_t flags = (uint8_t)((item->absent ? CACHE_ENTRY_ABSENT : 0) |
                              (has_deadline ? CACHE_ENTRY_DEADLINE : 0));
    uint8_t freq = 0;
    uint64_t *slot = cache_index_find(&cache->index, key, hash);
    if (slot != NULL) {
        struct cache_entry *old = cache_index_entry(*slot);
        uint8_t place = old->flags & CACHE_ENTRY_MAIN;
        freq = old->freq;
        if (cache_entry_size(old) == size && old->value_len == value_len &&
            ((old->flags ^ flags) & CACHE_ENTRY_DEADLINE) == 0) {
            cache->bytes_live -= (size_t)old->key_len + old->value_len;
            cache->absent_items -= (old->flags & CACHE_ENTRY_ABSENT) != 0;
            fill(cache, old, key, item, flags | place, freq);
            return true;
        }
        flags |= place;
        bury(cache, old);
        cache_index_remove(&cache->index, slot);
    } else if (!item->absent && ghost_take(cache, hash)) {
        flags |= CACHE_ENTRY_MAIN;
    }
    if (item->absent)
        flags &= (uint8_t)~CACHE_ENTRY_MAIN;
    if (size > cache->bytes_max / 8 || key.len > UINT16_MAX)
        return false;
    struct cache_log *log = (flags & CACHE_ENTRY_MAIN) != 0 ? &cache->main : &cache->small;
    if (!make_room(cache, log, size))
        return false;
    struct cache_entry *e = cache_log_append(log, size);
    if (e == NULL)
        return false;
    fill(cache, e, key, item, flags, freq);
    if (!cache_index_insert(&cache->index, hash, e)) {
        bury(cache, e);
        return false;
    }
    cache->inserted++;
    keep_pace(cache, size);
    return true;
}

void cache_stats_get(const struct cache *cache, struct cache_stats *out) {
    *out = (struct cache_stats){.items = cache->index.items,
                                .absent_items = cache->absent_items,
                                .bytes_used = held(cache),
                                .bytes_live = cache->bytes_live,
                                .evicted = cache->evicted,
                                .inserted = cache->inserted,
                                .promoted = cache->promoted,
                                .splits = cache->index.splits};
}
