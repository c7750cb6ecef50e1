/* The cache against a naive model, under seeded random operations at a small budget. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../node/cache.h"

enum { BUDGET = 4 << 20, KEYS_MAX = 60000, KEY_BYTES_MAX = 1024, SOURCE_BYTES = 2 << 20 };

/* What kind of load: how many keys, how large, and how often each operation comes (per 1,000). */
struct profile {
    const char *name;
    unsigned keys;
    size_t key_max, value_max;
    unsigned put, absent, get, drop, suspect;
    unsigned ops;
};

static const struct profile PROFILES[] = {
    {"few small ones, all fit", 300, 30, 200, 400, 50, 400, 100, 50, 100000},
    {"many small ones", KEYS_MAX, 20, 400, 600, 100, 250, 30, 20, 200000},
    {"mixed sizes", 4000, KEY_BYTES_MAX, 8000, 450, 50, 400, 80, 20, 60000},
    {"large ones, some too large", 200, 100, 600 << 10, 400, 50, 450, 80, 20, 3000},
    {"mostly replaced", 20000, 24, 2000, 900, 40, 40, 10, 10, 100000},
    {"mostly absent", KEYS_MAX, 150, 300, 100, 700, 150, 40, 10, 200000},
    {"mostly dropped", 20000, 40, 5000, 500, 20, 80, 390, 10, 100000},
};

/* What the cache may say of a key: the last item put, until it was dropped or once was not there.
 */
struct model {
    bool may_be_there;
    struct cache_item item;
};

struct bench {
    const struct profile *profile;
    unsigned seed, op;
    uint64_t random;
    struct cache *cache;
    struct model model[KEYS_MAX];
    char source[SOURCE_BYTES];
};

static struct bench b;

static uint64_t draw(uint64_t below) { /* splitmix64 */
    uint64_t z = b.random += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return (z ^ z >> 31) % below;
}

#define CHECK(condition)                                                                           \
    cr_assert(condition, "%s: seed %u, operation %u", b.profile->name, b.seed, b.op)

/* Key `i`: always the same bytes, of a length that depends on i. */
static struct span key_of(unsigned i) {
    static char key[KEY_BYTES_MAX];
    size_t len = 6 + (i * 2654435761u >> 8) % (b.profile->key_max - 5);
    memset(key, 'k', len);
    char digits[16];
    snprintf(digits, sizeof(digits), "%05x", i);
    memcpy(key, digits, 5);
    return span_of(key, len);
}

static bool same(const struct cache_item *got, const struct cache_item *want) {
    return got->absent == want->absent && got->version == (want->absent ? 0 : want->version) &&
           got->epoch == want->epoch && got->deadline_ms == want->deadline_ms &&
           (want->absent || span_equal(got->value, want->value));
}

static bool look(unsigned i, bool use, struct cache_item *out) {
    struct span key = key_of(i);
    uint64_t hash = cache_hash(b.cache, key);
    return use ? cache_get(b.cache, key, hash, out) : cache_peek(b.cache, key, hash, out);
}

/* The cache may have evicted it; then it stays away. What it returns is what was put last. */
static void check_key(unsigned i, bool use) {
    struct model *m = &b.model[i];
    struct cache_item out;
    bool found = look(i, use, &out);
    CHECK(!found || m->may_be_there);
    CHECK(!found || same(&out, &m->item));
    m->may_be_there = found;
}

static void put(unsigned i, bool absent) {
    struct model *m = &b.model[i];
    size_t most = b.profile->value_max, len = draw(4) == 0 ? draw(most + 1) : draw(most / 8 + 1);
    struct cache_item out;
    m->item = (struct cache_item){.value = span_of(b.source + draw(SOURCE_BYTES - len), len),
                                  .version = 1 + draw(UINT32_MAX),
                                  .epoch = (uint32_t)draw(5),
                                  .absent = absent,
                                  .deadline_ms = draw(5) == 0 ? 1 + (int64_t)draw(INT64_MAX) : 0};
    struct span key = key_of(i);
    bool kept = cache_put(b.cache, key, cache_hash(b.cache, key), &m->item);
    CHECK(kept || len + key.len > BUDGET / 8 - 64);
    CHECK(look(i, false, &out) == kept);
    CHECK(!kept || same(&out, &m->item));
    m->may_be_there = kept;
}

