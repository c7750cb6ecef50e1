/*
 * ringfence-proxy: wiring only. The main thread accepts, hears signals and watches the ring file;
 * the workers do the rest.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/cli.h"
#include "../common/clock.h"
#include "../common/conf.h"
#include "../common/hash.h"
#include "../common/log.h"
#include "../common/ring.h"
#include "../common/service.h"
#include "../common/users.h"
#include "balance.h"
#include "board.h"
#include "hotkeys.h"
#include "inbox.h"
#include "local.h"
#include "monitor.h"
#include "pause.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "registry.h"
#include "reload.h"
#include "slowlog.h"
#include "timing.h"
#include "users_reload.h"
#include "worker.h"

enum { WORKERS_MAX = 64, FDS_RESERVED = 64 };

struct proxy {
    struct proxy_conf conf;
    struct event_base *base;
    struct service_listener *listener;
    struct service_signals *signals;
    struct service_watch *watch, *users_watch;
    struct event *drain_check;
    struct registry *registry;
    struct board *board;
    struct reload *reload;
    struct users_reload *users; /* NULL: no users file */
    struct worker *workers[WORKERS_MAX];
    struct local_server servers[WORKERS_MAX];
    struct local_peers peers;
    struct timing *timings;
    const struct timing *timing_of[WORKERS_MAX];
    struct slowlog *slowlog;
    struct hotkeys *hotkeys;
    struct pause pause;
    struct monitor *monitor;
    bool pause_made;
    stats_value (*stats)[PROXY_STAT_COUNT];
    const stats_value *stats_of[WORKERS_MAX];
    struct balance *balance;
    unsigned workers_count;
    uint64_t clients_max;
    bool draining;
    int64_t drain_until_ms;
    char run_id[41];
    int status; /* the process' own, at its end */
};

/* ---- signals ---- */

static void on_accept(int fd, void *ctx) {
    balance_accept(((struct proxy *)ctx)->balance, fd);
}

static void on_refuse(int fd, void *ctx) {
    balance_refuse(((struct proxy *)ctx)->balance, fd);
}

static void on_drain_check(evutil_socket_t fd, short what, void *arg) {
    struct proxy *p = arg;
    bool all_ended = true;
    for (unsigned i = 0; i < p->workers_count; i++)
        all_ended = all_ended && worker_ended(p->workers[i]);
    if (all_ended || clock_mono_ms() >= p->drain_until_ms)
        event_base_loopbreak(p->base);
}

static void drain(struct proxy *p) {
    if (p->draining) { /* asked twice: now */
        event_base_loopbreak(p->base);
        return;
    }
    log_event(LOG_LEVEL_INFO, "proxy_draining", "for_ms=%lld", (long long)p->conf.drain_ms);
    p->draining = true;
    p->drain_until_ms = clock_mono_ms() + p->conf.drain_ms;
    service_listener_finish(&p->listener);
    pause_finish(&p->pause); /* what was held back is asked for, and may be answered */
    for (unsigned i = 0; i < p->workers_count; i++)
        worker_drain(p->workers[i]);
    const struct timeval every = {.tv_usec = 10000};
    event_add(p->drain_check, &every);
}

static void log_figures(const struct proxy *p) {
    for (int stat = 0; stat < PROXY_STAT_COUNT; stat++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < p->workers_count; i++)
            sum += stats_get(&p->stats[i][stat]);
        log_event(LOG_LEVEL_INFO, "figure", "%s=%llu", proxy_stats_row((enum proxy_stat)stat)->name,
                  (unsigned long long)sum);
    }
}

static void on_ring_change(void *ctx) {
    struct proxy *p = ctx;
    reload_again(p->reload, p->workers, p->workers_count);
}

static void on_users_change(void *ctx) {
    struct proxy *p = ctx;
    if (p->users != NULL)
        users_reload_again(p->users, p->workers, p->workers_count);
}

static void on_signal(int signo, void *ctx) {
    struct proxy *p = ctx;
    if (signo == SIGHUP) {
        on_ring_change(p);
        on_users_change(p);
    } else if (signo == SIGUSR1) {
        log_figures(p);
    } else {
        drain(p);
    }
}

/* ---- starting and stopping ---- */

static void make_run_id(char *out) {
    for (int i = 0; i < 5; i++)
        snprintf(out + i * 8, 9, "%08x", (unsigned)hash_seed());
}

static unsigned count_workers(const struct proxy_conf *conf) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t count = conf->workers != 0 ? conf->workers : cores < 1 ? 1 : cores > 8 ? 8 : cores;
    return (unsigned)(count > WORKERS_MAX ? WORKERS_MAX : count);
}

/* On a worker's thread; the workers are there for as long as any of them runs. Also while they are
 * freed, one after the other: their clients leave. */
static void on_tell(void *ctx, enum local_news news) {
    struct proxy *p = ctx;
    for (unsigned i = 0; i < p->workers_count; i++) {
        if (p->workers[i] != NULL)
            worker_tell(p->workers[i], (int)news);
    }
}

