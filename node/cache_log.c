#include "cache_log.h"

#include <stdbool.h>

#include "cache_entry.h"

struct cache_segment {
    struct cache_segment *next;
    size_t bytes; /* of the mapping */
    size_t at;    /* the hand */
    size_t end;   /* behind the last entry */
    char data[];
};

enum { SPARE_SEGMENTS_MAX = 2 };

void cache_log_init(struct cache_log *log, size_t segment_bytes, struct cache_spare *spare) {
    *log = (struct cache_log){.segment_bytes = segment_bytes, .spare = spare};
}

static size_t room(const struct cache_segment *s) {
    return s->bytes - offsetof(struct cache_segment, data) - s->end;
}

static size_t mapping_for(const struct cache_log *log, size_t bytes) {
    size_t need = (bytes + offsetof(struct cache_segment, data) + CACHE_PAGE_BYTES - 1) &
                  ~(size_t)(CACHE_PAGE_BYTES - 1);
    return need > log->segment_bytes ? need : log->segment_bytes;
}

static bool fits(const struct cache_log *log, size_t bytes) {
    return log->tail != NULL && room(log->tail) >= bytes;
}

size_t cache_log_needs(const struct cache_log *log, size_t bytes) {
    size_t mapping = mapping_for(log, bytes);
    bool is_there =
        fits(log, bytes) || (mapping == log->segment_bytes && log->spare->first != NULL);
    return is_there ? 0 : mapping;
}

static struct cache_segment *take_segment(struct cache_log *log, size_t mapping) {
    struct cache_segment *s = log->spare->first;
    if (s != NULL && mapping == log->segment_bytes) {
        log->spare->first = s->next;
        log->spare->bytes -= s->bytes;
    } else {
        s = cache_pages_take(&log->spare->pages, mapping);
        if (s == NULL)
            return NULL;
    }
    *s = (struct cache_segment){.bytes = mapping};
    return s;
}

struct cache_entry *cache_log_append(struct cache_log *log, size_t bytes) {
    if (!fits(log, bytes)) {
        struct cache_segment *s = take_segment(log, mapping_for(log, bytes));
        if (s == NULL)
            return NULL;
        *(log->tail == NULL ? &log->head : &log->tail->next) = s;
        log->tail = s;
        log->bytes += s->bytes;
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
    if (s->bytes == log->segment_bytes &&
        log->spare->bytes < SPARE_SEGMENTS_MAX * log->segment_bytes) {
        s->next = log->spare->first;
        log->spare->first = s;
        log->spare->bytes += s->bytes;
    } else {
        cache_pages_give(s, s->bytes);
    }
}

void cache_log_release(struct cache_log *log) {
    while (log->head != NULL)
        free_head(log);
    cache_log_init(log, log->segment_bytes, log->spare);
}

void cache_spare_release(struct cache_spare *spare) {
    while (spare->first != NULL) {
        struct cache_segment *s = spare->first;
        spare->first = s->next;
        cache_pages_give(s, s->bytes);
    }
    spare->bytes = 0;
    cache_pages_release(&spare->pages);
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
