/* A node's connection to the replica, and what is asked of both servers for replica.h's rule. */
#include "../../common/plant.h"
#include "../../node/through.h"
#include "sim_check.h"
#include "sim_node.h"
#include "sim_replica.h"
#include "sim_store_private.h"

enum { TICK_US = 3000 };

/* One question of a floor: to the primary, or to the replica. */
struct asked {
    struct store *store;
    struct lane *lane; /* NULL: the replica's */
    uint64_t life;
    int server; /* or which replica */
    bool answered;
    struct replica_place place;
};

/* A fill that waits for the batch before it. */
struct replica_wait {
    struct replica_wait *next;
    struct store_get *get;
    int64_t asked_us;
};

struct fetch {
    struct store *store;
    uint64_t life;
    unsigned which;
    unsigned replica_lives;
    bool of_primary; /* it replays the log of what is the primary, when it is read */
    uint32_t count;
    struct replica_place place;
    struct {
        struct store_get *get;
        int64_t asked_us;
        struct sim_row row;
        uint32_t transaction;
    } keys[BATCH_MAX];
};

static void on_tick(struct sim *sim, void *ctx, uint64_t arg);
static void on_place(struct sim *sim, void *ctx, uint64_t arg);
static void on_rows(struct sim *sim, void *ctx, uint64_t arg);
static void on_probe_patience(struct sim *sim, void *ctx, uint64_t arg);
static void on_fetch_patience(struct sim *sim, void *ctx, uint64_t arg);

static int64_t delay_us(struct sim *sim) {
    const struct sim_profile *p = sim_profile(sim);
    int64_t us = sim_between(sim, 20, sim_calm(sim, p->net_us_max + p->statement_us_max));
    return sim_loading(sim) && sim_chance(sim, p->slow_permille) ? 10 * us : us;
}

void store_replica_begin(struct store *s) {
    if (s->policy != NULL)
        sim_in(s->sim, s->process, TICK_US, on_tick, s, 0);
}

/* ---- floors ---- */

static void on_primary_answer(struct sim *sim, void *ctx, uint64_t arg) {
    struct asked *a = ctx;
    struct store *s = a->store;
    if (s->ended)
        return;
    bool counts = a->answered && a->lane->life == a->life && s->trusted == a->server;
    replica_primary_said(s->policy, counts ? &a->place : NULL);
}

static void on_primary(struct sim *sim, void *ctx, uint64_t arg) {
    struct asked *a = ctx;
    a->answered = !a->store->cut && sim_db_alive(sim, a->server);
    if (a->answered)
        sim_primary_place(sim, a->server, &a->place);
    sim_in(sim, a->store->process, delay_us(sim), on_primary_answer, a, 0);
}

static void ask_primary(struct store *s, int64_t now_ms) {
    for (unsigned i = 0; i < s->lanes_count; i++) {
        struct lane *lane = &s->lanes[i];
        if (!lane->up || lane->kind == LANE_SLOW)
            continue;
        struct asked *a = sim_alloc(s->sim, sizeof(*a));
        *a = (struct asked){.store = s, .lane = lane, .life = lane->life, .server = lane->server};
        replica_began(s->policy, now_ms);
        sim_in(s->sim, NULL, delay_us(s->sim), on_primary, a, 0);
        return;
    }
}

static void on_replica_answer(struct sim *sim, void *ctx, uint64_t arg) {
    struct asked *a = ctx;
    struct store *s = a->store;
    if (s->ended || s->replica_life != a->life)
        return;
    s->probing = false;
    a->answered = true;
    replica_said(s->policy, &a->place);
}

static void on_replica(struct sim *sim, void *ctx, uint64_t arg) {
    struct asked *a = ctx;
    unsigned which = (unsigned)a->server;
    if (!sim_replica_answers(sim, which) || a->store->cut)
        return;
    sim_replica_place(sim, which, &a->place);
    sim_in(sim, a->store->process, delay_us(sim), on_replica_answer, a, 0);
}

/* A pooler may lead to another one each time. */
static int any_replica(struct store *s) {
    return (int)sim_random(s->sim, SIM_REPLICAS);
}

static int64_t patience_us(const struct store *s) {
    return sim_profile(s->sim)->read_timeout_ms * 1000 / 3;
}

static void ask_replica(struct store *s) {
    struct asked *a = sim_alloc(s->sim, sizeof(*a));
    *a = (struct asked){.store = s, .life = s->replica_life, .server = any_replica(s)};
    s->probing = true;
    sim_in(s->sim, NULL, delay_us(s->sim), on_replica, a, 0);
    sim_in(s->sim, s->process, patience_us(s), on_probe_patience, a, 0);
}

static void on_tick(struct sim *sim, void *ctx, uint64_t arg) {
    struct store *s = ctx;
    if (s->ended)
        return;
    int64_t now_ms = sim_now_us(sim) / 1000;
    sim_in(sim, s->process, TICK_US, on_tick, s, 0);
    if (replica_due(s->policy, now_ms))
        ask_primary(s, now_ms);
    if (!s->probing && replica_is_awaited(s->policy, now_ms))
        ask_replica(s);
}

/* ---- rows ---- */

static struct replica_wait take_wait(struct store *s) {
    struct replica_wait wait = *s->first_wait;
    s->first_wait = wait.next;
    if (s->first_wait == NULL)
        s->last_wait = NULL;
    return wait;
}

static void send(struct store *s) {
    struct fetch *f = sim_alloc(s->sim, sizeof(*f));
    f->store = s;
    f->life = s->replica_life;
    f->which = (unsigned)any_replica(s);
    for (; s->first_wait != NULL && f->count < BATCH_MAX; f->count++) {
        struct replica_wait wait = take_wait(s);
        f->keys[f->count].get = wait.get;
        f->keys[f->count].asked_us = wait.asked_us;
    }
    s->fetch = f;
    sim_in(s->sim, NULL, delay_us(s->sim), on_place, f, 0);
    sim_in(s->sim, s->process, patience_us(s), on_fetch_patience, f, 0);
}

