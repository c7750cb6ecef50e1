/*
 * shared: how most tests of the shared stack begin and end: a connection to PostgreSQL, one to the
 * proxy, perhaps one to each of the first nodes.
 */
#ifndef RINGFENCE_SHARED_H
#define RINGFENCE_SHARED_H

#include <libpq-fe.h>

struct caller;
struct stack;

enum { SHARED_NODES = 2 };

/** shared_open(stack_out, sql_out, proxy_out, nodes_out): `nodes_out` has SHARED_NODES, or is NULL:
 * none. The test fails if somebody does not answer. */
void shared_open(const struct stack **stack_out, PGconn **sql_out, struct caller **proxy_out,
                 struct caller **nodes_out);

/** shared_close(sql, proxy, nodes): what shared_open() made. */
void shared_close(PGconn **sql, struct caller **proxy, struct caller **nodes);

#endif
