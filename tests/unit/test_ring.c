/*
 * The ring: against a naive model (all points sorted, the first one that is not before the key), by
 * counting a million keys, and pinned to owners that another implementation named.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/hash.h"
#include "../../common/ring.h"

enum { KEYS = 1000000, MEMBERS = 40 };

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state ^ *state >> 31;
}

static uint64_t key_hash(unsigned n) {
    char key[32];
    return hash_ring(span_of(key, (size_t)snprintf(key, sizeof(key), "key:%u", n)));
}

/* ---- rings from texts: "name", "name*3" (weight), "-name" (drain), "!name" (down) ---- */

static size_t parse(const char *text, struct ring_member *m) {
    size_t count = 0;
    for (const char *at = text; *at != '\0'; count++) {
        size_t len = strcspn(at, " ");
        m[count] = (struct ring_member){.host = "h", .port = (uint16_t)(count + 1), .weight = 1};
        m[count].state = at[0] == '-' ? RING_DRAIN : at[0] == '!' ? RING_DOWN : RING_UP;
        size_t from = m[count].state != RING_UP, name_len = strcspn(at, " *");
        memcpy(m[count].name, at + from, name_len - from);
        if (at[name_len] == '*')
            m[count].weight = (uint16_t)atoi(at + name_len + 1);
        at += len + (at[len] == ' ');
    }
    return count;
}

static struct ring *make(const char *text) {
    struct ring_member m[MEMBERS];
    size_t count = parse(text, m);
    struct ring *ring = ring_build(m, count);
    cr_assert_not_null(ring, "%s", text);
    return ring;
}

/* `count` equal members: prefix1, prefix2 ... */
static struct ring *make_equal(const char *prefix, unsigned count) {
    struct ring_member m[MEMBERS] = {0};
    for (unsigned i = 0; i < count; i++) {
        snprintf(m[i].name, sizeof(m[i].name), "%s%u", prefix, i + 1);
        m[i].weight = 1;
    }
    return ring_build(m, count);
}

static const char *owner(const struct ring *ring, uint64_t hash) {
    return ring_at(ring, ring_lookup(ring, hash))->name;
}

static const char *const SHAPES[] = {
    "a",
    "a b",
    "node1 node2 node3",
    "node1 -node2 node3 !node4",
    "a*3 b c*2 d",
    "big*100 small",
    "n10 n11 n12 n13 n14 n15",
    "node1 node2 node3 node4 node5 node6 node7 node8 node9 node10",
    "!only-down up",
};
enum { SHAPES_COUNT = sizeof(SHAPES) / sizeof(SHAPES[0]) };

/* ---- the naive model ---- */

struct naive_point {
    uint64_t at;
    const char *name;
};

struct naive {
    struct naive_point *points;
    size_t count;
};

static int by_place(const void *a, const void *b) {
    const struct naive_point *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : strcmp(x->name, y->name);
}

static struct naive naive_of(const struct ring *ring) {
    struct naive n = {NULL, 0};
    for (uint32_t i = 0; i < ring_count(ring); i++) {
        const struct ring_member *m = ring_at(ring, i);
        if (m->state != RING_UP)
            continue;
        n.points = realloc(n.points, (n.count + 1024u * m->weight) * sizeof(*n.points));
        for (uint64_t p = 0; p < 1024u * m->weight; p++)
            n.points[n.count++] = (struct naive_point){hash_point(span_str(m->name), p), m->name};
    }
    qsort(n.points, n.count, sizeof(*n.points), by_place);
    return n;
}

/* Index of the first point at or behind `hash`, looked for from `from` on. */
static size_t naive_first(const struct naive *n, uint64_t hash, size_t from) {
    while (from < n->count && n->points[from].at < hash)
        from++;
    return from == n->count ? 0 : from;
}

