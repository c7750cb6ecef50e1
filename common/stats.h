/*
 * stats: counters, declared once per program as a table of rows; INFO and (later) metrics read the
 * rows. A block of counters has one writer (its event loop); other threads may read it: every
 * access is a relaxed atomic, which costs a plain load and store.
 */
#ifndef RINGFENCE_STATS_H
#define RINGFENCE_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum stats_kind { STATS_COUNTER, STATS_GAUGE };

struct stats_row {
    const char *section; /* INFO section it is shown in: "stats", "clients" ... */
    const char *name;    /* as shown in INFO */
    enum stats_kind kind;
    const char *unit; /* "", "bytes", "ms" */
    const char *help; /* one line */
};

typedef _Atomic uint64_t stats_value;

/** stats_add(v, n): add to a counter. Single writer. */
static inline void stats_add(stats_value *v, uint64_t n) {
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/** stats_sub(v, n): take from a gauge. Single writer. */
static inline void stats_sub(stats_value *v, uint64_t n) {
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

/** stats_set(v, n): set a gauge. Single writer. */
static inline void stats_set(stats_value *v, uint64_t n) {
    atomic_store_explicit(v, n, memory_order_relaxed);
}

/** stats_get(v): read from any thread. */
static inline uint64_t stats_get(const stats_value *v) {
    return atomic_load_explicit((stats_value *)v, memory_order_relaxed);
}

#endif
