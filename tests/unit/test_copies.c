/* What an MGET takes from near, and what its answers do to it. */
#include <criterion/criterion.h>

#include "../../common/hash.h"
#include "../../proxy/copies.h"
#include "../../proxy/near.h"

enum { SECOND_US = 1000 * 1000 };

static struct near *near;

static void set_up(void) {
    near = near_new(
        &(struct near_conf){.bytes_max = 1000, .keep_us = SECOND_US, .quiet_us = SECOND_US});
}

static void tear_down(void) {
    near_free(&near);
}

TestSuite(copies, .init = set_up, .fini = tear_down);

/* A hot key whose answers may be kept. */
static struct near_ticket ticket_of(struct span key) {
    uint64_t hash = hash_ring(key);
    near_want(near, key, hash, 1);
    struct near_ticket probe = near_probe(near, key, hash, 1);
    near_probed(near, &probe, true, true);
    return near_ask(near, key, hash, 2);
}

static bool has(struct span key, struct span want) {
    struct span value;
    return near_get(near, key, hash_ring(key), 3, &value) && span_equal(value, want);
}

Test(copies, values_are_its_own) {
    struct copies *c = copies_new(near, 3);
    char text[] = "$1\r\na\r\n";
    cr_assert(copies_take(c, 2, span_str(text)));
    text[4] = 'x';
    cr_assert(copies_take(c, 0, SPAN("$2\r\nbc\r\n")));
    cr_assert_eq(copies_taken(c), 2);
    cr_assert(span_equal(copies_value(c, 2), SPAN("$1\r\na\r\n")));
    cr_assert(span_equal(copies_value(c, 0), SPAN("$2\r\nbc\r\n")));
    cr_assert_null(copies_value(c, 1).ptr);
    cr_assert_null(copies_value(NULL, 1).ptr);
    cr_assert_eq(copies_taken(NULL), 0);
    copies_free(&c);
    copies_free(&c);
}

Test(copies, an_answer_is_kept_or_ends_the_copy) {
    static const struct {
        struct span element;
        bool in_order, kept;
    } CASES[] = {
        {SPAN("$3\r\nnew\r\n"), true, true},
        {SPAN("$3\r\nnew\r\n"), false, false},
        {SPAN("_\r\n"), true, false},
    };
    const struct span key = SPAN("k"), old = SPAN("$3\r\nold\r\n");
    const struct near_ticket ticket = ticket_of(key);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct copies *c = copies_new(near, 1);
        cr_assert(near_put(near, &ticket, old));
        copies_ask(c, 0, hash_ring(key), &ticket);
        copies_answered(c, 0, CASES[i].element, CASES[i].in_order);
        cr_expect_eq(has(key, CASES[i].element), CASES[i].kept, "case %zu", i);
        cr_expect_not(has(key, old), "case %zu", i);
        copies_free(&c);
    }
}

/* It became hot after it was asked for. */
Test(copies, an_answer_without_a_ticket_ends_the_copy) {
    const struct span key = SPAN("k");
    const struct near_ticket none = {.slot = NEAR_NONE}, ticket = ticket_of(key);
    struct copies *c = copies_new(near, 1);
    copies_ask(c, 0, hash_ring(key), &none);
    cr_assert(near_put(near, &ticket, SPAN("$1\r\na\r\n")));
    copies_answered(c, 0, SPAN("$1\r\nb\r\n"), true);
    cr_assert_not(has(key, SPAN("$1\r\na\r\n")));
    copies_free(&c);
}
