/*
 * inbox: what any worker has to say to one client of any worker, since a client is touched by its
 * own worker's thread alone: a bounded queue of bytes under a lock of its own. References are
 * counted: the client's own, one of each who may put something in, one of each message that wakes
 * its worker. Knows no client and no connection.
 */
#ifndef RINGFENCE_INBOX_H
#define RINGFENCE_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct buf;
struct inbox;

/* What the owner is told of; the owner's business. */
enum inbox_kind { INBOX_INVALIDATIONS, INBOX_LINES /* of MONITOR */ };

enum inbox_put {
    INBOX_WAITS, /* its worker was woken before and has yet to look */
    INBOX_WAKE,  /* wake its worker; if that is not possible call inbox_unwoken() */
    INBOX_GONE,  /* the owner left: nothing was put in */
};

/** inbox_new(kind, id, worker, owner, bytes_max): empty, with one reference. `id`: the client's;
 * `worker`: the number of the one that serves it; `owner`: given back by inbox_owner(); not NULL.
 * NULL without memory. */
struct inbox *inbox_new(enum inbox_kind kind, uint64_t id, unsigned worker, void *owner,
                        size_t bytes_max);

/** inbox_hold(inbox): one reference more. inbox_drop(inbox): one less; the last frees it. NULL is
 * allowed. From any thread. */
struct inbox *inbox_hold(struct inbox *inbox);
void inbox_drop(struct inbox **inbox);

enum inbox_kind inbox_kind(const struct inbox *inbox);
uint64_t inbox_id(const struct inbox *inbox);
unsigned inbox_worker(const struct inbox *inbox);

/** inbox_close(inbox): the owner leaves, and what waits is forgotten. On its worker's thread. */
void inbox_close(struct inbox *inbox);

/** inbox_owner(inbox): NULL when it left. On its worker's thread. */
void *inbox_owner(const struct inbox *inbox);

/** inbox_put(inbox, bytes): put them in, in the order of the calls; what does not fit is lost, and
 * counted. From any thread. Cost: a lock and a copy. */
enum inbox_put inbox_put(struct inbox *inbox, struct span bytes);

/** inbox_unwoken(inbox): its worker could not be woken: the next inbox_put() is to try again. */
void inbox_unwoken(struct inbox *inbox);

/** inbox_take(inbox, out, lost): all that waits, in `out` (initialised by this, released by the
 * caller), and how many puts were lost since the last call, all of them behind what is in `out`.
 * True if there is something. On its worker's thread. */
bool inbox_take(struct inbox *inbox, struct buf *out, uint64_t *lost);

#endif
