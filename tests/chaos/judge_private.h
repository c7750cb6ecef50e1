/*
 * judge_private: the state of a judgement. As the order of a key's commits is known, what an
 * operation saw or made is the number of a state. `floors` is the highest that an operation which
 * has finished saw or made: one that begins later must not see less. A read of a value that a key
 * had several times is taken to have seen the oldest that fits, which can only hide a violation.
 */
#ifndef RINGFENCE_CHAOS_JUDGE_PRIVATE_H
#define RINGFENCE_CHAOS_JUDGE_PRIVATE_H

#include "judge.h"
#include "truth.h"

enum {
    JUDGE_CLIENTS = 128,
    JUDGE_CLOCKS_US = 5000,    /* between the clock of PostgreSQL's commits and ours */
    JUDGE_COMMIT_US = 1000000, /* from when a commit begins until others see it, at most */
    JUDGE_ROUNDING_US = 30000, /* of a bound */
    JUDGE_HALF_STATES = 100,   /* of a key, as far as a transaction is looked for */
    JUDGE_AROUND_US = 200000,  /* how exactly the monitor knows when a node served stale */
};

/* States of a key by value, for looking them up. */
struct judge_place {
    chaos_value value;
    uint32_t at;
};

/* Since when a floor was that high. */
struct judge_step {
    int64_t since_us;
    uint32_t floor;
};

struct judge_key {
    const struct truth_state *states;
    uint32_t count;
    struct judge_place *places; /* count of them, by value, then by number */
    struct judge_step *steps;
    uint32_t steps_count, steps_room;
    uint32_t floor;
    int64_t *unseen_us; /* per state: the longest after it was known that an older one was read */
};

struct judgement {
    const struct chaos_conf *conf;
    const struct monitor *monitor;
    struct judge_result *out;
    int64_t start_us;
    int64_t settle_us; /* a ring is stable again so long after it last changed */
    struct judge_key keys[CHAOS_KEYS_MAX];
    /* Program order: what the client's earlier operations saw or made, and its earlier writes. */
    uint32_t own[JUDGE_CLIENTS][CHAOS_KEYS_MAX], own_writes[JUDGE_CLIENTS][CHAOS_KEYS_MAX];
};

/** judge_returned(j, op): it was answered; all that was answered before it has been judged. */
void judge_returned(struct judgement *j, const struct chaos_op *op);

/** judge_unanswered(j, op): at the end: what errors and unknown outcomes came to. */
void judge_unanswered(struct judgement *j, const struct chaos_op *op);

/** judge_raise(j, op, i, at, made): state `at` of its key i was seen, or made. */
void judge_raise(struct judgement *j, const struct chaos_op *op, unsigned i, uint32_t at,
                 bool made);

/** judge_find(key, value, from, out): the first state from number `from` on that has this value. */
bool judge_find(const struct judge_key *key, chaos_value value, uint32_t from, uint32_t *out);

/** judge_known_us(key, at): since when somebody could know of this state, or everybody must. */
int64_t judge_known_us(const struct judge_key *key, uint32_t at);

/** judge_against(j, violation, op, i, format, ...): judge_note() with what is known of the key. */
void judge_against(struct judgement *j, enum judge_violation violation, const struct chaos_op *op,
                   unsigned i, const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