enum store_status store_replica_get(struct store *s, struct store_get *get) {
    if (s->policy == NULL || s->ended)
        return STORE_DOWN;
    get->sent = true; /* it is never taken back */
    struct replica_wait *wait = sim_alloc(s->sim, sizeof(*wait));
    *wait = (struct replica_wait){.get = get, .asked_us = sim_now_us(s->sim)};
    *(s->last_wait != NULL ? &s->last_wait->next : &s->first_wait) = wait;
    s->last_wait = wait;
    if (s->fetch == NULL)
        send(s);
    return STORE_OK;
}

static void read_rows(struct sim *sim, struct fetch *f) {
    f->of_primary = sim_replica_follows(sim, f->which, sim_db_primary(sim));
    for (uint32_t i = 0; i < f->count; i++)
        f->keys[i].row = *sim_replica_read(sim, f->which, sim_key_index(f->keys[i].get->key),
                                           &f->keys[i].transaction);
}

/* A statement of its own, before that with the rows; between them more may be replayed. */
static void on_place(struct sim *sim, void *ctx, uint64_t arg) {
    struct fetch *f = ctx;
    if (!sim_replica_answers(sim, f->which) || f->store->cut || f->store->fetch != f)
        return;
    if (PLANTED(replica_lsn_same_statement))
        read_rows(sim, f);
    else
        sim_replica_place(sim, f->which, &f->place);
    f->replica_lives = sim_replica_lives(sim, f->which);
    int64_t us_max = sim_profile(sim)->statement_us_max * (sim_chance(sim, 300) ? 10 : 1);
    sim_in(sim, NULL, sim_between(sim, 10, us_max), on_rows, f, 0);
}

/* Through says what it thinks of a row by asking the primary, or not. */
static void give(struct store *s, struct store_get *get, const struct store_row *row,
                 bool of_primary, int64_t asked_us) {
    const struct through_counters *counters = through_counters(s->node->server.through);
    uint64_t refused = counters->replica_refused;
    unsigned key = sim_key_index(get->key);
    uint32_t value = row->present ? sim_value_id(row->payload) : 0;
    get->done(get, STORE_OK, row, NULL);
    if (of_primary && counters->replica_refused == refused)
        sim_check_replica(s->node, key, value, asked_us);
}

static void on_rows_answer(struct sim *sim, void *ctx, uint64_t arg) {
    struct fetch *f = ctx;
    struct store *s = f->store;
    if (s->ended || s->fetch != f)
        return;
    s->fetch = NULL;
    replica_answered(s->policy);
    for (uint32_t i = 0; i < f->count; i++) {
        const struct sim_row *row = &f->keys[i].row;
        bool active = row->exists && row->active;
        const struct store_origin origin = {.place = &f->place,
                                            .found = row->exists,
                                            .transaction = f->keys[i].transaction,
                                            .expires = active && row->expires_us != 0};
        struct store_row out = {
            .present = active, .version = row->version, .ttl_ms = -1, .cacheable = true};
        out.origin = &origin;
        if (active)
            out.payload = sim_value_text(sim, row->value, s->text);
        struct store_get *get = f->keys[i].get;
        sim_trace(sim, "%s: row of %.*s: v%u, version %llu, replica of %s at %llu",
                  s->process->name, (int)get->key.len, get->key.ptr, active ? row->value : 0,
                  (unsigned long long)row->version, f->place.lineage,
                  (unsigned long long)f->place.lsn);
        give(s, get, &out, f->of_primary, f->keys[i].asked_us);
    }
    if (s->first_wait != NULL && s->fetch == NULL && !s->ended)
        send(s);
}

static void on_rows(struct sim *sim, void *ctx, uint64_t arg) {
    struct fetch *f = ctx;
    if (f->replica_lives !=
        sim_replica_lives(sim, f->which)) { /* it broke between its statements */
        sim_in(sim, f->store->process, 0, on_fetch_patience, f, 0);
        return;
    }
    if (!sim_replica_answers(sim, f->which) || f->store->cut || f->store->fetch != f)
        return;
    if (PLANTED(replica_lsn_same_statement))
        sim_replica_place(sim, f->which, &f->place);
    else
        read_rows(sim, f);
    sim_in(sim, f->store->process, delay_us(sim), on_rows_answer, f, 0);
}

void store_replica_lose(struct store *s) {
    struct fetch *f = s->fetch;
    s->replica_life++;
    s->probing = false;
    s->fetch = NULL;
    for (uint32_t i = 0; f != NULL && i < f->count; i++)
        f->keys[i].get->done(f->keys[i].get, STORE_FAILED, NULL, NULL);
    while (s->fetch == NULL && s->first_wait != NULL) {
        struct store_get *get = take_wait(s).get;
        get->done(get, STORE_DOWN, NULL, NULL);
    }
}

static void fail(struct store *s) {
    sim_trace(s->sim, "%s: the replica does not answer", s->process->name);
    replica_failed(s->policy, sim_now_us(s->sim) / 1000);
    store_replica_lose(s);
}

static void on_probe_patience(struct sim *sim, void *ctx, uint64_t arg) {
    const struct asked *a = ctx;
    if (!a->store->ended && a->store->replica_life == a->life && !a->answered)
        fail(a->store);
}

static void on_fetch_patience(struct sim *sim, void *ctx, uint64_t arg) {
    const struct fetch *f = ctx;
    if (!f->store->ended && f->store->fetch == f)
        fail(f->store);
}
