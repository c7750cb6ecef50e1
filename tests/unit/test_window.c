#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../proxy/window.h"

static int items[1000];

static struct window *start(void) {
    static struct window w;
    window_init(&w);
    return &w;
}

Test(window, an_empty_one_gives_nothing) {
    struct window *w = start();
    cr_assert_null(window_first(w));
    cr_assert_null(window_pop(w));
    cr_assert_null(window_take(w, 0));
    cr_assert_null(window_take(w, 1));
    cr_assert_eq(w->held, 0);
    window_release(w);
}

Test(window, numbers_begin_at_1_and_have_no_gap) {
    struct window *w = start();
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(w->end, (uint64_t)i + 1);
        cr_assert(window_push(w, &items[i]));
    }
    for (int i = 0; i < 200; i++)
        cr_assert_eq(window_take(w, (uint64_t)i + 1), &items[i], "number %d", i + 1);
    cr_assert_eq(w->held, 0);
    window_release(w);
}

Test(window, pop_gives_the_oldest_first) {
    struct window *w = start();
    for (int i = 0; i < 3; i++)
        window_push(w, &items[i]);
    cr_assert_eq(window_first(w), &items[0]);
    cr_assert_eq(window_pop(w), &items[0]);
    cr_assert_eq(window_pop(w), &items[1]);
    cr_assert_eq(window_first(w), &items[2]);
    cr_assert_eq(window_pop(w), &items[2]);
    cr_assert_null(window_pop(w));
    window_release(w);
}

Test(window, what_was_taken_is_not_given_again) {
    struct window *w = start();
    window_push(w, &items[0]);
    window_push(w, &items[1]);
    cr_assert_eq(window_take(w, 2), &items[1]);
    cr_assert_null(window_take(w, 2));
    cr_assert_eq(window_pop(w), &items[0]);
    cr_assert_null(window_take(w, 1));
    cr_assert_eq(w->held, 0);
    window_release(w);
}

Test(window, the_oldest_is_one_that_is_there) {
    struct window *w = start();
    for (int i = 0; i < 4; i++)
        window_push(w, &items[i]);
    window_take(w, 2);
    window_take(w, 1); /* and 2 with it */
    cr_assert_eq(window_first(w), &items[2]);
    cr_assert_eq(w->first, 3);
    window_release(w);
}

Test(window, a_number_is_never_used_twice) {
    struct window *w = start();
    for (int i = 0; i < 500; i++) { /* far beyond its capacity, which wraps */
        window_push(w, &items[i]);
        cr_assert_null(window_take(w, (uint64_t)i)); /* long gone */
        cr_assert_eq(window_take(w, (uint64_t)i + 1), &items[i]);
    }
    cr_assert_leq(w->capacity, 64, "a window of one item grew to %u", w->capacity);
    window_release(w);
}

Test(window, does_not_grow_while_only_young_items_are_held) {
    struct window *w = start();
    for (int i = 0; i < 1000; i++) {
        window_push(w, &items[i]);
        if (i >= 32)
            window_pop(w);
    }
    cr_assert_eq(w->capacity, 64);
    window_release(w);
}

/* Against a plain array, through every growth and every order of taking. */
Test(window, does_as_a_plain_array_does) {
    enum { STEPS = 20000 };
    struct window *w = start();
    static bool there[STEPS + 2];
    uint64_t end = 1;
    uint32_t held = 0;
    unsigned seed = 7;
    for (int step = 0; step < STEPS; step++) {
        if (rand_r(&seed) % 100 < 52) {
            cr_assert(window_push(w, &items[end % 1000]));
            there[end++] = true;
            held++;
        } else {
            uint64_t oldest = w->first;
            uint64_t n = oldest + (uint64_t)rand_r(&seed) % (end - oldest + 1);
            void *got = window_take(w, n);
            bool was = n < end && there[n];
            cr_assert_eq(got, was ? &items[n % 1000] : NULL, "step %d number %llu", step,
                         (unsigned long long)n);
            there[n] = false;
            held -= was;
        }
        cr_assert_eq(w->held, held);
        cr_assert_eq(w->end, end);
        if (held != 0)
            cr_assert(there[w->first], "step %d", step);
    }
    window_release(w);
}

Test(window, is_usable_again_once_released) {
    struct window *w = start();
    window_push(w, &items[0]);
    window_release(w);
    cr_assert_null(window_first(w));
    cr_assert(window_push(w, &items[1]));
    cr_assert_eq(window_take(w, 1), &items[1]);
    window_release(w);
}
