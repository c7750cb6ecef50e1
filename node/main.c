/*
 * ringfence-node: wiring only: one event loop with the cache, the store, the feed and the sessions.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/cli.h"
#include "../common/clock.h"
#include "../common/conf.h"
#include "../common/conn.h"
#include "../common/hash.h"
#include "../common/log.h"
#include "../common/service.h"
#include "../common/tick.h"
#include "cache.h"
#include "distrust.h"
#include "feed_pg.h"
#include "hosts.h"
#include "node_conf.h"
#include "replica.h"
#include "scout.h"
#include "server.h"
#include "session.h"
#include "status.h"
#include "store_pg.h"
#include "sweep.h"
#include "through.h"
#include "warmup.h"

enum { FDS_RESERVED = 64, DRAIN_MS = 5000, DISTRUST_MS = 500 };

struct node {
    struct node_conf conf;
    struct server server;
    struct event_base *base;
    struct service_listener *listener;
    struct service_signals *signals;
    struct scouts *scouts;
    struct replica *replica; /* NULL: there is none */
    struct store_pg_conf store_conf;
    struct sweep sweep;
    struct warmup warmup;
    bool draining, was_refused, ever_heard;
    struct distrust distrust;
    int64_t drain_until_ms;
    int status;
};

/* ---- the feed ---- */

static void on_changed(void *ctx, struct span key, uint64_t version, enum change change) {
    struct server *s = &((struct node *)ctx)->server;
    through_changed(s->through, key, version);
    session_watch_tell(s, key, version, change);
}

static void on_gone(void *ctx, struct span key, enum change change) {
    struct server *s = &((struct node *)ctx)->server;
    through_gone(s->through, key);
    session_watch_tell(s, key, 0, change);
}

static void on_everything(void *ctx) {
    struct server *s = &((struct node *)ctx)->server;
    through_everything(s->through);
    session_watch_tell_all(s);
}

static void on_up(void *ctx) {
    struct node *n = ctx;
    n->was_refused = false;
    through_feed_up(n->server.through);
    session_watch_tell_all(&n->server); /* what changed in the gap is not known */
    log_event(LOG_LEVEL_INFO, "feed_up", "epoch=%u", through_epoch(n->server.through));
}

static void on_lost(void *ctx) {
    struct node *n = ctx;
    through_feed_lost(n->server.through);
    log_event(LOG_LEVEL_WARN, "feed_lost", "nothing_is_trusted=yes");
}

static void on_heard(void *ctx, int64_t sent_mono_ms) {
    struct node *n = ctx;
    n->ever_heard = true;
    through_heard(n->server.through, sent_mono_ms);
}

/* A table that is not ours to serve ends the daemon at start; later it only ends trust. */
static void on_refused(void *ctx, const char *why) {
    struct node *n = ctx;
    if (!n->was_refused)
        log_event(LOG_LEVEL_ERROR, "table_refused", "table=%s why=\"%s\"", n->conf.table, why);
    n->was_refused = true;
    if (!n->ever_heard) {
        fprintf(stderr, "ringfence-node: %s: %s\n", n->conf.table, why);
        n->status = CLI_EXIT_CONFIG;
        event_base_loopbreak(n->base);
    }
}

static const struct feed_pg_handlers FEED_HANDLERS = {.on_changed = on_changed,
                                                      .on_gone = on_gone,
                                                      .on_everything = on_everything,
                                                      .on_up = on_up,
                                                      .on_lost = on_lost,
                                                      .on_heard = on_heard,
                                                      .on_refused = on_refused};

/* ---- the servers ---- */

/* A server was promoted. Copies of what the one before had may be of rows that are lost, or that a
 * zombie took: not even as stale are they given any more. */
static void on_newer(void *ctx) {
    struct node *n = ctx;
    if (n->server.feed == NULL)
        return;
    log_event(LOG_LEVEL_WARN, "db_promoted", "copies_dropped=all");
    store_pg_leave(n->server.store);
    feed_pg_leave(n->server.feed);
    through_disown(n->server.through);
    session_watch_tell_all(&n->server);
}

static void on_chosen(void *ctx) {
    struct node *n = ctx;
    if (n->server.tick != NULL)
        tick_wake(n->server.tick);
}

static const struct hosts_handlers HOSTS_HANDLERS = {.on_newer = on_newer, .on_chosen = on_chosen};

/* ---- the loop ---- */

