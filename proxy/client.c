#include "client_private.h"

#include <arpa/inet.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "registry.h"

static void on_end(void *ctx, enum conn_end why);
static void on_drained(void *ctx);

static const struct conn_handlers CONN_HANDLERS = {.on_read = client_on_read,
                                                   .on_end = on_end,
                                                   .on_drained = on_drained,
                                                   .on_kept = client_on_kept};

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
    client_auth_init(list);
    return list;
}

const uint32_t *client_list_waiting(const struct client_list *list) {
    return &list->waiting;
}

uint32_t client_list_count(const struct client_list *list) {
    return list->count;
}

void client_free(struct client *c) {
    struct client_list *list = c->list;
    tracking_stop(c->env->tracking, &c->tracking);
    channels_leave_all(c->env->channels, &c->channels);
    conn_free(&c->conn);
    resp_parser_release(&c->parser);
    multi_clear(&c->multi);
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
void client_leave(struct client *c) {
    if (c->dead)
        return;
    c->dead = c->ended = true;
    client_weightless(c);
    client_auth_forget(c);
    local_monitor_end(c->env->server, &c->local);
    registry_remove(c->env->server->registry, &c->local);
    tracking_stop(c->env->tracking, &c->tracking);
    channels_leave_all(c->env->channels, &c->channels);
    client_count_out(c);
    conn_free(&c->conn);
    struct request *r = c->head, *next;
    c->list->waiting -= r != NULL;
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
        client_leave(c);
    }
    request_pool_free(list);
    free(list);
}

void client_finish(struct client *c) {
    if (c->dead || c->finishing)
        return;
    c->ended = c->finishing = true;
    c->finish_us = conn_loop_now_us(c->env->loop);
    c->finish_out = conn_out_total(c->conn);
    conn_end_after_send(c->conn);
}

void client_finish_drained(struct client *c) {
    int unread = 0;
    if (!c->list->draining || c->dead || c->head != NULL || c->unparsed != 0 || c->multi.open ||
        (ioctl(conn_fd(c->conn), FIONREAD, &unread) == 0 && unread > 0))
        return;
    client_finish(c);
}

void client_list_drain(struct client_list *list, int64_t now_us) {
    list->draining = true;
    list->drain_us = now_us;
}

static bool is_idle(const struct client *c, int64_t now_us, int64_t idle_us) {
    int64_t asked_us = (int64_t)stats_get(&c->local.last_mono_ms) * 1000;
    return c->head == NULL && !c->stalled && now_us - asked_us > idle_us;
}

static void tick(struct client *c, int64_t now_us) {
    const struct client_list *list = c->list;
    int64_t idle_us = list->env->conf->client_idle_s * 1000000;
    if (c->finishing && c->finish_out != conn_out_total(c->conn)) {
        c->finish_out = conn_out_total(c->conn);
        c->finish_us = now_us;
    } else if (c->finishing && now_us - c->finish_us > CLIENT_LINGER_US) {
        client_leave(c);
    } else if (idle_us != 0 && channels_of(&c->channels) == 0 && c->local.monitor == NULL &&
               is_idle(c, now_us, idle_us)) {
        client_finish(c);
    } else if (list->draining && now_us - list->drain_us > CLIENT_DRAIN_IDLE_US &&
               is_idle(c, now_us, CLIENT_DRAIN_IDLE_US)) {
        client_finish_drained(c);
    }
}

/* Its close gives the kernel's memory back at once, too. */
static void forget_unsent(int fd) {
    const struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void client_list_sweep(struct client_list *list) {
    for (struct client *c = list->first, *next; c != NULL; c = next) {
        next = c->next;
        uint64_t killed = stats_get(&c->local.killed);
        if (killed == LOCAL_KILL_EVICTED && !c->dead) {
            forget_unsent(conn_fd(c->conn));
            stats_add(&list->env->stats[PROXY_STAT_CLIENTS_EVICTED], 1);
            log_event(LOG_LEVEL_WARN, "client_evicted", "id=%llu addr=%s bytes=%llu",
                      (unsigned long long)c->local.id, c->local.addr,
                      (unsigned long long)stats_get(&c->local.bytes));
        }
        if (killed != LOCAL_KILL_NOT)
            client_leave(c);
    }
}

void client_list_tick(struct client_list *list, int64_t now_us) {
    client_list_sweep(list); /* a full mailbox may have kept a worker from hearing of it */
    client_memory_check(list, now_us);
    client_auth_tick(list, now_us);
    client_redirect_tick(list); /* likewise */
    for (struct client *c = list->first, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->dead)
            tick(c, now_us);
    }
}

/* ---- a client ---- */

/* What a client does not read is to wait in our buffers, where it is counted and bounded, and not
 * up to 4 MiB of it in the kernel's. What is on its way is not limited by that. */
static void keep_unsent_low(int fd) {
    int bytes = CLIENT_UNSENT_BYTES;
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes)); /* not TCP: no harm */
}

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
    stats_add(&env->stats[PROXY_STAT_CONNECTIONS], 1); /* also when it fails: main counts on it */
    if (c == NULL) {
        shutdown(fd, SHUT_RDWR);
        evutil_closesocket(fd);
        return;
    }
    c->list = list;
    c->env = env;
    resp_parser_init(&c->parser);
    multi_init(&c->multi);
    c->local.fd = fd;
    c->local.worker = env->worker;
    c->local.proto = 2;
    c->local.tracking = &c->tracking;
    c->local.channels = &c->channels;
    keep_unsent_low(fd);
    name_address(fd, c->local.laddr, sizeof(c->local.laddr));
    c->conn = conn_adopt(env->loop, fd, &list->conn_conf, &CONN_HANDLERS, c);
    if (c->conn == NULL) {
        free(c);
        return;
    }
    conn_peer(c->conn, c->local.addr, sizeof(c->local.addr));
    c->local.connected_wall_ms = clock_wall_ms();
    stats_set(&c->local.last_mono_ms, (uint64_t)(conn_loop_now_us(env->loop) / 1000));
    local_begin(env->server, &c->local);
    registry_add(env->server->registry, &c->local);
    c->tracking.id = c->local.id;
    c->next = list->first;
    if (c->next != NULL)
        c->next->prev = c;
    list->first = c;
    list->count++;
    stats_add(&env->stats[PROXY_STAT_CLIENTS], 1);
    client_auth_changed(c);
}

static void on_end(void *ctx, enum conn_end why) {
    struct client *c = ctx;
    if (why == CONN_END_FULL) {
        stats_add(&c->env->stats[PROXY_STAT_CLIENTS_OVERFLOWED], 1);
        log_event(LOG_LEVEL_WARN, "client_overflow", "id=%llu addr=%s",
                  (unsigned long long)c->local.id, c->local.addr);
    }
    bool owed = c->head != NULL || conn_out_len(c->conn) != 0;
    if (why != CONN_END_EOF || c->finishing || !owed) {
        client_leave(c);
        return;
    }
    c->ended = true; /* `printf ... | nc`: what was asked is answered */
    if (c->head == NULL)
        client_finish(c);
}

static void on_drained(void *ctx) {
    struct client *c = ctx;
    if (c->stalled)
        conn_read_again(c->conn);
    if (c->local.monitor != NULL)
        client_hear_lines(c, c->local.monitor);
}
