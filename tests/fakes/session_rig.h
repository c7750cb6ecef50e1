/*
 * session_rig: a node without its main: sessions, handlers, through and a cache over store_fake, on
 * the test's thread, turn by turn, with clients at the other end of socket pairs. It takes the
 * place of what store_pg and feed_pg tell of themselves. Owned by the test.
 */
#ifndef RINGFENCE_SESSION_RIG_H
#define RINGFENCE_SESSION_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "../../node/node_conf.h"
#include "../../node/server.h"
#include "../../node/store_pg.h"
#include "../../node/through.h"
#include "store_fake.h"

enum { SESSION_RIG_PATIENCE_MS = 10000 };

struct event;
struct event_base;

struct session_rig {
    struct event_base *base;
    struct event *pulse; /* ends a turn after a millisecond */
    struct node_conf conf;
    struct server server;
    struct session_client *clients; /* freed with the rig */
    bool holds_ticks;               /* a test ticks itself: session_tick() */
};

/* The client's own end: non-blocking; what it has heard is kept. */
struct session_client {
    struct session_rig *rig;
    int fd;      /* -1: it left */
    char *heard; /* NUL-terminated */
    size_t len, cap;
    bool eof;
    struct session_client *next;
};

/** session_rig_new(): options at their defaults, which a test may change before the first client; a
 * feed that was heard just now. */
struct session_rig *session_rig_new(void);
void session_rig_free(struct session_rig **rig);

/** session_rig_figures(figures, feed_up): what store_pg and feed_pg tell of themselves. */
void session_rig_figures(const struct store_figures *figures, bool feed_up);

/** session_rig_turn(rig): one turn of the loop, for at most a millisecond, and through's tick. */
void session_rig_turn(struct session_rig *rig);

/** SESSION_UNTIL(rig, holds): turns until it holds; false after SESSION_RIG_PATIENCE_MS. */
#define SESSION_UNTIL(rig, holds)                                                                  \
    __extension__({                                                                                \
        int64_t until_ms_ = session_rig_now_ms() + SESSION_RIG_PATIENCE_MS;                        \
        while (!(holds) && session_rig_now_ms() < until_ms_)                                       \
            session_rig_turn(rig);                                                                 \
        (holds);                                                                                   \
    })
int64_t session_rig_now_ms(void);

/** session_rig_open(rig): a client that is connected. session_rig_link(rig): a proxy's link, whose
 * RF.LINK was answered and forgotten. */
struct session_client *session_rig_open(struct session_rig *rig);
struct session_client *session_rig_link(struct session_rig *rig);

/** session_client_say(client, text): send bytes. session_client_end(client): it sends no more.
 * session_client_leave(client): it closes. */
void session_client_say(struct session_client *client, const char *text);
void session_client_end(struct session_client *client);
void session_client_leave(struct session_client *client);

/** session_client_hears(client, text): turns until it heard exactly `text` since the last, or
 * something else; forgets it. */
bool session_client_hears(struct session_client *client, const char *text);

/** session_client_listen(client): take what has arrived; returns all that was heard. */
const char *session_client_listen(struct session_client *client);

/** session_rig_cached(rig, key, version, value): as if a read had brought it. */
void session_rig_cached(struct session_rig *rig, const char *key, uint64_t version,
                        const char *value);

#endif
