/*
 * names: a hash table of names (of channels, of patterns), each with a count and a list of its
 * owner's. Pure; grows with what it holds. For channels and board.
 */
#ifndef RINGFENCE_NAMES_H
#define RINGFENCE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/span.h"

/* One name; at one address until it is removed. */
struct name {
    uint64_t count; /* the owner's, as is `first` */
    void *first;
    struct name *next, *prev; /* all of them, in no order */
    struct name *next_in_bucket;
    uint64_t hash;
    size_t len;
    char text[];
};

/* All zero but for the seed: empty. */
struct names {
    uint64_t seed;
    struct name **buckets;
    size_t mask, count;
    struct name *first;
};

/** names_init(names): empty. names_release(names): frees what is in it. */
void names_init(struct names *names);
void names_release(struct names *names);

/** names_find(names, text): or NULL. Cost: O(1). */
struct name *names_find(const struct names *names, struct span text);

/** names_add(names, text): one that is not there yet, with count 0. NULL without memory. */
struct name *names_add(struct names *names, struct span text);

/** names_remove(names, name): frees it. */
void names_remove(struct names *names, struct name *name);

/** name_text(name): lives as long as it does. */
static inline struct span name_text(const struct name *name) {
    return span_of(name->text, name->len);
}

#endif
