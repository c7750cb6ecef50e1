#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../common/hash.h"
#include "../../node/cache_entry.h"
#include "../../node/cache_index.h"

enum { SEED = 99, MAPPING_BYTES = 256 << 10 };

/* Entries lie here until the test's process ends. */
static char arena[20 << 20] __attribute__((aligned(8)));
static size_t arena_used;

static struct cache_entry *entry_of(struct span key) {
    struct cache_entry *e = (struct cache_entry *)(arena + arena_used);
    arena_used += cache_entry_bytes(key.len, 0, false);
    cr_assert_leq(arena_used, sizeof(arena));
    *e = (struct cache_entry){.key_len = (uint16_t)key.len};
    memcpy(cache_entry_key(e), key.ptr, key.len);
    return e;
}

static struct cache_entry *numbered(uint64_t n) {
    char key[32];
    return entry_of(span_of(key, (size_t)snprintf(key, sizeof(key), "key:%llu", (long long)n)));
}

static uint64_t hash_of(const struct cache_entry *e) {
    return hash_table(cache_entry_key_span(e), SEED);
}

static uint64_t *find(const struct cache_index *x, const struct cache_entry *e) {
    return cache_index_find(x, cache_entry_key_span(e), hash_of(e));
}

static void start(struct cache_index *x) {
    cr_assert(cache_index_init(x, SEED, MAPPING_BYTES, NULL));
}

Test(cache_index, an_empty_index_finds_nothing) {
    struct cache_index x;
    start(&x);
    cr_assert_null(cache_index_find(&x, SPAN("a"), hash_table(SPAN("a"), SEED)));
    cr_assert_null(cache_index_find(&x, SPAN(""), 0), "a hash of 0 is no empty slot");
    cache_index_release(&x);
    cr_assert_eq(x.bytes, 0);
}

Test(cache_index, every_entry_is_found_while_it_grows_and_after) {
    enum { COUNT = 50000 };
    static struct cache_entry *entries[COUNT];
    struct cache_index x;
    start(&x);
    for (uint64_t i = 0; i < COUNT; i++) {
        entries[i] = numbered(i);
        cr_assert(cache_index_insert(&x, hash_of(entries[i]), entries[i]));
        for (uint64_t j = i; j < COUNT && j > i / 2; j = j / 2) {
            uint64_t *slot = find(&x, entries[j]);
            cr_assert_not_null(slot, "%zu after %zu", (size_t)j, (size_t)i);
            cr_assert_eq(cache_index_entry(*slot), entries[j]);
        }
    }
    cr_assert_eq(x.items, COUNT);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t *slot = find(&x, entries[i]);
        cr_assert_not_null(slot, "%zu", (size_t)i);
        cr_assert_eq(cache_index_entry(*slot), entries[i]);
    }
    cache_index_release(&x);
}

Test(cache_index, an_insert_splits_one_bucket_at_most) {
    struct cache_index x;
    start(&x);
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t splits = x.splits, buckets = x.buckets;
        struct cache_entry *e = numbered(i);
        cr_assert(cache_index_insert(&x, hash_of(e), e));
        cr_assert_leq(x.splits, splits + 1);
        cr_assert_leq(x.buckets, buckets + 1);
    }
    cr_assert_geq(x.buckets, 100000 / 5 - 1, "it keeps pace with the entries");
    cache_index_release(&x);
}

Test(cache_index, memory_per_entry_stays_small) {
    struct cache_index x;
    start(&x);
    for (uint64_t i = 0; i < 400000; i++) {
        struct cache_entry *e = numbered(i);
        cr_assert(cache_index_insert(&x, hash_of(e), e));
        if (i >= 100000)
            cr_assert_leq(x.bytes / (double)(i + 1), 18, "%zu bytes for %zu entries", x.bytes,
                          (size_t)i + 1);
    }
    cache_index_release(&x);
}

Test(cache_index, what_was_removed_is_not_found_and_the_rest_is) {
    enum { COUNT = 20000 };
    static struct cache_entry *entries[COUNT];
    struct cache_index x;
    start(&x);
    for (uint64_t i = 0; i < COUNT; i++) {
        entries[i] = numbered(i);
        cr_assert(cache_index_insert(&x, hash_of(entries[i]), entries[i]));
    }
    for (uint64_t i = 0; i < COUNT; i += 3)
        cache_index_remove(&x, find(&x, entries[i]), hash_of(entries[i]));
    cr_assert_eq(x.items, COUNT - (COUNT + 2) / 3);
    for (uint64_t i = 0; i < COUNT; i++)
        cr_assert_eq(find(&x, entries[i]) == NULL, i % 3 == 0, "%zu", (size_t)i);
    cache_index_release(&x);
}

Test(cache_index, slots_and_overflow_buckets_are_used_again) {
    struct cache_index x;
    struct cache_entry *entries[64];
    start(&x);
    for (uint64_t i = 0; i < 64; i++) {
        entries[i] = numbered(i);
        cr_assert(cache_index_insert(&x, hash_of(entries[i]), entries[i]));
    }
    size_t bytes = x.bytes;
    uint64_t buckets = x.buckets;
    for (int round = 0; round < 10000; round++) {
        struct cache_entry *e = entries[round % 64];
        cache_index_remove(&x, find(&x, e), hash_of(e));
        cr_assert(cache_index_insert(&x, hash_of(e), e));
    }
    cr_assert_eq(x.bytes, bytes);
    cr_assert_eq(x.buckets, buckets);
    cache_index_release(&x);
}

