/*
 * draw: what the load generator asks for: random numbers, Zipf ranks, value sizes. Seeded; no
 * clock. Zipf by rejection-inversion: W. Hörmann, G. Derflinger, "Rejection-inversion to generate
 * variates from monotone discrete distributions", ACM TOMACS 6(3), 1996: O(1) for any exponent > 0,
 * no table.
 */
#ifndef RINGFENCE_BENCH_DRAW_H
#define RINGFENCE_BENCH_DRAW_H

#include <stdint.h>

struct draw {
    uint64_t state;
    uint64_t keys;   /* ranks are 0 .. keys - 1 */
    double exponent; /* 0: uniform */
    double h_x1, h_n, s;
};

/** draw_init(d, seed, keys, exponent): `exponent` 0 for uniform, else Zipf's (> 0). */
void draw_init(struct draw *d, uint64_t seed, uint64_t keys, double exponent);

/** draw_number(d): 64 random bits (splitmix64). */
uint64_t draw_number(struct draw *d);

/** draw_key(d): a rank by the distribution; 0 is the most frequent. */
uint64_t draw_key(struct draw *d);

/** draw_between(d, low, high): uniform in low .. high. */
uint64_t draw_between(struct draw *d, uint64_t low, uint64_t high);

#endif
