#include "wish.h"

#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "json_check.h"
#include "node_conf.h"
#include "wish_private.h"

bool wish_is_word(struct span word, const char *name) {
    return span_equal_nocase(word, span_str(name));
}

bool wish_integer(const struct wish_args *args, struct span text, int64_t *out) {
    if (span_to_int64(text, out))
        return true;
    reply_error(args->error, REPLY_NOT_INTEGER, NULL);
    return false;
}

/* ---- the commands ---- */

static bool parse_set_nx(const struct wish_args *args) {
    args->wish->op = STORE_SET_NX;
    return true;
}

static bool parse_getset(const struct wish_args *args) {
    args->wish->want_old = true;
    return true;
}

static bool parse_mset(const struct wish_args *args) {
    args->wish->count = (args->argc - 1) / 2;
    args->wish->step = 2;
    return true;
}

static bool parse_msetnx(const struct wish_args *args) {
    args->wish->op = STORE_SET_NX;
    return parse_mset(args);
}

static bool parse_del(const struct wish_args *args) {
    args->wish->op = STORE_DELETE;
    args->wish->count = args->argc - 1;
    return true;
}

static bool parse_getdel(const struct wish_args *args) {
    args->wish->op = STORE_DELETE;
    args->wish->want_old = true;
    return true;
}

static bool parse_persist(const struct wish_args *args) {
    args->wish->op = STORE_PERSIST;
    return true;
}

static bool parse_setver(const struct wish_args *args) {
    int64_t version;
    if (!wish_integer(args, args->argv[2], &version))
        return false;
    if (version < 0) {
        reply_error(args->error, REPLY_NOT_INTEGER, NULL);
        return false;
    }
    args->wish->op = STORE_SET_VERSION;
    args->wish->values = args->argv + 3;
    args->wish->has_more = true;
    args->wish->more.number = version;
    return true;
}

static bool parse_enable(const struct wish_args *args) {
    args->wish->op = STORE_ENABLE;
    return true;
}

static bool parse_disable(const struct wish_args *args) {
    args->wish->op = STORE_DISABLE;
    return true;
}

typedef bool parse_fn(const struct wish_args *args);

static parse_fn *const PARSERS[COMMAND_COUNT_OF] = {
    [COMMAND_SET] = wish_parse_set,
    [COMMAND_SETNX] = parse_set_nx,
    [COMMAND_GETSET] = parse_getset,
    [COMMAND_GETDEL] = parse_getdel,
    [COMMAND_MSET] = parse_mset,
    [COMMAND_DEL] = parse_del,
    [COMMAND_UNLINK] = parse_del,
    [COMMAND_SETEX] = wish_parse_setex,
    [COMMAND_PSETEX] = wish_parse_setex,
    [COMMAND_GETEX] = wish_parse_getex,
    [COMMAND_EXPIRE] = wish_parse_expire,
    [COMMAND_PEXPIRE] = wish_parse_expire,
    [COMMAND_EXPIREAT] = wish_parse_expire,
    [COMMAND_PEXPIREAT] = wish_parse_expire,
    [COMMAND_PERSIST] = parse_persist,
    [COMMAND_INCR] = wish_parse_add,
    [COMMAND_DECR] = wish_parse_add,
    [COMMAND_INCRBY] = wish_parse_add,
    [COMMAND_DECRBY] = wish_parse_add,
    [COMMAND_INCRBYFLOAT] = wish_parse_add_decimal,
    [COMMAND_APPEND] = wish_parse_append,
    [COMMAND_SETRANGE] = wish_parse_setrange,
    [COMMAND_MSETNX] = parse_msetnx,
    [COMMAND_RF_SETVER] = parse_setver,
    [COMMAND_RF_ENABLE] = parse_enable,
    [COMMAND_RF_DISABLE] = parse_disable,
};

/* ---- keys and values ---- */

bool wish_check_key(const struct node_conf *conf, struct span key, struct buf *error) {
    if (key.len != 0 && key.len <= (size_t)conf->key_bytes_max && span_is_text(key))
        return true;
    if (key.len == 0)
        reply_error(error, REPLY_KEY_EMPTY, NULL);
    else if (key.len > (size_t)conf->key_bytes_max)
        reply_error_number(error, REPLY_KEY_LONG, (uint64_t)conf->key_bytes_max);
    else
        reply_error(error, REPLY_KEY_NOT_TEXT, NULL);
    return false;
}

