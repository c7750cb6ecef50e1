/*
 * session: one connection to the node: a proxy's link, whose waiting requests are answered late by
 * id (docs/decisions.md), or a plain client, which is answered strictly in order: its next request
 * is read when the one before is answered. Owned by the server's list; frees itself.
 */
#ifndef RINGFENCE_SESSION_H
#define RINGFENCE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/change.h"
#include "../common/span.h"

struct buf;
struct op;
struct server;
struct session;

/** session_open(server, fd): take a connection over; closes it when clients-max is reached or
 * memory runs out. */
void session_open(struct server *server, int fd);

/** session_refuse(server, fd): tell it that there are too many, close it and count it. */
void session_refuse(struct server *server, int fd);

/** session_close_all(server): at the end. session_idle(server): no session waits for an answer, and
 * none has sent what is not read yet. */
void session_close_all(struct server *server);
bool session_idle(const struct server *server);

struct server *session_server(const struct session *s);
uint64_t session_id(const struct session *s);

/** session_out(s): where an immediate reply is appended. */
struct buf *session_out(struct session *s);

/** session_proto(s): 2 or 3; session_set_proto(s, proto). session_link(s): from now on late answers
 * are understood. */
int session_proto(const struct session *s);
void session_set_proto(struct session *s, int proto);
void session_link(struct session *s);

/** session_watch(s, on, versions): a link that is to be told what changes. Its answer is written
 * here: OK, and that anything may have changed if nothing is trusted just now. With `versions` it
 * is told these as well, and which of them its own writes made. session_watch_tell(server, key,
 * version, change): tell all of those what became of `key`; `version` 0: not known.
 * session_watch_tell_all(server): that anything may have changed. Call it after through has been
 * told, so that no older answer follows. Cost: O(watchers x key). */
void session_watch(struct session *s, bool on, bool versions);
void session_watch_tell(struct server *server, struct span key, uint64_t version,
                        enum change change);
void session_watch_tell_all(struct server *server);

/** session_end(s): close once what was written is sent (QUIT). */
void session_end(struct session *s);

/** session_waits(s): its next request has to wait: for the answer to the one before (a plain
 * client's), or until it has read its replies. */
bool session_waits(const struct session *s);

/** session_defer(s, op): the request just read is answered later, by session_late(). The session
 * keeps `op` on its list, to cancel it. A link is told so with the next answer, be it this one, or
 * by session_tick(). */
void session_defer(struct session *s, struct op *op);

/** session_tick(server): to be called at every tick, also one that comes late: sends the deferrals
 * that wait for an answer. A proxy that hears nothing for half of its time-out, and five ticks at
 * least, takes the node for hung (upstream_patience_us()). Cost: O(links with such). */
void session_tick(struct server *server);

/** session_wrote(op, key, version): before session_late(): the write made this version of the key;
 * 0: it changed nothing. Told to who wants versions. */
void session_wrote(struct op *op, struct span key, uint64_t version);

/** session_late(op): where the late reply of `op` goes; then session_late_done(op), which takes it
 * off the list. Only while op->session is set. */
struct buf *session_late(struct op *op);
void session_late_done(struct op *op);

#endif