Test(ring, finds_the_owner_that_the_naive_model_finds) {
    for (size_t s = 0; s < SHAPES_COUNT; s++) {
        struct ring *ring = make(SHAPES[s]);
        struct naive n = naive_of(ring);
        uint64_t state = s;
        for (int i = 0; i < 500; i++) {
            uint64_t hash = next_random(&state);
            cr_assert_str_eq(owner(ring, hash), n.points[naive_first(&n, hash, 0)].name, "%s",
                             SHAPES[s]);
        }
        for (size_t i = 0; i < n.count; i++) { /* on each border and beside it */
            for (int beside = -1; beside <= 1; beside++) {
                uint64_t hash = n.points[i].at + (uint64_t)beside;
                size_t near = beside > 0 ? i : i == 0 ? 0 : i - 1;
                cr_assert_str_eq(owner(ring, hash), n.points[naive_first(&n, hash, near)].name,
                                 "%s: point %zu %+d", SHAPES[s], i, beside);
            }
        }
        cr_assert_str_eq(owner(ring, 0), n.points[0].name);
        cr_assert_str_eq(owner(ring, UINT64_MAX), n.points[0].name, "wraps to the first point");
        free(n.points);
        ring_free(&ring);
        cr_assert_null(ring);
    }
}

Test(ring, names_the_next_owners_in_the_order_of_their_points) {
    for (size_t s = 0; s < SHAPES_COUNT; s++) {
        struct ring *ring = make(SHAPES[s]);
        struct naive n = naive_of(ring);
        uint64_t state = s;
        size_t up = 0;
        for (uint32_t i = 0; i < ring_count(ring); i++)
            up += ring_at(ring, i)->state == RING_UP;
        for (int i = 0; i < 200; i++) {
            uint64_t hash = i == 0 ? UINT64_MAX : next_random(&state);
            if (i > 0 && i < 10) /* the walk passes the end */
                hash = n.points[n.count - (size_t)i].at;
            uint32_t owners[MEMBERS];
            size_t found = ring_owners(ring, hash, owners, MEMBERS), seen = 0;
            cr_assert_eq(found, up, "%s: %zu of %zu", SHAPES[s], found, up);
            cr_assert_eq(owners[0], ring_lookup(ring, hash));
            for (size_t at = naive_first(&n, hash, 0); seen < up; at = (at + 1) % n.count) {
                bool before = false;
                for (size_t k = 0; k < seen; k++)
                    before =
                        before || strcmp(ring_at(ring, owners[k])->name, n.points[at].name) == 0;
                if (!before)
                    cr_assert_str_eq(ring_at(ring, owners[seen++])->name, n.points[at].name);
            }
            uint32_t first[2] = {99, 99};
            cr_assert_eq(ring_owners(ring, hash, first, 1), 1u);
            cr_assert_eq(first[0], owners[0]);
            cr_assert_eq(first[1], 99u, "no more than asked for");
        }
        free(n.points);
        ring_free(&ring);
    }
}

/* ---- placement that may never change ---- */

static const struct {
    const char *key, *owners;
} PINNED[] = {
    {"", "node3 node1 db1"},
    {"a", "node5 db1 node1"},
    {"greeting", "node1 node5 node2"},
    {"flag:new-checkout", "db2 node2 node3"},
    {"flag:dark-mode", "node2 db1 node1"},
    {"config:search", "db2 node1 node2"},
    {"user:1", "db1 node2 node5"},
    {"user:2", "node2 node5 db2"},
    {"user:3", "node2 db1 db2"},
    {"{user:1}:name", "db1 node2 node5"},
    {"session/9f86d081884c7d65", "node3 db1 node5"},
    {"\xc3\xa9", "node5 node3 node2"},
};

Test(ring, places_keys_where_another_implementation_does) {
    struct ring *ring = make("node1 node2*2 node3 -node4 node5 db1 db2");
    for (size_t i = 0; i < sizeof(PINNED) / sizeof(PINNED[0]); i++) {
        uint32_t o[3];
        char text[3 * RING_NAME_BYTES_MAX + 3];
        cr_assert_eq(ring_owners(ring, hash_ring(span_str(PINNED[i].key)), o, 3), 3u);
        snprintf(text, sizeof(text), "%s %s %s", ring_at(ring, o[0])->name,
                 ring_at(ring, o[1])->name, ring_at(ring, o[2])->name);
        cr_expect_str_eq(text, PINNED[i].owners, "%s: %s", PINNED[i].key, text);
    }
    cr_expect_eq(ring_checksum(ring), 0xc7152944c9667aa1);
    static const uint32_t SHARES[] = {142677, 286550, 135033, 0, 147073, 149063, 139602};
    for (uint32_t i = 0; i < 7; i++)
        cr_expect_eq(ring_share(ring, i), SHARES[i], "%u: %u", i, ring_share(ring, i));
    ring_free(&ring);
}

