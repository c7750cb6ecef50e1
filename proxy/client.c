#include "client_private.h"

#include <arpa/inet.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "registry.h"

static void on_end(void *ctx, enum conn_end why);
static void on_drained(void *ctx);

static const struct conn_handlers CONN_HANDLERS = {
    .on_read = client_on_read, .on_end = on_end, .on_drained = on_drained};

/* ---- the list ---- */

struct client_list *client_list_new(const struct proxy_env *env) {
    struct client_list *list = calloc(1, sizeof(*list));
    if (list == NULL)
        return NULL;
    const struct proxy_conf *conf = env->conf;
    list->env = env;
    /* An argument may be longer than a value may be, so that the node can say so and the connection
     * goes on. */
    list->limits = (struct resp_limits){.args_max = (uint32_t)conf->args_max,
                                        .bulk_bytes_max = CLIENT_IN_BYTES_MAX / 2,
                                        .inline_bytes_max = 64 << 10};
    list->conn_conf = (struct conn_conf){.in_max = CLIENT_IN_BYTES_MAX,
                                         .out_max = (size_t)conf->output_bytes_max,
                                         .out_low = CLIENT_OUT_HIGH_BYTES};
    return list;
}

uint32_t client_list_count(const struct client_list *list) {
    return list->count;
}

void client_free(struct client *c) {
    struct client_list *list = c->list;
    tracking_stop(c->env->tracking, &c->tracking);
    conn_free(&c->conn);
    registry_remove(c->env->server->registry, &c->local);
    resp_parser_release(&c->parser);
    *(c->prev != NULL ? &c->prev->next : &list->first) = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    list->count--;
    stats_sub(&c->env->stats[PROXY_STAT_CLIENTS], 1);
    free(c);
}

void client_count_out(struct client *c) {
    uint64_t total = conn_out_total(c->conn);
    stats_add(&c->env->stats[PROXY_STAT_BYTES_OUT], total - c->out_counted);
    c->out_counted = total;
}

/* The connection is of no use any more. What nodes still work on is waited for: their replies need
 * the object. */
static void leave(struct client *c) {
    if (c->dead)
        return;
    c->dead = c->ended = true;
    tracking_stop(c->env->tracking, &c->tracking);
    client_count_out(c);
    conn_free(&c->conn);
    struct request *r = c->head, *next;
    c->head = c->tail = NULL;
    for (; r != NULL; r = next) {
        next = r->next;
        r->next = NULL;
        if (r->answered) {
            c->queued--;
            request_free(c->list, r);
        }
    }
    if (c->queued == 0)
        client_free(c);
}

void client_list_free(struct client_list **pointer) {
    struct client_list *list = *pointer;
    *pointer = NULL;
    if (list == NULL)
        return;
    for (struct client *c = list->first, *next; c != NULL; c = next) {
        next = c->next;
        leave(c);
    }
    for (struct request *r = list->pool, *next; r != NULL; r = next) {
        next = r->next;
        free(r);
    }
    free(list);
}

static void end_when_answered(struct client *c) {
    c->ended = true;
    if (c->head == NULL && !c->dead)
        conn_end_after_send(c->conn);
}

void client_list_drain(struct client_list *list) {
    list->draining = true;
    for (struct client *c = list->first, *next; c != NULL; c = next) {
        next = c->next;
        if (c->head == NULL && !c->dead)
            conn_end_after_send(c->conn);
    }
}

void client_list_tick(struct client_list *list, int64_t now_us) {
    int64_t idle_ms = list->env->conf->client_idle_s * 1000;
    if (idle_ms == 0)
        return;
    for (struct client *c = list->first, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->dead && c->head == NULL &&
            now_us / 1000 - (int64_t)stats_get(&c->local.last_mono_ms) > idle_ms)
            end_when_answered(c);
    }
}

/* ---- a client ---- */

static void name_address(int fd, char *out, size_t size) {
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    char host[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;
    if (getsockname(fd, (struct sockaddr *)&a, &len) == 0 && a.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, host, sizeof(host));
        port = ntohs(((struct sockaddr_in *)&a)->sin_port);
    } else if (a.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, host, sizeof(host));
        port = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    }
    snprintf(out, size, a.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

void client_open(struct client_list *list, int fd) {
    const struct proxy_env *env = list->env;
    struct client *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        shutdown(fd, SHUT_RDWR);
        evutil_closesocket(fd);
        return;
    }
    c->list = list;
    c->env = env;
    resp_parser_init(&c->parser);
    c->local.fd = fd;
    c->local.proto = 2;
    c->local.tracking = &c->tracking;
    name_address(fd, c->local.laddr, sizeof(c->local.laddr));
    c->conn = conn_adopt(env->loop, fd, &list->conn_conf, &CONN_HANDLERS, c);
    if (c->conn == NULL) {
        free(c);
        return;
    }
    conn_peer(c->conn, c->local.addr, sizeof(c->local.addr));
    c->local.connected_wall_ms = clock_wall_ms();
    stats_set(&c->local.last_mono_ms, (uint64_t)(conn_loop_now_us(env->loop) / 1000));
    registry_add(env->server->registry, &c->local);
    c->next = list->first;
    if (c->next != NULL)
        c->next->prev = c;
    list->first = c;
    list->count++;
    stats_add(&env->stats[PROXY_STAT_CLIENTS], 1);
    stats_add(&env->stats[PROXY_STAT_CONNECTIONS], 1);
}

static void on_end(void *ctx, enum conn_end why) {
    struct client *c = ctx;
    if (why == CONN_END_FULL) {
        stats_add(&c->env->stats[PROXY_STAT_CLIENTS_OVERFLOWED], 1);
        log_event(LOG_LEVEL_WARN, "client_overflow", "id=%llu addr=%s",
                  (unsigned long long)c->local.id, c->local.addr);
    }
    if (why == CONN_END_EOF &&
        c->head != NULL) { /* `printf ... | nc`: what was asked is answered */
        c->ended = true;
        return;
    }
    leave(c);
}

static void on_drained(void *ctx) {
    struct client *c = ctx;
    if (c->stalled)
        conn_read_again(c->conn);
}
