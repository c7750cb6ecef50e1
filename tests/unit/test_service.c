/* What a daemon needs around its loop: real sockets, signals and files. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/clock.h"
#include "../../common/service.h"

static struct event_base *base;

static void set_up(void) {
    base = event_base_new();
}

static void tear_down(void) {
    event_base_free(base);
}

TestSuite(service, .init = set_up, .fini = tear_down, .timeout = 60);

static void turn(void) {
    const struct timeval tick = {0, 10000};
    event_base_loopexit(base, &tick);
    event_base_loop(base, EVLOOP_ONCE);
}

/* Turns until *counter >= value. */
static void wait_for(const unsigned *counter, unsigned value) {
    int64_t until_us = clock_mono_us() + 10 * 1000000;
    while (*counter < value) {
        cr_assert_lt(clock_mono_us(), until_us, "waited for %u, have %u", value, *counter);
        turn();
    }
}

/* ---- listening ---- */

struct accepted {
    unsigned count;
    int fd;
};

static void on_accept(int fd, void *ctx) {
    struct accepted *a = ctx;
    a->count++;
    if (a->fd >= 0)
        close(a->fd);
    a->fd = fd;
}

static int dial(uint16_t port) {
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    close(fd);
    return -1;
}

Test(service, listens_on_a_port_that_it_picks) {
    struct accepted a = {0, -1};
    char error[200] = "none";
    struct service_listener *l =
        service_listen(base, "127.0.0.1", 0, false, on_accept, &a, error, sizeof(error));
    cr_assert_not_null(l, "%s", error);
    cr_assert_neq(service_listener_port(l), 0);
    int fd = dial(service_listener_port(l));
    cr_assert_geq(fd, 0);
    wait_for(&a.count, 1);
    cr_assert((fcntl(a.fd, F_GETFL) & O_NONBLOCK) != 0);
    cr_assert((fcntl(a.fd, F_GETFD) & FD_CLOEXEC) != 0);
    uint16_t port = service_listener_port(l);
    close(fd);
    close(a.fd);
    service_listener_free(&l);
    cr_assert_null(l);
    cr_assert_lt(dial(port), 0, "nobody listens any more");
    service_listener_free(&l);
}

/* They were told that they are connected: a reset would lose what they asked. */
Test(service, accepts_who_has_connected_before_it_stops_listening) {
    struct accepted a = {0, -1};
    char error[200] = "none";
    struct service_listener *l =
        service_listen(base, "127.0.0.1", 0, false, on_accept, &a, error, sizeof(error));
    cr_assert_not_null(l, "%s", error);
    uint16_t port = service_listener_port(l);
    int first = dial(port), second = dial(port);
    cr_assert(first >= 0 && second >= 0);
    service_listener_finish(&l);
    cr_assert_null(l);
    cr_assert_eq(a.count, 2u);
    cr_assert((fcntl(a.fd, F_GETFL) & O_NONBLOCK) != 0);
    cr_assert((fcntl(a.fd, F_GETFD) & FD_CLOEXEC) != 0);
    cr_assert_eq(send(a.fd, "x", 1, MSG_NOSIGNAL), 1, "it is still connected");
    cr_assert_lt(dial(port), 0, "nobody listens any more");
    close(first);
    close(second);
    close(a.fd);
    service_listener_finish(&l);
}

Test(service, says_why_it_cannot_listen) {
    struct accepted a = {0, -1};
    char error[200];
    cr_assert_null(
        service_listen(base, "192.0.2.1", 1, false, on_accept, &a, error, sizeof(error)));
    cr_assert_eq(strncmp(error, "cannot listen on 192.0.2.1:1: ", 30), 0, "%s", error);
    cr_assert_null(service_listen(base, "no host", 1, false, on_accept, &a, error, sizeof(error)));
    cr_assert_eq(strncmp(error, "cannot listen on no host:1: ", 28), 0, "%s", error);
}

