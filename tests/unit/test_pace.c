#include <criterion/criterion.h>

#include "../../common/pace.h"

enum { REST_US = 40, CROWD_MIN = 4, SHORT_US = 5 };

static struct pace pace_new(void) {
    return (struct pace){.rest_us = REST_US, .crowd_min = CROWD_MIN};
}

Test(pace, rests_only_while_enough_wait) {
    struct pace p = pace_new();
    for (uint32_t waiting = 0; waiting < CROWD_MIN; waiting++)
        cr_assert_eq(pace_rest_us(&p, waiting, SHORT_US), 0, "%u wait", waiting);
    cr_assert_eq(pace_rest_us(&p, CROWD_MIN, SHORT_US), REST_US);
}

Test(pace, remembers_a_crowd_between_two_waves) {
    struct pace p = pace_new();
    cr_assert_eq(pace_rest_us(&p, 50, SHORT_US), REST_US);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(pace_rest_us(&p, 0, SHORT_US), REST_US, "turn %d", i);
}

Test(pace, is_crowded_while_it_would_rest) {
    struct pace p = pace_new();
    cr_assert_not(pace_is_crowded(&p));
    pace_rest_us(&p, CROWD_MIN - 1, SHORT_US);
    cr_assert_not(pace_is_crowded(&p));
    pace_rest_us(&p, CROWD_MIN, 1000 * 1000);
    cr_assert(pace_is_crowded(&p), "though a long turn is followed at once");
    for (int i = 0; i < 100; i++)
        pace_rest_us(&p, 0, SHORT_US);
    cr_assert_not(pace_is_crowded(&p));
}

/* Who is left alone must not pay for those who went. */
Test(pace, forgets_a_crowd_that_went) {
    struct pace p = pace_new();
    pace_rest_us(&p, 10000, SHORT_US);
    int rests = 0;
    while (pace_rest_us(&p, 1, SHORT_US) != 0 && rests < 1000)
        rests++;
    cr_assert_leq(rests, 100);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(pace_rest_us(&p, 1, SHORT_US), 0);
    for (int i = 0; i < 100; i++)
        pace_rest_us(&p, 0, SHORT_US);
    cr_assert_eq(p.crowd, 0u, "nothing is left of it");
}

Test(pace, a_loop_that_has_much_to_do_does_not_rest) {
    struct pace p = pace_new();
    cr_assert_eq(pace_rest_us(&p, 50, 10 * REST_US - 1), REST_US);
    cr_assert_eq(pace_rest_us(&p, 50, 10 * REST_US), 0);
    cr_assert_eq(pace_rest_us(&p, 50, 1000 * 1000), 0);
    cr_assert_eq(pace_rest_us(&p, 50, SHORT_US), REST_US);
}

Test(pace, of_no_time_is_none) {
    struct pace p = {.rest_us = 0, .crowd_min = 0};
    cr_assert_eq(pace_rest_us(&p, 50, 0), 0);
}
