#include "sim_db.h"

#include <stdio.h>
#include <string.h>

#include "sim_node.h"
#include "sim_replica.h"
#include "sim_wait.h"

enum { LOG_MAX = 4096, LOST_MAX = 3 };

struct machine {
    bool alive;
    uint64_t sequence, lsn;
    uint64_t highest; /* number that a commit has used */
    struct sim_row rows[SIM_KEYS_MAX];
};

struct value {
    uint8_t key;
    uint8_t commits;
    int32_t state; /* its latest */
    uint64_t moment;
};

/* The table and the sequence before a commit, for who takes over without it. */
struct before {
    uint8_t key;
    uint64_t sequence, lsn, highest;
    struct sim_row row;
    bool first_of_commit;
};

struct sim_db {
    struct machine servers[SIM_SERVERS_MAX];
    int primary, servers_count; /* primary: SIM_NO_SERVER while there is none */
    struct sim_history history[SIM_KEYS_MAX];
    struct value values[SIM_VALUES_MAX];
    uint32_t values_count;
    struct before log[LOG_MAX];
    unsigned log_count;
    bool in_commit;
    uint64_t moment;
    uint32_t erased; /* keys whose row was, a bit mask */
    int64_t strays_until_us;
};

static struct sim_db *db_of(const struct sim *sim) {
    return sim_parts((struct sim *)sim)->db;
}

struct sim_db *sim_db_new(struct sim *sim) {
    struct sim_db *db = sim_alloc(sim, sizeof(*db));
    db->servers_count = 1;
    db->servers[0] = (struct machine){.alive = true};
    db->values_count = 1; /* 0 is absence */
    for (unsigned i = 0; i < SIM_KEYS_MAX; i++) {
        struct sim_history *h = &db->history[i];
        h->room = 64;
        h->states = sim_alloc(sim, h->room * sizeof(*h->states));
        h->count = 1;
        h->states[0] = (struct sim_state){.to_us = INT64_MAX, .to = UINT64_MAX};
    }
    return db;
}

/* ---- values and history ---- */

uint32_t sim_db_value(struct sim *sim, unsigned key) {
    struct sim_db *db = db_of(sim);
    if (db->values_count == SIM_VALUES_MAX)
        db->values_count--; /* no run is that long; the checker would say so */
    db->values[db->values_count] = (struct value){.key = (uint8_t)key, .state = -1};
    return db->values_count++;
}

unsigned sim_db_value_key(const struct sim *sim, uint32_t value) {
    const struct sim_db *db = db_of(sim);
    return value == 0 || value >= db->values_count ? SIM_KEYS_MAX : db->values[value].key;
}

unsigned sim_db_commits(const struct sim *sim, uint32_t value) {
    return db_of(sim)->values[value].commits;
}

uint64_t sim_db_moment(const struct sim *sim) {
    return db_of(sim)->moment;
}

uint64_t sim_db_moment_of(const struct sim *sim, uint32_t value) {
    return db_of(sim)->values[value].moment;
}

int64_t sim_db_state_of(const struct sim *sim, uint32_t value) {
    return db_of(sim)->values[value].state;
}

const struct sim_history *sim_db_history(const struct sim *sim, unsigned key) {
    return &db_of(sim)->history[key];
}

uint32_t sim_db_state_now(const struct sim *sim, unsigned key) {
    return db_of(sim)->history[key].count - 1;
}

bool sim_db_is_kept(const struct sim *sim, unsigned key) {
    return (db_of(sim)->erased >> key & 1) == 0;
}

static void add_state(struct sim *sim, unsigned key, struct sim_state state) {
    struct sim_db *db = db_of(sim);
    struct sim_history *h = &db->history[key];
    struct sim_state *last = &h->states[h->count - 1];
    last->to_us = sim_now_us(sim);
    last->to = db->moment;
    if (h->count == h->room) {
        struct sim_state *more = sim_alloc(sim, 2 * h->room * sizeof(*more));
        memcpy(more, h->states, h->room * sizeof(*more));
        h->states = more;
        h->room *= 2;
    }
    state.from_us = sim_now_us(sim);
    state.to_us = INT64_MAX;
    state.from = db->moment;
    state.to = UINT64_MAX;
    if (state.value != 0)
        db->values[state.value].state = (int32_t)h->count;
    h->states[h->count++] = state;
    char text[SIM_TEXT_BYTES];
    snprintf(text, sizeof(text), state.value == 0 ? "absent" : "v%u", state.value);
    sim_trace(sim, "table: %.*s is %s, version %llu", (int)sim_key(sim, key).len,
              sim_key(sim, key).ptr, text, (unsigned long long)state.version);
}

