#include "pg_conn.h"

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/hash.h"
#include "../common/log.h"
#include "backoff.h"
#include "hosts.h"
#include "pg_session.h"

enum {
    CONNECT_DEADLINE_MS = 3000,
    STEADY_MS = 2000, /* up for so long: the next loss is a new one, and is retried soon */
    ERROR_BYTES = 256
};

enum state { STATE_DOWN, STATE_CONNECTING, STATE_SETUP, STATE_UP };

struct pg_conn {
    struct event_base *base;
    struct pg_conn_conf conf;
    const struct pg_conn_handlers *handlers;
    void *ctx;
    PGconn *pq;
    enum state state;
    struct event *readable, *writable, *close_later;
    struct pg_group *first, *last;
    unsigned busy;
    struct pg_group setup;
    bool setup_failed, joined, leaving;
    int64_t connect_until_ms, next_try_ms, up_since_ms;
    struct backoff backoff;
    uint64_t reconnects;
    bool said;        /* that it is down: once per outage */
    bool only_reads;  /* the last try found only servers that take no writes */
    bool short_lived; /* its last life was: that it is up again is said only when it lasts */
    char identity[160];
    int backend_pid; /* of the connection that is, or was */
    char backend_start[64];
    bool lost_busy; /* it went with something sent: its backend may still be at work */
    int host;       /* of conf.hosts: where it leads, or led */
    uint64_t try;
    char error[ERROR_BYTES];
};

static void on_socket(evutil_socket_t fd, short what, void *arg);
static void on_close_later(evutil_socket_t fd, short what, void *arg);

void pg_clean(const char *text, char *out, unsigned size) {
    unsigned at = 0;
    for (; text != NULL && *text != '\0' && at + 1 < size; text++)
        out[at++] = (unsigned char)*text < ' ' ? ' ' : *text == '"' ? '\'' : *text;
    while (at > 0 && out[at - 1] == ' ')
        at--;
    out[at] = '\0';
}

/* ---- events ---- */

static void drop_events(struct pg_conn *c) {
    if (c->readable != NULL)
        event_free(c->readable);
    if (c->writable != NULL)
        event_free(c->writable);
    c->readable = c->writable = NULL;
}

/* libpq may change its socket while it connects, so the events are made anew at each step. */
static bool want(struct pg_conn *c, short what) {
    drop_events(c);
    int fd = PQsocket(c->pq);
    if (fd < 0)
        return false;
    if ((what & EV_READ) != 0) {
        c->readable = event_new(c->base, fd, EV_READ | EV_PERSIST, on_socket, c);
        if (c->readable == NULL || event_add(c->readable, NULL) != 0)
            return false;
    }
    c->writable = event_new(c->base, fd, EV_WRITE | EV_PERSIST, on_socket, c);
    return c->writable != NULL && ((what & EV_WRITE) == 0 || event_add(c->writable, NULL) == 0);
}

/* ---- connecting ---- */

static void note_readers(struct pg_conn *c, bool only_reads) {
    bool before = c->only_reads;
    c->only_reads = only_reads;
    if (only_reads && !before)
        log_event(
            LOG_LEVEL_WARN, "db_read_only",
            "connection=%s waits_for=\"a server that takes writes: all that conninfo names are "
            "standbys or read-only\"",
            c->conf.name);
}

