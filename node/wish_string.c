/* What changes a part of a value: INCR and its kin, APPEND, SETRANGE. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "../common/command.h"
#include "../common/reply.h"
#include "node_conf.h"
#include "wish_private.h"

enum {
    DECIMAL_BYTES_MAX = 5119, /* as Redis, and the SQL for what is there */
    EXPONENT_DIGITS_MAX = 4,
};

static bool refuse(const struct wish_args *args, enum reply_error error) {
    reply_error(args->error, error, NULL);
    return false;
}

/* ---- numbers ---- */

bool wish_parse_add(const struct wish_args *args) {
    struct wish *wish = args->wish;
    bool down = wish->command == COMMAND_DECR || wish->command == COMMAND_DECRBY;
    int64_t n = 1;
    if (args->argc > 2 && !wish_integer(args, args->argv[2], &n))
        return false;
    if (down && n == INT64_MIN)
        return refuse(args, REPLY_DECREMENT);
    wish->op = STORE_ADD;
    wish->has_more = true;
    wish->more.number = down ? -n : n;
    return true;
}

static size_t skip_digits(struct span text, size_t at) {
    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
        at++;
    return at;
}

static size_t skip_sign(struct span text, size_t at) {
    return at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+') ? at + 1 : at;
}

/* A decimal number as PostgreSQL's numeric reads it: [+-] digits, a point anywhere among them, an
 * exponent. */
static bool is_decimal(struct span text) {
    size_t from = skip_sign(text, 0), at = skip_digits(text, from), digits = at - from;
    if (at < text.len && text.ptr[at] == '.') {
        from = at + 1;
        at = skip_digits(text, from);
        digits += at - from;
    }
    if (digits == 0)
        return false;
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        from = skip_sign(text, at + 1);
        at = skip_digits(text, from);
        if (at == from || at - from > EXPONENT_DIGITS_MAX)
            return false;
    }
    return at == text.len;
}

/* As Redis reads it: what a long double cannot hold is no number. */
static bool in_range(struct span text, long double *out) {
    char copy[DECIMAL_BYTES_MAX + 1], *end;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *out = strtold(copy, &end);
    if (end != copy + text.len || isnan(*out))
        return false;
    return errno != ERANGE || (!isinf(*out) && *out != 0);
}

bool wish_parse_add_decimal(const struct wish_args *args) {
    struct wish *wish = args->wish;
    struct span text = args->argv[2];
    long double n;
    if (text.len == 0 || text.len > DECIMAL_BYTES_MAX || !in_range(text, &n))
        return refuse(args, REPLY_NOT_FLOAT);
    if (isinf(n))
        return refuse(args, REPLY_INFINITE);
    if (!is_decimal(text)) /* hexadecimal, or a blank before it */
        return refuse(args, REPLY_NOT_FLOAT);
    wish->op = STORE_ADD_DECIMAL;
    wish->has_more = true;
    wish->more.compare = text;
    return true;
}

/* ---- bytes ---- */

static bool begin_part(const struct wish_args *args, enum store_op op, const struct span *value) {
    struct wish *wish = args->wish;
    if (args->conf->payload_format == NODE_PAYLOAD_JSON) {
        reply_error(args->error, REPLY_NOT_JSON, "a part of a value is none");
        return false;
    }
    wish->op = op;
    wish->values = value;
    wish->has_more = true;
    wish->more.bytes_max = args->conf->value_bytes_max;
    return true;
}

bool wish_parse_append(const struct wish_args *args) {
    return begin_part(args, STORE_APPEND, args->argv + 2);
}

bool wish_parse_setrange(const struct wish_args *args) {
    const struct span *value = args->argv + 3;
    int64_t offset;
    if (!wish_integer(args, args->argv[2], &offset))
        return false;
    if (offset < 0)
        return refuse(args, REPLY_OFFSET);
    if (value->len == 0) /* nothing is written, wherever */
        offset = 0;
    else if (offset > args->conf->value_bytes_max - (int64_t)value->len)
        return refuse(args, REPLY_STRING_LONG);
    args->wish->more.number = offset;
    return begin_part(args, STORE_OVERLAY, value);
}
