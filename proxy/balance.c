#include "balance.h"

#include <stdlib.h>
#include <unistd.h>

#include "../common/buf.h"
#include "../common/reply.h"
#include "worker.h"

struct balance {
    struct worker *const *workers;
    stats_value (*stats)[PROXY_STAT_COUNT];
    unsigned count;
    uint64_t clients_max;
    uint64_t handed[]; /* connections given to each worker */
};

struct balance *balance_new(struct worker *const *workers, stats_value (*stats)[PROXY_STAT_COUNT],
                            unsigned count, uint64_t clients_max) {
    struct balance *b = calloc(1, sizeof(*b) + count * sizeof(uint64_t));
    if (b == NULL)
        return NULL;
    b->workers = workers;
    b->stats = stats;
    b->count = count;
    b->clients_max = clients_max;
    return b;
}

void balance_free(struct balance **balance) {
    free(*balance);
    *balance = NULL;
}

/* Clients a worker has, those on their way to it included. */
static uint64_t load_of(const struct balance *b, unsigned worker) {
    uint64_t opened = stats_get(&b->stats[worker][PROXY_STAT_CONNECTIONS]);
    return stats_get(&b->stats[worker][PROXY_STAT_CLIENTS]) + (b->handed[worker] - opened);
}

void balance_refuse(struct balance *b, int fd) {
    struct buf text;
    buf_init(&text, 0);
    reply_error(&text, REPLY_CLIENTS_MAX, NULL);
    ssize_t ignored = write(fd, buf_head(&text), buf_len(&text));
    (void)ignored; /* it is closed either way */
    buf_release(&text);
    close(fd);
    /* The main thread has no counter of its own: worker 0's is written by nobody else. */
    stats_add(&b->stats[0][PROXY_STAT_CONNECTIONS_REFUSED], 1);
}

void balance_accept(struct balance *b, int fd) {
    uint64_t all = 0, least = UINT64_MAX;
    unsigned best = 0;
    for (unsigned i = 0; i < b->count; i++) {
        uint64_t load = load_of(b, i);
        all += load;
        if (load < least) {
            least = load;
            best = i;
        }
    }
    if (all < b->clients_max && worker_give_client(b->workers[best], fd))
        b->handed[best]++;
    else
        balance_refuse(b, fd);
}
