#include "sim_check_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_client.h"
#include "sim_db.h"
#include "sim_node.h"

/*
 * Linearizability of a key, with the order of its commits known: `floors` is the highest state that
 * an operation which has finished has seen or made. A read that begins later must not return an
 * older one. Where proxies keep copies (hot), that is so for each client alone: what others have
 * seen is known a moment later. Each read is taken to have seen the oldest state that fits, which
 * can only hide a violation, never make one.
 */
struct sim_check {
    bool claimed[SIM_VALUES_MAX]; /* by SIM_OP_ADD */
    uint32_t floors[SIM_KEYS_MAX];
    struct sim_op *writes;
};

enum {
    ROUNDING_US = 2000, /* of times in milliseconds */
    CALM_US = 15000,    /* a tick, and turns of loops */
};

struct sim_check *sim_check_new(struct sim *sim) {
    return sim_alloc(sim, sizeof(struct sim_check));
}

bool sim_is_linear(const struct sim *sim, unsigned key) {
    return sim_profile(sim)->linear && key < sim_profile(sim)->pure_keys;
}

static bool is_write(enum sim_op_kind kind) {
    return kind >= SIM_OP_SET;
}

void sim_check_ask(struct sim *sim, struct sim_op *op) {
    struct sim_check *check = sim_parts(sim)->check;
    op->stale = sim_nodes_stale(sim);
    for (uint32_t i = 0; i < op->count; i++)
        op->floors[i] =
            sim_profile(sim)->hot ? op->client->floors[op->keys[i]] : check->floors[op->keys[i]];
    if (is_write(op->kind)) {
        op->next_write = check->writes;
        check->writes = op;
    }
}

/* ---- what a request saw ---- */

const char *sim_op_name(struct sim *sim, const struct sim_op *op, uint32_t i, char *out) {
    struct span key = sim_key(sim, op->keys[i]);
    snprintf(out, 64, "%s, key %.*s, sent %lld.%03d ms", op->client->name, (int)key.len, key.ptr,
             (long long)(op->sent_us / 1000 - 1000000), (int)(op->sent_us % 1000));
    return out;
}

/* Program order comes in too (rule 5): replies are in order, so whatever this client asked before
 * is answered. Two reads that were open at the same time have no order. */
static uint32_t floor_of(const struct sim_op *op, uint32_t i) {
    const struct sim_client *c = op->client;
    uint32_t own = is_write(op->kind) ? c->floors[op->keys[i]] : c->write_floors[op->keys[i]];
    return own > op->floors[i] ? own : op->floors[i];
}

/* State `at` of the key was seen, or made. */
static void saw(struct sim *sim, const struct sim_op *op, uint32_t i, uint32_t at, bool made) {
    struct sim_check *check = sim_parts(sim)->check;
    char text[64];
    unsigned key = op->keys[i];
    if (!sim_is_linear(sim, key))
        return;
    uint32_t low = floor_of(op, i);
    if (at < low || (made && at == low))
        sim_violation(sim, "ORDER: %s: state %u, but %u had been seen before",
                      sim_op_name(sim, op, i, text), at, low);
    if (at > check->floors[key])
        check->floors[key] = at;
    if (at > op->client->floors[key])
        op->client->floors[key] = at;
    if (is_write(op->kind) && at > op->client->write_floors[key])
        op->client->write_floors[key] = at;
}

/* How far back an answer may lie. */
static int64_t bound_us(struct sim *sim, const struct sim_op *op) {
    const struct sim_profile *p = sim_profile(sim);
    int64_t fence_us = p->fence_ms * 1000 + ROUNDING_US;
    if (p->hot) /* a copy may be the last that a node has said before it was stopped */
        fence_us += p->fence_ms * 1000;
    if (sim_nodes_stale(sim) != op->stale || sim_db_strays_until_us(sim) >= op->sent_us - fence_us)
        return INT64_MAX / 2;
    /* A copy of an old copy: until a proxy has heard that there was one. */
    if (p->hot && sim_nodes_stale_us(sim) >=
                      op->sent_us - SIM_TICK_MS * 1000 - 2 * p->net_us_max - ROUNDING_US)
        return INT64_MAX / 2;
    if (p->hot && p->faults == 0) /* what a node hears is told at once */
        return p->feed_us_max + 4 * p->net_us_max + CALM_US;
    return fence_us;
}

/* A state with this value (0: absent) that was current since the request began, or not much before.
 * Expiry is no news: nobody needs to be told, so it knows no lag. */
