// needs: fakes/worker_fake.c
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../proxy/balance.h"
#include "../fakes/worker_fake.h"

enum { WORKERS = 3 };

struct setup {
    struct worker *workers[WORKERS];
    stats_value stats[WORKERS][PROXY_STAT_COUNT];
    struct balance *balance;
};

static struct setup *start(uint64_t clients_max) {
    static struct setup s;
    memset(&s, 0, sizeof(s));
    for (int i = 0; i < WORKERS; i++)
        s.workers[i] = worker_fake_new();
    s.balance = balance_new(s.workers, s.stats, WORKERS, clients_max);
    cr_assert_not_null(s.balance);
    return &s;
}

static void stop(struct setup *s) {
    balance_free(&s->balance);
    cr_assert_null(s->balance);
    for (int i = 0; i < WORKERS; i++)
        worker_fake_free(&s->workers[i]);
}

/* One connection; the caller's end. */
static int connect_one(struct setup *s) {
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    balance_accept(s->balance, pair[1]);
    return pair[0];
}

/* What a worker does with one, and when it ends. */
static void opens(struct setup *s, int worker) {
    stats_add(&s->stats[worker][PROXY_STAT_CONNECTIONS], 1);
    stats_add(&s->stats[worker][PROXY_STAT_CLIENTS], 1);
}

static void ends(struct setup *s, int worker) {
    stats_sub(&s->stats[worker][PROXY_STAT_CLIENTS], 1);
}

Test(balance, connections_spread_evenly_though_no_worker_has_opened_any_yet) {
    struct setup *s = start(1000);
    for (int i = 0; i < 30; i++)
        close(connect_one(s));
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(worker_fake_clients(s->workers[i]), 10);
    stop(s);
}

Test(balance, a_new_connection_goes_to_the_worker_with_the_fewest) {
    struct setup *s = start(1000);
    for (int i = 0; i < 9; i++) {
        close(connect_one(s));
        opens(s, i % WORKERS);
    }
    ends(s, 1);
    ends(s, 1);
    close(connect_one(s));
    close(connect_one(s));
    cr_assert_eq(worker_fake_clients(s->workers[1]), 5);
    close(connect_one(s)); /* now all have three again */
    cr_assert_eq(worker_fake_clients(s->workers[0]), 4);
    stop(s);
}

Test(balance, a_connection_that_could_not_be_opened_weighs_nothing) {
    struct setup *s = start(3);
    for (int i = 0; i < 20; i++) { /* each is counted as opened, and no client comes of it */
        close(connect_one(s));
        unsigned all = 0;
        for (int w = 0; w < WORKERS; w++) {
            all += worker_fake_clients(s->workers[w]);
            stats_set(&s->stats[w][PROXY_STAT_CONNECTIONS], worker_fake_clients(s->workers[w]));
        }
        cr_assert_eq(all, (unsigned)i + 1);
    }
    stop(s);
}

static void expect_refusal(int fd) {
    char text[64] = "";
    static const char WORDS[] = "-ERR max number of clients reached\r\n";
    cr_assert_eq(read(fd, text, sizeof(text)), (ssize_t)sizeof(WORDS) - 1);
    cr_assert_str_eq(text, WORDS);
    cr_assert_eq(read(fd, text, sizeof(text)), 0);
    close(fd);
}

Test(balance, beyond_clients_max_it_refuses_in_redis_words) {
    struct setup *s = start(4);
    for (int i = 0; i < 4; i++)
        close(connect_one(s));
    expect_refusal(connect_one(s));
    cr_assert_eq(stats_get(&s->stats[0][PROXY_STAT_CONNECTIONS_REFUSED]), 1);
    opens(s, 0);
    ends(s, 0); /* one left: there is room for one */
    close(connect_one(s));
    expect_refusal(connect_one(s));
    cr_assert_eq(stats_get(&s->stats[0][PROXY_STAT_CONNECTIONS_REFUSED]), 2);
    stop(s);
}

Test(balance, a_full_mailbox_is_a_refusal_and_weighs_nothing) {
    struct setup *s = start(1000);
    for (int i = 0; i < WORKERS; i++)
        worker_fake_full(s->workers[i], true);
    expect_refusal(connect_one(s));
    worker_fake_full(s->workers[0], false);
    close(connect_one(s));
    cr_assert_eq(worker_fake_clients(s->workers[0]), 1);
    stop(s);
}
