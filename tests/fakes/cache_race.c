#include "cache_race.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../bench/draw.h"
#include "../../node/cache.h"
#include "lru_model.h"

struct race {
    const struct cache_race_conf *conf;
    struct draw keys, other; /* who is read; everything else */
    uint32_t scan_left, scan_at, next_new;
    uint64_t reads;
    bool *was_read;      /* by key */
    uint32_t *number_of; /* by key: what key_of() made it from */
    uint32_t ideal_keys; /* that fit, about */
    struct cache *cache;
    struct lru_model *lru;
    char *bytes; /* to borrow values from */
};

static uint64_t mixed(uint64_t n) {
    n = (n ^ n >> 30) * 0xBF58476D1CE4E5B9u;
    n = (n ^ n >> 27) * 0x94D049BB133111EBu;
    return n ^ n >> 31;
}

/* A key's value keeps its length. */
static size_t value_bytes(const struct cache_race_conf *conf, uint32_t key) {
    double share = (double)(mixed(key + conf->seed) >> 11) * 0x1p-53;
    double low = log(conf->value_bytes_min), high = log(conf->value_bytes_max);
    return (size_t)exp(low + share * (high - low));
}

/* Neighbours in rank are spread, so that a scan meets hot and cold ones. */
static uint32_t key_of(const struct cache_race_conf *conf, uint64_t number) {
    return (uint32_t)(number * 2654435761u % conf->keys);
}

/* The most popular keys are those whose numbers follow this one. */
static uint32_t most_popular(const struct race *r) {
    uint64_t drift = r->conf->drift_reads == 0 ? 0 : r->reads / r->conf->drift_reads;
    return (uint32_t)((r->conf->keys - drift % r->conf->keys) % r->conf->keys);
}

static uint32_t next_key(struct race *r) {
    const struct cache_race_conf *conf = r->conf;
    if (conf->scan != CACHE_RACE_NO_SCAN && r->scan_left == 0 &&
        draw_between(&r->other, 1, 100 * conf->scan_run) <=
            (uint64_t)conf->scan_percent * 100 / (100 - conf->scan_percent)) {
        r->scan_left = conf->scan_run;
        r->scan_at = (uint32_t)draw_between(&r->other, 0, conf->keys - 1);
    }
    if (r->scan_left == 0) {
        r->reads++;
        return key_of(conf, draw_key(&r->keys) + most_popular(r));
    }
    r->scan_left--;
    if (conf->scan == CACHE_RACE_SCAN_NEW)
        return conf->keys + r->next_new++;
    r->scan_at = r->scan_at + 1 < conf->keys ? r->scan_at + 1 : 0;
    return r->scan_at;
}

static bool ideal_has(const struct race *r, uint32_t key) {
    if (key >= r->conf->keys)
        return false;
    uint32_t rank = (r->number_of[key] + r->conf->keys - most_popular(r)) % r->conf->keys;
    return rank < r->ideal_keys;
}

static bool ours_has(struct race *r, uint32_t key, size_t value_len) {
    char name[CACHE_RACE_KEY_BYTES] = "key:00000000";
    struct cache_item item;
    memcpy(name + 12, &key, sizeof(key));
    struct span span = span_of(name, sizeof(name));
    uint64_t hash = cache_hash(r->cache, span);
    if (cache_get(r->cache, span, hash, &item))
        return true;
    item = (struct cache_item){.value = span_of(r->bytes, value_len), .version = 1, .epoch = 1};
    cache_put(r->cache, span, hash, &item);
    return false;
}

static bool lru_has(struct race *r, uint32_t key, size_t value_len) {
    if (lru_model_get(r->lru, key))
        return true;
    lru_model_put(r->lru, key, CACHE_RACE_KEY_BYTES + value_len + CACHE_RACE_LRU_BYTES);
    return false;
}

void cache_race_run(const struct cache_race_conf *conf, struct cache_race_result *out) {
    struct race r = {.conf = conf};
    uint32_t new_keys = conf->scan == CACHE_RACE_SCAN_NEW ? conf->requests : 0;
    draw_init(&r.keys, conf->seed, conf->keys, conf->exponent);
    draw_init(&r.other, ~conf->seed, 1, 0);
    r.cache = cache_new(conf->bytes_max, conf->seed);
    r.lru = lru_model_new(conf->keys + new_keys, conf->bytes_max);
    r.bytes = calloc(1, conf->value_bytes_max);
    r.was_read = calloc(1, conf->keys + new_keys);
    r.number_of = calloc(conf->keys, sizeof(uint32_t));
    assert(r.cache != NULL && r.bytes != NULL && r.was_read != NULL && r.number_of != NULL);
    for (uint32_t number = 0; number < conf->keys; number++)
        r.number_of[key_of(conf, number)] = number;
    r.ideal_keys = (uint32_t)((double)conf->bytes_max / cache_race_bytes(conf) * conf->keys);
    *out = (struct cache_race_result){0};
    for (uint32_t i = 0; i < conf->requests; i++) {
        uint32_t key = next_key(&r);
        size_t value_len = value_bytes(conf, key);
        bool ours = ours_has(&r, key, value_len), lru = lru_has(&r, key, value_len);
        bool is_first = !r.was_read[key];
        r.was_read[key] = true;
        if (i < conf->warm_up)
            continue;
        out->first_reads += is_first;
        out->ideal_misses += !ideal_has(&r, key);
        out->requests++;
        out->misses += !ours;
        out->lru_misses += !lru;
    }
    cache_free(&r.cache);
    lru_model_free(&r.lru);
    free(r.bytes);
    free(r.was_read);
    free(r.number_of);
}

size_t cache_race_bytes(const struct cache_race_conf *conf) {
    size_t bytes = 0;
    for (uint32_t key = 0; key < conf->keys; key++)
        bytes += CACHE_RACE_KEY_BYTES + value_bytes(conf, key) + CACHE_RACE_LRU_BYTES;
    return bytes;
}
