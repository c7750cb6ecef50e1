#include "slowlog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct item {
    struct item *next; /* older */
    struct slowlog_entry entry;
};

struct list {
    pthread_mutex_t lock;
    struct item *newest;
    uint64_t count;
};

struct slowlog {
    _Atomic uint64_t id_next;
    unsigned workers;
    struct list lists[];
};

struct slowlog *slowlog_new(unsigned workers) {
    struct slowlog *log = calloc(1, sizeof(*log) + workers * sizeof(log->lists[0]));
    if (log == NULL)
        return NULL;
    log->workers = workers;
    for (unsigned i = 0; i < workers; i++)
        pthread_mutex_init(&log->lists[i].lock, NULL);
    return log;
}

/* All behind the first `keep`. */
static void cut(struct list *list, uint64_t keep) {
    struct item **at = &list->newest;
    for (uint64_t i = 0; i < keep && *at != NULL; i++)
        at = &(*at)->next;
    while (*at != NULL) {
        struct item *old = *at;
        *at = old->next;
        free(old);
        list->count--;
    }
}

void slowlog_free(struct slowlog **pointer) {
    struct slowlog *log = *pointer;
    *pointer = NULL;
    if (log == NULL)
        return;
    for (unsigned i = 0; i < log->workers; i++) {
        cut(&log->lists[i], 0);
        pthread_mutex_destroy(&log->lists[i].lock);
    }
    free(log);
}

void slowlog_add(struct slowlog *log, unsigned worker, const struct slowlog_entry *entry,
                 uint64_t max) {
    struct item *item = malloc(sizeof(*item));
    if (item == NULL)
        return;
    item->entry = *entry;
    item->entry.id = atomic_fetch_add(&log->id_next, 1);
    struct list *list = &log->lists[worker];
    pthread_mutex_lock(&list->lock);
    item->next = list->newest;
    list->newest = item;
    list->count++;
    if (list->count > max)
        cut(list, max);
    pthread_mutex_unlock(&list->lock);
}

uint64_t slowlog_len(struct slowlog *log) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < log->workers; i++) {
        pthread_mutex_lock(&log->lists[i].lock);
        sum += log->lists[i].count;
        pthread_mutex_unlock(&log->lists[i].lock);
    }
    return sum;
}

void slowlog_reset(struct slowlog *log) {
    for (unsigned i = 0; i < log->workers; i++) {
        pthread_mutex_lock(&log->lists[i].lock);
        cut(&log->lists[i], 0);
        pthread_mutex_unlock(&log->lists[i].lock);
    }
}

static int compare(const void *a, const void *b) {
    uint64_t x = ((const struct slowlog_entry *)a)->id, y = ((const struct slowlog_entry *)b)->id;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The latest `max` of one list, behind what is there. Returns false without memory. */
static bool copy(struct list *list, uint64_t max, struct slowlog_entry **out, size_t *count) {
    bool copied = true;
    pthread_mutex_lock(&list->lock);
    uint64_t take = list->count < max ? list->count : max;
    if (take != 0) {
        struct slowlog_entry *grown = realloc(*out, (*count + take) * sizeof(**out));
        copied = grown != NULL;
        if (copied)
            *out = grown;
        const struct item *item = list->newest;
        for (uint64_t i = 0; copied && i < take; i++, item = item->next)
            (*out)[(*count)++] = item->entry;
    }
    pthread_mutex_unlock(&list->lock);
    return copied;
}

struct slowlog_entry *slowlog_get(struct slowlog *log, uint64_t max, size_t *count_out) {
    struct slowlog_entry *all = NULL;
    size_t count = 0;
    for (unsigned i = 0; i < log->workers; i++) {
        if (!copy(&log->lists[i], max, &all, &count))
            break; /* what there was memory for */
    }
    if (count != 0)
        qsort(all, count, sizeof(*all), compare);
    *count_out = count < max ? count : (size_t)max;
    return all;
}
