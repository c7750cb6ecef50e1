/*
 * glob: Redis' patterns over bytes: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` that takes the next byte
 * as it is. Pure.
 */
#ifndef RINGFENCE_GLOB_H
#define RINGFENCE_GLOB_H

#include <stdbool.h>

#include "span.h"

/**
 * glob_match(pattern, text, nocase): the whole of `text` matches. `nocase`: ASCII case does not
 * count. Cannot fail: a `[` without its `]` takes the rest of the pattern as the set. Cost:
 * O(pattern x text) at worst, no recursion.
 */
bool glob_match(struct span pattern, struct span text, bool nocase);

#endif