static void fail(struct pg_conn *c, const char *why) {
    bool was_up = c->state == STATE_UP;
    char identity[sizeof(c->identity)];
    snprintf(identity, sizeof(identity), "%s", c->identity);
    if (c->conf.hosts == NULL && !c->conf.standby)
        note_readers(c, c->state == STATE_CONNECTING && pg_session_only_reads(why));
    pg_clean(why, c->error, sizeof(c->error));
    if (!c->said)
        log_event(LOG_LEVEL_WARN, "db_connection_down", "connection=%s why=\"%s\"", c->conf.name,
                  c->error);
    c->said = true;
    c->reconnects += was_up;
    c->lost_busy = c->lost_busy || (was_up && c->busy != 0);
    c->state = STATE_DOWN;
    drop_events(c);
    event_del(c->close_later);
    if (c->pq != NULL)
        PQfinish(c->pq);
    c->pq = NULL;
    c->identity[0] = '\0';
    if (c->joined)
        hosts_left(c->conf.hosts, c->host);
    c->joined = c->leaving = false;
    if (was_up) {
        c->short_lived = clock_mono_ms() - c->up_since_ms < STEADY_MS;
        if (!c->short_lived)
            backoff_reset(&c->backoff);
    }
    c->next_try_ms = clock_mono_ms() + backoff_next(&c->backoff);
    while (c->first != NULL) {
        struct pg_group *group = c->first;
        c->first = group->next;
        c->busy--;
        group->on_end(group, PG_GROUP_LOST);
    }
    c->last = NULL;
    if (c->conf.scout && c->conf.hosts != NULL)
        hosts_missed(c->conf.hosts, c->host, identity, c->error);
    if (was_up)
        c->handlers->on_down(c->ctx, c);
}

/* Which host to connect to, if there is one now. */
static bool has_place(struct pg_conn *c, int64_t now_mono_ms) {
    if (c->conf.hosts == NULL)
        return true;
    c->host = c->conf.scout ? c->conf.host : hosts_pick(c->conf.hosts, now_mono_ms);
    return c->host != HOSTS_NONE;
}

static void start(struct pg_conn *c) {
    struct hosts *hosts = c->conf.hosts;
    c->try = hosts != NULL ? hosts_try(hosts) : 0;
    c->pq = pg_session_connect(c->conf.conninfo, c->conf.name,
                               hosts != NULL ? hosts_place(hosts, c->host) : NULL,
                               c->conf.scout     ? "any"
                               : c->conf.standby ? "standby"
                                                 : "read-write");
    c->connect_until_ms = clock_mono_ms() + CONNECT_DEADLINE_MS;
    c->state = STATE_CONNECTING;
    if (c->pq == NULL || PQstatus(c->pq) == CONNECTION_BAD || !want(c, EV_WRITE))
        fail(c, c->pq == NULL ? "out of memory" : PQerrorMessage(c->pq));
}

static void try_again(struct pg_conn *c, int64_t now_mono_ms) {
    if (has_place(c, now_mono_ms))
        start(c);
    else
        note_readers(c, hosts_only_read(c->conf.hosts));
}

struct pg_conn *pg_conn_new(struct event_base *base, const struct pg_conn_conf *conf,
                            const struct pg_conn_handlers *handlers, void *ctx) {
    struct pg_conn *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->base = base;
    c->conf = *conf;
    c->handlers = handlers;
    c->ctx = ctx;
    backoff_init(&c->backoff, hash_seed());
    c->close_later = evtimer_new(base, on_close_later, c);
    if (c->close_later == NULL) {
        free(c);
        return NULL;
    }
    try_again(c, clock_mono_ms());
    return c;
}

void pg_conn_free(struct pg_conn **pointer) {
    struct pg_conn *c = *pointer;
    *pointer = NULL;
    if (c == NULL)
        return;
    c->said = true;
    c->state = STATE_DOWN;
    c->conf.hosts = NULL; /* no word of this */
    c->joined = false;
    fail(c, "closed");
    event_free(c->close_later);
    free(c);
}

/* ---- the session ---- */

static void on_setup_result(struct pg_group *group, struct pg_result *result) {
    struct pg_conn *c = (struct pg_conn *)((char *)group - offsetof(struct pg_conn, setup));
    PGresult *r = (PGresult *)result;
    if (PQresultStatus(r) == PGRES_PIPELINE_ABORTED) {
        return; /* after the error that was noted */
    } else if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK) {
        pg_clean(PQresultErrorMessage(r), c->error, sizeof(c->error));
        c->setup_failed = true;
    } else if (PQnfields(r) == 3) {
        snprintf(c->identity, sizeof(c->identity), "%s", PQgetvalue(r, 0, 0));
        c->backend_pid = atoi(PQgetvalue(r, 0, 1));
        snprintf(c->backend_start, sizeof(c->backend_start), "%s", PQgetvalue(r, 0, 2));
    }
}

static void say_up(struct pg_conn *c) {
    if (c->said)
        log_event(LOG_LEVEL_INFO, "db_connection_up", "connection=%s", c->conf.name);
    c->said = c->short_lived = false;
}

