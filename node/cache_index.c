#include "cache_index.h"

#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"
#include "cache_entry.h"

enum {
    SLOTS = 7,
    CHUNK_BUCKETS = 256,
    POOL_BUCKETS = 64,
    DIRECTORY_MIN = 16,
    LOAD_NUM = 5, /* entries per bucket above which it grows */
};

struct cache_bucket {
    uint64_t slots[SLOTS]; /* 0: empty */
    struct cache_bucket *overflow;
} __attribute__((aligned(64)));

enum {
    CHUNK_BYTES = CHUNK_BUCKETS * (int)sizeof(struct cache_bucket),
    POOL_BYTES = POOL_BUCKETS * (int)sizeof(struct cache_bucket), /* a page */
};

static struct cache_bucket *bucket_at(const struct cache_index *x, uint64_t i) {
    return &x->chunks[i / CHUNK_BUCKETS][i % CHUNK_BUCKETS];
}

/* With 2^L <= buckets < 2^(L+1): the low L+1 bits, or L of them where that bucket is not there yet.
 */
static uint64_t bucket_of(const struct cache_index *x, uint64_t hash) {
    uint64_t low = (uint64_t)1 << (63 - __builtin_clzll(x->buckets));
    uint64_t i = hash & (2 * low - 1);
    return i < x->buckets ? i : hash & (low - 1);
}

static bool add_chunk(struct cache_index *x) {
    if (x->chunks_count == x->chunks_cap) {
        size_t cap = x->chunks_cap == 0 ? DIRECTORY_MIN : x->chunks_cap * 2;
        struct cache_bucket **chunks = realloc(x->chunks, cap * sizeof(struct cache_bucket *));
        if (chunks == NULL)
            return false;
        x->bytes += (cap - x->chunks_cap) * sizeof(struct cache_bucket *);
        x->chunks = chunks;
        x->chunks_cap = cap;
    }
    struct cache_bucket *chunk = cache_pages_take(&x->pages, CHUNK_BYTES);
    if (chunk == NULL)
        return false;
    x->chunks[x->chunks_count++] = chunk;
    x->bytes += CHUNK_BYTES;
    return true;
}

bool cache_index_init(struct cache_index *x, uint64_t seed, size_t mapping_bytes,
                      struct cache_ahead *ahead) {
    *x = (struct cache_index){.seed = seed, .buckets = 1};
    cache_pages_init(&x->pages, mapping_bytes, ahead);
    return add_chunk(x);
}

/* Pages that were cut into chunks already go back one by one. */
static void free_chunks_from(struct cache_index *x, size_t first) {
    while (x->chunks_count > first) {
        cache_pages_give(x->chunks[--x->chunks_count], CHUNK_BYTES);
        x->bytes -= CHUNK_BYTES;
    }
    cache_pages_release(&x->pages);
}

static void free_pools(struct cache_index *x) {
    while (x->pools_count > 0) {
        cache_pages_give(x->pools[--x->pools_count], POOL_BYTES);
        x->bytes -= POOL_BYTES;
    }
    free(x->pools);
    x->bytes -= x->pools_cap * sizeof(struct cache_bucket *);
    x->pools = NULL;
    x->pools_cap = 0;
    x->spare = NULL;
}

void cache_index_clear(struct cache_index *x) {
    free_chunks_from(x, 1);
    free_pools(x);
    memset(x->chunks[0], 0, CHUNK_BYTES);
    struct cache_bucket **shorter = realloc(x->chunks, DIRECTORY_MIN * sizeof(*shorter));
    if (shorter != NULL) {
        x->chunks = shorter;
        x->bytes -= (x->chunks_cap - DIRECTORY_MIN) * sizeof(*shorter);
        x->chunks_cap = DIRECTORY_MIN;
    }
    x->buckets = 1;
    x->items = x->splits = 0;
}

void cache_index_release(struct cache_index *x) {
    free_chunks_from(x, 0);
    free_pools(x);
    free(x->chunks);
    *x = (struct cache_index){0};
}

static bool add_pool(struct cache_index *x) {
    if (x->pools_count == x->pools_cap) {
        size_t cap = x->pools_cap == 0 ? DIRECTORY_MIN : x->pools_cap * 2;
        struct cache_bucket **pools = realloc(x->pools, cap * sizeof(struct cache_bucket *));
        if (pools == NULL)
            return false;
        x->bytes += (cap - x->pools_cap) * sizeof(struct cache_bucket *);
        x->pools = pools;
        x->pools_cap = cap;
    }
    struct cache_bucket *pool = cache_pages_take(&x->pages, POOL_BYTES);
    if (pool == NULL)
        return false;
    for (int i = 0; i < POOL_BUCKETS; i++) {
        pool[i].overflow = x->spare;
        x->spare = &pool[i];
    }
    x->pools[x->pools_count++] = pool;
    x->bytes += POOL_BYTES;
    return true;
}