static bool is_live(const struct sim *sim, const struct sim_row *row) {
    return row->exists && row->active &&
           (row->expires_us == 0 || row->expires_us > sim_now_us(sim));
}

/* ---- rows ---- */

uint64_t sim_db_number(struct sim *sim, int server) {
    return ++db_of(sim)->servers[server].sequence;
}

int sim_db_primary(const struct sim *sim) {
    return db_of(sim)->primary;
}

uint64_t sim_db_lsn(const struct sim *sim, int server) {
    return db_of(sim)->servers[server].lsn;
}

void sim_db_begin(struct sim *sim) {
    db_of(sim)->in_commit = false;
    db_of(sim)->moment++;
}

struct sim_row *sim_db_row(struct sim *sim, int server, unsigned key) {
    return &db_of(sim)->servers[server].rows[key];
}

static const struct sim_row *shown(struct sim *sim, int server, unsigned key) {
    const struct sim_row *row = sim_wait_shown(sim, server, key);
    return row != NULL ? row : sim_db_row(sim, server, key);
}

static void on_expiry(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_db *db = db_of(sim);
    unsigned key = arg & 0xFF;
    uint64_t version = arg >> 8;
    if (db->primary == SIM_NO_SERVER)
        return; /* whoever takes over looks at the clock */
    const struct sim_row *row = shown(sim, db->primary, key);
    if (row->exists && row->active && row->version == version && row->expires_us != 0 &&
        row->expires_us <= sim_now_us(sim) &&
        db->history[key].states[sim_db_state_now(sim, key)].value != 0) {
        db->moment++;
        add_state(sim, key, (struct sim_state){.version = version});
        db->history[key].states[db->history[key].count - 2].ended_by_expiry = true;
    }
}

static struct sim_state state_of(const struct sim *sim, const struct sim_row *row) {
    return (struct sim_state){.value = is_live(sim, row) ? row->value : 0, .version = row->version};
}

/* From now on everybody sees it. */
void sim_db_show(struct sim *sim, unsigned key, const struct sim_row *row, bool by_node) {
    struct sim_db *db = db_of(sim);
    struct sim_state state = state_of(sim, row);
    state.by_node = by_node;
    if (by_node && row->exists && row->active)
        db->values[row->value].moment = db->moment;
    add_state(sim, key, state);
    if (row->exists && row->active && row->expires_us > sim_now_us(sim))
        sim_at(sim, NULL, row->expires_us, on_expiry, NULL, row->version << 8 | key);
}

void sim_db_put(struct sim *sim, int server, unsigned key, struct sim_row row, bool by_node) {
    struct sim_db *db = db_of(sim);
    struct machine *s = &db->servers[server];
    if (db->log_count < LOG_MAX)
        db->log[db->log_count++] = (struct before){.key = (uint8_t)key,
                                                   .sequence = s->sequence,
                                                   .lsn = s->lsn,
                                                   .highest = s->highest,
                                                   .row = s->rows[key],
                                                   .first_of_commit = !db->in_commit};
    s->highest = row.version > s->highest ? row.version : s->highest;
    s->lsn += !db->in_commit;
    db->in_commit = true;
    bool waits = sim_wait_put(sim, key, &s->rows[key], &row, by_node);
    s->rows[key] = row;
    db->erased |= row.exists ? 0 : 1u << key;
    sim_replica_log(sim, server, s->lsn, key, &row);
    if (!waits)
        sim_db_show(sim, key, &row, by_node);
}

const struct sim_row *sim_db_select(struct sim *sim, int server, unsigned key) {
    const struct sim_row *row = shown(sim, server, key);
    return is_live(sim, row) ? row : NULL;
}

const struct sim_row *sim_db_read(struct sim *sim, int server, unsigned key) {
    const struct sim_row *row = sim_db_row(sim, server, key);
    return is_live(sim, row) ? row : NULL;
}

/* ---- statements of nodes ---- */

void sim_db_start(struct sim *sim, int server, struct sim_statement *s) {
    for (uint32_t i = 0; s->exec != NULL && i < s->exec->edits_count; i++)
        sim_db_start(sim, server, &s->exec->edits[i]);
    for (uint32_t i = 0; i < s->count; i++)
        s->early[i] = s->op == STORE_SET || s->op == STORE_SET_NX || s->op == STORE_ADD_DECIMAL
                          ? sim_db_number(sim, server)
                          : 0;
}

