/*
 * gather: commands whose keys live on several nodes. Reads (MGET, EXISTS, TOUCH) are split by node
 * and their replies merged, in order, duplicates kept; one error makes the whole an error. Writes
 * (MSET, MSETNX, DEL, UNLINK) go whole to the owner of the first key, as one transaction; before
 * the reply the other owners drop those keys (rule 11).
 */
#ifndef RINGFENCE_GATHER_H
#define RINGFENCE_GATHER_H

#include "../common/span.h"

struct proxy_env;
struct request;
struct resp_request;

/** gather_is_split(env, id, argv, argc): whether the keys live on more than one node just now.
 * Cost: O(keys). */
int gather_is_split(const struct proxy_env *env, int id, const struct span *argv, unsigned argc);

/** gather_start(env, r, in, raw): the reply follows through request_done(), possibly before this
 * returns. Copies what it needs. */
void gather_start(const struct proxy_env *env, struct request *r, const struct resp_request *in,
                  struct span raw);

/** gather_flush(env, r, in, raw): FLUSHDB, FLUSHALL: one node does it; before the reply all nodes
 * drop everything. As gather_start(). */
void gather_flush(const struct proxy_env *env, struct request *r, const struct resp_request *in,
                  struct span raw);

#endif
