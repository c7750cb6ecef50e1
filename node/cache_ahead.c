#include "cache_ahead.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { QUEUE_MAX = 8 };

struct request {
    void *at;
    size_t bytes;
};

struct cache_ahead {
    pthread_t thread;
    pthread_mutex_t lock; /* held for moments only, never while memory is touched */
    pthread_cond_t changed;
    struct request queue[QUEUE_MAX]; /* a ring */
    unsigned first, count;
    bool busy, stop;
};

static void *run(void *arg) {
    struct cache_ahead *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        if (a->count == 0) {
            pthread_cond_wait(&a->changed, &a->lock);
            continue;
        }
        struct request r = a->queue[a->first];
        a->first = (a->first + 1) % QUEUE_MAX;
        a->count--;
        a->busy = true;
        pthread_mutex_unlock(&a->lock);
        madvise(r.at, r.bytes, MADV_POPULATE_WRITE); /* a failure only means a pause later */
        pthread_mutex_lock(&a->lock);
        a->busy = false;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

struct cache_ahead *cache_ahead_new(void) {
    struct cache_ahead *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return NULL;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    sigset_t all, before;
    sigfillset(&all); /* signals are for the loop's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = pthread_create(&a->thread, NULL, run, a) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (made)
        return a;
    free(a);
    return NULL;
}

void cache_ahead_free(struct cache_ahead **ahead) {
    struct cache_ahead *a = *ahead;
    *ahead = NULL;
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void cache_ahead_touch(struct cache_ahead *a, void *at, size_t bytes) {
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    if (a->count < QUEUE_MAX)
        a->queue[(a->first + a->count++) % QUEUE_MAX] = (struct request){at, bytes};
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

void cache_ahead_wait(struct cache_ahead *a) {
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    while (a->count != 0 || a->busy)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}
