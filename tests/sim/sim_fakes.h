/*
 * sim_fakes: what else the real code links against: the clock, libevent's timers, name resolution,
 * the figures of the store and the feed; and a pool of rings, which are the real ones but cost too
 * much to build for each run.
 */
#ifndef RINGFENCE_SIM_FAKES_H
#define RINGFENCE_SIM_FAKES_H

#include <stdint.h>

#include "sim.h"

struct ring;

/** sim_fakes_begin(sim): this run's clock. */
void sim_fakes_begin(struct sim *sim);

/** sim_ring(mask): the ring whose members are the nodes in a bit mask; never freed by
 * ring_free(). */
struct ring *sim_ring(unsigned mask);
void sim_rings_release(void);

/** sim_node_port(i) / sim_proxy_port(i). */
uint16_t sim_node_port(unsigned node);
uint16_t sim_proxy_port(unsigned proxy);

#endif
