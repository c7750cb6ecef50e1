/*
 * pg_session: what a connection to PostgreSQL is opened with, told and asked before it is used. For
 * pg_conn and scout.
 */
#ifndef RINGFENCE_PG_SESSION_H
#define RINGFENCE_PG_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct host_place;

/** pg_session_connect(conninfo, name, place, target): begin to connect, to `place` alone if it is
 * not NULL; `target`: libpq's target_session_attrs. NULL without memory. */
PGconn *pg_session_connect(const char *conninfo, const char *name, const struct host_place *place,
                           const char *target);

/** pg_session_only_reads(text): libpq's text about a failed try says that each host answered and
 * only reads. */
bool pg_session_only_reads(const char *text);

/* Statements to send, in pipeline mode; a Sync follows. False if libpq did not take it. */

/** pg_session_end(pq, pid, start): terminate another backend, if it is still that one. */
bool pg_session_end(PGconn *pq, int pid, const char *start);

/** pg_session_set(pq, statement_timeout_ms): what the rules rely on, whatever the role's own
 * settings are. pg_session_set_scout(...): as little as will do for one that only looks. */
bool pg_session_set(PGconn *pq, int64_t statement_timeout_ms);
bool pg_session_set_scout(PGconn *pq, int64_t statement_timeout_ms);

/** pg_session_who(pq): a row of three: the identity as pg_conn_identity() has it, the backend's pid
 * and its start. A role without rights may ask it, also of a standby. */
bool pg_session_who(PGconn *pq);

#endif
