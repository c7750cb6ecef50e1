/*
 * board: what the clients of all workers are subscribed to, counted: for PUBSUB and INFO, and for
 * the bounds. One lock, taken when a client subscribes or unsubscribes, never when something is
 * told. Owned by main.
 */
#ifndef RINGFENCE_BOARD_H
#define RINGFENCE_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"

struct board;

enum board_kind { BOARD_CHANNELS, BOARD_PATTERNS, BOARD_KINDS };

/** board_new(subscriptions_max, patterns_max): empty; so many subscriptions and so many different
 * patterns are allowed. NULL without memory. */
struct board *board_new(uint64_t subscriptions_max, uint64_t patterns_max);
void board_free(struct board **board);

/** board_join(board, kind, name): one more subscription. False when a bound is reached, or without
 * memory. board_leave(board, kind, name): one less. */
bool board_join(struct board *board, enum board_kind kind, struct span name);
void board_leave(struct board *board, enum board_kind kind, struct span name);

/** board_names(board, kind): how many different ones there are. board_subscribers(board, channel):
 * how many are subscribed to it, patterns not counted. */
uint64_t board_names(struct board *board, enum board_kind kind);
uint64_t board_subscribers(struct board *board, struct span channel);

/** board_each(board, pattern, fn, ctx): each channel that matches; `pattern.ptr` NULL: all. `fn`
 * must not call the board. Cost: O(channels), under the lock. */
void board_each(struct board *board, struct span pattern, void (*fn)(void *ctx, struct span name),
                void *ctx);

#endif
