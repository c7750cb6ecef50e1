/* near: copies that end before anybody could be given one that is too old. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../common/hash.h"
#include "../../proxy/near.h"

enum { KEEP_US = 100000, QUIET_US = 1000000 };

#define KEY   SPAN("hot")
#define HASH  hash_ring(KEY)
#define VALUE SPAN("$1\r\na\r\n")

static struct near *start(void) {
    static const struct near_conf CONF = {
        .bytes_max = 100, .keep_us = KEEP_US, .quiet_us = QUIET_US};
    return near_new(&CONF);
}

/* The key is hot, and its node says that it has no time to live. */
static void make_fit(struct near *n, struct span key, int64_t now_us) {
    near_want(n, key, hash_ring(key), now_us);
    struct near_ticket probe = near_probe(n, key, hash_ring(key), now_us);
    cr_assert_neq(probe.slot, NEAR_NONE);
    near_probed(n, &probe, true, true);
}

static bool ask_and_put(struct near *n, struct span key, struct span value, int64_t now_us) {
    struct near_ticket ticket = near_ask(n, key, hash_ring(key), now_us);
    return ticket.slot != NEAR_NONE && near_put(n, &ticket, value);
}

static struct near *start_with_copy(void) {
    struct near *n = start();
    make_fit(n, KEY, 0);
    cr_assert(ask_and_put(n, KEY, VALUE, 0));
    return n;
}

static bool has(struct near *n, struct span key, int64_t now_us) {
    struct span value;
    return near_get(n, key, hash_ring(key), now_us, &value);
}

static struct near_figures figures(const struct near *n) {
    struct near_figures f;
    near_figures(n, &f);
    return f;
}

Test(near, gives_what_was_kept_until_its_time_is_over) {
    struct near *n = start_with_copy();
    struct span value;
    cr_assert(near_get(n, KEY, HASH, KEEP_US - 1, &value));
    cr_assert(span_equal(value, VALUE));
    cr_assert_not(near_get(n, KEY, HASH, KEEP_US, &value));
    cr_assert_not(near_get(n, SPAN("other"), hash_ring(SPAN("other")), 0, &value));
    cr_assert(ask_and_put(n, KEY, SPAN("$2\r\nbb\r\n"), KEEP_US)); /* it is still fit */
    cr_assert(near_get(n, KEY, HASH, KEEP_US, &value));
    cr_assert(span_equal(value, SPAN("$2\r\nbb\r\n")));
    cr_assert_eq(figures(n).items, 1);
    cr_assert_eq(figures(n).bytes, value.len);
    cr_assert_eq(figures(n).fills, 2);
    near_free(&n);
    cr_assert_null(n);
}

Test(near, counts_from_when_it_was_asked_for) {
    struct near *n = start();
    make_fit(n, KEY, 0);
    struct near_ticket ticket = near_ask(n, KEY, HASH, 1000);
    cr_assert(near_put(n, &ticket, VALUE)); /* whenever that is */
    cr_assert(has(n, KEY, 1000 + KEEP_US - 1));
    cr_assert_not(has(n, KEY, 1000 + KEEP_US));
    near_free(&n);
}

Test(near, keys_that_are_not_hot_are_not_kept) {
    struct near *n = start();
    cr_assert_eq(near_ask(n, KEY, HASH, 0).slot, NEAR_NONE);
    cr_assert_eq(near_probe(n, KEY, HASH, 0).slot, NEAR_NONE);
    near_stale(n, KEY);
    near_pass(n, HASH, true);
    near_free(&n);
}

Test(near, keys_with_a_time_to_live_are_not_kept) {
    struct near *n = start();
    near_want(n, KEY, HASH, 0);
    cr_assert_eq(near_ask(n, KEY, HASH, 0).slot, NEAR_NONE, "not before it is known");
    struct near_ticket probe = near_probe(n, KEY, HASH, 0);
    cr_assert_neq(probe.slot, NEAR_NONE);
    cr_assert_eq(near_probe(n, KEY, HASH, 0).slot, NEAR_NONE, "it is asked once");
    near_probed(n, &probe, true, false);
    cr_assert_eq(near_ask(n, KEY, HASH, 0).slot, NEAR_NONE);
    cr_assert_eq(near_probe(n, KEY, HASH, INT64_MAX / 2).slot, NEAR_NONE);
    near_stale(n, KEY); /* which it is told of when that changes */
    probe = near_probe(n, KEY, HASH, 0);
    cr_assert_neq(probe.slot, NEAR_NONE);
    near_stale(n, KEY);
    near_probed(n, &probe, true, true);
    cr_assert_eq(near_ask(n, KEY, HASH, 0).slot, NEAR_NONE, "that answer was overtaken");
    near_free(&n);
}

Test(near, a_probe_that_failed_is_tried_again_a_little_later) {
    struct near *n = start();
    near_want(n, KEY, HASH, 0);
    struct near_ticket probe = near_probe(n, KEY, HASH, 0);
    near_probed(n, &probe, false, false);
    cr_assert_eq(near_probe(n, KEY, HASH, 1000).slot, NEAR_NONE);
    cr_assert_neq(near_probe(n, KEY, HASH, 200000).slot, NEAR_NONE);
    near_free(&n);
}

