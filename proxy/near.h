/*
 * near: copies of the values of one worker's hottest keys, so that a key that everybody asks for
 * does not end on one node's core. Pure policy: no sockets, no clock; times are arguments, in
 * microseconds. A copy is kept only while it is known who would say that it has become old:
 *
 * - A key gets a slot when it is hot (near_want()), and its value is kept only once its node has
 *   said that it has no time to live (near_probe()): so no copy outlives one.
 * - Whatever a node says of the key (near_stale()) ends the copy, and every answer that was asked
 *   for before: an invalidation between request and answer wins. What interrupts that (near_gap())
 *   ends all of them, and nothing is kept for a while: the node may be serving what is old.
 * - An answer that is not kept but shows or changes the key ends the copy too (near_pass()): who
 * has seen it must not be given anything older. Answers come in the order in which the node did
 * what was asked; late ones do not, and must not be given to near_put().
 * - A copy ends by itself after `keep_us`, whatever happens.
 *
 * Owned by the worker.
 */
#ifndef RINGFENCE_NEAR_H
#define RINGFENCE_NEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct near;

enum { NEAR_SLOTS = 64, NEAR_NONE = NEAR_SLOTS };

struct near_conf {
    size_t bytes_max; /* of values */
    int64_t keep_us;  /* a copy is kept for so long at most, from when it was asked for */
    int64_t quiet_us; /* nothing is kept for so long after a gap */
};

/* Of a slot when something was asked for; what has become of it since makes the answer useless. */
struct near_ticket {
    uint32_t slot; /* NEAR_NONE: none */
    uint32_t generation;
    int64_t asked_us;
};

struct near_figures {
    uint64_t fills, drops; /* copies taken, ended by what was heard or passed by */
    uint64_t items, bytes; /* kept now; some may be over already */
};

/** near_new(conf): empty; NULL without memory. */
struct near *near_new(const struct near_conf *conf);
void near_free(struct near **near);

/** near_want(near, key, hash, now_us): it is hot. `hash`: the ring's. It gets a slot, if one is
 * free or was not used for a second. Copies the key. */
void near_want(struct near *near, struct span key, uint64_t hash, int64_t now_us);

/** near_get(near, key, hash, now_us, value): its copy, one whole RESP reply, borrowed until
 * anything else than near_get() is called. Cost: a look at one bucket; no more when the key has no
 * slot. */
bool near_get(struct near *near, struct span key, uint64_t hash, int64_t now_us,
              struct span *value);

/** near_ask(near, key, hash, now_us): the key is about to be asked for, of a node that says what
 * changes: the ticket for near_put(). Without one (NEAR_NONE) the answer is none of ours. */
struct near_ticket near_ask(struct near *near, struct span key, uint64_t hash, int64_t now_us);

/** near_put(near, ticket, reply): the answer, a value. True if it is the copy now. */
bool near_put(struct near *near, const struct near_ticket *ticket, struct span reply);

/** near_probe(near, key, hash, now_us): whether it has to be asked if the key has a time to live:
 * then a ticket for near_probed(), once per generation, and again when that failed. */
struct near_ticket near_probe(struct near *near, struct span key, uint64_t hash, int64_t now_us);
void near_probed(struct near *near, const struct near_ticket *ticket, bool answered,
                 bool lives_for_ever);

/** near_pass(near, hash, is_write): something that may show or change a key with this hash was
 * answered. `is_write`: it may have a time to live now. near_pass_all(): the same for all keys. */
void near_pass(struct near *near, uint64_t hash, bool is_write);
void near_pass_all(struct near *near, bool is_write);

/** near_stale(near, key): a node says that it changed. near_gap(near, now_us): anything may have.
 */
void near_stale(struct near *near, struct span key);
void near_gap(struct near *near, int64_t now_us);

void near_figures(const struct near *near, struct near_figures *out);

#endif
