// needs: fakes/cache_race.c fakes/lru_model.c ../bench/draw.c
/* Misses against an exact LRU of the same bytes, on seeded streams; `make bench-miss` has many more
 * of them. */
#include <criterion/criterion.h>

#include "../fakes/cache_race.h"

enum { KEYS = 300000, READS = 1000000 };

/* The misses of keys that were read before, as a share of LRU's. 4.7 MB for keys that would take
 * ten times as much. */
static double race(double exponent, enum cache_race_scan scan, uint32_t drift_reads) {
    struct cache_race_conf conf = {.seed = 4711,
                                   .keys = KEYS,
                                   .exponent = exponent,
                                   .drift_reads = drift_reads,
                                   .scan = scan,
                                   .scan_percent = 20,
                                   .scan_run = 2000,
                                   .value_bytes_min = 100,
                                   .value_bytes_max = 100,
                                   .requests = READS,
                                   .warm_up = READS / 2};
    struct cache_race_result r;
    conf.bytes_max = cache_race_bytes(&conf) / 10;
    cache_race_run(&conf, &r);
    cr_assert_eq(r.requests, READS - READS / 2);
    cr_assert_gt(r.lru_misses, r.first_reads);
    cr_assert_geq(r.misses, r.first_reads, "it has what nobody put there");
    double again = (double)(r.misses - r.first_reads) / (double)(r.lru_misses - r.first_reads);
    cr_log_info("zipf %.2f, scan %d, drift %u: %.4f of LRU's misses", exponent, (int)scan,
                drift_reads, again);
    return again;
}

Test(cache_eviction, misses_less_than_lru_on_skewed_streams) {
    cr_assert_leq(race(0.8, CACHE_RACE_NO_SCAN, 0), 0.85);
    cr_assert_leq(race(0.99, CACHE_RACE_NO_SCAN, 0), 0.80);
}

Test(cache_eviction, misses_less_than_lru_among_scans) {
    cr_assert_leq(race(0.99, CACHE_RACE_SCAN_NEW, 0), 0.70);
    cr_assert_leq(race(0.99, CACHE_RACE_SCAN_OLD, 0), 0.88);
}

Test(cache_eviction, follows_popularity_that_drifts) {
    cr_assert_leq(race(0.99, CACHE_RACE_NO_SCAN, 100), 0.80);
}