/* One key: the arm of the upsert, or the soft delete. Returns its new version, or 0. */
static uint64_t change(struct sim *sim, int server, const struct sim_statement *s, uint32_t i) {
    struct sim_row *row = sim_db_row(sim, server, s->keys[i]);
    bool live = is_live(sim, row);
    if ((s->op == STORE_SET_NX && live) || (s->op == STORE_SET_XX && !live) ||
        (s->op == STORE_DELETE && !live))
        return 0;
    struct sim_row new = *row;
    new.version = row->exists ? sim_db_number(sim, server) : s->early[i];
    new.exists = true;
    new.active = s->op != STORE_DELETE;
    if (s->op != STORE_DELETE) {
        bool adds = s->op == STORE_ADD_DECIMAL;
        new.value = adds ? sim_db_value(sim, s->keys[i]) : s->values[i];
        new.expires_us = adds &&live ? row->expires_us : 0;
        if (db_of(sim)->values[new.value].commits++ != 0)
            sim_violation(sim, "v%u was written twice", new.value);
    }
    sim_db_put(sim, server, s->keys[i], new, true);
    return new.version;
}

/* MSETNX: one of its keys is there, so nothing is done. */
static bool is_refused(struct sim *sim, int server, const struct sim_statement *s) {
    for (uint32_t i = 0; i < s->count && s->op == STORE_SET_NX; i++) {
        if (sim_db_read(sim, server, s->keys[i]) != NULL)
            return true;
    }
    return false;
}

void sim_db_do(struct sim *sim, int server, struct sim_statement *s, struct sim_lines *lines) {
    if (s->exec != NULL) {
        sim_exec_do(sim, server, s->exec, lines);
        return;
    }
    const struct sim_row *old = sim_db_read(sim, server, s->keys[0]);
    s->had_old = old != NULL;
    s->old = old != NULL ? old->value : 0;
    s->changed = 0;
    bool refused = is_refused(sim, server, s);
    for (uint32_t i = 0; i < s->count; i++) {
        s->versions[i] = 0;
        if (refused)
            continue;
        for (uint32_t j = 0; j < i; j++) { /* DEL k k */
            if (s->keys[j] == s->keys[i])
                s->versions[i] = s->versions[j];
        }
        if (s->versions[i] != 0)
            continue;
        s->versions[i] = change(sim, server, s, i);
        s->changed += s->versions[i] != 0;
        if (s->versions[i] != 0)
            sim_lines_changed(sim, lines, s->keys[i], s->versions[i]);
    }
    const struct sim_row *now = sim_db_read(sim, server, s->keys[0]);
    s->live = now != NULL;
    s->now = now != NULL ? now->value : 0;
    s->ttl_ms =
        now == NULL || now->expires_us == 0 ? -1 : (now->expires_us - sim_now_us(sim)) / 1000;
}

int64_t sim_db_commit(struct sim *sim, int server, struct sim_statement *const *statements,
                      unsigned count) {
    struct sim_db *db = db_of(sim);
    struct sim_lines lines;
    if (server != db->primary)
        return SIM_DB_REFUSED;
    sim_lines_begin(&lines);
    sim_db_begin(sim);
    sim_wait_begin(sim, server);
    for (unsigned i = 0; i < count; i++)
        sim_db_do(sim, server, statements[i], &lines);
    return sim_wait_end(sim, server, &lines);
}

void sim_db_done(struct sim *sim, struct sim_statement *const *statements, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct sim_statement *s = statements[i];
        for (uint32_t k = 0; k < s->count; k++)
            s->states[k] = sim_db_state_now(sim, s->keys[k]);
        for (uint32_t k = 0; s->exec != NULL && k < s->exec->keys_count; k++)
            s->exec->states[k] = sim_db_state_now(sim, s->exec->keys[k]);
    }
}

int64_t sim_db_locked_us(struct sim *sim, int server, struct sim_statement *const *statements,
                         unsigned count) {
    uint32_t keys = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct sim_statement *s = statements[i];
        for (uint32_t k = 0; k < s->count; k++)
            keys |= 1u << s->keys[k];
        for (uint32_t k = 0; s->exec != NULL && k < s->exec->keys_count; k++)
            keys |= 1u << s->exec->keys[k];
        for (uint32_t k = 0; s->exec != NULL && k < s->exec->watches_count; k++)
            keys |= 1u << s->exec->watches[k].key;
    }
    return sim_wait_us(sim, server, keys);
}

