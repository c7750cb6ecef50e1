/*
 * forward: what a command with keys means to the proxy: its own bytes go to the owner of its key,
 * several keys go to gather.
 */
#ifndef RINGFENCE_FORWARD_H
#define RINGFENCE_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"

struct buf;
struct proxy_env;
struct request;
struct resp_request;

/** forward_hash(id, argv): where a request goes: ring hash of its first key; of a SCAN's
 * cursor; 0 for a command without either. */
uint64_t forward_hash(int id, const struct span *argv);

/** forward_copy(out, reply, proto): a node's reply as a client of `proto` reads it: RESP2 writes
 * nulls differently. */
void forward_copy(struct buf *out, struct span reply, int proto);

/** forward_is_freq(id, in): OBJECT FREQ: a node is asked whether the key exists (`EXISTS key`,
 * forward_exists()), and we say how often it is asked for: forward_freq(env, key), requests per
 * second. */
bool forward_is_freq(int id, const struct resp_request *in);
void forward_exists(const struct resp_request *in, struct buf *out);
uint32_t forward_freq(const struct proxy_env *env, struct span key);

/**
 * forward_request(env, r, in, raw): send it on. `raw`: its bytes as they came, borrowed during the
 * call. r->entry.hash is set already. The reply follows through request_done(), possibly before
 * this returns (when no node can be reached).
 */
void forward_request(const struct proxy_env *env, struct request *r, const struct resp_request *in,
                     struct span raw);

#endif
