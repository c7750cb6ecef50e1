#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../node/cache.h"

enum { BUDGET = 4 << 20, SEED = 12345 };

/* Bytes to borrow values from. */
static char bytes[2 << 20];

static struct cache *start(void) {
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 131 + (i >> 8) * 17);
    struct cache *c = cache_new(BUDGET, SEED);
    cr_assert_not_null(c);
    return c;
}

static struct cache_stats stats_of(const struct cache *c) {
    struct cache_stats s;
    cache_stats_get(c, &s);
    return s;
}

static struct cache_item value_of(size_t from, size_t len, uint64_t version) {
    return (struct cache_item){.value = span_of(bytes + from, len), .version = version, .epoch = 1};
}

static const struct cache_item ABSENT = {.epoch = 1, .absent = true};

static bool put(struct cache *c, const char *key, struct cache_item item) {
    return cache_put(c, span_str(key), cache_hash(c, span_str(key)), &item);
}

static bool get(struct cache *c, const char *key, struct cache_item *out) {
    return cache_get(c, span_str(key), cache_hash(c, span_str(key)), out);
}

static bool peek(struct cache *c, const char *key, struct cache_item *out) {
    return cache_peek(c, span_str(key), cache_hash(c, span_str(key)), out);
}

static bool drop(struct cache *c, const char *key) {
    return cache_drop(c, span_str(key), cache_hash(c, span_str(key)));
}

static const char *numbered(const char *prefix, unsigned n) {
    static char key[64];
    snprintf(key, sizeof(key), "%s%u", prefix, n);
    return key;
}

/* ---- one thing at a time ---- */

Test(cache, an_empty_cache_has_nothing) {
    struct cache *c = start();
    struct cache_item out;
    cr_assert_not(get(c, "a", &out));
    cr_assert_not(peek(c, "a", &out));
    cr_assert_not(drop(c, "a"));
    cr_assert_not(cache_suspect(c, SPAN("a"), cache_hash(c, SPAN("a"))));
    cr_assert_eq(stats_of(c).items, 0);
    cache_free(&c);
    cr_assert_null(c);
    cache_free(&c);
}

Test(cache, what_was_put_comes_back_whole) {
    struct cache *c = start();
    struct cache_item in = value_of(7, 100, 42), out;
    in.epoch = 9;
    in.deadline_ms = INT64_C(0x1122334455667788);
    cr_assert(put(c, "key", in));
    cr_assert(get(c, "key", &out));
    cr_assert(span_equal(out.value, in.value));
    cr_assert_eq(out.version, 42);
    cr_assert_eq(out.epoch, 9);
    cr_assert_eq(out.deadline_ms, INT64_C(0x1122334455667788));
    cr_assert_not(out.absent);
    cr_assert_not(get(c, "ke", &out));
    cr_assert_not(get(c, "key1", &out));
    cache_free(&c);
}

Test(cache, keys_and_values_of_every_small_size) {
    struct cache *c = start();
    for (size_t key_len = 1; key_len < 40; key_len++) {
        for (size_t len = 0; len < 40; len++) {
            for (int64_t deadline_ms = 0; deadline_ms < 2; deadline_ms++) {
                struct span key = span_of(bytes + 1000, key_len);
                struct cache_item in = value_of(len, len, 1), out;
                in.deadline_ms = deadline_ms;
                cr_assert(cache_put(c, key, cache_hash(c, key), &in));
                cr_assert(cache_get(c, key, cache_hash(c, key), &out));
                cr_assert(span_equal(out.value, in.value));
                cr_assert_eq(out.deadline_ms, deadline_ms);
            }
        }
    }
    cr_assert_eq(stats_of(c).items, 39);
    cache_free(&c);
}

Test(cache, keys_may_hold_any_byte) {
    struct cache *c = start();
    struct cache_item out;
    for (unsigned b = 0; b < 256; b++) {
        char key[3] = {'a', (char)b, 'z'};
        struct cache_item in = value_of(b, 50, b);
        cr_assert(cache_put(c, span_of(key, 3), cache_hash(c, span_of(key, 3)), &in));
    }
    for (unsigned b = 0; b < 256; b++) {
        char key[3] = {'a', (char)b, 'z'};
        cr_assert(cache_get(c, span_of(key, 3), cache_hash(c, span_of(key, 3)), &out));
        cr_assert_eq(out.version, b);
    }
    cache_free(&c);
}

