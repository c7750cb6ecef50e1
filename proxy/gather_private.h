/*
 * gather_private: what gather.c (sorting keys by node, reads) and gather_write.c share. For these
 * alone.
 */
#ifndef RINGFENCE_GATHER_PRIVATE_H
#define RINGFENCE_GATHER_PRIVATE_H

#include <stdbool.h>

#include "gather.h"
#include "upstream.h"

struct buf;
struct copies;

/* What one node is asked at once. */
struct part {
    struct upstream_entry entry;
    struct gather *gather;
    struct upstream *to; /* only while the parts are made: the ring may change later */
    uint32_t first_key, last_key, keys; /* a list through gather->next_key */
    uint32_t next;  /* the part that the same node is asked for after this one; 0: none */
    bool is_next;   /* it is one of those */
    char *text;     /* its reply; before it was asked: the request */
    size_t len, at; /* `at`: merged so far */
};

struct gather {
    const struct proxy_env *env;
    struct request *request;
    struct copies *copies; /* of an MGET; or NULL */
    uint32_t left;         /* parts without an answer */
    size_t held_bytes;     /* of the replies of parts */
    uint32_t parts_count, keys_count;
    uint32_t *part_of;   /* by key */
    uint32_t *next_key;  /* by key: the next one of the same part; 0: none */
    struct part parts[]; /* one a key at most; of a write parts[0] is the coordinator's */
};

/** gather_make(env, r, keys, parts_max): for a request of so many keys; it takes r->copies. NULL
 * without memory. gather_release(g): with what its parts have. */
struct gather *gather_make(const struct proxy_env *env, struct request *r, unsigned keys,
                           size_t parts_max);
void gather_release(struct gather *g);

/** gather_write_part(out, g, part, name, argv): `name` and the keys of one part as a request. */
void gather_write_part(struct buf *out, struct gather *g, const struct part *part, struct span name,
                       const struct span *argv);

/** gather_hold(part, text): its text, copied; false, and none, without memory. */
bool gather_hold(struct part *part, struct span text);

/** gather_start_write(g, in, raw): one transaction, then the other owners are told. */
void gather_start_write(struct gather *g, const struct resp_request *in, struct span raw);

#endif
