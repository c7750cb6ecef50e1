#include <criterion/criterion.h>
#include <event2/event.h>

#include "../../common/clock.h"
#include "../../common/tick.h"

static struct event_base *base;
static struct tick *tick;
static unsigned calls;
static bool rests, held_up;

static bool on_tick(void *ctx, bool late) {
    held_up = late;
    calls++;
    return rests;
}

static void set_up(void) {
    base = event_base_new();
    tick = tick_new(base, on_tick, NULL);
    cr_assert_not_null(tick);
}

static void tear_down(void) {
    tick_free(&tick);
    event_base_free(base);
}

TestSuite(tick, .init = set_up, .fini = tear_down);

/* Turns until the next call. What is too late is the machine's; only too early is ours. */
static void await_call(void) {
    unsigned before = calls;
    while (calls == before)
        cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 0, "nothing is armed");
}

/* libevent's clock is a coarse one: a single gap may be some milliseconds short, several are not.
 */
static void come(unsigned times, int64_t gap_ms) {
    int64_t began_us = clock_mono_us();
    for (unsigned i = 1; i <= times; i++) {
        await_call();
        cr_assert_eq(calls, i);
    }
    cr_assert_geq(clock_mono_us() - began_us, times * gap_ms * 1000 / 2);
}

Test(tick, comes_again_and_again_while_somebody_waits) {
    come(20, TICK_MS);
}

Test(tick, takes_its_time_at_rest) {
    rests = true;
    await_call();
    calls = 0;
    come(5, TICK_AT_REST_MS);
}

/* The next call comes before a timer of half a rest, armed after it: however late both are, those
 * that are due come in their order. */
static void on_slow(evutil_socket_t fd, short what, void *arg) {
    const unsigned *before = arg;
    cr_assert_neq(calls, *before, "it slept on");
}

static void await_quick_call(void) {
    unsigned before = calls;
    struct event *slow = evtimer_new(base, on_slow, &before);
    const struct timeval in = {0, TICK_AT_REST_MS * 1000 / 2};
    evtimer_add(slow, &in);
    await_call();
    event_free(slow);
}

Test(tick, is_quick_again_when_it_is_woken) {
    rests = true;
    await_call();
    tick_wake(tick);
    await_quick_call();
}

/* It must not be put off by those who begin to wait. */
Test(tick, woken_again_and_again_it_comes_all_the_same) {
    int64_t until_us = clock_mono_us() + 10 * 1000000;
    while (calls < 3) {
        tick_wake(tick);
        event_base_loop(base, EVLOOP_NONBLOCK);
        cr_assert_lt(clock_mono_us(), until_us, "it was put off");
    }
}

/* What came while the process did not run is not read yet: nobody may be given up for it. */
Test(tick, says_once_that_it_was_held_up) {
    rests = true;
    await_call();
    cr_assert_not(held_up);
    int64_t until_us = clock_mono_us() + (TICK_AT_REST_MS + TICK_HELD_UP_MS + 50) * 1000;
    while (clock_mono_us() < until_us)
        ;
    await_call();
    cr_assert(held_up);
    await_quick_call();
    cr_assert_not(held_up);
}

Test(tick, freed_it_comes_no_more) {
    tick_free(&tick);
    cr_assert_null(tick);
    cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 1, "something is armed");
    cr_assert_eq(calls, 0);
}
