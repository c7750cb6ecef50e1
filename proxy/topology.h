/*
 * topology: one worker's ring and its nodes: which are up, what they last said. Swaps to a new ring
 * through the worker's loop; members that left drain. Owned by the worker.
 */
#ifndef RINGFENCE_TOPOLOGY_H
#define RINGFENCE_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

struct proxy_env;
struct ring;
struct topology;
struct upstream;
struct upstream_entry;

/** topology_new(env, path): without a ring yet. `path`: the ring file's, for INFO; borrowed. NULL
 * without memory. */
struct topology *topology_new(const struct proxy_env *env, const char *path);

/** topology_free(t): what is unanswered gets an error first. */
void topology_free(struct topology **t);

/**
 * topology_swap(t, ring, epoch): from now on requests go by `ring`, which is owned by the topology
 * from here on. Nodes that stay (same name and address) keep their connections; nodes that left
 * drain. Returns false, the old ring stays and the new one is freed, without memory for it; a node
 * without memory for its connection has none, and its keys go to the next owner.
 */
bool topology_swap(struct topology *t, struct ring *ring, uint64_t epoch);

/* Where requests for a key go: until the call into the proxy that asked for it returns. */
struct topology_route {
    struct upstream *to; /* NULL: no node can be reached */
    bool is_owner;       /* else another one has to do */
};

/** topology_route(t, hash): the first owner of `hash` that is usable. Cost: O(1) when it is the
 * first. topology_pick(t, hash): its connection alone. */
struct topology_route topology_route(const struct topology *t, uint64_t hash);
struct upstream *topology_pick(const struct topology *t, uint64_t hash);

/** topology_prefetch(t, hash): a hint that a route for it is asked for next: what that reads is
 * fetched meanwhile. */
void topology_prefetch(const struct topology *t, uint64_t hash);

/**
 * topology_send(t, entry, bytes): send one request to the owner of entry->hash; entry->done will
 * run once, later. Returns REPLY_ERROR_COUNT when it was sent, else the error to answer with (enum
 * reply_error: NODEDOWN, BUSY), and `done` never runs.
 */
int topology_send(struct topology *t, struct upstream_entry *entry, struct span bytes);

/** topology_send_by(t, route, entry, bytes): the same along a route that was asked for in this very
 * call. */
int topology_send_by(struct topology *t, struct topology_route route, struct upstream_entry *entry,
                     struct span bytes);

/* A node as INFO shows it. `status` is the text of its last RF.STATUS ("name:value\r\n" lines),
 * borrowed until the loop's next turn. */
struct topology_node {
    const char *name, *host;
    uint16_t port;
    bool reachable;
    uint32_t inflight;
    uint32_t share_ppm;
    struct span status;
    int64_t status_age_ms; /* -1: never heard */
};

/** topology_ring(t) / topology_epoch(t) / topology_path(t): the ring in use, the file's epoch, the
 * file. */
const struct ring *topology_ring(const struct topology *t);
uint64_t topology_epoch(const struct topology *t);
const char *topology_path(const struct topology *t);

/** topology_count(t) / topology_node(t, index, out): the members of the ring, in the ring's order.
 */
size_t topology_count(const struct topology *t);
void topology_node(const struct topology *t, uint32_t index, struct topology_node *out);

/** topology_watch(topology, on): tracking began: every node is to say what changes. It ends by
 * itself. */
void topology_watch(struct topology *topology, bool on);

/** topology_heard(topology): every node that requests are sent to has said that it will, so what
 * changes from now on is told (env->channels). Else channels_ready() is called later. */
bool topology_heard(struct topology *topology);

#endif
