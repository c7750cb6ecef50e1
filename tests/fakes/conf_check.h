/*
 * conf_check: what holds for every program's table of options and its sample file. Each function
 * fails the running test with the option's name.
 */
#ifndef RINGFENCE_CONF_CHECK_H
#define RINGFENCE_CONF_CHECK_H

#include <stddef.h>

struct conf_row;

/** conf_check_rows(rows, count, conf_bytes): every row says what it is for and what it allows; the
 * defaults are allowed; the struct of `conf_bytes` bytes has one row a field. */
void conf_check_rows(const struct conf_row *rows, size_t count, size_t conf_bytes);

/** conf_check_refused(rows, count, conf, name, value): the value is refused, and the text names the
 * option. `conf`: with the defaults. */
void conf_check_refused(const struct conf_row *rows, size_t count, void *conf, const char *name,
                        const char *value);

/** conf_check_sample(rows, count, path): the file is what the rows say: every option once, in
 * conf_print()'s words, commented out, and nothing else but comments. The test's working directory
 * is the repository's root. */
void conf_check_sample(const struct conf_row *rows, size_t count, const char *path);

#endif
