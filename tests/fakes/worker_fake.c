#include "worker_fake.h"

#include <stdlib.h>
#include <unistd.h>

#include "../../common/ring.h"
#include "../../common/users.h"
#include "../../proxy/worker.h"

enum { CLIENTS_MAX = 64 };

struct worker {
    bool full;
    int clients[CLIENTS_MAX];
    unsigned clients_count, rings;
    struct ring *ring;
    struct users *users;
    uint64_t epoch;
};

struct worker *worker_fake_new(void) {
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL)
        abort();
    return w;
}

void worker_fake_free(struct worker **pointer) {
    struct worker *w = *pointer;
    *pointer = NULL;
    for (unsigned i = 0; i < w->clients_count; i++)
        close(w->clients[i]);
    ring_free(&w->ring);
    users_free(&w->users);
    free(w);
}

void worker_fake_full(struct worker *w, bool full) {
    w->full = full;
}

unsigned worker_fake_clients(const struct worker *w) {
    return w->clients_count;
}

unsigned worker_fake_rings(const struct worker *w) {
    return w->rings;
}

const struct ring *worker_fake_ring(const struct worker *w, uint64_t *epoch_out) {
    *epoch_out = w->epoch;
    return w->ring;
}

const struct users *worker_fake_users(const struct worker *w) {
    return w->users;
}

/* ---- what proxy/worker.c does ---- */

bool worker_give_client(struct worker *w, int fd) {
    if (w->full || w->clients_count == CLIENTS_MAX)
        return false;
    w->clients[w->clients_count++] = fd;
    return true;
}

bool worker_give_ring(struct worker *w, struct ring *ring, uint64_t epoch) {
    if (w->full) {
        ring_free(&ring);
        return false;
    }
    ring_free(&w->ring);
    w->ring = ring;
    w->epoch = epoch;
    w->rings++;
    return true;
}

bool worker_give_users(struct worker *w, struct users *users) {
    if (w->full) {
        users_free(&users);
        return false;
    }
    users_free(&w->users);
    w->users = users;
    return true;
}