/* A socket of somebody who does not share it. */
Test(service, refuses_a_port_that_is_taken) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    struct accepted a = {0, -1};
    char error[200];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
    cr_assert_eq(listen(fd, 1), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    cr_assert_null(service_listen(base, "127.0.0.1", ntohs(addr.sin_port), false, on_accept, &a,
                                  error, sizeof(error)));
    cr_assert_not_null(strstr(error, "Address already in use"), "%s", error);
    /* half of a name's addresses would send clients to the other program */
    cr_assert_null(service_listen(base, "localhost", ntohs(addr.sin_port), false, on_accept, &a,
                                  error, sizeof(error)));
    cr_assert_not_null(strstr(error, "Address already in use"), "%s", error);
    close(fd);
}

/* Out of descriptors: the connection waits, the loop does not spin, and later it is accepted. */
Test(service, rests_when_there_are_no_descriptors) {
    struct accepted a = {0, -1};
    char error[200];
    struct rlimit before, few;
    struct service_listener *l =
        service_listen(base, "127.0.0.1", 0, false, on_accept, &a, error, sizeof(error));
    cr_assert_not_null(l, "%s", error);
    turn(); /* whatever the loop opens is open now */
    int fd = dial(service_listener_port(l));
    cr_assert_geq(fd, 0);
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = 0;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    unsigned turns = 0;
    for (; turns < 20; turns++)
        turn();
    cr_assert_eq(a.count, 0u);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    wait_for(&a.count, 1);
    close(fd);
    close(a.fd);
    service_listener_free(&l);
}

/* Descriptors of our own up to the limit; `*count` of them. */
static int *take_all(int *count) {
    int *fds = calloc(1024, sizeof(*fds)), fd;
    for (*count = 0; *count < 1024 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;)
        fds[(*count)++] = fd;
    return fds;
}

static unsigned refused;

static void on_refuse(int fd, void *ctx) {
    refused++;
    cr_assert_eq(send(fd, "no", 2, MSG_NOSIGNAL), 2);
    close(fd);
}

static bool is_refused(int fd) {
    char said[8];
    ssize_t n;
    for (int turns = 0; turns < 1000; turns++) {
        n = recv(fd, said, sizeof(said), MSG_DONTWAIT);
        if (n >= 0)
            break;
        turn();
    }
    return n == 2 && memcmp(said, "no", 2) == 0;
}

Test(service, refuses_with_a_descriptor_in_reserve_and_serves_again_at_once) {
    enum { DIALS = 5 };
    struct accepted a = {0, -1};
    char error[200];
    int taken, dials[DIALS], given[DIALS];
    struct rlimit before, few;
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = 256;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct service_listener *l =
        service_listen(base, "127.0.0.1", 0, false, on_accept, &a, error, sizeof(error));
    cr_assert_not_null(l, "%s", error);
    service_listener_refuse(l, on_refuse);
    turn();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < DIALS; i++)
            given[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int *fds = take_all(&taken);
        cr_assert_gt(taken, 0);
        for (int i = 0; i < DIALS; i++) {
            close(given[i]);
            dials[i] = dial(service_listener_port(l));
            cr_assert_geq(dials[i], 0);
        }
        for (int i = 0; i < DIALS; i++)
            cr_assert(is_refused(dials[i]), "round %d, %d", round, i);
        cr_assert_eq(a.count, (unsigned)round);
        for (int i = 0; i < taken; i++)
            close(fds[i]);
        free(fds);
        int fd = dial(service_listener_port(l));
        wait_for(&a.count, (unsigned)round + 1);
        close(fd);
        close(a.fd);
        for (int i = 0; i < DIALS; i++)
            close(dials[i]);
    }
    cr_assert_eq(refused, 2u * DIALS);
    service_listener_free(&l);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

Test(service, raises_the_limit_of_files_as_far_as_it_may) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(service_raise_fd_limit(100), 100u);
    getrlimit(RLIMIT_NOFILE, &limit);
    cr_assert_eq(limit.rlim_cur, 100u);
    cr_assert_eq(service_raise_fd_limit(80), 100u, "never lowered");
    limit.rlim_max = 200;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(service_raise_fd_limit(1000), 200u);
}

/* ---- signals ---- */

struct heard {
    unsigned count;
    int last;
};

