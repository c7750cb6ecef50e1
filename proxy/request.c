#include "request.h"

#include <stdio.h>
#include <stdlib.h>

#include "../common/clock.h"
#include "../common/reply.h"
#include "client_private.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "slowlog.h"
#include "timing.h"

enum {
    POOL_REQUESTS_MAX = 4096, /* idle request objects that a worker keeps */
    HELD_KEPT_MAX = 512,      /* bytes of a held reply's memory that stays with one of them */
};

static struct request *request_new(struct client_list *list) {
    struct request *r = list->pool;
    if (r == NULL) {
        r = aligned_alloc(_Alignof(struct request), sizeof(*r));
        if (r != NULL)
            buf_init(&r->held, 0);
        return r;
    }
    list->pool = r->next;
    list->pool_count--;
    __builtin_prefetch(list->pool);
    return r;
}

void request_free(struct client_list *list, struct request *r) {
    bool is_kept = list->pool_count < POOL_REQUESTS_MAX;
    if (!is_kept || r->held.cap > HELD_KEPT_MAX || r->held.failed)
        buf_release(&r->held);
    if (!is_kept) {
        free(r);
        return;
    }
    r->held.head = r->held.tail = 0;
    r->next = list->pool;
    list->pool = r;
    list->pool_count++;
}

void request_pool_free(struct client_list *list) {
    for (struct request *r = list->pool, *next; r != NULL; r = next) {
        next = r->next;
        buf_release(&r->held);
        free(r);
    }
    list->pool = NULL;
    list->pool_count = 0;
}

struct request *request_open(struct client *c, int id) {
    struct request *r = request_new(c->list);
    if (r == NULL)
        return NULL;
    r->next = NULL;
    r->client = c;
    r->command = id;
    r->proto = (uint8_t)c->local.proto;
    r->is_write = r->is_multi = r->is_all = r->answered = r->ends_client = false;
    r->is_muted = client_mutes(c);
    r->is_kept = r->is_redirect = false;
    r->doubt.version = 0;
    r->entry.author = tracking_author(&c->tracking);
    r->near.slot = NEAR_NONE;
    r->copies = NULL;
    r->start_us = 0;
    r->key.len = 0;
    r->held_bytes = 0;
    r->held.bytes_max = (size_t)c->env->conf->output_bytes_max;
    if (c->tail == NULL) {
        c->head = r;
        c->list->waiting++;
    } else {
        c->tail->next = r;
    }
    c->tail = r;
    c->queued++;
    return r;
}

const struct proxy_env *request_env(const struct request *r) {
    return r->client->env;
}

/* ---- replies ---- */

struct buf *request_reply(struct request *r) {
    struct client *c = r->client;
    return !c->dead && c->head == r && !r->is_muted ? conn_out(c->conn) : &r->held;
}

/* `r` has its answer: what waits behind it for its key may go on. */
static void close_request(struct client *c, struct request *r) {
    r->answered = true;
    if (r->is_write)
        c->open_writes--;
    else
        c->open_reads--;
}

/* Its reply has to wait. What waits is bounded as what was sent and not read is. */
static void hold(struct client *c, struct request *r) {
    if (r->is_muted)
        buf_release(&r->held);
    r->held_bytes = sizeof(*r) + r->held.cap;
    c->held_bytes += r->held_bytes;
    if (client_holds_much(c->held_bytes - r->held_bytes, c->held_bytes))
        client_weigh(c);
    if (c->held_bytes > (size_t)c->env->conf->output_bytes_max) {
        conn_out(c->conn)->failed = true;
        conn_send(c->conn);
    }
}

static void remember_slow(struct client *c, const struct request *r, int64_t usec) {
    const struct proxy_env *env = c->env;
    struct slowlog_entry e = {.wall_s = clock_wall_ms() / 1000,
                              .usec = usec,
                              .command = r->command,
                              .argc = r->argc,
                              .key = r->key};
    snprintf(e.addr, sizeof(e.addr), "%s", c->local.addr);
    snprintf(e.name, sizeof(e.name), "%s", c->local.name);
    slowlog_add(env->slowlog, env->worker, &e, (uint64_t)env->conf->slowlog_max_len);
}

/* From the turn that took it to this one: no clock is read for it. */
static void measure(struct client *c, const struct request *r) {
    const struct proxy_env *env = c->env;
    if (r->start_us == 0 || env->timing == NULL)
        return;
    int64_t usec = conn_loop_now_us(env->loop) - r->start_us;
    int64_t slow_us = env->conf->slowlog_log_slower_than;
    timing_add(&env->timing->rows[r->command], usec > 0 ? (uint64_t)usec : 0);
    if (slow_us >= 0 && usec >= slow_us && env->slowlog != NULL)
        remember_slow(c, r, usec);
}

static void count_error(const struct request *r) {
    const struct proxy_env *env = r->client->env;
    stats_add(&env->stats[PROXY_STAT_ERRORS], 1);
    if (env->timing != NULL)
        stats_add(&env->timing->rows[r->command].failed, 1);
}

/* It is its turn. */
static void give_held(struct client *c, const struct request *r, struct buf *out) {
    struct span held = span_of(buf_head(&r->held), buf_len(&r->held));
    if (r->doubt.version != 0 && tracking_is_own(c->env->tracking, &c->tracking, r->doubt))
        return;
    if (r->is_redirect)
        client_pass_on(c, held);
    else if (!r->is_muted)
        buf_append_span(out, held);
}

void request_done(struct request *r) {
    struct client *c = r->client;
    measure(c, r);
    if (c->env->near != NULL && !r->is_kept)
        client_passed(c, r);
    close_request(c, r);
    if (c->dead) {
        c->queued--;
        request_free(c->list, r);
        if (c->queued == 0)
            client_free(c);
        return;
    }
    if (c->stalled)
        conn_read_again(c->conn);
    if (c->head != r) {
        hold(c, r);
        return;
    }
    struct buf *out = conn_out(c->conn);
    size_t held_bytes = c->held_bytes;
    int64_t taken_us = 0;
    bool end = false;
    while (c->head != NULL && c->head->answered) {
        struct request *first = c->head;
        if (first->held.failed)
            out->failed = true;
        if (buf_len(&first->held) != 0)
            give_held(c, first, out);
        end = end || first->ends_client;
        taken_us = first->start_us;
        c->head = first->next;
        c->queued--;
        c->held_bytes -= first->held_bytes;
        request_free(c->list, first);
    }
    if (client_holds_much(held_bytes, c->held_bytes))
        client_weigh(c);
    if (c->head == NULL) {
        c->tail = NULL;
        c->list->waiting--;
    }
    if (c->head != NULL && c->head->start_us == taken_us)
        conn_send_soon(c->conn); /* more of what was asked at once */
    else
        conn_send(c->conn);
    if (end || (c->head == NULL && c->ended))
        client_finish(c);
    else
        client_finish_drained(c);
}

void request_answer(struct request *r, struct span reply) {
    if (reply.ptr[0] == '-')
        count_error(r);
    buf_append_span(request_reply(r), reply);
    request_done(r);
}

void request_fail(struct request *r, int error) {
    count_error(r);
    reply_error(request_reply(r), (enum reply_error)error, NULL);
    request_done(r);
}

void request_fail_number(struct request *r, int error, uint64_t n) {
    count_error(r);
    reply_error_number(request_reply(r), (enum reply_error)error, n);
    request_done(r);
}
