/*
 * clients: threads that read and write through the proxies, in small pipelines, and write down what
 * they asked and what they were told. A lost connection is made anew, to the next port.
 */
#ifndef RINGFENCE_CHAOS_CLIENTS_H
#define RINGFENCE_CHAOS_CLIENTS_H

#include "chaos.h"

enum { CLIENTS_MAX = 32, CLIENTS_PORTS_MAX = 4 };

struct clients; /* owned by whoever started them */

/** clients_start(conf, ports, ports_count): conf->clients of them, which take turns at the ports.
 * NULL if they cannot be started. */
struct clients *clients_start(const struct chaos_conf *conf, const uint16_t *ports,
                              int ports_count);

/** clients_answered(clients): requests answered so far, errors included. */
uint64_t clients_answered(const struct clients *clients);

/** clients_stop(clients): returns when all have heard what they asked for, or have given up. */
void clients_stop(struct clients *clients);

/** clients_logs(clients): conf->clients histories, once stopped; they live as long as `clients`. */
struct chaos_log *clients_logs(struct clients *clients);
void clients_free(struct clients **clients);

#endif
