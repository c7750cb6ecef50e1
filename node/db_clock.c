#include "db_clock.h"

int64_t db_clock_saw(struct db_clock *clock, int64_t sent_mono_ms, int64_t heard_mono_ms,
                     int64_t db_ms) {
    int64_t low_ms = db_ms - heard_mono_ms, high_ms = db_ms - sent_mono_ms, step_ms = 0;
    if (clock->known && low_ms > clock->high_ms + DB_CLOCK_TOLERANCE_MS)
        step_ms = low_ms - clock->high_ms;
    else if (clock->known && high_ms < clock->low_ms - DB_CLOCK_TOLERANCE_MS)
        step_ms = high_ms - clock->low_ms;
    if (!clock->known || step_ms != 0) {
        *clock = (struct db_clock){true, low_ms, high_ms};
        return step_ms;
    }
    /* What both agree on, if they do: the bounds get narrower. */
    if (low_ms <= clock->high_ms && high_ms >= clock->low_ms) {
        clock->low_ms = low_ms > clock->low_ms ? low_ms : clock->low_ms;
        clock->high_ms = high_ms < clock->high_ms ? high_ms : clock->high_ms;
    }
    return 0;
}
