/*
 * histogram: latencies in log-linear buckets: 64 per power of two, so a figure is within 1.6 %;
 * merged by addition. Source of the idea: HdrHistogram, http://hdrhistogram.org. Embedded by value;
 * one writer.
 */
#ifndef RINGFENCE_BENCH_HISTOGRAM_H
#define RINGFENCE_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_SUB = 64, HISTOGRAM_BUCKETS = 64 * 40 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total, sum, max;
};

/** histogram_add(h, value): count one value (any unit, >= 0). O(1). */
void histogram_add(struct histogram *h, uint64_t value);

/** histogram_merge(into, from): add all of `from`. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/** histogram_at(h, per_million): the value that this share of all values does not exceed; 0 when
 * empty. */
uint64_t histogram_at(const struct histogram *h, uint32_t per_million);

#endif
