#include "sim_wait.h"

#include "sim_node.h"

enum { PUTS_MAX = 2 * SIM_KEYS_MAX };

struct put {
    uint8_t key;
    bool by_node;
    struct sim_row before, row;
};

struct commit {
    struct commit *next;
    int server;
    uint64_t lsn;
    int64_t until_us;
    uint32_t keys, locks; /* that it changes; all that it has locked: bit masks */
    unsigned count;
    const struct sim_lines *lines;
    struct put puts[PUTS_MAX];
};

struct sim_waits {
    struct commit *first; /* in no order */
    struct commit *open;  /* its rows are being put */
};

static void on_shown(struct sim *sim, void *ctx, uint64_t arg);

static struct sim_waits *waits_of(const struct sim *sim) {
    return sim_parts((struct sim *)sim)->waits;
}

struct sim_waits *sim_waits_new(struct sim *sim) {
    return sim_profile(sim)->sync_permille == 0 ? NULL : sim_alloc(sim, sizeof(struct sim_waits));
}

/* ---- a commit ---- */

void sim_wait_begin(struct sim *sim, int server) {
    struct sim_waits *w = waits_of(sim);
    if (w == NULL || !sim_loading(sim) || !sim_chance(sim, sim_profile(sim)->sync_permille))
        return;
    w->open = sim_alloc(sim, sizeof(*w->open));
    w->open->server = server;
}

bool sim_wait_put(struct sim *sim, unsigned key, const struct sim_row *before,
                  const struct sim_row *row, bool by_node) {
    struct sim_waits *w = waits_of(sim);
    struct commit *c = w == NULL ? NULL : w->open;
    if (c == NULL || c->count == PUTS_MAX)
        return false;
    c->puts[c->count++] =
        (struct put){.key = (uint8_t)key, .by_node = by_node, .before = *before, .row = *row};
    c->keys |= 1u << key;
    c->locks |= 1u << key;
    return true;
}

void sim_wait_lock(struct sim *sim, unsigned key) {
    struct sim_waits *w = waits_of(sim);
    if (w != NULL && w->open != NULL)
        w->open->locks |= 1u << key;
}

int64_t sim_wait_end(struct sim *sim, int server, const struct sim_lines *lines) {
    struct sim_waits *w = waits_of(sim);
    struct commit *c = w == NULL ? NULL : w->open;
    if (w != NULL)
        w->open = NULL;
    if (c == NULL || c->count == 0) {
        sim_lines_send(sim, server, lines);
        return 0;
    }
    int64_t us = sim_between(sim, 50, sim_profile(sim)->sync_us_max);
    c->lsn = sim_db_lsn(sim, server);
    c->until_us = sim_now_us(sim) + us;
    c->lines = sim_lines_keep(sim, lines);
    c->next = w->first;
    w->first = c;
    sim_trace(sim, "table: commit %llu waits for a standby", (unsigned long long)c->lsn);
    sim_in(sim, NULL, us, on_shown, c, 0);
    return us;
}

static void show(struct sim *sim, struct commit *c) {
    struct commit **link = &waits_of(sim)->first;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    sim_db_begin(sim);
    for (unsigned i = 0; i < c->count; i++)
        sim_db_show(sim, c->puts[i].key, &c->puts[i].row, c->puts[i].by_node);
    c->server = SIM_NO_SERVER;
}

static void on_shown(struct sim *sim, void *ctx, uint64_t arg) {
    struct commit *c = ctx;
    int server = c->server;
    if (server == SIM_NO_SERVER)
        return;
    show(sim, c);
    sim_lines_send(sim, server, c->lines);
}

/* In the order of the log. */
void sim_wait_flush(struct sim *sim, int server) {
    struct sim_waits *w = waits_of(sim);
    while (w != NULL && w->first != NULL) {
        struct commit *oldest = NULL;
        for (struct commit *c = w->first; c != NULL; c = c->next) {
            if (c->server == server && (oldest == NULL || c->lsn < oldest->lsn))
                oldest = c;
        }
        if (oldest == NULL)
            return;
        show(sim, oldest);
    }
}

/* ---- what it does to others ---- */

static const struct commit *commit_of(const struct sim *sim, int server, unsigned key) {
    const struct sim_waits *w = waits_of(sim);
    const struct commit *c = w == NULL ? NULL : w->first;
    while (c != NULL && (c->server != server || (c->keys >> key & 1) == 0))
        c = c->next;
    return c;
}

const struct sim_row *sim_wait_shown(const struct sim *sim, int server, unsigned key) {
    const struct commit *c = commit_of(sim, server, key);
    for (unsigned i = 0; c != NULL && i < c->count; i++) {
        if (c->puts[i].key == key)
            return &c->puts[i].before;
    }
    return NULL;
}

uint64_t sim_wait_lsn(const struct sim *sim, int server, unsigned key) {
    const struct commit *c = commit_of(sim, server, key);
    return c == NULL ? 0 : c->lsn;
}

uint64_t sim_wait_oldest(const struct sim *sim, int server) {
    const struct sim_waits *w = waits_of(sim);
    uint64_t oldest = 0;
    for (const struct commit *c = w == NULL ? NULL : w->first; c != NULL; c = c->next) {
        if (c->server == server && (oldest == 0 || c->lsn < oldest))
            oldest = c->lsn;
    }
    return oldest;
}

int64_t sim_wait_us(const struct sim *sim, int server, uint32_t keys) {
    const struct sim_waits *w = waits_of(sim);
    int64_t us = 0;
    for (const struct commit *c = w == NULL ? NULL : w->first; c != NULL; c = c->next) {
        int64_t left_us = c->until_us - sim_now_us(sim) + 1;
        if (c->server == server && (c->locks & keys) != 0 && left_us > us)
            us = left_us;
    }
    return us;
}
