#include "distrust.h"

#include "../common/plant.h"

bool distrust_is_due(struct distrust *d, int64_t now_mono_ms, int64_t every_ms, bool trusts,
                     uint64_t stale_served) {
    bool all_told = stale_served == d->served || PLANTED(old_copies_are_not_told);
    if (trusts ? all_told : now_mono_ms < d->next_mono_ms)
        return false;
    d->served = stale_served;
    if (!trusts)
        d->next_mono_ms = now_mono_ms + every_ms;
    return true;
}
