#include "write_gate.h"

enum {
    CROWD_MIN = 4, /* answered by one batch: fewer are not waited for */
    SHARE = 4,     /* of the time that the batch took, one in so many is waited */
    WAIT_US_MAX = 2000,
    ENOUGH = 32, /* requests: more make a commit hardly cheaper for each */
};

void write_gate_sent(struct write_gate *gate, uint32_t requests, int64_t now_us) {
    gate->under_way = true;
    gate->requests = requests;
    gate->sent_us = now_us;
}

static void end(struct write_gate *gate, uint32_t waiting, int64_t now_us) {
    int64_t wait_us = (now_us - gate->sent_us) / SHARE;
    gate->under_way = false;
    gate->expected = waiting + gate->requests < ENOUGH ? waiting + gate->requests : ENOUGH;
    gate->until_us = now_us;
    if (gate->requests >= CROWD_MIN)
        gate->until_us += wait_us < WAIT_US_MAX ? wait_us : WAIT_US_MAX;
}

int64_t write_gate_wait_us(struct write_gate *gate, uint32_t waiting, int64_t now_us) {
    if (gate->under_way)
        end(gate, waiting, now_us);
    return waiting >= gate->expected || now_us >= gate->until_us ? 0 : gate->until_us - now_us;
}
