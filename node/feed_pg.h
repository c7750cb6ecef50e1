/*
 * feed_pg: the listening connection: LISTEN, the checks of the table (design, section 2),
 * heartbeats on the store's connections, and the sentinel that catches DDL that no trigger sees.
 * Never opens a transaction. Owned by the node's main.
 */
#ifndef RINGFENCE_FEED_PG_H
#define RINGFENCE_FEED_PG_H

#include <stdint.h>

#include "../common/change.h"
#include "../common/span.h"

struct event_base;
struct feed_pg;
struct store;
struct store_pg_conf;

struct feed_pg_handlers {
    void (*on_changed)(void *ctx, struct span key, uint64_t version, enum change change);
    void (*on_gone)(void *ctx, struct span key, enum change change);
    void (*on_everything)(void *ctx);
    /** LISTEN is committed on this connection. */
    void (*on_up)(void *ctx);
    void (*on_lost)(void *ctx);
    /** Our own heartbeat came back; it was sent then. */
    void (*on_heard)(void *ctx, int64_t sent_mono_ms);
    /** The table is not as it must be: one line of text. At start the daemon ends; later nothing is
     * trusted until it is mended. */
    void (*on_refused)(void *ctx, const char *why);
};

/** feed_pg_new(base, table, node_name, store, handlers, ctx): start. `table`: the store's
 * configuration; it, store, node_name and handlers are borrowed. NULL without memory. */
struct feed_pg *feed_pg_new(struct event_base *base, const struct store_pg_conf *table,
                            const char *node_name, struct store *store,
                            const struct feed_pg_handlers *handlers, void *ctx);
void feed_pg_free(struct feed_pg **feed);

/** feed_pg_tick(feed, now_mono_ms): heartbeats and reconnects; call it every 50 ms or so. */
void feed_pg_tick(struct feed_pg *feed, int64_t now_mono_ms);

/** feed_pg_leave(feed): if it leads where it must not any more (hosts_keeps) it is lost from now
 * on.
 */
void feed_pg_leave(struct feed_pg *feed);

/** feed_pg_is_up(feed) / feed_pg_reconnects(feed): for INFO. */
int feed_pg_is_up(const struct feed_pg *feed);
uint64_t feed_pg_reconnects(const struct feed_pg *feed);

#endif
