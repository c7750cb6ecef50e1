/*
 * sim_check: the promises, as far as they can be seen from outside, and two that cannot: what a
 * node trusts, and that it comes to rest. docs/simulation.md says which.
 */
#ifndef RINGFENCE_SIM_CHECK_H
#define RINGFENCE_SIM_CHECK_H

#include "sim.h"

struct sim_check;
struct sim_node;
struct sim_op;

struct sim_check *sim_check_new(struct sim *sim);

/** sim_check_ask(sim, op): it is about to be sent. sim_check_reply(sim, op, reply): its answer, the
 * next one of its client. */
void sim_check_ask(struct sim *sim, struct sim_op *op);
void sim_check_reply(struct sim *sim, struct sim_op *op, struct span reply);

/** sim_check_node(sim, node): one of its entries, another one each time: what is trusted is the
 * table's row, or was until lately and something on its way will repair it. */
void sim_check_node(struct sim *sim, struct sim_node *node);

/** sim_check_told(node, key, state): an answer of the table to this node was made at that state of
 * the key: from now on it trusts nothing older, whoever asks. */
void sim_check_told(struct sim_node *node, unsigned key, uint32_t state);

/** sim_check_replica(node, key, value, asked_us): a fill that was asked for then was answered by a
 * standby of the primary with this value (0: no row), and it counted. */
void sim_check_replica(struct sim_node *node, unsigned key, uint32_t value, int64_t asked_us);

/** sim_check_rest(sim): nothing waits any more; every write is in the table's history if it was
 * answered OK, and is not if it was answered with an error. */
void sim_check_rest(struct sim *sim);

/** sim_check_trust(sim): after every key was read twice, somebody trusts a copy of it. */
void sim_check_trust(struct sim *sim);

#endif
