#include "ring.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hash.h"

struct point {
    uint64_t at;
    uint32_t member;
};

struct ring {
    struct ring_member *members;
    size_t count;
    struct point *points; /* sorted by place; equal places: by name, the smaller first */
    size_t points_count;
    struct bucket *buckets; /* by the top bits of a hash */
    unsigned buckets_bits;
    uint32_t *shares; /* parts per million of each member */
};

/*
 * The points of one prefix in one cache line, so that a lookup in a ring that no cache can hold
 * waits for memory once. A place is kept as the 16 bits behind the prefix: fewer lines, of which
 * more stay in a cache. Where they do not tell (equal to the hash's own, or more points than fit)
 * the sorted points are searched.
 */
enum { BUCKET_POINTS = 15, BUCKET_FULL = BUCKET_POINTS + 1 };

struct bucket {
    uint16_t at[BUCKET_POINTS];     /* sorted; the greatest there is where no point is */
    uint16_t count;                 /* BUCKET_FULL: search */
    uint16_t member[BUCKET_POINTS]; /* of the points */
    uint16_t behind;                /* the member that owns what comes behind the last of them */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct bucket) == 64 && RING_MEMBERS_MAX <= UINT16_MAX, "one cache line");
_Static_assert(offsetof(struct bucket, count) == 15 * sizeof(uint16_t), "behind 15 places");

const char *ring_state_name(enum ring_state state) {
    static const char *const NAMES[] = {
        [RING_UP] = "up", [RING_DRAIN] = "drain", [RING_DOWN] = "down"};
    return NAMES[state];
}

/* ---- building ---- */

struct sort_entry {
    struct point point;
    const char *name;
};

