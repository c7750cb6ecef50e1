/*
 * gather: commands whose keys live on several nodes. Reads (MGET, EXISTS, TOUCH) are split by node
 * and their replies merged, in order, duplicates kept; one error makes the whole an error. Writes
 * (MSET, MSETNX, DEL, UNLINK) go whole to the owner of the first key, as one transaction; before
 * the reply the other owners drop those keys (rule 11).
 */
#ifndef RINGFENCE_GATHER_H
#define RINGFENCE_GATHER_H

#include <stdbool.h>

#include "../common/span.h"

struct gathers;
struct proxy_env;
struct request;
struct resp_request;

/** gathers_new(): the memory that the requests of one worker use again and again (env->gathers).
 * NULL without memory. gathers_free(gathers): after the last of them. */
struct gathers *gathers_new(void);
void gathers_free(struct gathers **gathers);

/**
 * gather_start(env, r, in, raw): for a request of several keys. Returns false, and nothing was
 * done, if they all live on one node just now: it goes there as it is. Else the reply follows
 * through request_done(), possibly before this returns. Copies what it needs. Cost: O(keys x
 * nodes).
 */
bool gather_start(const struct proxy_env *env, struct request *r, const struct resp_request *in,
                  struct span raw);

/** gather_flush(env, r, in, raw): FLUSHDB, FLUSHALL: one node does it; before the reply all nodes
 * drop everything. As gather_start(). */
void gather_flush(const struct proxy_env *env, struct request *r, const struct resp_request *in,
                  struct span raw);

#endif