static bool was_lately(struct sim *sim, const struct sim_op *op, uint32_t i, uint32_t value) {
    const struct sim_history *h = sim_db_history(sim, op->keys[i]);
    int64_t since_us = op->sent_us - bound_us(sim, op);
    for (uint32_t at = h->count; at-- > 0;) {
        const struct sim_state *s = &h->states[at];
        if (s->value == value && s->to_us >= (s->ended_by_expiry ? op->sent_us : since_us))
            return true;
    }
    return false;
}

/* The oldest state that a read of `value` may have been of, as far as order goes. */
static bool oldest_fit(struct sim *sim, const struct sim_op *op, uint32_t i, uint32_t value,
                       uint32_t *out) {
    const struct sim_history *h = sim_db_history(sim, op->keys[i]);
    for (uint32_t at = floor_of(op, i); at < h->count; at++) {
        if (h->states[at].value == value) {
            *out = at;
            return true;
        }
    }
    return false;
}

void sim_read_value(struct sim *sim, const struct sim_op *op, uint32_t i, uint32_t value) {
    char text[64];
    unsigned key = op->keys[i];
    if (value != 0 && sim_db_value_key(sim, value) != key) {
        sim_violation(sim, "MIXED UP: %s: the answer is v%u, which was never written to it",
                      sim_op_name(sim, op, i, text), value);
        return;
    }
    if (value != 0 && sim_db_state_of(sim, value) < 0) {
        sim_violation(sim, "NEVER COMMITTED: %s: the answer is v%u", sim_op_name(sim, op, i, text),
                      value);
        return;
    }
    if (!was_lately(sim, op, i, value)) {
        sim_violation(sim, "STALE: %s: the answer is v%u (0: nil), which is too old",
                      sim_op_name(sim, op, i, text), value);
        return;
    }
    uint32_t current = sim_db_history(sim, key)->states[sim_db_state_now(sim, key)].value;
    if (op->final && value != current)
        sim_violation(sim, "NOT AT REST: %s: the answer is v%u, the table has v%u",
                      sim_op_name(sim, op, i, text), value, current);
    uint32_t at;
    if (!sim_is_linear(sim, key))
        return;
    if (value != 0)
        saw(sim, op, i, (uint32_t)sim_db_state_of(sim, value), false);
    else if (oldest_fit(sim, op, i, 0, &at))
        saw(sim, op, i, at, false);
    else
        sim_violation(sim, "ORDER: %s: nil, but the key was never absent after state %u",
                      sim_op_name(sim, op, i, text), floor_of(op, i));
}

/* The key was absent, or there, at some time since the request was sent: what a statement that did
 * nothing has seen. */
void sim_observed(struct sim *sim, const struct sim_op *op, uint32_t i, bool present) {
    const struct sim_history *h = sim_db_history(sim, op->keys[i]);
    char text[64];
    for (uint32_t at = sim_is_linear(sim, op->keys[i]) ? floor_of(op, i) : 0; at < h->count; at++) {
        if ((h->states[at].value != 0) == present && h->states[at].to_us >= op->sent_us) {
            saw(sim, op, i, at, false);
            return;
        }
    }
    sim_violation(sim, "NO-OP: %s: it was never %s meanwhile", sim_op_name(sim, op, i, text),
                  present ? "there" : "absent");
}

/* ---- what a request wrote ---- */

/* A plain SET that was overwritten by a later one of the same node before either was sent shares
 * its commit: then there is a state that began since, made by a node. */
static bool find_commit(struct sim *sim, const struct sim_op *op, uint32_t i, uint32_t *out) {
    const struct sim_history *h = sim_db_history(sim, op->keys[i]);
    int64_t at = sim_db_state_of(sim, op->values[i]);
    if (sim_db_commits(sim, op->values[i]) != 0) {
        *out = at < 0 ? 0 : (uint32_t)at;
        return at >= 0;
    }
    if (op->kind != SIM_OP_SET && (op->kind != SIM_OP_MSET || op->count != 1))
        return false;
    for (uint32_t s = floor_of(op, i) + 1; s < h->count; s++) {
        if (h->states[s].by_node && h->states[s].value != 0 &&
            h->states[s].from_us >= op->sent_us) {
            *out = s;
            return true;
        }
    }
    return false;
}

