/*
 * standby: a streaming copy of a stack's PostgreSQL, that can be promoted. It ends with the test,
 * also when that crashes.
 */
#ifndef RINGFENCE_STANDBY_H
#define RINGFENCE_STANDBY_H

#include "program.h"

struct stack;

struct standby {
    char dir[64]; /* its data is in it; its socket, too, on the port of the stack's */
    struct program_guard guard;
};

/** standby_start(stack, out): copied, started and streaming. It uses port `stack->pg_port` in its
 * own folder: conninfo host=DIR. */
void standby_start(const struct stack *stack, struct standby *out);

/** standby_promote(standby): returns when it takes writes. standby_stop(standby): its files, too.
 */
void standby_promote(struct standby *standby);
void standby_stop(struct standby *standby);

#endif