Test(near, what_a_node_says_ends_the_copy_and_answers_under_way) {
    struct near *n = start_with_copy();
    struct near_ticket ticket = near_ask(n, KEY, HASH, 0);
    near_stale(n, SPAN("other"));
    cr_assert(has(n, KEY, 0));
    near_stale(n, KEY);
    cr_assert_not(has(n, KEY, 0));
    cr_assert_not(near_put(n, &ticket, VALUE), "an invalidation before the answer wins");
    cr_assert_not(has(n, KEY, 0));
    cr_assert_eq(near_ask(n, KEY, HASH, 0).slot, NEAR_NONE, "it may have a time to live now");
    cr_assert_eq(figures(n).drops, 1);
    cr_assert_eq(figures(n).bytes, 0);
    near_free(&n);
}

Test(near, a_gap_ends_everything_and_nothing_is_kept_for_a_while) {
    struct near *n = start_with_copy();
    make_fit(n, SPAN("second"), 0);
    struct near_ticket ticket = near_ask(n, SPAN("second"), hash_ring(SPAN("second")), 0);
    near_gap(n, 1000);
    cr_assert_not(has(n, KEY, 1000));
    cr_assert_not(near_put(n, &ticket, VALUE));
    cr_assert_eq(near_probe(n, KEY, HASH, 1000 + QUIET_US - 1).slot, NEAR_NONE);
    make_fit(n, KEY, 1000 + QUIET_US);
    cr_assert(ask_and_put(n, KEY, VALUE, 1000 + QUIET_US));
    near_gap(n, 1000 + QUIET_US);
    near_gap(n, 2000 + QUIET_US); /* the last one counts */
    cr_assert_eq(near_probe(n, KEY, HASH, 1999 + 2 * QUIET_US).slot, NEAR_NONE);
    near_free(&n);
}

Test(near, an_answer_that_passes_by_ends_the_copy) {
    struct near *n = start_with_copy();
    struct near_ticket ticket = near_ask(n, KEY, HASH, 0);
    near_pass(n, HASH + 1, false);
    cr_assert(has(n, KEY, 0));
    near_pass(n, HASH, false); /* somebody has seen more */
    cr_assert_not(has(n, KEY, 0));
    cr_assert(near_put(n, &ticket, VALUE), "what comes after it is no older");
    near_pass_all(n, false);
    cr_assert_not(has(n, KEY, 0));
    cr_assert(ask_and_put(n, KEY, VALUE, 0));
    near_pass(n, HASH, true);
    cr_assert_eq(near_ask(n, KEY, HASH, 0).slot, NEAR_NONE, "a write may set a time to live");
    make_fit(n, KEY, 0);
    cr_assert(ask_and_put(n, KEY, VALUE, 0));
    near_pass_all(n, true);
    cr_assert_not(has(n, KEY, 0));
    near_free(&n);
}

Test(near, bytes_are_bounded) {
    static char long_value[101];
    struct near *n = start_with_copy();
    memset(long_value, 'x', sizeof(long_value));
    cr_assert_not(ask_and_put(n, KEY, span_of(long_value, 101), 0));
    cr_assert(ask_and_put(n, KEY, span_of(long_value, 100), 0));
    make_fit(n, SPAN("second"), 0);
    cr_assert_not(ask_and_put(n, SPAN("second"), VALUE, 0));
    near_stale(n, KEY);
    cr_assert(ask_and_put(n, SPAN("second"), VALUE, 0));
    cr_assert_eq(figures(n).bytes, VALUE.len);
    near_free(&n);
}

Test(near, a_slot_that_nobody_uses_goes_to_another_key) {
    struct near *n = start();
    char name[16];
    for (int i = 0; i < NEAR_SLOTS; i++) {
        snprintf(name, sizeof(name), "k%d", i);
        make_fit(n, span_str(name), i);
        cr_assert_eq(ask_and_put(n, span_str(name), SPAN("$0\r\n\r\n"), i), i < 100 / 6);
    }
    near_want(n, KEY, HASH, 1000000);
    cr_assert_eq(near_probe(n, KEY, HASH, 1000000).slot, NEAR_NONE, "all are in use");
    has(n, SPAN("k0"), 1000000);
    near_want(n, KEY, HASH, 1000002); /* k1 was used longest ago */
    cr_assert_neq(near_probe(n, KEY, HASH, 1000002).slot, NEAR_NONE);
    cr_assert_eq(near_ask(n, SPAN("k1"), hash_ring(SPAN("k1")), 1000002).slot, NEAR_NONE);
    cr_assert_neq(near_ask(n, SPAN("k0"), hash_ring(SPAN("k0")), 1000002).slot, NEAR_NONE);
    cr_assert_eq(figures(n).items, 100 / 6 - 1);
    near_free(&n);
}
