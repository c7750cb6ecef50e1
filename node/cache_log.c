#include "cache_log.h"

#include <sys/mman.h>

#include "cache_entry.h"

struct cache_segment {
    struct cache_segment *next;
    size_t bytes; /* of the mapping */
    size_t at;    /* the hand */
    size_t end;   /* behind the last entry */
    char data[];
};

enum { PAGE_BYTES = 4096 };

void cache_log_init(struct cache_log *log, size_t segment_bytes) {
    *log = (struct cache_log){.segment_bytes = segment_bytes};
}

static size_t room(const struct cache_segment *s) {
    return s->bytes - offsetof(struct cache_segment, data) - s->end;
}

static size_t mapping_for(const struct cache_log *log, size_t bytes) {
    size_t need =
        (bytes + offsetof(struct cache_segment, data) + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
    return need > log->segment_bytes ? need : log->segment_bytes;
}

size_t cache_log_needs(const struct cache_log *log, size_t bytes) {
    return log->tail != NULL && room(log->tail) >= bytes ? 0 : mapping_for(log, bytes);
}

struct cache_entry *cache_log_append(struct cache_log *log, size_t bytes) {
    size_t need = cache_log_needs(log, bytes);
    if (need != 0) {
        struct cache_segment *s =
            mmap(NULL, need, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (s == MAP_FAILED)
            return NULL;
        s->bytes = need;
        if (log->tail == NULL)
            log->head = s;
        else
            log->tail->next = s;
        log->tail = s;
        log->bytes += need;
    }
    struct cache_entry *e = (struct cache_entry *)(log->tail->data + log->tail->end);
    log->tail->end += bytes;
    log->used += bytes;
    return e;
}

static void free_head(struct cache_log *log) {
    struct cache_segment *s = log->head;
    log->head = s->next;
    if (log->head == NULL)
        log->tail = NULL;
    log->bytes -= s->bytes;
    munmap(s, s->bytes);
}

void cache_log_release(struct cache_log *log) {
    while (log->head != NULL)
        free_head(log);
    cache_log_init(log, log->segment_bytes);
}

struct cache_entry *cache_log_hand(struct cache_log *log) {
    return log->head == NULL ? NULL : (struct cache_entry *)(log->head->data + log->head->at);
}

void cache_log_pass(struct cache_log *log) {
    struct cache_entry *e = cache_log_hand(log);
    size_t size = cache_entry_size(e);
    if ((e->flags & CACHE_ENTRY_DEAD) != 0)
        log->dead -= size;
    log->used -= size;
    log->head->at += size;
    if (log->head->at == log->head->end)
        free_head(log);
}
