#include "mailbox.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MESSAGES_MAX = 4096, WITHOUT_FD_ONLY = 64 };

struct mailbox {
    pthread_mutex_t lock;
    struct mailbox_message *messages; /* [MESSAGES_MAX], a ring */
    unsigned first, count;
    int fd;
    struct event *wake;
    mailbox_fn *cb;
    void *ctx;
};

bool mailbox_take(struct mailbox *m, struct mailbox_message *out) {
    pthread_mutex_lock(&m->lock);
    bool any = m->count != 0;
    if (any) {
        *out = m->messages[m->first];
        m->first = (m->first + 1) % MESSAGES_MAX;
        m->count--;
    }
    pthread_mutex_unlock(&m->lock);
    return any;
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
    struct mailbox *m = arg;
    eventfd_t ignored;
    eventfd_read(fd, &ignored);
    struct mailbox_message message;
    while (mailbox_take(m, &message))
        m->cb(m->ctx, &message);
}

struct mailbox *mailbox_new(struct event_base *base, mailbox_fn *cb, void *ctx) {
    struct mailbox *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    m->cb = cb;
    m->ctx = ctx;
    m->messages = calloc(MESSAGES_MAX, sizeof(*m->messages));
    m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->wake = m->fd < 0 ? NULL : event_new(base, m->fd, EV_READ | EV_PERSIST, on_wake, m);
    if (m->messages == NULL || m->wake == NULL || event_add(m->wake, NULL) != 0)
        mailbox_free(&m);
    return m;
}

void mailbox_free(struct mailbox **pointer) {
    struct mailbox *m = *pointer;
    *pointer = NULL;
    if (m == NULL)
        return;
    struct mailbox_message message;
    while (mailbox_take(m, &message)) {
        if (message.fd >= 0)
            close(message.fd);
    }
    if (m->wake != NULL)
        event_free(m->wake);
    if (m->fd >= 0)
        close(m->fd);
    pthread_mutex_destroy(&m->lock);
    free(m->messages);
    free(m);
}

bool mailbox_send(struct mailbox *m, const struct mailbox_message *message) {
    pthread_mutex_lock(&m->lock);
    bool room = m->count < MESSAGES_MAX - (message->fd >= 0 ? WITHOUT_FD_ONLY : 0);
    if (room)
        m->messages[(m->first + m->count++) % MESSAGES_MAX] = *message;
    pthread_mutex_unlock(&m->lock);
    if (room)
        eventfd_write(m->fd, 1);
    return room;
}