/* ---- balance, by counting a million keys ---- */

static void count_keys(const struct ring *ring, unsigned *counts) {
    memset(counts, 0, ring_count(ring) * sizeof(*counts));
    for (unsigned i = 0; i < KEYS; i++)
        counts[ring_lookup(ring, key_hash(i))]++;
}

Test(ring, gives_ten_equal_nodes_about_as_many_keys) {
    static const char *const PREFIXES[] = {"node", "node-", "cache", "10.0.0."};
    for (size_t p = 0; p < sizeof(PREFIXES) / sizeof(PREFIXES[0]); p++) {
        struct ring *ring = make_equal(PREFIXES[p], 10);
        unsigned counts[MEMBERS], fullest = 0;
        count_keys(ring, counts);
        for (int i = 0; i < 10; i++)
            fullest = counts[i] > fullest ? counts[i] : fullest;
        cr_expect_leq(fullest, KEYS / 10 * 107 / 100, "%s: %u", PREFIXES[p], fullest);
        ring_free(&ring);
    }
}

/* Names that differ in one byte of three had the same points: db1 owned all that db2 and db3 did.
 */
Test(ring, tells_short_names_apart) {
    static const char *const TEXTS[] = {"db1 db2 db3 db4 db5 db6 db7 db8 db9",
                                        "n10 n11 n12 n13 n14 n15 n16 n17 n18 n19",
                                        "a b c d e f g h i j k l m n o p q r s t u v w x y z",
                                        "1a 2a 3a 4a 1b 2b 3b 4b",
                                        "1 11 111 1111 11111 111111",
                                        "1abc 2abc 3abc 4abc",
                                        "node1-x node2-x node3-x node4-x"};
    for (size_t t = 0; t < sizeof(TEXTS) / sizeof(TEXTS[0]); t++) {
        struct ring *ring = make(TEXTS[t]);
        for (uint32_t i = 0; i < ring_count(ring); i++) {
            uint64_t part = (uint64_t)ring_share(ring, i) * ring_count(ring);
            cr_expect(part > 850000 && part < 1150000, "%s: %s has %u ppm", TEXTS[t],
                      ring_at(ring, i)->name, ring_share(ring, i));
        }
        ring_free(&ring);
    }
}

Test(ring, honours_weights) {
    struct ring *ring = make("a b*2 c*5 d*100");
    unsigned counts[MEMBERS];
    count_keys(ring, counts);
    for (uint32_t i = 0; i < 4; i++) {
        double fair = (double)KEYS * ring_at(ring, i)->weight / 108;
        cr_expect(counts[i] > fair * 0.9 && counts[i] < fair * 1.1, "%s: %u of %.0f",
                  ring_at(ring, i)->name, counts[i], fair);
    }
    ring_free(&ring);
}

Test(ring, says_the_share_that_is_counted) {
    for (size_t s = 0; s < SHAPES_COUNT; s++) {
        struct ring *ring = make(SHAPES[s]);
        unsigned counts[MEMBERS];
        uint32_t sum = 0;
        count_keys(ring, counts);
        for (uint32_t i = 0; i < ring_count(ring); i++) {
            int error = (int)ring_share(ring, i) - (int)counts[i]; /* ppm of a million keys */
            cr_expect(abs(error) < 2500, "%s: %s has %u ppm and %u keys", SHAPES[s],
                      ring_at(ring, i)->name, ring_share(ring, i), counts[i]);
            sum += ring_share(ring, i);
        }
        cr_expect(sum <= 1000000 && sum + ring_count(ring) > 1000000, "%s: %u", SHAPES[s], sum);
        ring_free(&ring);
    }
}