void sim_wrote(struct sim *sim, const struct sim_op *op, uint32_t i) {
    char text[64];
    uint32_t at;
    if (find_commit(sim, op, i, &at))
        saw(sim, op, i, at, true);
    else
        sim_violation(sim, "LOST WRITE: %s: v%u was answered OK and is not in the history",
                      sim_op_name(sim, op, i, text), op->values[i]);
}

static void wrote(struct sim *sim, const struct sim_op *op) {
    for (uint32_t i = 0; i < op->count; i++)
        sim_wrote(sim, op, i);
}

static void deleted(struct sim *sim, const struct sim_op *op, long changed) {
    char text[64];
    if (changed < 0 || changed > (long)op->count) {
        sim_violation(sim, "COUNT: %s: DEL says %ld", sim_op_name(sim, op, 0, text), changed);
        return;
    }
    for (uint32_t i = 0; i < op->count; i++) {
        bool repeated = false;
        for (uint32_t j = 0; j < i; j++)
            repeated = repeated || op->keys[j] == op->keys[i];
        if (!repeated)
            sim_observed(sim, op, i, false);
    }
}

/* What was there before an own statement is the state before the one that it made. */
static void replaced(struct sim *sim, const struct sim_op *op, uint32_t old) {
    char text[64];
    if (op->kind == SIM_OP_GETDEL) {
        sim_observed(sim, op, 0, false);
        if (old != 0 && sim_db_value_key(sim, old) != op->keys[0])
            sim_violation(sim, "MIXED UP: %s: GETDEL returned v%u", sim_op_name(sim, op, 0, text),
                          old);
        return;
    }
    wrote(sim, op);
    int64_t at = sim_db_state_of(sim, op->values[0]);
    if (op->keys[0] < sim_profile(sim)->pure_keys && at > 0 &&
        sim_db_history(sim, op->keys[0])->states[at - 1].value != old && sim_profile(sim)->linear)
        sim_violation(sim, "OLD VALUE: %s: GETSET returned v%u", sim_op_name(sim, op, 0, text),
                      old);
}

static bool wrote_nothing(struct sim *sim, const struct sim_op *op) {
    for (uint32_t i = 0; i < op->count; i++) {
        if (op->values[i] != 0 && sim_db_commits(sim, op->values[i]) != 0)
            return false;
    }
    return true;
}

/* MSETNX wrote all of its keys, which were absent, or none, as one was there. */
static void wrote_if_absent(struct sim *sim, const struct sim_op *op, bool done) {
    char text[64];
    bool present = false;
    for (uint32_t i = 0; i < op->count; i++) {
        const struct sim_history *h = sim_db_history(sim, op->keys[i]);
        int64_t at = sim_db_state_of(sim, op->values[i]);
        if (done && at > 0 && sim_is_linear(sim, op->keys[i]) && h->states[at - 1].value != 0)
            sim_violation(sim, "MSETNX: %s: it wrote over v%u", sim_op_name(sim, op, i, text),
                          h->states[at - 1].value);
        for (uint32_t s = 0; s < h->count; s++)
            present = present || (h->states[s].value != 0 && h->states[s].to_us >= op->sent_us);
    }
    if (done)
        wrote(sim, op);
    else if (!wrote_nothing(sim, op))
        sim_violation(sim, "MSETNX: %s: it says 0 and has written", sim_op_name(sim, op, 0, text));
    else if (!present)
        sim_violation(sim, "MSETNX: %s: it says 0, and no key was there",
                      sim_op_name(sim, op, 0, text));
}

/* Every addition makes a value of its own, and one alone is told of it. */
static void added(struct sim *sim, const struct sim_op *op, uint32_t value) {
    struct sim_check *check = sim_parts(sim)->check;
    struct sim_op made = *op;
    char text[64];
    if (sim_db_value_key(sim, value) != op->keys[0] || check->claimed[value]) {
        sim_violation(sim, "ADD: %s: v%u is another's", sim_op_name(sim, op, 0, text), value);
        return;
    }
    check->claimed[value] = true;
    made.values[0] = value;
    wrote(sim, &made);
}

/* ---- replies ---- */

static struct span bulk(struct span reply, size_t *size) {
    const char *line = (const char *)memchr(reply.ptr, '\n', reply.len) + 1;
    long len = strtol(reply.ptr + 1, NULL, 10);
    *size = (size_t)(line - reply.ptr) + (len < 0 ? 0 : (size_t)len + 2);
    return len < 0 ? span_of(NULL, 0) : span_of(line, (size_t)len);
}

