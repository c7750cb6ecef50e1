/*
 * sim_net: common/conn.h over the model network: streams between processes with delays, splits,
 * resets and silence.
 */
#ifndef RINGFENCE_SIM_NET_H
#define RINGFENCE_SIM_NET_H

#include "../../common/conn.h"
#include "sim.h"

struct sim_net;

struct sim_net *sim_net_new(struct sim *sim);

/** sim_net_free(net): the buffers of connections that nobody freed. */
void sim_net_free(struct sim_net *net);

/** sim_net_listen(sim, port, process, accept, ctx): `accept` is called with a descriptor for each
 * connection; NULL: nobody listens any more, connections are refused. */
void sim_net_listen(struct sim *sim, uint16_t port, struct sim_process *process,
                    void (*accept)(void *ctx, int fd), void *ctx);

/** sim_net_unplug(sim, port, unplugged): packets to the port vanish: nothing is even refused. */
void sim_net_unplug(struct sim *sim, uint16_t port, bool unplugged);

/** sim_net_turns(sim): the end of the turn of every loop that had one: what was appended leaves. */
void sim_net_turns(struct sim *sim);

/** sim_net_break(sim, from, port, silently): one connection from a process to a port, if there is
 * one: both sides are told, or what is sent vanishes and nobody is. */
void sim_net_break(struct sim *sim, const struct sim_process *from, uint16_t port, bool silently);

/** sim_net_kill(sim, process, silently): all its connections: the process died, or its machine
 * did. */
void sim_net_kill(struct sim *sim, const struct sim_process *process, bool silently);

#endif
