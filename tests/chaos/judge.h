/*
 * judge: the promises of docs/design (section 1), checked against what clients and editors wrote
 * down and what the table really held, after the fact. Knows no processes and no sockets.
 */
#ifndef RINGFENCE_CHAOS_JUDGE_H
#define RINGFENCE_CHAOS_JUDGE_H

#include "chaos.h"

struct monitor;
struct truth;

enum { JUDGE_LOGS_MAX = 40, JUDGE_TEXTS_MAX = 8, JUDGE_TEXT_BYTES = 1200 };

enum judge_violation {
    JUDGE_BROKEN,    /* an answer to another request, or none that there is */
    JUDGE_LOST,      /* answered OK, and not in the table's history */
    JUDGE_FALSE,     /* answered with an error, or rolled back, and is in it */
    JUDGE_TWICE,     /* done twice */
    JUDGE_TORN,      /* a part of a write of several keys is in it */
    JUDGE_NEVER,     /* a value was read that never was committed, or was not yet */
    JUDGE_ORDER,     /* on a stable ring: older than what had been seen before */
    JUDGE_STALE,     /* older than the bound */
    JUDGE_NIL,       /* nil, but the key was never absent at a time that would do */
    JUDGE_CONDITION, /* SET NX over a value, SET GET with another old value */
    JUDGE_REST,      /* proxy and table differ when all is quiet */
    JUDGE_VIOLATIONS
};

struct judge_result {
    uint64_t ops, reads, reads_stable, reads_old; /* of reads: on a stable ring; older than Δ = 0 */
    uint64_t acked, failed, unknown, unknown_done; /* writes */
    uint64_t compared, compared_hits;  /* at rest; and these were answered from a node's memory */
    int64_t stale_max_us;              /* the oldest answer that was within its bound */
    int64_t read_max_us, write_max_us; /* the longest that an answer took */
    uint64_t edits;                    /* by SQL, of which the following is known */
    int64_t edit_p50_us, edit_p99_us, edit_max_us; /* how long an edit was not seen by everybody */
    uint64_t violations[JUDGE_VIOLATIONS];
    int texts_count;
    char texts[JUDGE_TEXTS_MAX][JUDGE_TEXT_BYTES];
};

/** judge(conf, truth, logs, logs_count, monitor, out): adds to `out`. */
void judge(const struct chaos_conf *conf, const struct truth *truth, struct chaos_log *const logs[],
           int logs_count, const struct monitor *monitor, struct judge_result *out);

/** judge_note(out, violation, format, ...): one more; the first few are kept as text. */
void judge_note(struct judge_result *out, enum judge_violation violation, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** judge_total(result): violations of all kinds. */
uint64_t judge_total(const struct judge_result *result);
const char *judge_name(enum judge_violation violation);

#endif
