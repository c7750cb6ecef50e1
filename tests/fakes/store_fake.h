/*
 * store_fake: a scripted store behind node/store.h: requests are kept, and the test answers them in
 * any order with any outcome. It holds its callers to store.h: no two writes with a key in common
 * (rule 5) unless the test allows it. For unit tests only.
 */
#ifndef RINGFENCE_STORE_FAKE_H
#define RINGFENCE_STORE_FAKE_H

#include "../../node/store.h"

enum { STORE_FAKE_MAX = 512 /* requests that may wait, of each kind */ };

struct store *store_fake_new(void);

/** store_fake_free(store): as store_pg_free(): what waits is answered first, DOWN or UNCERTAIN. */
void store_fake_free(struct store **store);

/** store_fake_up(store, reads, writes): whether there are connections. Requests that wait go on
 * waiting. */
void store_fake_up(struct store *store, bool reads, bool writes);

/** store_fake_refuse_next(store, status): the next store_get(), store_write() or store_ask()
 * returns `status`. */
void store_fake_refuse_next(struct store *store, enum store_status status);

/** store_fake_gets(store) / store_fake_writes(store): how many wait now; store_fake_queries(store)
 * is below. */
unsigned store_fake_gets(const struct store *store);
unsigned store_fake_writes(const struct store *store);

/** store_fake_hold(store, hold): gets wait in the queue from now on: they can be taken back. Else
 * they are sent at once. */
void store_fake_hold(struct store *store, bool hold);

/** store_fake_get(store, i) / store_fake_write(store, i): the i-th that waits, in the order of
 * asking. */
struct store_get *store_fake_get(struct store *store, unsigned i);
struct store_write *store_fake_write(struct store *store, unsigned i);

/** store_fake_asked(store): all gets and writes that were ever accepted. */
unsigned store_fake_asked(const struct store *store);

/* ---- answers to the i-th get that waits; it waits no longer ---- */

void store_fake_row(struct store *store, unsigned i, uint64_t version, const char *payload);
void store_fake_row_ttl(struct store *store, unsigned i, uint64_t version, const char *payload,
                        int64_t ttl_ms);
/** From a server that is not the feed's. */
void store_fake_foreign_row(struct store *store, unsigned i, uint64_t version, const char *payload);
void store_fake_absent(struct store *store, unsigned i);
/** Whatever the test says. */
void store_fake_answer_row(struct store *store, unsigned i, const struct store_row *row);
void store_fake_fail_get(struct store *store, unsigned i, enum store_status status);

/* ---- answers to the i-th write that waits ---- */

/** Committed: key n of the write has version + n; 0: nothing was done to any of its keys. */
void store_fake_commit(struct store *store, unsigned i, uint64_t version);
/** Committed, version by version (0: nothing was done to that key). */
void store_fake_commit_each(struct store *store, unsigned i, const uint64_t *versions,
                            uint32_t changed);
/** Committed, by a server that is not the feed's. */
void store_fake_foreign_commit(struct store *store, unsigned i, uint64_t version);
/** Committed, a one-key op: with what came of it. */
void store_fake_commit_result(struct store *store, unsigned i, uint64_t version,
                              const struct store_result *result);
void store_fake_fail_write(struct store *store, unsigned i, enum store_status status,
                           const char *detail);

/* ---- questions past the cache ---- */

unsigned store_fake_queries(const struct store *store);
struct store_query *store_fake_query(struct store *store, unsigned i);
void store_fake_answer(struct store *store, unsigned i, enum store_status status,
                       const struct store_answer *answer);

/** store_fake_send(store, i): a byte of it has left: it cannot be cancelled any more. */
void store_fake_send(struct store *store, unsigned i);

#endif
