#include "cache.h"

#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"
#include "cache_ahead.h"
#include "cache_entry.h"
#include "cache_index.h"
#include "cache_log.h"

enum {
    FREQ_MAX = 7,
    SMALL_PERCENT = 3,  /* the small log's share of the bytes */
    GHOST_SHARE = 256,  /* memory of the ghost: one byte in so many */
    SEGMENTS_MIN = 512, /* the budget is so many segments, if they may be so small */
    SEGMENT_BYTES_MAX = 1 << 20,
    SEGMENT_BYTES_MIN = 16 << 10,
    HUGE_FROM_BYTES = 1 << 30, /* a smaller cache does without huge pages: they are given whole */
    MAPPING_BYTES = 32 << 20,
    PARTS = 256, /* of the budget, by which what is left is judged; of two segments at least */
    RESERVE_PARTS = 3,    /* the hand starts when no more than this is left */
    PACED_STEPS_MAX = 32, /* entries that a put passes, twice that when little is left, */
    PACED_BYTES = 64,     /* and one more per so many bytes of its own */
    PATIENCE_STEPS = 128, /* a put that still lacks room takes whatever comes then */
    PREFETCH_LINES = 3,   /* of an entry whose key was guessed */
};

/* How hard a used entry is to evict: the less room is left, the less. */
enum mercy { MERCY_USUAL, MERCY_LITTLE, MERCY_NONE };

struct cache {
    size_t bytes_max, part_bytes;
    uint64_t seed;
    struct cache_index index;
    struct cache_log small, main;
    struct cache_spare spare;
    struct cache_ahead *ahead; /* of a large cache */
    uint16_t *ghost;           /* fingerprints of what left the small log; later ones overwrite */
    uint64_t ghost_slots;
    uint64_t absent_items, bytes_live, evicted, inserted, promoted, passed;
};

static size_t held(const struct cache *c) {
    return sizeof(*c) + c->index.bytes + c->small.bytes + c->main.bytes + c->spare.bytes +
           c->ghost_slots * sizeof(uint16_t);
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
    c->part_bytes = bytes_max / PARTS > 2 * segment ? bytes_max / PARTS : 2 * segment;
    c->seed = seed;
    size_t mapping = bytes_max >= HUGE_FROM_BYTES ? MAPPING_BYTES : segment;
    if (mapping == MAPPING_BYTES)
        c->ahead = cache_ahead_new();
    cache_pages_init(&c->spare.pages, mapping, c->ahead);
    cache_log_init(&c->small, segment, &c->spare);
    cache_log_init(&c->main, segment, &c->spare);
    c->ghost_slots = bytes_max / GHOST_SHARE / sizeof(uint16_t);
    c->ghost = calloc(c->ghost_slots, sizeof(uint16_t));
    if (c->ghost == NULL || !cache_index_init(&c->index, seed, mapping, c->ahead))
        cache_free(&c);
    return c;
}

