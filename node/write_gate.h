/*
 * write_gate: how long what waits to be written waits for company. Whoever was just answered is
 * often about to write again: a batch that is sent at once would leave half of such a crowd to the
 * next one, and each batch costs a commit. So after a batch of many the next one waits a moment,
 * until as many have come as can be expected, for a small part of what a commit takes anyway. Pure:
 * no clock, no timer.
 */
#ifndef RINGFENCE_WRITE_GATE_H
#define RINGFENCE_WRITE_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct write_gate {
    bool under_way;
    uint32_t requests; /* of the batch that is, or was, under way */
    uint32_t expected; /* waiting requests that are all that can be expected */
    int64_t sent_us, until_us;
};

/** write_gate_sent(gate, requests, now_us): a batch of so many requests leaves. Time: any
 * monotonic clock. */
void write_gate_sent(struct write_gate *gate, uint32_t requests, int64_t now_us);

/** write_gate_wait_us(gate, waiting, now_us): nothing is under way, `waiting` requests are there to
 * be sent, and have to wait for so long still; 0: send them. */
int64_t write_gate_wait_us(struct write_gate *gate, uint32_t waiting, int64_t now_us);

#endif
