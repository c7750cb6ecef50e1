#include "shared.h"

#include "expect.h"
#include "sql.h"
#include "stack.h"

void shared_open(const struct stack **stack_out, PGconn **sql_out, struct caller **proxy_out,
                 struct caller **nodes_out) {
    const struct stack *stack = *stack_out = stack_shared();
    *sql_out = sql_open(stack);
    *proxy_out = expect_caller(stack->proxy_port);
    for (int i = 0; nodes_out != NULL && i < SHARED_NODES; i++)
        nodes_out[i] = expect_caller(stack->node_ports[i]);
}

void shared_close(PGconn **sql, struct caller **proxy, struct caller **nodes) {
    caller_close(proxy);
    for (int i = 0; nodes != NULL && i < SHARED_NODES; i++)
        caller_close(&nodes[i]);
    PQfinish(*sql);
    *sql = NULL;
}
