/*
 * chaos: what its parts share: the settings of a run, and the history that its clients write: every
 * operation with when it was sent, when it was answered, what came of it and what it saw. A value
 * names its key, its writer and its number, so each is written once (docs/reliability.md).
 */
#ifndef RINGFENCE_CHAOS_H
#define RINGFENCE_CHAOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHAOS_PROXIES = 2,
    CHAOS_NODES = 3,
    CHAOS_KEYS_MAX = 64,
    CHAOS_OP_KEYS = 4,  /* of one operation */
    CHAOS_EDITOR = 100, /* writers from here on are editors by SQL */
    CHAOS_VALUE_BYTES = 4096,
    CHAOS_ERRORS = 7,
    CHAOS_CALM_ONE_IN = 40, /* writes of clients that may touch a calm key */
    CHAOS_CALM_EDIT_ONE_IN = 6,
};

enum chaos_regime {
    CHAOS_R0, /* nothing goes wrong */
    CHAOS_R1, /* processes and connections */
    CHAOS_R2, /* the ring is edited, the proxies see it at different times */
    CHAOS_R3, /* edits by SQL, locks, bulk updates, TRUNCATE */
    CHAOS_R4, /* the feed and the way to PostgreSQL */
    CHAOS_ALL,
    CHAOS_REGIMES
};

struct chaos_conf {
    enum chaos_regime regime;
    uint64_t seed;
    int seconds, clients, editors;
    int keys, pure_keys; /* the first ones are never edited by SQL */
    int calm_keys;       /* the last ones change seldom: what is old there stays visible */
    int many_keys;       /* besides, of which only the end is compared */
    int fence_ms, stale_ms;
    const char *faults; /* only those with this in their name; "": all of the regime */
};

/* Whose value: writer and number; 0: none, the key is absent. */
typedef uint64_t chaos_value;

enum chaos_kind {
    CHAOS_GET,
    CHAOS_MGET,
    CHAOS_EXEC_GET, /* a transaction of GETs */
    CHAOS_SET,
    CHAOS_MSET,
    CHAOS_EXEC_SET, /* a transaction of SETs */
    CHAOS_SET_NX,
    CHAOS_SET_GET,
    CHAOS_DEL,
    CHAOS_SQL_SET,
    CHAOS_SQL_DELETE,
};

enum chaos_outcome {
    CHAOS_OK,
    CHAOS_NIL,     /* of SET_NX: it did nothing */
    CHAOS_ERROR,   /* a definite one: a write did not happen */
    CHAOS_UNKNOWN, /* a write may have happened, or may yet happen */
};

struct chaos_op {
    uint8_t kind, outcome, count;
    uint8_t client;
    uint16_t keys[CHAOS_OP_KEYS];
    chaos_value wrote;               /* the same for all its keys */
    chaos_value seen[CHAOS_OP_KEYS]; /* by reads; [0] of SET_GET: what was there */
    int64_t number;                  /* the answer of DEL */
    uint64_t session;                /* of this client; counts connections */
    int64_t invoke_us, return_us;    /* INT64_MAX: never answered */
    uint32_t floors[CHAOS_OP_KEYS];  /* the judge's */
};

/* The history of one client, which alone writes it until it has ended. */
struct chaos_log {
    struct chaos_op *ops;
    size_t count, room;
    uint64_t replies, errors, unknown, lost; /* lost: connections with something unanswered */
    uint64_t broken;                         /* answers that cannot be: see `first_broken` */
    char first_broken[300];
    uint64_t by_error[CHAOS_ERRORS]; /* see chaos_error_name() */
};

static inline chaos_value chaos_value_of(unsigned writer, uint32_t number) {
    return (uint64_t)writer << 32 | number;
}

static inline bool chaos_is_write(enum chaos_kind kind) {
    return kind >= CHAOS_SET;
}

/** chaos_draw(state, below): a number below `below`; xorshift64*; `state` must not be 0. */
static inline uint64_t chaos_draw(uint64_t *state, uint64_t below) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * 0x2545F4914F6CDD1Du >> 33) % below;
}

/** chaos_log_add(log): room for one more operation, zeroed; valid until the next. NULL without
 * memory. */
struct chaos_op *chaos_log_add(struct chaos_log *log);
void chaos_log_release(struct chaos_log *log);

/** chaos_log_broken(log, format, ...): an answer that no order of events explains. */
void chaos_log_broken(struct chaos_log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** chaos_key(key, out): its name; `out` has 16 bytes. */
void chaos_key(unsigned key, char *out);

/** chaos_write_value(key, value, out): the text that `value` has in `key`; returns its length. */
size_t chaos_write_value(unsigned key, chaos_value value, char *out);

/** chaos_read_value(key, text, len, out): false if it is not, byte for byte, a value of `key`. */
bool chaos_read_value(unsigned key, const char *text, size_t len, chaos_value *out);

/** chaos_regime_name(regime), chaos_kind_name(kind): for what is printed. */
const char *chaos_regime_name(enum chaos_regime regime);
const char *chaos_kind_name(enum chaos_kind kind);

/** chaos_error_index(text): which of the errors of docs this is; 0: none of them. */
unsigned chaos_error_index(const char *text);
const char *chaos_error_name(unsigned index);

#endif
