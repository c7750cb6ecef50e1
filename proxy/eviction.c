#include "eviction.h"

#include <stdbool.h>

#include "../common/stats.h"
#include "local.h"
#include "registry.h"

/* Sizes fall into four classes for each power of two. */
enum { CLASSES = 64 * 4 };

static unsigned class_of(uint64_t bytes) {
    if (bytes < 4)
        return (unsigned)bytes;
    unsigned log = 63 - (unsigned)__builtin_clzll(bytes);
    return log * 4 + (unsigned)(bytes >> (log - 2) & 3);
}

static bool may_go(const struct local_client *c) {
    return stats_get(&c->killed) == LOCAL_KILL_NOT && stats_get(&c->no_evict) == 0;
}

/* The lowest class of which some have to go, and how many bytes of it; all of those above go. */
struct cut {
    unsigned class;
    uint64_t bytes; /* 0: nobody has to */
};

static struct cut find_cut(struct registry *registry, uint64_t bytes_max) {
    uint64_t in_class[CLASSES] = {0}, sum = 0;
    for (struct local_client *c = registry_first(registry); c != NULL; c = c->next) {
        uint64_t bytes = stats_get(&c->bytes);
        if (stats_get(&c->killed) == LOCAL_KILL_NOT)
            sum += bytes;
        if (may_go(c))
            in_class[class_of(bytes)] += bytes;
    }
    uint64_t excess = sum > bytes_max ? sum - bytes_max : 0;
    struct cut cut = {CLASSES - 1, excess};
    while (cut.class > 1 && in_class[cut.class] < cut.bytes)
        cut.bytes -= in_class[cut.class --];
    return cut;
}

uint32_t eviction_mark(struct registry *registry, uint64_t bytes_max) {
    uint32_t marked = 0;
    uint64_t of_lowest = 0;
    registry_lock(registry);
    struct cut cut = find_cut(registry, bytes_max);
    for (struct local_client *c = registry_first(registry); c != NULL && cut.bytes != 0;
         c = c->next) {
        uint64_t bytes = stats_get(&c->bytes); /* its worker may change it meanwhile: no harm */
        unsigned class = class_of(bytes);
        if (bytes == 0 || !may_go(c) || class < cut.class ||
            (class == cut.class && of_lowest >= cut.bytes))
            continue;
        of_lowest += class == cut.class ? bytes : 0;
        stats_set(&c->killed, LOCAL_KILL_EVICTED);
        marked++;
    }
    registry_unlock(registry);
    return marked;
}
