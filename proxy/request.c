#include "request.h"

#include <stdlib.h>

#include "../common/reply.h"
#include "client_private.h"
#include "proxy_conf.h"
#include "proxy_stats.h"

enum { POOL_REQUESTS_MAX = 4096 /* idle request objects that a worker keeps */ };

static struct request *request_new(struct client_list *list) {
    struct request *r = list->pool;
    if (r == NULL)
        return malloc(sizeof(*r));
    list->pool = r->next;
    list->pool_count--;
    return r;
}

void request_free(struct client_list *list, struct request *r) {
    buf_release(&r->held);
    if (list->pool_count >= POOL_REQUESTS_MAX) {
        free(r);
        return;
    }
    r->next = list->pool;
    list->pool = r;
    list->pool_count++;
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
    r->held_bytes = 0;
    buf_init(&r->held, (size_t)c->env->conf->output_bytes_max);
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
    if (c->held_bytes > (size_t)c->env->conf->output_bytes_max) {
        conn_out(c->conn)->failed = true;
        conn_send(c->conn);
    }
}

void request_done(struct request *r) {
    struct client *c = r->client;
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
    bool end = false;
    while (c->head != NULL && c->head->answered) {
        struct request *first = c->head;
        if (first->held.failed)
            out->failed = true;
        if (buf_len(&first->held) != 0 && !first->is_muted)
            buf_append(out, buf_head(&first->held), buf_len(&first->held));
        end = end || first->ends_client;
        c->head = first->next;
        c->queued--;
        c->held_bytes -= first->held_bytes;
        request_free(c->list, first);
    }
    if (c->head == NULL) {
        c->tail = NULL;
        c->list->waiting--;
    }
    conn_send(c->conn);
    if (end || (c->head == NULL && c->ended))
        client_finish(c);
    else
        client_finish_drained(c);
}

void request_answer(struct request *r, struct span reply) {
    if (reply.ptr[0] == '-')
        stats_add(&r->client->env->stats[PROXY_STAT_ERRORS], 1);
    buf_append_span(request_reply(r), reply);
    request_done(r);
}

void request_fail(struct request *r, int error) {
    stats_add(&r->client->env->stats[PROXY_STAT_ERRORS], 1);
    reply_error(request_reply(r), (enum reply_error)error, NULL);
    request_done(r);
}

void request_fail_number(struct request *r, int error, uint64_t n) {
    stats_add(&r->client->env->stats[PROXY_STAT_ERRORS], 1);
    reply_error_number(request_reply(r), (enum reply_error)error, n);
    request_done(r);
}
