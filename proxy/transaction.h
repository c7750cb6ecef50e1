/*
 * transaction: a transaction on its way: as one request to the owner of its first key, which runs
 * it as one SQL transaction; before the answer is given the other owners drop its keys (rule 11).
 * Also reads that must come from the table. Knows no clients.
 */
#ifndef RINGFENCE_TRANSACTION_H
#define RINGFENCE_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"

struct buf;
struct transaction;
struct proxy_env;

/** transaction_new(env, author): a transaction without anything in it; NULL without memory.
 * `author`: as in struct upstream_entry. transaction_free(t): one that was not sent. */
struct transaction *transaction_new(const struct proxy_env *env, uint64_t author);
void transaction_free(struct transaction **t);

/** transaction_key(t, key): it concerns this key; copied. The first one decides where it goes.
 * Repeated keys are allowed. False without memory. */
bool transaction_key(struct transaction *t, struct span key);

/**
 * transaction_send(t, watches, commands, writes, done, ctx): send it; it is gone. `watches`,
 * `commands`: requests as RF.EXEC takes them, copied. `done` runs exactly once, perhaps before this
 * returns, with the answer, borrowed: an array, a null if a watched key has changed, or an error.
 */
void transaction_send(struct transaction *t, const struct buf *watches, const struct buf *commands,
                      bool writes, void (*done)(void *ctx, struct span reply), void *ctx);

#endif