static bool check_value(const struct wish_args *args, struct span value) {
    const struct node_conf *conf = args->conf;
    char why[200];
    if (value.len > (size_t)conf->value_bytes_max) {
        reply_error_number(args->error, REPLY_VALUE_LONG, (uint64_t)conf->value_bytes_max);
        return false;
    }
    if (!span_is_text(value)) {
        reply_error(args->error, REPLY_NOT_TEXT, NULL);
        return false;
    }
    if (conf->payload_format == NODE_PAYLOAD_JSON && !json_check(value, why, sizeof(why))) {
        reply_error(args->error, REPLY_NOT_JSON, why);
        return false;
    }
    return true;
}

bool wish_parse(const struct node_conf *conf, int id, const struct span *argv, uint32_t argc,
                struct wish *out, struct buf *error) {
    const struct wish_args args = {
        .conf = conf, .argv = argv, .argc = argc, .wish = out, .error = error};
    *out = (struct wish){.command = id,
                         .op = STORE_SET,
                         .keys = argv + 1,
                         .values = argv + 2,
                         .count = 1,
                         .step = 1};
    if (PARSERS[id] == NULL) { /* a row of the table without a parser here: a bug */
        reply_error(error, REPLY_INTERNAL, NULL);
        return false;
    }
    if (!PARSERS[id](&args))
        return false;
    for (uint32_t i = 0; store_op_takes_value(out->op) && i < out->count; i++) {
        if (!check_value(&args, out->values[i * out->step]))
            return false;
    }
    return true;
}

/* ---- replies ---- */

static bool write_outcome(enum store_outcome outcome, struct buf *out) {
    static const enum reply_error ERRORS[] = {
        [STORE_OUTCOME_NOT_INTEGER] = REPLY_NOT_INTEGER,
        [STORE_OUTCOME_NOT_NUMBER] = REPLY_NOT_FLOAT,
        [STORE_OUTCOME_OVERFLOW] = REPLY_OVERFLOW,
        [STORE_OUTCOME_TOO_LONG] = REPLY_STRING_LONG,
        [STORE_OUTCOME_NOT_TEXT] = REPLY_RESULT_NOT_TEXT,
        [STORE_OUTCOME_INFINITE] = REPLY_INFINITE,
    };
    if (outcome == STORE_OUTCOME_FINE)
        return true;
    reply_error(out, ERRORS[outcome], NULL);
    return false;
}

/* A command that gives back what the value has become; false if this is none. */
static bool write_new_value(int command, const struct store_result *result, struct buf *out) {
    struct span payload = result != NULL && result->live ? result->payload : SPAN("");
    int64_t n = 0;
    switch (command) {
    case COMMAND_INCR:
    case COMMAND_DECR:
    case COMMAND_INCRBY:
    case COMMAND_DECRBY:
        span_to_int64(payload, &n);
        resp_write_int(out, n);
        return true;
    case COMMAND_INCRBYFLOAT:
        resp_write_bulk(out, payload);
        return true;
    case COMMAND_APPEND:
    case COMMAND_SETRANGE:
        resp_write_int(out, (int64_t)payload.len);
        return true;
    }
    return false;
}

bool wish_reply(const struct wish *wish, int proto, const struct store_ack *ack, struct buf *out) {
    const struct store_result *result = ack->result;
    if (result != NULL && !write_outcome(result->outcome, out))
        return false;
    if (wish->want_old) { /* GETSET, GETDEL, GETEX, SET ... GET */
        if (result != NULL && result->had_old)
            resp_write_bulk(out, result->old);
        else
            resp_write_null(out, proto);
        return true;
    }
    if (write_new_value(wish->command, result, out))
        return true;
    switch (wish->command) {
    case COMMAND_MSETNX:
        resp_write_int(out, ack->changed != 0);
        return true;
    case COMMAND_RF_SETVER:
        if (ack->changed != 0)
            resp_write_int(out, (int64_t)ack->versions[0]);
        else
            resp_write_null(out, proto);
        return true;
    case COMMAND_RF_ENABLE:
    case COMMAND_RF_DISABLE:
    case COMMAND_SETNX:
    case COMMAND_DEL:
    case COMMAND_UNLINK:
    case COMMAND_EXPIRE:
    case COMMAND_PEXPIRE:
    case COMMAND_EXPIREAT:
    case COMMAND_PEXPIREAT:
    case COMMAND_PERSIST:
        resp_write_int(out, ack->changed);
        return true;
    }
    if (wish->is_conditional && ack->changed == 0)
        resp_write_null(out, proto);
    else
        resp_write_status(out, "OK");
    return true;
}
