/*
 * sim_core: the heap of events and what else sim_run.c and sim_core.c share. For these two alone.
 */
#ifndef RINGFENCE_SIM_CORE_H
#define RINGFENCE_SIM_CORE_H

#include "sim.h"

enum { SIM_TRACE_LINES = 120, SIM_TRACE_BYTES = 200 };

struct sim_event {
    int64_t at_us;
    uint64_t order; /* among events of one time */
    sim_event_fn *fn;
    void *ctx;
    uint64_t arg;
    struct sim_process *process;
};

struct sim_deferred {
    struct sim_event event;
    struct sim_deferred *next;
};

struct sim {
    int64_t now_us;
    uint64_t random, order;
    struct sim_profile profile;
    struct sim_parts parts;
    bool loading, stopping, traced;
    char keys[SIM_KEYS_MAX][SIM_TEXT_BYTES];
    struct sim_result *result;
    char (*trace)[SIM_TRACE_BYTES]; /* [SIM_TRACE_LINES], a ring */
    uint64_t trace_count;
};

/** sim_core_begin(sim, seed): an empty heap; memory of the run before is taken back. */
void sim_core_begin(struct sim *sim, uint64_t seed);

/** sim_profile_draw(sim, seed, regime): sim_profile.c: what the run is like. `regime`: NULL: the
 * seed's own. */
void sim_profile_draw(struct sim *sim, uint64_t seed, const char *regime);

/** sim_core_step(sim): the next event happens; false when there is none, or the run was stopped. */
bool sim_core_step(struct sim *sim);

/** sim_core_print_trace(sim): its last lines, to stderr. */
void sim_core_print_trace(const struct sim *sim);

#endif
