/* A pool of rings: the real ones, built once for all runs: 3,072 points to hash and sort are more
 * work than the rest of a run. */
#include <stdio.h>

#include "sim_fakes.h"

/* The real ring, under names that leave the usual ones to the pool below. */
#define ring_build ring_build_really
#define ring_free  ring_free_really
#include "../../common/ring.c"
#undef ring_build
#undef ring_free

struct ring *ring_build(const struct ring_member *members, size_t count);
void ring_free(struct ring **ring);

static struct ring *pool[1 << SIM_NODES_MAX];

struct ring *sim_ring(unsigned mask) {
    if (pool[mask] != NULL)
        return pool[mask];
    struct ring_member members[SIM_NODES_MAX];
    for (unsigned i = 0; i < SIM_NODES_MAX; i++) {
        members[i] = (struct ring_member){.port = sim_node_port(i),
                                          .weight = 1,
                                          .state = (mask >> i & 1) != 0 ? RING_UP : RING_DOWN};
        snprintf(members[i].name, sizeof(members[i].name), "n%u", i);
        snprintf(members[i].host, sizeof(members[i].host), "10.0.0.%u", i);
    }
    pool[mask] = ring_build_really(members, SIM_NODES_MAX);
    return pool[mask];
}

void sim_rings_release(void) {
    for (unsigned mask = 0; mask < 1 << SIM_NODES_MAX; mask++)
        ring_free_really(&pool[mask]);
}

struct ring *ring_build(const struct ring_member *members, size_t count) {
    return ring_build_really(members, count);
}

void ring_free(struct ring **ring) {
    for (unsigned mask = 0; mask < 1 << SIM_NODES_MAX; mask++) {
        if (pool[mask] == *ring) {
            *ring = NULL;
            return;
        }
    }
    ring_free_really(ring);
}
