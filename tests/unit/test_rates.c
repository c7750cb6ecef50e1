#include <criterion/criterion.h>

#include "../../proxy/proxy_stats.h"
#include "../../proxy/rates.h"

static stats_value stats[PROXY_STAT_COUNT];

static uint64_t rate(enum proxy_stat stat) {
    return stats_get(&stats[stat]);
}

Test(rates, are_what_came_since_the_last_look_per_second) {
    struct rates r = {0};
    stats_add(&stats[PROXY_STAT_COMMANDS], 1000);
    rates_tick(&r, stats, 5000000);
    cr_assert_eq(rate(PROXY_STAT_COMMANDS_RATE), 0, "since when is not known yet");
    stats_add(&stats[PROXY_STAT_COMMANDS], 300);
    stats_add(&stats[PROXY_STAT_BYTES_IN], 4096);
    stats_add(&stats[PROXY_STAT_BYTES_OUT], 1);
    rates_tick(&r, stats, 7000000);
    cr_assert_eq(rate(PROXY_STAT_COMMANDS_RATE), 150);
    cr_assert_eq(rate(PROXY_STAT_BYTES_IN_RATE), 2048);
    cr_assert_eq(rate(PROXY_STAT_BYTES_OUT_RATE), 1, "rounded");
    rates_tick(&r, stats, 7000000);
    cr_assert_eq(rate(PROXY_STAT_COMMANDS_RATE), 150);
    rates_tick(&r, stats, 7500000);
    cr_assert_eq(rate(PROXY_STAT_COMMANDS_RATE), 0);
    stats_add(&stats[PROXY_STAT_COMMANDS], 50);
    rates_tick(&r, stats, 7600000);
    cr_assert_eq(rate(PROXY_STAT_COMMANDS_RATE), 500);
}

Test(rates, a_counter_that_was_reset_began_at_0) {
    struct rates r = {0};
    stats_set(&stats[PROXY_STAT_COMMANDS], 1000);
    rates_tick(&r, stats, 1000000);
    stats_set(&stats[PROXY_STAT_COMMANDS], 40);
    rates_tick(&r, stats, 2000000);
    cr_assert_eq(rate(PROXY_STAT_COMMANDS_RATE), 40);
}