static bool on_set_option(void *ctx, unsigned worker, const struct conf_row *row, int64_t value) {
    struct proxy *p = ctx;
    bool all = true;
    for (unsigned i = 0; i < p->workers_count; i++)
        all = worker_set_option(p->workers[i], i == worker, row, value) && all;
    return all;
}

static bool on_wake(void *ctx, struct inbox *inbox) {
    struct proxy *p = ctx;
    return worker_wake(p->workers[inbox_worker(inbox)], inbox);
}

static void on_reset_stats(void *ctx, unsigned worker) {
    struct proxy *p = ctx;
    for (unsigned i = 0; i < p->workers_count; i++)
        worker_reset_stats(p->workers[i], i == worker);
}

static struct worker *start_worker(struct proxy *p, unsigned i) {
    uint64_t epoch;
    struct ring *ring = reload_copy(p->reload, &epoch);
    struct users *users = p->users == NULL ? NULL : users_reload_copy(p->users);
    if (ring != NULL && (p->users == NULL || users != NULL))
        return worker_start(&p->servers[i], p->conf.ring_file, ring, epoch, users, p->stats[i]);
    if (ring != NULL)
        ring_free(&ring);
    users_free(&users);
    return NULL;
}

static bool start_workers(struct proxy *p, const char *config_file) {
    p->peers = (struct local_peers){.tell = on_tell,
                                    .set_option = on_set_option,
                                    .wake = on_wake,
                                    .reset_stats = on_reset_stats,
                                    .ctx = p};
    for (unsigned i = 0; i < p->workers_count; i++) {
        p->stats_of[i] = p->stats[i];
        p->timing_of[i] = &p->timings[i];
        p->servers[i] = (struct local_server){.conf = &p->conf,
                                              .registry = p->registry,
                                              .board = p->board,
                                              .peers = &p->peers,
                                              .worker_stats = p->stats_of,
                                              .workers = p->workers_count,
                                              .worker = i,
                                              .timing = &p->timings[i],
                                              .timings = p->timing_of,
                                              .slowlog = p->slowlog,
                                              .hotkeys = p->hotkeys,
                                              .pause = &p->pause,
                                              .monitor = p->monitor,
                                              .config_file = config_file,
                                              .run_id = p->run_id,
                                              .port = service_listener_port(p->listener),
                                              .started_mono_ms = clock_mono_ms()};
    }
    for (unsigned i = 0; i < p->workers_count; i++) {
        p->workers[i] = start_worker(p, i);
        if (p->workers[i] == NULL) {
            fprintf(stderr, "ringfence-proxy: cannot start worker %u: out of memory or threads\n",
                    i);
            return false;
        }
    }
    return true;
}

/* Everybody who can connect may do everything: then only this machine may connect. */
static bool is_protected(const struct proxy *p) {
    if (p->users != NULL || !p->conf.protected_mode || service_is_loopback(p->conf.bind))
        return true;
    fprintf(stderr,
            "ringfence-proxy: bind %s: other machines could connect, and there are no users. Make "
            "one, and start with it:\n"
            "    (umask 077; ringfence-ctl user line default admin >users)\n"
            "    ringfence-proxy --bind %s --users-file users ...\n"
            "or, on a network where everybody may do everything: --protected-mode no\n",
            p->conf.bind, p->conf.bind);
    return false;
}

/* What the configuration names: the ring and the users. */
static bool read_files(struct proxy *p) {
    char error[600] = "";
    bool has_users = p->conf.users_file[0] != '\0';
    p->reload = reload_new(p->conf.ring_file, error, sizeof(error));
    if (p->reload != NULL && has_users)
        p->users = users_reload_new(p->conf.users_file, error, sizeof(error));
    bool read = p->reload != NULL && (!has_users || p->users != NULL);
    if (!read)
        fprintf(stderr, "ringfence-proxy: %s\n", error);
    if (read && is_protected(p))
        return true;
    p->status = CLI_EXIT_CONFIG;
    return false;
}

static void watch_files(struct proxy *p) {
    p->watch = service_watch_new(p->base, p->conf.ring_file, on_ring_change, p);
    if (p->watch == NULL)
        log_event(LOG_LEVEL_WARN, "ring_not_watched", "file=%s hint=\"send SIGHUP after an edit\"",
                  p->conf.ring_file);
    if (p->users == NULL)
        return;
    p->users_watch = service_watch_new(p->base, p->conf.users_file, on_users_change, p);
    if (p->users_watch == NULL)
        log_event(LOG_LEVEL_WARN, "users_not_watched", "file=%s hint=\"send SIGHUP after an edit\"",
                  p->conf.users_file);
}

static bool no_memory(void) {
    fprintf(stderr, "ringfence-proxy: out of memory\n");
    return false;
}

