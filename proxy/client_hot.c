/* What is asked for most: a sample of the requests goes to hotkeys, and the values of the hottest
 * keys are kept in near. Another sample is shown to those who monitor; both share one count. */
#include <stdlib.h>

#include "../common/hash.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "client_private.h"
#include "copies.h"
#include "hotkeys.h"
#include "monitor.h"
#include "near.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "timing.h"
#include "topology.h"

enum {
    UNCOUNTED_REQUESTS = 1024, /* with hotkeys-sample 0: until that is looked at again */
    QUEUED_MAX = 64            /* a client that waits for more answers is not given copies */
};

/* ---- the sample ---- */

static void count(struct client *c, const struct command *row, struct span key, uint32_t weight) {
    const struct proxy_env *env = c->env;
    int64_t now_us = conn_loop_now_us(env->loop);
    double rate = hotkeys_add(env->hotkeys, env->worker, now_us, key, weight);
    if (env->near != NULL &&
        (row == command_row(COMMAND_GET) || row == command_row(COMMAND_MGET)) &&
        rate >= (double)env->conf->hot_cache_rate)
        near_want(env->near, key, hash_ring(key), now_us);
}

static void count_keys(struct client *c, const struct command *row, const struct resp_request *in,
                       uint32_t mean) {
    const struct proxy_env *env = c->env;
    if (row->subcommands != NULL) /* who looks at a key does not use it */
        return;
    uint32_t end = command_key_end(row, in->argc), counted = 0;
    for (uint32_t i = (uint32_t)row->first_key;
         i < end && i < in->argc && counted < HOTKEYS_PER_REQUEST;
         i += (uint32_t)row->key_step, counted++) {
        if (in->argv[i].len <= (size_t)env->conf->key_bytes_max)
            count(c, row, in->argv[i], mean);
    }
}

/* Returns in how many requests the next one is counted. */
static uint32_t take_hot(struct client *c, const struct command *row,
                         const struct resp_request *in) {
    const struct proxy_env *env = c->env;
    uint32_t mean = (uint32_t)env->conf->hotkeys_sample;
    if (mean == 0 || env->hotkeys == NULL)
        return UNCOUNTED_REQUESTS;
    if (!c->seen)
        count_keys(c, row, in, mean);
    return hotkeys_gap(env->hotkeys, env->worker, mean);
}

static uint32_t take_show(struct client *c, const struct command *row,
                          const struct resp_request *in) {
    const struct proxy_env *env = c->env;
    uint32_t mean = (uint32_t)env->conf->monitor_sample;
    if (monitor_count(env->monitor) == 0)
        return UINT32_MAX; /* client_list_monitor() says when there is one */
    if (!c->seen)
        client_show(c, row, in);
    return mean > 1 && env->hotkeys != NULL ? hotkeys_gap(env->hotkeys, env->worker, mean) : mean;
}

static uint32_t less(uint32_t until, uint32_t passed) {
    return until > passed ? until - passed : 0;
}

void client_sample(struct client *c, const struct command *row, const struct resp_request *in) {
    struct client_list *list = c->list;
    uint32_t passed = list->gap + 1;
    list->until_hot = less(list->until_hot, passed);
    list->until_show = less(list->until_show, passed);
    if (list->until_hot == 0)
        list->until_hot = take_hot(c, row, in);
    if (list->until_show == 0)
        list->until_show = take_show(c, row, in);
    list->gap = (list->until_hot < list->until_show ? list->until_hot : list->until_show) - 1;
    list->until_sample = list->gap;
}

/* ---- copies ---- */

/* An answer that it still waits for may be newer than a copy: replies leave in order, so the copy
 * would follow it. */
static bool waits_for(const struct client *c, uint64_t hash) {
    if (c->open_reads + c->open_writes == 0)
        return false;
    if (c->queued > QUEUED_MAX)
        return true;
    for (const struct request *r = c->head; r != NULL; r = r->next) {
        if (!r->answered && (r->is_multi || r->is_all || r->entry.hash == hash))
            return true;
    }
    return false;
}

/* No answer that it still waits for is newer than any copy. */
static bool takes_any(const struct client *c) {
    return !c->tracking.on && c->open_reads + c->open_writes == 0;
}

static void answer_from(struct client *c, int id, const struct span *values, uint32_t count) {
    const struct proxy_env *env = c->env;
    struct buf *out;
    struct request *r = client_open_answer(c, &out);
    if (out == NULL) {
        client_out_of_memory(c);
        return;
    }
    if (r != NULL)
        r->is_kept = true; /* it is no news of a key */
    if (id == COMMAND_MGET)
        resp_write_array(out, count);
    for (uint32_t i = 0; i < count; i++)
        buf_append_span(out, values[i]);
    stats_add(&env->stats[PROXY_STAT_HOT_HITS], count);
    if (env->timing != NULL)
        timing_add(&env->timing->rows[id], 0);
    client_close_reply(c, r, false);
}

