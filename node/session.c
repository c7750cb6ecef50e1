#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/command.h"
#include "../common/conn.h"
#include "../common/reply.h"
#include "../common/resp_parse.h"
#include "../common/resp_write.h"
#include "../common/tick.h"
#include "handlers.h"
#include "node_conf.h"
#include "op.h"
#include "server.h"
#include "through.h"

enum { OUT_HIGH_BYTES = 1 << 20, IN_EXTRA_BYTES = 64 << 20 };

struct session {
    struct server *server;
    struct conn *conn;
    struct conn_conf conn_conf;
    struct resp_parser parser;
    struct op *ops;
    uint64_t id, deferred;
    size_t deferral_bytes; /* that session_defer() wrote while this was read */
    int proto;
    bool linked, watches;
    bool versions; /* it watches, and wants them */
    bool waits;    /* plain: a request is not answered yet */
    bool stalled;  /* input was left for later */
    bool eof;      /* it sends no more; what it asked is still answered */
    bool ended;
    bool keeps_back; /* it is one of server->keepers */
    struct session *next, *prev, *next_keeper;
};

static size_t on_read(void *ctx, const char *data, size_t len);
static void on_end(void *ctx, enum conn_end why);
static void on_drained(void *ctx);

static const struct conn_handlers HANDLERS = {
    .on_read = on_read, .on_end = on_end, .on_drained = on_drained};

void session_refuse(struct server *server, int fd) {
    struct buf text;
    buf_init(&text, 0);
    reply_error(&text, REPLY_CLIENTS_MAX, NULL);
    ssize_t ignored = write(fd, buf_head(&text), buf_len(&text));
    (void)ignored; /* it is closed either way */
    buf_release(&text);
    close(fd);
    server->sessions_refused++;
}

void session_open(struct server *server, int fd) {
    struct session *s =
        server->sessions_count >= server->conf->clients_max ? NULL : calloc(1, sizeof(*s));
    if (s == NULL) {
        session_refuse(server, fd);
        return;
    }
    s->server = server;
    s->proto = 2;
    s->conn_conf =
        (struct conn_conf){.in_max = (size_t)server->conf->value_bytes_max + IN_EXTRA_BYTES,
                           .out_max = (size_t)server->conf->output_bytes_max,
                           .out_low = OUT_HIGH_BYTES};
    resp_parser_init(&s->parser);
    s->conn = conn_adopt(server->loop, fd, &s->conn_conf, &HANDLERS, s);
    if (s->conn == NULL) {
        free(s);
        return;
    }
    s->id = ++server->sessions_made;
    s->next = server->sessions;
    if (s->next != NULL)
        s->next->prev = s;
    server->sessions = s;
    server->sessions_count++;
}

static void set_watch(struct session *s, bool on, bool versions) {
    s->server->watchers += (uint32_t)on;
    s->server->watchers -= (uint32_t)s->watches;
    s->watches = on;
    s->versions = on && versions;
}

static void forget_keeper(struct session *s) {
    struct session **link = &s->server->keepers;
    if (!s->keeps_back)
        return;
    while (*link != s)
        link = &(*link)->next_keeper;
    *link = s->next_keeper;
    s->keeps_back = false;
}

static void leave(struct session *s) {
    struct server *server = s->server;
    for (struct op *op = s->ops, *next; op != NULL; op = next) {
        next = op->next;
        op_abandon(op);
    }
    set_watch(s, false, false);
    forget_keeper(s);
    conn_free(&s->conn);
    resp_parser_release(&s->parser);
    *(s->prev != NULL ? &s->prev->next : &server->sessions) = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    server->sessions_count--;
    free(s);
}

void session_close_all(struct server *server) {
    while (server->sessions != NULL)
        leave(server->sessions);
}

/* What was sent before we said that we end is still in the socket. */
static bool has_unread(const struct conn *conn) {
    int bytes = 0;
    return ioctl(conn_fd(conn), FIONREAD, &bytes) == 0 && bytes > 0;
}

bool session_idle(const struct server *server) {
    for (const struct session *s = server->sessions; s != NULL; s = s->next) {
        if (s->ops != NULL || conn_out_len(s->conn) != 0 || has_unread(s->conn))
            return false;
    }
    return true;
}

