/* Subscribers: SUBSCRIBE and its like, and messages, which take their place among the replies. */
#include <stdio.h>

#include "../common/reply.h"
#include "../common/resp_write.h"
#include "client_private.h"
#include "local_private.h"
#include "proxy_stats.h"
#include "rights.h"
#include "topology.h"

static struct client *client_of(struct channels_client *channels) {
    return (struct client *)((char *)channels - offsetof(struct client, channels));
}

/* A message is a push, or what stands for one in RESP2. */
static void write_head(struct buf *out, uint64_t count, int proto) {
    if (proto == 3)
        resp_write_push(out, count);
    else
        resp_write_array(out, count);
}

static void on_tell(void *ctx, struct channels_client *channels, const struct channels_message *m) {
    struct client *c = client_of(channels);
    struct buf *out;
    if (c->dead || c->ended ||
        (c->limited && m->key.ptr != NULL && !rights_covers_prefix(&c->local.rights, m->key)))
        return;
    struct request *r = client_open_reply(c, &out);
    if (out == NULL) { /* it must not go on as if it had been told */
        client_out_of_memory(c);
        return;
    }
    bool is_pattern = m->pattern.ptr != NULL;
    write_head(out, is_pattern ? 4 : 3, c->local.proto);
    resp_write_bulk(out, is_pattern ? SPAN("pmessage") : SPAN("message"));
    if (is_pattern)
        resp_write_bulk(out, m->pattern);
    resp_write_bulk(out, m->channel);
    resp_write_bulk(out, m->text);
    client_close_reply(c, r, false);
}

static void on_ready(void *ctx, struct channels_client *channels) {
    struct client *c = client_of(channels);
    if (c->stalled)
        conn_read_again(c->conn);
}

const struct channels_handlers CLIENT_CHANNELS_HANDLERS = {
    .tell = on_tell, .watch = client_on_watch, .ready = on_ready};

/* ---- the commands ---- */

static const struct {
    const char *name;
    enum board_kind kind;
    bool joins;
} ROWS[] = {
    [COMMAND_SUBSCRIBE - COMMAND_SUBSCRIBE] = {"subscribe", BOARD_CHANNELS, true},
    [COMMAND_UNSUBSCRIBE - COMMAND_SUBSCRIBE] = {"unsubscribe", BOARD_CHANNELS, false},
    [COMMAND_PSUBSCRIBE - COMMAND_SUBSCRIBE] = {"psubscribe", BOARD_PATTERNS, true},
    [COMMAND_PUNSUBSCRIBE - COMMAND_SUBSCRIBE] = {"punsubscribe", BOARD_PATTERNS, false},
};

/* An answer under way. */
struct answer {
    struct client *client;
    struct buf *out;
    const char *name;
};

/* Which one, and how many there are left or by now. */
static void confirm(const struct answer *a, struct span name, uint64_t count) {
    write_head(a->out, 3, a->client->local.proto);
    resp_write_bulk(a->out, span_str(a->name));
    if (name.ptr == NULL)
        resp_write_null(a->out, a->client->local.proto);
    else
        resp_write_bulk(a->out, name);
    resp_write_int(a->out, (int64_t)count);
}

static void on_left(void *ctx, struct span name) {
    const struct answer *a = ctx;
    confirm(a, name, channels_of(&a->client->channels) - 1);
}

/* Why not, or REPLY_ERROR_COUNT. */
static enum reply_error refusal(const struct client *c, enum board_kind kind,
                                const struct resp_request *in) {
    for (uint32_t i = 1; i < in->argc; i++) {
        struct span name = in->argv[i], key = channels_key(name);
        if (name.len > CHANNELS_NAME_BYTES_MAX)
            return REPLY_CHANNEL_LONG;
        if (kind == BOARD_CHANNELS && key.len != 0 && c->limited &&
            !rights_covers_prefix(&c->local.rights, key))
            return REPLY_NOPERM_CHANNEL;
    }
    return c->env->channels == NULL ? REPLY_SUBSCRIPTIONS : REPLY_ERROR_COUNT;
}

