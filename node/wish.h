/*
 * wish: what a command that writes asks for, read from its arguments, and its reply once that is
 * committed. Knows no session and no store's inside. A value: it borrows from the arguments.
 */
#ifndef RINGFENCE_WISH_H
#define RINGFENCE_WISH_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

struct buf;
struct node_conf;

struct wish {
    int command; /* command_id */
    enum store_op op;
    bool want_old;
    bool is_conditional; /* a SET that may do nothing: its reply is nil then */
    bool is_read;        /* it changes nothing after all (GETEX key) */
    bool has_more;
    struct store_more more;
    const struct span *keys; /* keys[0], keys[step] ... */
    const struct span *values;
    uint32_t count, step;
};

/** wish_parse(conf, id, argv, argc, out, error): false with the error's text appended to `error`.
 * Keys and arity were checked. */
bool wish_parse(const struct node_conf *conf, int id, const struct span *argv, uint32_t argc,
                struct wish *out, struct buf *error);

/** wish_check_key(conf, key, error): a key that may go to SQL; else false, the error's text
 * written.
 */
bool wish_check_key(const struct node_conf *conf, struct span key, struct buf *error);

/** wish_reply(wish, proto, ack, out): the reply of a committed write; false if it is an error.
 * Of `wish` only command, want_old and is_conditional count. */
bool wish_reply(const struct wish *wish, int proto, const struct store_ack *ack, struct buf *out);

#endif
