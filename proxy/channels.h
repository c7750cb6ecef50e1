/*
 * channels: which clients of one worker are subscribed to which channels and patterns, and whom to
 * tell what became of a key: the channels are Redis' keyspace notifications, `__keyspace@0__:KEY`
 * and `__keyevent@0__:EVENT` (docs/events.md). Pure policy: no sockets, no clock. Owned by the
 * worker.
 */
#ifndef RINGFENCE_CHANNELS_H
#define RINGFENCE_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/change.h"
#include "../common/span.h"
#include "../common/stats.h"
#include "board.h"

struct channels;
struct channels_ref;

enum { CHANNELS_NAME_BYTES_MAX = 4096 };

/* One client's part; embedded in struct client. All zero: it is subscribed to nothing. */
struct channels_client {
    stats_value count[BOARD_KINDS]; /* subscriptions; read by any thread */
    /* channels' own: */
    struct channels_ref *refs[BOARD_KINDS];
    bool holds;
    struct channels_client *next_holder, *prev_holder;
};

/* What is told. */
struct channels_message {
    struct span pattern; /* that the client is subscribed to; NULL: to the channel itself */
    struct span channel, text;
    struct span key; /* which key it is about; NULL: none */
};

struct channels_handlers {
    void (*tell)(void *ctx, struct channels_client *client, const struct channels_message *m);
    /** The first subscription to events began, or the last one ended. */
    void (*watch)(void *ctx, bool on);
    /** What nodes say is heard: a client that holds may go on. */
    void (*ready)(void *ctx, struct channels_client *client);
};

struct channels_figures {
    uint64_t clients; /* subscribed to something */
    uint64_t told, gaps;
};

/** channels_new(board, handlers, ctx): nobody is subscribed. Both are borrowed. NULL without
 * memory. */
struct channels *channels_new(struct board *board, const struct channels_handlers *handlers,
                              void *ctx);

/** channels_free(t): every client must have left. */
void channels_free(struct channels **t);

/** channels_join(t, client, kind, name): subscribe; nothing happens if it is. False when a bound is
 * reached, or without memory. Cost: O(the fewer of the client's and the name's subscriptions). */
bool channels_join(struct channels *t, struct channels_client *client, enum board_kind kind,
                   struct span name);

/** channels_leave(t, client, kind, name): unsubscribe; false if it was not subscribed. */
bool channels_leave(struct channels *t, struct channels_client *client, enum board_kind kind,
                    struct span name);

/** channels_leave_any(t, client, kind, left): unsubscribe from one of its channels or patterns,
 * whose name `left` is told before it is gone; false if there is none. */
bool channels_leave_any(struct channels *t, struct channels_client *client, enum board_kind kind,
                        void (*left)(void *ctx, struct span name), void *ctx);

/** channels_leave_all(t, client): unsubscribe from everything, and hold no more. `t` may be NULL if
 * there is nothing to leave. */
void channels_leave_all(struct channels *t, struct channels_client *client);

/** channels_of(client): its subscriptions of both kinds. */
static inline uint64_t channels_of(const struct channels_client *client) {
    return stats_get(&client->count[BOARD_CHANNELS]) + stats_get(&client->count[BOARD_PATTERNS]);
}

/** channels_carries(kind, name): events may come there. */
bool channels_carries(enum board_kind kind, struct span name);

/** channels_key(name): the key that a channel `__keyspace@0__:KEY` is about; an empty span for any
 * other. */
struct span channels_key(struct span name);

/** channels_hold(t, client, on): it is about to subscribe to events, and waits until they are
 * heard; or no longer. Allowed when that is so already. */
void channels_hold(struct channels *t, struct channels_client *client, bool on);

/** channels_watching(t): somebody wants events. `t` may be NULL. */
bool channels_watching(const struct channels *t);

/** channels_event(t, key, change): tell those concerned. Cost: O(patterns x length + told). */
void channels_event(struct channels *t, struct span key, enum change change);

/** channels_gap(t): events may have been lost: tell all who are subscribed to some. `t` may be
 * NULL. channels_ready(t): call the handler for each client that holds. */
void channels_gap(struct channels *t);
void channels_ready(struct channels *t);

void channels_figures(const struct channels *t, struct channels_figures *out);

#endif
