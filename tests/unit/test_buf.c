#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../common/buf.h"

Test(buf, holds_no_memory_before_the_first_byte_and_after_release) {
    struct buf b;
    buf_init(&b, 0);
    cr_assert_null(b.data);
    buf_append(&b, "", 0);
    cr_assert_eq(buf_len(&b), 0u);
    cr_assert_not(b.failed);
    buf_append(&b, "abc", 3);
    cr_assert_not_null(b.data);
    buf_release(&b);
    cr_assert_null(b.data);
    cr_assert_eq(buf_len(&b), 0u);
}

Test(buf, gives_bytes_back_in_their_order) {
    struct buf b;
    buf_init(&b, 0);
    buf_append(&b, "hello, ", 7);
    buf_append_span(&b, SPAN("wor\0ld"));
    cr_assert_eq(buf_len(&b), 13u);
    buf_consume(&b, 7);
    cr_assert_eq(buf_len(&b), 6u);
    cr_assert_eq(memcmp(buf_head(&b), "wor\0ld", 6), 0);
    buf_consume(&b, 6);
    cr_assert_eq(buf_len(&b), 0u);
    cr_assert_eq(b.head, 0u, "an empty buffer begins at its front again");
    buf_release(&b);
}

/* Random appends and consumes against a plain array. */
Test(buf, behaves_as_a_queue_of_bytes) {
    enum { MODEL = 1 << 22 };
    char *model = malloc(MODEL);
    size_t head = 0, tail = 0;
    uint64_t state = 3;
    struct buf b;
    buf_init(&b, 0);
    while (tail + 5000 < MODEL) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t n = (size_t)(state >> 33) % (state >> 60 == 0 ? 5000 : 200);
        if ((state >> 32 & 1) != 0) {
            for (size_t i = 0; i < n; i++)
                model[tail + i] = (char)(tail + i * 7);
            if ((state >> 31 & 1) != 0) {
                buf_append(&b, model + tail, n);
            } else {
                char *to = buf_reserve(&b, n + 100);
                cr_assert_not_null(to);
                memcpy(to, model + tail, n);
                buf_commit(&b, n);
            }
            tail += n;
        } else {
            n = n < tail - head ? n : tail - head;
            buf_consume(&b, n);
            head += n;
        }
        cr_assert_eq(buf_len(&b), tail - head);
        cr_assert(b.tail <= b.cap);
        if (tail != head)
            cr_assert_eq(memcmp(buf_head(&b), model + head, tail - head), 0, "at %zu", head);
    }
    buf_release(&b);
    free(model);
}

Test(buf, takes_exactly_what_its_limit_allows) {
    struct buf b;
    buf_init(&b, 10);
    buf_append(&b, "0123456789", 10);
    cr_assert_not(b.failed);
    buf_consume(&b, 4);
    buf_append(&b, "abcd", 4);
    cr_assert_not(b.failed, "the limit is on what is held");
    cr_assert_eq(memcmp(buf_head(&b), "456789abcd", 10), 0);
    buf_append(&b, "x", 1);
    cr_assert(b.failed);
    cr_assert_eq(buf_len(&b), 10u, "the bytes that did not fit are dropped whole");
    buf_release(&b);
}

Test(buf, stays_failed_until_it_is_released) {
    struct buf b;
    buf_init(&b, 4);
    buf_append(&b, "abc", 3);
    buf_append(&b, "de", 2);
    cr_assert(b.failed);
    buf_consume(&b, 3);
    buf_append(&b, "f", 1);
    cr_assert_eq(buf_len(&b), 0u, "a hole in the stream is worse than its end");
    cr_assert_null(buf_reserve(&b, 1));
    buf_release(&b);
    cr_assert_not(b.failed);
    buf_append(&b, "abcd", 4);
    cr_assert_eq(buf_len(&b), 4u);
    buf_append(&b, "e", 1);
    cr_assert(b.failed, "the limit outlives a release");
    buf_release(&b);
}

Test(buf, refuses_lengths_that_would_wrap) {
    static const size_t HUGE_ONES[] = {SIZE_MAX, SIZE_MAX - 2, SIZE_MAX / 2, SIZE_MAX / 4 + 1};
    for (size_t limit = 0; limit <= 100; limit += 100) {
        for (size_t i = 0; i < sizeof(HUGE_ONES) / sizeof(HUGE_ONES[0]); i++) {
            struct buf b;
            buf_init(&b, limit);
            buf_append(&b, "abc", 3);
            cr_assert_null(buf_reserve(&b, HUGE_ONES[i]));
            cr_assert(b.failed);
            cr_assert_eq(buf_len(&b), 3u);
            buf_release(&b);
        }
    }
}

/* A stream that is never quite read to its end runs on in the same memory. */
Test(buf, does_not_grow_while_bytes_pass_through) {
    struct buf b;
    char block[100] = {0};
    buf_init(&b, 0);
    buf_append(&b, "x", 1);
    for (int i = 0; i < 100000; i++) {
        buf_append(&b, block, sizeof(block));
        buf_consume(&b, sizeof(block));
        cr_assert_eq(buf_len(&b), 1u);
    }
    cr_assert_leq(b.cap, 512u);
    buf_release(&b);
}

Test(buf, grows_by_doubling) {
    struct buf b;
    buf_init(&b, 0);
    size_t growths = 0, cap = 0;
    for (int i = 0; i < 1 << 20; i++) {
        buf_append(&b, "x", 1);
        growths += b.cap != cap;
        cap = b.cap;
    }
    cr_assert_eq(buf_len(&b), (size_t)1 << 20);
    cr_assert_leq(growths, 12u);
    buf_release(&b);
}