static void read_bulks(struct sim *sim, const struct sim_op *op, struct span reply) {
    size_t at = 0, size;
    if (reply.ptr[0] == '*')
        at = (size_t)((const char *)memchr(reply.ptr, '\n', reply.len) + 1 - reply.ptr);
    for (uint32_t i = 0; i < op->count; i++, at += size) {
        struct span value = bulk(span_of(reply.ptr + at, reply.len - at), &size);
        if (value.ptr != NULL && sim_value_id(value) == 0) {
            sim_violation(sim, "MIXED UP: %s: a value that nobody wrote", op->client->name);
            return;
        }
        sim_read_value(sim, op, i, value.ptr == NULL ? 0 : sim_value_id(value));
    }
}

static void failed(struct sim *sim, struct sim_op *op, struct span reply) {
    static const char *const DEFINITE[] = {"-DBDOWN ", "-TIMEOUT ", "-BUSY ", "-NODEDOWN ",
                                           "-ERR database refused"};
    op->outcome = SIM_OP_ERROR;
    if (sim_check_abort(sim, op, reply))
        return;
    if (reply.len > 11 && memcmp(reply.ptr, "-UNCERTAIN ", 11) == 0) {
        op->outcome = SIM_OP_UNCERTAIN;
        if (is_write(op->kind))
            return;
    }
    for (size_t i = 0; i < sizeof(DEFINITE) / sizeof(DEFINITE[0]); i++) {
        size_t len = strlen(DEFINITE[i]);
        if (reply.len > len && memcmp(reply.ptr, DEFINITE[i], len) == 0 && !op->final)
            return;
    }
    sim_violation(sim, "ERROR: %s: %.*s", op->client->name, (int)reply.len, reply.ptr);
}

static void answered(struct sim *sim, const struct sim_op *op, struct span reply) {
    bool is_nil = reply.ptr[0] == '$' && reply.ptr[1] == '-';
    size_t size;
    switch (op->kind) {
    case SIM_OP_GET:
    case SIM_OP_MGET:
        read_bulks(sim, op, reply);
        return;
    case SIM_OP_EXISTS:
        return;
    case SIM_OP_WATCH:
    case SIM_OP_QUEUE:
        sim_check_said(sim, op, reply);
        return;
    case SIM_OP_EXEC_READ:
    case SIM_OP_EXEC:
        sim_check_exec(sim, op, reply);
        return;
    case SIM_OP_SET:
    case SIM_OP_MSET:
        wrote(sim, op);
        return;
    case SIM_OP_SET_NX:
    case SIM_OP_SET_XX:
        if (is_nil)
            sim_observed(sim, op, 0, op->kind == SIM_OP_SET_NX);
        else
            wrote(sim, op);
        return;
    case SIM_OP_GETSET:
    case SIM_OP_GETDEL:
        replaced(sim, op, is_nil ? 0 : sim_value_id(bulk(reply, &size)));
        return;
    case SIM_OP_ADD:
        added(sim, op, sim_value_id(bulk(reply, &size)));
        return;
    case SIM_OP_MSETNX:
        wrote_if_absent(sim, op, reply.ptr[1] == '1');
        return;
    case SIM_OP_DEL:
        deleted(sim, op, strtol(reply.ptr + 1, NULL, 10));
        return;
    case SIM_OP_KINDS:
        return;
    }
}

void sim_check_reply(struct sim *sim, struct sim_op *op, struct span reply) {
    sim_trace(sim, "%s: < %.*s", op->client->name, reply.len < 60 ? (int)reply.len : 60, reply.ptr);
    if (reply.ptr[0] == '-') {
        failed(sim, op, reply);
        return;
    }
    op->outcome = SIM_OP_OK;
    answered(sim, op, reply);
}

/* ---- at rest ---- */

void sim_check_rest(struct sim *sim) {
    char text[64];
    for (unsigned i = 0; i < sim_profile(sim)->clients; i++) {
        if (sim_parts(sim)->clients[i].open != 0)
            sim_violation(sim, "UNANSWERED: %s waits for %u answers",
                          sim_parts(sim)->clients[i].name, sim_parts(sim)->clients[i].open);
    }
    for (const struct sim_op *op = sim_parts(sim)->check->writes; op != NULL; op = op->next_write) {
        if (op->outcome == SIM_OP_ERROR && !wrote_nothing(sim, op))
            sim_violation(sim, "NOT AN ERROR: %s: v%u was answered with one, and was written",
                          sim_op_name(sim, op, 0, text), op->values[0]);
        sim_check_whole(sim, op);
    }
}
