#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"

enum { BUCKETS_MIN = 64 };

void names_init(struct names *names) {
    *names = (struct names){.seed = hash_seed()};
}

void names_release(struct names *names) {
    while (names->first != NULL)
        names_remove(names, names->first);
    free(names->buckets);
    names->buckets = NULL;
}

struct name *names_find(const struct names *names, struct span text) {
    if (names->count == 0)
        return NULL;
    uint64_t hash = hash_table(text, names->seed);
    struct name *n = names->buckets[hash & names->mask];
    while (n != NULL && (n->hash != hash || !span_equal(name_text(n), text)))
        n = n->next_in_bucket;
    return n;
}

/* Room for one more, at most one a bucket on average. */
static bool grow(struct names *names) {
    size_t old = names->buckets == NULL ? 0 : names->mask + 1;
    if (names->count < old)
        return true;
    size_t size = old == 0 ? BUCKETS_MIN : old * 2;
    struct name **buckets = calloc(size, sizeof(struct name *));
    if (buckets == NULL)
        return old != 0; /* longer chains then */
    for (struct name *n = names->first; n != NULL; n = n->next) {
        n->next_in_bucket = buckets[n->hash & (size - 1)];
        buckets[n->hash & (size - 1)] = n;
    }
    free(names->buckets);
    names->buckets = buckets;
    names->mask = size - 1;
    return true;
}

struct name *names_add(struct names *names, struct span text) {
    struct name *n = grow(names) ? malloc(sizeof(*n) + text.len) : NULL;
    if (n == NULL)
        return NULL;
    *n =
        (struct name){.hash = hash_table(text, names->seed), .len = text.len, .next = names->first};
    if (text.len != 0)
        memcpy(n->text, text.ptr, text.len);
    n->next_in_bucket = names->buckets[n->hash & names->mask];
    names->buckets[n->hash & names->mask] = n;
    if (n->next != NULL)
        n->next->prev = n;
    names->first = n;
    names->count++;
    return n;
}

void names_remove(struct names *names, struct name *n) {
    struct name **link = &names->buckets[n->hash & names->mask];
    while (*link != n)
        link = &(*link)->next_in_bucket;
    *link = n->next_in_bucket;
    *(n->prev != NULL ? &n->prev->next : &names->first) = n->next;
    if (n->next != NULL)
        n->next->prev = n->prev;
    names->count--;
    free(n);
}
