// needs: fakes/bench.c fakes/node_fake.c fakes/upstream_bench.c
#include <criterion/criterion.h>

#include "../../common/tick.h"
#include "../../proxy/upstream_private.h"
#include "../fakes/upstream_bench.h"

/* A node defers within a tick, and a tick may come late: that is no silence yet. */
Test(upstream_patience, is_half_a_budget_and_some_ticks_at_least) {
    struct upstream_bench *t = upstream_bench_new();
    upstream_bench_up(t);
    t->b->conf.request_timeout_ms = 200;
    cr_assert_eq(upstream_patience_us(t->u), 100000);
    t->b->conf.request_timeout_ms = 20;
    cr_assert_eq(upstream_patience_us(t->u), 5 * TICK_MS * 1000);
    cr_assert(upstream_bench_free(&t));
}
