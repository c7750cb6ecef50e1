/*
 * exec: a transaction: what its commands ask of the store, and its reply once that is done. Knows
 * no session, no store's inside and no I/O. Made from bytes that a proxy sent.
 */
#ifndef RINGFENCE_EXEC_H
#define RINGFENCE_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "aspect.h"
#include "range.h"
#include "store.h"

struct buf;
struct node_conf;

/* One command. */
struct exec_step {
    int command; /* command_id */
    const struct span *argv;
    uint32_t argc;
    struct span error; /* its reply, if it cannot be done; else empty */
    uint32_t first_edit, edits;
    uint32_t first_version; /* of the edits' */
    bool want_old, is_conditional;
    struct range range;   /* of GETRANGE */
    struct aspect aspect; /* of MEMORY and OBJECT */
};

/* A transaction. Read it, do not write it. */
struct exec {
    struct exec_step *steps;
    uint32_t steps_count;
    struct span *keys; /* all that are concerned: distinct, in the order of their bytes */
    uint32_t keys_count;
    struct store_exec plan;
    /* exec.c's own: */
    char *bytes;
    struct span *words;
    struct store_write *edits;
    struct store_more *mores;
    struct store_watch *watches;
    struct span *pairs; /* keys and values of MSETNX, once each */
    bool *holds;
    char *errors;
};

/**
 * exec_parse(conf, watches, commands, error): a transaction from its parts: `watches` are requests
 * of three words each (key, version, 1 if it was live, else 0), `commands` are requests as a client
 * sends them; both are copied. A command that is wrong by itself does not spoil the others: its
 * reply is its error. NULL, the text in `error`, if a proxy would not have sent it, or without
 * memory. exec_free(exec).
 */
struct exec *exec_parse(const struct node_conf *conf, struct span watches, struct span commands,
                        struct buf *error);
void exec_free(struct exec **exec);

/** exec_place(exec, key): where one of its keys is in `keys`. O(log keys). */
uint32_t exec_place(const struct exec *exec, struct span key);

/** exec_watched(exec, rows): every watched key is as it was. `rows`: per key. */
bool exec_watched(const struct exec *exec, const struct store_row *rows);

/** exec_reply(exec, proto, done, out): an array of the commands' replies; `done->rows` per key, and
 * what became of each edit. False without memory, or if `out` is full. */
bool exec_reply(const struct exec *exec, int proto, const struct store_exec_ack *done,
                struct buf *out);

#endif
