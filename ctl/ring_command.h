/*
 * ring_command: `ringfence-ctl ring ...`: what a ring file says, before a proxy reads it. Knows
 * files and the ring; asks no node.
 */
#ifndef RINGFENCE_RING_COMMAND_H
#define RINGFENCE_RING_COMMAND_H

#include "ctl.h"

/*
 * Each returns CTL_OK, or CTL_BAD_FILE with "path:line: why" on io->err and nothing on io->out when
 * a file cannot be read or is wrong.
 */

/** ring_command_check(io, 1, {FILE}): one line that says that the file is fine, and its checksum as
 * INFO of a proxy shows it. */
enum ctl_status ring_command_check(const struct ctl_io *io, int argc, char **argv);

/** ring_command_show(io, 1, {FILE}): a table of the nodes, in the file's order. */
enum ctl_status ring_command_show(const struct ctl_io *io, int argc, char **argv);

/** ring_command_diff(io, 2, {OLD, NEW}): a line for each node that is added, removed, changed
 * (weight, state) or moved (address), and the share of the keys that get another owner. */
enum ctl_status ring_command_diff(const struct ctl_io *io, int argc, char **argv);

/** ring_command_owner(io, 1 + n, {FILE, KEY ...}): for each key its owner and the next ones. Bytes
 * that are no text are shown as \xNN. */
enum ctl_status ring_command_owner(const struct ctl_io *io, int argc, char **argv);

#endif
