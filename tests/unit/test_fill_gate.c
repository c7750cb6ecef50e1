#include <criterion/criterion.h>

#include "../../node/fill_gate.h"

enum { NOW_MS = 5000000 };

Test(fill_gate, without_bounds_all_may_go) {
    struct fill_gate gate = {.lanes = 1};
    cr_expect_eq(fill_gate_take(&gate, 100000, NOW_MS), 100000u);
    cr_expect_eq(fill_gate_take(&gate, 7, NOW_MS), 7u);
    cr_expect_eq(fill_gate_take(&gate, 0, NOW_MS), 0u);
}

Test(fill_gate, rows_that_are_out_are_bounded_and_lanes_share_them) {
    struct fill_gate gate = {.rows_max = 101, .lanes = 2};
    cr_expect_eq(fill_gate_take(&gate, 1000, NOW_MS), 51u, "rounded up");
    cr_expect_eq(fill_gate_take(&gate, 1000, NOW_MS), 50u, "what is left");
    cr_expect_eq(fill_gate_take(&gate, 1000, NOW_MS), 0u);
    fill_gate_give(&gate, 50, 0);
    cr_expect_eq(fill_gate_take(&gate, 10, NOW_MS), 10u);
    cr_expect_eq(fill_gate_take(&gate, 1000, NOW_MS), 40u);
    fill_gate_give(&gate, 51, 0);
    fill_gate_give(&gate, 10, 0);
    fill_gate_give(&gate, 40, 0);
    cr_expect_eq(gate.rows, 0u);
}

Test(fill_gate, fewer_rows_than_lanes_are_still_a_bound) {
    struct fill_gate gate = {.rows_max = 1, .lanes = 16};
    cr_expect_eq(fill_gate_take(&gate, 9, NOW_MS), 1u);
    cr_expect_eq(fill_gate_take(&gate, 9, NOW_MS), 0u);
}

/* Over any stretch of time: what passed, plus one burst. */
Test(fill_gate, a_rate_is_kept_and_used) {
    static const int64_t RATES[] = {1, 37, 200, 1000, 12345, 1000000};
    for (unsigned i = 0; i < sizeof(RATES) / sizeof(RATES[0]); i++) {
        struct fill_gate gate = {.lanes = 1, .rate_max = RATES[i]};
        int64_t rows = 0, seconds = RATES[i] < 100 ? 100 : 2;
        for (int64_t ms = 0; ms < seconds * 1000; ms++) {
            uint32_t took = fill_gate_take(&gate, UINT32_MAX / 2, NOW_MS + ms);
            rows += took;
            fill_gate_give(&gate, took, 0);
        }
        int64_t allowed = RATES[i] * seconds, burst = RATES[i] / 100 + 1;
        cr_expect(rows <= allowed + burst, "%lld rows at %lld/s", (long long)rows,
                  (long long)RATES[i]);
        cr_expect(rows >= allowed * 98 / 100 - burst, "only %lld rows at %lld/s", (long long)rows,
                  (long long)RATES[i]);
    }
}

Test(fill_gate, a_rate_is_given_out_in_slices_but_a_few_rows_need_not_wait_for_one) {
    struct fill_gate gate = {.lanes = 1, .rate_max = 10000};
    cr_expect_eq(fill_gate_take(&gate, 1000, NOW_MS), 101u, "a burst after a pause");
    cr_expect_eq(fill_gate_take(&gate, 1000, NOW_MS + 1), 0u);
    cr_expect_eq(fill_gate_take(&gate, 3, NOW_MS + 1), 3u);
    cr_expect_eq(fill_gate_take(&gate, 1000, NOW_MS + 5), 0u);
    cr_expect_eq(fill_gate_take(&gate, 1000, NOW_MS + 6), 57u);
}

Test(fill_gate, a_long_pause_saves_up_no_more_than_a_burst) {
    struct fill_gate gate = {.lanes = 1, .rate_max = 1000};
    cr_expect_eq(fill_gate_take(&gate, 5000, NOW_MS), 11u);
    cr_expect_eq(fill_gate_take(&gate, 5000, NOW_MS + 3600000), 11u);
    cr_expect_eq(fill_gate_take(&gate, 5000, NOW_MS + 3600000), 0u);
}

Test(fill_gate, large_rows_are_asked_for_a_few_at_a_time) {
    struct fill_gate gate = {.lanes = 1, .bytes_max = 4 << 20};
    cr_expect_eq(fill_gate_take(&gate, 512, NOW_MS), 512u, "nothing is known of them yet");
    fill_gate_give(&gate, 512, (uint64_t)512 << 20);
    cr_expect_eq(fill_gate_take(&gate, 512, NOW_MS), 4u);
    fill_gate_give(&gate, 4, (uint64_t)64 << 20);
    cr_expect_eq(fill_gate_take(&gate, 512, NOW_MS), 1u, "one, however large");
    for (int i = 0; i < 200; i++)
        fill_gate_give(&gate, fill_gate_take(&gate, 1, NOW_MS), 100);
    cr_expect_eq(fill_gate_take(&gate, 512, NOW_MS), 512u, "small ones again");
}