static void on_setup_end(struct pg_group *group, enum pg_group_end end) {
    struct pg_conn *c = (struct pg_conn *)((char *)group - offsetof(struct pg_conn, setup));
    if (end == PG_GROUP_LOST)
        return;
    if (c->setup_failed) {
        char why[ERROR_BYTES];
        snprintf(why, sizeof(why), "%s", c->error);
        pg_conn_close(c, why);
        return;
    }
    if (c->conf.hosts != NULL) {
        hosts_met(c->conf.hosts, c->host, c->try, c->identity);
        if (!c->conf.scout && !hosts_keeps(c->conf.hosts, c->host, c->identity)) {
            pg_conn_close(c, hosts_refuse(c->conf.hosts, c->host, c->identity));
            return;
        }
        c->joined = !c->conf.scout;
        if (c->joined)
            hosts_joined(c->conf.hosts, c->host);
    }
    c->state = STATE_UP;
    c->up_since_ms = clock_mono_ms();
    c->lost_busy = c->only_reads = false;
    if (!c->short_lived)
        say_up(c);
    c->handlers->on_up(c->ctx, c);
}

static void set_up(struct pg_conn *c) {
    if (PQsetnonblocking(c->pq, 1) != 0 || PQenterPipelineMode(c->pq) != 1) {
        fail(c, "pipeline mode refused");
        return;
    }
    c->state = STATE_SETUP;
    c->setup_failed = false;
    c->setup = (struct pg_group){.on_result = on_setup_result, .on_end = on_setup_end};
    bool sent = !c->conf.terminate_lost || !c->lost_busy ||
                pg_session_end(c->pq, c->backend_pid, c->backend_start);
    sent = sent && (c->conf.scout ? pg_session_set_scout(c->pq, c->conf.statement_timeout_ms)
                                  : pg_session_set(c->pq, c->conf.statement_timeout_ms));
    if (sent && pg_session_who(c->pq))
        pg_conn_send(c, &c->setup);
    else /* a session without all of that must not write */
        fail(c, PQerrorMessage(c->pq));
}

static void go_on_connecting(struct pg_conn *c) {
    PostgresPollingStatusType polled = PQconnectPoll(c->pq);
    if (polled == PGRES_POLLING_FAILED || polled == PGRES_POLLING_ACTIVE)
        fail(c, PQerrorMessage(c->pq));
    else if (!want(c, polled == PGRES_POLLING_WRITING ? EV_WRITE : EV_READ))
        fail(c, "no event for the socket");
    else if (polled == PGRES_POLLING_OK)
        set_up(c);
}

/* ---- groups ---- */

static void flush(struct pg_conn *c) {
    int left = PQflush(c->pq);
    if (left < 0)
        pg_conn_close(c, PQerrorMessage(c->pq));
    else if (left == 0)
        event_del(c->writable);
    else if (event_add(c->writable, NULL) != 0)
        pg_conn_close(c, "out of memory");
}

void pg_conn_send(struct pg_conn *c, struct pg_group *group) {
    group->next = NULL;
    group->sent_mono_ms = clock_mono_ms();
    if (c->last != NULL)
        c->last->next = group;
    else
        c->first = group;
    c->last = group;
    c->busy++;
    if (PQpipelineSync(c->pq) != 1)
        pg_conn_close(c, PQerrorMessage(c->pq));
    else
        flush(c);
}

/* libpq's own words: it had no memory for what the server said, or lost the connection. The
 * server's have a state. */
static bool is_unheard(const PGresult *r) {
    return PQresultStatus(r) == PGRES_FATAL_ERROR &&
           PQresultErrorField(r, PG_DIAG_SQLSTATE) == NULL;
}

