// needs: ../bench/draw.c
/* topk: the most frequent keys of a stream, and how often they come. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../../bench/draw.h"
#include "../../proxy/topk.h"

enum { COUNTERS = 256, HALF_LIFE_US = 10 * 1000 * 1000, KEYS = 100000, TOP = 20, S = 1000 * 1000 };

static struct span name(uint64_t rank) {
    static char text[32];
    int n = snprintf(text, sizeof(text), "key:%llu", (unsigned long long)rank);
    return span_of(text, (size_t)n);
}

/* A counter per key, decayed by the book: what topk has to come near. */
static double naive[KEYS];

static int by_rate(const void *a, const void *b) {
    const struct topk_row *x = a, *y = b;
    return (x->per_second < y->per_second) - (x->per_second > y->per_second);
}

/* `seconds` of a Zipf stream of `rate` keys a second, of which one in `sample` is counted. */
static void stream(struct topk *t, double exponent, int64_t rate, int seconds, uint32_t sample,
                   uint64_t seed) {
    struct draw keys, gaps;
    draw_init(&keys, seed, KEYS, exponent);
    draw_init(&gaps, seed + 1, 1, 0);
    memset(naive, 0, sizeof(naive));
    uint64_t wait = 1;
    for (int64_t i = 0; i < rate * seconds; i++) {
        uint64_t rank = draw_key(&keys);
        naive[rank] += exp2((double)(i * S / rate - (int64_t)seconds * S) / HALF_LIFE_US);
        if (--wait != 0)
            continue;
        topk_add(t, name(rank), sample, i * S / rate);
        wait = draw_between(&gaps, 1, 2 * (uint64_t)sample - 1);
    }
}

static size_t top(struct topk *t, int64_t now_us, struct topk_row *rows) {
    size_t count = topk_rows(t, now_us, rows);
    qsort(rows, count, sizeof(*rows), by_rate);
    return count;
}

Test(topk, finds_the_hottest_keys_of_zipf_streams) {
    static struct topk_row rows[COUNTERS];
    static const double EXPONENTS[] = {0.9, 1.0, 1.2};
    for (size_t e = 0; e < sizeof(EXPONENTS) / sizeof(EXPONENTS[0]); e++) {
        struct topk *t = topk_new(COUNTERS, HALF_LIFE_US, 7 + e);
        stream(t, EXPONENTS[e], 20000, 40, 32, 100 + e);
        size_t count = top(t, 40 * S, rows);
        cr_assert_eq(count, COUNTERS);
        int found = 0;
        for (int i = 0; i < TOP; i++) {
            unsigned long long rank;
            char text[32];
            snprintf(text, sizeof(text), "%.*s", (int)rows[i].key.len, rows[i].key.ptr);
            cr_assert_eq(sscanf(text, "key:%llu", &rank), 1);
            found += rank < TOP;
        }
        cr_expect_geq(found, TOP - 6, "%.1f: %d of %d", EXPONENTS[e], found, TOP);
        for (int rank = 0; rank < 3;
             rank++) { /* the share that a decayed count has, at this rate */
            double seconds = HALF_LIFE_US / 1e6 / M_LN2 * (1 - exp2(-40.0 * S / HALF_LIFE_US));
            double real = naive[rank] / seconds;
            double said = topk_rate(t, name((uint64_t)rank), 40 * S);
            cr_expect(fabs(said - real) < 0.25 * real, "%.1f, rank %d: %.0f, not %.0f",
                      EXPONENTS[e], rank, said, real);
        }
        double total = topk_total(t, 40 * S);
        cr_expect(fabs(total - 20000) < 1000, "%.1f: %.0f of 20000", EXPONENTS[e], total);
        topk_free(&t);
    }
}