/* Nothing more will come and nothing is left to answer. */
static void end_if_done(struct session *s) {
    if (s->eof && !s->stalled && s->ops == NULL)
        session_end(s);
}

static void on_end(void *ctx, enum conn_end why) {
    struct session *s = ctx;
    if (why != CONN_END_EOF || s->ended) {
        leave(s);
        return;
    }
    s->eof = true; /* what was asked is answered, also what waits behind another request */
    end_if_done(s);
}

static void on_drained(void *ctx) {
    struct session *s = ctx;
    if (s->stalled)
        conn_read_again(s->conn);
}

/* ---- requests ---- */

/* GETs that were read one after the other and are answered together. */
struct gets {
    struct span keys[HANDLERS_GETS_MAX];
    size_t begins[HANDLERS_GETS_MAX]; /* where each request begins, to go back to */
    uint32_t count;
};

bool session_waits(const struct session *s) {
    return s->waits || conn_out_len(s->conn) > OUT_HIGH_BYTES;
}

static bool is_get(const struct resp_request *in) {
    return in->argc == 2 && !in->is_inline && in->argv[0].len == 3 &&
           command_find(in->argv[0]) == COMMAND_GET;
}

/* Answers them. False: the session has to wait, and `*used` is where it goes on. */
static bool take_gets(struct session *s, struct gets *gets, size_t *used) {
    uint32_t count = gets->count, taken = handlers_gets(s, gets->keys, count);
    gets->count = 0;
    if (taken == count)
        return true;
    *used = gets->begins[taken];
    resp_parser_release(&s->parser); /* it may be inside a request behind them */
    return false;
}

static void protocol_error(struct session *s) {
    reply_error(conn_out(s->conn), REPLY_PROTOCOL, s->parser.error);
    session_end(s);
}

/* Whole requests from `data`. Returns the bytes taken; s->stalled: what follows has to wait. */
static size_t take_requests(struct session *s, const char *data, size_t len) {
    const struct node_conf *conf = s->server->conf;
    const struct resp_limits limits = {.args_max = (uint32_t)conf->args_max,
                                       .bulk_bytes_max =
                                           (uint32_t)conf->value_bytes_max + (IN_EXTRA_BYTES >> 1),
                                       .inline_bytes_max = 64 << 10};
    struct gets gets;
    gets.count = 0;
    size_t used = 0;
    enum resp_result result = RESP_OK;
    while (used < len && !s->ended && !s->stalled) {
        struct resp_request in = {0};
        if (gets.count == 0 && session_waits(s)) {
            s->stalled = true;
            break;
        }
        result = resp_parse_request(&s->parser, data + used, len - used, &limits, &in);
        if (result != RESP_OK)
            break;
        if (is_get(&in)) {
            gets.keys[gets.count] = in.argv[1];
            gets.begins[gets.count++] = used;
            used += in.size;
            if (gets.count == HANDLERS_GETS_MAX)
                s->stalled = !take_gets(s, &gets, &used);
            continue;
        }
        s->stalled = (gets.count != 0 && !take_gets(s, &gets, &used)) || session_waits(s);
        if (s->stalled)
            break;
        used += in.size;
        if (in.argc != 0) {
            s->server->commands++;
            handlers_execute(s, in.argv, in.argc);
        }
    }
    if (gets.count != 0)
        s->stalled = !take_gets(s, &gets, &used);
    if (result == RESP_ERROR && !s->stalled && !session_waits(s)) {
        protocol_error(s);
    } else if (result == RESP_ERROR) { /* in its turn */
        s->stalled = true;
        resp_parser_release(&s->parser);
    }
    return used;
}

/* Nobody waits for deferrals but answers behind them: alone they go with the next answer, which is
 * soon their own, or at the next tick. */
static void send_answers(struct session *s, size_t out_before) {
    if (conn_out_len(s->conn) - out_before != s->deferral_bytes || s->deferral_bytes == 0) {
        conn_send(s->conn);
    } else if (!s->keeps_back) {
        s->keeps_back = true;
        s->next_keeper = s->server->keepers;
        s->server->keepers = s;
    }
}

void session_tick(struct server *server) {
    while (server->keepers != NULL) {
        struct session *s = server->keepers;
        forget_keeper(s);
        conn_send(s->conn);
    }
}

