/*
 * pg_conn: one non-blocking libpq connection in pipeline mode over libevent: connects, sets the
 * session up, delivers results group by group (a group = what one Sync ends), flushes, and connects
 * again by itself with jittered back-off. Knows no SQL of ours beyond the session's settings. Owned
 * by store or feed_pg. A host name is resolved by libpq and blocks while it is: give addresses
 * (hostaddr), a Unix socket, or names that /etc/hosts knows.
 */
#ifndef RINGFENCE_PG_CONN_H
#define RINGFENCE_PG_CONN_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct hosts;
struct pg_conn;
struct pg_notify;
struct pg_result;

enum pg_group_end {
    PG_GROUP_SYNCED, /* its Sync was answered: whatever had no error is committed */
    PG_GROUP_LOST,   /* the connection went before that */
};

/* What one Sync ends; embedded in what waits for it. */
struct pg_group {
    /** One result of it (PGresult *), never a Sync's; borrowed during the call. */
    void (*on_result)(struct pg_group *group, struct pg_result *result);
    /** Its end, exactly once, from the loop; the group is the caller's again. */
    void (*on_end)(struct pg_group *group, enum pg_group_end end);
    struct pg_group *next; /* pg_conn's */
    int64_t sent_mono_ms;
};

struct pg_conn_handlers {
    /** The session is ready: groups may be sent. `statements` must be prepared by the owner in
     * here, as a group of its own. */
    void (*on_up)(void *ctx, struct pg_conn *conn);
    /** It was up and is lost; its groups were ended before. */
    void (*on_down)(void *ctx, struct pg_conn *conn);
    /** Optional: a notification on a channel. */
    void (*on_notify)(void *ctx, const char *payload);
};

struct pg_conn_conf {
    const char *conninfo;
    const char *name;    /* for logs and application_name */
    int64_t deadline_ms; /* a group older than this closes the connection */
    int64_t statement_timeout_ms;
    bool terminate_lost; /* before a replacement is up, the backend that was lost is terminated
                            (F15) */
    struct hosts *hosts; /* says which of conninfo's servers to connect to, and is told who answers;
                            NULL: conninfo as it stands */
    bool scout;          /* it connects to `host` alone, also to one that only reads */
    bool standby;        /* it connects to a standby, and to nothing else */
    int host;
};

/** pg_conn_new(base, conf, handlers, ctx): start connecting. `conf`'s strings, `handlers` are
 * borrowed. NULL without memory. */
struct pg_conn *pg_conn_new(struct event_base *base, const struct pg_conn_conf *conf,
                            const struct pg_conn_handlers *handlers, void *ctx);

/** pg_conn_free(conn): its groups are ended first (PG_GROUP_LOST). */
void pg_conn_free(struct pg_conn **conn);

bool pg_conn_is_up(const struct pg_conn *conn);

/** pg_conn_only_reads(conn): every host of conninfo answers, as far as the last try knows, and none
 * takes writes. */
bool pg_conn_only_reads(const struct pg_conn *conn);

/** pg_conn_raw(conn): the PGconn, to call PQsend... on, only while it is up; then pg_conn_send().
 */
void *pg_conn_raw(struct pg_conn *conn);

/** pg_conn_send(conn, group): a Sync ends what was sent since the last; `group` gets its results.
 * On failure the connection is closed, which ends the group from the loop. */
void pg_conn_send(struct pg_conn *conn, struct pg_group *group);

/** pg_conn_busy(conn): groups without an end. */
unsigned pg_conn_busy(const struct pg_conn *conn);

/** pg_conn_close(conn, why): give the connection up; it connects again. Its groups end from the
 * loop, not in here. */
void pg_conn_close(struct pg_conn *conn, const char *why);

/** pg_conn_leave(conn): give it up if it leads where it must not any more (hosts_keeps); true if
 * so, until it is closed, which is before the loop's next turn: send nothing on it. */
bool pg_conn_leave(struct pg_conn *conn);

/** pg_conn_met(conn, identity): a scout asked again who its server is. */
void pg_conn_met(struct pg_conn *conn, const char *identity);

/** pg_conn_tick(conn, now_mono_ms): time-outs and reconnects; call it every 50 ms or so. */
void pg_conn_tick(struct pg_conn *conn, int64_t now_mono_ms);

/** pg_conn_identity(conn): which server it is: system identifier, timeline ("reads": none, it takes
 * no writes), start of the postmaster; "" while not up. */
const char *pg_conn_identity(const struct pg_conn *conn);

/** pg_conn_reconnects(conn) / pg_conn_error(conn): how often it was lost, and why last (one clean
 * line). */
uint64_t pg_conn_reconnects(const struct pg_conn *conn);
const char *pg_conn_error(const struct pg_conn *conn);

/** pg_clean(text, out, size): text of PostgreSQL's as one bounded line: no control characters, no
 * double quotes (it stands between them in a log line). */
void pg_clean(const char *text, char *out, unsigned size);

#endif
