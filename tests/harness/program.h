/*
 * program: starting, awaiting and stopping programs from a test, so that none outlives it. Knows no
 * stack.
 */
#ifndef RINGFENCE_PROGRAM_H
#define RINGFENCE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The exit status of a program that was ended by signal n is PROGRAM_SIGNALLED + n, as in a shell;
 * of one that had to be stopped for taking too long PROGRAM_LATE. */
enum { PROGRAM_SIGNALLED = 128, PROGRAM_LATE = -1 };

/** program_root(): the repository's folder; the test's own place tells. */
const char *program_root(void);

/** program_flavour(): of the build that the test belongs to, or FLAVOUR. */
const char *program_flavour(void);

/** program_path(name, out, size): a program of this build, as "ringfence-node". */
void program_path(const char *name, char *out, size_t size);

/** program_run(argv, out, size, patience_ms): run to the end, from "/"; the beginning of what it
 * wrote goes to `out`. Returns its exit status. */
int program_run(const char *const argv[], char *out, size_t size, int patience_ms);

/** program_start(argv, log_path): in the background, appending to a log; killed when the test dies.
 * Returns its pid; program_wait() it. */
pid_t program_start(const char *const argv[], const char *log_path);

/** program_start_orphan(argv, log_path): the same, but it is nobody's child and outlives the test:
 * for what a guard ends. */
pid_t program_start_orphan(const char *const argv[], const char *log_path);

/** program_runs(pid): a program of program_start() has not ended yet. */
bool program_runs(pid_t pid);

/** program_wait(pid, patience_ms): its exit status. */
int program_wait(pid_t pid, int patience_ms);

/** program_stop(pid, signo, patience_ms): send a signal, then program_wait(). */
int program_stop(pid_t pid, int signo, int patience_ms);

/** program_free_port(): a port of 127.0.0.1 below the ephemeral ones that was free just now. */
uint16_t program_free_port(void);

/** program_words(text, argv, at, max): the words of `text`, which is cut up for it, as further
 * arguments, with a NULL behind; returns the new count. */
size_t program_words(char *text, const char **argv, size_t at, size_t max);

/** program_file_has(path, text): the file holds it. */
bool program_file_has(const char *path, const char *text);

/** program_file_text(path): the whole file; freed by the caller; "" if it is not there. */
char *program_file_text(const char *path);

/** program_guard(dir): from now on, when this process ends however it ends, or program_unguard() is
 * called, `ctl/stack.sh down dir` runs and the folder is removed. Returns the guard. */
struct program_guard {
    int fd;
    pid_t pid;
} program_guard(const char *dir);

/** program_unguard(guard): now; returns when it is done. */
void program_unguard(struct program_guard *guard);

#endif
