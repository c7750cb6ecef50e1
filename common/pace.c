#include "pace.h"

enum { ONE = 16, FORGET = 8, LONG_TURN = 10 };

bool pace_is_crowded(const struct pace *pace) {
    return pace->crowd >= pace->crowd_min * ONE;
}

int64_t pace_rest_us(struct pace *pace, uint32_t waiting, int64_t turn_us) {
    /* Up at once, down slowly: between two waves of requests nobody waits for a moment. */
    if (waiting * ONE >= pace->crowd)
        pace->crowd = waiting * ONE;
    else
        pace->crowd -= (pace->crowd - waiting * ONE + FORGET - 1) / FORGET;
    if (!pace_is_crowded(pace) || turn_us >= LONG_TURN * pace->rest_us)
        return 0;
    return pace->rest_us;
}
