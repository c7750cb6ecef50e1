/*
 * sim_check_private: what sim_check.c (one key at a time) and sim_check_exec.c (several at one
 * moment) share. For these alone.
 */
#ifndef RINGFENCE_SIM_CHECK_PRIVATE_H
#define RINGFENCE_SIM_CHECK_PRIVATE_H

#include "sim_check.h"

/** sim_op_name(sim, op, i, out): who asked what, for a message; `out` has 64 bytes. */
const char *sim_op_name(struct sim *sim, const struct sim_op *op, uint32_t i, char *out);

/** sim_is_linear(sim, key): it stays linearizable in this run. */
bool sim_is_linear(const struct sim *sim, unsigned key);

/** sim_read_value(sim, op, i, value): key `i` was read, 0: it was absent. sim_wrote(sim, op, i):
 * its value was written. sim_observed(sim, op, i, present): it was there, or absent, meanwhile. */
void sim_read_value(struct sim *sim, const struct sim_op *op, uint32_t i, uint32_t value);
void sim_wrote(struct sim *sim, const struct sim_op *op, uint32_t i);
void sim_observed(struct sim *sim, const struct sim_op *op, uint32_t i, bool present);

/** sim_check_exec(sim, op, reply): the answer of a transaction, no error. sim_check_said(sim, op,
 * reply): of WATCH, MULTI or what follows it. */
void sim_check_exec(struct sim *sim, const struct sim_op *op, struct span reply);
void sim_check_said(struct sim *sim, const struct sim_op *op, struct span reply);

/** sim_check_abort(sim, op, reply): an error that is fine for a transaction, as its WATCH failed.
 */
bool sim_check_abort(struct sim *sim, const struct sim_op *op, struct span reply);

/** sim_check_whole(sim, op): whatever became of it, all of it was written, in one commit, or
 * nothing. */
void sim_check_whole(struct sim *sim, const struct sim_op *op);

#endif
