#include "topk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"

enum {
    NONE = UINT16_MAX,     /* no counter */
    KEY_BYTES_STEP = 64,   /* a counter's room for its key grows by this */
    EXPONENT_MAX = 40,     /* weights are scaled down before they grow beyond 2 to this */
    YOUNG_US = 1000 * 1000 /* nothing is an average over less */
};

/* Counts are in units that shrink: what came at time t weighs 2^((t - base) / half life). */
struct counter {
    uint64_t hash;
    double count;   /* never too low */
    double surplus; /* and at most so much too high */
    char *key;
    size_t key_len, key_room;
    uint16_t next;  /* in its bucket */
    uint16_t place; /* in the heap */
};

struct topk {
    size_t counters_max, used, mask;
    int64_t half_life_us;
    uint64_t seed;
    int64_t first_us, base_us; /* when the first key came; of the weights */
    double total;
    uint16_t *buckets;
    uint16_t *heap; /* counters, the lowest count first */
    struct counter counters[];
};

struct topk *topk_new(size_t counters, int64_t half_life_us, uint64_t seed) {
    struct topk *t = calloc(1, sizeof(*t) + counters * sizeof(t->counters[0]));
    size_t buckets = 1;
    while (buckets < 2 * counters)
        buckets *= 2;
    if (t == NULL)
        return NULL;
    t->counters_max = counters;
    t->half_life_us = half_life_us;
    t->seed = seed;
    t->mask = buckets - 1;
    t->buckets = malloc(buckets * sizeof(*t->buckets));
    t->heap = malloc(counters * sizeof(*t->heap));
    if (t->buckets == NULL || t->heap == NULL) {
        topk_free(&t);
        return NULL;
    }
    memset(t->buckets, 0xff, buckets * sizeof(*t->buckets)); /* NONE */
    return t;
}

void topk_free(struct topk **pointer) {
    struct topk *t = *pointer;
    *pointer = NULL;
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->used; i++)
        free(t->counters[i].key);
    free(t->buckets);
    free(t->heap);
    free(t);
}

/* ---- the heap: the lowest count is at its top ---- */

static void put(struct topk *t, size_t place, uint16_t index) {
    t->heap[place] = index;
    t->counters[index].place = (uint16_t)place;
}

static double count_at(const struct topk *t, size_t place) {
    return t->counters[t->heap[place]].count;
}

/* Its count rose. */
static void sink(struct topk *t, uint16_t index) {
    size_t place = t->counters[index].place;
    for (;;) {
        size_t below = 2 * place + 1;
        if (below + 1 < t->used && count_at(t, below + 1) < count_at(t, below))
            below++;
        if (below >= t->used || count_at(t, below) >= t->counters[index].count)
            break;
        put(t, place, t->heap[below]);
        place = below;
    }
    put(t, place, index);
}

/* It is new, at the end. */
static void rise(struct topk *t, uint16_t index) {
    size_t place = t->counters[index].place;
    while (place != 0 && count_at(t, (place - 1) / 2) > t->counters[index].count) {
        put(t, place, t->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(t, place, index);
}

/* ---- keys ---- */

static uint16_t find(const struct topk *t, struct span key, uint64_t hash) {
    uint16_t index = t->buckets[hash & t->mask];
    while (index != NONE) {
        const struct counter *c = &t->counters[index];
        if (c->hash == hash && span_equal(span_of(c->key, c->key_len), key))
            break;
        index = c->next;
    }
    return index;
}

static void unlink_key(struct topk *t, uint16_t index) {
    uint16_t *link = &t->buckets[t->counters[index].hash & t->mask];
    while (*link != index)
        link = &t->counters[*link].next;
    *link = t->counters[index].next;
}

/* Room for a key of that length. The key it has now stays when there is no memory. */
static bool make_room(struct counter *c, size_t len) {
    size_t room = (len / KEY_BYTES_STEP + 1) * KEY_BYTES_STEP;
    if (len <= c->key_room && c->key != NULL)
        return true;
    char *key = realloc(c->key, room);
    if (key == NULL)
        return false;
    c->key = key;
    c->key_room = room;
    return true;
}

/* A counter for a new key: a free one, or the lowest, whose count it takes over. */
static uint16_t take(struct topk *t, struct span key, uint64_t hash) {
    bool is_free = t->used < t->counters_max;
    uint16_t index = is_free ? (uint16_t)t->used : t->heap[0];
    struct counter *c = &t->counters[index];
    if (!make_room(c, key.len))
        return NONE;
    if (is_free) {
        c->place = (uint16_t)t->used++;
        c->count = 0;
        rise(t, index);
    } else {
        unlink_key(t, index);
    }
    c->surplus = c->count;
    c->hash = hash;
    c->key_len = key.len;
    if (key.len != 0)
        memcpy(c->key, key.ptr, key.len);
    c->next = t->buckets[hash & t->mask];
    t->buckets[hash & t->mask] = index;
    return index;
}

/* ---- time ---- */

static double half_lives(const struct topk *t, int64_t us) {
    return (double)us / (double)t->half_life_us;
}

/* Count from now on; a scale for all keeps their order, so the heap stays as it is. */
static void rebase(struct topk *t, int64_t now_us) {
    double scale = exp2(-half_lives(t, now_us - t->base_us));
    for (size_t i = 0; i < t->used; i++) {
        t->counters[i].count *= scale;
        t->counters[i].surplus *= scale;
    }
    t->total *= scale;
    t->base_us = now_us;
}

/* A steady stream of r a second would have summed up to r times this, in seconds. */
static double span_s(const struct topk *t, int64_t now_us) {
    int64_t age_us = now_us - t->first_us < YOUNG_US ? YOUNG_US : now_us - t->first_us;
    return (double)t->half_life_us / 1e6 / M_LN2 * (1 - exp2(-half_lives(t, age_us)));
}

static double per_second(const struct topk *t, double sum, int64_t now_us) {
    return t->used == 0 ? 0 : sum * exp2(-half_lives(t, now_us - t->base_us)) / span_s(t, now_us);
}

double topk_add(struct topk *t, struct span key, uint32_t weight, int64_t now_us) {
    uint64_t hash = hash_table(key, t->seed);
    if (t->used == 0)
        t->first_us = t->base_us = now_us;
    if (half_lives(t, now_us - t->base_us) > EXPONENT_MAX)
        rebase(t, now_us);
    uint16_t index = find(t, key, hash);
    if (index == NONE)
        index = take(t, key, hash);
    if (index == NONE)
        return 0;
    double more = weight * exp2(half_lives(t, now_us - t->base_us));
    t->total += more;
    struct counter *c = &t->counters[index];
    c->count += more;
    sink(t, index);
    return per_second(t, c->count - c->surplus, now_us);
}

/* ---- questions ---- */

double topk_rate(const struct topk *t, struct span key, int64_t now_us) {
    uint16_t index = find(t, key, hash_table(key, t->seed));
    if (index == NONE)
        return 0;
    return per_second(t, t->counters[index].count - t->counters[index].surplus, now_us);
}

double topk_total(const struct topk *t, int64_t now_us) {
    return per_second(t, t->total, now_us);
}

size_t topk_rows(const struct topk *t, int64_t now_us, struct topk_row *out) {
    double scale = per_second(t, 1, now_us);
    for (size_t i = 0; i < t->used; i++) {
        const struct counter *c = &t->counters[i];
        out[i].key = span_of(c->key, c->key_len);
        out[i].per_second = (c->count - c->surplus) * scale;
    }
    return t->used;
}