static bool start(struct proxy *p, const char *config_file) {
    char error[512];
    if (!read_files(p))
        return false;
    p->workers_count = count_workers(&p->conf);
    p->base = event_base_new();
    p->signals = p->base == NULL ? NULL : service_signals_new(p->base, on_signal, p);
    p->registry = registry_new();
    p->board = board_new((uint64_t)p->conf.subscriptions_max, (uint64_t)p->conf.patterns_max);
    p->stats = calloc(p->workers_count, sizeof(*p->stats));
    p->timings = calloc(p->workers_count, sizeof(*p->timings));
    p->slowlog = slowlog_new(p->workers_count);
    p->hotkeys = hotkeys_new(p->workers_count, hash_seed());
    p->drain_check = p->base == NULL ? NULL : event_new(p->base, -1, EV_PERSIST, on_drain_check, p);
    p->pause_made = pause_init(&p->pause);
    p->monitor = monitor_new();
    if (!p->pause_made || p->monitor == NULL || p->signals == NULL || p->registry == NULL ||
        p->board == NULL || p->stats == NULL || p->timings == NULL || p->slowlog == NULL ||
        p->hotkeys == NULL || p->drain_check == NULL)
        return no_memory();
    uint64_t fds = service_raise_fd_limit((uint64_t)p->conf.clients_max + FDS_RESERVED);
    p->clients_max = (uint64_t)p->conf.clients_max;
    if (fds < p->clients_max + FDS_RESERVED) {
        p->clients_max = fds > 2 * FDS_RESERVED ? fds - FDS_RESERVED : fds / 2;
        log_event(LOG_LEVEL_WARN, "clients_max_lowered",
                  "to=%llu why=\"limit of open files is %llu\"", (unsigned long long)p->clients_max,
                  (unsigned long long)fds);
    }
    p->balance = balance_new(p->workers, p->stats, p->workers_count, p->clients_max);
    if (p->balance == NULL)
        return no_memory();
    p->listener = service_listen(p->base, p->conf.bind, (uint16_t)p->conf.port, p->conf.port_shared,
                                 on_accept, p, error, sizeof(error));
    if (p->listener == NULL) {
        fprintf(stderr, "ringfence-proxy: %s\n", error);
        return false;
    }
    service_listener_refuse(p->listener, on_refuse);
    if (!start_workers(p, config_file))
        return false;
    watch_files(p);
    log_event(LOG_LEVEL_INFO, "proxy_ready", "bind=%s port=%u workers=%u ring=%s config=%s",
              p->conf.bind, service_listener_port(p->listener), p->workers_count, p->conf.ring_file,
              config_file[0] != '\0' ? config_file : "none");
    return true;
}

static void stop(struct proxy *p) {
    service_watch_free(&p->watch);
    service_watch_free(&p->users_watch);
    service_listener_free(&p->listener);
    for (unsigned i = 0; i < p->workers_count; i++) {
        if (p->workers[i] != NULL)
            worker_stop(p->workers[i]);
    }
    for (unsigned i = 0; i < p->workers_count; i++) {
        if (p->workers[i] != NULL)
            worker_join(p->workers[i]);
    }
    for (unsigned i = 0; i < p->workers_count; i++)
        worker_free(&p->workers[i]);
    balance_free(&p->balance);
    service_signals_free(&p->signals);
    registry_free(&p->registry);
    board_free(&p->board);
    reload_free(&p->reload);
    users_reload_free(&p->users);
    if (p->drain_check != NULL)
        event_free(p->drain_check);
    if (p->base != NULL)
        event_base_free(p->base);
    free(p->stats);
    free(p->timings);
    slowlog_free(&p->slowlog);
    hotkeys_free(&p->hotkeys);
    monitor_free(&p->monitor);
    if (p->pause_made)
        pause_release(&p->pause);
}

static int check(struct proxy *p) {
    if (read_files(p))
        printf("ringfence-proxy: configuration and ring are fine\n");
    return p->status;
}

static int run(struct proxy *p, const char *config_file) {
    make_run_id(p->run_id);
    if (start(p, config_file))
        event_base_dispatch(p->base);
    else if (p->status == EXIT_SUCCESS)
        p->status = EXIT_FAILURE;
    log_event(LOG_LEVEL_INFO, "proxy_stopped", "status=%d", p->status);
    return p->status;
}

int main(int argc, char **argv) {
    struct cli cli = {.program = "ringfence-proxy", .checks = "the configuration and the ring"};
    const char *config_file;
    int status = EXIT_SUCCESS;
    struct proxy *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        no_memory();
        return EXIT_FAILURE;
    }
    cli.rows = proxy_conf_rows(&cli.rows_count);
    enum cli_wish wish = cli_read(&cli, argc, argv, &p->conf, &config_file);
    log_set_level((enum log_level)p->conf.log_level);
    switch (wish) {
    case CLI_RUN:
        status = run(p, config_file);
        break;
    case CLI_CHECK:
        status = check(p);
        break;
    case CLI_SAID:
        break;
    case CLI_BAD:
        status = CLI_EXIT_CONFIG;
        break;
    }
    stop(p);
    conf_release(cli.rows, cli.rows_count, &p->conf);
    free(p);
    return status;
}
