/* What a node believes: the part of the checker that looks inside. */
#include "../../node/cache.h"
#include "../../node/through.h"
#include "sim_check_private.h"
#include "sim_db.h"
#include "sim_feed.h"
#include "sim_node.h"

enum { ROUNDING_US = 2000, TICKS_MS = 20 };

static bool is_trusted(const struct sim_node *n, const struct cache_item *item, int64_t now_ms) {
    const struct through *t = n->server.through;
    return item->epoch == through_epoch(t) &&
           through_lag_ms(t, now_ms) <= sim_profile(n->process.sim)->fence_ms &&
           (item->deadline_ms == 0 || now_ms < item->deadline_ms);
}

/* The last state of the key that the copy may be of; -1: none. */
static int64_t state_of(struct sim *sim, unsigned key, uint32_t value) {
    const struct sim_history *h = sim_db_history(sim, key);
    int64_t at = (int64_t)h->count - 1;
    while (at >= 0 && h->states[at].value != value)
        at--;
    return at;
}

/* What is trusted is the table's row, or was until lately, and nothing older than what the table
 * has told this node: where servers lose nothing, and rows are not erased, for then versions fall.
 */
static void check_key(struct sim *sim, struct sim_node *n, unsigned key) {
    struct cache_item item;
    struct span text = sim_key(sim, key);
    if (!cache_peek(n->server.cache, text, cache_hash(n->server.cache, text), &item) ||
        !is_trusted(n, &item, sim_now_us(sim) / 1000))
        return;
    uint32_t value = item.absent ? 0 : sim_value_id(item.value);
    int64_t at = state_of(sim, key, value);
    int64_t until = at < 0 ? -1 : sim_db_history(sim, key)->states[at].to_us;
    if (at < (int64_t)n->told[key] && sim_profile(sim)->linear && sim_db_is_kept(sim, key))
        sim_violation(sim,
                      "OLDER THAN TOLD: %s: %.*s: v%u (0: absent) is trusted, state %lld; the "
                      "table had told of %u",
                      n->name, (int)text.len, text.ptr, value, (long long)at, n->told[key]);
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

void sim_check_told(struct sim_node *n, unsigned key, uint32_t state) {
    if (state > n->told[key])
        n->told[key] = state;
    if (n->alive)
        check_key(n->process.sim, n, key);
}

/* It is no older than what the primary had when it was asked how far it is. */
void sim_check_replica(struct sim_node *n, unsigned key, uint32_t value, int64_t asked_us) {
    struct sim *sim = n->process.sim;
    int64_t at = state_of(sim, key, value);
    int64_t since_us = asked_us - sim_profile(sim)->replica_age_ms * 1000 - ROUNDING_US;
    if (at < 0)
        sim_violation(sim, "AHEAD: %s: key %u: v%u (0: absent) is not in the table yet", n->name,
                      key, value);
    else if (sim_db_history(sim, key)->states[at].to_us < since_us)
        sim_violation(sim,
                      "REPLICA TOO OLD: %s: key %u: v%u (0: absent) is older than "
                      "replica-age-max-ms allows",
                      n->name, key, value);
    if (value != 0)
        sim_check_told(n, key, (uint32_t)at);
}

/* What it answered from memory since the last look: trusted copies, while the newest heartbeat that
 * it heard was sent not too long ago (rule 9), and others as long as is allowed. That is judged
 * when a read comes, which may wait before it is given an old copy. */
static void check_served(struct sim *sim, struct sim_node *n) {
    const struct sim_profile *p = sim_profile(sim);
    const struct through_counters *c = through_counters(n->server.through);
    int64_t age_ms = sim_now_us(sim) / 1000 - sim_feed_heard_ms(n->feed);
    if (c->hits != n->hits_seen && age_ms > p->fence_ms + TICKS_MS)
        sim_violation(sim,
                      "TRUSTED UNHEARD: %s: a copy was served %lld ms after the newest heartbeat",
                      n->name, (long long)age_ms);
    if (c->stale_served != n->stale_seen && (p->faults & SIM_FAULT_STALL) == 0 &&
        age_ms > p->stale_max_ms + p->read_timeout_ms + TICKS_MS)
        sim_violation(sim,
                      "STALE FOR TOO LONG: %s: an old copy was served %lld ms after the newest "
                      "heartbeat",
                      n->name, (long long)age_ms);
    if (c->stale_served != n->stale_seen)
        n->stale_us = sim_now_us(sim);
    n->hits_seen = c->hits;
    n->stale_seen = c->stale_served;
}

void sim_check_node(struct sim *sim, struct sim_node *n) {
    if (n->alive)
        check_served(sim, n);
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
