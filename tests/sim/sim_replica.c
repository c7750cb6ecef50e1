#include "sim_replica.h"

#include <stdio.h>
#include <string.h>

#include "sim_wait.h"

struct entry {
    int server;
    uint64_t lsn;
    uint8_t key;
    struct sim_row row;
};

struct log {
    struct entry *entries;
    uint32_t count, room;
};

struct replayed {
    struct sim_row row;
    uint64_t lsn; /* of the commit that wrote it */
};

struct sim_replica {
    int server; /* whose log it replays */
    uint64_t lsn, base_lsn;
    uint32_t next, base; /* entries before `next` are replayed; of this server: from `base` on */
    struct replayed rows[SIM_KEYS_MAX], base_rows[SIM_KEYS_MAX];
    struct log *log;
    int64_t paused_until_us, hangs_until_us, lag_us_max;
    bool breaks;
    unsigned lives;
    bool awake; /* on_replay will come */
};

static void on_replay(struct sim *sim, void *ctx, uint64_t arg);

static struct sim_replica *replica_of(struct sim *sim, unsigned which) {
    return &sim_parts(sim)->replicas[which];
}

struct sim_replica *sim_replicas_new(struct sim *sim) {
    static const int64_t LAGS_US[] = {200, 2000, 20000};
    if (!sim_profile(sim)->replica)
        return NULL;
    struct sim_replica *replicas = sim_alloc(sim, SIM_REPLICAS * sizeof(*replicas));
    struct log *log = sim_alloc(sim, sizeof(*log));
    log->room = 256;
    log->entries = sim_alloc(sim, log->room * sizeof(*log->entries));
    bool breaks = sim_chance(sim, 600);
    for (unsigned i = 0; i < SIM_REPLICAS; i++) {
        replicas[i].log = log;
        replicas[i].breaks = breaks;
        replicas[i].lag_us_max = LAGS_US[sim_random(sim, sizeof(LAGS_US) / sizeof(LAGS_US[0]))];
    }
    return replicas;
}

/* ---- the log ---- */

static void wake(struct sim *sim, unsigned which) {
    struct sim_replica *r = replica_of(sim, which);
    if (!r->awake)
        sim_in(sim, NULL, sim_between(sim, 50, r->lag_us_max), on_replay, NULL, which);
    r->awake = true;
}

void sim_replica_log(struct sim *sim, int server, uint64_t lsn, unsigned key,
                     const struct sim_row *row) {
    if (sim_parts(sim)->replicas == NULL)
        return;
    struct log *log = sim_parts(sim)->replicas->log;
    if (log->count == log->room) {
        struct entry *more = sim_alloc(sim, 2 * log->room * sizeof(*more));
        memcpy(more, log->entries, log->room * sizeof(*more));
        log->entries = more;
        log->room *= 2;
    }
    for (unsigned i = 0; i < SIM_REPLICAS; i++)
        wake(sim, i);
    log->entries[log->count++] = (struct entry){server, lsn, (uint8_t)key, *row};
}

/* Commits up to `lsn`, each as a whole. */
static void replay_to(struct sim_replica *r, uint64_t lsn) {
    for (; r->next < r->log->count; r->next++) {
        const struct entry *e = &r->log->entries[r->next];
        if (e->server != r->server)
            continue;
        if (e->lsn > lsn)
            break;
        r->rows[e->key] = (struct replayed){e->row, e->lsn};
    }
    r->lsn = lsn;
}

/* It takes the other server's copy, as pg_basebackup or pg_rewind would make it. */
static void follow(struct sim *sim, struct sim_replica *r, int server) {
    r->server = server;
    r->lsn = r->base_lsn = sim_db_lsn(sim, server);
    for (unsigned key = 0; key < SIM_KEYS_MAX; key++)
        r->rows[key] =
            (struct replayed){*sim_db_row(sim, server, key), sim_wait_lsn(sim, server, key)};
    memcpy(r->base_rows, r->rows, sizeof(r->rows));
    r->next = r->base = r->log->count;
    sim_trace(sim, "replica: follows server %d from %llu", server, (unsigned long long)r->lsn);
}

