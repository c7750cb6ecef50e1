#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "../../proxy/mailbox.h"

enum { KEPT = 8192, SENDERS = 4, EACH = 5000 };

struct got {
    struct event_base *base;
    struct mailbox *mailbox;
    unsigned count, stop_at;
    struct mailbox_message messages[KEPT];
    uint64_t last[SENDERS];
    bool in_order;
};

static void on_message(void *ctx, const struct mailbox_message *message) {
    struct got *got = ctx;
    if (got->count < KEPT)
        got->messages[got->count] = *message;
    if (message->kind < SENDERS) {
        got->in_order = got->in_order && message->number == got->last[message->kind] + 1;
        got->last[message->kind] = message->number;
    }
    if (++got->count == got->stop_at)
        event_base_loopbreak(got->base);
}

static struct got *start(void) {
    static struct got got;
    memset(&got, 0, sizeof(got));
    got.in_order = true;
    got.base = event_base_new();
    got.mailbox = mailbox_new(got.base, on_message, &got);
    cr_assert_not_null(got.mailbox);
    return &got;
}

static void stop(struct got *got) {
    mailbox_free(&got->mailbox);
    cr_assert_null(got->mailbox);
    event_base_free(got->base);
}

static bool send_number(struct mailbox *m, int kind, uint64_t number) {
    return mailbox_send(m, &(struct mailbox_message){.kind = kind, .fd = -1, .number = number});
}

Test(mailbox, delivers_from_the_loop_and_never_from_the_call) {
    struct got *got = start();
    cr_assert(send_number(got->mailbox, 1, 1));
    cr_assert_eq(got->count, 0);
    event_base_loop(got->base, EVLOOP_NONBLOCK);
    cr_assert_eq(got->count, 1);
    stop(got);
}

Test(mailbox, delivers_all_that_was_sent_in_order_and_whole) {
    struct got *got = start();
    int object;
    for (unsigned i = 1; i <= 100; i++)
        mailbox_send(got->mailbox, &(struct mailbox_message){
                                       .kind = 2, .fd = -1, .object = &object, .number = i});
    event_base_loop(got->base, EVLOOP_NONBLOCK);
    cr_assert_eq(got->count, 100);
    cr_assert(got->in_order);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(got->messages[i].object, &object);
        cr_assert_eq(got->messages[i].fd, -1);
        cr_assert_eq(got->messages[i].number, i + 1);
    }
    stop(got);
}

Test(mailbox, refuses_when_it_is_full_and_hands_nothing_over) {
    struct got *got = start();
    unsigned taken = 0;
    while (taken < KEPT && send_number(got->mailbox, 1, taken + 1))
        taken++;
    cr_assert_eq(taken, 4096);
    cr_assert_not(send_number(got->mailbox, 1, 99999));
    event_base_loop(got->base, EVLOOP_NONBLOCK);
    cr_assert_eq(got->count, 4096);
    cr_assert(got->in_order);
    cr_assert(send_number(got->mailbox, 1, 4097)); /* and there is room again */
    stop(got);
}

/* A flood of connections must not keep a ring, a drain or a stop from arriving. */
Test(mailbox, keeps_room_for_messages_without_a_descriptor) {
    struct got *got = start();
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    unsigned taken = 0;
    while (taken < KEPT &&
           mailbox_send(got->mailbox, &(struct mailbox_message){.kind = 1, .fd = dup(fd)}))
        taken++;
    cr_assert_lt(taken, 4096);
    cr_assert(send_number(got->mailbox, 2, 1));
    close(fd);
    stop(got);
}

Test(mailbox, closes_the_descriptors_that_nobody_took) {
    struct got *got = start();
    int pipe_fds[2];
    cr_assert_eq(pipe(pipe_fds), 0);
    mailbox_send(got->mailbox, &(struct mailbox_message){.kind = 1, .fd = pipe_fds[1]});
    stop(got);
    char byte;
    cr_assert_eq(read(pipe_fds[0], &byte, 1), 0); /* its end: the writer is closed */
    close(pipe_fds[0]);
}

Test(mailbox, what_nobody_took_can_be_taken_before_it_is_freed) {
    struct got *got = start();
    int object;
    struct mailbox_message message;
    mailbox_send(got->mailbox, &(struct mailbox_message){.kind = 5, .fd = -1, .object = &object});
    cr_assert(mailbox_take(got->mailbox, &message));
    cr_assert_eq(message.object, &object);
    cr_assert_not(mailbox_take(got->mailbox, &message));
    event_base_loop(got->base, EVLOOP_NONBLOCK);
    cr_assert_eq(got->count, 0);
    stop(got);
}

struct sender {
    struct mailbox *mailbox;
    int kind;
};

static void *send_many(void *arg) {
    struct sender *s = arg;
    for (uint64_t i = 1; i <= EACH;) {
        if (send_number(s->mailbox, s->kind, i))
            i++;
        else
            sched_yield(); /* full: the receiver is at work */
    }
    return NULL;
}

Test(mailbox, senders_on_other_threads_lose_nothing, .timeout = 60) {
    struct got *got = start();
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    got->stop_at = SENDERS * EACH;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){got->mailbox, i};
        cr_assert_eq(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    event_base_loop(got->base, EVLOOP_NO_EXIT_ON_EMPTY);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(got->count, SENDERS * EACH);
    cr_assert(got->in_order);
    stop(got);
}