/* Others come as often as some go: the chains do not keep what they once needed. */
Test(cache_index, memory_stays_as_it_was_while_entries_are_exchanged) {
    enum { COUNT = 20000 };
    static struct cache_entry *entries[COUNT];
    struct cache_index x;
    start(&x);
    for (uint64_t i = 0; i < COUNT; i++) {
        entries[i] = numbered(i);
        cr_assert(cache_index_insert(&x, hash_of(entries[i]), entries[i]));
    }
    size_t bytes = x.bytes;
    for (uint64_t i = COUNT; i < 15 * COUNT; i++) {
        struct cache_entry **e = &entries[i * 7919 % COUNT];
        cache_index_remove(&x, find(&x, *e), hash_of(*e));
        *e = numbered(i);
        cr_assert(cache_index_insert(&x, hash_of(*e), *e));
    }
    cr_assert_leq(x.bytes, bytes + bytes / 20, "%zu bytes became %zu", bytes, x.bytes);
    for (uint64_t i = 0; i < COUNT; i++)
        cr_assert_eq(cache_index_entry(*find(&x, entries[i])), entries[i]);
    cache_index_release(&x);
}

/* All in one bucket, all with one tag: the key alone tells them apart. */
Test(cache_index, equal_hashes_are_told_apart_by_their_keys) {
    enum { COUNT = 40 };
    struct cache_index x;
    struct cache_entry *entries[COUNT];
    const uint64_t hash = 0xABCD000000000007;
    start(&x);
    for (uint64_t i = 0; i < COUNT; i++) {
        char key[8];
        entries[i] = entry_of(span_of(key, (size_t)snprintf(key, sizeof(key), "k%02d", (int)i)));
        /* no split: it would hash the key anew */
        x.buckets = 1 << 9;
        cr_assert(cache_index_insert(&x, hash, entries[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        uint64_t *slot = cache_index_find(&x, cache_entry_key_span(entries[i]), hash);
        cr_assert_not_null(slot, "%d", i);
        cr_assert_eq(cache_index_entry(*slot), entries[i], "%d", i);
    }
    cr_assert_null(cache_index_find(&x, SPAN("k99"), hash));
    for (int i = 0; i < COUNT; i++) { /* from the front, the middle and the end of the chain */
        struct span key = cache_entry_key_span(entries[i * 7 % COUNT]);
        cache_index_remove(&x, cache_index_find(&x, key, hash), hash);
        cr_assert_null(cache_index_find(&x, key, hash));
        for (int j = i + 1; j < COUNT; j++)
            cr_assert_not_null(
                cache_index_find(&x, cache_entry_key_span(entries[j * 7 % COUNT]), hash));
    }
    cr_assert_eq(x.items, 0);
    cr_assert_null(cache_index_find(&x, SPAN("k0"), hash), "a beginning is not the key");
    cache_index_release(&x);
}

Test(cache_index, a_slot_keeps_the_pointer_and_the_tag) {
    uint64_t slot = 0;
    struct cache_entry *e = numbered(1);
    cache_index_point(&slot, 0xFFFF123456789ABC, e);
    cr_assert_eq(slot >> 48, 0xFFFF);
    cr_assert_eq(cache_index_entry(slot), e);
    cache_index_point(&slot, 0, e);
    cr_assert_eq(slot >> 48, 0);
    cr_assert_eq(cache_index_entry(slot), e);
}

Test(cache_index, pointing_a_slot_elsewhere_moves_the_entry) {
    struct cache_index x;
    start(&x);
    struct cache_entry *old = numbered(1), *copy = numbered(1);
    cr_assert(cache_index_insert(&x, hash_of(old), old));
    cache_index_point(find(&x, old), hash_of(copy), copy);
    cr_assert_eq(cache_index_entry(*find(&x, old)), copy);
    cr_assert_eq(x.items, 1);
    cache_index_release(&x);
}

Test(cache_index, cleared_it_is_as_new_and_holds_as_little) {
    struct cache_index x;
    start(&x);
    size_t empty = x.bytes;
    enum { ITEMS = 100000 };
    static struct cache_entry *entries[ITEMS];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < ITEMS; i++) {
            entries[i] = round == 0 ? numbered((uint64_t)i) : entries[i];
            cr_assert_null(find(&x, entries[i]), "round %d: left over: %d", round, i);
            cr_assert(cache_index_insert(&x, hash_of(entries[i]), entries[i]));
        }
        for (int i = 0; i < ITEMS; i++)
            cr_assert_not_null(find(&x, entries[i]), "round %d: lost: %d", round, i);

        cache_index_clear(&x);
        cr_assert_eq(x.items, 0u);
        cr_assert_eq(x.bytes, empty);
    }
    cache_index_release(&x);
    cr_assert_eq(x.bytes, 0u);
}
