/*
 * range: the part of a value that GETRANGE asks for, in bytes, as Redis counts them. A value.
 */
#ifndef RINGFENCE_RANGE_H
#define RINGFENCE_RANGE_H

#include <stdint.h>

#include "../common/span.h"

struct range {
    int64_t from, to;
};

/** range_of(value, range): negative places count from the end; what is outside is cut. Borrows from
 * `value`. */
struct span range_of(struct span value, struct range range);

#endif
