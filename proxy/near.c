#include "near.h"

#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"
#include "../common/plant.h"

enum {
    BUCKETS = 128,
    UNUSED_US = 1000 * 1000,     /* a slot that nobody asked for so long may go to another key */
    PROBE_AGAIN_US = 100 * 1000, /* after a probe that failed */
};

enum fitness { UNKNOWN, PROBING, FIT, UNFIT /* it has a time to live, or is absent */ };

struct slot {
    uint64_t hash;
    char *key;
    size_t key_len;
    uint8_t next; /* in its bucket; NEAR_NONE: the last */
    enum fitness fitness;
    uint32_t generation; /* rises with everything that makes answers under way useless */
    int64_t used_us, probe_us, until_us;
    char *value; /* NULL: no copy */
    size_t len;
};

struct near {
    struct near_conf conf;
    struct near_figures figures;
    int64_t quiet_until_us;
    unsigned used;
    uint8_t buckets[BUCKETS];
    struct slot slots[NEAR_SLOTS];
};

struct near *near_new(const struct near_conf *conf) {
    struct near *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return NULL;
    n->conf = *conf;
    memset(n->buckets, NEAR_NONE, sizeof(n->buckets));
    return n;
}

void near_free(struct near **pointer) {
    struct near *n = *pointer;
    *pointer = NULL;
    if (n == NULL)
        return;
    for (unsigned i = 0; i < n->used; i++) {
        free(n->slots[i].key);
        free(n->slots[i].value);
    }
    free(n);
}

/* ---- slots ---- */

static uint8_t *bucket_of(struct near *n, uint64_t hash) {
    return &n->buckets[hash % BUCKETS];
}

static struct slot *find(struct near *n, struct span key, uint64_t hash) {
    for (uint8_t i = *bucket_of(n, hash); i != NEAR_NONE; i = n->slots[i].next) {
        struct slot *s = &n->slots[i];
        if (s->hash == hash && span_equal(span_of(s->key, s->key_len), key))
            return s;
    }
    return NULL;
}

static void drop(struct near *n, struct slot *s) {
    if (s->value == NULL)
        return;
    free(s->value);
    s->value = NULL;
    n->figures.bytes -= s->len;
    n->figures.items--;
    n->figures.drops++;
}

static void renew(struct near *n, struct slot *s) {
    drop(n, s);
    s->generation++;
    s->fitness = UNKNOWN;
    s->probe_us = 0;
}

static void unlink_slot(struct near *n, uint8_t index) {
    uint8_t *link = bucket_of(n, n->slots[index].hash);
    while (*link != index)
        link = &n->slots[*link].next;
    *link = n->slots[index].next;
}

/* A free slot, or the one that was not used for longest, if that is long; else NEAR_NONE. */
static uint8_t choose(struct near *n, int64_t now_us) {
    unsigned oldest = 0;
    if (n->used < NEAR_SLOTS)
        return (uint8_t)n->used;
    for (unsigned i = 1; i < NEAR_SLOTS; i++)
        oldest = n->slots[i].used_us < n->slots[oldest].used_us ? i : oldest;
    return now_us - n->slots[oldest].used_us > UNUSED_US ? (uint8_t)oldest : NEAR_NONE;
}

void near_want(struct near *n, struct span key, uint64_t hash, int64_t now_us) {
    if (find(n, key, hash) != NULL)
        return;
    uint8_t index = choose(n, now_us);
    char *copy = index == NEAR_NONE ? NULL : malloc(key.len + 1);
    if (copy == NULL)
        return;
    struct slot *s = &n->slots[index];
    if (index == n->used) {
        n->used++;
    } else {
        unlink_slot(n, index);
        free(s->key);
    }
    renew(n, s);
    memcpy(copy, key.ptr, key.len);
    s->key = copy;
    s->key_len = key.len;
    s->hash = hash;
    s->used_us = now_us;
    s->next = *bucket_of(n, hash);
    *bucket_of(n, hash) = index;
}

