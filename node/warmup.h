/*
 * warmup: whether a node that has just begun, or was held up for so long that its connections may
 * be gone, had better not take proxies yet: where it would answer DBDOWN another node has the row,
 * and before its first heartbeat it trusts nothing, so that it would hit nothing and had nothing to
 * serve as stale. Never for long: a node with a broken feed, or without a database, is of use all
 * the same. Pure: times come in. Embedded in the node.
 */
#ifndef RINGFENCE_WARMUP_H
#define RINGFENCE_WARMUP_H

#include <stdbool.h>
#include <stdint.h>

enum { WARMUP_MS = 3000 }; /* it ends then, whatever is missing */

struct warmup {
    bool lasts;
    int64_t since_mono_ms;
    int64_t connected_mono_ms; /* without a break since then; 0: not now */
};

/** warmup_begin(warmup, now_mono_ms): it begins. */
void warmup_begin(struct warmup *warmup, int64_t now_mono_ms);

/**
 * warmup_lasts(warmup, now_mono_ms, connected, trusts, fence_after_ms): it lasts still, as of now;
 * once it is over it stays so. `connected`: all connections to the database are up, the feed
 * among them. `trusts`: a heartbeat was heard in time. It ends with both, or when the feed has been
 * silent for `fence_after_ms`, or after WARMUP_MS.
 */
bool warmup_lasts(struct warmup *warmup, int64_t now_mono_ms, bool connected, bool trusts,
                  int64_t fence_after_ms);

#endif
