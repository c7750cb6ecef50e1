/* hotkeys: the workers' tables, summed up. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "../../proxy/hotkeys.h"

enum { WORKERS = 3, S = 1000 * 1000 };

static void add(struct hotkeys *h, unsigned worker, const char *key, uint32_t weight) {
    hotkeys_add(h, worker, S, span_str(key), weight);
}

Test(hotkeys, sums_up_the_workers) {
    struct hotkeys *h = hotkeys_new(WORKERS, 5);
    struct hotkeys_list list;
    cr_assert(hotkeys_list(h, S, &list));
    cr_assert_eq(list.count, 0);
    cr_assert_eq(list.per_second, 0);
    hotkeys_release(&list);
    add(h, 0, "b", 10);
    add(h, 1, "b", 20);
    add(h, 2, "c", 25);
    add(h, 2, "a", 25);
    add(h, 0, "long key that is only here", 1);
    cr_assert(hotkeys_list(h, S, &list));
    static const char *const WANT[] = {"b", "a", "c", "long key that is only here"};
    cr_assert_eq(list.count, 4);
    for (int i = 0; i < 4; i++)
        cr_expect(span_equal(list.rows[i].key, span_str(WANT[i])), "%d: %.*s", i,
                  (int)list.rows[i].key.len, list.rows[i].key.ptr);
    cr_expect_float_eq(list.rows[0].per_second / list.rows[1].per_second, 30.0 / 25, 1e-9);
    cr_expect_float_eq(list.rows[0].per_second / list.per_second, 30.0 / 81, 1e-9);
    cr_expect_float_eq(hotkeys_rate(h, S, SPAN("b")), list.rows[0].per_second, 1e-9);
    cr_expect_eq(hotkeys_rate(h, S, SPAN("none")), 0);
    hotkeys_release(&list);
    hotkeys_free(&h);
    cr_assert_null(h);
}

Test(hotkeys, gaps_are_random_and_as_wide_as_wanted) {
    struct hotkeys *h = hotkeys_new(2, 9);
    double sum = 0;
    bool differs = false;
    for (int i = 0; i < 100000; i++) {
        uint32_t gap = hotkeys_gap(h, 0, 32);
        cr_assert(gap >= 1 && gap <= 63, "%u", gap);
        differs = differs || gap != hotkeys_gap(h, 1, 32);
        sum += gap;
    }
    cr_expect(fabs(sum / 100000 - 32) < 0.3, "%.2f", sum / 100000);
    cr_expect(differs);
    cr_expect_eq(hotkeys_gap(h, 0, 1), 1);
    hotkeys_free(&h);
}

static void *count_up(void *arg) {
    struct hotkeys *h = arg;
    for (int i = 0; i < 20000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i % 1000);
        hotkeys_add(h, 1, S + i, span_str(key), 1);
    }
    return NULL;
}

Test(hotkeys, is_read_while_a_worker_counts) {
    struct hotkeys *h = hotkeys_new(2, 9);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, count_up, h), 0);
    for (int i = 0; i < 50; i++) {
        struct hotkeys_list list;
        cr_assert(hotkeys_list(h, 2 * S, &list));
        for (size_t k = 0; k < list.count; k++)
            cr_assert(list.rows[k].key.len >= 2 && list.rows[k].key.ptr[0] == 'k');
        hotkeys_release(&list);
    }
    pthread_join(thread, NULL);
    hotkeys_free(&h);
}