/* ---- copies ---- */

bool near_get(struct near *n, struct span key, uint64_t hash, int64_t now_us, struct span *value) {
    if (*bucket_of(n, hash) == NEAR_NONE)
        return false;
    struct slot *s = find(n, key, hash);
    if (s == NULL)
        return false;
    s->used_us = now_us;
    if (s->value == NULL || now_us >= s->until_us)
        return false;
    *value = span_of(s->value, s->len);
    return true;
}

static struct near_ticket ticket(const struct near *n, const struct slot *s, int64_t now_us) {
    return (struct near_ticket){(uint32_t)(s - n->slots), s->generation, now_us};
}

static const struct near_ticket NO_TICKET = {.slot = NEAR_NONE};

struct near_ticket near_ask(struct near *n, struct span key, uint64_t hash, int64_t now_us) {
    struct slot *s = find(n, key, hash);
    return s == NULL || s->fitness != FIT || now_us < n->quiet_until_us ? NO_TICKET
                                                                        : ticket(n, s, now_us);
}

bool near_put(struct near *n, const struct near_ticket *t, struct span reply) {
    struct slot *s = &n->slots[t->slot];
    if (t->slot == NEAR_NONE || t->generation != s->generation)
        return false;
    size_t held = s->value != NULL ? s->len : 0;
    if (n->figures.bytes - held + reply.len > n->conf.bytes_max)
        return false;
    char *copy = held == reply.len ? s->value : realloc(s->value, reply.len);
    if (copy == NULL)
        return false;
    n->figures.items += s->value == NULL;
    n->figures.bytes += reply.len - held;
    n->figures.fills++;
    s->value = memcpy(copy, reply.ptr, reply.len);
    s->len = reply.len;
    s->until_us = t->asked_us + n->conf.keep_us;
    return true;
}

/* ---- times to live ---- */

struct near_ticket near_probe(struct near *n, struct span key, uint64_t hash, int64_t now_us) {
    struct slot *s = find(n, key, hash);
    if (s == NULL || s->fitness != UNKNOWN || now_us < s->probe_us || now_us < n->quiet_until_us)
        return NO_TICKET;
    s->fitness = PROBING;
    s->probe_us = now_us + PROBE_AGAIN_US;
    return ticket(n, s, now_us);
}

void near_probed(struct near *n, const struct near_ticket *t, bool answered, bool lives_for_ever) {
    struct slot *s = &n->slots[t->slot];
    if (t->generation != s->generation)
        return;
    s->fitness = !answered ? UNKNOWN : lives_for_ever ? FIT : UNFIT;
}

/* ---- what ends copies ---- */

static void pass(struct near *n, struct slot *s, bool is_write) {
    if (PLANTED(near_ignores_own_answers))
        return;
    if (is_write)
        renew(n, s);
    else
        drop(n, s);
}

void near_pass(struct near *n, uint64_t hash, bool is_write) {
    for (uint8_t i = *bucket_of(n, hash); i != NEAR_NONE; i = n->slots[i].next) {
        if (n->slots[i].hash == hash)
            pass(n, &n->slots[i], is_write);
    }
}

void near_pass_all(struct near *n, bool is_write) {
    for (unsigned i = 0; i < n->used; i++)
        pass(n, &n->slots[i], is_write);
}

void near_stale(struct near *n, struct span key) {
    if (n->used == 0 || PLANTED(near_is_deaf))
        return;
    struct slot *s = find(n, key, hash_ring(key));
    if (s != NULL)
        renew(n, s);
}

void near_gap(struct near *n, int64_t now_us) {
    for (unsigned i = 0; i < n->used; i++)
        renew(n, &n->slots[i]);
    n->quiet_until_us = now_us + n->conf.quiet_us;
}

void near_figures(const struct near *n, struct near_figures *out) {
    *out = n->figures;
}