/* ---- servers ---- */

bool sim_db_alive(const struct sim *sim, int server) {
    return server != SIM_NO_SERVER && db_of(sim)->servers[server].alive;
}

bool sim_db_is_primary(const struct sim *sim, int server) {
    return server != SIM_NO_SERVER && db_of(sim)->primary == server;
}

int sim_db_connect(struct sim *sim, bool stray) {
    struct sim_db *db = db_of(sim);
    for (int i = 0; stray && i < db->servers_count; i++) {
        if (db->servers[i].alive && i != db->primary)
            return i;
    }
    return db->primary;
}

static void on_up(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_db *db = db_of(sim);
    db->primary = db->servers_count - 1;
    db->servers[db->primary].alive = true;
    db->moment++;
    sim_trace(sim, "PostgreSQL: server %d is up", db->primary);
    for (unsigned key = 0; key < sim_profile(sim)->keys; key++) {
        struct sim_state state = state_of(sim, &db->servers[db->primary].rows[key]);
        const struct sim_state *last = &db->history[key].states[db->history[key].count - 1];
        if (state.value != last->value || state.version != last->version)
            add_state(sim, key, state);
    }
}

/* A server with another identity, up in a while. */
static struct machine *replace(struct sim *sim, int64_t in_us) {
    struct sim_db *db = db_of(sim);
    if (db->primary == SIM_NO_SERVER || db->servers_count == SIM_SERVERS_MAX)
        return NULL;
    sim_wait_flush(sim, db->primary);
    struct machine *new = &db->servers[db->servers_count++];
    *new = db->servers[db->primary];
    new->alive = false;
    db->primary = SIM_NO_SERVER;
    sim_in(sim, NULL, in_us, on_up, NULL, 0);
    return new;
}

static void kill_server(struct sim *sim, int server) {
    struct sim_db *db = db_of(sim);
    if (!db->servers[server].alive)
        return;
    db->servers[server].alive = false;
    sim_nodes_server_died(sim, server);
}

static void on_stray_end(struct sim *sim, void *ctx, uint64_t arg) {
    sim_trace(sim, "PostgreSQL: the old server %d is gone", (int)arg);
    db_of(sim)->strays_until_us = sim_db_strays_until_us(sim);
    kill_server(sim, (int)arg);
}

void sim_db_restart(struct sim *sim) {
    int old = sim_db_primary(sim);
    if (replace(sim, sim_between(sim, 1000, 40000)) == NULL)
        return;
    sim_trace(sim, "PostgreSQL: server %d crashes", old);
    kill_server(sim, old);
}

/* The last commits are undone, and the numbers that they took are given out again: none that a
 * commit before them has used, and perhaps the very first of theirs (a sequence's position is
 * logged now and then). */
static void lose_commits(struct sim *sim, struct machine *new) {
    struct sim_db *db = db_of(sim);
    uint64_t lost = sim_random(sim, LOST_MAX + 1);
    bool any = false;
    while (lost != 0 && db->log_count != 0) {
        const struct before *b = &db->log[--db->log_count];
        new->rows[b->key] = b->row;
        new->sequence = b->sequence;
        new->highest = b->highest;
        new->lsn = b->lsn;
        lost -= b->first_of_commit;
        any = true;
    }
    if (any && sim_chance(sim, 500))
        new->sequence = new->highest;
    db->log_count = 0;
}

void sim_db_fail_over(struct sim *sim, bool old_lives) {
    int old = sim_db_primary(sim);
    struct machine *new = replace(sim, sim_between(sim, 1000, 20000));
    if (new == NULL)
        return;
    sim_trace(sim, "PostgreSQL: server %d is replaced%s", old, old_lives ? ", and lives on" : "");
    lose_commits(sim, new);
    if (old_lives)
        sim_in(sim, NULL, sim_between(sim, 10000, 500000), on_stray_end, NULL, (uint64_t)old);
    else
        kill_server(sim, old);
}

int64_t sim_db_strays_until_us(const struct sim *sim) {
    const struct sim_db *db = db_of(sim);
    for (int i = 0; i < db->servers_count; i++) {
        if (db->servers[i].alive && i != db->primary)
            return sim_now_us(sim);
    }
    return db->strays_until_us;
}

void sim_db_heal(struct sim *sim) {
    struct sim_db *db = db_of(sim);
    db->strays_until_us = sim_db_strays_until_us(sim);
    for (int i = 0; i < db->servers_count; i++) {
        if (i != db->primary)
            kill_server(sim, i);
    }
}
