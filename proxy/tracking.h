/*
 * tracking: which clients of one worker may hold copies of which keys (CLIENT TRACKING), and whom
 * to tell when a key may have changed. Pure policy: no sockets, no clock. In the default mode a
 * pair (key, client) is forgotten when the client is told (once per read); BCAST clients are told
 * of every key with one of their prefixes. NOLOOP clients are not told of what is known to be their
 * own change. Semantics: redis.io/docs, "Client-side caching reference". Owned by the worker.
 */
#ifndef RINGFENCE_TRACKING_H
#define RINGFENCE_TRACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"
#include "authors.h"

struct inbox;
struct tracking;
struct tracking_ref;

enum { TRACKING_PREFIXES_MAX = 64 /* of one client */ };

enum tracking_flags {
    TRACKING_BCAST = 1 << 0,
    TRACKING_OPTIN = 1 << 1,
    TRACKING_OPTOUT = 1 << 2,
    TRACKING_NOLOOP = 1 << 3,
};

enum tracking_caching { TRACKING_CACHING_UNSET, TRACKING_CACHING_YES, TRACKING_CACHING_NO };

/* One client's part; embedded in struct client. All zero but for the id: it does not track. */
struct tracking_client {
    uint64_t id; /* the client's, for ever its own */
    bool on;
    unsigned flags;
    enum tracking_caching caching; /* CLIENT CACHING, for the next command */
    struct inbox *redirect;        /* whose client is told instead of it; NULL: it is told */
    bool broken;                   /* that client was found to be gone */
    /* tracking's own: */
    char *prefixes[TRACKING_PREFIXES_MAX];
    uint16_t prefixes_len[TRACKING_PREFIXES_MAX];
    uint32_t prefixes_count;
    struct tracking_ref *refs;
    struct tracking_client *next, *prev;
};

struct tracking_handlers {
    /** Tell `client` that its copy of `key` may be old; `key.ptr` NULL: all its copies. `doubt`,
     * borrowed: the change may be its own, which shows when what it waits for is answered: then,
     * tracking_is_own(); else NULL. */
    void (*tell)(void *ctx, struct tracking_client *client, struct span key,
                 const struct authors_change *doubt);
    /** `client` waits for an answer, perhaps to a write. */
    bool (*waits)(void *ctx, const struct tracking_client *client);
    /** The first client began, or the first with NOLOOP, or the last one ended. */
    void (*watch)(void *ctx, bool on);
};

struct tracking_figures {
    uint64_t clients, keys, items, prefixes;
    uint64_t told, told_all; /* invalidations sent; for everything at once */
};

/** tracking_new(keys_max, handlers, ctx): nobody tracks yet. `keys_max`: keys that are remembered;
 * beyond it an old one is forgotten, and its clients told. `handlers` is borrowed. NULL without
 * memory. The table itself is made when the first client begins. */
struct tracking *tracking_new(size_t keys_max, const struct tracking_handlers *handlers, void *ctx);

/** tracking_free(t): every client must have been stopped. */
void tracking_free(struct tracking **t);

/** tracking_start(t, client, flags, prefixes, count): begin, or change while on (prefixes add up).
 * Copies. False without memory, nothing changed. */
bool tracking_start(struct tracking *t, struct tracking_client *client, unsigned flags,
                    const struct span *prefixes, uint32_t count);

/** tracking_redirect(client, to): who is told instead of it from now on, NULL: nobody. Takes a
 * reference of its own. For a client that tracks. */
void tracking_redirect(struct tracking_client *client, struct inbox *to);

/** tracking_stop(t, client): forget it. Cost: O(keys it holds). Allowed when it is off. */
void tracking_stop(struct tracking *t, struct tracking_client *client);

/** tracking_reads(client): a read that it sends now is to be remembered. */
bool tracking_reads(const struct tracking_client *client);

/** tracking_remember(t, client, key): it will hold a copy. Call it before the read is sent. Without
 * memory the client is told at once, which is always right. Cost: O(1). */
void tracking_remember(struct tracking *t, struct tracking_client *client, struct span key);

/** tracking_author(client): who is said to have made what it sends now: its id if it does not want
 * to hear of that, else 0. */
static inline uint64_t tracking_author(const struct tracking_client *client) {
    return (client->flags & TRACKING_NOLOOP) != 0 ? client->id : 0;
}

/** tracking_wrote(t, author, key, version): that client made this version of the key. It has to be
 * said before the client has its answer. */
void tracking_wrote(struct tracking *t, uint64_t author, struct span key, uint64_t version);

/** tracking_is_own(t, client, change): the client is not to be told of it. */
bool tracking_is_own(const struct tracking *t, const struct tracking_client *client,
                     struct authors_change change);

/** tracking_stale(t, key, version): tell everybody concerned; `version` 0: not known. Cost:
 * O(clients told + BCAST prefixes). */
void tracking_stale(struct tracking *t, struct span key, uint64_t version);

/** tracking_everything(t): something may have been missed: tell all who may hold copies to drop
 * them. */
void tracking_everything(struct tracking *t);

/** tracking_watching(t): somebody tracks. tracking_wants_versions(t): somebody with NOLOOP. */
bool tracking_watching(const struct tracking *t);
bool tracking_wants_versions(const struct tracking *t);
void tracking_figures(const struct tracking *t, struct tracking_figures *out);

#endif
