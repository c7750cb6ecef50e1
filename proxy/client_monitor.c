/* MONITOR: which requests are shown, and how the lines get to those who monitor. */
#include <stdio.h>

#include "../common/clock.h"
#include "../common/command.h"
#include "client_private.h"
#include "inbox.h"
#include "local_private.h"
#include "monitor.h"
#include "proxy_conf.h"
#include "proxy_stats.h"

/* ---- showing ---- */

/* As Redis: nothing of what is for admins. A subcommand that is not there may be a secret's place
 * elsewhere (ACL SETUSER), so it is not shown either. */
static bool is_shown(int id, const struct resp_request *in) {
    if ((command_row(id)->flags & COMMAND_ADMIN) != 0)
        return false;
    if (local_subcommands(id) == NULL || in->argc == 1)
        return true;
    const struct local_subcommand *sub = local_subcommand_find(id, in->argv[1]);
    return sub != NULL && (sub->flags & LOCAL_ADMIN) == 0;
}

static bool is_auth_option(const struct resp_request *in, uint32_t i) {
    return i > 0 && span_equal_nocase(in->argv[i], SPAN("AUTH"));
}

/* AUTH's arguments, and what stands behind HELLO's AUTH. */
static bool is_open(const void *ctx, uint32_t i) {
    const struct resp_request *in = ctx;
    if (i == 0)
        return true;
    switch (command_find(in->argv[0])) {
    case COMMAND_AUTH:
        return false;
    case COMMAND_HELLO:
        return !is_auth_option(in, i - 1) && (i < 2 || !is_auth_option(in, i - 2));
    default:
        return true;
    }
}

void client_show(struct client *c, const struct command *row, const struct resp_request *in) {
    const struct local_peers *peers = c->env->server->peers;
    char room[MONITOR_LINE_BYTES_MAX];
    if (peers == NULL || !is_shown((int)(row - command_row(0)), in))
        return;
    struct span line =
        monitor_line(room, clock_wall_us(), c->local.addr, in->argv, in->argc, is_open, in);
    monitor_show(c->env->monitor, line, peers->wake, peers->ctx);
}

/* ---- hearing ---- */

static void write_lost(struct buf *out, uint64_t lost) {
    char room[MONITOR_LINE_BYTES_MAX], number[24];
    snprintf(number, sizeof(number), "%llu", (unsigned long long)lost);
    const struct span words[] = {SPAN("LOST"), span_str(number)};
    buf_append_span(out, monitor_line(room, clock_wall_us(), "ringfence:0", words, 2, NULL, NULL));
}

/* What it has not read yet has to leave first: until then lines wait in its inbox, and get lost
 * there. */
void client_hear_lines(struct client *c, struct inbox *inbox) {
    struct buf lines, *out;
    uint64_t lost;
    if (c->dead || c->ended || conn_out_len(c->conn) + c->held_bytes > CLIENT_OUT_HIGH_BYTES)
        return;
    if (inbox_take(inbox, &lines, &lost)) {
        struct request *r = client_open_reply(c, &out);
        stats_add(&c->env->stats[PROXY_STAT_MONITOR_LOST], lost);
        if (out == NULL) {
            client_out_of_memory(c);
        } else {
            buf_append(out, buf_head(&lines), buf_len(&lines));
            if (lost != 0)
                write_lost(out, lost);
            client_close_reply(c, r, false);
        }
    }
    buf_release(&lines);
}

void client_list_monitor(struct client_list *list) {
    list->gap -= list->until_sample; /* those that came since client_sample() */
    list->until_sample = list->until_show = 0;
    for (struct client *c = list->first; c != NULL && !list->env->conf->allow_monitor;
         c = c->next) {
        if (c->local.monitor == NULL || c->dead)
            continue;
        c->ended = true;
        if (c->head == NULL)
            client_finish(c);
    }
}
