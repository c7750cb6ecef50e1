/*
 * upstream_resolve: a node's host as addresses, without blocking the loop. Numeric addresses at
 * once, names through libevent's resolver
 * (/etc/hosts first, then A and AAAA).
 */
#ifndef RINGFENCE_UPSTREAM_RESOLVE_H
#define RINGFENCE_UPSTREAM_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>

struct proxy_env;
struct sockaddr;
struct upstream_resolve;

/** The answer, from the loop or from inside upstream_resolve_start(): `addr` borrowed during the
 * call, NULL when there is none. */
typedef void upstream_resolve_fn(void *ctx, const struct sockaddr *addr, unsigned len);

/** upstream_resolve_start(env, host, port, turn, cb, ctx): look `host` up; `cb` runs once unless
 * cancelled. `turn`: which of several addresses it gets, counted from 0 and around, so that a node
 * that listens on one of them is found. Returns NULL when it has run already. */
struct upstream_resolve *upstream_resolve_start(const struct proxy_env *env, const char *host,
                                                uint16_t port, unsigned turn,
                                                upstream_resolve_fn *cb, void *ctx);

/** upstream_resolve_cancel(r): `cb` will not run; nulls the pointer. NULL is allowed. */
void upstream_resolve_cancel(struct upstream_resolve **r);

#endif
