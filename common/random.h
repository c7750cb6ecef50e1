/*
 * random: numbers for jitter and samples, from a state that its owner keeps: no secrets.
 */
#ifndef RINGFENCE_RANDOM_H
#define RINGFENCE_RANDOM_H

#include <stdint.h>

/** random_next(state): 64 bits; `*state` is never 0, and any other number is a seed. Source:
 * xorshift64*, Marsaglia 2003, Vigna 2016. */
static inline uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

#endif
