/*
 * Who misses more, the node's cache or an exact LRU of the same bytes? Zipf streams with and
 * without scans, and with popularity that drifts. `ideal` is a cache that always holds the keys
 * that are the most popular at the moment: nobody does better by knowing the past. Seeded: the same
 * figures every time.
 *
 *   bench_miss_ratio [REQUESTS [KEYS]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../tests/fakes/cache_race.h"

enum { SEED = 20240607, SCAN_PERCENT = 20, SCAN_RUN = 2000 };

/* Shares of what all keys would take, in 1/1000. */
static const unsigned SHARES[] = {20, 100};

static const struct stream {
    const char *name;
    enum cache_race_scan scan;
    unsigned drift_reads, value_bytes_min, value_bytes_max;
} STREAMS[] = {
    {"plain", CACHE_RACE_NO_SCAN, 0, 100, 100},
    {"scans of new keys", CACHE_RACE_SCAN_NEW, 0, 100, 100},
    {"scans of old keys", CACHE_RACE_SCAN_OLD, 0, 100, 100},
    {"popularity drifts", CACHE_RACE_NO_SCAN, 100, 100, 100},
    {"values 20 to 2000 B", CACHE_RACE_NO_SCAN, 0, 20, 2000},
};

static const double EXPONENTS[] = {0.8, 0.99, 1.2};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct sum {
    double logs, worst;
    unsigned count;
};

static void add(struct sum *sum, double ratio) {
    sum->logs += log(ratio);
    sum->worst = ratio > sum->worst ? ratio : sum->worst;
    sum->count++;
}

static void one(const struct cache_race_conf *conf, const char *name, struct sum *all,
                struct sum *again) {
    struct cache_race_result r;
    cache_race_run(conf, &r);
    double ratio = (double)r.misses / (double)r.lru_misses;
    double rest = (double)(r.misses - r.first_reads) / (double)(r.lru_misses - r.first_reads);
    printf("%-19s  %-5.2f  %6.1f  %8.4f  %8.4f  %6.3f  %6.3f  %6.3f\n", name, conf->exponent,
           (double)conf->bytes_max / (1 << 20), (double)r.misses / (double)r.requests,
           (double)r.lru_misses / (double)r.requests, ratio, rest,
           (double)r.ideal_misses / (double)r.lru_misses);
    fflush(stdout);
    add(all, ratio);
    add(again, rest);
}

int main(int argc, char **argv) {
    uint32_t requests = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 6000000;
    uint32_t keys = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1500000;
    struct sum all = {0}, again = {0};
    printf(
        "%u reads of %u keys, the first half is warm-up; scans are %d %% of the reads, in runs "
        "of %d\n\nstream               Zipf   MiB     misses    LRU's     of LRU  again   ideal\n",
        requests, keys, SCAN_PERCENT, SCAN_RUN);
    for (size_t s = 0; s < COUNT(STREAMS); s++) {
        for (size_t e = 0; e < COUNT(EXPONENTS) * COUNT(SHARES); e++) {
            struct cache_race_conf conf = {.seed = SEED,
                                           .keys = keys,
                                           .exponent = EXPONENTS[e / COUNT(SHARES)],
                                           .drift_reads = STREAMS[s].drift_reads,
                                           .scan = STREAMS[s].scan,
                                           .scan_percent = SCAN_PERCENT,
                                           .scan_run = SCAN_RUN,
                                           .value_bytes_min = STREAMS[s].value_bytes_min,
                                           .value_bytes_max = STREAMS[s].value_bytes_max,
                                           .requests = requests,
                                           .warm_up = requests / 2};
            conf.bytes_max = cache_race_bytes(&conf) / 1000 * SHARES[e % COUNT(SHARES)];
            one(&conf, STREAMS[s].name, &all, &again);
        }
    }
    printf("\nof LRU: all misses as a share of LRU's; again: those of keys that were read before; "
           "ideal: as of LRU.\nof LRU, geometric mean %.4f, worst %.3f; again, mean %.3f, worst "
           "%.3f\n",
           exp(all.logs / all.count), all.worst, exp(again.logs / again.count), again.worst);
    return EXIT_SUCCESS;
}
