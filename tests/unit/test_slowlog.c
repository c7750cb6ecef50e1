#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../proxy/slowlog.h"
#include "../../proxy/timing.h"

static void add(struct slowlog *log, unsigned worker, int64_t usec, uint64_t max) {
    slowlog_add(log, worker, &(struct slowlog_entry){.usec = usec}, max);
}

Test(slowlog, merges_the_workers_by_age) {
    struct slowlog *log = slowlog_new(3);
    size_t count;
    cr_assert_null(slowlog_get(log, 10, &count));
    cr_assert_eq(count, 0);
    for (int i = 0; i < 9; i++)
        add(log, (unsigned)i * 2 % 3, i, 100);
    cr_assert_eq(slowlog_len(log), 9);
    struct slowlog_entry *all = slowlog_get(log, UINT64_MAX, &count);
    cr_assert_eq(count, 9);
    for (int i = 0; i < 9; i++) {
        cr_assert_eq(all[i].usec, 8 - i);
        cr_assert_eq(all[i].id, (uint64_t)(8 - i));
    }
    free(all);
    all = slowlog_get(log, 4, &count);
    cr_assert_eq(count, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(all[i].usec, 8 - i);
    free(all);
    slowlog_free(&log);
    cr_assert_null(log);
}

Test(slowlog, keeps_the_last_of_each_worker) {
    struct slowlog *log = slowlog_new(2);
    size_t count;
    for (int i = 0; i < 10; i++)
        add(log, 0, i, 3);
    add(log, 1, 100, 3);
    cr_assert_eq(slowlog_len(log), 4);
    struct slowlog_entry *all = slowlog_get(log, 10, &count);
    cr_assert_eq(count, 4);
    cr_assert_eq(all[0].usec, 100);
    cr_assert_eq(all[3].usec, 7);
    free(all);
    add(log, 0, 50, 1); /* the limit was lowered */
    cr_assert_eq(slowlog_len(log), 2);
    add(log, 0, 51, 0);
    cr_assert_eq(slowlog_len(log), 1);
    slowlog_reset(log);
    cr_assert_eq(slowlog_len(log), 0);
    add(log, 0, 1, 3);
    all = slowlog_get(log, 1, &count);
    cr_assert_eq(all[0].id, 13); /* numbers go on */
    free(all);
    slowlog_free(&log);
}

Test(slowlog, keeps_the_beginning_of_a_long_key) {
    struct slowlog_key key;
    char whole[300];
    memset(whole, 'k', sizeof(whole));
    slowlog_key_set(&key, span_of(whole, sizeof(whole)));
    cr_assert_eq(key.len, 300);
    cr_assert_eq(memcmp(key.bytes, whole, SLOWLOG_KEY_BYTES), 0);
    slowlog_key_set(&key, SPAN("abc"));
    cr_assert_eq(key.len, 3);
    cr_assert_eq(memcmp(key.bytes, "abc", 3), 0);
}

Test(timing, buckets_are_powers_of_two) {
    static const struct {
        uint64_t usec;
        unsigned bucket;
    } CASES[] = {{0, 0},     {1, 0},     {2, 1},        {3, 2},        {4, 2},          {5, 3},
                 {1024, 10}, {1025, 11}, {1 << 24, 24}, {1 << 25, 25}, {UINT64_MAX, 25}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        cr_assert_eq(timing_bucket(CASES[i].usec), CASES[i].bucket, "%llu",
                     (unsigned long long)CASES[i].usec);
}

Test(timing, adds_up_and_begins_anew) {
    struct timing *t = calloc(1, sizeof(*t));
    timing_add(&t->rows[COMMAND_GET], 3);
    timing_add(&t->rows[COMMAND_GET], 100);
    cr_assert_eq(stats_get(&t->rows[COMMAND_GET].calls), 2);
    cr_assert_eq(stats_get(&t->rows[COMMAND_GET].usec), 103);
    cr_assert_eq(stats_get(&t->rows[COMMAND_GET].buckets[2]), 1);
    cr_assert_eq(stats_get(&t->rows[COMMAND_GET].buckets[7]), 1);
    cr_assert_eq(stats_get(&t->rows[COMMAND_SET].calls), 0);
    timing_reset(t);
    cr_assert_eq(stats_get(&t->rows[COMMAND_GET].calls), 0);
    cr_assert_eq(stats_get(&t->rows[COMMAND_GET].buckets[7]), 0);
    free(t);
}
