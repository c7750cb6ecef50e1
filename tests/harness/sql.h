/*
 * sql: the table's other users: plain libpq, blocking, as a superuser. Any error fails the running
 * Criterion test.
 */
#ifndef RINGFENCE_SQL_H
#define RINGFENCE_SQL_H

#include <libpq-fe.h>
#include <stdint.h>

struct stack;

/** sql_open(stack): a connection to its database; PQfinish() it. */
PGconn *sql_open(const struct stack *stack);

/** sql_do(sql, format, ...): one or several statements. */
void sql_do(PGconn *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** sql_try(sql, format, ...): the same; returns the SQLSTATE, "" for none; valid until the next. */
const char *sql_try(PGconn *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** sql_text(sql, format, ...): the first column of the first row, "none" without a row, "null" for
 * NULL. Freed by the caller. */
char *sql_text(PGconn *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** sql_int(sql, format, ...): the same as a number. */
int64_t sql_int(PGconn *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** sql_expect(sql, want, format, ...): sql_text() is `want`. */
void sql_expect(PGconn *sql, const char *want, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** sql_copy_in(sql, lines): `lines` as COPY ringfence.entry (key, payload) FROM STDIN takes them.
 */
void sql_copy_in(PGconn *sql, const char *lines);

#endif
