#include "service.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"

/* ---- listening ---- */

enum {
    SOCKETS_MAX = 8,
    BACKLOG = 511,
    REST_MS = 100,
    REFUSE_MS = 10,
    REFUSED_MAX = 32, /* in each REFUSE_MS: what a flood may cost */
};

struct service_listener {
    struct evconnlistener *sockets[SOCKETS_MAX];
    unsigned count;
    uint16_t port;
    service_accept_fn *accept_cb, *refuse_cb;
    void *ctx;
    struct event *rested;
    int reserve; /* a descriptor to refuse with; -1: none */
    bool failing;
};

static void on_rested(evutil_socket_t fd, short what, void *arg);

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *addr,
                      int len, void *arg) {
    struct service_listener *listener = arg;
    listener->failing = false;
    listener->accept_cb(fd, listener->ctx);
}

static void keep_reserve(struct service_listener *listener) {
    if (listener->refuse_cb != NULL && listener->reserve < 0)
        listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* With the reserve's descriptor, unless another thread is quicker to take it. */
static bool refuse_next(struct service_listener *listener, int socket) {
    if (listener->reserve < 0)
        return false;
    close(listener->reserve);
    listener->reserve = -1;
    int fd = accept4(socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        listener->refuse_cb(fd, listener->ctx);
    keep_reserve(listener);
    return fd >= 0;
}

/* Out of descriptors: trying again at once would only spin. Who is not refused stays in the
 * backlog. */
static void on_accept_error(struct evconnlistener *socket, void *arg) {
    struct service_listener *listener = arg;
    unsigned refused = 0;
    int why = errno;
    if (!listener->failing)
        log_event(LOG_LEVEL_WARN, "accept_failed", "why=\"%s\"", strerror(why));
    listener->failing = true;
    while ((why == EMFILE || why == ENFILE) && refused < REFUSED_MAX &&
           refuse_next(listener, evconnlistener_get_fd(socket)))
        refused++;
    for (unsigned i = 0; i < listener->count; i++)
        evconnlistener_disable(listener->sockets[i]);
    const struct timeval in = {0, (refused != 0 ? REFUSE_MS : REST_MS) * 1000};
    if (event_add(listener->rested, &in) != 0)
        on_rested(-1, 0, listener);
}

static void on_rested(evutil_socket_t fd, short what, void *arg) {
    struct service_listener *listener = arg;
    const struct timeval in = {0, REST_MS * 1000};
    keep_reserve(listener);
    for (unsigned i = 0; i < listener->count; i++) {
        if (evconnlistener_enable(listener->sockets[i]) != 0)
            event_add(listener->rested, &in); /* no memory: again later */
    }
}

void service_listener_refuse(struct service_listener *listener, service_accept_fn *refuse_cb) {
    listener->refuse_cb = refuse_cb;
    keep_reserve(listener);
}

static uint16_t bound_port(evutil_socket_t fd) {
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

static bool listen_on(struct service_listener *listener, struct event_base *base,
                      const struct addrinfo *a, bool shared) {
    struct sockaddr_storage addr;
    memcpy(&addr, a->ai_addr, a->ai_addrlen);
    if (a->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)&addr)->sin6_port = htons(listener->port);
    else
        ((struct sockaddr_in *)&addr)->sin_port = htons(listener->port);
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE |
                     (shared ? LEV_OPT_REUSEABLE_PORT : 0) |
                     (a->ai_family == AF_INET6 ? LEV_OPT_BIND_IPV6ONLY : 0);
    struct evconnlistener *socket = evconnlistener_new_bind(
        base, on_accept, listener, flags, BACKLOG, (struct sockaddr *)&addr, (int)a->ai_addrlen);
    if (socket == NULL)
        return false;
    if (evconnlistener_enable(socket) != 0) { /* libevent does not say so when it makes one */
        evconnlistener_free(socket);
        errno = ENOMEM;
        return false;
    }
    evconnlistener_set_error_cb(socket, on_accept_error);
    listener->sockets[listener->count++] = socket;
    listener->port = bound_port(evconnlistener_get_fd(socket));
    return true;
}

/* A name may give an address twice. */
static bool is_repeated(const struct addrinfo *list, const struct addrinfo *a) {
    for (; list != a; list = list->ai_next) {
        if (list->ai_addrlen == a->ai_addrlen &&
            memcmp(list->ai_addr, a->ai_addr, a->ai_addrlen) == 0)
            return true;
    }
    return false;
}

struct service_listener *service_listen(struct event_base *base, const char *host, uint16_t port,
                                        bool shared, service_accept_fn *accept_cb, void *ctx,
                                        char *error, unsigned error_size) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc != 0) {
        snprintf(error, error_size, "cannot listen on %s:%u: %s", host, port, gai_strerror(rc));
        return NULL;
    }
    struct service_listener *listener = calloc(1, sizeof(*listener));
    if (listener != NULL) {
        listener->reserve = -1;
        listener->rested = evtimer_new(base, on_rested, listener);
    }
    int why = ENOMEM;
    bool taken = false;
    if (listener != NULL && listener->rested != NULL) {
        listener->port = port;
        listener->accept_cb = accept_cb;
        listener->ctx = ctx;
        for (struct addrinfo *a = list; a != NULL && listener->count < SOCKETS_MAX && !taken;
             a = a->ai_next) {
            if (!is_repeated(list, a) && !listen_on(listener, base, a, shared)) {
                /* Half of a name's addresses would send half of the clients to somebody else. */
                taken = port != 0 && errno == EADDRINUSE;
                why = taken || listener->count == 0 ? errno : why;
            }
        }
    }
    freeaddrinfo(list);
    if (listener == NULL || listener->count == 0 || taken) {
        snprintf(error, error_size, "cannot listen on %s:%u: %s", host, port, strerror(why));
        service_listener_free(&listener);
    }
    return listener;
}

