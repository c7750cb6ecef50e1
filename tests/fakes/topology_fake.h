/*
 * topology_fake: a topology that knows what a test tells it; takes the place of proxy/topology.c
 * for what reads figures. Owned by the test.
 */
#ifndef RINGFENCE_TOPOLOGY_FAKE_H
#define RINGFENCE_TOPOLOGY_FAKE_H

#include <stdbool.h>
#include <stdint.h>

struct topology;

/** topology_fake_new(nodes, epoch, path): a ring of `nodes` (at most 16) equal nodes "n0", "n1" ...
 * on 127.0.0.1, ports from 7000 on; none reachable, none heard. `path` is borrowed. */
struct topology *topology_fake_new(unsigned nodes, uint64_t epoch, const char *path);
void topology_fake_free(struct topology **t);

/** topology_fake_status(t, index, inflight, status): the node is reachable and said `status`
 * (borrowed), 5 ms ago. */
void topology_fake_status(struct topology *t, unsigned index, uint32_t inflight,
                          const char *status);

#endif
