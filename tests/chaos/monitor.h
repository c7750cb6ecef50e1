/*
 * monitor: threads that ask each daemon for its figures, over and over, and so know when a promise
 * with a condition did not hold: a proxy that routed past an owner, a node that served what it did
 * not trust. Between two answers that differ, or without one, it may have been at any time.
 */
#ifndef RINGFENCE_CHAOS_MONITOR_H
#define RINGFENCE_CHAOS_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

struct monitor; /* owned by whoever started it */

enum monitor_kind {
    MONITOR_ROUTING, /* a proxy lost, passed over or regained an owner, or changed its ring */
    MONITOR_STALE,   /* a node answered from what it does not trust */
    MONITOR_KINDS
};

/** monitor_start(proxies, proxies_count, nodes, nodes_count): the ports of the daemons. Until now,
 * it is taken, the ring was not stable. */
struct monitor *monitor_start(const uint16_t *proxies, int proxies_count, const uint16_t *nodes,
                              int nodes_count);

/** monitor_note(monitor, kind, from_us, to_us): known from elsewhere. */
void monitor_note(struct monitor *monitor, enum monitor_kind kind, int64_t from_us, int64_t to_us);

/** monitor_stop(monitor): no more of it; then the rest may be asked. */
void monitor_stop(struct monitor *monitor);

/** monitor_touches(monitor, kind, from_us, to_us): such a time meets this one. */
bool monitor_touches(const struct monitor *monitor, enum monitor_kind kind, int64_t from_us,
                     int64_t to_us);

/** monitor_stale_served(monitor): reads that were counted as stale, as far as it was seen. */
uint64_t monitor_stale_served(const struct monitor *monitor);

/** monitor_lag_ms(monitor): the largest feed lag that was seen of a node whose feed is up. */
int64_t monitor_lag_ms(const struct monitor *monitor);
void monitor_free(struct monitor **monitor);

#endif
