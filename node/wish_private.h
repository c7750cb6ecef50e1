/*
 * wish_private: what wish.c (all commands), wish_expiry.c and wish_string.c share. For these alone.
 */
#ifndef RINGFENCE_WISH_PRIVATE_H
#define RINGFENCE_WISH_PRIVATE_H

#include "wish.h"

/* One command on its way into a wish. */
struct wish_args {
    const struct node_conf *conf;
    const struct span *argv;
    uint32_t argc;
    struct wish *wish;
    struct buf *error;
};

/** wish_is_word(word, name): the option `name`, in any case. */
bool wish_is_word(struct span word, const char *name);

/** wish_integer(args, text, out): false with Redis' error written. */
bool wish_integer(const struct wish_args *args, struct span text, int64_t *out);

/** wish_expiry(args, unit, text): the time that an option (its name is `unit`: EX, PX, EXAT, PXAT)
 * gives a SET or GETEX. */
bool wish_expiry(const struct wish_args *args, const char *unit, struct span text);

/** wish_parse_*(args): the rest of one command; false with the error written. */
bool wish_parse_set(const struct wish_args *args);
bool wish_parse_setex(const struct wish_args *args);
bool wish_parse_getex(const struct wish_args *args);
bool wish_parse_expire(const struct wish_args *args);
bool wish_parse_add(const struct wish_args *args);
bool wish_parse_add_decimal(const struct wish_args *args);
bool wish_parse_append(const struct wish_args *args);
bool wish_parse_setrange(const struct wish_args *args);

#endif