size_t cache_index_growth_max(const struct cache_index *x) {
    return CHUNK_BYTES + POOL_BYTES +
           (x->chunks_cap + x->pools_cap + 2 * DIRECTORY_MIN) * sizeof(struct cache_bucket *);
}

static struct cache_bucket *take_spare(struct cache_index *x) {
    if (x->spare == NULL && !add_pool(x))
        return NULL;
    struct cache_bucket *bucket = x->spare;
    x->spare = bucket->overflow;
    memset(bucket, 0, sizeof(*bucket));
    return bucket;
}

void cache_index_prefetch(const struct cache_index *x, uint64_t hash) {
    __builtin_prefetch(bucket_at(x, bucket_of(x, hash)));
}

const struct cache_entry *cache_index_guess(const struct cache_index *x, uint64_t hash) {
    const struct cache_bucket *b = bucket_at(x, bucket_of(x, hash));
    for (int i = 0; i < SLOTS; i++) {
        if (b->slots[i] >> 48 == hash >> 48 && b->slots[i] != 0)
            return cache_index_entry(b->slots[i]);
    }
    if (b->overflow != NULL)
        __builtin_prefetch(b->overflow);
    return NULL;
}

/* A chain has no holes: its first empty slot ends it. */
uint64_t *cache_index_find(const struct cache_index *x, struct span key, uint64_t hash) {
    uint64_t tag = hash >> 48;
    for (struct cache_bucket *b = bucket_at(x, bucket_of(x, hash)); b != NULL; b = b->overflow) {
        for (int i = 0; i < SLOTS && b->slots[i] != 0; i++) {
            if (b->slots[i] >> 48 != tag)
                continue;
            const struct cache_entry *e = cache_index_entry(b->slots[i]);
            if (e->key_len == key.len && memcmp(cache_entry_key_span(e).ptr, key.ptr, key.len) == 0)
                return &b->slots[i];
        }
    }
    return NULL;
}

void cache_index_point(uint64_t *slot, uint64_t hash, const struct cache_entry *entry) {
    *slot = hash >> 48 << 48 | (uint64_t)(uintptr_t)entry;
}

static bool put(struct cache_index *x, struct cache_bucket *b, uint64_t value) {
    for (;; b = b->overflow) {
        for (int i = 0; i < SLOTS; i++) {
            if (b->slots[i] == 0) {
                b->slots[i] = value;
                return true;
            }
        }
        if (b->overflow == NULL) {
            b->overflow = take_spare(x);
            if (b->overflow == NULL)
                return false;
        }
    }
}

/* One more bucket: the entries of the next one in turn are dealt out between it and the new one. */
static bool split(struct cache_index *x) {
    if (x->buckets == x->chunks_count * CHUNK_BUCKETS && !add_chunk(x))
        return false;
    /* Every move below needs a slot at most; both chains together are no longer than the old one
     * and one bucket. */
    if (x->spare == NULL && !add_pool(x))
        return false;
    uint64_t low = (uint64_t)1 << (63 - __builtin_clzll(x->buckets));
    struct cache_bucket *old = bucket_at(x, x->buckets - low), copy = *old;
    x->buckets++;
    x->splits++;
    memset(old, 0, sizeof(*old));
    for (struct cache_bucket *b = &copy, *next; b != NULL; b = next) {
        next = b->overflow;
        for (int i = 0; i < SLOTS; i++) {
            if (b->slots[i] == 0)
                continue;
            uint64_t hash =
                hash_table(cache_entry_key_span(cache_index_entry(b->slots[i])), x->seed);
            if (!put(x, bucket_at(x, bucket_of(x, hash)), b->slots[i]))
                x->items--; /* no memory for a chain: the entry cannot be found any more, and the
                               hand will pass it */
        }
        if (b != &copy) {
            b->overflow = x->spare;
            x->spare = b;
        }
    }
    return true;
}

bool cache_index_insert(struct cache_index *x, uint64_t hash, const struct cache_entry *entry) {
    uint64_t value;
    cache_index_point(&value, hash, entry);
    if (!put(x, bucket_at(x, bucket_of(x, hash)), value))
        return false;
    x->items++;
    if (x->items > x->buckets * LOAD_NUM)
        split(x); /* without memory the chains just grow */
    return true;
}

/* The chain's last entry takes the empty place; an overflow bucket without entries is spare again.
 */
void cache_index_remove(struct cache_index *x, uint64_t *slot, uint64_t hash) {
    struct cache_bucket *last = bucket_at(x, bucket_of(x, hash)), *before = NULL;
    for (; last->overflow != NULL; last = last->overflow)
        before = last;
    int i = SLOTS - 1;
    while (last->slots[i] == 0)
        i--;
    *slot = last->slots[i];
    last->slots[i] = 0;
    if (i == 0 && before != NULL) {
        before->overflow = NULL;
        last->overflow = x->spare;
        x->spare = last;
    }
    x->items--;
}
