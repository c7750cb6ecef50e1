#include "pause.h"

bool pause_init(struct pause *p) {
    *p = (struct pause){0};
    return pthread_mutex_init(&p->lock, NULL) == 0;
}

void pause_release(struct pause *p) {
    pthread_mutex_destroy(&p->lock);
}

/* Under the lock. */
static void set(struct pause *p, enum pause_kind kind, int64_t until_us) {
    p->kind = kind;
    p->until_us = until_us;
    atomic_store(&p->mask, kind == PAUSE_NONE ? 0 : SIZE_MAX);
}

void pause_begin(struct pause *p, enum pause_kind kind, int64_t now_us, int64_t until_us) {
    pthread_mutex_lock(&p->lock);
    bool is_paused = p->kind != PAUSE_NONE && p->until_us > now_us;
    if (is_paused && p->kind > kind)
        kind = p->kind;
    if (is_paused && p->until_us > until_us)
        until_us = p->until_us;
    if (!p->finished && until_us > now_us)
        set(p, kind, until_us);
    pthread_mutex_unlock(&p->lock);
}

void pause_end(struct pause *p) {
    pthread_mutex_lock(&p->lock);
    set(p, PAUSE_NONE, 0);
    pthread_mutex_unlock(&p->lock);
}

void pause_finish(struct pause *p) {
    pthread_mutex_lock(&p->lock);
    p->finished = true;
    set(p, PAUSE_NONE, 0);
    pthread_mutex_unlock(&p->lock);
}

enum pause_kind pause_now(struct pause *p, int64_t now_us, int64_t *left_us) {
    pthread_mutex_lock(&p->lock);
    if (p->kind != PAUSE_NONE && p->until_us <= now_us)
        set(p, PAUSE_NONE, 0);
    enum pause_kind kind = p->kind;
    *left_us = kind == PAUSE_NONE ? 0 : p->until_us - now_us;
    pthread_mutex_unlock(&p->lock);
    return kind;
}
