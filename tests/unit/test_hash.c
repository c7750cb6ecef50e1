/*
 * Placement is a promise between builds: the values below were computed by another program over
 * another copy of XXH3, and may never change.
 */
#include <criterion/criterion.h>

#include "../../common/hash.h"

static const struct {
    struct span key;
    uint64_t hash;
} KEYS[] = {
    {SPAN(""), 0x2d06800538d394c2},
    {SPAN("a"), 0xe6c632b61e964e1f},
    {SPAN("greeting"), 0x1fc809e0902f8741},
    {SPAN("{greeting}:2"), 0x1fc809e0902f8741},
    {SPAN("flag:new-checkout"), 0xe2c3f73baf9682a2},
    {SPAN("{user1}:a"), 0xeff89d018b2aae9c},
};

Test(hash, places_keys_where_it_always_did) {
    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++)
        cr_expect_eq(hash_ring(KEYS[i].key), KEYS[i].hash, "%s", KEYS[i].key.ptr);
    char longer[300]; /* beyond 240 bytes XXH3 takes another way */
    memset(longer, 'x', sizeof(longer));
    cr_expect_eq(hash_ring(span_of(longer, sizeof(longer))), 0xa5d1b4607dc83554);
}

static const struct {
    const char *name;
    uint64_t index, hash;
} POINTS[] = {
    {"node1", 0, 0xf571115c38106160},
    {"node1", 1, 0x8905de381e3daa37},
    {"node1", 1023, 0xf996e77687952654},
    {"a", 7, 0xb21985d296025d42},
    {"cache-10.example_b", 102399, 0x049b6a370e7e2746},
    {"", 0x0102030405060708, 0x2a4762598de8ec39}, /* which end of the index comes first */
};

Test(hash, puts_points_where_it_always_did) {
    for (size_t i = 0; i < sizeof(POINTS) / sizeof(POINTS[0]); i++)
        cr_expect_eq(hash_point(span_str(POINTS[i].name), POINTS[i].index), POINTS[i].hash,
                     "%s %llu", POINTS[i].name, (unsigned long long)POINTS[i].index);
}

static const struct {
    struct span key, tag;
} TAGS[] = {
    {SPAN("plain"), SPAN("plain")},
    {SPAN("{user1}.following"), SPAN("user1")},
    {SPAN("a{b}c{d}e"), SPAN("b")},
    {SPAN("foo{}{bar}"), SPAN("foo{}{bar}")},
    {SPAN("foo{{bar}}zap"), SPAN("{bar")},
    {SPAN("foo{bar"), SPAN("foo{bar")},
    {SPAN("foo}bar{"), SPAN("foo}bar{")},
    {SPAN("}{a}"), SPAN("a")},
    {SPAN("{a\0b}"), SPAN("a\0b")},
    {SPAN("{"), SPAN("{")},
    {SPAN("{}"), SPAN("{}")},
    {SPAN(""), SPAN("")},
};

/* As Redis Cluster's specification has it, examples included. */
Test(hash, takes_the_tag_between_the_first_braces) {
    for (size_t i = 0; i < sizeof(TAGS) / sizeof(TAGS[0]); i++) {
        struct span tag = hash_tag(TAGS[i].key);
        cr_expect(span_equal(tag, TAGS[i].tag), "%s: %.*s", TAGS[i].key.ptr, (int)tag.len, tag.ptr);
        cr_expect_eq(hash_ring(TAGS[i].key), hash_ring(TAGS[i].tag), "%s", TAGS[i].key.ptr);
    }
}

Test(hash, takes_an_empty_key_without_an_address) {
    cr_assert_eq(hash_ring(span_of(NULL, 0)), hash_ring(SPAN("")));
    cr_assert_eq(hash_table(span_of(NULL, 0), 1), hash_table(SPAN(""), 1));
}

/* The table's hash is of the whole key, and another one in each process. */
Test(hash, seeds_the_hash_of_the_table) {
    cr_assert_eq(hash_table(SPAN("greeting"), 0), 0x1fc809e0902f8741);
    cr_assert_eq(hash_table(SPAN("{greeting}"), 0x123456789abcdef0), 0x87689655dea27009);
    cr_assert_neq(hash_table(SPAN("greeting"), 1), hash_table(SPAN("greeting"), 2));
    cr_assert_neq(hash_seed(), hash_seed());
}
