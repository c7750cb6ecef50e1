/* inbox: what is put in comes out once, in order; what does not fit is counted; nobody is left
 * waiting. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "../../common/buf.h"
#include "../../proxy/inbox.h"

enum { BYTES_MAX = 16, WRITERS = 4, PUTS = 2000 };

static int owner;

static struct inbox *make(size_t bytes_max) {
    struct inbox *inbox = inbox_new(INBOX_INVALIDATIONS, 7, 3, &owner, bytes_max);
    cr_assert_not_null(inbox);
    return inbox;
}

/* Takes what is there; the bytes as text, and how many were lost. */
static void expect_take(struct inbox *inbox, const char *want, uint64_t want_lost) {
    struct buf got;
    uint64_t lost;
    bool any = inbox_take(inbox, &got, &lost);
    cr_assert_eq(any, want[0] != '\0' || want_lost != 0);
    cr_assert(span_equal(span_of(buf_head(&got), buf_len(&got)), span_str(want)), "%.*s, not %s",
              (int)buf_len(&got), buf_head(&got), want);
    cr_assert_eq(lost, want_lost);
    buf_release(&got);
}

Test(inbox, says_whose_it_is) {
    struct inbox *inbox = make(BYTES_MAX);
    cr_assert_eq(inbox_id(inbox), 7);
    cr_assert_eq(inbox_worker(inbox), 3);
    cr_assert_eq(inbox_kind(inbox), INBOX_INVALIDATIONS);
    cr_assert_eq(inbox_owner(inbox), &owner);
    inbox_drop(&inbox);
    cr_assert_null(inbox);
    inbox_drop(&inbox);
}

Test(inbox, wakes_its_worker_once_until_it_looked) {
    struct inbox *inbox = make(BYTES_MAX);
    expect_take(inbox, "", 0);
    cr_assert_eq(inbox_put(inbox, SPAN("ab")), INBOX_WAKE);
    cr_assert_eq(inbox_put(inbox, SPAN("c")), INBOX_WAITS);
    expect_take(inbox, "abc", 0);
    expect_take(inbox, "", 0);
    cr_assert_eq(inbox_put(inbox, SPAN("d")), INBOX_WAKE);
    inbox_unwoken(inbox);
    cr_assert_eq(inbox_put(inbox, SPAN("e")), INBOX_WAKE);
    expect_take(inbox, "de", 0);
    inbox_drop(&inbox);
}

/* Once something is lost all that follows is, so that what is there has no hole. */
Test(inbox, is_bounded_and_counts_what_it_lost) {
    struct inbox *inbox = make(BYTES_MAX);
    inbox_put(inbox, SPAN("0123456789"));
    inbox_put(inbox, SPAN("0123456789"));
    inbox_put(inbox, SPAN("x"));
    expect_take(inbox, "0123456789", 2);
    inbox_put(inbox, SPAN("0123456789"));
    expect_take(inbox, "0123456789", 0);
    inbox_drop(&inbox);
}

Test(inbox, takes_nothing_when_its_owner_left) {
    struct inbox *inbox = make(BYTES_MAX), *other = inbox_hold(inbox);
    inbox_put(inbox, SPAN("a"));
    cr_assert_eq(inbox_owner(other), &owner);
    inbox_close(inbox);
    inbox_drop(&inbox);
    cr_assert_null(inbox_owner(other));
    cr_assert_eq(inbox_put(other, SPAN("b")), INBOX_GONE);
    expect_take(other, "", 0);
    inbox_drop(&other);
}

static void *write_all(void *arg) {
    struct inbox *inbox = arg;
    for (int i = 0; i < PUTS; i++)
        inbox_put(inbox, SPAN("x"));
    inbox_drop(&inbox);
    return NULL;
}

Test(inbox, several_threads_lose_nothing_unseen) {
    struct inbox *inbox = make(64);
    pthread_t threads[WRITERS];
    uint64_t got = 0, lost, lost_all = 0;
    struct buf bytes;
    for (int i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_all, inbox_hold(inbox)), 0);
    for (int i = 0; i < WRITERS; i++) {
        for (int look = 0; look < 100; look++) {
            inbox_take(inbox, &bytes, &lost);
            got += buf_len(&bytes);
            lost_all += lost;
            buf_release(&bytes);
        }
        pthread_join(threads[i], NULL);
    }
    inbox_take(inbox, &bytes, &lost);
    cr_assert_eq(got + buf_len(&bytes) + lost_all + lost, WRITERS * PUTS);
    buf_release(&bytes);
    inbox_drop(&inbox);
}
