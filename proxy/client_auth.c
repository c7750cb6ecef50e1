/* Who may do what: requests are judged, and those who have not said who they are get little. */
#include <stdio.h>

#include "../common/command.h"
#include "../common/log.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "client_private.h"
#include "forward.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "rights.h"
#include "timing.h"

enum { ARGS_BEFORE_AUTH_MAX = 10, BYTES_BEFORE_AUTH_MAX = 16 << 10 /* as Redis */ };

void client_auth_init(struct client_list *list) {
    const struct proxy_env *env = list->env;
    uint64_t most = (uint64_t)env->conf->unauthenticated_max;
    unsigned workers = env->server->workers != 0 ? env->server->workers : 1;
    list->waiting_max = (uint32_t)((most + workers - 1) / workers);
    list->limits_before_auth = (struct resp_limits){.args_max = ARGS_BEFORE_AUTH_MAX,
                                                    .bulk_bytes_max = BYTES_BEFORE_AUTH_MAX,
                                                    .inline_bytes_max = BYTES_BEFORE_AUTH_MAX,
                                                    .before_auth = true};
}

/* ---- those who wait ---- */

static void remove_waiting(struct client *c) {
    struct client_list *list = c->list;
    *(c->waiting_prev != NULL ? &c->waiting_prev->waiting_next : &list->waiting_first) =
        c->waiting_next;
    *(c->waiting_next != NULL ? &c->waiting_next->waiting_prev : &list->waiting_last) =
        c->waiting_prev;
    c->waiting_next = c->waiting_prev = NULL;
    c->waits = false;
    list->waiting_count--;
}

/* One more than may wait: the oldest makes room. Who knows a password does not wait for long, so
 * that a flood of those who know none keeps nobody out. */
static void add_waiting(struct client *c) {
    struct client_list *list = c->list;
    if (list->waiting_count >= list->waiting_max && list->waiting_first != NULL) {
        stats_add(&list->env->stats[PROXY_STAT_UNAUTHENTICATED_CLOSED], 1);
        client_leave(list->waiting_first);
    }
    c->waiting_prev = list->waiting_last;
    *(list->waiting_last != NULL ? &list->waiting_last->waiting_next : &list->waiting_first) = c;
    list->waiting_last = c;
    c->waits = true;
    c->waits_us = conn_loop_now_us(list->env->loop);
    list->waiting_count++;
}

void client_auth_changed(struct client *c) {
    const struct rights *rights = c->env->server->rights;
    bool waits = rights_waits(rights, &c->local.rights);
    c->limited = rights_limited(rights, &c->local.rights);
    if (waits && !c->waits && !c->dead)
        add_waiting(c);
    else if (!waits && c->waits)
        remove_waiting(c);
}

void client_auth_forget(struct client *c) {
    if (c->waits)
        remove_waiting(c);
}

void client_auth_tick(struct client_list *list, int64_t now_us) {
    int64_t most_us = list->env->conf->auth_timeout_s * 1000000;
    while (list->waiting_first != NULL && now_us - list->waiting_first->waits_us > most_us) {
        stats_add(&list->env->stats[PROXY_STAT_UNAUTHENTICATED_CLOSED], 1);
        client_leave(list->waiting_first);
    }
}

/* ---- requests ---- */

bool client_forbids(struct client *c, int id, const struct resp_request *in) {
    enum rights_verdict verdict = rights_judge(&c->local.rights, id, in->argv, in->argc);
    if (verdict == RIGHTS_FINE)
        return false;
    stats_value *stats = c->env->stats;
    struct buf *out;
    struct request *r = client_open_answer(c, &out);
    if (out == NULL) {
        client_out_of_memory(c);
        return true;
    }
    switch (verdict) {
    case RIGHTS_FINE:
        break;
    case RIGHTS_NOAUTH:
        reply_error(out, REPLY_NOAUTH, NULL);
        break;
    case RIGHTS_NO_COMMAND:
        reply_error(out, REPLY_NOPERM_COMMAND, command_row(id)->name);
        stats_add(&stats[PROXY_STAT_DENIED_COMMAND], 1);
        break;
    case RIGHTS_NO_KEY:
        reply_error(out, REPLY_NOPERM_KEY, NULL);
        stats_add(&stats[PROXY_STAT_DENIED_KEY], 1);
        break;
    }
    stats_add(&stats[PROXY_STAT_ERRORS], 1);
    if (c->env->timing != NULL)
        stats_add(&c->env->timing->rows[id].rejected, 1);
    client_close_reply(c, r, false);
    return true;
}

void client_forward_scoped(struct client *c, struct request *r, const struct resp_request *in,
                           struct span raw) {
    uint32_t count;
    const struct span *prefixes = rights_prefixes(&c->local.rights, &count);
    if (count == 0) {
        forward_request(c->env, r, in, raw);
        return;
    }
    char number[16];
    int len = snprintf(number, sizeof(number), "%u", count);
    struct buf scoped;
    buf_init(&scoped, 0);
    resp_write_array(&scoped, 2 + (uint64_t)count + in->argc);
    resp_write_bulk(&scoped, SPAN("RF.SCOPE"));
    resp_write_bulk(&scoped, span_of(number, (size_t)len));
    for (uint32_t i = 0; i < count; i++)
        resp_write_bulk(&scoped, prefixes[i]);
    for (uint32_t i = 0; i < in->argc; i++)
        resp_write_bulk(&scoped, in->argv[i]);
    const struct resp_request whole = {.argv = in->argv, .argc = in->argc};
    if (scoped.failed)
        request_fail(r, REPLY_OOM);
    else
        forward_request(c->env, r, &whole, span_of(buf_head(&scoped), buf_len(&scoped)));
    buf_release(&scoped);
}

/* ---- other users ---- */

/* What it is told of may be somebody else's keys now. */
static bool is_told_too_much(const struct client *c) {
    const struct tracking_client *t = &c->tracking;
    if (!t->on || (t->flags & TRACKING_BCAST) == 0)
        return false;
    for (uint32_t i = 0; i < t->prefixes_count; i++) {
        if (!rights_covers_prefix(&c->local.rights, span_of(t->prefixes[i], t->prefixes_len[i])))
            return true;
    }
    return t->prefixes_count == 0 && !rights_covers_prefix(&c->local.rights, SPAN(""));
}

void client_list_renew(struct client_list *list) {
    for (struct client *c = list->first, *next; c != NULL; c = next) {
        next = c->next;
        bool stays = local_renew(list->env->server, &c->local) && !is_told_too_much(c) &&
                     (c->local.monitor == NULL || local_may_monitor(list->env->server, &c->local));
        c->limited = rights_limited(list->env->server->rights, &c->local.rights);
        if (stays || c->dead)
            continue;
        log_event(LOG_LEVEL_INFO, "client_revoked", "id=%llu addr=%s user=%s",
                  (unsigned long long)c->local.id, c->local.addr, c->local.user);
        c->ended = true;
        if (c->head == NULL)
            client_finish(c);
    }
}
