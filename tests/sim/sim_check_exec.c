/*
 * Atomic visibility. The table's moments are numbered, and what one commit changes has one number;
 * so a transaction that reads must have seen, of all its keys, what they were at one moment; one
 * that writes, what they were at the moment before its own; and what it writes must have one.
 */
#include <stdlib.h>
#include <string.h>

#include "../../common/resp_parse.h"
#include "sim_check_private.h"
#include "sim_client.h"
#include "sim_db.h"

enum { ABSENT = 0 };

/* What a transaction saw. */
struct seen {
    bool read[SIM_OP_KEYS_MAX];
    uint32_t values[SIM_OP_KEYS_MAX];
    uint32_t count; /* of keys that it read */
    bool refused;   /* its MSETNX did nothing: one of those keys was there */
};

static const struct sim_state *state_at(const struct sim_history *h, uint64_t moment) {
    uint32_t at = h->count;
    while (at-- > 0 && !(h->states[at].from <= moment && moment < h->states[at].to))
        ;
    return &h->states[at < h->count ? at : 0];
}

/* The key was so at that moment. An expiry has no commit: that it was noticed already counts too.
 */
static bool was_at(struct sim *sim, unsigned key, uint32_t value, uint64_t moment) {
    const struct sim_state *s = state_at(sim_db_history(sim, key), moment);
    return s->value == value || (value == ABSENT && s->ended_by_expiry && moment + 1 == s->to);
}

static bool were_at(struct sim *sim, const struct sim_op *op, const struct seen *seen,
                    uint64_t moment) {
    bool there = !seen->refused;
    for (uint32_t i = 0; i < op->count; i++)
        there = there || (op->acts[i] == SIM_ACT_NX &&
                          state_at(sim_db_history(sim, op->keys[i]), moment)->value != ABSENT);
    if (!there)
        return false;
    for (uint32_t i = 0; i < op->count; i++) {
        if (seen->read[i] && !was_at(sim, op->keys[i], seen->values[i], moment))
            return false;
    }
    return true;
}

/* The moment of the commit that wrote it; 0: it wrote no value. */
static uint64_t own_moment(const struct sim *sim, const struct sim_op *op) {
    for (uint32_t i = 0; i < op->count; i++) {
        uint64_t moment = op->values[i] != 0 ? sim_db_moment_of(sim, op->values[i]) : 0;
        if (moment != 0)
            return moment;
    }
    return 0;
}

/* A server that had been replaced may have answered: at no moment of this table. */
static bool was_astray(struct sim *sim, const struct sim_op *op) {
    return sim_db_strays_until_us(sim) >= op->sent_us;
}

static void check_moment(struct sim *sim, const struct sim_op *op, const struct seen *seen) {
    char text[64];
    uint64_t own = own_moment(sim, op), from = own != 0 ? own - 1 : op->moment,
             to = own != 0 ? own - 1 : sim_db_moment(sim);
    for (uint64_t moment = from; moment <= to; moment++) {
        if (were_at(sim, op, seen, moment))
            return;
    }
    if (own != 0 || !was_astray(sim, op))
        sim_violation(sim, "TORN READ: %s: EXEC saw v%u, v%u, v%u, v%u, never so at one moment",
                      sim_op_name(sim, op, 0, text), seen->values[0], seen->values[1],
                      seen->values[2], seen->values[3]);
}

static bool is_same(const struct sim_state *a, const struct sim_state *b) {
    return a->value == b->value && a->version == b->version;
}

/* A watched key was, right before the commit, what WATCH can have seen. Rows that come and go by
 * hard DELETE in between leave no trace, and what only keeps a place is as good as no row. */
static void check_watched(struct sim *sim, const struct sim_op *op) {
    uint64_t own = own_moment(sim, op);
    char text[64];
    for (unsigned key = 0; own != 0 && sim_profile(sim)->linear && key < SIM_KEYS_MAX; key++) {
        const struct sim_history *h = sim_db_history(sim, key);
        const struct sim_state *before = state_at(h, own - 1);
        bool found = (op->watched >> key & 1) == 0;
        for (uint32_t at = 0; !found && at < h->count; at++)
            found = is_same(&h->states[at], before) && h->states[at].to > op->watched_from &&
                    h->states[at].from <= op->client->watched_moment;
        if (!found)
            sim_violation(sim, "WATCH: %s: key %u changed before EXEC, which was done",
                          sim_op_name(sim, op, 0, text), key);
    }
}

/* Nothing was done: a watched key must have changed. */
static void check_refused(struct sim *sim, const struct sim_op *op) {
    char text[64];
    bool changed = was_astray(sim, op) || !sim_profile(sim)->linear;
    for (unsigned key = 0; key < SIM_KEYS_MAX; key++) {
        const struct sim_history *h = sim_db_history(sim, key);
        for (uint32_t at = 0; (op->watched >> key & 1) != 0 && at < h->count; at++)
            changed = changed || (h->states[at].from_us >= op->watched_us && at != 0 &&
                                  !is_same(&h->states[at], &h->states[at - 1]));
    }
    if (op->watched == 0 || !changed)
        sim_violation(sim, "REFUSED: %s: EXEC says nil, and nothing that it watched has changed",
                      sim_op_name(sim, op, 0, text));
    for (uint32_t i = 0; i < op->count; i++) {
        if (op->values[i] != 0 && sim_db_moment_of(sim, op->values[i]) != 0)
            sim_violation(sim, "REFUSED: %s: EXEC says nil, and v%u was written",
                          sim_op_name(sim, op, i, text), op->values[i]);
    }
}

