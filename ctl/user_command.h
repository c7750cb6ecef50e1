/*
 * user_command: `ringfence-ctl user ...`: lines of the users file, and whether it is fine.
 */
#ifndef RINGFENCE_USER_COMMAND_H
#define RINGFENCE_USER_COMMAND_H

#include "ctl.h"

/** user_command_line(io, 2 + n, {NAME, ROLE, PREFIX ...}): a line with a new digest of the password
 * that io->in gives as its first line; asked for twice, and not shown, where that is a terminal.
 * CTL_USAGE for a name, role, prefix or password that cannot be. */
enum ctl_status user_command_line(const struct ctl_io *io, int argc, char **argv);

/** user_command_check(io, 1, {FILE}): how many users there are; CTL_BAD_FILE with "path:line: why"
 * on io->err when a proxy would not take the file. */
enum ctl_status user_command_check(const struct ctl_io *io, int argc, char **argv);

#endif
