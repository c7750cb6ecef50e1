/*
 * conf: options, declared once per program as a table of rows. The parser of the file and of the
 * command line, CONFIG GET, --help, and the check of configs/ and README all read the rows.
 * File format: `name value` lines as in redis.conf, values may be in double quotes; a '#' at the
 * beginning of a word begins a comment.
 * Command line: --name value overrides the file.
 */
#ifndef RINGFENCE_CONF_H
#define RINGFENCE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

enum conf_type { CONF_INT, CONF_BYTES, CONF_BOOL, CONF_STRING, CONF_CHOICE };

enum conf_flags {
    CONF_RELOADABLE = 1 << 0, /* may change while running (CONFIG SET) */
    CONF_SECRET = 1 << 1,     /* never shown */
};

struct conf_row {
    const char *name;
    enum conf_type type;
    size_t offset;       /* of the field in the program's conf struct: int64_t, bool or char * */
    const char *initial; /* default, as text */
    int64_t min, max;    /* CONF_INT and CONF_BYTES */
    const char *unit;    /* "ms", "bytes", "" */
    const char *const
        *choices; /* CONF_CHOICE: names, NULL-terminated; the field (int64_t) holds the index */
    unsigned flags;
    const char *help; /* one line */
};

/** One error text; always NUL-terminated, begins with "file:line: " where there is one. */
struct conf_error {
    char text[512];
};

/** conf_init(rows, count, conf): set every field to its default. Strings are copies that
 * conf_release() frees. False without memory: some of them are NULL. */
bool conf_init(const struct conf_row *rows, size_t count, void *conf);

/** conf_release(rows, count, conf): free the strings. */
void conf_release(const struct conf_row *rows, size_t count, void *conf);

/**
 * conf_set(rows, count, conf, name, value, error): one option from text. CONF_BYTES takes kb, mb,
 * gb (1024-based); CONF_BOOL takes yes and no. Returns false, nothing changed, with a text that
 * names the option, the value and what is allowed.
 */
bool conf_set(const struct conf_row *rows, size_t count, void *conf, const char *name,
              const char *value, struct conf_error *error);

/**
 * conf_load(rows, count, conf, path, error): read a file. Returns false with "path:line: why" at
 * the first bad line (unknown option, value out of range, given twice); the caller then discards
 * `conf`.
 */
bool conf_load(const struct conf_row *rows, size_t count, void *conf, const char *path,
               struct conf_error *error);

/**
 * conf_args(rows, count, conf, argc, argv, error): [FILE] then --name value ... (also
 * --name=value). The file is loaded first wherever it stands. Returns false with a text. --help,
 * --version and -t are the caller's to take out first.
 */
bool conf_args(const struct conf_row *rows, size_t count, void *conf, int argc, char **argv,
               struct conf_error *error);

/** conf_get(rows, count, conf, row, out, size): the value of `row` as text in `out`
 * (NUL-terminated, cut at size). Secrets read as "". */
void conf_get(const struct conf_row *row, const void *conf, char *out, size_t size);

/** conf_number(row, conf): the value of an option that is no text, a choice as its index, yes as 1.
 * conf_put_number(row, conf, n): the other way; `n` came from conf_number(). */
int64_t conf_number(const struct conf_row *row, const void *conf);
void conf_put_number(const struct conf_row *row, void *conf, int64_t n);

/** conf_print(rows, count): the options as a commented sample file on stdout, with default, range,
 * unit and help. */
void conf_print(const struct conf_row *rows, size_t count);

#endif