Test(ring, gives_all_to_the_only_one_that_is_up) {
    struct ring *ring = make("-a b !c");
    cr_assert_eq(ring_share(ring, 0), 0u);
    cr_assert_eq(ring_share(ring, 1), 1000000u);
    cr_assert_eq(ring_share(ring, 2), 0u);
    for (unsigned i = 0; i < 10000; i++)
        cr_assert_eq(ring_lookup(ring, key_hash(i)), 1u);
    ring_free(&ring);
}

/* ---- what moves ---- */

struct move {
    const char *from, *to;
    const char *gains; /* every key that moves goes to this member; NULL: to any */
    const char *loses; /* every key that moves was on this member; NULL: on any */
    double keys_max;   /* share of the keys that may move */
};

static const struct move MOVES[] = {
    /* adding one of N + 1: at most 1.15 x K / (N + 1) */
    {"a b", "a b c", "c", NULL, 1.15 / 3},
    {"node1 node2 node3 node4 node5 node6 node7 node8 node9 node10",
     "node1 node2 node3 node4 node5 node6 node7 node8 node9 node10 node11", "node11", NULL,
     1.15 / 11},
    {"n1 n2 n3 n4 n5", "n5 new n4 n3 n2 n1", "new", NULL, 1.15 / 6},
    /* removing one moves its own keys only */
    {"a b c", "a c", NULL, "b", 1.15 / 3},
    {"node1 node2 node3 node4", "node1 node2 node3 -node4", NULL, "node4", 1.15 / 4},
    {"node1 node2 node3 node4", "!node1 node2 node3 node4", NULL, "node1", 1.15 / 4},
    /* more weight takes, less weight gives */
    {"a b c", "a b*2 c", "b", NULL, 1.15 / 6},
    {"a*3 b c", "a*2 b c", NULL, "a", 1.15 / 10},
    /* what does not change who owns */
    {"a b c", "c a b", NULL, NULL, 0},
    {"a b c", "a b c -d !e", NULL, NULL, 0},
    {"a b -c", "a b !c*7", NULL, NULL, 0},
    /* all of it */
    {"a", "b", "b", "a", 1},
};

Test(ring, moves_the_keys_it_must_and_no_others, .timeout = 120) {
    for (size_t m = 0; m < sizeof(MOVES) / sizeof(MOVES[0]); m++) {
        struct ring *from = make(MOVES[m].from), *to = make(MOVES[m].to);
        unsigned moved = 0, lost_of = 0, lost = 0;
        for (unsigned i = 0; i < KEYS; i++) {
            uint64_t hash = key_hash(i);
            const char *was = owner(from, hash), *is = owner(to, hash);
            bool moves = strcmp(was, is) != 0;
            if (MOVES[m].loses != NULL) {
                lost_of += strcmp(was, MOVES[m].loses) == 0;
                lost += strcmp(was, MOVES[m].loses) == 0 && moves;
            }
            if (!moves)
                continue;
            moved++;
            if (MOVES[m].gains != NULL)
                cr_assert_str_eq(is, MOVES[m].gains, "%s -> %s", MOVES[m].from, MOVES[m].to);
            if (MOVES[m].loses != NULL)
                cr_assert_str_eq(was, MOVES[m].loses, "%s -> %s", MOVES[m].from, MOVES[m].to);
        }
        cr_expect_leq(moved, (unsigned)(KEYS * MOVES[m].keys_max), "%s -> %s: %u", MOVES[m].from,
                      MOVES[m].to, moved);
        cr_expect_eq(moved == 0, MOVES[m].keys_max == 0, "%s -> %s", MOVES[m].from, MOVES[m].to);
        if (MOVES[m].loses != NULL && strstr(MOVES[m].to, "a*2") == NULL)
            cr_expect_eq(lost, lost_of, "all of what it had");
        int error = (int)ring_moved(from, to) - (int)moved;
        cr_expect(abs(error) < 2500, "%s -> %s: said %u ppm, %u keys moved", MOVES[m].from,
                  MOVES[m].to, ring_moved(from, to), moved);
        cr_expect_eq(ring_moved(from, to), ring_moved(to, from));
        if (MOVES[m].keys_max == 0 || MOVES[m].keys_max == 1)
            cr_expect_eq(ring_moved(from, to), (uint32_t)(MOVES[m].keys_max * 1000000));
        ring_free(&from);
        ring_free(&to);
    }
}

