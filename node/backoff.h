/*
 * backoff: pauses between tries: jittered, each up to twice as long as the one before. Embedded.
 * Knows no clock.
 */
#ifndef RINGFENCE_BACKOFF_H
#define RINGFENCE_BACKOFF_H

#include <stdint.h>

enum { BACKOFF_MIN_MS = 30, BACKOFF_MAX_MS = 900 };

struct backoff {
    int64_t next_ms;
    uint64_t random; /* never 0 */
};

/** backoff_init(b, seed): with the shortest pause. backoff_reset(b): back to that. */
void backoff_init(struct backoff *b, uint64_t seed);
void backoff_reset(struct backoff *b);

/** backoff_next(b): the pause before the next try in ms: from half of its length to all of it. */
int64_t backoff_next(struct backoff *b);

#endif