void service_listener_free(struct service_listener **pointer) {
    struct service_listener *listener = *pointer;
    *pointer = NULL;
    if (listener == NULL)
        return;
    for (unsigned i = 0; i < listener->count; i++)
        evconnlistener_free(listener->sockets[i]);
    if (listener->rested != NULL)
        event_free(listener->rested);
    if (listener->reserve >= 0)
        close(listener->reserve);
    free(listener);
}

void service_listener_finish(struct service_listener **pointer) {
    struct service_listener *listener = *pointer;
    for (unsigned i = 0; listener != NULL && i < listener->count; i++) {
        int socket = evconnlistener_get_fd(listener->sockets[i]), fd;
        for (unsigned n = 0; n < BACKLOG; n++) {
            fd = accept4(socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                break;
            listener->accept_cb(fd, listener->ctx);
        }
    }
    service_listener_free(pointer);
}

uint16_t service_listener_port(const struct service_listener *listener) {
    return listener->port;
}

static bool is_loopback(const struct sockaddr *addr) {
    if (addr->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)addr)->sin6_addr;
    return addr->sa_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127));
}

bool service_is_loopback(const char *host) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return false;
    bool all = list != NULL;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        all = all && is_loopback(a->ai_addr);
    freeaddrinfo(list);
    return all;
}

/* ---- signals ---- */

static const int SIGNALS[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1};
enum { SIGNALS_COUNT = sizeof(SIGNALS) / sizeof(SIGNALS[0]) };

struct service_signals {
    struct event *events[SIGNALS_COUNT];
    service_signal_fn *cb;
    void *ctx;
};

static void on_signal(evutil_socket_t signo, short what, void *arg) {
    struct service_signals *signals = arg;
    signals->cb((int)signo, signals->ctx);
}

struct service_signals *service_signals_new(struct event_base *base, service_signal_fn *cb,
                                            void *ctx) {
    struct service_signals *signals = calloc(1, sizeof(*signals));
    if (signals == NULL)
        return NULL;
    signal(SIGPIPE, SIG_IGN);
    signals->cb = cb;
    signals->ctx = ctx;
    for (int i = 0; i < SIGNALS_COUNT; i++) {
        signals->events[i] = evsignal_new(base, SIGNALS[i], on_signal, signals);
        if (signals->events[i] == NULL || event_add(signals->events[i], NULL) != 0) {
            service_signals_free(&signals);
            return NULL;
        }
    }
    return signals;
}

void service_signals_free(struct service_signals **signals) {
    if (*signals == NULL)
        return;
    for (int i = 0; i < SIGNALS_COUNT; i++) {
        if ((*signals)->events[i] != NULL)
            event_free((*signals)->events[i]);
    }
    free(*signals);
    *signals = NULL;
}

uint64_t service_raise_fd_limit(uint64_t want) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return want;
    if (limit.rlim_cur < want) {
        limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit); /* what is allowed is read again below */
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}