/* Of all the keys of an MGET. */
static bool gives_copies(struct client *c, const struct resp_request *in) {
    int64_t now_us = conn_loop_now_us(c->env->loop);
    struct span values[COPIES_KEYS_MAX];
    if (in->argc - 1 > COPIES_KEYS_MAX || !takes_any(c))
        return false;
    for (uint32_t i = 1; i < in->argc; i++) {
        if (!near_get(c->env->near, in->argv[i], hash_ring(in->argv[i]), now_us, &values[i - 1]))
            return false;
    }
    answer_from(c, COMMAND_MGET, values, in->argc - 1);
    return true;
}

bool client_gives_copy(struct client *c, const struct resp_request *in, int id, uint64_t hash) {
    struct span value;
    if (id != COMMAND_GET)
        return id == COMMAND_MGET && gives_copies(c, in);
    if (!near_get(c->env->near, in->argv[1], hash, conn_loop_now_us(c->env->loop), &value) ||
        c->tracking.on || waits_for(c, hash))
        return false;
    answer_from(c, COMMAND_GET, &value, 1);
    return true;
}

/* Whether the key has a time to live. */
struct probe {
    struct upstream_entry entry;
    const struct proxy_env *env;
    struct near_ticket ticket;
};

static void on_probed(struct upstream_entry *entry, struct span reply) {
    struct probe *probe = (struct probe *)((char *)entry - offsetof(struct probe, entry));
    near_probed(probe->env->near, &probe->ticket, reply.ptr[0] == ':',
                span_equal(reply, SPAN(":-1\r\n")));
    free(probe);
}

static void send_probe(const struct proxy_env *env, struct span key, uint64_t hash,
                       struct near_ticket ticket) {
    const struct span words[] = {SPAN("PTTL"), key};
    struct probe *probe = calloc(1, sizeof(*probe));
    struct buf request;
    buf_init(&request, 0);
    resp_write_request(&request, words, 2);
    bool sent = false;
    if (probe != NULL && !request.failed) {
        *probe = (struct probe){.env = env, .ticket = ticket};
        probe->entry.done = on_probed;
        probe->entry.hash = hash;
        probe->entry.start_us = conn_loop_now_us(env->loop);
        sent = topology_send(env->topology, &probe->entry,
                             span_of(buf_head(&request), buf_len(&request))) == REPLY_ERROR_COUNT;
    }
    buf_release(&request);
    if (sent)
        return;
    near_probed(env->near, &ticket, false, false);
    free(probe);
}

static struct near_ticket ask_key(const struct proxy_env *env, struct span key, uint64_t hash,
                                  int64_t now_us) {
    struct near_ticket ticket = near_ask(env->near, key, hash, now_us);
    if (ticket.slot != NEAR_NONE)
        return ticket;
    struct near_ticket probe = near_probe(env->near, key, hash, now_us);
    if (probe.slot != NEAR_NONE)
        send_probe(env, key, hash, probe);
    return ticket;
}

/* Some of an MGET's keys may have copies; nothing that it waits for is newer than these. */
static void ask_keys(struct client *c, struct request *r, const struct resp_request *in) {
    const struct proxy_env *env = c->env;
    int64_t now_us = conn_loop_now_us(env->loop);
    bool takes = takes_any(c), whole = true;
    struct copies *copies = copies_new(env->near, in->argc - 1);
    for (uint32_t i = 1; copies != NULL && whole && i < in->argc; i++) {
        uint64_t hash = hash_ring(in->argv[i]);
        struct span value;
        if (takes && near_get(env->near, in->argv[i], hash, now_us, &value)) {
            whole = copies_take(copies, i - 1, value);
        } else {
            const struct near_ticket ticket = ask_key(env, in->argv[i], hash, now_us);
            copies_ask(copies, i - 1, hash, &ticket);
        }
    }
    if (copies == NULL || !whole) { /* it goes without */
        copies_free(&copies);
        return;
    }
    stats_add(&env->stats[PROXY_STAT_HOT_HITS], copies_taken(copies));
    r->copies = copies;
    r->is_kept = true; /* every key's own answer is what ends its copy */
}

void client_asks(struct client *c, struct request *r, const struct resp_request *in) {
    if (r->command == COMMAND_GET)
        r->near = ask_key(c->env, in->argv[1], r->entry.hash, conn_loop_now_us(c->env->loop));
    else if (r->command == COMMAND_MGET && r->is_multi && in->argc - 1 <= COPIES_KEYS_MAX)
        ask_keys(c, r, in);
}

void client_passed(struct client *c, const struct request *r) {
    if (r->is_multi || r->is_all)
        near_pass_all(c->env->near, r->is_write);
    else
        near_pass(c->env->near, r->entry.hash, r->is_write);
}

void client_hot_figures(const struct proxy_env *env) {
    struct near_figures f;
    if (env->near == NULL)
        return;
    near_figures(env->near, &f);
    stats_set(&env->stats[PROXY_STAT_HOT_FILLS], f.fills);
    stats_set(&env->stats[PROXY_STAT_HOT_DROPS], f.drops);
    stats_set(&env->stats[PROXY_STAT_HOT_ITEMS], f.items);
    stats_set(&env->stats[PROXY_STAT_HOT_BYTES], f.bytes);
}
