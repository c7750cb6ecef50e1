/* What one operation's answer must be. */
#include "judge_private.h"
#include "monitor.h"

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

/* Program order comes in (rule 5): of two operations of a client, one of them a write, the later
 * one must not see less. Two reads that were open at the same time have no order. */
static uint32_t floor_of(const struct judgement *j, const struct chaos_op *op, unsigned i) {
    unsigned key = op->keys[i];
    uint32_t own =
        chaos_is_write(op->kind) ? j->own[op->client][key] : j->own_writes[op->client][key];
    return larger(op->floors[i], own);
}

static bool is_stable(const struct judgement *j, const struct chaos_op *op) {
    return !monitor_touches(j->monitor, MONITOR_ROUTING, op->invoke_us - j->settle_us,
                            op->return_us);
}

/* How old an answer may be. */
static int64_t bound_us(const struct judgement *j, const struct chaos_op *op) {
    bool stale =
        monitor_touches(j->monitor, MONITOR_STALE, op->invoke_us - JUDGE_AROUND_US, op->return_us);
    int ms = stale ? j->conf->stale_ms + j->conf->fence_ms : j->conf->fence_ms;
    return ms * (int64_t)1000 + JUDGE_ROUNDING_US;
}

/* ---- reads ---- */

/* The last state with this value that had begun to commit when the answer came. */
static bool latest(const struct judge_key *key, chaos_value value, int64_t return_us,
                   uint32_t *out) {
    uint32_t at, from = 0;
    bool found = false;
    while (judge_find(key, value, from, &at)) {
        if (key->states[at].commit_us != INT64_MIN &&
            key->states[at].commit_us > return_us + JUDGE_CLOCKS_US)
            break;
        *out = at;
        found = true;
        from = at + 1;
    }
    return found;
}

/* State `at` was read: how old it was, for the figures; returns its age. */
static int64_t note_age(struct judge_key *key, const struct chaos_op *op, uint32_t at) {
    int64_t age_us = 0;
    for (uint32_t s = at + 1; s < key->count; s++) {
        int64_t since_us = op->invoke_us - judge_known_us(key, s);
        if (since_us <= 0)
            break;
        if (s == at + 1)
            age_us = since_us;
        if (since_us > key->unseen_us[s])
            key->unseen_us[s] = since_us;
    }
    return age_us;
}

static void read_one(struct judgement *j, const struct chaos_op *op, unsigned i, bool stable) {
    struct judge_key *key = &j->keys[op->keys[i]];
    chaos_value value = op->seen[i];
    uint32_t last, fit;
    unsigned writer = (unsigned)(value >> 32), number = (unsigned)value;
    if (!latest(key, value, op->return_us, &last)) {
        judge_against(j, JUDGE_NEVER, op, i, "the answer was %u#%u, which was not committed",
                      writer, number);
        return;
    }
    int64_t age_us = note_age(key, op, last), most_us = bound_us(j, op);
    j->out->reads_old += age_us > 0;
    if (age_us > most_us)
        judge_against(j, value == 0 ? JUDGE_NIL : JUDGE_STALE, op, i,
                      "the answer was %u#%u, state %u, %.1f ms old, which is more than %.1f",
                      writer, number, last, (double)age_us / 1e3, (double)most_us / 1e3);
    else if (age_us > j->out->stale_max_us)
        j->out->stale_max_us = age_us;
    uint32_t floor = floor_of(j, op, i);
    bool linear = stable && op->keys[i] < j->conf->pure_keys;
    if (judge_find(key, value, floor, &fit) && fit <= last) {
        /* A key may be absent several times. What was so only behind the answer, by clocks that
         * differ, need not be what was seen: an earlier absence may have been, and was old. */
        if (value != 0 || key->states[fit].commit_us <= op->return_us)
            judge_raise(j, op, i, fit, false);
    } else if (linear)
        judge_against(j, value == 0 ? JUDGE_NIL : JUDGE_ORDER, op, i,
                      "the answer was %u#%u, state %u, but %u came before it", writer, number, last,
                      floor);
}

/* The one state that has this value; false for absence, and if there are several. */
static bool only_state(const struct judge_key *key, chaos_value value, uint32_t *out) {
    uint32_t more;
    return value != 0 && judge_find(key, value, 0, out) && !judge_find(key, value, *out + 1, &more);
}

