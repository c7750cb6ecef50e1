/*
 * pg_array: text[] in PostgreSQL's binary format, as a parameter; and integers of binary results.
 * Nobody has to escape anything. Source: array_recv() in PostgreSQL's
 * src/backend/utils/adt/arrayfuncs.c describes the format.
 */
#ifndef RINGFENCE_PG_ARRAY_H
#define RINGFENCE_PG_ARRAY_H

#include <stdint.h>

#include "../common/span.h"

struct buf;

/** pg_array_begin(b, count): the head of a text[] of `count` elements (0 is an empty array); then
 * count x pg_array_add(). */
void pg_array_begin(struct buf *b, uint32_t count);
void pg_array_add(struct buf *b, struct span element);

/** pg_array_int64(data): a binary int8. `data`: 8 bytes. */
int64_t pg_array_int64(const char *data);

#endif