/* Copies outside must not outlive our own trust. */
static void tell_distrust(struct node *n, int64_t now_mono_ms) {
    const struct through *t = n->server.through;
    if (distrust_is_due(&n->distrust, now_mono_ms, DISTRUST_MS, through_trusts(t, now_mono_ms),
                        through_counters(t)->stale_served))
        session_watch_tell_all(&n->server);
}

static void on_accept(int fd, void *ctx) {
    session_open(&((struct node *)ctx)->server, fd);
}

static void on_refuse(int fd, void *ctx) {
    session_refuse(&((struct node *)ctx)->server, fd);
}

static bool is_connected(const struct server *s) {
    struct store_figures figures;
    store_pg_figures(s->store, &figures);
    return figures.connections_up >= figures.connections && feed_pg_is_up(s->feed);
}

static bool on_tick(void *ctx, bool held_up) {
    struct node *n = ctx;
    int64_t now_mono_ms = conn_loop_now_us(n->server.loop) / 1000;
    session_tick(&n->server);
    if (held_up) {
        n->server.starting = true;
        warmup_begin(&n->warmup, now_mono_ms);
        return false;
    }
    if (n->server.starting)
        n->server.starting =
            warmup_lasts(&n->warmup, now_mono_ms, is_connected(&n->server),
                         through_trusts(n->server.through, now_mono_ms), n->conf.fence_after_ms);
    scouts_tick(n->scouts, now_mono_ms);
    store_pg_tick(n->server.store, now_mono_ms);
    feed_pg_tick(n->server.feed, now_mono_ms);
    through_tick(n->server.through, now_mono_ms);
    if (!n->draining)
        sweep_tick(&n->sweep, now_mono_ms);
    tell_distrust(n, now_mono_ms);
    if (n->draining && (session_idle(&n->server) || now_mono_ms >= n->drain_until_ms))
        event_base_loopbreak(n->base);
    return through_pending(n->server.through) == 0 && !n->draining && !n->server.starting;
}

static void on_signal(int signo, void *ctx) {
    struct node *n = ctx;
    if (signo == SIGUSR1) {
        status_log(&n->server);
    } else if (signo != SIGHUP) { /* no option of a node changes while it runs */
        if (n->draining)
            event_base_loopbreak(n->base);
        n->draining = true;
        n->drain_until_ms = clock_mono_ms() + DRAIN_MS;
        service_listener_finish(&n->listener);
        tick_wake(n->server.tick);
    }
}

