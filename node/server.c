#include "server.h"

#include <event2/event.h>

enum { TICK_MS = 10, TICK_AT_REST_MS = 100 };

void server_arm_tick(struct server *s, bool rests) {
    const struct timeval in = {.tv_usec = (rests ? TICK_AT_REST_MS : TICK_MS) * 1000};
    s->tick_rests = rests;
    event_add(s->tick, &in);
}

void server_wake(struct server *s) {
    if (s->tick_rests)
        server_arm_tick(s, false);
}
