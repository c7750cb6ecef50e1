#include "backoff.h"

#include "../common/random.h"

void backoff_init(struct backoff *b, uint64_t seed) {
    b->random = seed | 1;
    backoff_reset(b);
}

void backoff_reset(struct backoff *b) {
    b->next_ms = BACKOFF_MIN_MS;
}

int64_t backoff_next(struct backoff *b) {
    int64_t half_ms = b->next_ms / 2;
    int64_t pause_ms = half_ms + (int64_t)(random_next(&b->random) % (uint64_t)(half_ms + 1));
    b->next_ms = b->next_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : b->next_ms * 2;
    return pause_ms;
}
