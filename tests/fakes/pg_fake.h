/*
 * pg_fake: as much of a PostgreSQL server as libpq in pipeline mode needs, on a Unix socket in a
 * folder of its own, within the test's event base. It answers by itself what every session asks:
 * its start, settings and identity, PREPARE, LISTEN, the checks of the table, heartbeats. Every
 * other group (what one Sync ends) waits until the test answers it, statement by statement. Owned
 * by the test.
 */
#ifndef RINGFENCE_PG_FAKE_H
#define RINGFENCE_PG_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/span.h"

struct event_base;
struct pg_fake;
struct pg_fake_group;

enum { PG_FAKE_PARAMS_MAX = 8, PG_FAKE_STATEMENTS_MAX = 80 };

/** pg_fake_new(base): it listens. Aborts when it cannot, as everything in here. */
struct pg_fake *pg_fake_new(struct event_base *base);
void pg_fake_free(struct pg_fake **fake);

/** pg_fake_host(fake): for a conninfo: host=... user=u dbname=d. */
const char *pg_fake_host(const struct pg_fake *fake);

/* ---- how sessions begin ---- */

/** pg_fake_listen(fake, on): whether anybody listens; connections stay. */
void pg_fake_listen(struct pg_fake *fake, bool on);

/** pg_fake_mute(fake, mute): connections are accepted, and nothing that comes is read. */
void pg_fake_mute(struct pg_fake *fake, bool mute);

/** pg_fake_refuse(fake, state, message): sessions end with this FATAL error at their start; NULL:
 * they do not. */
void pg_fake_refuse(struct pg_fake *fake, const char *state, const char *message);

/** pg_fake_standby(fake, on): it says of new sessions that it only reads. */
void pg_fake_standby(struct pg_fake *fake, bool on);

/** pg_fake_identity(fake, identity): what new sessions are told; "1/00000001/start" at first. */
void pg_fake_identity(struct pg_fake *fake, const char *identity);

/* ---- what it does by itself ---- */

/** pg_fake_fail(fake, part, state, message): the next statement whose SQL has this part is an
 * error. */
void pg_fake_fail(struct pg_fake *fake, const char *part, const char *state, const char *message);

/** pg_fake_hold(fake, part): groups with a statement that has this part wait for the test; NULL:
 * none. */
void pg_fake_hold(struct pg_fake *fake, const char *part);

/** pg_fake_check(fake, text): what the checks of the table say; NULL: all is well. */
void pg_fake_check(struct pg_fake *fake, const char *text);

/** pg_fake_deaf(fake, deaf): heartbeats are committed, but nobody hears them. */
void pg_fake_deaf(struct pg_fake *fake, bool deaf);

/** pg_fake_sentinel(fake, text): what heartbeats say of the table's storage and triggers. */
void pg_fake_sentinel(struct pg_fake *fake, const char *text);

/** pg_fake_clock(fake, ms): how far its clock is ahead. */
void pg_fake_clock(struct pg_fake *fake, int64_t ms);

/** pg_fake_notify(fake, payload): to every session that listens. */
void pg_fake_notify(struct pg_fake *fake, const char *payload);

/* ---- sessions; `name`: the application_name behind "ringfence ", NULL for all ---- */

unsigned pg_fake_sessions(const struct pg_fake *fake, const char *name);
/** pg_fake_started(fake): how many there ever were. pg_fake_beats(fake): heartbeats heard. */
unsigned pg_fake_started(const struct pg_fake *fake);
unsigned pg_fake_beats(const struct pg_fake *fake);
/** pg_fake_terminated(fake): pid and start of the last backend that a session had terminated. */
const char *pg_fake_terminated(const struct pg_fake *fake);
/** pg_fake_saw(fake, text): a statement with this text was seen. */
bool pg_fake_saw(const struct pg_fake *fake, const char *text);
void pg_fake_drop(struct pg_fake *fake, const char *name);

/* ---- groups that wait, in the order of their Syncs ---- */

unsigned pg_fake_groups(const struct pg_fake *fake);
struct pg_fake_group *pg_fake_group(struct pg_fake *fake, unsigned i);

/** pg_fake_session(group): the name of its session. pg_fake_count(group): its statements, those
 * with set_config left out; pg_fake_sql(group, i), pg_fake_param(group, i, n): of the i-th of
 * these, as bytes; pg_fake_setting(group, i): of the i-th set_config its first parameter. */
const char *pg_fake_session(const struct pg_fake_group *group);
unsigned pg_fake_count(const struct pg_fake_group *group);
const char *pg_fake_sql(const struct pg_fake_group *group, unsigned i);
struct span pg_fake_param(const struct pg_fake_group *group, unsigned i, unsigned n);
const char *pg_fake_setting(const struct pg_fake_group *group, unsigned i);

/** pg_fake_array(param): a binary text[] as its elements, parted by blanks; valid until the next.
 */
const char *pg_fake_array(struct span param);

/* Answers, to one statement after the other; set_config is answered on the way. */

/** pg_fake_begin(group, columns), pg_fake_row(group, types, ...) for each row, pg_fake_end(group):
 * a result. Types: t text (const char *), i integer (int64_t), b boolean (int), n NULL. */
void pg_fake_begin(struct pg_fake_group *group, unsigned columns);
void pg_fake_row(struct pg_fake_group *group, const char *types, ...);
void pg_fake_end(struct pg_fake_group *group);

/** pg_fake_error(group, state, message): the statement fails; what follows up to the Sync is
 * skipped. Without a state it is as libpq's own error, when it had no memory for a result.
 * pg_fake_fatal(...): the session ends with this. */
void pg_fake_error(struct pg_fake_group *group, const char *state, const char *message);
void pg_fake_fatal(struct pg_fake_group *group, const char *state, const char *message);

/** pg_fake_sync(group): its Sync is answered; it waits no longer. pg_fake_cut(group): the
 * connection closes instead, also in the middle of a result. */
void pg_fake_sync(struct pg_fake_group *group);
void pg_fake_cut(struct pg_fake_group *group);

#endif
