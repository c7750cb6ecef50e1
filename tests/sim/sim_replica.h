/*
 * sim_replica: a model of two streaming replicas behind one name. Each replays the primary's log
 * late, stops doing so for a while, hangs, restarts a little further back, and follows a server
 * that was promoted when it gets to it. Knows no connections.
 */
#ifndef RINGFENCE_SIM_REPLICA_H
#define RINGFENCE_SIM_REPLICA_H

#include "../../node/replica.h"
#include "sim_db.h"

struct sim_replica;

enum { SIM_REPLICAS = 2 };

/** sim_replicas_new(sim): NULL if this run has none. */
struct sim_replica *sim_replicas_new(struct sim *sim);

/** sim_replica_log(sim, server, lsn, key, row): what the primary's log has next; what one commit
 * changes has one position. Nothing happens without a replica. */
void sim_replica_log(struct sim *sim, int server, uint64_t lsn, unsigned key,
                     const struct sim_row *row);

/** sim_replica_answers(sim, which): it does not hang. */
bool sim_replica_answers(struct sim *sim, unsigned which);

/** sim_replica_place(sim, which, out): what it says of itself. sim_primary_place(sim, server, out):
 * a primary does. */
void sim_replica_place(struct sim *sim, unsigned which, struct replica_place *out);
void sim_primary_place(struct sim *sim, int server, struct replica_place *out);

/** sim_replica_follows(sim, which, server): it replays that server's log. */
bool sim_replica_follows(struct sim *sim, unsigned which, int server);

/** sim_replica_lives(sim, which): how often it was started: connections to an earlier one are lost.
 */
unsigned sim_replica_lives(struct sim *sim, unsigned which);

/** sim_replica_read(sim, which, key, transaction): the row as it is there; which commit wrote it.
 */
const struct sim_row *sim_replica_read(struct sim *sim, unsigned which, unsigned key,
                                       uint32_t *transaction);

/** sim_replicas_pause(sim, us): neither is sent anything for so long. */
void sim_replicas_pause(struct sim *sim, int64_t us);

/** sim_replica_fault(sim): one stops replaying, hangs or restarts. sim_replica_heal(sim): no more.
 */
void sim_replica_fault(struct sim *sim);
void sim_replica_heal(struct sim *sim);

#endif
