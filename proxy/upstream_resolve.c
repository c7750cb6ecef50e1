#include "upstream_resolve.h"

#include <event2/dns.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"

/* Lives until libevent has called back, also when cancelled: evdns calls back after a cancel too.
 */
struct upstream_resolve {
    upstream_resolve_fn *cb; /* NULL: cancelled */
    void *ctx;
    struct evdns_getaddrinfo_request *request;
    unsigned turn;
    bool starting, answered;
};

static const struct evutil_addrinfo *of_turn(const struct evutil_addrinfo *list, unsigned turn) {
    unsigned count = 0;
    for (const struct evutil_addrinfo *a = list; a != NULL; a = a->ai_next)
        count++;
    for (turn %= count; turn > 0; turn--)
        list = list->ai_next;
    return list;
}

static void on_answer(int result, struct evutil_addrinfo *list, void *arg) {
    struct upstream_resolve *r = arg;
    const struct evutil_addrinfo *a = result == 0 && list != NULL ? of_turn(list, r->turn) : NULL;
    if (r->cb != NULL)
        r->cb(r->ctx, a != NULL ? a->ai_addr : NULL, a != NULL ? (unsigned)a->ai_addrlen : 0);
    if (list != NULL)
        evutil_freeaddrinfo(list);
    r->answered = true;
    if (!r->starting)
        free(r);
}

struct upstream_resolve *upstream_resolve_start(const struct proxy_env *env, const char *host,
                                                uint16_t port, unsigned turn,
                                                upstream_resolve_fn *cb, void *ctx) {
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV};
    struct evutil_addrinfo *list = NULL;
    if (evutil_getaddrinfo(host, service, &hints, &list) == 0 && list != NULL) {
        cb(ctx, list->ai_addr, (unsigned)list->ai_addrlen);
        evutil_freeaddrinfo(list);
        return NULL;
    }
    struct upstream_resolve *r = env->dns == NULL ? NULL : calloc(1, sizeof(*r));
    if (r == NULL) {
        cb(ctx, NULL, 0);
        return NULL;
    }
    r->cb = cb;
    r->ctx = ctx;
    r->turn = turn;
    r->starting = true;
    hints.ai_flags = 0;
    r->request = evdns_getaddrinfo(env->dns, host, service, &hints, on_answer, r);
    r->starting = false;
    if (r->answered) { /* from /etc/hosts */
        free(r);
        return NULL;
    }
    return r;
}

void upstream_resolve_cancel(struct upstream_resolve **pointer) {
    struct upstream_resolve *r = *pointer;
    *pointer = NULL;
    if (r == NULL)
        return;
    r->cb = NULL;
    if (r->request != NULL)
        evdns_getaddrinfo_cancel(r->request);
}