Test(cache, a_later_put_replaces_in_every_way) {
    static const struct {
        size_t len;
        bool absent;
        int64_t deadline_ms;
    } STATES[] = {{100, false, 0}, {100, false, 5}, {101, false, 0}, {0, false, 0},
                  {0, true, 0},    {7, false, 0},   {0, true, 6},    {5000, false, 0},
                  {99, false, 7},  {3, false, 0}};
    enum { COUNT = sizeof(STATES) / sizeof(STATES[0]) };
    struct cache *c = start();
    for (size_t i = 0; i < COUNT * COUNT; i++) {
        for (size_t j = 0; j < 2; j++) {
            size_t s = j == 0 ? i / COUNT : i % COUNT;
            struct cache_item in = value_of(i, STATES[s].len, i + 1), out;
            in.absent = STATES[s].absent;
            in.deadline_ms = STATES[s].deadline_ms;
            cr_assert(put(c, "key", in));
            cr_assert(get(c, "key", &out));
            cr_assert_eq(out.absent, in.absent, "%zu", i);
            cr_assert_eq(out.deadline_ms, in.deadline_ms, "%zu", i);
            cr_assert_eq(out.version, in.absent ? 0 : i + 1, "%zu", i);
            cr_assert(in.absent || span_equal(out.value, in.value), "%zu", i);
            cr_assert_eq(stats_of(c).items, 1);
            cr_assert_eq(stats_of(c).absent_items, in.absent);
            cr_assert_eq(stats_of(c).bytes_live, 3 + (in.absent ? 0 : STATES[s].len));
        }
    }
    cache_free(&c);
}

Test(cache, drop_removes_one_and_only_once) {
    struct cache *c = start();
    struct cache_item out;
    put(c, "a", value_of(0, 10, 1));
    put(c, "b", value_of(0, 10, 2));
    cr_assert(drop(c, "a"));
    cr_assert_not(get(c, "a", &out));
    cr_assert_not(drop(c, "a"));
    cr_assert(get(c, "b", &out));
    cr_assert_eq(stats_of(c).items, 1);
    cr_assert_eq(stats_of(c).bytes_live, 11);
    cr_assert(put(c, "a", value_of(5, 10, 3)));
    cr_assert(get(c, "a", &out));
    cr_assert_eq(out.version, 3);
    cache_free(&c);
}

Test(cache, suspect_keeps_the_value_and_forgets_the_epoch) {
    struct cache *c = start();
    struct cache_item out;
    put(c, "a", value_of(0, 10, 1));
    cr_assert(cache_suspect(c, SPAN("a"), cache_hash(c, SPAN("a"))));
    cr_assert(get(c, "a", &out));
    cr_assert_eq(out.epoch, 0);
    cr_assert_eq(out.version, 1);
    cr_assert(span_equal(out.value, span_of(bytes, 10)));
    put(c, "a", value_of(0, 10, 2));
    cr_assert(get(c, "a", &out));
    cr_assert_eq(out.epoch, 1, "a fresh one is not suspect");
    cache_free(&c);
}

Test(cache, clear_forgets_everything_and_gives_the_memory_back) {
    struct cache *c = start();
    struct cache_item out;
    size_t empty = stats_of(c).bytes_used;
    for (unsigned i = 0; i < 5000; i++)
        put(c, numbered("k", i), value_of(i, 200, i + 1));
    put(c, "absent", ABSENT);
    cr_assert_gt(stats_of(c).bytes_used, empty);
    cache_clear(c);
    for (unsigned i = 0; i < 5000; i++)
        cr_assert_not(peek(c, numbered("k", i), &out));
    cr_assert_eq(stats_of(c).items, 0);
    cr_assert_eq(stats_of(c).absent_items, 0);
    cr_assert_eq(stats_of(c).bytes_live, 0);
    cr_assert_eq(stats_of(c).bytes_used, empty);
    cr_assert(put(c, "again", value_of(0, 10, 1)));
    cr_assert(get(c, "again", &out));
    cache_free(&c);
}

