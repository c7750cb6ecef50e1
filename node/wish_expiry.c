/* Times to live: the options of SET and GETEX, SETEX, EXPIRE and its kin. */
#include "../common/command.h"
#include "../common/reply.h"
#include "wish_private.h"

/* Milliseconds since 1970 that PostgreSQL's timestamps reach, with room for what is relative: some
 * year 255,000. Redis goes on to 2^63; we say that the time is not valid. */
#define EXPIRY_MS_MAX ((int64_t)8000000000000000)

enum { SECOND_MS = 1000 };

static void set_expiry(struct wish *wish, enum store_expiry kind, int64_t ms) {
    wish->has_more = true;
    wish->more.expiry = kind;
    wish->more.expiry_ms = ms;
}

/* "EX" counts from now and "EXAT" from 1970, both in seconds; "PX" and "PXAT" in milliseconds. */
static bool is_seconds(const char *unit) {
    return unit[0] == 'E';
}

static enum store_expiry kind_of(const char *unit) {
    return unit[2] == '\0' ? STORE_EXPIRY_IN : STORE_EXPIRY_AT;
}

bool wish_expiry(const struct wish_args *args, const char *unit, struct span text) {
    int64_t n, unit_ms = is_seconds(unit) ? SECOND_MS : 1;
    if (!wish_integer(args, text, &n))
        return false;
    if (n <= 0 || n > EXPIRY_MS_MAX / unit_ms) {
        reply_error(args->error, REPLY_EXPIRE_TIME, command_row(args->wish->command)->name);
        return false;
    }
    set_expiry(args->wish, kind_of(unit), n * unit_ms);
    return true;
}

static const char *unit_of(struct span word) {
    static const char *const UNITS[] = {"EX", "PX", "EXAT", "PXAT"};
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        if (wish_is_word(word, UNITS[i]))
            return UNITS[i];
    }
    return NULL;
}

static bool refuse(const struct wish_args *args) {
    reply_error(args->error, REPLY_SYNTAX, NULL);
    return false;
}

/* ---- SET ---- */

/* What was said so far. An option that is given twice counts once; two that differ are an error. */
struct set_options {
    const char *unit; /* of a time */
    struct span time;
    bool keep;
};

static bool set_condition(struct wish *wish, enum store_op op) {
    if (wish->is_conditional && wish->op != op)
        return false;
    wish->op = op;
    wish->is_conditional = true;
    return true;
}

/* One option from argv[*at] on; false if it is not one, or does not go with those before. */
static bool set_option(const struct wish_args *args, uint32_t *at, struct set_options *options) {
    struct wish *wish = args->wish;
    struct span word = args->argv[*at];
    const char *unit = unit_of(word);
    bool has_next = *at + 1 < args->argc;
    if (wish_is_word(word, "NX"))
        return set_condition(wish, STORE_SET_NX);
    if (wish_is_word(word, "XX"))
        return set_condition(wish, STORE_SET_XX);
    if (wish_is_word(word, "IFEQ") && has_next) {
        wish->has_more = true;
        wish->more.compare = args->argv[++*at];
        return set_condition(wish, STORE_SET_IFEQ);
    }
    if (wish_is_word(word, "GET")) {
        wish->want_old = true;
        return true;
    }
    if (wish_is_word(word, "KEEPTTL")) {
        options->keep = true;
        return options->unit == NULL;
    }
    if (unit == NULL || !has_next || options->keep ||
        (options->unit != NULL && options->unit != unit))
        return false;
    options->unit = unit;
    options->time = args->argv[++*at];
    return true;
}

bool wish_parse_set(const struct wish_args *args) {
    struct set_options options = {0};
    for (uint32_t i = 3; i < args->argc; i++) {
        if (!set_option(args, &i, &options))
            return refuse(args);
    }
    /* PostgreSQL would refuse it, and it equals nothing anyway. */
    if (args->wish->op == STORE_SET_IFEQ && !span_is_text(args->wish->more.compare)) {
        reply_error(args->error, REPLY_NOT_TEXT, NULL);
        return false;
    }
    if (options.keep)
        set_expiry(args->wish, STORE_EXPIRY_KEEP, 0);
    return options.unit == NULL || wish_expiry(args, options.unit, options.time);
}

