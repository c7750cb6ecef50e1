// needs: fakes/store_fake.c
/* When expired rows are asked for: often enough, never twice at once, and not too fast. */
#include <criterion/criterion.h>

#include "../../node/sweep.h"
#include "../fakes/store_fake.h"

static struct store *store;
static struct sweep sweep;
static uint64_t swept;

static void set_up(void) {
    store = store_fake_new();
    sweep_init(&sweep, store, 1000, 50, &swept);
}

static void tear_down(void) {
    store_fake_free(&store);
}

TestSuite(sweep, .init = set_up, .fini = tear_down);

static void answer(int64_t count) {
    store_fake_answer(store, 0, STORE_OK, &(struct store_answer){.count = count});
}

static bool asks_at(int64_t now_mono_ms) {
    sweep_tick(&sweep, now_mono_ms);
    return store_fake_queries(store) == 1;
}

Test(sweep, asks_for_a_batch_every_interval) {
    cr_assert(asks_at(5000));
    cr_assert_eq(store_fake_query(store, 0)->question, STORE_SWEEP);
    cr_assert_eq(store_fake_query(store, 0)->count_max, 50);
    answer(49);
    cr_assert_not(asks_at(5999));
    cr_assert(asks_at(6000));
    answer(1);
    cr_assert_eq(swept, 50);
}

Test(sweep, hurries_while_batches_are_full) {
    cr_assert(asks_at(5000));
    sweep_tick(&sweep, 5020);
    answer(50);
    cr_assert_not(asks_at(5119));
    cr_assert(asks_at(5120));
    answer(0);
    cr_assert_not(asks_at(6119));
    cr_assert(asks_at(6120));
}

Test(sweep, never_asks_twice_at_once) {
    cr_assert(asks_at(5000));
    cr_assert(asks_at(60000));
    answer(0);
    cr_assert(asks_at(60001));
}

Test(sweep, comes_back_after_a_failure) {
    store_fake_refuse_next(store, STORE_DOWN);
    cr_assert_not(asks_at(5000));
    cr_assert_not(asks_at(5999));
    cr_assert(asks_at(6000));
    store_fake_answer(store, 0, STORE_FAILED, NULL);
    cr_assert(asks_at(7000));
    cr_assert_eq(swept, 0);
}

Test(sweep, may_be_off) {
    sweep_init(&sweep, store, 0, 50, &swept);
    cr_assert_not(asks_at(5000));
    cr_assert_not(asks_at(INT64_MAX));
}
