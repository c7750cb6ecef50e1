/*
 * counters: threads that count: INCR through the proxies, and a time to live set far in the future
 * now and then. Each answer must be explained by the table's history (truth.h writes it): every
 * INCR that was answered made a state of its own with just that number, while it was asked; errors
 * made none; nothing was made twice.
 */
#ifndef RINGFENCE_CHAOS_COUNTERS_H
#define RINGFENCE_CHAOS_COUNTERS_H

#include <libpq-fe.h>

#include "chaos.h"

enum { COUNTERS_THREADS = 3, COUNTERS_KEYS = 4 };

struct counters; /* owned by whoever started them */
struct judge_result;

/** counters_start(ports, ports_count): COUNTERS_THREADS of them. NULL if they cannot be started. */
struct counters *counters_start(const uint16_t *ports, int ports_count);

/** counters_stop(counters): returns when all have heard what they asked for, or have given up. */
void counters_stop(struct counters *counters);

/** counters_judge(counters, sql, out): adds violations to `out`, and prints a line. For the test's
 * main thread, once stopped. */
void counters_judge(struct counters *counters, PGconn *sql, struct judge_result *out);
void counters_free(struct counters **counters);

#endif