bool wish_parse_setex(const struct wish_args *args) {
    args->wish->values = args->argv + 3;
    return wish_expiry(args, args->wish->command == COMMAND_SETEX ? "EX" : "PX", args->argv[2]);
}

/* ---- GETEX ---- */

bool wish_parse_getex(const struct wish_args *args) {
    struct wish *wish = args->wish;
    const char *unit = NULL;
    struct span time = SPAN("");
    bool persist = false;
    for (uint32_t i = 2; i < args->argc; i++) {
        const char *found = unit_of(args->argv[i]);
        if (found == NULL ? !wish_is_word(args->argv[i], "PERSIST") || unit != NULL
                          : persist || i + 1 == args->argc || (unit != NULL && unit != found))
            return refuse(args);
        persist = found == NULL;
        unit = found;
        time = found != NULL ? args->argv[++i] : time;
    }
    wish->want_old = true;
    wish->is_read = unit == NULL && !persist;
    wish->op = persist ? STORE_PERSIST : STORE_EXPIRE;
    return unit == NULL || wish_expiry(args, unit, time);
}

/* ---- EXPIRE ---- */

static bool expire_conditions(const struct wish_args *args, unsigned *out) {
    static const struct {
        const char *name;
        enum store_condition condition;
    } WORDS[] = {{"NX", STORE_IF_NONE},
                 {"XX", STORE_IF_SOME},
                 {"GT", STORE_IF_LATER},
                 {"LT", STORE_IF_EARLIER}};
    *out = 0;
    for (uint32_t i = 3; i < args->argc; i++) {
        unsigned found = 0;
        for (size_t w = 0; w < sizeof(WORDS) / sizeof(WORDS[0]); w++) {
            if (wish_is_word(args->argv[i], WORDS[w].name))
                found = WORDS[w].condition;
        }
        if (found == 0) {
            reply_error_with(args->error, REPLY_OPTION, &args->argv[i], 1);
            return false;
        }
        *out |= found;
    }
    if ((*out & STORE_IF_NONE) != 0 && *out != STORE_IF_NONE) {
        reply_error(args->error, REPLY_EXPIRE_NX, NULL);
        return false;
    }
    if ((*out & STORE_IF_LATER) != 0 && (*out & STORE_IF_EARLIER) != 0) {
        reply_error(args->error, REPLY_EXPIRE_GT_LT, NULL);
        return false;
    }
    return true;
}

/* A time that is past, however far, deletes the key; so it may be cut. */
bool wish_parse_expire(const struct wish_args *args) {
    struct wish *wish = args->wish;
    int id = wish->command;
    bool seconds = id == COMMAND_EXPIRE || id == COMMAND_EXPIREAT;
    bool absolute = id == COMMAND_EXPIREAT || id == COMMAND_PEXPIREAT;
    int64_t n, unit_ms = seconds ? SECOND_MS : 1;
    unsigned conditions;
    if (!expire_conditions(args, &conditions) || !wish_integer(args, args->argv[2], &n))
        return false;
    if (n > EXPIRY_MS_MAX / unit_ms || n < INT64_MIN / unit_ms) {
        reply_error(args->error, REPLY_EXPIRE_TIME, command_row(id)->name);
        return false;
    }
    if (n < -EXPIRY_MS_MAX / unit_ms)
        n = -EXPIRY_MS_MAX / unit_ms;
    wish->op = STORE_EXPIRE;
    set_expiry(wish, absolute ? STORE_EXPIRY_AT : STORE_EXPIRY_IN, n * unit_ms);
    wish->more.conditions = conditions;
    return true;
}
