/*
 * distrust: when those who keep copies of what this node says have to be told that anything may
 * have changed, though nothing was heard: again and again while it trusts nothing, and once it has
 * served old copies without a database while the feed was well: nothing that the feed says later
 * would end what was copied from them. Pure: times come in. Embedded in the node.
 */
#ifndef RINGFENCE_DISTRUST_H
#define RINGFENCE_DISTRUST_H

#include <stdbool.h>
#include <stdint.h>

/* All zero at first. */
struct distrust {
    int64_t next_mono_ms;
    uint64_t served;
};

/** distrust_is_due(distrust, now_mono_ms, every_ms, trusts, stale_served): they are to be told now;
 * it counts as done. `stale_served`: old copies served so far. While nothing is trusted it is due
 * every `every_ms`. */
bool distrust_is_due(struct distrust *distrust, int64_t now_mono_ms, int64_t every_ms, bool trusts,
                     uint64_t stale_served);

#endif
