/*
 * many: thousands of keys more, which threads read, write and edit by SQL while things break.
 * Nobody writes their history down: when all is quiet every one of them, through every proxy, must
 * be what the table has. Small ranges are edited, so that what was missed stays in a cache for
 * good.
 */
#ifndef RINGFENCE_CHAOS_MANY_H
#define RINGFENCE_CHAOS_MANY_H

#include <libpq-fe.h>

#include "chaos.h"

enum { MANY_PORTS_MAX = 4, MANY_KEYS_MAX = 1000000, MANY_ROUNDS = 2 };

struct many; /* owned by whoever started them */
struct judge_result;

/** many_start(keys, seed, conninfo, ports, ports_count): rows for all of the keys, and threads.
 * NULL if they cannot be started, or with no keys. */
struct many *many_start(int keys, uint64_t seed, const char *conninfo, const uint16_t *ports,
                        int ports_count);

/** many_stop(many): returns when all have heard what they asked for, or have given up. NULL is
 * fine. */
void many_stop(struct many *many);

/** many_compare(many, sql, port, out): all keys through one proxy, MANY_ROUNDS times; differences
 * are violations if they stay for `patience_ms`. For the test's main thread, once stopped. NULL is
 * fine. */
void many_compare(struct many *many, PGconn *sql, uint16_t port, int patience_ms,
                  struct judge_result *out);
void many_free(struct many **many);

#endif
