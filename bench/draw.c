#include "draw.h"

#include <math.h>

uint64_t draw_number(struct draw *d) { /* splitmix64: Steele, Lea, Flood, OOPSLA 2014 */
    uint64_t z = (d->state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint64_t draw_between(struct draw *d, uint64_t low, uint64_t high) {
    return low + draw_number(d) % (high - low + 1);
}

static double unit(struct draw *d) { /* in (0, 1] */
    return ((double)(draw_number(d) >> 11) + 1) * 0x1p-53;
}

/* (exp(x) - 1) / x and log(1 + x) / x, continued through 0. */
static double helper_exp(double x) {
    return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}

static double helper_log(double x) {
    return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}

/* The integral of x^-exponent, and its inverse. */
static double integral(const struct draw *d, double x) {
    double l = log(x);
    return helper_exp((1 - d->exponent) * l) * l;
}

static double integral_inverse(const struct draw *d, double x) {
    double t = x * (1 - d->exponent);
    if (t < -1)
        t = -1;
    return exp(helper_log(t) * x);
}

void draw_init(struct draw *d, uint64_t seed, uint64_t keys, double exponent) {
    *d = (struct draw){.state = seed, .keys = keys, .exponent = exponent};
    if (exponent == 0)
        return;
    d->h_x1 = integral(d, 1.5) - 1;
    d->h_n = integral(d, (double)keys + 0.5);
    d->s = 2 - integral_inverse(d, integral(d, 2.5) - pow(2, -exponent));
}

uint64_t draw_key(struct draw *d) {
    if (d->exponent == 0)
        return draw_number(d) % d->keys;
    for (;;) { /* accepts with probability above 0.8 */
        double u = d->h_n + unit(d) * (d->h_x1 - d->h_n);
        double x = integral_inverse(d, u);
        double k = floor(x + 0.5);
        k = k < 1 ? 1 : k > (double)d->keys ? (double)d->keys : k;
        if (k - x <= d->s || u >= integral(d, k + 0.5) - pow(k, -d->exponent))
            return (uint64_t)k - 1;
    }
}
