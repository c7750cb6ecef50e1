/*
 * reload: the ring file, read again: parse whole, compare, log the difference, hand each worker its
 * own ring; any error keeps the old one. Runs on the main thread. Owned by main.
 */
#ifndef RINGFENCE_RELOAD_H
#define RINGFENCE_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

struct reload;
struct ring;
struct worker;

/** reload_new(path): load the ring file for the first time; NULL with a text "file:line: why" in
 * `error`. `path` is borrowed. */
struct reload *reload_new(const char *path, char *error, unsigned error_size);
void reload_free(struct reload **reload);

/** reload_copy(reload, epoch_out): a ring of its own for a worker; NULL without memory. */
struct ring *reload_copy(const struct reload *reload, uint64_t *epoch_out);

/** reload_again(reload, workers, count): read the file again; returns true if the workers were
 * given a new ring. Logs what happened. */
bool reload_again(struct reload *reload, struct worker **workers, unsigned count);

#endif
