/*
 * balance: who serves a new connection: the worker with the fewest clients, those on their way to
 * it counted; beyond clients-max nobody does. Runs on the main thread. Owned by main.
 */
#ifndef RINGFENCE_BALANCE_H
#define RINGFENCE_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy_stats.h"

struct balance;
struct worker;

/** balance_new(workers, stats, count, clients_max): `workers` and `stats` (a block each) are
 * borrowed; the workers may be filled in until the first balance_accept(). NULL without memory. */
struct balance *balance_new(struct worker *const *workers, stats_value (*stats)[PROXY_STAT_COUNT],
                            unsigned count, uint64_t clients_max);
void balance_free(struct balance **balance);

/** balance_accept(balance, fd): hand a connection to a worker; or refuse it in Redis' words, close
 * it and count it. Cost: O(workers). */
void balance_accept(struct balance *balance, int fd);

/** balance_refuse(balance, fd): refuse it, as above. */
void balance_refuse(struct balance *balance, int fd);

#endif