/* A transaction that made state `a` of one key, or an earlier one, made a state behind `b` of the
 * other: its half was seen. Looks at as many states as can have been made meanwhile. */
static bool is_half(const struct judge_key *one, uint32_t a, const struct judge_key *other,
                    uint32_t b) {
    for (uint32_t s = a; s > 0 && a - s < JUDGE_HALF_STATES; s--) {
        for (uint32_t t = b + 1; t < other->count && t - b < JUDGE_HALF_STATES; t++) {
            if (one->states[s].xid == other->states[t].xid)
                return true;
        }
    }
    return false;
}

/* A transaction that reads never sees one key from before another transaction and one from behind
 * it, on whatever ring, whatever is broken. */
static void check_half(struct judgement *j, const struct chaos_op *op) {
    for (unsigned i = 0; i < op->count; i++) {
        for (unsigned k = 0; k < op->count; k++) {
            const struct judge_key *one = &j->keys[op->keys[i]], *other = &j->keys[op->keys[k]];
            uint32_t a, b;
            if (i != k && only_state(one, op->seen[i], &a) && only_state(other, op->seen[k], &b) &&
                is_half(one, a, other, b))
                judge_against(j, JUDGE_TORN, op, i,
                              "saw state %u, made by a transaction of which k%04u's part is later "
                              "than the state %u that it saw there",
                              a, op->keys[k], b);
        }
    }
}

static void read_all(struct judgement *j, const struct chaos_op *op) {
    bool stable = is_stable(j, op);
    for (unsigned i = 0; i < op->count; i++) {
        j->out->reads++;
        j->out->reads_stable += stable && op->keys[i] < j->conf->pure_keys;
        read_one(j, op, i, stable);
    }
    if (op->kind == CHAOS_EXEC_GET)
        check_half(j, op);
}

/* ---- writes ---- */

static bool was_meanwhile(const struct truth_state *state, const struct chaos_op *op) {
    return state->commit_us >= op->invoke_us - JUDGE_CLOCKS_US &&
           state->commit_us <= op->return_us + JUDGE_CLOCKS_US;
}

/* A plain SET that another one of the same batch overwrote has no state of its own (rule 13). */
static bool find_folded(const struct judgement *j, const struct chaos_op *op, uint32_t *out) {
    const struct judge_key *key = &j->keys[op->keys[0]];
    if (op->kind != CHAOS_SET)
        return false;
    for (uint32_t s = floor_of(j, op, 0) + 1; s < key->count; s++) {
        if (key->states[s].by_node && key->states[s].value != 0 &&
            was_meanwhile(&key->states[s], op)) {
            *out = s;
            return true;
        }
    }
    return false;
}

static void made_one(struct judgement *j, const struct chaos_op *op, unsigned i) {
    const struct judge_key *key = &j->keys[op->keys[i]];
    uint32_t at, floor = floor_of(j, op, i);
    if (!judge_find(key, op->wrote, 0, &at)) {
        if (find_folded(j, op, &at))
            judge_raise(j, op, i, at, true);
        else
            judge_against(j, JUDGE_LOST, op, i, "#%u is not in the table's history",
                          (unsigned)op->wrote);
        return;
    }
    if (at <= floor || !was_meanwhile(&key->states[at], op))
        judge_against(j, JUDGE_ORDER, op, i, "#%u became state %u, but %u came before it",
                      (unsigned)op->wrote, at, floor);
    if (i > 0 && judge_find(&j->keys[op->keys[0]], op->wrote, 0, &floor) &&
        j->keys[op->keys[0]].states[floor].xid != key->states[at].xid)
        judge_against(j, JUDGE_TORN, op, i, "#%u was written in two transactions",
                      (unsigned)op->wrote);
    judge_raise(j, op, i, at, true);
}

/* What was there before is the state before its own. */
static void check_condition(struct judgement *j, const struct chaos_op *op, chaos_value before) {
    const struct judge_key *key = &j->keys[op->keys[0]];
    uint32_t at;
    if (judge_find(key, op->wrote, 0, &at) && at > 0 && key->states[at - 1].value != before)
        judge_against(j, JUDGE_CONDITION, op, 0, "said %u#%u was there before state %u",
                      (unsigned)(before >> 32), (unsigned)before, at);
}

