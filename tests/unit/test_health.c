#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../proxy/health.h"

enum { MS = 1000, S = 1000 * MS };

static const struct health_conf CONF = {.retry_min_us = 20 * MS,
                                        .retry_max_us = 1000 * MS,
                                        .probation_min_us = 500 * MS,
                                        .probation_max_us = 10 * S,
                                        .stable_us = 10 * S};
static const uint64_t SHORTEST = 0; /* a pause of half its length */

/* Down for as long as the pause says, then up. Returns when it came back. */
static int64_t flap(struct health *h, int64_t now_us, uint64_t random) {
    health_down(h, &CONF, now_us, random);
    health_up(h, &CONF, h->retry_us);
    return h->retry_us;
}

Test(health, a_new_node_may_be_tried_at_once) {
    struct health h;
    health_init(&h);
    cr_assert(health_may_try(&h, 0));
    cr_assert_not(health_is_trusted(&h, 0));
    cr_assert_not(h.failed);
}

Test(health, a_node_that_is_reached_for_the_first_time_is_trusted_at_once) {
    struct health h;
    health_init(&h);
    health_up(&h, &CONF, 5);
    cr_assert(health_is_trusted(&h, 5));
    cr_assert_not(health_may_try(&h, 100 * S)); /* there is nothing to try */
}

Test(health, pauses_double_up_to_their_limit) {
    struct health h;
    static const int64_t HALVES_MS[] = {10, 20, 40, 80, 160, 320, 500, 500, 500};
    int64_t now_us = 7 * S;
    health_init(&h);
    for (size_t i = 0; i < sizeof(HALVES_MS) / sizeof(HALVES_MS[0]); i++) {
        health_down(&h, &CONF, now_us, SHORTEST);
        cr_assert_eq(h.retry_us - now_us, HALVES_MS[i] * MS, "pause %zu", i);
        cr_assert_not(health_may_try(&h, h.retry_us - 1));
        cr_assert(health_may_try(&h, h.retry_us));
        now_us = h.retry_us;
    }
}

Test(health, a_pause_is_between_its_half_and_its_whole_and_differs) {
    int64_t low = INT64_MAX, high = 0;
    unsigned seed = 3;
    for (int i = 0; i < 1000; i++) {
        struct health h;
        health_init(&h);
        for (int n = 0; n < 8; n++)
            health_down(&h, &CONF, 0, (uint64_t)rand_r(&seed));
        cr_assert_geq(h.retry_us, 500 * MS);
        cr_assert_leq(h.retry_us, 1000 * MS);
        low = h.retry_us < low ? h.retry_us : low;
        high = h.retry_us > high ? h.retry_us : high;
    }
    cr_assert_lt(low, 550 * MS);
    cr_assert_gt(high, 950 * MS);
}

Test(health, a_node_that_breaks_after_a_long_life_comes_back_at_once) {
    struct health h;
    health_init(&h);
    health_up(&h, &CONF, 0);
    int64_t back_us = flap(&h, 60 * S, SHORTEST);
    cr_assert_eq(back_us, 60 * S + 10 * MS);
    cr_assert(health_is_trusted(&h, back_us));
}

Test(health, a_node_that_breaks_again_soon_is_on_probation) {
    struct health h;
    health_init(&h);
    health_up(&h, &CONF, 0);
    int64_t back_us = flap(&h, 60 * S, SHORTEST);
    back_us = flap(&h, back_us + 1 * S, SHORTEST);
    cr_assert_not(health_is_trusted(&h, back_us));
    cr_assert_not(health_is_trusted(&h, back_us + 500 * MS - 1));
    cr_assert(health_is_trusted(&h, back_us + 500 * MS));
}

Test(health, probation_doubles_with_each_flap_up_to_its_limit) {
    struct health h;
    static const int64_t PROBATIONS_MS[] = {500, 1000, 2000, 4000, 8000, 10000, 10000};
    int64_t now_us = 0;
    health_init(&h);
    health_up(&h, &CONF, now_us);
    flap(&h, now_us, SHORTEST);
    for (size_t i = 0; i < sizeof(PROBATIONS_MS) / sizeof(PROBATIONS_MS[0]); i++) {
        now_us = flap(&h, h.trusted_us + 1, SHORTEST);
        cr_assert_eq(h.trusted_us - now_us, PROBATIONS_MS[i] * MS, "flap %zu", i + 1);
    }
}

Test(health, a_first_loss_is_no_flap_however_young_the_node) {
    struct health h;
    health_init(&h);
    health_up(&h, &CONF, 0);
    int64_t back_us = flap(&h, 1, SHORTEST);
    cr_assert(health_is_trusted(&h, back_us));
}

Test(health, a_node_lost_on_probation_has_flapped_too) {
    struct health h;
    health_init(&h);
    health_up(&h, &CONF, 0);
    flap(&h, 0, SHORTEST);
    int64_t back_us = flap(&h, 1, SHORTEST);
    back_us = flap(&h, back_us + 1, SHORTEST); /* still on probation */
    cr_assert_eq(h.trusted_us - back_us, 1000 * MS);
}

/* What a flap may cost is bounded: a node that breaks every 200 ms for two minutes is given
 * requests a few times, not hundreds of times. */
Test(health, a_node_that_flaps_is_seldom_given_requests) {
    struct health h;
    unsigned trusted = 0, cycles = 0;
    int64_t now_us = 0;
    health_init(&h);
    health_up(&h, &CONF, now_us);
    while (now_us < 120 * S) {
        trusted += health_is_trusted(&h, now_us + 200 * MS);
        now_us = flap(&h, now_us + 200 * MS, (uint64_t)now_us);
        cycles++;
    }
    cr_assert_gt(cycles, 100);
    cr_assert_leq(trusted, 2, "given requests in %u of %u cycles", trusted, cycles);
}

Test(health, a_node_that_stayed_long_enough_is_forgiven) {
    struct health h;
    int64_t now_us = 0;
    health_init(&h);
    health_up(&h, &CONF, now_us);
    for (int i = 0; i < 10; i++)
        now_us = flap(&h, now_us + 1, SHORTEST);
    now_us = flap(&h, h.trusted_us + CONF.stable_us, SHORTEST);
    cr_assert(health_is_trusted(&h, now_us));
    health_down(&h, &CONF, now_us + 60 * S, SHORTEST);
    cr_assert_eq(h.retry_us - (now_us + 60 * S), 10 * MS); /* and so are the pauses */
}

Test(health, without_a_limit_there_is_no_probation) {
    struct health_conf conf = CONF;
    conf.probation_max_us = 0;
    struct health h;
    health_init(&h);
    for (int i = 0; i < 5; i++) {
        health_up(&h, &conf, i * MS);
        cr_assert(health_is_trusted(&h, i * MS));
        health_down(&h, &conf, i * MS, SHORTEST);
    }
}

Test(health, failed_says_that_nobody_waits_for_it) {
    struct health h;
    health_init(&h);
    health_down(&h, &CONF, 0, SHORTEST);
    cr_assert(h.failed);
    health_up(&h, &CONF, 1);
    cr_assert_not(h.failed);
}
