/*
 * op: a request that waits: reads for their rows, a write for its commit. Owned by itself: freed
 * when everything it waits for has called back.
 */
#ifndef RINGFENCE_OP_H
#define RINGFENCE_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/buf.h"
#include "aspect.h"
#include "range.h"
#include "through.h"

struct session;

/* One key that is read. */
struct op_read {
    struct through_read read;
    struct op *op;
    struct op_read *next; /* of its op; in the order of the keys */
    char *key;            /* a copy, once it waits */
    struct buf piece;     /* its part of the reply */
    bool waits;
};

struct op {
    struct session *session; /* NULL: it left; nobody is answered */
    struct op *next, *prev;  /* the session's */
    uint64_t late_id;
    int command; /* command_id */
    int proto;
    /* reads */
    uint32_t keys, left;
    int64_t sum;
    int failure; /* enum reply_error, or -1: one key that cannot be answered makes the whole an
                    error */
    struct buf prefix; /* pieces of the keys before the first that waited */
    struct op_read *first, *last;
    struct range range;   /* GETRANGE */
    struct aspect aspect; /* MEMORY, OBJECT */
    /* a write, or a question to the table */
    bool outlives_session; /* somebody else frees it */
    struct through_write write;
    struct store_more more;
    bool is_conditional;
    struct span *spans; /* keys, then values; hashes behind; bytes behind those: one block */
};

/** op_new(session, command): NULL without memory. op_free(op). */
struct op *op_new(struct session *session, int command);
void op_free(struct op *op);

/** op_abandon(op): its session closed: reads are cancelled and the op freed; what outlives it goes
 * on without an asker. */
void op_abandon(struct op *op);

#endif