Test(cache, an_eighth_of_the_budget_is_the_largest_item) {
    struct cache *c = start();
    struct cache_item out;
    size_t largest = BUDGET / 8 - 32;
    put(c, "big", value_of(0, 10, 1));
    cr_assert(put(c, "big", value_of(0, largest, 2)));
    cr_assert(get(c, "big", &out));
    cr_assert(span_equal(out.value, span_of(bytes, largest)));
    cr_assert_not(put(c, "big", value_of(0, BUDGET / 8, 3)));
    cr_assert_not(get(c, "big", &out), "the old value went with it");
    cr_assert_not(put(c, "other", value_of(0, sizeof(bytes), 3)));
    cr_assert_not(get(c, "other", &out));
    for (unsigned i = 0; i < 100; i++) {
        cr_assert(put(c, numbered("big", i), value_of(i, largest - i, i + 1)));
        cr_assert(get(c, numbered("big", i), &out));
        cr_assert(span_equal(out.value, span_of(bytes + i, largest - i)));
        cr_assert_leq(stats_of(c).bytes_used, BUDGET);
    }
    cache_free(&c);
}

Test(cache, a_key_longer_than_its_length_field_is_refused) {
    struct cache *c = start();
    struct cache_item in = value_of(0, 10, 1), out;
    struct span longest = span_of(bytes, UINT16_MAX), longer = span_of(bytes, UINT16_MAX + 1);
    cr_assert(cache_put(c, longest, cache_hash(c, longest), &in));
    cr_assert(cache_get(c, longest, cache_hash(c, longest), &out));
    cr_assert_not(cache_put(c, longer, cache_hash(c, longer), &in));
    cr_assert_not(cache_get(c, longer, cache_hash(c, longer), &out));
    cache_free(&c);
}

Test(cache, two_seeds_place_keys_differently) {
    struct cache *a = cache_new(BUDGET, 1), *b = cache_new(BUDGET, 2);
    cr_assert_neq(cache_hash(a, SPAN("key")), cache_hash(b, SPAN("key")));
    cr_assert_eq(cache_hash(a, SPAN("key")), cache_hash(a, SPAN("key")));
    cache_free(&a);
    cache_free(&b);
}

/* ---- who has to go ---- */

/* How many of `prefix`0 .. `prefix`count-1 are there. */
static unsigned present(struct cache *c, const char *prefix, unsigned count) {
    struct cache_item out;
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++)
        found += peek(c, numbered(prefix, i), &out);
    return found;
}

Test(cache, what_is_used_survives_a_scan) {
    struct cache *c = start();
    struct cache_item out;
    for (unsigned i = 0; i < 2000; i++) {
        put(c, numbered("hot", i), value_of(i, 100, 1));
        get(c, numbered("hot", i), &out);
    }
    for (unsigned i = 0; i < 200000; i++)
        put(c, numbered("scan", i), value_of(i, 100, 1));
    cr_assert_geq(present(c, "hot", 2000), 1900, "a scan took %u of 2000 hot entries",
                  2000 - present(c, "hot", 2000));
    cr_assert_gt(stats_of(c).evicted, 100000);
    cache_free(&c);
}

Test(cache, peeking_is_no_use) {
    struct cache *c = start();
    struct cache_item out;
    for (unsigned i = 0; i < 2000; i++) {
        put(c, numbered("seen", i), value_of(i, 100, 1));
        peek(c, numbered("seen", i), &out);
    }
    for (unsigned i = 0; i < 200000; i++)
        put(c, numbered("scan", i), value_of(i, 100, 1));
    cr_assert_eq(present(c, "seen", 2000), 0);
    cache_free(&c);
}