Test(ring, moves_nothing_when_a_node_moves_to_another_host) {
    struct ring_member m[MEMBERS];
    size_t count = parse("a b c -d", m);
    struct ring *before = ring_build(m, count);
    for (size_t i = 0; i < count; i++) {
        snprintf(m[i].host, sizeof(m[i].host), "elsewhere%zu", i);
        m[i].port = (uint16_t)(9000 + i);
    }
    struct ring *after = ring_build(m, count);
    cr_assert_str_eq(ring_at(before, 0)->host, "h", "a ring has copies");
    cr_assert_eq(ring_moved(before, after), 0u);
    cr_assert_eq(ring_checksum(before), ring_checksum(after));
    for (unsigned i = 0; i < KEYS / 10; i++)
        cr_assert_eq(ring_lookup(before, key_hash(i)), ring_lookup(after, key_hash(i)));
    ring_free(&before);
    ring_free(&after);
}

/* ---- the rest ---- */

Test(ring, has_a_checksum_of_what_decides_placement) {
    static const char *const OTHERS[] = {"a b",   "a b c*2", "a b -c",  "a b !c",
                                         "a b d", "a b c d", "c*2 b a", "a*2 b c"};
    struct ring *ring = make("a b c"), *shuffled = make("c a b");
    cr_assert_eq(ring_checksum(ring), ring_checksum(shuffled));
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        struct ring *other = make(OTHERS[i]);
        cr_expect_neq(ring_checksum(ring), ring_checksum(other), "%s", OTHERS[i]);
        ring_free(&other);
    }
    ring_free(&ring);
    ring_free(&shuffled);
}

Test(ring, finds_members_by_name) {
    struct ring *ring = make("a -b c*2");
    cr_assert_eq(ring_count(ring), 3u);
    cr_assert_eq(ring_find(ring, "a"), 0);
    cr_assert_eq(ring_find(ring, "b"), 1);
    cr_assert_eq(ring_find(ring, "c"), 2);
    cr_assert_eq(ring_find(ring, "d"), -1);
    cr_assert_eq(ring_find(ring, ""), -1);
    cr_assert_str_eq(ring_at(ring, 1)->name, "b");
    cr_assert_eq(ring_at(ring, 2)->weight, 2);
    ring_free(&ring);
    ring_free(&ring);
}

Test(ring, names_its_states) {
    cr_assert_str_eq(ring_state_name(RING_UP), "up");
    cr_assert_str_eq(ring_state_name(RING_DRAIN), "drain");
    cr_assert_str_eq(ring_state_name(RING_DOWN), "down");
}

Test(ring, is_not_built_without_an_owner_or_above_its_bounds) {
    struct ring_member *m = calloc(RING_MEMBERS_MAX + 1, sizeof(*m));
    for (unsigned i = 0; i <= RING_MEMBERS_MAX; i++) {
        snprintf(m[i].name, sizeof(m[i].name), "%u", i);
        m[i].weight = RING_WEIGHT_MAX;
        m[i].state = i == 0 ? RING_UP : RING_DOWN;
    }
    cr_assert_null(ring_build(m, 0));
    cr_assert_null(ring_build(m + 1, 1), "nobody is up");
    cr_assert_null(ring_build(m, RING_MEMBERS_MAX + 1));
    struct ring *ring = ring_build(m, RING_MEMBERS_MAX);
    cr_assert_not_null(ring);
    ring_free(&ring);
    for (unsigned i = 0; i * RING_WEIGHT_MAX < RING_WEIGHT_SUM_MAX; i++)
        m[i].state = RING_UP;
    cr_assert_null(ring_build(m, RING_MEMBERS_MAX), "more points than the bound");
    free(m);
}
