/*
 * feed: the notification payload and whom it concerns. Parsing is pure (feed_parse); the listening
 * connection is in feed_pg.h. A payload is "1" (format version) and then items, one a line:
 *     c VERSION KEYLEN KEY     changed: the row of KEY has VERSION now, and is active, "c 42 3 abc"
 *     d VERSION KEYLEN KEY     changed: it was active and is not now: deleted
 *     x VERSION KEYLEN KEY     changed: the same, and its time was over: expired
 *     n VERSION KEYLEN KEY     changed: it was not active, and is not now
 *     g KEYLEN KEY             gone: there is no row of KEY any more; it was active
 *     p KEYLEN KEY             gone: the same, and it was not active: purged
 *     e                        everything may have changed
 *     h NODE COUNTER NONCE     heartbeat (NODE, NONCE: words without blanks)
 * Each line ends with one newline. KEYLEN counts bytes: keys may hold anything. Who cannot parse a
 * payload must take it as "everything".
 */
#ifndef RINGFENCE_FEED_H
#define RINGFENCE_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/change.h"
#include "../common/span.h"

struct feed_handlers {
    void (*on_changed)(void *ctx, struct span key, uint64_t version, enum change change);
    void (*on_gone)(void *ctx, struct span key, enum change change);
    void (*on_everything)(void *ctx);
    /** A heartbeat line; the connection decides whether it is its own. */
    void (*on_heartbeat)(void *ctx, struct span node, uint64_t counter, struct span nonce);
};

/** feed_parse(payload, handlers, ctx): call a handler per item. Returns false at the first thing
 * that is not understood, after calling on_everything once. Cost: O(length), no allocation. */
bool feed_parse(struct span payload, const struct feed_handlers *handlers, void *ctx);

#endif