static void on_replay(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_replica *r = replica_of(sim, (unsigned)arg);
    int primary = sim_db_primary(sim);
    r->awake = false;
    if (sim_now_us(sim) < r->paused_until_us) {
        wake(sim, (unsigned)arg);
        return;
    }
    if (primary != SIM_NO_SERVER && primary != r->server) {
        if (sim_chance(sim, 100))
            follow(sim, r, primary);
        wake(sim, (unsigned)arg);
        return;
    }
    uint64_t end = sim_db_lsn(sim, r->server);
    if (end > r->lsn)
        replay_to(r, r->lsn + 1 + sim_random(sim, end - r->lsn));
    if (end > r->lsn)
        wake(sim, (unsigned)arg);
}

/* ---- what it says ---- */

bool sim_replica_answers(struct sim *sim, unsigned which) {
    return sim_now_us(sim) >= replica_of(sim, which)->hangs_until_us;
}

bool sim_replica_follows(struct sim *sim, unsigned which, int server) {
    return replica_of(sim, which)->server == server;
}

unsigned sim_replica_lives(struct sim *sim, unsigned which) {
    return replica_of(sim, which)->lives;
}

static void say(struct replica_place *out, int server, uint64_t lsn) {
    *out = (struct replica_place){.lsn = lsn};
    snprintf(out->lineage, sizeof(out->lineage), "%d", server);
}

void sim_replica_place(struct sim *sim, unsigned which, struct replica_place *out) {
    say(out, replica_of(sim, which)->server, replica_of(sim, which)->lsn);
    out->in_recovery = true;
}

void sim_primary_place(struct sim *sim, int server, struct replica_place *out) {
    uint64_t oldest = sim_wait_oldest(sim, server);
    say(out, server, sim_db_lsn(sim, server));
    out->horizon = (uint32_t)(oldest != 0 ? oldest : out->lsn + 1);
}

const struct sim_row *sim_replica_read(struct sim *sim, unsigned which, unsigned key,
                                       uint32_t *transaction) {
    const struct replayed *row = &replica_of(sim, which)->rows[key];
    *transaction = (uint32_t)row->lsn;
    return &row->row;
}

/* ---- faults ---- */

/* From where it was consistent before: behind what it has shown. */
static void restart(struct sim *sim, struct sim_replica *r) {
    uint64_t back = sim_random(sim, 4);
    uint64_t lsn = r->lsn - r->base_lsn > back ? r->lsn - back : r->base_lsn;
    r->lives++;
    memcpy(r->rows, r->base_rows, sizeof(r->rows));
    r->next = r->base;
    replay_to(r, lsn);
    wake(sim, (unsigned)(r - sim_parts(sim)->replicas));
    sim_trace(sim, "replica: restarts at %llu", (unsigned long long)lsn);
}

void sim_replicas_pause(struct sim *sim, int64_t us) {
    sim_trace(sim, "replicas: are sent nothing for %lld ms", (long long)us / 1000);
    for (unsigned i = 0; i < SIM_REPLICAS; i++)
        replica_of(sim, i)->paused_until_us = sim_now_us(sim) + us;
}

void sim_replica_fault(struct sim *sim) {
    struct sim_replica *r = replica_of(sim, (unsigned)sim_random(sim, SIM_REPLICAS));
    if (!r->breaks)
        return;
    int64_t until_us =
        sim_now_us(sim) + sim_between(sim, 5000, sim_chance(sim, 500) ? 60000 : 400000);
    if (sim_chance(sim, 100)) { /* a node leaves it alone for a long time then */
        sim_trace(sim, "replica: hangs");
        r->hangs_until_us = until_us;
    } else if (sim_chance(sim, 600)) {
        sim_trace(sim, "replica: stops replaying");
        r->paused_until_us = until_us;
    } else {
        restart(sim, r);
    }
}

void sim_replica_heal(struct sim *sim) {
    for (unsigned i = 0; sim_parts(sim)->replicas != NULL && i < SIM_REPLICAS; i++)
        replica_of(sim, i)->paused_until_us = replica_of(sim, i)->hangs_until_us = 0;
}