static void drop(unsigned i) {
    struct cache_item out;
    struct span key = key_of(i);
    bool was = cache_drop(b.cache, key, cache_hash(b.cache, key));
    CHECK(!was || b.model[i].may_be_there);
    CHECK(!look(i, false, &out));
    b.model[i].may_be_there = false;
}

static void suspect(unsigned i) {
    struct span key = key_of(i);
    bool was = cache_suspect(b.cache, key, cache_hash(b.cache, key));
    CHECK(!was || b.model[i].may_be_there);
    b.model[i].may_be_there = was;
    b.model[i].item.epoch = 0;
}

/* Counts all keys: the figures are true, and nothing is there that should not be. */
static void census(void) {
    struct cache_stats s;
    uint64_t items = 0, absent = 0, bytes = 0;
    for (unsigned i = 0; i < b.profile->keys; i++) {
        check_key(i, false);
        if (!b.model[i].may_be_there)
            continue;
        items++;
        absent += b.model[i].item.absent;
        bytes += key_of(i).len + (b.model[i].item.absent ? 0 : b.model[i].item.value.len);
    }
    cache_stats_get(b.cache, &s);
    CHECK(s.items == items);
    CHECK(s.absent_items == absent);
    CHECK(s.bytes_live == bytes);
    CHECK(s.bytes_live <= s.bytes_used);
}

static void step(void) {
    const struct profile *p = b.profile;
    /* Some keys come more often than others. */
    unsigned i = (unsigned)(draw(2) == 0 ? draw(p->keys) : draw(p->keys / 10));
    uint64_t what = draw(1000);
    if (what < p->put)
        put(i, false);
    else if (what < p->put + p->absent)
        put(i, true);
    else if (what < p->put + p->absent + p->get)
        check_key(i, true);
    else if (what < p->put + p->absent + p->get + p->drop)
        drop(i);
    else if (what < p->put + p->absent + p->get + p->drop + p->suspect)
        suspect(i);
    struct cache_stats s;
    cache_stats_get(b.cache, &s);
    CHECK(s.bytes_used <= BUDGET);
}

static void run(const struct profile *profile, unsigned seed) {
    memset(b.model, 0, sizeof(b.model));
    b.profile = profile;
    b.seed = seed;
    b.random = seed;
    for (size_t i = 0; i < SOURCE_BYTES; i++)
        b.source[i] = (char)(i * 131 + (i >> 8) * 17);
    b.cache = cache_new(BUDGET, draw(UINT64_MAX));
    for (b.op = 0; b.op < profile->ops; b.op++) {
        step();
        if (b.op % (profile->ops / 8) == profile->ops / 16)
            census();
        if (b.op == profile->ops / 2 && seed % 2 == 0) {
            cache_clear(b.cache);
            memset(b.model, 0, sizeof(b.model));
        }
    }
    census();
    struct cache_stats s;
    cache_stats_get(b.cache, &s);
    CHECK(s.evicted > 0 || profile == &PROFILES[0]);
    cache_free(&b.cache);
}

#define RUN(index)                                                                                 \
    for (unsigned seed = 1; seed <= 3; seed++)                                                     \
    run(&PROFILES[index], seed)

Test(cache_model, few_small_items_that_all_fit) {
    RUN(0);
}

Test(cache_model, many_small_items) {
    RUN(1);
}

Test(cache_model, items_of_mixed_sizes) {
    RUN(2);
}

Test(cache_model, large_items_and_some_that_are_too_large) {
    RUN(3);
}

Test(cache_model, items_that_are_mostly_replaced) {
    RUN(4);
}

Test(cache_model, items_that_are_mostly_absent) {
    RUN(5);
}

Test(cache_model, items_that_are_mostly_dropped) {
    RUN(6);
}