static void on_signal(int signo, void *ctx) {
    struct heard *h = ctx;
    h->count++;
    h->last = signo;
}

Test(service, hears_signals_from_the_loop) {
    static const int SIGNALS[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1};
    struct heard h = {0, 0};
    struct service_signals *s = service_signals_new(base, on_signal, &h);
    cr_assert_not_null(s);
    for (unsigned i = 0; i < 4; i++) {
        raise(SIGNALS[i]);
        cr_assert_eq(h.count, i, "not from the handler");
        wait_for(&h.count, i + 1);
        cr_assert_eq(h.last, SIGNALS[i]);
    }
    raise(SIGPIPE); /* would end the process */
    service_signals_free(&s);
    cr_assert_null(s);
    service_signals_free(&s);
}

/* ---- a watched file ---- */

struct watched {
    unsigned count;
    char dir[32], path[64];
    struct service_watch *watch;
};

static void on_change(void *ctx) {
    ((struct watched *)ctx)->count++;
}

static void put(const char *dir, const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f, "%s", path);
    fputs(text, f);
    fclose(f);
}

static void link_to(const char *dir, const char *target, const char *name) {
    char path[128], fresh[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(fresh, sizeof(fresh), "%s/fresh", dir);
    cr_assert_eq(symlink(target, fresh), 0);
    cr_assert_eq(rename(fresh, path), 0);
}

static void watch_begin(struct watched *w) {
    w->count = 0;
    w->watch = service_watch_new(base, w->path, on_change, w);
    cr_assert_not_null(w->watch);
}

static void watch_make(struct watched *w) {
    strcpy(w->dir, "/tmp/watch-XXXXXX");
    cr_assert_not_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof(w->path), "%s/ring.conf", w->dir);
}

static void watch_release(struct watched *w) {
    char command[64];
    service_watch_free(&w->watch);
    cr_assert_null(w->watch);
    service_watch_free(&w->watch);
    snprintf(command, sizeof(command), "rm -rf %s", w->dir);
    cr_assert_eq(system(command), 0);
}

/* A moment in which a callback that is due would have come. */
static void settle(void) {
    for (int64_t until_us = clock_mono_us() + 150000; clock_mono_us() < until_us;)
        turn();
}

Test(service, hears_of_a_file_that_is_written_renamed_removed_and_made) {
    struct watched w;
    char other[64];
    watch_make(&w);
    put(w.dir, "ring.conf", "1");
    watch_begin(&w);
    settle();
    cr_assert_eq(w.count, 0u, "nothing happened");
    put(w.dir, "ring.conf", "2");
    wait_for(&w.count, 1);
    settle();
    unsigned before = w.count;
    put(w.dir, "new", "3");
    snprintf(other, sizeof(other), "%s/new", w.dir);
    settle();
    before = w.count;
    cr_assert_eq(rename(other, w.path), 0);
    wait_for(&w.count, before + 1);
    settle();
    before = w.count;
    unlink(w.path);
    wait_for(&w.count, before + 1);
    settle();
    before = w.count;
    put(w.dir, "ring.conf", "4");
    wait_for(&w.count, before + 1);
    watch_release(&w);
}

/* A new file is told of when it is whole: its writer closes it. */
Test(service, waits_for_the_writer_of_a_new_file) {
    struct watched w;
    watch_make(&w);
    watch_begin(&w);
    FILE *f = fopen(w.path, "w");
    cr_assert_not_null(f);
    fputs("node a 127.0.0.1:1\n", f);
    fflush(f);
    settle();
    cr_assert_eq(w.count, 0u, "a file was told of that was half written");
    fputs("node b 127.0.0.1:2\n", f);
    fclose(f);
    wait_for(&w.count, 1);
    watch_release(&w);
}

/* Links are whole when they are made, and nobody closes them. */
Test(service, hears_of_a_link_that_is_made) {
    struct watched w;
    char one[64], two[64];
    watch_make(&w);
    put(w.dir, "one", "1");
    put(w.dir, "two", "2");
    snprintf(one, sizeof(one), "%s/one", w.dir);
    snprintf(two, sizeof(two), "%s/two", w.dir);
    watch_begin(&w);
    cr_assert_eq(symlink("one", w.path), 0);
    wait_for(&w.count, 1);
    settle();
    unlink(w.path);
    wait_for(&w.count, 2);
    settle();
    unsigned before = w.count;
    cr_assert_eq(link(two, w.path), 0);
    wait_for(&w.count, before + 1);
    watch_release(&w);
}