static struct span element(struct span *left) {
    struct resp_scan scan = {0};
    size_t size = 0;
    if (left->len == 0 || resp_scan_reply(&scan, left->ptr, left->len, &size) != RESP_OK)
        return span_of(NULL, 0);
    struct span one = span_of(left->ptr, size);
    *left = span_of(left->ptr + size, left->len - size);
    return one;
}

/* All of its keys were absent right before it and are written, or one was not, and none is. */
static bool take_msetnx(struct sim *sim, const struct sim_op *op, uint32_t from, struct span answer,
                        struct seen *seen) {
    char text[64];
    bool done = span_equal(answer, SPAN(":1\r\n"));
    seen->refused = !done;
    seen->count += op->count - from;
    for (uint32_t i = from; i < op->count; i++) {
        seen->read[i] = done;
        if (done)
            sim_wrote(sim, op, i);
        else if (sim_db_commits(sim, op->values[i]) != 0)
            sim_violation(sim, "MSETNX: %s: it says 0, and v%u was written",
                          sim_op_name(sim, op, i, text), op->values[i]);
    }
    return done || span_equal(answer, SPAN(":0\r\n"));
}

/* One command's answer. */
static bool take(struct sim *sim, const struct sim_op *op, uint32_t i, struct span answer,
                 struct seen *seen) {
    switch (op->acts[i]) {
    case SIM_ACT_GET:
        if (answer.ptr[0] != '$')
            return false;
        seen->read[i] = true;
        seen->count++;
        if (answer.ptr[1] != '-') {
            const char *text = (const char *)memchr(answer.ptr, '\n', answer.len) + 1;
            seen->values[i] = sim_value_id(span_of(text, (size_t)(answer.ptr + answer.len - text)));
        }
        sim_read_value(sim, op, i, seen->values[i]);
        return true;
    case SIM_ACT_SET:
        sim_wrote(sim, op, i);
        return span_equal(answer, SPAN("+OK\r\n"));
    case SIM_ACT_NX:
        return take_msetnx(sim, op, i, answer, seen);
    case SIM_ACT_DEL:
        sim_observed(sim, op, i, false);
        return span_equal(answer, SPAN(":0\r\n")) || span_equal(answer, SPAN(":1\r\n"));
    }
    return false;
}

void sim_check_exec(struct sim *sim, const struct sim_op *op, struct span reply) {
    struct seen seen = {0};
    if (span_equal(reply, SPAN("*-1\r\n"))) {
        check_refused(sim, op);
        return;
    }
    const char *line = (const char *)memchr(reply.ptr, '\n', reply.len) + 1;
    struct span left = span_of(line, (size_t)(reply.ptr + reply.len - line));
    uint32_t commands = 0; /* an MSETNX is one, and the last */
    while (commands < op->count && (commands == 0 || op->acts[commands - 1] != SIM_ACT_NX))
        commands++;
    bool fine = reply.ptr[0] == '*' && strtoul(reply.ptr + 1, NULL, 10) == commands;
    for (uint32_t i = 0; fine && i < commands; i++) {
        struct span one = element(&left);
        fine = one.ptr != NULL && take(sim, op, i, one, &seen);
    }
    if (!fine) {
        sim_violation(sim, "EXEC: %s: %.*s", op->client->name, (int)reply.len, reply.ptr);
        return;
    }
    if (seen.count != 0)
        check_moment(sim, op, &seen);
    check_watched(sim, op);
}

void sim_check_said(struct sim *sim, const struct sim_op *op, struct span reply) {
    if (!span_equal(reply, SPAN("+OK\r\n")) &&
        (op->kind != SIM_OP_QUEUE || !span_equal(reply, SPAN("+QUEUED\r\n"))))
        sim_violation(sim, "SAID: %s: %.*s", op->client->name, (int)reply.len, reply.ptr);
    if (op->kind == SIM_OP_WATCH) {
        op->client->watch_failed = false;
        op->client->watched_moment = sim_db_moment(sim);
    }
}

bool sim_check_abort(struct sim *sim, const struct sim_op *op, struct span reply) {
    bool aborted = reply.len > 11 && memcmp(reply.ptr, "-EXECABORT ", 11) == 0;
    bool is_exec = op->kind == SIM_OP_EXEC || op->kind == SIM_OP_EXEC_READ;
    if (op->kind == SIM_OP_WATCH)
        op->client->watch_failed = true;
    return is_exec && aborted && op->watched != 0 && op->client->watch_failed;
}

void sim_check_whole(struct sim *sim, const struct sim_op *op) {
    char text[64];
    uint64_t own = own_moment(sim, op);
    bool several = op->kind == SIM_OP_EXEC || op->kind == SIM_OP_MSET || op->kind == SIM_OP_MSETNX;
    uint64_t together = own; /* of an MSETNX in a transaction, which may have done nothing */
    for (uint32_t i = 0; several && i < op->count; i++) {
        uint64_t moment = op->values[i] != 0 ? sim_db_moment_of(sim, op->values[i]) : own;
        bool begins = op->acts[i] == SIM_ACT_NX && (i == 0 || op->acts[i - 1] != SIM_ACT_NX);
        if (begins && moment == 0)
            together = 0;
        if (moment != (op->acts[i] == SIM_ACT_NX ? together : own))
            sim_violation(sim, "TORN WRITE: %s: v%u has another moment, or none",
                          sim_op_name(sim, op, i, text), op->values[i]);
    }
}
