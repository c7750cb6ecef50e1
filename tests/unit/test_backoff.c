#include <criterion/criterion.h>

#include "../../node/backoff.h"

Test(backoff, pauses_double_up_to_the_longest_and_begin_again) {
    static const int64_t LONGEST_MS[] = {30, 60, 120, 240, 480, 900, 900, 900};
    struct backoff b;
    backoff_init(&b, 1);
    for (int round = 0; round < 50; round++) {
        for (unsigned i = 0; i < sizeof(LONGEST_MS) / sizeof(LONGEST_MS[0]); i++) {
            int64_t pause_ms = backoff_next(&b);
            cr_assert_geq(pause_ms, LONGEST_MS[i] / 2, "pause %u", i);
            cr_assert_leq(pause_ms, LONGEST_MS[i], "pause %u", i);
        }
        backoff_reset(&b);
    }
}

Test(backoff, those_of_two_nodes_differ) {
    struct backoff a, b;
    backoff_init(&a, 2);
    backoff_init(&b, 4);
    int same = 0;
    for (int i = 0; i < 100; i++)
        same += backoff_next(&a) == backoff_next(&b);
    cr_assert_lt(same, 50);
}
