/*
 * sim_faults: what goes wrong, when, and for how long; and that it ends.
 */
#ifndef RINGFENCE_SIM_FAULTS_H
#define RINGFENCE_SIM_FAULTS_H

#include "sim.h"

/** sim_faults_begin(sim): from now on, until the load ends. */
void sim_faults_begin(struct sim *sim);

/** sim_faults_heal(sim): everything that is broken is mended. */
void sim_faults_heal(struct sim *sim);

#endif
