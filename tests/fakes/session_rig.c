#include "session_rig.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/clock.h"
#include "../../common/conf.h"
#include "../../common/conn.h"
#include "../../common/log.h"
#include "../../common/tick.h"
#include "../../node/cache.h"
#include "../../node/feed_pg.h"
#include "../../node/session.h"

static struct store_figures told;
static bool told_feed_up;

static void must(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "session_rig: %s\n", what);
    abort();
}

/* ---- what store_pg and feed_pg tell ---- */

void store_pg_figures(const struct store *store, struct store_figures *out) {
    *out = told;
    if (out->last_error == NULL)
        out->last_error = "";
}

int feed_pg_is_up(const struct feed_pg *feed) {
    return told_feed_up;
}

uint64_t feed_pg_reconnects(const struct feed_pg *feed) {
    return 1;
}

void session_rig_figures(const struct store_figures *figures, bool feed_up) {
    told = *figures;
    told_feed_up = feed_up;
}

/* ---- the rig ---- */

static void on_pulse(evutil_socket_t fd, short what, void *arg) {
}

static bool on_tick(void *ctx, bool held_up) {
    struct session_rig *rig = ctx;
    if (!rig->holds_ticks)
        session_tick(&rig->server);
    return false;
}

struct session_rig *session_rig_new(void) {
    struct session_rig *rig = calloc(1, sizeof(*rig));
    must(rig != NULL, "memory");
    log_set_level(LOG_LEVEL_ERROR);
    size_t count;
    const struct conf_row *rows = node_conf_rows(&count);
    conf_init(rows, count, &rig->conf);
    rig->base = event_base_new();
    const struct timeval every = {0, 1000};
    rig->pulse = event_new(rig->base, -1, EV_PERSIST, on_pulse, NULL);
    must(rig->pulse != NULL && event_add(rig->pulse, &every) == 0, "event");
    const struct through_conf through_conf = {.fence_after_ms = rig->conf.fence_after_ms,
                                              .stale_max_ms = rig->conf.stale_max_ms,
                                              .read_timeout_ms = SESSION_RIG_PATIENCE_MS,
                                              .write_timeout_ms = SESSION_RIG_PATIENCE_MS,
                                              .pending_max = 1024};
    struct server *s = &rig->server;
    *s = (struct server){.conf = &rig->conf,
                         .loop = conn_loop_new(rig->base),
                         .cache = cache_new(4 << 20, 1),
                         .store = store_fake_new(),
                         .tick = tick_new(rig->base, on_tick, rig),
                         .started_mono_ms = clock_mono_ms(),
                         .port = 7101};
    s->through = through_new(&through_conf, s->cache, s->store);
    must(s->loop != NULL && s->cache != NULL && s->through != NULL && s->tick != NULL, "memory");
    through_feed_up(s->through);
    through_heard(s->through, clock_mono_ms());
    return rig;
}

void session_rig_free(struct session_rig **pointer) {
    struct session_rig *rig = *pointer;
    struct server *s = &rig->server;
    size_t count;
    *pointer = NULL;
    session_close_all(s);
    must(s->sessions_count == 0 && s->watchers == 0, "a session is left");
    store_fake_free(&s->store);
    through_free(&s->through);
    cache_free(&s->cache);
    conn_loop_free(&s->loop);
    free(s->spare);
    tick_free(&s->tick);
    event_free(rig->pulse);
    event_base_free(rig->base);
    for (struct session_client *c = rig->clients, *next; c != NULL; c = next) {
        next = c->next;
        session_client_leave(c);
        free(c->heard);
        free(c);
    }
    const struct conf_row *rows = node_conf_rows(&count);
    conf_release(rows, count, &rig->conf);
    free(rig);
}

int64_t session_rig_now_ms(void) {
    return clock_mono_ms();
}

void session_rig_turn(struct session_rig *rig) {
    event_base_loop(rig->base, EVLOOP_ONCE);
    through_heard(rig->server.through, clock_mono_ms());
    through_tick(rig->server.through, clock_mono_ms());
}

void session_rig_cached(struct session_rig *rig, const char *key, uint64_t version,
                        const char *value) {
    struct session_client *c = session_rig_open(rig);
    char text[200];
    snprintf(text, sizeof(text), "EXISTS %s\r\n", key);
    session_client_say(c, text);
    must(SESSION_UNTIL(rig, store_fake_gets(rig->server.store) == 1), "the key is there");
    store_fake_row(rig->server.store, 0, version, value);
    must(session_client_hears(c, ":1\r\n"), "the key was not read");
    session_client_leave(c);
}

/* ---- clients ---- */

struct session_client *session_rig_open(struct session_rig *rig) {
    struct session_client *c = calloc(1, sizeof(*c));
    int pair[2];
    must(c != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0,
         "socket");
    c->rig = rig;
    c->fd = pair[0];
    c->cap = 1 << 12;
    c->heard = calloc(1, c->cap);
    c->next = rig->clients;
    rig->clients = c;
    session_open(&rig->server, pair[1]);
    return c;
}

struct session_client *session_rig_link(struct session_rig *rig) {
    struct session_client *c = session_rig_open(rig);
    session_client_say(c, "*2\r\n$7\r\nRF.LINK\r\n$1\r\n1\r\n");
    must(session_client_hears(c, "+OK\r\n"), "no link");
    return c;
}

void session_client_say(struct session_client *c, const char *text) {
    size_t left = strlen(text);
    int64_t until_ms = clock_mono_ms() + SESSION_RIG_PATIENCE_MS;
    while (left != 0) {
        ssize_t n = send(c->fd, text, left, MSG_NOSIGNAL);
        must(n >= 0 || (errno == EAGAIN && clock_mono_ms() < until_ms), "nobody takes it");
        if (n < 0) {
            session_rig_turn(c->rig);
            continue;
        }
        text += n;
        left -= (size_t)n;
    }
}

void session_client_end(struct session_client *c) {
    shutdown(c->fd, SHUT_WR);
}

void session_client_leave(struct session_client *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

const char *session_client_listen(struct session_client *c) {
    for (;;) {
        if (c->cap - c->len < 1 << 11) {
            c->cap *= 2;
            c->heard = realloc(c->heard, c->cap);
            must(c->heard != NULL, "memory");
        }
        ssize_t n = c->fd < 0 ? -1 : recv(c->fd, c->heard + c->len, c->cap - c->len - 1, 0);
        c->eof = c->eof || n == 0;
        if (n <= 0)
            break;
        c->len += (size_t)n;
    }
    c->heard[c->len] = '\0';
    return c->heard;
}

bool session_client_hears(struct session_client *c, const char *text) {
    size_t want = strlen(text);
    SESSION_UNTIL(c->rig, (session_client_listen(c),
                           c->len >= want || c->eof || memcmp(c->heard, text, c->len) != 0));
    bool right = c->len == want && memcmp(c->heard, text, want) == 0;
    if (!right)
        fprintf(stderr, "heard: %.400s\nnot:   %.400s\n", c->heard, text);
    c->len = 0;
    return right;
}
