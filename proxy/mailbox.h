/*
 * mailbox: how the main thread hands things to a worker: a bounded queue of messages under a lock,
 * and an eventfd that wakes the worker's loop. Never on the request path. Owned by the worker.
 */
#ifndef RINGFENCE_MAILBOX_H
#define RINGFENCE_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct mailbox;

struct mailbox_message {
    int kind;     /* the owner's */
    int fd;       /* a descriptor handed over, or -1 */
    void *object; /* an object handed over, or NULL */
    uint64_t number;
};

/** Runs in the receiving loop, once per message, in order. */
typedef void mailbox_fn(void *ctx, const struct mailbox_message *message);

/** mailbox_new(base, cb, ctx): NULL without memory or descriptors. */
struct mailbox *mailbox_new(struct event_base *base, mailbox_fn *cb, void *ctx);

/** mailbox_free(mailbox): descriptors of unread messages are closed; objects in them are lost, so
 * free only after the sender stopped, and take what must not be lost before. */
void mailbox_free(struct mailbox **mailbox);

/** mailbox_send(mailbox, message): from any thread. Returns false, nothing handed over, when 4,096
 * messages wait; the last 64 places are kept for messages without a descriptor, so that a flood of
 * connections does not keep others out. */
bool mailbox_send(struct mailbox *mailbox, const struct mailbox_message *message);

/** mailbox_take(mailbox, out): the oldest message that waits, instead of the callback; false when
 * there is none. From any thread. */
bool mailbox_take(struct mailbox *mailbox, struct mailbox_message *out);

#endif
