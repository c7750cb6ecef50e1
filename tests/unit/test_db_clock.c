#include <criterion/criterion.h>

#include "../../node/db_clock.h"

/* The database is 1,000,000 ms ahead of our monotonic clock. */
enum { AHEAD_MS = 1000000 };

Test(db_clock, says_nothing_while_the_clocks_run_side_by_side) {
    struct db_clock clock = {0};
    for (int64_t now = 0; now < 100000; now += 500)
        cr_expect_eq(db_clock_saw(&clock, now, now + 3, now + AHEAD_MS + 1), 0);
}

Test(db_clock, says_by_how_much_it_was_set_and_goes_on_from_there) {
    static const int64_t STEPS_MS[] = {3600000, -3600000, 200, -200};
    for (int i = 0; i < 4; i++) {
        struct db_clock clock = {0};
        db_clock_saw(&clock, 0, 4, AHEAD_MS + 2);
        int64_t step = db_clock_saw(&clock, 500, 504, AHEAD_MS + 502 + STEPS_MS[i]);
        cr_expect(step > STEPS_MS[i] - 10 && step < STEPS_MS[i] + 10, "%lld", (long long)step);
        cr_expect_eq(db_clock_saw(&clock, 1000, 1004, AHEAD_MS + 1002 + STEPS_MS[i]), 0);
    }
}

Test(db_clock, lets_a_little_pass) {
    struct db_clock clock = {0};
    db_clock_saw(&clock, 0, 0, AHEAD_MS);
    cr_expect_eq(db_clock_saw(&clock, 500, 500, AHEAD_MS + 500 + DB_CLOCK_TOLERANCE_MS), 0);
    cr_expect_eq(db_clock_saw(&clock, 500, 500, AHEAD_MS + 500 - DB_CLOCK_TOLERANCE_MS), 0);
    cr_expect_neq(db_clock_saw(&clock, 500, 500, AHEAD_MS + 501 + DB_CLOCK_TOLERANCE_MS), 0);
}

/* Each step is small, but an hour's time to live would end at another time. */
Test(db_clock, sees_a_drift_that_adds_up) {
    struct db_clock clock = {0};
    int64_t steps = 0, sum_ms = 0;
    for (int64_t i = 0; i < 1000; i++) {
        int64_t step = db_clock_saw(&clock, i * 500, i * 500 + 2, AHEAD_MS + i * 501);
        steps += step != 0;
        sum_ms += step;
    }
    cr_expect(steps >= 8 && steps <= 10, "%lld", (long long)steps);
    cr_expect(sum_ms > 800 && sum_ms <= 1000, "%lld", (long long)sum_ms);
}

Test(db_clock, takes_a_slow_answer_for_no_proof) {
    struct db_clock clock = {0};
    db_clock_saw(&clock, 0, 2, AHEAD_MS + 1);
    cr_expect_eq(db_clock_saw(&clock, 500, 3500, AHEAD_MS + 501), 0, "read at once, heard late");
    cr_expect_eq(db_clock_saw(&clock, 4000, 7000, AHEAD_MS + 7000), 0, "read late");
    cr_expect_neq(db_clock_saw(&clock, 7500, 7502, AHEAD_MS + 7501 + 150), 0,
                  "and the bounds did not get wider");
}

/* 2 s after a slow first answer of 3 s a step of 200 ms could not be told from its slowness; once a
 * quick one came, it can. */
Test(db_clock, gets_more_exact_with_quick_answers) {
    struct db_clock clock = {0};
    db_clock_saw(&clock, 0, 3000, AHEAD_MS + 1500);
    cr_expect_eq(db_clock_saw(&clock, 3500, 3502, AHEAD_MS + 3501), 0);
    cr_expect_neq(db_clock_saw(&clock, 4000, 4002, AHEAD_MS + 4001 + 200), 0);
}
