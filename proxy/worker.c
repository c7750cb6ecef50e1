#include "worker.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../common/conf.h"
#include "../common/conn.h"
#include "../common/log.h"
#include "../common/ring.h"
#include "../common/users.h"
#include "channels.h"
#include "client.h"
#include "env.h"
#include "gather.h"
#include "inbox.h"
#include "local.h"
#include "mailbox.h"
#include "near.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "rates.h"
#include "rights.h"
#include "timing.h"
#include "topology.h"
#include "tracking.h"

enum {
    CROWD_MIN = 16, /* clients that wait: with fewer there is nothing to bring together */
    NEAR_QUIET_US = 1000 * 1000,
};

enum message {
    MESSAGE_CLIENT,
    MESSAGE_RING,
    MESSAGE_USERS,
    MESSAGE_NEWS,
    MESSAGE_INBOX,
    MESSAGE_OPTION,
    MESSAGE_RESET_STATS,
    MESSAGE_DRAIN,
    MESSAGE_STOP
};

struct worker {
    struct proxy_env env;
    struct proxy_conf conf; /* its own: options may be changed; the texts are main's */
    struct rights *rights;  /* NULL: no users */
    struct event_config *config;
    struct mailbox *mailbox;
    struct client_list *clients;
    struct event *second; /* a timer of 1 s, faster while draining */
    struct event *pause;  /* the end of a pause */
    struct rates rates;
    bool draining;
    pthread_t thread;
    bool thread_made;
    _Atomic bool ended;
};

static bool arm(struct worker *w, long ms) {
    const struct timeval in = {ms / 1000, ms % 1000 * 1000};
    return event_add(w->second, &in) == 0; /* which needs memory the first time only */
}

/* A message that a full mailbox kept away costs a second. */
static void look_at_pause(struct worker *w) {
    int64_t left_us = client_list_pause(w->clients);
    const struct timeval in = {left_us / 1000000, left_us % 1000000};
    if (left_us != 0)
        event_add(w->pause, &in); /* without memory: by on_second() */
}

static void on_pause(evutil_socket_t fd, short what, void *arg) {
    look_at_pause(arg);
}

static void on_second(evutil_socket_t fd, short what, void *arg) {
    struct worker *w = arg;
    if (w->draining && client_list_count(w->clients) == 0) {
        event_base_loopbreak(w->env.base);
        return;
    }
    client_tracking_figures(&w->env);
    client_hot_figures(&w->env);
    rates_tick(&w->rates, w->env.stats, conn_loop_now_us(w->env.loop));
    client_list_tick(w->clients, conn_loop_now_us(w->env.loop));
    look_at_pause(w);
    arm(w, w->draining ? 10 : 1000);
}

static void set_option(struct worker *w, const struct conf_row *row, int64_t value) {
    conf_put_number(row, &w->conf, value);
    if (row->offset == offsetof(struct proxy_conf, log_level))
        log_set_level((enum log_level)value);
    if (row->offset == offsetof(struct proxy_conf, allow_monitor))
        client_list_monitor(w->clients);
}

/* But for what main hands out connections by, and which ring it is. */
static void reset_stats(struct worker *w) {
    for (int stat = 0; stat < PROXY_STAT_COUNT; stat++) {
        if (proxy_stats_row((enum proxy_stat)stat)->kind == STATS_COUNTER &&
            stat != PROXY_STAT_CONNECTIONS && stat != PROXY_STAT_RELOADS)
            stats_set(&w->env.stats[stat], 0);
    }
    if (w->env.timing != NULL)
        timing_reset(w->env.timing);
}

static void look_at(struct worker *w, enum local_news news) {
    switch (news) {
    case LOCAL_NEWS_KILLED:
        client_list_sweep(w->clients);
        break;
    case LOCAL_NEWS_PAUSE:
        look_at_pause(w);
        break;
    case LOCAL_NEWS_MONITORS:
        client_list_monitor(w->clients);
        break;
    }
}

