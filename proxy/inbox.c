#include "inbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../common/buf.h"

struct inbox {
    enum inbox_kind kind;
    unsigned worker;
    uint64_t id;
    void *owner; /* NULL: it left. Set by its worker alone, under the lock */
    atomic_uint references;
    pthread_mutex_t lock; /* of what follows */
    struct buf bytes;
    uint64_t lost;
    bool woken;
};

struct inbox *inbox_new(enum inbox_kind kind, uint64_t id, unsigned worker, void *owner,
                        size_t bytes_max) {
    struct inbox *inbox = calloc(1, sizeof(*inbox));
    if (inbox == NULL)
        return NULL;
    if (pthread_mutex_init(&inbox->lock, NULL) != 0) {
        free(inbox);
        return NULL;
    }
    inbox->kind = kind;
    inbox->id = id;
    inbox->worker = worker;
    inbox->owner = owner;
    atomic_init(&inbox->references, 1);
    buf_init(&inbox->bytes, bytes_max);
    return inbox;
}

struct inbox *inbox_hold(struct inbox *inbox) {
    if (inbox != NULL)
        atomic_fetch_add(&inbox->references, 1);
    return inbox;
}

void inbox_drop(struct inbox **pointer) {
    struct inbox *inbox = *pointer;
    *pointer = NULL;
    if (inbox == NULL || atomic_fetch_sub(&inbox->references, 1) != 1)
        return;
    buf_release(&inbox->bytes);
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

enum inbox_kind inbox_kind(const struct inbox *inbox) {
    return inbox->kind;
}

uint64_t inbox_id(const struct inbox *inbox) {
    return inbox->id;
}

unsigned inbox_worker(const struct inbox *inbox) {
    return inbox->worker;
}

void inbox_close(struct inbox *inbox) {
    pthread_mutex_lock(&inbox->lock);
    inbox->owner = NULL;
    buf_release(&inbox->bytes);
    inbox->lost = 0;
    pthread_mutex_unlock(&inbox->lock);
}

void *inbox_owner(const struct inbox *inbox) {
    return inbox->owner;
}

enum inbox_put inbox_put(struct inbox *inbox, struct span bytes) {
    enum inbox_put result = INBOX_GONE;
    pthread_mutex_lock(&inbox->lock);
    if (inbox->owner != NULL) {
        if (inbox->lost == 0)
            buf_append_span(&inbox->bytes, bytes);
        inbox->lost += inbox->bytes.failed; /* which stays until it was taken: order is kept */
        result = inbox->woken ? INBOX_WAITS : INBOX_WAKE;
        inbox->woken = true;
    }
    pthread_mutex_unlock(&inbox->lock);
    return result;
}

void inbox_unwoken(struct inbox *inbox) {
    pthread_mutex_lock(&inbox->lock);
    inbox->woken = false;
    pthread_mutex_unlock(&inbox->lock);
}

bool inbox_take(struct inbox *inbox, struct buf *out, uint64_t *lost) {
    pthread_mutex_lock(&inbox->lock);
    size_t bytes_max = inbox->bytes.bytes_max;
    *out = inbox->bytes;
    *lost = inbox->lost;
    buf_init(&inbox->bytes, bytes_max);
    inbox->lost = 0;
    inbox->woken = false;
    pthread_mutex_unlock(&inbox->lock);
    out->failed = false;
    return buf_len(out) != 0 || *lost != 0;
}
