#include "purge_command.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_ROWS = 1000, SQL_BYTES = 1024, NAME_BYTES_MAX = 63, AGE_DIGITS_MAX = 9 };

/* $1: the last key of the page before; $2: the age in seconds. What somebody switched on meanwhile
 * is looked at again when its lock is there, and stays. */
static const char PAGE[] =
    "WITH page AS MATERIALIZED (SELECT key FROM %s WHERE key > $1 ORDER BY key LIMIT %d),"
    " gone AS (DELETE FROM %s AS t USING page WHERE t.key = page.key AND NOT t.active"
    " AND t.updated_at <= now() - make_interval(secs => $2) RETURNING 1)"
    " SELECT max(key), count(*), (SELECT count(*) FROM gone) FROM page";
static const char SETTINGS[] = "SELECT set_config('lock_timeout', '5s', false),"
                               " set_config('application_name', 'ringfence-ctl purge', false)";

/* "30d" as seconds in decimal digits, into 32 bytes. */
static bool read_age(const char *text, char *out) {
    static const char UNITS[] = "smhd";
    static const int SECONDS[] = {1, 60, 3600, 86400};
    size_t digits = strspn(text, "0123456789");
    const char *unit = text[digits] != '\0' ? strchr(UNITS, text[digits]) : NULL;
    if (digits == 0 || digits > AGE_DIGITS_MAX || unit == NULL || text[digits + 1] != '\0')
        return false;
    snprintf(out, 32, "%lld", atoll(text) * SECONDS[unit - UNITS]);
    return true;
}

/* schema.table with each part quoted, into SQL_BYTES / 4. */
static bool quote_table(PGconn *conn, const char *name, char *out) {
    const char *dot = strchr(name, '.');
    if (dot == NULL || dot == name || dot - name > NAME_BYTES_MAX || dot[1] == '\0' ||
        strlen(dot + 1) > NAME_BYTES_MAX || strchr(dot + 1, '.') != NULL)
        return false;
    char *schema = PQescapeIdentifier(conn, name, (size_t)(dot - name)),
         *table = PQescapeIdentifier(conn, dot + 1, strlen(dot + 1));
    bool fits = schema != NULL && table != NULL &&
                snprintf(out, SQL_BYTES / 4, "%s.%s", schema, table) < SQL_BYTES / 4;
    PQfreemem(schema);
    PQfreemem(table);
    return fits;
}

/* A statement that returns rows. NULL, with the reason on io->err, when it failed. */
static PGresult *ask(const struct ctl_io *io, PGconn *conn, const char *sql,
                     const char *const *values, int count) {
    PGresult *result = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        return result;
    fprintf(io->err, "ringfence-ctl: %s", PQerrorMessage(conn));
    PQclear(result);
    return NULL;
}

/* Page by page to the table's end. */
static bool purge(const struct ctl_io *io, PGconn *conn, const char *sql, const char *age_s,
                  long long *gone_out, long long *rows_out) {
    const char *values[] = {"", age_s};
    PGresult *before = NULL, *page;
    while ((page = ask(io, conn, sql, values, 2)) != NULL && PQgetisnull(page, 0, 0) == 0) {
        *rows_out += atoll(PQgetvalue(page, 0, 1));
        *gone_out += atoll(PQgetvalue(page, 0, 2));
        values[0] = PQgetvalue(page, 0, 0);
        PQclear(before);
        before = page;
    }
    bool fine = page != NULL;
    PQclear(page);
    PQclear(before);
    return fine;
}

enum ctl_status purge_command(const struct ctl_io *io, int argc, char **argv) {
    const char *conninfo = argc > 1 ? argv[1] : "", *name = argc > 2 ? argv[2] : "ringfence.entry";
    char age_s[32], table[SQL_BYTES / 4], sql[SQL_BYTES];
    long long gone = 0, rows = 0;
    if (!read_age(argv[0], age_s)) {
        fprintf(io->err, "ringfence-ctl: '%s' is no age: a number and s, m, h or d, such as 30d\n",
                argv[0]);
        return CTL_USAGE;
    }
    PGconn *conn = PQconnectdb(conninfo);
    PGresult *set = NULL;
    enum ctl_status status = CTL_FAILED;
    if (PQstatus(conn) != CONNECTION_OK) {
        fprintf(io->err, "ringfence-ctl: %s", PQerrorMessage(conn));
    } else if (!quote_table(conn, name, table)) {
        fprintf(io->err, "ringfence-ctl: table '%.140s' is not schema.table\n", name);
        status = CTL_USAGE;
    } else if ((set = ask(io, conn, SETTINGS, NULL, 0)) != NULL) {
        snprintf(sql, sizeof(sql), PAGE, table, PAGE_ROWS, table);
        status = purge(io, conn, sql, age_s, &gone, &rows) ? CTL_OK : CTL_FAILED;
        fprintf(status == CTL_OK ? io->out : io->err, "%s: %lld of %lld rows purged%s\n", name,
                gone, rows, status == CTL_OK ? "" : ", then it stopped");
    }
    PQclear(set);
    PQfinish(conn);
    return status;
}
