/*
 * The memory of clients' buffers: each client is counted when that changes by something, its worker
 * publishes its sum in steps, and who sees that all of them together have too much has the largest
 * clients evicted. Requests that are answered as they come touch nothing of this.
 */
#include "client_private.h"
#include "eviction.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "registry.h"

enum {
    STEP_BYTES = 64 << 10, /* of a worker's sum, that are not published */
    PAUSE_US = 2000,       /* between two walks of one worker */
};

static uint64_t of_all_workers(const struct proxy_env *env) {
    const struct local_server *server = env->server;
    uint64_t bytes = 0;
    for (unsigned w = 0; server->worker_stats != NULL && w < server->workers; w++)
        bytes += stats_get(&server->worker_stats[w][PROXY_STAT_CLIENTS_BYTES]);
    return bytes;
}

void client_memory_check(struct client_list *list, int64_t now_us) {
    const struct proxy_env *env = list->env;
    uint64_t most = (uint64_t)env->conf->clients_bytes_max;
    list->bytes_told = list->bytes;
    stats_set(&env->stats[PROXY_STAT_CLIENTS_BYTES], list->bytes);
    if (most == 0 || now_us - list->evicted_us < PAUSE_US || of_all_workers(env) <= most)
        return;
    list->evicted_us = now_us;
    /* A little more than must: so that the next byte does not begin it again. */
    if (eviction_mark(env->server->registry, most - most / 8) != 0)
        local_tell(env->server, LOCAL_NEWS_KILLED);
}

static void set_bytes(struct client *c, uint64_t bytes) {
    struct client_list *list = c->list;
    list->bytes += bytes - stats_get(&c->local.bytes);
    stats_set(&c->local.bytes, bytes);
    uint64_t apart = list->bytes > list->bytes_told ? list->bytes - list->bytes_told
                                                    : list->bytes_told - list->bytes;
    if (apart >= STEP_BYTES)
        client_memory_check(list, conn_loop_now_us(c->env->loop));
}

void client_weigh(struct client *c) {
    if (!c->dead)
        set_bytes(c, c->kept_bytes + c->held_bytes + c->multi.commands.cap);
}

void client_weightless(struct client *c) {
    set_bytes(c, 0);
}

void client_on_kept(void *ctx, size_t bytes) {
    struct client *c = ctx;
    c->kept_bytes = bytes;
    client_weigh(c);
}