static struct event_base *make_base(void) {
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* Each part from what it needs; false with the reason on stderr. */
static bool make_parts(struct node *n) {
    const struct node_conf *conf = &n->conf;
    struct server *s = &n->server;
    char error[300] = "out of memory";
    n->store_conf = (struct store_pg_conf){
        .conninfo = conf->conninfo,
        .read_conninfo = conf->read_conninfo,
        .replica_timeout_ms = conf->replica_timeout_ms < conf->read_timeout_ms / 3
                                  ? conf->replica_timeout_ms
                                  : conf->read_timeout_ms / 3,
        .table = conf->table,
        .key_column = conf->key_column,
        .payload_column = conf->payload_column,
        .active_column = conf->active_column,
        .read_connections = conf->read_connections,
        .write_connections = conf->write_connections,
        .transaction_connections = conf->transaction_connections,
        .fills_max = conf->fills_max,
        .fill_rate_max = conf->fill_rate_max,
        .read_deadline_ms = 2000,
        .write_deadline_ms = conf->write_timeout_ms > 2000 ? conf->write_timeout_ms : 2000};
    struct through_conf through_conf = {.fence_after_ms = conf->fence_after_ms,
                                        .stale_max_ms = conf->stale_max_ms,
                                        .read_timeout_ms = conf->read_timeout_ms,
                                        .write_timeout_ms = conf->write_timeout_ms,
                                        .pending_max = (uint32_t)conf->pending_max,
                                        .pending_bytes_max = (uint64_t)conf->pending_bytes_max};
    s->conf = conf;
    s->started_mono_ms = clock_mono_ms();
    s->starting = true;
    warmup_begin(&n->warmup, s->started_mono_ms);
    s->loop = conn_loop_new(n->base);
    s->cache = cache_new((size_t)conf->cache_bytes_max, hash_seed());
    bool made = s->loop != NULL && s->cache != NULL;
    if (made && conf->read_conninfo[0] != '\0') {
        n->replica =
            replica_new(conf->replica_age_max_ms < conf->fence_after_ms ? conf->replica_age_max_ms
                                                                        : conf->fence_after_ms);
        made = n->replica != NULL;
    }
    s->replica = through_conf.replica = n->store_conf.replica = n->replica;
    if (made)
        n->scouts = scouts_new(n->base, conf->conninfo, &HOSTS_HANDLERS, n);
    if (n->scouts != NULL)
        n->store_conf.hosts = scouts_hosts(n->scouts);
    if (n->scouts != NULL)
        s->store = store_pg_new(n->base, &n->store_conf, error, sizeof(error));
    if (s->store != NULL)
        sweep_init(&n->sweep, s->store, conf->expiry_sweep_ms, (uint32_t)conf->expiry_batch,
                   &s->swept);
    if (s->store != NULL)
        s->through = through_new(&through_conf, s->cache, s->store);
    if (s->through != NULL)
        s->feed = feed_pg_new(n->base, &n->store_conf, conf->name, s->store, &FEED_HANDLERS, n);
    if (s->feed == NULL)
        fprintf(stderr, "ringfence-node: %s\n", error);
    if (n->scouts != NULL && s->store == NULL) /* the name of the table cannot be one */
        n->status = CLI_EXIT_CONFIG;
    return s->feed != NULL;
}

/* A node knows no users: who can connect may read and write all keys. */
static bool is_protected(const struct node_conf *conf) {
    if (!conf->protected_mode || service_is_loopback(conf->bind))
        return true;
    fprintf(
        stderr,
        "ringfence-node: bind %s: other machines could connect, and a node knows no users. On a "
        "network where only proxies reach it: --protected-mode no\n",
        conf->bind);
    return false;
}

static bool no_memory(void) {
    fprintf(stderr, "ringfence-node: out of memory\n");
    return false;
}

static bool start(struct node *n) {
    char error[300];
    n->base = make_base();
    /* Signals before what may take a while. */
    n->signals = n->base == NULL ? NULL : service_signals_new(n->base, on_signal, n);
    if (n->signals == NULL)
        return no_memory();
    if (!make_parts(n))
        return false;
    service_raise_fd_limit((uint64_t)n->conf.clients_max + FDS_RESERVED);
    n->server.tick = tick_new(n->base, on_tick, n);
    if (n->server.tick == NULL)
        return no_memory();
    n->listener = service_listen(n->base, n->conf.bind, (uint16_t)n->conf.port, false, on_accept, n,
                                 error, sizeof(error));
    if (n->listener == NULL) {
        fprintf(stderr, "ringfence-node: %s\n", error);
        return false;
    }
    service_listener_refuse(n->listener, on_refuse);
    n->server.port = service_listener_port(n->listener);
    log_event(LOG_LEVEL_INFO, "node_ready", "name=%s bind=%s port=%u table=%s", n->conf.name,
              n->conf.bind, n->server.port, n->conf.table);
    return true;
}

static void stop(struct node *n) {
    service_listener_free(&n->listener);
    session_close_all(&n->server);
    feed_pg_free(&n->server.feed);
    store_pg_free(&n->server.store);
    scouts_free(&n->scouts);
    through_free(&n->server.through);
    replica_free(&n->replica);
    cache_free(&n->server.cache);
    conn_loop_free(&n->server.loop);
    free(n->server.spare);
    service_signals_free(&n->signals);
    tick_free(&n->server.tick);
    if (n->base != NULL)
        event_base_free(n->base);
}

int main(int argc, char **argv) {
    static struct node n;
    struct cli cli = {.program = "ringfence-node", .checks = "the configuration"};
    const char *file;
    cli.rows = node_conf_rows(&cli.rows_count);
    enum cli_wish wish = cli_read(&cli, argc, argv, &n.conf, &file);
    log_set_level((enum log_level)n.conf.log_level);
    switch (wish) {
    case CLI_RUN:
        if (!is_protected(&n.conf)) {
            n.status = CLI_EXIT_CONFIG;
        } else if (start(&n)) {
            event_base_dispatch(n.base);
            log_event(LOG_LEVEL_INFO, "node_stopped", "name=%s status=%d", n.conf.name, n.status);
        } else if (n.status == EXIT_SUCCESS) {
            n.status = EXIT_FAILURE;
        }
        stop(&n);
        break;
    case CLI_CHECK:
        if (is_protected(&n.conf))
            printf("ringfence-node: configuration is fine\n");
        else
            n.status = CLI_EXIT_CONFIG;
        break;
    case CLI_SAID:
        break;
    case CLI_BAD:
        n.status = CLI_EXIT_CONFIG;
        break;
    }
    conf_release(cli.rows, cli.rows_count, &n.conf);
    return n.status;
}
