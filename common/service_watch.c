/* A watched file: inotify on the directory, since editors and Kubernetes replace the file and a
 * watch on it would see only its end. */
#include <event2/event.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "service.h"

enum { SETTLE_MS = 50, SETTLE_MS_MAX = 500, EVENT_BYTES = 16 * 1024 };

/* Where the file's name is, and where what it points to is. */
enum { NAMED, REAL, FOLDERS };

struct service_watch {
    int fd;
    char *path;
    struct {
        int wd;
        char name[PATH_MAX];
    } folders[FOLDERS];
    struct event *readable, *settled;
    int64_t burst_mono_ms; /* when the burst began that has not been told */
    service_watch_fn *cb;
    void *ctx;
};

static bool watch_folder(struct service_watch *w, int which, const char *path) {
    const uint32_t mask =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF;
    char cut[PATH_MAX];
    snprintf(cut, sizeof(cut), "%s", path);
    snprintf(w->folders[which].name, PATH_MAX, "%s", dirname(cut));
    w->folders[which].wd = inotify_add_watch(w->fd, w->folders[which].name, mask);
    return w->folders[which].wd >= 0;
}

/* Watch the directory of `path` and, when it is a symlink, that of what it points to.
 * inotify_add_watch on a watched one changes nothing. */
static bool watch_directories(struct service_watch *w) {
    char real[PATH_MAX];
    bool watched = watch_folder(w, NAMED, w->path);
    if (realpath(w->path, real) != NULL)
        watched = watch_folder(w, REAL, real) || watched;
    return watched;
}

/* A file that was made just now is empty, or half written: the close of its writer will tell. A
 * link is whole. Which file it is does not matter else: the reader compares contents. */
static bool tells(const struct service_watch *w, const struct inotify_event *e) {
    char path[PATH_MAX];
    struct stat is;
    if ((e->mask & IN_CREATE) == 0)
        return true;
    for (int i = 0; i < FOLDERS; i++) {
        if (w->folders[i].wd != e->wd ||
            snprintf(path, sizeof(path), "%s/%s", w->folders[i].name, e->name) >= PATH_MAX)
            continue;
        return lstat(path, &is) == 0 && (!S_ISREG(is.st_mode) || is.st_nlink > 1);
    }
    return false;
}

static bool read_events(const struct service_watch *w) {
    char events[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n = read(w->fd, events, sizeof(events));
    bool told = false;
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *e = (const struct inotify_event *)(events + at);
        told = told || tells(w, e);
        at += (ssize_t)(sizeof(*e) + e->len);
    }
    return told;
}

static void on_event(evutil_socket_t fd, short what, void *arg) {
    struct service_watch *w = arg;
    if (!read_events(w))
        return;
    const struct timeval in = {0, SETTLE_MS * 1000};
    bool waits = event_pending(w->settled, EV_TIMEOUT, NULL) != 0;
    int64_t now_mono_ms = clock_mono_ms();
    if (!waits)
        w->burst_mono_ms = now_mono_ms;
    /* Again after the last event of a burst; but in a busy folder there is no last one. */
    if (!waits || now_mono_ms - w->burst_mono_ms < SETTLE_MS_MAX)
        event_add(w->settled, &in);
}

static void on_settled(evutil_socket_t fd, short what, void *arg) {
    struct service_watch *w = arg;
    watch_directories(w); /* the symlink may point elsewhere now */
    w->cb(w->ctx);
}

struct service_watch *service_watch_new(struct event_base *base, const char *path,
                                        service_watch_fn *cb, void *ctx) {
    struct service_watch *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    w->cb = cb;
    w->ctx = ctx;
    w->folders[NAMED].wd = w->folders[REAL].wd = -1;
    w->path = strdup(path);
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    w->readable = w->fd < 0 ? NULL : event_new(base, w->fd, EV_READ | EV_PERSIST, on_event, w);
    w->settled = evtimer_new(base, on_settled, w);
    if (w->path == NULL || w->readable == NULL || w->settled == NULL || !watch_directories(w) ||
        event_add(w->readable, NULL) != 0)
        service_watch_free(&w);
    return w;
}

void service_watch_free(struct service_watch **pointer) {
    struct service_watch *w = *pointer;
    *pointer = NULL;
    if (w == NULL)
        return;
    if (w->readable != NULL)
        event_free(w->readable);
    if (w->settled != NULL)
        event_free(w->settled);
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w);
}
