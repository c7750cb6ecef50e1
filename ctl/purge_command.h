/*
 * purge_command: `ringfence-ctl purge`: rows that were switched off long ago leave the table. Asks
 * PostgreSQL alone; nodes hear of it through the feed, as of any edit.
 */
#ifndef RINGFENCE_PURGE_COMMAND_H
#define RINGFENCE_PURGE_COMMAND_H

#include "ctl.h"

/**
 * purge_command(io, 1 + n, {AGE [CONNINFO [TABLE]]}): delete the rows that are not active and were
 * last changed AGE ago or earlier (a number and s, m, h or d). CONNINFO is libpq's, "" its
 * defaults; TABLE is schema.table, ringfence.entry if not given. One pass along the primary key, a
 * transaction for each 1,000 rows; what is locked is waited for up to 5 s. Prints how many rows
 * went. CTL_USAGE for an age or a table's name that is none; CTL_FAILED when PostgreSQL refuses:
 * what was deleted before stays so.
 */
enum ctl_status purge_command(const struct ctl_io *io, int argc, char **argv);

#endif
