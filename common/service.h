/*
 * service: what a daemon needs around its event base: listening sockets that survive fd exhaustion,
 * signals, a watched file. Knows no protocol. Each object is owned by the daemon's main.
 */
#ifndef RINGFENCE_SERVICE_H
#define RINGFENCE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;

/* ---- listening ---- */

struct service_listener;

/** A connection was accepted; the callee owns `fd` (non-blocking, close-on-exec). */
typedef void service_accept_fn(int fd, void *ctx);

/**
 * service_listen(base, host, port, shared, accept_cb, ctx, error, error_size): listen on host:port
 * (host may be a name that has several addresses: all of them, or none if one is taken; "localhost"
 * gives 127.0.0.1 and, where there is IPv6, ::1). `shared`: also where others listen who share it
 * (SO_REUSEPORT); the kernel then deals out connections. Port 0 picks a free one. When accept fails
 * for lack of descriptors the listener rests for 100 ms (no spin) and says so once. NULL with a
 * text naming host, port and reason.
 *
 * service_listener_refuse(listener, refuse_cb): when descriptors run out, whoever connects is told:
 * `refuse_cb` gets the connection on a descriptor kept in reserve, and must close it before it
 * returns. So nobody waits in the backlog for what may never come, and when descriptors are free
 * again the next one is served within 10 ms. At most 32 are refused every 10 ms.
 */
struct service_listener *service_listen(struct event_base *base, const char *host, uint16_t port,
                                        bool shared, service_accept_fn *accept_cb, void *ctx,
                                        char *error, unsigned error_size);
void service_listener_refuse(struct service_listener *listener, service_accept_fn *refuse_cb);
void service_listener_free(struct service_listener **listener);

/** service_listener_finish(listener): the same, but whoever has connected already is accepted
 * first: closing the socket would reset them. */
void service_listener_finish(struct service_listener **listener);
uint16_t service_listener_port(const struct service_listener *listener);

/** service_is_loopback(host): every address that it stands for is one of this machine alone. A host
 * without an address is not. */
bool service_is_loopback(const char *host);

/* ---- signals ---- */

struct service_signals;
typedef void service_signal_fn(int signo, void *ctx);

/** service_signals_new(base, cb, ctx): SIGHUP, SIGTERM, SIGINT, SIGUSR1 arrive as `cb` from the
 * loop; SIGPIPE is ignored. */
struct service_signals *service_signals_new(struct event_base *base, service_signal_fn *cb,
                                            void *ctx);
void service_signals_free(struct service_signals **signals);

/* ---- a watched file ---- */

struct service_watch;
typedef void service_watch_fn(void *ctx);

/**
 * service_watch_new(base, path, cb, ctx): call `cb`, at most once per 50 ms, after the last event
 * of a burst or within 0.6 s of its first, when the file may have changed: written and closed,
 * replaced by rename, or reached through another symlink (inotify on its directory, and on the
 * directory of what a symlink points to). NULL when the directory cannot be watched; the caller
 * goes on with SIGHUP alone.
 */
struct service_watch *service_watch_new(struct event_base *base, const char *path,
                                        service_watch_fn *cb, void *ctx);
void service_watch_free(struct service_watch **watch);

/** service_raise_fd_limit(want): raise the soft limit of open files towards `want`; returns what is
 * allowed now. */
uint64_t service_raise_fd_limit(uint64_t want);

#endif
