/* Clients that cache: what they read is remembered before it is sent, and pushes take their place
 * among the replies: behind everything that was asked before, so that no older reply follows. */
#include "../common/command.h"
#include "../common/resp_write.h"
#include "client_private.h"
#include "proxy_stats.h"
#include "topology.h"
#include "tracking.h"

#define CHANNEL SPAN("__redis__:invalidate")

static struct client *client_of(struct tracking_client *tracking) {
    return (struct client *)((char *)tracking - offsetof(struct client, tracking));
}

/* As Redis: a push, or a message for whoever is subscribed, to whatever it may be. Who can hear
 * neither is told that everything may have changed as soon as it can. */
void client_invalidate(struct client *c, struct span key, const struct authors_change *doubt) {
    struct buf *out;
    if (c->dead || c->ended)
        return;
    if (c->local.proto != 3 && channels_of(&c->channels) == 0) {
        c->missed = true;
        return;
    }
    struct request *r = client_open_reply(c, &out);
    if (out == NULL) { /* it must not go on with copies that nobody tells it of */
        client_out_of_memory(c);
        return;
    }
    if (doubt != NULL && r != NULL)
        r->doubt = *doubt;
    if (c->local.proto == 3) {
        resp_write_push(out, 2);
        resp_write_bulk(out, SPAN("invalidate"));
    } else {
        resp_write_array(out, 3);
        resp_write_bulk(out, SPAN("message"));
        resp_write_bulk(out, CHANNEL);
    }
    if (key.ptr == NULL) {
        resp_write_null(out, c->local.proto);
    } else {
        resp_write_array(out, 1);
        resp_write_bulk(out, key);
    }
    client_close_reply(c, r, false);
}

static void on_tell(void *ctx, struct tracking_client *tracking, struct span key,
                    const struct authors_change *doubt) {
    if (tracking->redirect != NULL)
        client_redirect(client_of(tracking), key, doubt);
    else
        client_invalidate(client_of(tracking), key, doubt);
}

static bool on_waits(void *ctx, const struct tracking_client *tracking) {
    return client_of((struct tracking_client *)tracking)->head != NULL;
}

void client_on_watch(void *ctx, bool on) {
    const struct proxy_env *env = ctx;
    if (env->topology != NULL)
        topology_watch(env->topology, on);
}

const struct tracking_handlers CLIENT_TRACKING_HANDLERS = {
    .tell = on_tell, .waits = on_waits, .watch = client_on_watch};

void client_track(struct client *c, int id, const struct span *argv, uint32_t argc) {
    const struct command *row = command_row(id);
    bool reads = (row->flags & COMMAND_READ) != 0 && tracking_reads(&c->tracking);
    c->tracking.caching = TRACKING_CACHING_UNSET;
    if (!reads)
        return;
    uint32_t end = command_key_end(row, argc);
    for (uint32_t i = (uint32_t)row->first_key; i < end; i += (uint32_t)row->key_step)
        tracking_remember(c->env->tracking, &c->tracking, argv[i]);
}

void client_tracking_figures(const struct proxy_env *env) {
    struct tracking_figures f;
    tracking_figures(env->tracking, &f);
    stats_set(&env->stats[PROXY_STAT_TRACKING_CLIENTS], f.clients);
    stats_set(&env->stats[PROXY_STAT_TRACKING_KEYS], f.keys);
    stats_set(&env->stats[PROXY_STAT_TRACKING_ITEMS], f.items);
    stats_set(&env->stats[PROXY_STAT_TRACKING_PREFIXES], f.prefixes);
    stats_set(&env->stats[PROXY_STAT_TRACKING_TOLD], f.told);
    stats_set(&env->stats[PROXY_STAT_TRACKING_TOLD_ALL], f.told_all);
    struct channels_figures e;
    if (env->channels == NULL)
        return;
    channels_figures(env->channels, &e);
    stats_set(&env->stats[PROXY_STAT_PUBSUB_CLIENTS], e.clients);
    stats_set(&env->stats[PROXY_STAT_EVENTS_TOLD], e.told);
    stats_set(&env->stats[PROXY_STAT_EVENT_GAPS], e.gaps);
}
