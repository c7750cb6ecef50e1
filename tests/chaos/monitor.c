#include "monitor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../common/clock.h"
#include "../harness/caller.h"

enum { DAEMONS_MAX = 8, FIELDS_MAX = 8, EVERY_MS = 60 };

/* What is watched: any change is an event. Of a node `stale_served` comes first. */
static const char *const PROXY_FIELDS[FIELDS_MAX] = {
    "retried_requests", "rerouted_requests", "node_connections_lost", "node_connections_hung",
    "failed_drops",     "node_connections",  "ring_adoptions",        "nodedown_errors"};
static const char *const NODE_FIELDS[FIELDS_MAX] = {"stale_served"};

struct interval {
    int64_t from_us, to_us;
};

struct watch {
    struct monitor *monitor;
    pthread_t thread;
    uint16_t port;
    enum monitor_kind kind;
    const char *const *fields;
    bool answered;
    int64_t values[FIELDS_MAX], good_us; /* the last answer, and when it was asked for */
};

struct monitor {
    struct watch watches[DAEMONS_MAX];
    int started;
    _Atomic bool stop;
    pthread_mutex_t mutex; /* of what follows */
    struct interval *intervals[MONITOR_KINDS];
    size_t counts[MONITOR_KINDS], rooms[MONITOR_KINDS];
    uint64_t stale_served;
    int64_t lag_ms;
};

void monitor_note(struct monitor *m, enum monitor_kind kind, int64_t from_us, int64_t to_us) {
    pthread_mutex_lock(&m->mutex);
    struct interval *last = m->counts[kind] == 0 ? NULL : &m->intervals[kind][m->counts[kind] - 1];
    if (last != NULL && from_us <= last->to_us && from_us >= last->from_us) {
        last->to_us = to_us > last->to_us ? to_us : last->to_us;
    } else {
        if (m->counts[kind] == m->rooms[kind]) {
            m->rooms[kind] = m->rooms[kind] * 2 + 64;
            m->intervals[kind] =
                realloc(m->intervals[kind], m->rooms[kind] * sizeof(*m->intervals[kind]));
        }
        m->intervals[kind][m->counts[kind]++] = (struct interval){from_us, to_us};
    }
    pthread_mutex_unlock(&m->mutex);
}

/* ---- one daemon ---- */

static int64_t field_of(const char *text, const char *name) {
    char line[80];
    snprintf(line, sizeof(line), "\n%s:", name);
    const char *at = strstr(text, line);
    return at == NULL ? -1 : atoll(at + strlen(line));
}

static void note_figures(struct watch *w, const char *text) {
    struct monitor *m = w->monitor;
    int64_t stale = field_of(text, "stale_served"), lag_ms = field_of(text, "feed_lag_ms");
    if (w->kind != MONITOR_STALE)
        return;
    pthread_mutex_lock(&m->mutex);
    if (stale > w->values[0] && w->answered)
        m->stale_served += (uint64_t)(stale - w->values[0]);
    if (field_of(text, "feed_up") == 1 && lag_ms > m->lag_ms && lag_ms < UINT32_MAX)
        m->lag_ms = lag_ms;
    pthread_mutex_unlock(&m->mutex);
}

static void take(struct watch *w, const char *text, int64_t asked_us) {
    bool changed = false;
    note_figures(w, text);
    for (int i = 0; i < FIELDS_MAX && w->fields[i] != NULL; i++) {
        int64_t value = field_of(text, w->fields[i]);
        changed = changed || value != w->values[i];
        w->values[i] = value;
    }
    if (changed && w->answered)
        monitor_note(w->monitor, w->kind, w->good_us, clock_mono_us());
    w->answered = true;
    w->good_us = asked_us;
}

static bool look(struct watch *w, struct caller **caller) {
    int64_t asked_us = clock_mono_us();
    if (*caller == NULL)
        *caller = caller_open(w->port);
    if (*caller == NULL)
        return false;
    caller_say_words(*caller, "INFO", "everything", NULL);
    struct resp_reply *reply = caller_flush(*caller) ? caller_hear(*caller) : NULL;
    bool heard = reply != NULL && reply->type == RESP_STRING;
    if (heard)
        take(w, reply->text, asked_us);
    else
        caller_close(caller);
    resp_reply_free(&reply);
    return heard;
}

static void *watch(void *arg) {
    struct watch *w = arg;
    struct caller *caller = NULL;
    while (!atomic_load(&w->monitor->stop)) {
        if (!look(w, &caller))
            monitor_note(w->monitor, w->kind, w->good_us, clock_mono_us());
        nanosleep(&(struct timespec){.tv_nsec = EVERY_MS * 1000000}, NULL);
    }
    look(w, &caller);
    caller_close(&caller);
    return NULL;
}

/* ---- starting and ending ---- */

static void start(struct monitor *m, const uint16_t *ports, int count, enum monitor_kind kind) {
    for (int i = 0; i < count; i++) {
        struct watch *w = &m->watches[m->started];
        *w = (struct watch){.monitor = m,
                            .port = ports[i],
                            .kind = kind,
                            .fields = kind == MONITOR_ROUTING ? PROXY_FIELDS : NODE_FIELDS,
                            .good_us = clock_mono_us()};
        m->started += pthread_create(&w->thread, NULL, watch, w) == 0;
    }
}

struct monitor *monitor_start(const uint16_t *proxies, int proxies_count, const uint16_t *nodes,
                              int nodes_count) {
    struct monitor *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    pthread_mutex_init(&m->mutex, NULL);
    monitor_note(m, MONITOR_ROUTING, INT64_MIN, clock_mono_us());
    start(m, proxies, proxies_count, MONITOR_ROUTING);
    start(m, nodes, nodes_count, MONITOR_STALE);
    return m;
}

void monitor_stop(struct monitor *m) {
    atomic_store(&m->stop, true);
    for (int i = 0; i < m->started; i++)
        pthread_join(m->watches[i].thread, NULL);
    m->started = 0;
}

bool monitor_touches(const struct monitor *m, enum monitor_kind kind, int64_t from_us,
                     int64_t to_us) {
    for (size_t i = 0; i < m->counts[kind]; i++) {
        if (m->intervals[kind][i].from_us <= to_us && m->intervals[kind][i].to_us >= from_us)
            return true;
    }
    return false;
}

uint64_t monitor_stale_served(const struct monitor *m) {
    return m->stale_served;
}

int64_t monitor_lag_ms(const struct monitor *m) {
    return m->lag_ms;
}

void monitor_free(struct monitor **pointer) {
    struct monitor *m = *pointer;
    *pointer = NULL;
    monitor_stop(m);
    for (int i = 0; i < MONITOR_KINDS; i++)
        free(m->intervals[i]);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}
