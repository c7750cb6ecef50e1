/*
 * ring_file: the ring's text form:
 *     hash xxh3-ketama 0          algorithm and seed; optional, this is the only one
 *     epoch 7                     optional number that the operator raises
 *     node NAME HOST:PORT [weight=N] [state=up|drain|down]
 * '#' begins a comment. Everything is checked before anything is used.
 */
#ifndef RINGFENCE_RING_FILE_H
#define RINGFENCE_RING_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

struct ring;
struct ring_member;
struct ring_file_error {
    char text[512]; /* "path:line: why" */
};

enum { RING_FILE_ADDRESS_SIZE = 255 + sizeof("[]:65535") };

/**
 * ring_file_parse(text, path, epoch_out, error): build a ring from text; `path` only names it in
 * errors. NULL with a text for: unknown word, bad name, host, port, weight or state, a name, an
 * address or an attribute that was given before, no member that is up, too many members, too much
 * weight. The caller owns the ring.
 */
struct ring *ring_file_parse(struct span text, const char *path, uint64_t *epoch_out,
                             struct ring_file_error *error);

/** ring_file_load(path, epoch_out, error): the same from a file of at most 4 MiB. */
struct ring *ring_file_load(const char *path, uint64_t *epoch_out, struct ring_file_error *error);

/** ring_file_address(member, out, size): HOST:PORT as the file has it, an IPv6 address in brackets.
 * RING_FILE_ADDRESS_SIZE bytes are enough. */
void ring_file_address(const struct ring_member *member, char *out, size_t size);

#endif