static void on_message(void *ctx, const struct mailbox_message *message) {
    struct worker *w = ctx;
    switch ((enum message)message->kind) {
    case MESSAGE_CLIENT:
        client_open(w->clients, message->fd);
        break;
    case MESSAGE_RING:
        if (!topology_swap(w->env.topology, message->object, message->number))
            log_event(LOG_LEVEL_ERROR, "ring_swap_failed", "why=\"out of memory\"");
        break;
    case MESSAGE_USERS:
        rights_swap(w->rights, message->object);
        client_list_renew(w->clients);
        break;
    case MESSAGE_NEWS:
        look_at(w, (enum local_news)message->number);
        break;
    case MESSAGE_INBOX: {
        struct inbox *inbox = message->object;
        client_inbox(inbox);
        inbox_drop(&inbox);
        break;
    }
    case MESSAGE_OPTION:
        set_option(w, message->object, (int64_t)message->number);
        break;
    case MESSAGE_RESET_STATS:
        reset_stats(w);
        break;
    case MESSAGE_DRAIN:
        w->draining = true;
        look_at_pause(w);
        client_list_drain(w->clients, conn_loop_now_us(w->env.loop));
        arm(w, 10);
        break;
    case MESSAGE_STOP:
        event_base_loopbreak(w->env.base);
        break;
    }
}

static void *run(void *arg) {
    struct worker *w = arg;
    prctl(PR_SET_TIMERSLACK, 1000); /* ns; the default would double a rest */
    conn_loop_pace(w->env.loop, w->env.conf->batch_rest_us, CROWD_MIN,
                   client_list_waiting(w->clients));
    event_base_loop(w->env.base, EVLOOP_NO_EXIT_ON_EMPTY);
    atomic_store(&w->ended, true);
    return NULL;
}

/* What came too late belongs to nobody else. */
static void empty_mailbox(struct worker *w) {
    struct mailbox_message message;
    while (mailbox_take(w->mailbox, &message)) {
        if (message.kind == MESSAGE_RING) {
            struct ring *ring = message.object;
            ring_free(&ring);
        } else if (message.kind == MESSAGE_USERS) {
            struct users *users = message.object;
            users_free(&users);
        } else if (message.kind == MESSAGE_INBOX) {
            struct inbox *inbox = message.object;
            inbox_drop(&inbox);
        }
        if (message.fd >= 0)
            close(message.fd);
    }
    mailbox_free(&w->mailbox);
}

static void release(struct worker *w) {
    if (w->mailbox != NULL)
        empty_mailbox(w);
    topology_free(&w->env.topology); /* answers what is open, so that the clients owe nothing */
    client_list_free(&w->clients);
    gathers_free(&w->env.gathers);
    tracking_free(&w->env.tracking);
    near_free(&w->env.near);
    channels_free(&w->env.channels);
    rights_free(&w->rights);
    if (w->second != NULL)
        event_free(w->second);
    if (w->pause != NULL)
        event_free(w->pause);
    conn_loop_free(&w->env.loop);
    if (w->env.dns != NULL)
        evdns_base_free(w->env.dns, 0);
    if (w->env.base != NULL)
        event_base_free(w->env.base);
    if (w->config != NULL)
        event_config_free(w->config);
    free(w);
}

