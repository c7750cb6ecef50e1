/* pause: what is held back, and until when. */
#include <criterion/criterion.h>

#include "../../proxy/pause.h"

static struct pause p;

static void begin(void) {
    cr_assert(pause_init(&p));
}

static void end(void) {
    pause_release(&p);
}

TestSuite(pause, .init = begin, .fini = end);

/* At `now_us`: this is held back, and for so long. */
static void expect(int64_t now_us, enum pause_kind kind, int64_t left_us) {
    int64_t left;
    cr_assert_eq(pause_now(&p, now_us, &left), kind, "at %lld", (long long)now_us);
    cr_assert_eq(left, left_us, "at %lld: %lld", (long long)now_us, (long long)left);
    cr_assert_eq(pause_mask(&p), kind == PAUSE_NONE ? 0 : SIZE_MAX);
}

Test(pause, lasts_until_its_end) {
    expect(100, PAUSE_NONE, 0);
    pause_begin(&p, PAUSE_WRITE, 100, 300);
    expect(100, PAUSE_WRITE, 200);
    expect(299, PAUSE_WRITE, 1);
    expect(300, PAUSE_NONE, 0);
    expect(200, PAUSE_NONE, 0);
}

Test(pause, the_stricter_one_and_the_later_end_count) {
    pause_begin(&p, PAUSE_WRITE, 100, 500);
    pause_begin(&p, PAUSE_ALL, 100, 300);
    expect(100, PAUSE_ALL, 400);
    pause_begin(&p, PAUSE_WRITE, 200, 600);
    expect(200, PAUSE_ALL, 400);
    pause_begin(&p, PAUSE_WRITE, 600, 700); /* the one before is over */
    expect(600, PAUSE_WRITE, 100);
}

Test(pause, no_time_is_no_pause) {
    pause_begin(&p, PAUSE_ALL, 100, 100);
    expect(100, PAUSE_NONE, 0);
}

Test(pause, is_ended_and_can_begin_again) {
    pause_begin(&p, PAUSE_ALL, 100, 500);
    pause_end(&p);
    expect(100, PAUSE_NONE, 0);
    pause_begin(&p, PAUSE_WRITE, 100, 500);
    expect(100, PAUSE_WRITE, 400);
}

Test(pause, is_finished_for_good) {
    pause_begin(&p, PAUSE_ALL, 100, 500);
    pause_finish(&p);
    expect(100, PAUSE_NONE, 0);
    pause_begin(&p, PAUSE_ALL, 100, 500);
    expect(100, PAUSE_NONE, 0);
}