/* SET NX did nothing: there was a value. */
static void check_present(struct judgement *j, const struct chaos_op *op) {
    const struct judge_key *key = &j->keys[op->keys[0]];
    for (uint32_t s = op->floors[0]; s < key->count; s++) {
        bool ended =
            s + 1 < key->count && key->states[s + 1].commit_us + JUDGE_COMMIT_US < op->invoke_us;
        if (key->states[s].value != 0 && !ended &&
            key->states[s].commit_us <= op->return_us + JUDGE_CLOCKS_US) {
            judge_raise(j, op, 0, s, false);
            return;
        }
    }
    judge_against(j, JUDGE_CONDITION, op, 0, "did nothing, but the key was never there");
}

/* After DEL every key was absent at some time, made so or found so. */
static void deleted(struct judgement *j, const struct chaos_op *op) {
    int64_t made_at_most = 0;
    for (unsigned i = 0; i < op->count; i++) {
        const struct judge_key *key = &j->keys[op->keys[i]];
        uint32_t seen = UINT32_MAX, floor = op->floors[i];
        bool made = false;
        for (uint32_t s = floor; s < key->count; s++) {
            if (key->states[s].commit_us > op->return_us + JUDGE_CLOCKS_US)
                break;
            if (key->states[s].value != 0)
                continue;
            seen = seen == UINT32_MAX ? s : seen;
            made =
                made || (s > floor && key->states[s].by_node && was_meanwhile(&key->states[s], op));
        }
        made_at_most += made;
        if (seen == UINT32_MAX)
            judge_against(j, JUDGE_LOST, op, i, "deleted %lld, but it was never absent",
                          (long long)op->number);
        else
            judge_raise(j, op, i, seen, true);
    }
    if (op->number > made_at_most)
        judge_against(j, JUDGE_LOST, op, 0, "deleted %lld, the table's history has %lld",
                      (long long)op->number, (long long)made_at_most);
}

static void wrote(struct judgement *j, const struct chaos_op *op) {
    j->out->acked += op->outcome == CHAOS_OK;
    if (op->outcome == CHAOS_NIL) {
        if (op->kind == CHAOS_SET_NX)
            check_present(j, op);
        return;
    }
    if (op->kind == CHAOS_DEL)
        deleted(j, op);
    for (unsigned i = 0; op->wrote != 0 && i < op->count; i++)
        made_one(j, op, i);
    if (op->kind == CHAOS_SET_NX)
        check_condition(j, op, 0);
    if (op->kind == CHAOS_SET_GET)
        check_condition(j, op, op->seen[0]);
}

void judge_returned(struct judgement *j, const struct chaos_op *op) {
    int64_t took_us = op->return_us - op->invoke_us;
    int64_t *longest = chaos_is_write(op->kind) ? &j->out->write_max_us : &j->out->read_max_us;
    if (op->client < CHAOS_EDITOR && took_us > *longest)
        *longest = took_us;
    if (op->outcome != CHAOS_OK && op->outcome != CHAOS_NIL)
        return;
    if (chaos_is_write(op->kind))
        wrote(j, op);
    else
        read_all(j, op);
}

void judge_unanswered(struct judgement *j, const struct chaos_op *op) {
    uint32_t at;
    unsigned found = 0;
    if (!chaos_is_write(op->kind))
        return;
    for (unsigned i = 0; op->wrote != 0 && i < op->count; i++)
        found += judge_find(&j->keys[op->keys[i]], op->wrote, 0, &at);
    if (op->count > 1 && found != 0 && found != op->count)
        judge_against(j, JUDGE_TORN, op, 0, "#%u is in the history of %u of %u keys",
                      (unsigned)op->wrote, found, op->count);
    j->out->failed += op->outcome == CHAOS_ERROR;
    j->out->unknown += op->outcome == CHAOS_UNKNOWN;
    j->out->unknown_done += op->outcome == CHAOS_UNKNOWN && found != 0;
    if (found != 0 && (op->outcome == CHAOS_ERROR || op->outcome == CHAOS_NIL))
        judge_against(j, JUDGE_FALSE, op, 0, "#%u was answered with %s, and is in the history",
                      (unsigned)op->wrote, op->outcome == CHAOS_NIL ? "nil" : "an error");
}
