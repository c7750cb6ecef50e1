/*
 * scope: the keys that a command about all keys is for: those that begin with one of some prefixes,
 * or all. A value; it borrows its prefixes.
 */
#ifndef RINGFENCE_SCOPE_H
#define RINGFENCE_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"

enum { SCOPE_KEY_BYTES_MAX = 1024 /* of any key in the table */ };

struct scope {
    const struct span *prefixes; /* any bytes */
    uint32_t count;              /* 0: all keys */
};

/** scope_covers(scope, key): it is one of these keys. Cost: O(prefixes). */
bool scope_covers(const struct scope *scope, struct span key);

/** scope_text(bytes): the longest beginning of `bytes` that is text and no longer than a key may
 * be: what a key that begins with `bytes` begins with, as far as it can be asked of the table. */
struct span scope_text(struct span bytes);

/**
 * scope_range(scope, plain, at, out): what the keys that are in the scope and begin with `plain`
 * (text) begin with, one such beginning after the other: `*at` is 0 at first. False: there are no
 * more. No key begins with two of them; but not every key that begins with one of them is in the
 * scope, if its prefixes are no text. Cost: O(prefixes) each.
 */
bool scope_range(const struct scope *scope, struct span plain, uint32_t *at, struct span *out);

/** scope_cursor(before, last): of the places behind `before`, up to `last`, the one with the fewest
 * digits (in binary): where a walk goes on with the keys at `last`, and which says nothing of them:
 * they may be somebody else's. before < last. */
uint64_t scope_cursor(uint64_t before, uint64_t last);

#endif
