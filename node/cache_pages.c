#include "cache_pages.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "cache_ahead.h"

enum { HUGE_BYTES = 2 << 20 };

void cache_pages_init(struct cache_pages *pages, size_t mapping_bytes, struct cache_ahead *ahead) {
    *pages = (struct cache_pages){.mapping_bytes = mapping_bytes, .ahead = ahead};
}

static char *map(size_t bytes) {
    char *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

/* A mapping at a huge page's boundary: a larger one whose ends go back. */
static char *map_huge(size_t bytes) {
    char *mapped = map(bytes + HUGE_BYTES);
    if (mapped == NULL)
        return NULL;
    size_t before = -(uintptr_t)mapped & (HUGE_BYTES - 1);
    if (before != 0)
        munmap(mapped, before);
    munmap(mapped + before + bytes, HUGE_BYTES - before);
    madvise(mapped + before, bytes, MADV_HUGEPAGE); /* a hint: without it all is only slower */
    return mapped + before;
}

static bool is_huge(const struct cache_pages *pages) {
    return pages->mapping_bytes % HUGE_BYTES == 0;
}

static bool next_mapping(struct cache_pages *pages) {
    char *next = pages->next;
    pages->next = NULL;
    if (next == NULL)
        next = is_huge(pages) ? map_huge(pages->mapping_bytes) : map(pages->mapping_bytes);
    if (next == NULL)
        return false;
    if (pages->left != 0)
        munmap(pages->at, pages->left);
    pages->at = next;
    pages->left = pages->mapping_bytes;
    return true;
}

/* A huge page was begun: have the one behind it ready in time, the next mapping's if need be. */
static void look_ahead(struct cache_pages *pages) {
    size_t to_next = -(uintptr_t)pages->at & (HUGE_BYTES - 1);
    char *next = pages->at + to_next;
    if (pages->left <= to_next) {
        pages->next = map_huge(pages->mapping_bytes);
        next = pages->next;
    }
    if (next != NULL)
        cache_ahead_touch(pages->ahead, next, HUGE_BYTES);
}

void *cache_pages_take(struct cache_pages *pages, size_t bytes) {
    if (bytes > pages->mapping_bytes)
        return map(bytes);
    if (bytes > pages->left && !next_mapping(pages))
        return NULL;
    char *piece = pages->at;
    bool begins = ((uintptr_t)(piece - 1) ^ (uintptr_t)(piece + bytes - 1)) >= HUGE_BYTES;
    pages->at += bytes;
    pages->left -= bytes;
    if (begins && pages->ahead != NULL && pages->next == NULL && is_huge(pages))
        look_ahead(pages);
    return piece;
}

void cache_pages_give(void *memory, size_t bytes) {
    munmap(memory, bytes);
}

void cache_pages_release(struct cache_pages *pages) {
    if (pages->left != 0)
        munmap(pages->at, pages->left);
    if (pages->next != NULL)
        munmap(pages->next, pages->mapping_bytes);
    cache_pages_init(pages, pages->mapping_bytes, pages->ahead);
}