Test(service, tells_of_a_burst_once) {
    struct watched w;
    watch_make(&w);
    put(w.dir, "ring.conf", "1");
    watch_begin(&w);
    for (int i = 0; i < 200; i++)
        put(w.dir, "ring.conf", "2");
    wait_for(&w.count, 1);
    settle();
    cr_assert_eq(w.count, 1u);
    watch_release(&w);
}

/* Somebody else writes into the folder all the time: the change is told all the same. */
static void write_other(evutil_socket_t fd, short what, void *ctx) {
    put(((struct watched *)ctx)->dir, "busy.log", "x");
}

Test(service, hears_of_a_change_in_a_busy_folder) {
    struct watched w;
    const struct timeval every = {0, 10000};
    watch_make(&w);
    put(w.dir, "ring.conf", "1");
    watch_begin(&w);
    struct event *busy = event_new(base, -1, EV_PERSIST, write_other, &w);
    event_add(busy, &every);
    put(w.dir, "ring.conf", "2");
    wait_for(&w.count, 1);
    event_free(busy);
    watch_release(&w);
}

/* The file is a link, and the link is replaced. */
Test(service, hears_of_a_link_that_points_elsewhere) {
    struct watched w;
    watch_make(&w);
    put(w.dir, "one", "1");
    put(w.dir, "two", "2");
    link_to(w.dir, "one", "ring.conf");
    watch_begin(&w);
    link_to(w.dir, "two", "ring.conf");
    wait_for(&w.count, 1);
    watch_release(&w);
}

/* As Kubernetes mounts a ConfigMap: ring.conf -> ..data/ring.conf, ..data -> ..1; then ..data is
 * replaced. And what it points to is watched from then on. */
Test(service, hears_of_a_mounted_config_map) {
    struct watched w;
    char one[64], two[64];
    watch_make(&w);
    snprintf(one, sizeof(one), "%s/..1", w.dir);
    snprintf(two, sizeof(two), "%s/..2", w.dir);
    cr_assert_eq(mkdir(one, 0700), 0);
    cr_assert_eq(mkdir(two, 0700), 0);
    put(one, "ring.conf", "1");
    put(two, "ring.conf", "2");
    link_to(w.dir, "..1", "..data");
    link_to(w.dir, "..data/ring.conf", "ring.conf");
    watch_begin(&w);
    settle();
    cr_assert_eq(w.count, 0u);
    link_to(w.dir, "..2", "..data");
    wait_for(&w.count, 1);
    settle();
    unsigned before = w.count;
    put(two, "ring.conf", "3");
    wait_for(&w.count, before + 1);
    watch_release(&w);
}

Test(service, cannot_watch_in_a_folder_that_is_not_there) {
    struct watched w = {0};
    cr_assert_null(service_watch_new(base, "/nowhere/ring.conf", on_change, &w));
}

Test(service, knows_addresses_of_this_machine_alone) {
    static const char *const YES[] = {"127.0.0.1", "127.255.0.9", "::1", "localhost",
                                      "::ffff:127.0.0.1"};
    static const char *const NO[] = {"0.0.0.0",
                                     "::",
                                     "10.0.0.1",
                                     "128.0.0.1",
                                     "192.168.1.1",
                                     "2001:db8::1",
                                     "fe80::1",
                                     "::ffff:10.0.0.1",
                                     "no.such.host.invalid",
                                     ""};
    for (size_t i = 0; i < sizeof(YES) / sizeof(YES[0]); i++)
        cr_assert(service_is_loopback(YES[i]), "%s", YES[i]);
    for (size_t i = 0; i < sizeof(NO) / sizeof(NO[0]); i++)
        cr_assert_not(service_is_loopback(NO[i]), "%s", NO[i]);
}
