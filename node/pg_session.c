#include "pg_session.h"

#include <stdio.h>
#include <string.h>

#include "hosts.h"

/* libpq takes an empty value as none given, and of two the later one. */
PGconn *pg_session_connect(const char *conninfo, const char *name, const struct host_place *place,
                           const char *target) {
    char application[80];
    snprintf(application, sizeof(application), "ringfence %s", name);
    const char *const keys[] = {"dbname",
                                "application_name",
                                "client_encoding",
                                "keepalives_idle",
                                "keepalives_interval",
                                "keepalives_count",
                                "tcp_user_timeout",
                                "target_session_attrs",
                                "host",
                                "hostaddr",
                                "port",
                                NULL};
    const char *const values[] = {conninfo,
                                  application,
                                  "UTF8",
                                  "5",
                                  "2",
                                  "2",
                                  "3000",
                                  target,
                                  place != NULL ? place->host : "",
                                  place != NULL ? place->address : "",
                                  place != NULL ? place->port : "",
                                  NULL};
    return PQconnectStartParams(keys, values, 1);
}

/* It has a line for each host that libpq tried. */
bool pg_session_only_reads(const char *text) {
    static const char FAILED[] = " failed: ", READS[] = "session is read-only";
    unsigned hosts = 0, readers = 0;
    for (const char *at = text; (at = strstr(at, FAILED)) != NULL; hosts++) {
        at += sizeof(FAILED) - 1;
        readers += strncmp(at, READS, sizeof(READS) - 1) == 0;
    }
    return hosts != 0 && hosts == readers;
}

bool pg_session_end(PGconn *pq, int pid, const char *start) {
    char number[16];
    snprintf(number, sizeof(number), "%d", pid);
    const char *const old[] = {number, start};
    return PQsendQueryParams(pq,
                             "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
                             "WHERE pid = $1::int AND backend_start = $2::timestamptz",
                             2, NULL, old, NULL, NULL, 0) == 1;
}

static bool send_settings(PGconn *pq, const char *sql, int64_t statement_timeout_ms) {
    char timeout[24];
    snprintf(timeout, sizeof(timeout), "%lld", (long long)statement_timeout_ms);
    const char *const values[] = {timeout};
    return PQsendQueryParams(pq, sql, 1, NULL, values, NULL, NULL, 0) == 1;
}

bool pg_session_set(PGconn *pq, int64_t statement_timeout_ms) {
    return send_settings(pq,
                         "SELECT set_config('search_path', 'pg_catalog, pg_temp', false),"
                         " set_config('synchronous_commit', CASE WHEN "
                         "current_setting('synchronous_commit') IN ('off', 'local')"
                         "   THEN 'on' ELSE current_setting('synchronous_commit') END, false),"
                         " set_config('default_transaction_isolation', 'read committed', false),"
                         " set_config('default_transaction_read_only', 'off', false),"
                         " set_config('idle_in_transaction_session_timeout', '5s', false),"
                         " set_config('client_connection_check_interval', '1s', false),"
                         " set_config('tcp_user_timeout', '10s', false),"
                         " set_config('plan_cache_mode', 'force_generic_plan', false),"
                         " set_config('statement_timeout', $1, false)",
                         statement_timeout_ms);
}

/* Not whether it may write: that is what it looks at. */
bool pg_session_set_scout(PGconn *pq, int64_t statement_timeout_ms) {
    return send_settings(pq,
                         "SELECT set_config('search_path', 'pg_catalog, pg_temp', false),"
                         " set_config('statement_timeout', $1, false)",
                         statement_timeout_ms);
}

bool pg_session_who(PGconn *pq) {
    return PQsendQueryParams(
               pq,
               "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || CASE "
               "WHEN "
               "pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean THEN "
               "'reads' "
               "ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END || '/' || "
               "pg_postmaster_start_time()::text,"
               " pg_backend_pid(), (SELECT backend_start FROM pg_stat_activity WHERE pid = "
               "pg_backend_pid())",
               0, NULL, NULL, NULL, NULL, 0) == 1;
}