/* Results that are here. Callbacks may close the connection, which only takes effect later. */
static void take_results(struct pg_conn *c) {
    int empty = 0;
    while (c->first != NULL && !PQisBusy(c->pq) && empty < 2) {
        PGresult *r = PQgetResult(c->pq);
        if (r == NULL) { /* the end of one statement's results; twice in a row: nothing more */
            empty++;
            continue;
        }
        empty = 0;
        struct pg_group *group = c->first;
        if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
            c->first = group->next;
            if (c->first == NULL)
                c->last = NULL;
            c->busy--;
            PQclear(r);
            group->on_end(group, PG_GROUP_SYNCED);
        } else if (is_unheard(r)) { /* what the statement did is not known: its group is lost */
            pg_conn_close(c, PQresultErrorMessage(r));
            PQclear(r);
            return;
        } else {
            group->on_result(group, (struct pg_result *)r);
            PQclear(r);
        }
    }
}

static void take_notifies(struct pg_conn *c) {
    for (PGnotify *n; (n = PQnotifies(c->pq)) != NULL; PQfreemem(n)) {
        if (c->handlers->on_notify != NULL && c->state == STATE_UP)
            c->handlers->on_notify(c->ctx, n->extra);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *arg) {
    struct pg_conn *c = arg;
    if (c->state == STATE_CONNECTING) {
        go_on_connecting(c);
        return;
    }
    if ((what & EV_READ) != 0) {
        bool alive = PQconsumeInput(c->pq) == 1;
        take_results(c); /* also what came before the end */
        take_notifies(c);
        if (!alive || PQstatus(c->pq) == CONNECTION_BAD) {
            fail(c, PQerrorMessage(c->pq));
            return;
        }
    }
    flush(c);
}

static void on_close_later(evutil_socket_t fd, short what, void *arg) {
    struct pg_conn *c = arg;
    char why[ERROR_BYTES];
    snprintf(why, sizeof(why), "%s", c->error);
    if (c->pq != NULL)
        fail(c, why);
}

void pg_conn_close(struct pg_conn *c, const char *why) {
    if (why != c->error)
        pg_clean(why, c->error, sizeof(c->error));
    event_active(c->close_later, EV_TIMEOUT, 0); /* this needs no memory */
}

/* ---- time and facts ---- */

bool pg_conn_leave(struct pg_conn *c) {
    if (c->leaving)
        return true;
    if (c->conf.hosts == NULL || c->conf.scout || c->state != STATE_UP ||
        hosts_keeps(c->conf.hosts, c->host, c->identity))
        return false;
    c->leaving = true;
    pg_conn_close(c, hosts_refuse(c->conf.hosts, c->host, c->identity));
    return true;
}

void pg_conn_met(struct pg_conn *c, const char *identity) {
    snprintf(c->identity, sizeof(c->identity), "%s", identity);
    if (hosts_met(c->conf.hosts, c->host, c->try, identity) == HOST_OLD &&
        hosts_state(c->conf.hosts, c->host) != HOST_OLD)
        pg_conn_close(c, "another server answers there now");
}

void pg_conn_tick(struct pg_conn *c, int64_t now_mono_ms) {
    if (c->state == STATE_DOWN) {
        if (now_mono_ms >= c->next_try_ms)
            try_again(c, now_mono_ms);
    } else if (c->state != STATE_UP) {
        if (now_mono_ms >= c->connect_until_ms)
            fail(c, "no answer while connecting");
    } else if (c->said && now_mono_ms - c->up_since_ms >= STEADY_MS) {
        say_up(c);
    } else if (c->first != NULL && now_mono_ms - c->first->sent_mono_ms > c->conf.deadline_ms) {
        fail(c, "no answer in time");
    }
}

bool pg_conn_is_up(const struct pg_conn *c) {
    return c->state == STATE_UP;
}

void *pg_conn_raw(struct pg_conn *c) {
    return c->pq;
}

unsigned pg_conn_busy(const struct pg_conn *c) {
    return c->busy;
}

bool pg_conn_only_reads(const struct pg_conn *c) {
    return c->only_reads;
}

const char *pg_conn_identity(const struct pg_conn *c) {
    return c->identity;
}

uint64_t pg_conn_reconnects(const struct pg_conn *c) {
    return c->reconnects;
}

const char *pg_conn_error(const struct pg_conn *c) {
    const char *why = c->state != STATE_DOWN || c->conf.hosts == NULL || c->conf.scout
                          ? ""
                          : hosts_why(c->conf.hosts);
    return why[0] != '\0' ? why : c->error;
}
