#include "monitor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inbox.h"

struct monitor {
    pthread_mutex_t lock;
    atomic_uint count;
    struct inbox *inboxes[MONITORS_MAX];
};

struct monitor *monitor_new(void) {
    struct monitor *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        free(m);
        return NULL;
    }
    return m;
}

void monitor_free(struct monitor **pointer) {
    struct monitor *m = *pointer;
    *pointer = NULL;
    if (m == NULL)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m);
}

bool monitor_join(struct monitor *m, struct inbox *inbox) {
    pthread_mutex_lock(&m->lock);
    unsigned count = atomic_load(&m->count);
    bool fits = count < MONITORS_MAX;
    if (fits) {
        m->inboxes[count] = inbox_hold(inbox);
        atomic_store(&m->count, count + 1);
    }
    pthread_mutex_unlock(&m->lock);
    return fits;
}

void monitor_leave(struct monitor *m, struct inbox *inbox) {
    pthread_mutex_lock(&m->lock);
    unsigned count = atomic_load(&m->count), i = 0;
    while (i < count && m->inboxes[i] != inbox)
        i++;
    if (i < count) {
        inbox_drop(&m->inboxes[i]);
        m->inboxes[i] = m->inboxes[count - 1];
        atomic_store(&m->count, count - 1);
    }
    pthread_mutex_unlock(&m->lock);
}

unsigned monitor_count(const struct monitor *m) {
    return m == NULL ? 0
                     : atomic_load_explicit(&((struct monitor *)m)->count, memory_order_relaxed);
}

void monitor_show(struct monitor *m, struct span line, bool (*wake)(void *ctx, struct inbox *inbox),
                  void *ctx) {
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < atomic_load(&m->count); i++) {
        if (inbox_put(m->inboxes[i], line) == INBOX_WAKE && !wake(ctx, m->inboxes[i]))
            inbox_unwoken(m->inboxes[i]);
    }
    pthread_mutex_unlock(&m->lock);
}

/* ---- lines ---- */

enum {
    ARG_ROOM_BYTES = 4 * MONITOR_ARG_BYTES_MAX + 64, /* an argument at its longest */
    END_ROOM_BYTES = 64,                             /* how many more there are, and the end */
};

/* As Redis' sdscatrepr(). Returns where it ends. */
static char *put_byte(char *to, unsigned char byte) {
    static const char PLAIN[] = "\\\"\n\r\t\a\b", NAMES[] = "\\\"nrtab";
    const char *found = byte == '\0' ? NULL : strchr(PLAIN, byte);
    if (found != NULL) {
        *to++ = '\\';
        *to++ = NAMES[found - PLAIN];
    } else if (byte >= ' ' && byte <= '~') {
        *to++ = (char)byte;
    } else {
        to += sprintf(to, "\\x%02x", byte);
    }
    return to;
}

static char *put_arg(char *to, struct span arg) {
    size_t len = arg.len < MONITOR_ARG_BYTES_MAX ? arg.len : MONITOR_ARG_BYTES_MAX;
    *to++ = ' ';
    *to++ = '"';
    for (size_t i = 0; i < len; i++)
        to = put_byte(to, (unsigned char)arg.ptr[i]);
    if (len < arg.len)
        to += sprintf(to, "... (%zu more bytes)", arg.len - len);
    *to++ = '"';
    return to;
}

struct span monitor_line(char *room, int64_t wall_us, const char *addr, const struct span *argv,
                         uint32_t argc, bool (*shown)(const void *ctx, uint32_t i),
                         const void *ctx) {
    char *to = room, *end = room + MONITOR_LINE_BYTES_MAX - ARG_ROOM_BYTES - END_ROOM_BYTES;
    to += sprintf(to, "+%lld.%06lld [0 %.100s]", (long long)(wall_us / 1000000),
                  (long long)(wall_us % 1000000), addr);
    uint32_t i = 0;
    for (; i < argc && to < end; i++)
        to = put_arg(to, shown == NULL || shown(ctx, i) ? argv[i] : SPAN("(redacted)"));
    if (i < argc)
        to += sprintf(to, " \"... (%u more arguments)\"", argc - i);
    *to++ = '\r';
    *to++ = '\n';
    return span_of(room, (size_t)(to - room));
}
