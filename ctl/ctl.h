/*
 * ctl: the operator's command, ringfence-ctl. One table of subcommands; help and dispatch read it.
 * A subcommand is a function over its arguments that writes to two streams, so that tests call it
 * as main() does.
 */
#ifndef RINGFENCE_CTL_H
#define RINGFENCE_CTL_H

#include <stdio.h>

/* Exit codes, as systemd's and LSB's tables have them. */
enum ctl_status { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_BAD_FILE = 6 };

/* Where a command writes: results, and why there are none; and where it reads. Borrowed. */
struct ctl_io {
    FILE *out, *err, *in;
};

/** A subcommand. argv[0] is the first argument behind its name; there are as many as its row
 * allows. */
typedef enum ctl_status ctl_command_fn(const struct ctl_io *io, int argc, char **argv);

/**
 * ctl_run(io, argc, argv): what main() does: the subcommand that argv[1] and argv[2] name. Returns
 * the exit code: CTL_USAGE with a text on io->err for an unknown command or a wrong number of
 * arguments, CTL_FAILED also when io->out could not be written.
 */
enum ctl_status ctl_run(const struct ctl_io *io, int argc, char **argv);

#endif