/* Nothing that changes behind the answer may be missed, so the nodes must have said that they tell.
 */
static bool has_to_wait(struct client *c, enum board_kind kind, const struct resp_request *in) {
    bool carries = false;
    for (uint32_t i = 1; i < in->argc; i++)
        carries = carries || channels_carries(kind, in->argv[i]);
    if (!carries)
        return false;
    channels_hold(c->env->channels, &c->channels, true);
    return !topology_heard(c->env->topology);
}

static void join(const struct answer *a, enum board_kind kind, const struct resp_request *in) {
    struct client *c = a->client;
    for (uint32_t i = 1; i < in->argc; i++) {
        if (!channels_join(c->env->channels, &c->channels, kind, in->argv[i])) {
            reply_error(a->out, REPLY_SUBSCRIPTIONS, NULL);
            stats_add(&c->env->stats[PROXY_STAT_ERRORS], 1);
            return;
        }
        confirm(a, in->argv[i], channels_of(&c->channels));
    }
}

static void leave(struct answer *a, enum board_kind kind, const struct resp_request *in) {
    struct channels *t = a->client->env->channels;
    struct channels_client *channels = &a->client->channels;
    for (uint32_t i = 1; i < in->argc; i++) {
        if (t != NULL)
            channels_leave(t, channels, kind, in->argv[i]);
        confirm(a, in->argv[i], channels_of(channels));
    }
    if (in->argc > 1)
        return;
    bool any = false;
    while (channels_leave_any(t, channels, kind, on_left, a))
        any = true;
    if (!any)
        confirm(a, span_of(NULL, 0), channels_of(channels));
}

enum client_taken client_subscribe(struct client *c, const struct resp_request *in, int id) {
    enum board_kind kind = ROWS[id - COMMAND_SUBSCRIBE].kind;
    bool joins = ROWS[id - COMMAND_SUBSCRIBE].joins;
    enum reply_error why = joins ? refusal(c, kind, in) : REPLY_ERROR_COUNT;
    if (why != REPLY_ERROR_COUNT && c->env->channels != NULL)
        channels_hold(c->env->channels, &c->channels, false);
    if (why != REPLY_ERROR_COUNT)
        return client_fail_number(c, why, CHANNELS_NAME_BYTES_MAX);
    if (joins && has_to_wait(c, kind, in))
        return CLIENT_NOT_YET;
    struct answer a = {.client = c, .name = ROWS[id - COMMAND_SUBSCRIBE].name};
    struct request *r = client_open_reply(c, &a.out);
    if (a.out == NULL) {
        client_out_of_memory(c);
        return CLIENT_TAKEN_LAST;
    }
    if (joins)
        join(&a, kind, in);
    else
        leave(&a, kind, in);
    if (c->env->channels != NULL)
        channels_hold(c->env->channels, &c->channels, false);
    client_close_reply(c, r, false);
    if (c->missed)
        client_redirect_hears(c);
    return CLIENT_TAKEN;
}

/* ---- RESP2, where whoever is subscribed hears messages alone ---- */

bool client_subscribed_forbids(struct client *c, const struct resp_request *in, int id) {
    char name[64];
    if (client_subscribes(id) || id == COMMAND_PING || id == COMMAND_QUIT || id == COMMAND_RESET)
        return false;
    snprintf(name, sizeof(name), "%s", command_row(id)->name);
    if (local_subcommands(id) != NULL && in->argc > 1) {
        const struct local_subcommand *sub = local_subcommand_find(id, in->argv[1]);
        if (sub == NULL || !local_arity_fits(sub, in->argc))
            return false; /* an error of its own */
        snprintf(name, sizeof(name), "%s|%s", command_row(id)->name, sub->name);
    }
    client_fail_with(c, REPLY_SUBSCRIBED, name);
    return true;
}