void cache_free(struct cache **cache) {
    if (*cache == NULL)
        return;
    cache_ahead_free(&(*cache)->ahead);
    cache_index_release(&(*cache)->index);
    cache_log_release(&(*cache)->small);
    cache_log_release(&(*cache)->main);
    cache_spare_release(&(*cache)->spare);
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

void cache_prefetch(const struct cache *cache, uint64_t hash) {
    cache_index_prefetch(&cache->index, hash);
}

void cache_prefetch_entry(const struct cache *cache, uint64_t hash) {
    const char *e = (const char *)cache_index_guess(&cache->index, hash);
    if (e == NULL)
        return;
    for (int line = 0; line < PREFETCH_LINES; line++) /* of a small value: all of it */
        __builtin_prefetch(e + line * 64);
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
    cache_index_remove(&cache->index, slot, hash);
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
    cache_log_release(&cache->small);
    cache_log_release(&cache->main);
    cache_spare_release(&cache->spare);
    cache_index_clear(&cache->index);
    cache->absent_items = cache->bytes_live = 0;
}

/* ---- eviction: S3-FIFO, see cache.h ---- */

static uint16_t *ghost_slot(const struct cache *c, uint64_t hash) {
    return &c->ghost[(uint64_t)((unsigned __int128)hash * c->ghost_slots >> 64)];
}

static bool ghost_take(struct cache *c, uint64_t hash) {
    uint16_t *slot = ghost_slot(c, hash), print = (uint16_t)hash | 1;
    if (*slot != print)
        return false;
    *slot = 0;
    return true;
}

static void ghost_add(struct cache *c, uint64_t hash) {
    *ghost_slot(c, hash) = (uint16_t)hash | 1;
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

/* The live entry under the hand of `log` moves on, or is evicted. True if it moved. */
static bool judge(struct cache *c, struct cache_log *log, struct cache_entry *e, bool compacting,
                  enum mercy mercy) {
    struct span key = cache_entry_key_span(e);
    uint64_t hash = hash_table(key, c->seed);
    uint64_t *slot = cache_index_find(&c->index, key, hash);
    bool absent = (e->flags & CACHE_ENTRY_ABSENT) != 0, kept = false;
    if (slot == NULL || cache_index_entry(*slot) != e) { /* lost by the index for lack of memory */
        bury(c, e);
        return false;
    }
    if (mercy == MERCY_NONE)
        kept = false;
    else if (compacting) /* the log is full of dead bytes: nobody has to go for them */
        kept = move(c, e, slot, hash, log, e->freq);
    else if (log == &c->main)
        kept = e->freq > (mercy == MERCY_LITTLE) &&
               move(c, e, slot, hash, log, (uint8_t)(e->freq - 1));
    else if (e->freq > 0 && !absent) {
        kept = move(c, e, slot, hash, &c->main, 0);
        c->promoted += kept;
    }
    if (kept) {
        e->flags |= CACHE_ENTRY_DEAD;
        log->dead += cache_entry_size(e);
        return true;
    }
    if (log == &c->small && !absent)
        ghost_add(c, hash);
    bury(c, e);
    cache_index_remove(&c->index, slot, hash);
    c->evicted++;
    return false;
}

/* Pass one entry; adds the bytes that this frees to `freed`. False when there is none. */
static bool step(struct cache *c, enum mercy mercy, size_t *freed) {
    size_t used = c->small.used + c->main.used, dead = c->small.dead + c->main.dead;
    bool compacting = dead > used / 4;
    struct cache_log *log;
    if (compacting)
        log = c->small.dead > c->main.dead ? &c->small : &c->main;
    else
        log = c->small.bytes > c->bytes_max / 100 * SMALL_PERCENT ? &c->small : &c->main;
    if (log->used == 0)
        log = log == &c->small ? &c->main : &c->small;
    struct cache_entry *e = cache_log_hand(log);
    if (e == NULL)
        return false;
    size_t size = cache_entry_size(e);
    if ((e->flags & CACHE_ENTRY_DEAD) != 0 || !judge(c, log, e, compacting, mercy))
        *freed += size;
    cache_log_pass(log);
    c->passed++;
    return true;
}

/* Bytes up to the budget, the index grown by its next insert. */
static size_t room(const struct cache *c) {
    size_t bytes = held(c) + cache_index_growth_max(&c->index);
    return bytes < c->bytes_max ? c->bytes_max - bytes : 0;
}

static enum mercy mercy_of(const struct cache *c, size_t left) {
    return left >= 2 * c->part_bytes ? MERCY_USUAL
           : left >= c->part_bytes   ? MERCY_LITTLE
                                     : MERCY_NONE;
}

/* Near the budget the hand keeps ahead of the tail, so that a put need not wait until a whole
 * segment is free: what it passes is bounded. The reserve is so large that the hand gets round most
 * of the logs, should all it meets be used, before it takes what is used. */
static void keep_pace(struct cache *c, size_t size) {
    size_t freed = 0;
    for (size_t steps = 0; freed < 2 * size; steps++) {
        size_t left = room(c) + c->spare.bytes;
        enum mercy mercy = mercy_of(c, left);
        size_t steps_max = (mercy == MERCY_USUAL ? 1 : 2) * PACED_STEPS_MAX + size / PACED_BYTES;
        if (left >= RESERVE_PARTS * c->part_bytes || steps >= steps_max || !step(c, mercy, &freed))
            return;
    }
}

/* Room for `size` bytes in `log`: nearly always there. The hand may free the segment that had room,
 * so ask again each time. */
static bool make_room(struct cache *c, const struct cache_log *log, size_t size) {
    size_t freed = 0;
    for (unsigned steps = 0;
         held(c) + cache_index_growth_max(&c->index) + cache_log_needs(log, size) > c->bytes_max;
         steps++) {
        if (c->spare.bytes != 0)
            cache_spare_release(&c->spare);
        else if (!step(c, steps < PATIENCE_STEPS ? mercy_of(c, room(c)) : MERCY_NONE, &freed))
            return false;
    }
    return true;
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
        uint8_t place = item->absent ? 0 : old->flags & CACHE_ENTRY_MAIN;
        freq = old->freq;
        if (cache_entry_size(old) == size && old->value_len == value_len &&
            ((old->flags ^ (flags | place)) & (CACHE_ENTRY_DEADLINE | CACHE_ENTRY_MAIN)) == 0) {
            cache->bytes_live -= (size_t)old->key_len + old->value_len;
            cache->absent_items -= (old->flags & CACHE_ENTRY_ABSENT) != 0;
            fill(cache, old, key, item, flags | place, freq);
            return true;
        }
        flags |= place;
        bury(cache, old);
        cache_index_remove(&cache->index, slot, hash);
    } else if (!item->absent && ghost_take(cache, hash)) {
        flags |= CACHE_ENTRY_MAIN;
    }
    if (size > cache->bytes_max / 8 || key.len > UINT16_MAX)
        return false;
    struct cache_log *log = (flags & CACHE_ENTRY_MAIN) != 0 ? &cache->main : &cache->small;
    keep_pace(cache, size);
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
                                .passed = cache->passed,
                                .splits = cache->index.splits};
}

size_t cache_item_bytes(size_t key_len, size_t value_len, bool expires) {
    return cache_entry_bytes(key_len, value_len, expires);
}
