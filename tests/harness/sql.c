#include "sql.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack.h"

PGconn *sql_open(const struct stack *stack) {
    const char *const keys[] = {"host", "port", "user", "dbname", "application_name", NULL};
    const char *const values[] = {stack->pg_host,     stack->pg_port, "postgres",
                                  stack->pg_database, "test",         NULL};
    PGconn *sql = PQconnectdbParams(keys, values, 0);
    cr_assert_eq(PQstatus(sql), CONNECTION_OK, "%s", PQerrorMessage(sql));
    return sql;
}

static PGresult *run(PGconn *sql, const char *format, va_list args) {
    char *text = NULL;
    cr_assert_gt(vasprintf(&text, format, args), 0);
    PGresult *result = PQexec(sql, text);
    free(text);
    return result;
}

static void check(const PGresult *result, const char *format) {
    ExecStatusType status = PQresultStatus(result);
    cr_assert(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_IN,
              "%s: %s", format, PQresultErrorMessage(result));
}

void sql_do(PGconn *sql, const char *format, ...) {
    va_list args;
    va_start(args, format);
    PGresult *result = run(sql, format, args);
    va_end(args);
    check(result, format);
    PQclear(result);
}

const char *sql_try(PGconn *sql, const char *format, ...) {
    static char state[8];
    va_list args;
    va_start(args, format);
    PGresult *result = run(sql, format, args);
    va_end(args);
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(state, sizeof(state), "%s", code != NULL ? code : "");
    PQclear(result);
    return state;
}

static char *first_field(PGresult *result, const char *format) {
    check(result, format);
    char *text = strdup(PQntuples(result) == 0      ? "none"
                        : PQgetisnull(result, 0, 0) ? "null"
                                                    : PQgetvalue(result, 0, 0));
    PQclear(result);
    return text;
}

char *sql_text(PGconn *sql, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = first_field(run(sql, format, args), format);
    va_end(args);
    return text;
}

int64_t sql_int(PGconn *sql, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = first_field(run(sql, format, args), format);
    va_end(args);
    int64_t number = atoll(text);
    free(text);
    return number;
}

void sql_expect(PGconn *sql, const char *want, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = first_field(run(sql, format, args), format);
    va_end(args);
    cr_assert_str_eq(text, want, "%s: '%.200s', not '%.200s'", format, text, want);
    free(text);
}

void sql_copy_in(PGconn *sql, const char *lines) {
    sql_do(sql, "COPY ringfence.entry (key, payload) FROM STDIN");
    cr_assert_eq(PQputCopyData(sql, lines, (int)strlen(lines)), 1, "%s", PQerrorMessage(sql));
    cr_assert_eq(PQputCopyEnd(sql, NULL), 1, "%s", PQerrorMessage(sql));
    for (PGresult *result; (result = PQgetResult(sql)) != NULL; PQclear(result))
        check(result, "COPY");
}
