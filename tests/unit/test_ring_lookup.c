/* A ring's lookup against a naive one, where its shortcuts could go wrong. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/hash.h"
#include "../../common/ring.h"

struct naive_point {
    uint64_t at;
    uint32_t member;
};

static int by_place(const void *a, const void *b) {
    const struct naive_point *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static struct naive_point *make_naive(const struct ring_member *members, size_t count,
                                      size_t *points_out) {
    struct naive_point *points = malloc(count * RING_POINTS_PER_WEIGHT * sizeof(*points));
    size_t at = 0;
    cr_assert_not_null(points);
    for (size_t m = 0; m < count; m++) {
        for (uint64_t i = 0; i < RING_POINTS_PER_WEIGHT; i++)
            points[at++] =
                (struct naive_point){hash_point(span_str(members[m].name), i), (uint32_t)m};
    }
    qsort(points, at, sizeof(*points), by_place);
    *points_out = at;
    return points;
}

/* The first point at or after `hash`, from the point whose index is known to be at most that. */
static uint32_t naive_owner(const struct naive_point *points, size_t count, size_t from,
                            uint64_t hash) {
    while (from < count && points[from].at < hash)
        from++;
    return points[from == count ? 0 : from].member;
}

static void check(size_t members_count) {
    struct ring_member *members = calloc(members_count, sizeof(*members));
    size_t count;
    cr_assert_not_null(members);
    for (size_t i = 0; i < members_count; i++) {
        members[i].weight = 1;
        snprintf(members[i].name, sizeof(members[i].name), "node-%zu", i);
    }
    struct ring *ring = ring_build(members, members_count);
    struct naive_point *points = make_naive(members, members_count, &count);
    cr_assert_not_null(ring);
    for (size_t i = 0; i < count; i++) {
        /* On the point, beside it, and so near before it that 32 bits cannot tell. */
        const uint64_t hashes[] = {points[i].at, points[i].at - 1, points[i].at + 1,
                                   points[i].at - 255};
        for (size_t h = 0; h < sizeof(hashes) / sizeof(hashes[0]); h++) {
            size_t from = i < 2 ? 0 : i - 2;
            if (points[from].at >= hashes[h] || hashes[h] > points[i].at + 1)
                from = 0; /* it wrapped, or lies further back */
            cr_assert_eq(ring_lookup(ring, hashes[h]), naive_owner(points, count, from, hashes[h]),
                         "%zu members, point %zu, hash %zu", members_count, i, h);
        }
    }
    const uint64_t ends[] = {0, 1, UINT64_MAX, UINT64_MAX - 1};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        cr_assert_eq(ring_lookup(ring, ends[i]), naive_owner(points, count, 0, ends[i]));
    free(points);
    free(members);
    ring_free(&ring);
}

Test(ring_lookup, agrees_with_a_walk_over_all_points) {
    static const size_t COUNTS[] = {1, 2, 3, 10, 61};
    for (size_t i = 0; i < sizeof(COUNTS) / sizeof(COUNTS[0]); i++)
        check(COUNTS[i]);
}

/* So many points that some cache lines cannot hold theirs. */
Test(ring_lookup, agrees_where_more_points_share_a_prefix_than_fit) {
    check(1000);
}

Test(ring_lookup, owners_begin_with_the_owner) {
    struct ring_member members[5] = {0};
    for (size_t i = 0; i < 5; i++) {
        members[i].weight = 1;
        snprintf(members[i].name, sizeof(members[i].name), "n%zu", i);
    }
    struct ring *ring = ring_build(members, 5);
    cr_assert_not_null(ring);
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t hash = hash_point(SPAN("key"), i);
        uint32_t owners[5];
        cr_assert_eq(ring_owners(ring, hash, owners, 5), 5);
        cr_assert_eq(owners[0], ring_lookup(ring, hash));
    }
    ring_free(&ring);
}
