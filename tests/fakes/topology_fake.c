#include "topology_fake.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../common/ring.h"
#include "../../proxy/topology.h"

enum { NODES_MAX = 16 };

struct topology {
    struct ring *ring;
    uint64_t epoch;
    const char *path;
    struct {
        bool reachable;
        uint32_t inflight;
        const char *status;
    } nodes[NODES_MAX];
};

struct topology *topology_fake_new(unsigned nodes, uint64_t epoch, const char *path) {
    struct topology *t = calloc(1, sizeof(*t));
    struct ring_member members[NODES_MAX] = {0};
    if (t == NULL || nodes > NODES_MAX)
        abort();
    for (unsigned i = 0; i < nodes; i++) {
        snprintf(members[i].name, sizeof(members[i].name), "n%u", i);
        snprintf(members[i].host, sizeof(members[i].host), "127.0.0.1");
        members[i].port = (uint16_t)(7000 + i);
        members[i].weight = 1;
    }
    t->ring = ring_build(members, nodes);
    t->epoch = epoch;
    t->path = path;
    return t;
}

void topology_fake_free(struct topology **t) {
    ring_free(&(*t)->ring);
    free(*t);
    *t = NULL;
}

void topology_fake_status(struct topology *t, unsigned index, uint32_t inflight,
                          const char *status) {
    t->nodes[index].reachable = true;
    t->nodes[index].inflight = inflight;
    t->nodes[index].status = status;
}

const struct ring *topology_ring(const struct topology *t) {
    return t->ring;
}

uint64_t topology_epoch(const struct topology *t) {
    return t->epoch;
}

const char *topology_path(const struct topology *t) {
    return t->path;
}

size_t topology_count(const struct topology *t) {
    return ring_count(t->ring);
}

void topology_node(const struct topology *t, uint32_t index, struct topology_node *out) {
    const struct ring_member *member = ring_at(t->ring, index);
    const char *status = t->nodes[index].status;
    *out = (struct topology_node){.name = member->name,
                                  .host = member->host,
                                  .port = member->port,
                                  .reachable = t->nodes[index].reachable,
                                  .inflight = t->nodes[index].inflight,
                                  .share_ppm = ring_share(t->ring, index),
                                  .status = span_str(status != NULL ? status : ""),
                                  .status_age_ms = status != NULL ? 5 : -1};
}
