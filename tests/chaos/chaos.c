#include "chaos.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_EVERY = 64, LONG_BYTES = 3000, SHORT_BYTES = 97 };

static const char *const ERRORS[CHAOS_ERRORS] = {"",      "DBDOWN ",   "UNCERTAIN ",  "TIMEOUT ",
                                                 "BUSY ", "NODEDOWN ", "ERR database"};

struct chaos_op *chaos_log_add(struct chaos_log *log) {
    if (log->count == log->room) {
        size_t room = log->room == 0 ? 4096 : log->room * 2;
        struct chaos_op *ops = realloc(log->ops, room * sizeof(*ops));
        if (ops == NULL)
            return NULL;
        log->ops = ops;
        log->room = room;
    }
    struct chaos_op *op = &log->ops[log->count++];
    *op = (struct chaos_op){.return_us = INT64_MAX, .outcome = CHAOS_UNKNOWN};
    return op;
}

void chaos_log_release(struct chaos_log *log) {
    free(log->ops);
    *log = (struct chaos_log){0};
}

void chaos_log_broken(struct chaos_log *log, const char *format, ...) {
    va_list args;
    if (log->broken++ != 0)
        return;
    va_start(args, format);
    vsnprintf(log->first_broken, sizeof(log->first_broken), format, args);
    va_end(args);
}

void chaos_key(unsigned key, char *out) {
    snprintf(out, 16, "k%04u", key % 10000);
}

/* What stands behind the head: lengths and bytes differ, so that a mix-up of bytes shows too. */
static size_t filler(chaos_value value, char *out) {
    unsigned writer = (unsigned)(value >> 32);
    uint32_t number = (uint32_t)value;
    if (writer >= CHAOS_EDITOR)
        return 0;
    size_t len = number % LONG_EVERY == LONG_EVERY - 1
                     ? LONG_BYTES
                     : (number * 37u + writer * 11u) % SHORT_BYTES;
    memset(out, 'a' + (int)((number + writer) % 26), len);
    return len;
}

size_t chaos_write_value(unsigned key, chaos_value value, char *out) {
    int len = snprintf(out, CHAOS_VALUE_BYTES, "k%04u|%u|%u|", key % 10000, (unsigned)(value >> 32),
                       (unsigned)value);
    return (size_t)len + filler(value, out + len);
}

bool chaos_read_value(unsigned key, const char *text, size_t len, chaos_value *out) {
    char want[CHAOS_VALUE_BYTES];
    unsigned said_key, writer, number;
    if (len >= CHAOS_VALUE_BYTES || sscanf(text, "k%4u|%u|%u|", &said_key, &writer, &number) != 3)
        return false;
    *out = chaos_value_of(writer, number);
    return chaos_write_value(key, *out, want) == len && memcmp(text, want, len) == 0;
}

const char *chaos_regime_name(enum chaos_regime regime) {
    static const char *const NAMES[] = {"R0", "R1", "R2", "R3", "R4", "all"};
    return NAMES[regime];
}

const char *chaos_kind_name(enum chaos_kind kind) {
    static const char *const NAMES[] = {"GET",  "MGET",     "EXEC get", "SET",
                                        "MSET", "EXEC set", "SET NX",   "SET GET",
                                        "DEL",  "SQL set",  "SQL gone"};
    return NAMES[kind];
}

unsigned chaos_error_index(const char *text) {
    for (unsigned i = 1; i < CHAOS_ERRORS; i++) {
        if (strncmp(text, ERRORS[i], strlen(ERRORS[i])) == 0)
            return i;
    }
    return 0;
}

const char *chaos_error_name(unsigned index) {
    return ERRORS[index];
}
