/*
 * handlers: what a command means at the node. Writes the reply, or leaves an op that will.
 */
#ifndef RINGFENCE_HANDLERS_H
#define RINGFENCE_HANDLERS_H

#include <stdint.h>

#include "../common/span.h"

struct scope;
struct server;
struct session;

/** handlers_execute(session, argv, argc): one request. Its reply is in session_out(), or
 * session_defer() was called. `argv` is borrowed. */
void handlers_execute(struct session *session, const struct span *argv, uint32_t argc);

enum { HANDLERS_GETS_MAX = 16 };

/**
 * handlers_gets(session, keys, count): that many GETs in a row, at most HANDLERS_GETS_MAX; memory
 * is asked for all of them before the first is answered. Returns how many were taken: fewer when
 * the session has to wait before the next (session_waits()).
 */
uint32_t handlers_gets(struct session *session, const struct span *keys, uint32_t count);

/** handlers_local(session, id, argv, argc): a command without keys. */
void handlers_local(struct session *session, int id, const struct span *argv, uint32_t argc);

/** handlers_read(session, id, argv, argc): a command that is answered from keys' values. */
void handlers_read(struct session *session, int id, const struct span *argv, uint32_t argc);

/** handlers_query(session, id, argv, argc): a command that is answered past the cache. */
void handlers_query(struct session *session, int id, const struct span *argv, uint32_t argc);

/** handlers_scan(session, id, scope, argv, argc): a command about all keys that are in `scope`; of
 * these, handlers_keys(session, id, scope, argv): those that go by the order of the keys.
 * handlers_scoped(session, argv, argc): RF.SCOPE, which has the scope before the command. */
void handlers_scan(struct session *session, int id, const struct scope *scope,
                   const struct span *argv, uint32_t argc);
void handlers_keys(struct session *session, int id, const struct scope *scope,
                   const struct span *argv);
void handlers_scoped(struct session *session, const struct span *argv, uint32_t argc);

/** handlers_write(session, id, argv, argc): a command that writes. */
void handlers_write(struct session *session, int id, const struct span *argv, uint32_t argc);

/** handlers_exec(session, watches, commands): requests to run as one transaction (exec.h). */
void handlers_exec(struct session *session, struct span watches, struct span commands);

/** handlers_check_key(session, key): a key that may go to SQL; else the error is written. */
int handlers_check_key(struct session *session, struct span key);

/** handlers_fail(session, error): an error reply, counted. `error`: enum reply_error. */
void handlers_fail(struct session *session, int error, const char *detail);

/** handlers_error_of(status): the reply_error of a through_status that is a failure. */
int handlers_error_of(int through_status);

#endif
