/*
 * gather_private: what gather.c (sorting keys by node, reads), gather_write.c and gather_pool.c
 * share. For these alone.
 */
#ifndef RINGFENCE_GATHER_PRIVATE_H
#define RINGFENCE_GATHER_PRIVATE_H

#include <stdbool.h>

#include "../common/buf.h"
#include "gather.h"
#include "topology.h"
#include "upstream.h"

struct copies;

/* What one node is asked at once. */
struct part {
    struct upstream_entry entry;
    struct gather *gather;
    struct topology_route route; /* only while the parts are made: the ring may change later */
    uint32_t first_key, last_key, keys; /* a list through gather->next_key */
    uint32_t next;    /* the part that the same node is asked for after this one; 0: none */
    bool is_next;     /* it is one of those */
    bool has_text;    /* its reply; before it was asked: the request */
    size_t from, len; /* of its text in gather->texts */
    size_t at;        /* merged so far */
};

struct gather {
    struct gather *next_idle; /* in the pool */
    bool is_pooled;           /* it came from there, or goes there */
    const struct proxy_env *env;
    struct request *request;
    struct copies *copies; /* of an MGET; or NULL */
    uint32_t left;         /* parts without an answer */
    struct buf texts;      /* of the parts, one behind the other */
    uint32_t parts_count, keys_count;
    uint32_t *part_of;   /* by key */
    uint32_t *next_key;  /* by key: the next one of the same part; 0: none */
    struct part parts[]; /* one a key at most; of a write parts[0] is the coordinator's */
};

/** gather_make(env, r, keys, parts_max): for a request of so many keys; it takes r->copies. What it
 * says of keys is not set yet. NULL without memory. gather_release(g): with what its parts have. */
struct gather *gather_make(const struct proxy_env *env, struct request *r, unsigned keys,
                           size_t parts_max);
void gather_release(struct gather *g);

/** gather_part(g): one more part, all of it zero. At most `parts_max`. */
struct part *gather_part(struct gather *g);

/** gather_scratch(gathers): an empty buffer of the worker's, to write one request into and send it.
 */
struct buf *gather_scratch(struct gathers *gathers);

/** gather_write_part(out, part, name, argv): `name` and the keys of one part as a request. */
void gather_write_part(struct buf *out, const struct part *part, struct span name,
                       const struct span *argv);

/** gather_hold(part, text): its text, copied; false, and none, without memory or above
 * the limit of gather->texts. Then no other part gets one any more. gather_text(part): it, until
 * the next is held. */
bool gather_hold(struct part *part, struct span text);
struct span gather_text(const struct part *part);

/** gather_start_write(g, in, raw): one transaction, then the other owners are told. */
void gather_start_write(struct gather *g, const struct resp_request *in, struct span raw);

#endif