/* A worker lives on one thread, so its base needs no locks. */
static bool make_base(struct worker *w) {
    w->config = event_config_new();
    if (w->config == NULL)
        return false;
    event_config_set_flag(w->config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(w->config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    w->env.base = event_base_new_with_config(w->config);
    if (w->env.base == NULL)
        return false;
    w->env.dns = evdns_base_new(w->env.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE |
                                                 EVDNS_BASE_INITIALIZE_NAMESERVERS);
    if (w->env.dns == NULL) { /* no /etc/resolv.conf: names in /etc/hosts still work */
        w->env.dns = evdns_base_new(w->env.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (w->env.dns != NULL)
            evdns_base_load_hosts(w->env.dns, "/etc/hosts");
    }
    return true;
}

/* A link over which we were told that anything may have changed may say so again within half a
 * second, and what was read meanwhile is told of by nobody: so nothing is kept for twice as long.
 */
static bool make_near(struct worker *w) {
    const struct near_conf conf = {.bytes_max = (size_t)w->conf.hot_cache_bytes,
                                   .keep_us = w->conf.hot_cache_ms * 1000,
                                   .quiet_us = NEAR_QUIET_US};
    if (conf.bytes_max == 0)
        return true;
    w->env.near = near_new(&conf);
    return w->env.near != NULL;
}

struct worker *worker_start(struct local_server *server, const char *ring_path, struct ring *ring,
                            uint64_t epoch, struct users *users, stats_value *stats) {
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL || !make_base(w))
        goto fail;
    if (users != NULL) {
        server->rights = w->rights = rights_new(users);
        users = NULL;
        if (w->rights == NULL)
            goto fail;
    }
    w->conf = *server->conf;
    w->env.conf = server->conf = &w->conf;
    w->env.timing = server->timing;
    w->env.slowlog = server->slowlog;
    w->env.hotkeys = server->hotkeys;
    w->env.worker = server->worker;
    w->env.pause = server->pause;
    w->env.monitor = server->monitor;
    w->env.server = server;
    w->env.stats = stats;
    w->env.loop = conn_loop_new(w->env.base);
    if (w->env.loop == NULL)
        goto fail;
    w->env.gathers = gathers_new();
    if (w->env.gathers == NULL || !make_near(w))
        goto fail;
    w->env.tracking = server->tracking = tracking_new(
        ((size_t)server->conf->tracking_table_max_keys + server->workers - 1) / server->workers,
        &CLIENT_TRACKING_HANDLERS, &w->env);
    if (server->board != NULL)
        server->channels = w->env.channels =
            channels_new(server->board, &CLIENT_CHANNELS_HANDLERS, &w->env);
    server->topology = w->env.topology =
        w->env.tracking == NULL || (server->board != NULL && w->env.channels == NULL)
            ? NULL
            : topology_new(&w->env, ring_path);
    w->clients = client_list_new(&w->env);
    w->mailbox = mailbox_new(w->env.base, on_message, w);
    w->second = evtimer_new(w->env.base, on_second, w);
    w->pause = evtimer_new(w->env.base, on_pause, w);
    if (w->env.topology == NULL || w->clients == NULL || w->mailbox == NULL || w->second == NULL ||
        w->pause == NULL || !arm(w, 1000))
        goto fail;
    bool swapped = topology_swap(w->env.topology, ring, epoch);
    ring = NULL;
    sigset_t all, before;
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->thread_made = swapped && pthread_create(&w->thread, NULL, run, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (w->thread_made)
        return w;
fail:
    if (ring != NULL)
        ring_free(&ring);
    users_free(&users);
    if (w != NULL)
        release(w);
    return NULL;
}

bool worker_give_client(struct worker *w, int fd) {
    return mailbox_send(w->mailbox, &(struct mailbox_message){.kind = MESSAGE_CLIENT, .fd = fd});
}

bool worker_give_ring(struct worker *w, struct ring *ring, uint64_t epoch) {
    bool sent = mailbox_send(
        w->mailbox,
        &(struct mailbox_message){.kind = MESSAGE_RING, .fd = -1, .object = ring, .number = epoch});
    if (!sent)
        ring_free(&ring);
    return sent;
}

bool worker_give_users(struct worker *w, struct users *users) {
    bool sent = mailbox_send(
        w->mailbox, &(struct mailbox_message){.kind = MESSAGE_USERS, .fd = -1, .object = users});
    if (!sent)
        users_free(&users);
    return sent;
}

void worker_tell(struct worker *w, int news) {
    mailbox_send(w->mailbox, &(struct mailbox_message){
                                 .kind = MESSAGE_NEWS, .fd = -1, .number = (uint64_t)news});
}

bool worker_wake(struct worker *w, struct inbox *inbox) {
    bool sent = mailbox_send(
        w->mailbox,
        &(struct mailbox_message){.kind = MESSAGE_INBOX, .fd = -1, .object = inbox_hold(inbox)});
    if (!sent)
        inbox_drop(&inbox);
    return sent;
}

bool worker_set_option(struct worker *w, bool here, const struct conf_row *row, int64_t value) {
    if (here) {
        set_option(w, row, value);
        return true;
    }
    return mailbox_send(w->mailbox, &(struct mailbox_message){.kind = MESSAGE_OPTION,
                                                              .fd = -1,
                                                              .object = (void *)(uintptr_t)row,
                                                              .number = (uint64_t)value});
}

bool worker_reset_stats(struct worker *w, bool here) {
    if (here) {
        reset_stats(w);
        return true;
    }
    return mailbox_send(w->mailbox,
                        &(struct mailbox_message){.kind = MESSAGE_RESET_STATS, .fd = -1});
}

void worker_drain(struct worker *w) {
    mailbox_send(w->mailbox, &(struct mailbox_message){.kind = MESSAGE_DRAIN, .fd = -1});
}

void worker_stop(struct worker *w) {
    mailbox_send(w->mailbox, &(struct mailbox_message){.kind = MESSAGE_STOP, .fd = -1});
}

bool worker_ended(const struct worker *w) {
    return atomic_load((_Atomic bool *)&w->ended);
}

void worker_join(struct worker *w) {
    if (w->thread_made)
        pthread_join(w->thread, NULL);
    w->thread_made = false;
}

void worker_free(struct worker **pointer) {
    struct worker *w = *pointer;
    *pointer = NULL;
    if (w == NULL)
        return;
    worker_join(w);
    release(w);
}
