/* What one client has said towards a transaction. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../../proxy/multi.h"

static const struct multi_limits LIMITS = {.commands_max = 3, .bytes_max = 400};

static enum multi_result queue(struct multi *m, const char *a, const char *b) {
    const struct span words[] = {span_str(a), span_str(b)};
    return multi_queue(m, &LIMITS, words, 2);
}

Test(multi, commands_come_back_in_their_order) {
    struct multi m;
    struct multi_walk walk;
    struct resp_request in;
    multi_init(&m);
    cr_assert_eq(queue(&m, "GET", "a"), MULTI_OK);
    cr_assert_eq(queue(&m, "GET", "b\r\n$1\r\n"), MULTI_OK);
    multi_walk_begin(&walk, span_of(buf_head(&m.commands), buf_len(&m.commands)));
    cr_assert(multi_walk_next(&walk, &in) && in.argc == 2 && span_equal(in.argv[1], SPAN("a")));
    cr_assert(multi_walk_next(&walk, &in) && span_equal(in.argv[1], SPAN("b\r\n$1\r\n")));
    cr_assert_not(multi_walk_next(&walk, &in));
    multi_walk_end(&walk);
    multi_clear(&m);
    cr_assert_eq(m.count, 0);
}

Test(multi, too_many_commands_break_it_and_no_more_are_kept) {
    struct multi m;
    multi_init(&m);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(queue(&m, "GET", "a"), MULTI_OK);
    size_t len = buf_len(&m.commands);
    cr_assert_eq(queue(&m, "GET", "a"), MULTI_TOO_MANY);
    cr_assert(m.broken);
    cr_assert_eq(queue(&m, "GET", "a"), MULTI_OK);
    cr_assert_eq(buf_len(&m.commands), len);
    multi_clear(&m);
    cr_assert_not(m.broken);
}

Test(multi, too_many_bytes_break_it) {
    struct multi m;
    char text[401] = {0};
    multi_init(&m);
    memset(text, 'x', sizeof(text) - 1);
    cr_assert_eq(queue(&m, "GET", text), MULTI_TOO_LONG);
    cr_assert(m.broken && m.count == 0);
    multi_clear(&m);
}

Test(multi, a_key_is_watched_as_it_was_first_seen) {
    struct multi m;
    struct buf out;
    multi_init(&m);
    buf_init(&out, 0);
    cr_assert(multi_watch(&m, SPAN("a"), 7, true));
    cr_assert(multi_watch(&m, SPAN("b"), 0, false));
    cr_assert(multi_watch(&m, SPAN("a"), 9, true));
    cr_assert_eq(m.watched, 2);
    multi_write_watches(&m, &out);
    cr_assert(span_equal(span_of(buf_head(&out), buf_len(&out)),
                         SPAN("*3\r\n$1\r\na\r\n$1\r\n7\r\n$1\r\n1\r\n"
                              "*3\r\n$1\r\nb\r\n$1\r\n0\r\n$1\r\n0\r\n")));
    buf_release(&out);
    multi_clear(&m);
    cr_assert_eq(m.watched, 0);
}

Test(multi, many_keys_are_watched) {
    struct multi m;
    char key[16];
    multi_init(&m);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        cr_assert(multi_watch(&m, span_str(key), (uint64_t)i, true));
    }
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(m.watches[i].version, i);
    m.watches_asked = 1;
    multi_clear(&m);
    cr_assert_eq(m.watches_asked, 1); /* whoever asked still counts */
}
