#include <criterion/criterion.h>
#include <pthread.h>

#include "../../proxy/local.h"
#include "../../proxy/registry.h"

static size_t count(struct registry *registry) {
    size_t n = 0;
    registry_lock(registry);
    for (struct local_client *c = registry_first(registry); c != NULL; c = c->next)
        n++;
    registry_unlock(registry);
    return n;
}

Test(registry, starts_empty) {
    struct registry *registry = registry_new();
    cr_assert_null(registry_first(registry));
    registry_free(&registry);
    cr_assert_null(registry);
}

Test(registry, frees_nothing_twice) {
    struct registry *registry = NULL;
    registry_free(&registry);
    cr_assert_null(registry);
}

Test(registry, ids_rise_and_the_list_follows_them) {
    struct registry *registry = registry_new();
    struct local_client c[5] = {0};
    for (int i = 0; i < 5; i++)
        registry_add(registry, &c[i]);
    uint64_t last = 0;
    for (struct local_client *at = registry_first(registry); at != NULL; at = at->next) {
        cr_assert_gt(at->id, last);
        last = at->id;
    }
    cr_assert_eq(count(registry), 5);
    registry_free(&registry);
}

Test(registry, an_id_is_never_given_again) {
    struct registry *registry = registry_new();
    struct local_client a = {0}, b = {0};
    registry_add(registry, &a);
    uint64_t first = a.id;
    registry_remove(registry, &a);
    registry_add(registry, &b);
    cr_assert_gt(b.id, first);
    registry_remove(registry, &b);
    registry_free(&registry);
}

Test(registry, clients_leave_from_any_place) {
    static const int ORDERS[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {1, 2, 0}};
    for (size_t o = 0; o < sizeof(ORDERS) / sizeof(ORDERS[0]); o++) {
        struct registry *registry = registry_new();
        struct local_client c[3] = {0}, late = {0};
        for (int i = 0; i < 3; i++)
            registry_add(registry, &c[i]);
        for (int i = 0; i < 3; i++) {
            registry_remove(registry, &c[ORDERS[o][i]]);
            cr_assert_eq(count(registry), (size_t)(2 - i), "order %zu", o);
        }
        registry_add(registry, &late);
        cr_assert_eq(registry_first(registry), &late, "order %zu", o);
        cr_assert_null(late.next);
        cr_assert_null(late.prev);
        registry_free(&registry);
    }
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *come_and_go(void *registry) {
    struct local_client a = {0}, b = {0};
    for (int i = 0; i < ROUNDS; i++) {
        registry_add(registry, &a);
        registry_add(registry, &b);
        registry_remove(registry, &a);
        registry_remove(registry, &b);
    }
    return NULL;
}

Test(registry, workers_come_and_go_at_once, .timeout = 60) {
    struct registry *registry = registry_new();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, registry), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_null(registry_first(registry));
    struct local_client last = {0};
    registry_add(registry, &last);
    cr_assert_eq(last.id, 2 * THREADS * ROUNDS + 1);
    registry_free(&registry);
}