static size_t on_read(void *ctx, const char *data, size_t len) {
    struct session *s = ctx;
    size_t out_before = conn_out_len(s->conn);
    s->stalled = false;
    s->deferral_bytes = 0;
    size_t used = take_requests(s, data, len);
    send_answers(s, out_before);
    if (s->ended)
        return len;
    if (s->stalled)
        conn_pause(s->conn);
    else
        conn_resume(s->conn);
    end_if_done(s);
    return used;
}

/* ---- what handlers use ---- */

struct server *session_server(const struct session *s) {
    return s->server;
}

uint64_t session_id(const struct session *s) {
    return s->id;
}

struct buf *session_out(struct session *s) {
    return conn_out(s->conn);
}

int session_proto(const struct session *s) {
    return s->proto;
}

void session_set_proto(struct session *s, int proto) {
    s->proto = proto;
}

void session_link(struct session *s) {
    s->linked = true;
    s->proto = 3;
}

/* ---- who is told what changes ---- */

static const char STALE_ALL[] = ">1\r\n+stale-all\r\n";

void session_watch(struct session *s, bool on, bool versions) {
    set_watch(s, on, versions);
    resp_write_status(session_out(s), "OK");
    if (on && !through_trusts(s->server->through, clock_mono_ms()))
        buf_append_span(session_out(s), SPAN(STALE_ALL));
}

/* `key.ptr` NULL: without one. `versioned`: the head for those who want versions. */
static void tell_watchers(struct server *server, struct span head, struct span versioned,
                          struct span key) {
    uint32_t left = server->watchers;
    for (struct session *s = server->sessions; left != 0; s = s->next) {
        if (!s->watches)
            continue;
        left--;
        buf_append_span(conn_out(s->conn), s->versions ? versioned : head);
        if (key.ptr != NULL)
            resp_write_bulk(conn_out(s->conn), key);
        conn_send(s->conn);
    }
}

void session_watch_tell(struct server *server, struct span key, uint64_t version,
                        enum change change) {
    char head[] = ">3\r\n+stale\r\n+?\r\n", versioned[48];
    if (server->watchers == 0)
        return;
    *strchr(head, '?') = (char)change;
    snprintf(versioned, sizeof(versioned), ">4\r\n+stale\r\n+%c\r\n:%" PRIu64 "\r\n", (char)change,
             version);
    tell_watchers(server, span_str(head), span_str(version == 0 ? head : versioned), key);
}

void session_watch_tell_all(struct server *server) {
    tell_watchers(server, SPAN(STALE_ALL), SPAN(STALE_ALL), span_of(NULL, 0));
}

void session_end(struct session *s) {
    s->ended = true;
    conn_end_after_send(s->conn);
}

void session_defer(struct session *s, struct op *op) {
    op->prev = NULL;
    op->next = s->ops;
    if (op->next != NULL)
        op->next->prev = op;
    s->ops = op;
    s->server->deferred++;
    tick_wake(s->server->tick);
    if (!s->linked) {
        s->waits = true;
        return;
    }
    struct buf *out = conn_out(s->conn);
    size_t out_before = buf_len(out);
    op->late_id = ++s->deferred;
    buf_append(out, ">2\r\n+defer\r\n", 12);
    resp_write_int(out, (int64_t)op->late_id);
    s->deferral_bytes += buf_len(out) - out_before;
}

void session_wrote(struct op *op, struct span key, uint64_t version) {
    if (version == 0 || !op->session->versions)
        return;
    struct buf *out = conn_out(op->session->conn);
    buf_append(out, ">4\r\n+wrote\r\n", 12);
    resp_write_int(out, (int64_t)op->late_id);
    resp_write_int(out, (int64_t)version);
    resp_write_bulk(out, key);
}

struct buf *session_late(struct op *op) {
    struct buf *out = conn_out(op->session->conn);
    if (op->session->linked) {
        buf_append(out, ">3\r\n+late\r\n", 11);
        resp_write_int(out, (int64_t)op->late_id);
    }
    return out;
}

void session_late_done(struct op *op) {
    struct session *s = op->session;
    *(op->prev != NULL ? &op->prev->next : &s->ops) = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    op->session = NULL;
    s->waits = false;
    conn_send(s->conn);
    if (s->stalled)
        conn_read_again(s->conn);
    end_if_done(s);
}
