/*
 * users_reload: the users file, read again: parse whole, compare, hand each worker its own copy;
 * any error keeps the old users. Runs on the main thread. Owned by main.
 */
#ifndef RINGFENCE_USERS_RELOAD_H
#define RINGFENCE_USERS_RELOAD_H

#include <stdbool.h>

struct users;
struct users_reload;
struct worker;

/** users_reload_new(path, error, error_size): load the file for the first time; NULL with a text
 * "file:line: why". `path` is borrowed. */
struct users_reload *users_reload_new(const char *path, char *error, unsigned error_size);
void users_reload_free(struct users_reload **reload);

/** users_reload_copy(reload): users of its own for a worker; NULL without memory. */
struct users *users_reload_copy(const struct users_reload *reload);

/** users_reload_again(reload, workers, count): read the file again; returns true if the workers
 * were given new users. Logs what happened. */
bool users_reload_again(struct users_reload *reload, struct worker **workers, unsigned count);

#endif
