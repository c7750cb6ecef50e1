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

struct ring;
struct topology;

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

/** topology_count(t) / topology_node(t, index, out): the members of the ring, in the ring's order.
 */
size_t topology_count(const struct topology *t);
void topology_node(const struct topology *t, uint32_t index, struct topology_node *out);

#endif