static int compare(const void *a, const void *b) {
    const struct sort_entry *x = a, *y = b;
    if (x->point.at != y->point.at)
        return x->point.at < y->point.at ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool make_points(struct ring *ring) {
    size_t count = 0;
    for (size_t i = 0; i < ring->count; i++) {
        if (ring->members[i].state == RING_UP)
            count += (size_t)ring->members[i].weight * RING_POINTS_PER_WEIGHT;
    }
    if (count == 0 || count > (size_t)RING_WEIGHT_SUM_MAX * RING_POINTS_PER_WEIGHT)
        return false;
    struct sort_entry *sorted = malloc(count * sizeof(*sorted));
    ring->points = malloc(count * sizeof(*ring->points));
    if (sorted == NULL || ring->points == NULL) {
        free(sorted);
        return false;
    }
    size_t at = 0;
    for (size_t i = 0; i < ring->count; i++) {
        const struct ring_member *m = &ring->members[i];
        size_t points = m->state == RING_UP ? (size_t)m->weight * RING_POINTS_PER_WEIGHT : 0;
        for (size_t p = 0; p < points; p++)
            sorted[at++] =
                (struct sort_entry){{hash_point(span_str(m->name), p), (uint32_t)i}, m->name};
    }
    qsort(sorted, count, sizeof(*sorted), compare);
    for (size_t i = 0; i < count; i++)
        ring->points[i] = sorted[i].point;
    ring->points_count = count;
    free(sorted);
    return true;
}

static uint64_t prefix_of(const struct ring *ring, uint64_t hash) {
    return hash >> (64 - ring->buckets_bits);
}

static uint16_t behind_prefix(const struct ring *ring, uint64_t hash) {
    return (uint16_t)(hash << ring->buckets_bits >> 48);
}

/* Huge pages: a large ring is read all over, and would miss in the page tables as well. */
static struct bucket *allocate(size_t count) {
    enum { HUGE_PAGE_BYTES = 2 << 20 };
    size_t bytes = count * sizeof(struct bucket);
    bool is_large = bytes >= HUGE_PAGE_BYTES; /* both are powers of two */
    void *buckets = aligned_alloc(is_large ? HUGE_PAGE_BYTES : sizeof(struct bucket), bytes);
    if (buckets != NULL && is_large)
        madvise(buckets, bytes, MADV_HUGEPAGE); /* a hint: without it all is only slower */
    return buckets;
}

/* Four to eight points a bucket; at most one of 120 has more than fit. */
static bool make_buckets(struct ring *ring) {
    ring->buckets_bits = 1;
    while (((size_t)8 << ring->buckets_bits) < ring->points_count)
        ring->buckets_bits++;
    size_t count = (size_t)1 << ring->buckets_bits, point = 0;
    ring->buckets = allocate(count);
    if (ring->buckets == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct bucket *b = &ring->buckets[i];
        *b = (struct bucket){0};
        memset(b->at, 0xff, sizeof(b->at));
        for (; point < ring->points_count && prefix_of(ring, ring->points[point].at) == i;
             point++) {
            if (b->count >= BUCKET_POINTS) {
                b->count = BUCKET_FULL;
                continue;
            }
            b->at[b->count] = behind_prefix(ring, ring->points[point].at);
            b->member[b->count++] = (uint16_t)ring->points[point].member;
        }
        b->behind = (uint16_t)ring->points[point == ring->points_count ? 0 : point].member;
    }
    return true;
}

static uint32_t to_ppm(unsigned __int128 part) {
    return (uint32_t)(part * 1000000 >> 64);
}

/* A point owns the arc that ends at it, its end included; the first one's comes round from the last
 * point. */
static bool make_shares(struct ring *ring) {
    unsigned __int128 *sums = calloc(ring->count, sizeof(*sums));
    ring->shares = malloc(ring->count * sizeof(*ring->shares));
    if (sums == NULL || ring->shares == NULL) {
        free(sums);
        return false;
    }
    uint64_t last = ring->points[ring->points_count - 1].at;
    for (size_t i = 0; i < ring->points_count; i++) {
        sums[ring->points[i].member] += ring->points[i].at - last;
        last = ring->points[i].at;
    }
    for (size_t i = 0; i < ring->count; i++)
        ring->shares[i] = to_ppm(sums[i]);
    free(sums);
    return true;
}

struct ring *ring_build(const struct ring_member *members, size_t count) {
    struct ring *ring = count == 0 || count > RING_MEMBERS_MAX ? NULL : calloc(1, sizeof(*ring));
    if (ring == NULL)
        return NULL;
    ring->members = malloc(count * sizeof(*members));
    ring->count = count;
    if (ring->members != NULL)
        memcpy(ring->members, members, count * sizeof(*members));
    if (ring->members == NULL || !make_points(ring) || !make_buckets(ring) || !make_shares(ring))
        ring_free(&ring);
    return ring;
}

void ring_free(struct ring **ring) {
    if (*ring == NULL)
        return;
    free((*ring)->members);
    free((*ring)->points);
    free((*ring)->buckets);
    free((*ring)->shares);
    free(*ring);
    *ring = NULL;
}

/* ---- looking up ---- */

static size_t first_point(const struct ring *ring, uint64_t hash) {
    size_t low = 0, high = ring->points_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ring->points[middle].at < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low == ring->points_count ? 0 : low;
}

/* How many of a bucket's places lie before `at`. All are compared at once, eight to a vector: where
 * to stop could not be foreseen. The multiplication adds the four lanes of a word. */
static unsigned places_before(const struct bucket *b, uint16_t at) {
    typedef uint16_t lanes __attribute__((vector_size(16)));
    typedef uint64_t words __attribute__((vector_size(16)));
    const lanes ones = {1, 1, 1, 1, 1, 1, 1, 1}, places = {1, 1, 1, 1, 1, 1, 1, 0};
    lanes low, high; /* the last lane is `count` */
    memcpy(&low, b->at, sizeof(low));
    memcpy(&high, (const char *)b + sizeof(low), sizeof(high));
    words before = (words)(((lanes)(low < at) & ones) + ((lanes)(high < at) & places));
    return (unsigned)((before[0] + before[1]) * 0x0001000100010001 >> 48);
}

uint32_t ring_lookup(const struct ring *ring, uint64_t hash) {
    const struct bucket *b = &ring->buckets[prefix_of(ring, hash)];
    uint16_t at = behind_prefix(ring, hash);
    unsigned before = places_before(b, at);
    if (before < b->count && b->count != BUCKET_FULL && b->at[before] != at)
        return b->member[before];
    return before == b->count ? b->behind : ring->points[first_point(ring, hash)].member;
}

void ring_prefetch(const struct ring *ring, uint64_t hash) {
    __builtin_prefetch(&ring->buckets[prefix_of(ring, hash)]);
}

size_t ring_owners(const struct ring *ring, uint64_t hash, uint32_t *out, size_t max) {
    size_t found = 0, point = first_point(ring, hash);
    for (size_t step = 0; step < ring->points_count && found < max; step++) {
        uint32_t member = ring->points[point].member;
        size_t seen = 0;
        while (seen < found && out[seen] != member)
            seen++;
        if (seen == found)
            out[found++] = member;
        point = point + 1 == ring->points_count ? 0 : point + 1;
    }
    return found;
}

size_t ring_count(const struct ring *ring) {
    return ring->count;
}

const struct ring_member *ring_at(const struct ring *ring, uint32_t index) {
    return &ring->members[index];
}

int ring_find(const struct ring *ring, const char *name) {
    for (size_t i = 0; i < ring->count; i++) {
        if (strcmp(ring->members[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* ---- comparing ---- */

uint64_t ring_checksum(const struct ring *ring) {
    uint64_t sum = 0; /* a sum, so that the order of the lines does not matter */
    for (size_t i = 0; i < ring->count; i++) {
        const struct ring_member *m = &ring->members[i];
        sum += hash_point(span_str(m->name), (uint64_t)m->weight << 8 | (uint64_t)m->state);
    }
    return sum;
}

uint32_t ring_share(const struct ring *ring, uint32_t index) {
    return ring->shares[index];
}

uint32_t ring_moved(const struct ring *from, const struct ring *to) {
    const unsigned __int128 hashes = (unsigned __int128)1 << 64;
    unsigned __int128 moved = 0, begin = 0;
    size_t i = 0, j = 0;
    /* Walk both rings at once: up to the next point of either, that point included, the owners are
     * fixed. Behind its last point a ring belongs to its first. */
    while (begin < hashes) {
        unsigned __int128 end = hashes;
        if (i < from->points_count)
            end = (unsigned __int128)from->points[i].at + 1;
        if (j < to->points_count && (unsigned __int128)to->points[j].at + 1 < end)
            end = (unsigned __int128)to->points[j].at + 1;
        uint32_t was = from->points[i < from->points_count ? i : 0].member;
        uint32_t is = to->points[j < to->points_count ? j : 0].member;
        if (strcmp(from->members[was].name, to->members[is].name) != 0)
            moved += end - begin;
        begin = end;
        while (i < from->points_count && from->points[i].at < begin)
            i++;
        while (j < to->points_count && to->points[j].at < begin)
            j++;
    }
    return to_ppm(moved);
}
