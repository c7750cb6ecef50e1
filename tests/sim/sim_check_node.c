/* What a node believes: the part of the checker that looks inside. */
#include "../../node/cache.h"
#include "../../node/through.h"
#include "sim_check.h"
#include "sim_db.h"
#include "sim_feed.h"
#include "sim_node.h"

enum { ROUNDING_US = 2000 };

static bool is_trusted(const struct sim_node *n, const struct cache_item *item, int64_t now_ms) {
    const struct through *t = n->server.through;
    return item->epoch == through_epoch(t) &&
           through_lag_ms(t, now_ms) <= sim_profile(n->process.sim)->fence_ms &&
           (item->deadline_ms == 0 || now_ms < item->deadline_ms);
}

/* When the key was last what the copy says; INT64_MAX: it is. */
static int64_t until_us(struct sim *sim, unsigned key, uint32_t value) {
    const struct sim_history *h = sim_db_history(sim, key);
    for (uint32_t at = h->count; at-- > 0;) {
        if (h->states[at].value == value)
            return h->states[at].to_us;
    }
    return -1;
}

static void check_key(struct sim *sim, struct sim_node *n, unsigned key) {
    struct cache_item item;
    struct span text = sim_key(sim, key);
    if (!cache_peek(n->server.cache, text, cache_hash(n->server.cache, text), &item) ||
        !is_trusted(n, &item, sim_now_us(sim) / 1000))
        return;
    uint32_t value = item.absent ? 0 : sim_value_id(item.value);
    int64_t until = until_us(sim, key, value);
    if (until == INT64_MAX)
        return;
    if (until < n->captive_until_us)
        until = n->captive_until_us; /* it could not know before */
    if (until < sim_now_us(sim) - sim_profile(sim)->fence_ms * 1000 - ROUNDING_US)
        sim_violation(sim, "TRUSTED FOR TOO LONG: %s: %.*s: v%u is older than the fence allows",
                      n->name, (int)text.len, text.ptr, value);
    else if (!sim_feed_owes(n->feed, key))
        sim_violation(sim,
                      "TRUSTED FOR EVER: %s: %.*s: v%u (0: absent), version %llu, is old, and "
                      "nothing on its way would repair it",
                      n->name, (int)text.len, text.ptr, value, (unsigned long long)item.version);
}

void sim_check_node(struct sim *sim, struct sim_node *n) {
    if (!n->alive || n->process.stopped_until_us > sim_now_us(sim))
        return;
    if (sim_feed_is_captive(n->feed))
        n->captive_until_us = sim_now_us(sim);
    n->checked = (n->checked + 1) % sim_profile(sim)->keys;
    check_key(sim, n, n->checked);
}

static bool is_trusted_somewhere(struct sim *sim, struct span key) {
    for (unsigned i = 0; i < sim_profile(sim)->nodes; i++) {
        struct sim_node *n = &sim_parts(sim)->nodes[i];
        struct cache_item item;
        if (cache_peek(n->server.cache, key, cache_hash(n->server.cache, key), &item) &&
            is_trusted(n, &item, sim_now_us(sim) / 1000))
            return true;
    }
    return false;
}

void sim_check_trust(struct sim *sim) {
    const struct sim_profile *p = sim_profile(sim);
    for (unsigned i = 0; i < p->nodes; i++) {
        struct sim_node *n = &sim_parts(sim)->nodes[i];
        if (through_pending(n->server.through) != 0)
            sim_violation(sim, "AT REST: %s: %u requests still wait", n->name,
                          through_pending(n->server.through));
        for (unsigned key = 0; key < p->keys; key++)
            check_key(sim, n, key);
    }
    for (unsigned key = 0; key < p->keys && p->value_bytes < 1000; key++) {
        struct span text = sim_key(sim, key);
        if (!is_trusted_somewhere(sim, text))
            sim_violation(sim, "NOT CACHED: %.*s was read twice, and nobody trusts a copy",
                          (int)text.len, text.ptr);
    }
}
