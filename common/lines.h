/*
 * lines: files of words, one thing a line, '#' begins a comment: the ring file and the users file.
 * Knows no file's meaning and allocates nothing but the text that it reads.
 */
#ifndef RINGFENCE_LINES_H
#define RINGFENCE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "span.h"

/** lines_next(text, at, line): the next line without its end; `*at` is 0 at first. False behind the
 * last. */
bool lines_next(struct span text, size_t *at, struct span *line);

/** lines_words(line, words, max, count): its words, up to a comment. False when there are more than
 * `max`. */
bool lines_words(struct span line, struct span *words, unsigned max, unsigned *count);

/** lines_read(file, bytes_max, len, why, why_size): all of it, freed by the caller; NULL with the
 * reason in `why` without memory, when it cannot be read, or is longer than `bytes_max`. */
char *lines_read(FILE *file, size_t bytes_max, size_t *len, char *why, size_t why_size);

#endif
