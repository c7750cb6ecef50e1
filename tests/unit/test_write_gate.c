#include <criterion/criterion.h>

#include "../../node/write_gate.h"

enum { NOW_US = 7000000, TOOK_US = 4000, WAIT_US = 1000 };

/* A batch of so many, and so many more that wait when it ends. */
static struct write_gate after_batch(uint32_t requests, uint32_t waiting, int64_t *wait_us) {
    struct write_gate gate = {0};
    write_gate_sent(&gate, requests, NOW_US - TOOK_US);
    *wait_us = write_gate_wait_us(&gate, waiting, NOW_US);
    return gate;
}

Test(write_gate, the_first_waits_for_nobody) {
    struct write_gate gate = {0};
    cr_expect_eq(write_gate_wait_us(&gate, 1, NOW_US), 0);
}

Test(write_gate, after_few_nobody_is_waited_for) {
    int64_t wait_us;
    for (uint32_t requests = 1; requests < 4; requests++) {
        after_batch(requests, 1, &wait_us);
        cr_expect_eq(wait_us, 0, "%u requests", requests);
    }
}

Test(write_gate, after_many_it_waits_until_they_are_back) {
    int64_t wait_us;
    struct write_gate gate = after_batch(10, 9, &wait_us);
    cr_expect_eq(wait_us, WAIT_US);
    cr_expect_eq(write_gate_wait_us(&gate, 12, NOW_US + 300), WAIT_US - 300);
    cr_expect_eq(write_gate_wait_us(&gate, 18, NOW_US + 301), WAIT_US - 301);
    cr_expect_eq(write_gate_wait_us(&gate, 19, NOW_US + 302), 0);
}

Test(write_gate, it_waits_a_part_of_what_the_batch_took) {
    int64_t wait_us;
    struct write_gate gate = after_batch(10, 1, &wait_us);
    cr_expect_eq(write_gate_wait_us(&gate, 1, NOW_US + WAIT_US - 1), 1);
    cr_expect_eq(write_gate_wait_us(&gate, 1, NOW_US + WAIT_US), 0);
    cr_expect_eq(write_gate_wait_us(&gate, 1, NOW_US + 1000 * WAIT_US), 0);
}

Test(write_gate, it_never_waits_long) {
    struct write_gate gate = {0};
    write_gate_sent(&gate, 10, NOW_US - 3600 * (int64_t)1000000);
    cr_expect_eq(write_gate_wait_us(&gate, 1, NOW_US), 2000);
}

Test(write_gate, a_large_batch_waits_for_nobody) {
    int64_t wait_us;
    struct write_gate gate = after_batch(500, 32, &wait_us);
    cr_expect_eq(wait_us, 0);
    gate = after_batch(500, 31, &wait_us);
    cr_expect_eq(wait_us, WAIT_US);
    cr_expect_eq(write_gate_wait_us(&gate, 32, NOW_US + 1), 0);
}
