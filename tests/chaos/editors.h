/*
 * editors: threads that edit the table by SQL, past Ringfence, and write down what they did and
 * when COMMIT was acknowledged. They edit the keys from conf->pure_keys on.
 */
#ifndef RINGFENCE_CHAOS_EDITORS_H
#define RINGFENCE_CHAOS_EDITORS_H

#include "chaos.h"

enum { EDITORS_MAX = 4 };

struct editors; /* owned by whoever started them */

/** editors_start(conf, conninfo): conf->editors of them, as PostgreSQL's superuser. NULL if they
 * cannot be started. */
struct editors *editors_start(const struct chaos_conf *conf, const char *conninfo);
void editors_stop(struct editors *editors);

/** editors_logs(editors): conf->editors histories, once stopped. */
struct chaos_log *editors_logs(struct editors *editors);
void editors_free(struct editors **editors);

#endif