Test(cache, absent_entries_go_first_however_often_they_are_read) {
    struct cache *c = start();
    struct cache_item out;
    for (unsigned i = 0; i < 2000; i++) {
        put(c, numbered("hot", i), value_of(i, 100, 1));
        put(c, numbered("absent", i), ABSENT);
        for (int use = 0; use < 3; use++) {
            get(c, numbered("hot", i), &out);
            get(c, numbered("absent", i), &out);
        }
    }
    for (unsigned i = 0; i < 100000; i++)
        put(c, numbered("new", i), value_of(i, 100, 1));
    cr_assert_eq(present(c, "absent", 2000), 0);
    cr_assert_eq(stats_of(c).absent_items, 0);
    cr_assert_geq(present(c, "hot", 2000), 1900);
    cache_free(&c);
}

Test(cache, a_flood_of_absent_keys_does_not_displace_what_is_used) {
    struct cache *c = start();
    struct cache_item out;
    for (unsigned i = 0; i < 5000; i++) {
        put(c, numbered("hot", i), value_of(i, 100, 1));
        get(c, numbered("hot", i), &out);
    }
    for (unsigned i = 0; i < 400000; i++) {
        put(c, numbered("absent", i), ABSENT);
        get(c, numbered("absent", i), &out);
    }
    cr_assert_geq(present(c, "hot", 5000), 4800);
    cr_assert_leq(stats_of(c).bytes_used, BUDGET);
    cache_free(&c);
}

/* An entry that was in use and turns absent, in place (its value was empty), goes first too. */
Test(cache, an_entry_that_turns_absent_loses_its_place) {
    struct cache *c = start();
    struct cache_item out;
    for (unsigned i = 0; i < 1000; i++) {
        put(c, numbered("k", i), value_of(0, 0, 1));
        for (int use = 0; use < 3; use++)
            get(c, numbered("k", i), &out);
    }
    for (unsigned i = 0; i < 100000; i++) /* now they are in the main log */
        put(c, numbered("new", i), value_of(i, 100, 1));
    cr_assert_geq(present(c, "k", 1000), 900);
    for (unsigned i = 0; i < 1000; i++) {
        put(c, numbered("k", i), ABSENT);
        for (int use = 0; use < 3; use++)
            get(c, numbered("k", i), &out);
    }
    for (unsigned i = 0; i < 100000; i++)
        put(c, numbered("later", i), value_of(i, 100, 1));
    cr_assert_eq(stats_of(c).absent_items, 0);
    cache_free(&c);
}

Test(cache, replaced_values_do_not_cost_entries) {
    struct cache *c = start();
    for (unsigned i = 0; i < 8000; i++)
        put(c, numbered("k", i), value_of(i, 100, 1));
    for (unsigned i = 0; i < 300000; i++) /* a tenth of them, always of another size */
        put(c, numbered("k", i % 800), value_of(i % 999, 50 + i / 800 * 16 % 400, i));
    cr_assert_eq(present(c, "k", 8000), 8000, "dead bytes are taken before live ones");
    cr_assert_eq(stats_of(c).evicted, 0);
    cache_free(&c);
}

/* ---- bounds ---- */

/* Everything is in use, and then everything is new: the worst for the hand. */
Test(cache, no_put_walks_far) {
    struct cache *c = start();
    struct cache_item out;
    uint64_t longest = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 60000; i++) {
            uint64_t before = stats_of(c).passed;
            put(c,
                numbered(round == 0   ? "hot"
                         : round == 1 ? "new"
                                      : "last",
                         i),
                value_of(i, 20, 1));
            uint64_t walked = stats_of(c).passed - before;
            longest = walked > longest ? walked : longest;
            for (unsigned use = 0; use < 3; use++)
                get(c, numbered(round == 0 ? "hot" : round == 1 ? "new" : "last", i), &out);
        }
        for (unsigned i = 0; i < 60000; i++) {
            for (unsigned use = 0; use < 3; use++)
                get(c, numbered("hot", i), &out);
        }
    }
    cr_assert_gt(stats_of(c).evicted, 60000);
    cr_assert_leq(longest, 64, "one put passed %llu entries", (unsigned long long)longest);
    cache_free(&c);
}
