/*
 * sim_wait: commits that wait for a synchronous standby: they are in the log, and standbys may show
 * them, but their own server does not yet, and keeps their rows locked. Belongs to sim_db.c.
 */
#ifndef RINGFENCE_SIM_WAIT_H
#define RINGFENCE_SIM_WAIT_H

#include "sim_db.h"

struct sim_waits;

/** sim_waits_new(sim): NULL if no commit of this run waits. */
struct sim_waits *sim_waits_new(struct sim *sim);

/** sim_wait_begin(sim, server): what is put from here on may have to wait, as one commit.
 * sim_wait_put(sim, key, before, row, by_node): true: it does: show nothing yet. sim_wait_lock(sim,
 * key): it only locks that row. sim_wait_end(sim, server, lines): NOTIFY, now or when it is shown:
 * in so many microseconds. */
void sim_wait_begin(struct sim *sim, int server);
bool sim_wait_put(struct sim *sim, unsigned key, const struct sim_row *before,
                  const struct sim_row *row, bool by_node);
void sim_wait_lock(struct sim *sim, unsigned key);
int64_t sim_wait_end(struct sim *sim, int server, const struct sim_lines *lines);

/** sim_wait_flush(sim, server): the server ends: what is in its log is shown now, and nobody is
 * told. */
void sim_wait_flush(struct sim *sim, int server);

/** sim_wait_shown(sim, server, key): the row as a SELECT sees it, while a newer one waits; NULL:
 * none does. sim_wait_lsn(): of that newer one; 0: none. sim_wait_oldest(sim, server): the first
 * position that is not shown; 0: none. */
const struct sim_row *sim_wait_shown(const struct sim *sim, int server, unsigned key);
uint64_t sim_wait_lsn(const struct sim *sim, int server, unsigned key);
uint64_t sim_wait_oldest(const struct sim *sim, int server);

/** sim_wait_us(sim, server, keys): for so long one of these rows (a bit mask) stays locked; 0: none
 * is. */
int64_t sim_wait_us(const struct sim *sim, int server, uint32_t keys);

#endif
