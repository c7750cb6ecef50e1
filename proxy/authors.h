/*
 * authors: which clients of one worker made which versions of which keys, lately: a table of a
 * fixed size, where a newer version may take the place of an older one. What is not in it may be
 * anybody's. Knows no keys, only their hashes. Owned by tracking.
 */
#ifndef RINGFENCE_AUTHORS_H
#define RINGFENCE_AUTHORS_H

#include <stdbool.h>
#include <stdint.h>

struct authors;

/* One version of one key. */
struct authors_change {
    uint64_t hash;    /* of the key */
    uint64_t version; /* 0: not known */
};

/** authors_new(): an empty table, of 96 KiB. NULL without memory. */
struct authors *authors_new(void);
void authors_free(struct authors **authors);

/** authors_note(authors, change, client): `client` made it; its number is not 0. Cost: O(1). */
void authors_note(struct authors *authors, struct authors_change change, uint64_t client);

/** authors_is(authors, change, client): it is known that `client` made it. Cost: O(1). */
bool authors_is(const struct authors *authors, struct authors_change change, uint64_t client);

/** authors_forget(authors): versions may be given again: nothing is known. */
void authors_forget(struct authors *authors);

#endif
