#include "rates.h"

#include "proxy_stats.h"

static const struct {
    enum proxy_stat counter, rate;
} ROWS[RATES_COUNT] = {
    {PROXY_STAT_COMMANDS, PROXY_STAT_COMMANDS_RATE},
    {PROXY_STAT_BYTES_IN, PROXY_STAT_BYTES_IN_RATE},
    {PROXY_STAT_BYTES_OUT, PROXY_STAT_BYTES_OUT_RATE},
};

void rates_tick(struct rates *r, stats_value *stats, int64_t now_us) {
    int64_t took_us = now_us - r->since_us;
    if (took_us <= 0)
        return;
    for (int i = 0; i < RATES_COUNT; i++) {
        uint64_t now = stats_get(&stats[ROWS[i].counter]);
        uint64_t grown = now >= r->then[i] ? now - r->then[i] : now;
        double rate = (double)grown * 1e6 / (double)took_us;
        stats_set(&stats[ROWS[i].rate], r->since_us == 0 ? 0 : (uint64_t)(rate + 0.5));
        r->then[i] = now;
    }
    r->since_us = now_us;
}