/* Counted without a sample: what Space-Saving promises holds for each key. */
Test(topk, never_says_too_much) {
    static struct topk_row rows[COUNTERS];
    struct topk *t = topk_new(COUNTERS, HALF_LIFE_US, 1);
    stream(t, 1.0, 5000, 20, 1, 5);
    size_t count = topk_rows(t, 20 * S, rows);
    double seconds = HALF_LIFE_US / 1e6 / M_LN2 * (1 - exp2(-20.0 * S / HALF_LIFE_US));
    for (size_t i = 0; i < count; i++) {
        unsigned long long rank;
        char text[32];
        snprintf(text, sizeof(text), "%.*s", (int)rows[i].key.len, rows[i].key.ptr);
        cr_assert_eq(sscanf(text, "key:%llu", &rank), 1);
        cr_assert_leq(rows[i].per_second, naive[rank] / seconds * 1.0001, "%s", text);
        cr_assert_geq(rows[i].per_second,
                      (naive[rank] - topk_total(t, 20 * S) * seconds / COUNTERS) / seconds, "%s",
                      text);
    }
    topk_free(&t);
}

Test(topk, nothing_is_hot_in_an_even_stream) {
    static struct topk_row rows[COUNTERS];
    struct topk *t = topk_new(COUNTERS, HALF_LIFE_US, 1);
    for (int64_t i = 0; i < 200000; i++)
        topk_add(t, name((uint64_t)i % KEYS), 1, i * 100);
    top(t, 20 * S, rows);
    cr_expect_lt(rows[0].per_second, 0.01 * topk_total(t, 20 * S), "%.1f", rows[0].per_second);
    topk_free(&t);
}

Test(topk, forgets_what_is_no_longer_asked_for) {
    struct topk *t = topk_new(COUNTERS, HALF_LIFE_US, 1);
    for (int i = 0; i < 1000; i++)
        topk_add(t, SPAN("was"), 1, i * 10000);
    double before = topk_rate(t, SPAN("was"), 10 * S);
    cr_expect(fabs(before - 100) < 5, "%.1f", before);
    for (int i = 0; i < 3000; i++)
        topk_add(t, SPAN("is"), 1, 10 * S + i * 10000);
    cr_expect_lt(topk_rate(t, SPAN("was"), 40 * S), before / 8);
    double now = topk_rate(t, SPAN("is"), 40 * S);
    cr_expect(now > 80 && now < 100, "%.1f", now);
    /* Years later weights still fit into a double. */
    topk_add(t, SPAN("late"), 1, INT64_C(100000000) * S);
    cr_expect_eq(topk_rate(t, SPAN("is"), INT64_C(100000000) * S), 0);
    cr_expect(isfinite(topk_rate(t, SPAN("late"), INT64_C(100000000) * S)));
    cr_expect_gt(topk_rate(t, SPAN("late"), INT64_C(100000000) * S), 0);
    topk_free(&t);
}

Test(topk, keys_of_any_length_and_byte_are_told_apart) {
    static char longest[1024];
    struct topk *t = topk_new(4, HALF_LIFE_US, 1);
    cr_expect_eq(topk_rate(t, SPAN("a"), 0), 0);
    cr_expect_eq(topk_total(t, 0), 0);
    memset(longest, 'x', sizeof(longest));
    topk_add(t, SPAN(""), 1, 0);
    topk_add(t, span_of("a\0b", 3), 2, 0);
    topk_add(t, span_of("a\0c", 3), 3, 0);
    topk_add(t, span_of(longest, sizeof(longest)), 4, 0);
    cr_expect_float_eq(topk_rate(t, span_of("a\0b", 3), 0), 2 * topk_rate(t, SPAN(""), 0), 1e-9);
    cr_expect_float_eq(topk_rate(t, span_of("a\0c", 3), 0), 3 * topk_rate(t, SPAN(""), 0), 1e-9);
    topk_add(t, span_of(longest, sizeof(longest) - 1), 1, 0); /* takes the lowest one's counter */
    cr_expect_eq(topk_rate(t, SPAN(""), 0), 0);
    cr_expect_gt(topk_rate(t, span_of(longest, sizeof(longest) - 1), 0), 0);
    cr_expect_gt(topk_rate(t, span_of(longest, sizeof(longest)), 0), 0);
    topk_free(&t);
}
