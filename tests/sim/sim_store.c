#include "sim_store.h"

#include "sim_check.h"
#include "sim_feed.h"
#include "sim_node.h"
#include "sim_store_private.h"

enum { TICK_US = 10000 };

static void on_pump(struct sim *sim, void *ctx, uint64_t arg);
static void on_connect(struct sim *sim, void *ctx, uint64_t arg);
static void on_lost(struct sim *sim, void *ctx, uint64_t arg);

struct store *sim_store_new(struct sim *sim, struct sim_node *node) {
    const struct sim_profile *p = sim_profile(sim);
    struct store *s = sim_alloc(sim, sizeof(*s));
    s->sim = sim;
    s->node = node;
    s->process = &node->process;
    s->trusted = SIM_NO_SERVER;
    s->policy = node->replica;
    s->text = sim_alloc(sim, p->value_bytes + SIM_TEXT_BYTES);
    s->old_text = sim_alloc(sim, p->value_bytes + SIM_TEXT_BYTES);
    s->lanes_count = p->read_lanes + p->write_lanes + 1;
    for (unsigned i = 0; i < s->lanes_count; i++) {
        enum lane_kind kind = i < p->read_lanes                    ? LANE_READ
                              : i < p->read_lanes + p->write_lanes ? LANE_WRITE
                                                                   : LANE_SLOW;
        s->lanes[i] = (struct lane){.store = s, .kind = kind};
        sim_in(sim, s->process, sim_between(sim, 100, 3000), on_connect, &s->lanes[i], 0);
    }
    store_replica_begin(s);
    return s;
}

static bool any_up(const struct store *s, enum lane_kind kind) {
    for (unsigned i = 0; i < s->lanes_count; i++) {
        if (s->lanes[i].kind == kind && s->lanes[i].up)
            return true;
    }
    return false;
}

bool store_up(const struct store *s) {
    return any_up(s, LANE_READ);
}

enum store_status store_ask(struct store *s, struct store_query *query) {
    if (!store_up(s) || s->ended)
        return STORE_DOWN;
    query->next = NULL;
    *(s->last_query != NULL ? &s->last_query->next : &s->first_query) = query;
    s->last_query = query;
    store_pump_soon(s);
    return STORE_OK;
}

/* ---- queues ---- */

enum store_status store_get(struct store *s, struct store_get *get) {
    if (get->from_replica)
        return store_replica_get(s, get);
    if (!store_up(s) || s->ended)
        return STORE_DOWN;
    get->sent = false;
    get->next = NULL;
    get->prev = s->last_get;
    *(s->last_get != NULL ? &s->last_get->next : &s->first_get) = get;
    s->last_get = get;
    store_pump_soon(s);
    return STORE_OK;
}

bool store_get_cancel(struct store *s, struct store_get *get) {
    if (get->sent)
        return false;
    *(get->prev != NULL ? &get->prev->next : &s->first_get) = get->next;
    *(get->next != NULL ? &get->next->prev : &s->last_get) = get->prev;
    return true;
}

static uint32_t keys_of(const struct store_write *write) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < write->count; i++)
        mask |= 1u << sim_key_index(write->keys[i]);
    return mask;
}

enum store_status store_write(struct store *s, struct store_write *write) {
    uint32_t keys = keys_of(write);
    if (!any_up(s, LANE_WRITE) || s->ended)
        return STORE_DOWN;
    if ((s->keys_busy & keys) != 0)
        sim_violation(s->sim, "%s: two writes of a key are in the store (rule 5)",
                      s->process->name);
    s->keys_busy |= keys;
    write->sent = false;
    write->attempt = 0;
    store_give_write(&s->first_write, &s->last_write, write);
    store_pump_soon(s);
    return STORE_OK;
}

void store_give_write(struct store_write **first, struct store_write **last,
                      struct store_write *write) {
    write->next = NULL;
    write->prev = *last;
    *(*last != NULL ? &(*last)->next : first) = write;
    *last = write;
}

void store_take_write(struct store_write **first, struct store_write **last,
                      struct store_write *write) {
    *(write->prev != NULL ? &write->prev->next : first) = write->next;
    *(write->next != NULL ? &write->next->prev : last) = write->prev;
}

bool store_write_cancel(struct store *s, struct store_write *write) {
    if (write->sent)
        return false;
    if (write->attempt == 0)
        store_take_write(&s->first_write, &s->last_write, write);
    else
        store_take_write(&s->first_alone, &s->last_alone, write);
    s->keys_busy &= ~keys_of(write);
    return true;
}

void store_finish(struct store *s, struct store_write *write, const struct store_ack *ack) {
    s->keys_busy &= ~keys_of(write);
    write->done(write, ack);
}

static void refuse_gets(struct store *s) {
    while (s->first_get != NULL) {
        struct store_get *get = s->first_get;
        s->first_get = get->next;
        *(s->first_get == NULL ? &s->last_get : &s->first_get->prev) = NULL;
        get->sent = true;
        get->done(get, STORE_DOWN, NULL, NULL);
    }
}

static void refuse_queries(struct store *s) {
    while (s->first_query != NULL) {
        struct store_query *query = s->first_query;
        s->first_query = query->next;
        if (s->first_query == NULL)
            s->last_query = NULL;
        query->done(query, STORE_DOWN, NULL);
    }
}

static void refuse_writes(struct store *s, struct store_write **first, struct store_write **last) {
    static const struct store_ack DOWN = {.status = STORE_DOWN};
    struct store_write *write = *first;
    *first = *last = NULL;
    for (struct store_write *next; write != NULL; write = next) {
        next = write->next;
        store_finish(s, write, &DOWN);
    }
}

/* What waits for a kind of lane of which none is left: nothing of it was sent. */
static void refuse(struct store *s) {
    if (!any_up(s, LANE_READ) || s->ended) {
        refuse_gets(s);
        refuse_queries(s);
    }
    if (!any_up(s, LANE_WRITE) || s->ended)
        refuse_writes(s, &s->first_write, &s->last_write);
    if (!any_up(s, LANE_SLOW) || s->ended)
        refuse_writes(s, &s->first_alone, &s->last_alone);
}

void store_pump_soon(struct store *s) {
    if (s->pumping || s->ended)
        return;
    s->pumping = true;
    sim_in(s->sim, s->process, 0, on_pump, s, 0);
}

static void on_pump(struct sim *sim, void *ctx, uint64_t arg) {
    struct store *s = ctx;
    s->pumping = false;
    for (unsigned i = 0; i < s->lanes_count && !s->ended; i++) {
        struct lane *lane = &s->lanes[i];
        if (!lane->up || lane->first != NULL)
            continue;
        if (lane->kind == LANE_READ && (s->first_get != NULL || s->first_query != NULL))
            store_send_reads(lane);
        else if (lane->kind == LANE_WRITE && s->first_write != NULL)
            store_send_writes(lane);
        else if (lane->kind == LANE_SLOW && s->first_alone != NULL)
            store_send_alone(lane);
    }
}

/* ---- connections ---- */

static void retry(struct lane *lane, int64_t low_us, int64_t high_us) {
    struct store *s = lane->store;
    sim_in(s->sim, s->process, sim_between(s->sim, low_us, high_us), on_connect, lane, lane->life);
}

static bool is_elsewhere(const struct lane *lane) {
    return lane->up && lane->store->trusted != SIM_NO_SERVER &&
           lane->store->trusted != lane->server;
}

static void on_moved(struct sim *sim, void *ctx, uint64_t arg) {
    struct lane *lane = ctx;
    if (!lane->store->ended && lane->life == arg && is_elsewhere(lane))
        sim_feed_close(lane->store->node->feed);
}

/* Before the replacement is of use, the old backend is terminated (F15). */
static void on_connect(struct sim *sim, void *ctx, uint64_t arg) {
    struct lane *lane = ctx;
    struct store *s = lane->store;
    int server = sim_db_connect(sim, sim_chance(sim, 200));
    if (s->ended || lane->up || lane->life != arg)
        return;
    if (s->cut || server == SIM_NO_SERVER) {
        retry(lane, 5000, 30000);
        return;
    }
    for (struct batch *zombie = lane->zombies; zombie != NULL; zombie = zombie->next)
        zombie->cancelled = true;
    lane->zombies = NULL;
    lane->server = server;
    lane->up = true;
    store_pump_soon(s);
    if (is_elsewhere(lane)) /* one of the two is wrong (F6): the next tick of the feed sees to it */
        sim_in(sim, s->process, sim_between(sim, 0, TICK_US), on_moved, lane, lane->life);
}

/* Its outcome is not known: whatever it was, nothing older than now is trusted from here on. */
static void doubt(struct store *s, struct batch *batch, uint32_t i) {
    static const struct store_ack UNCERTAIN = {.status = STORE_UNCERTAIN};
    const struct sim_statement *st = batch->statements[i];
    store_finish(s, batch->writes[i], &UNCERTAIN);
    for (uint32_t k = 0; k < st->count; k++)
        sim_check_told(s->node, st->keys[k], sim_db_state_now(s->sim, st->keys[k]));
    for (uint32_t k = 0; st->exec != NULL && k < st->exec->keys_count; k++)
        sim_check_told(s->node, st->exec->keys[k], sim_db_state_now(s->sim, st->exec->keys[k]));
}

/* Reads are lost; a write that was sent may be done all the same, until its backend is terminated.
 */
static void lose_batch(struct lane *lane, struct batch *batch) {
    struct store *s = lane->store;
    batch->lost = true;
    if (!batch->done) {
        batch->cancelled = sim_chance(s->sim, 400);
        batch->next = lane->zombies;
        lane->zombies = batch;
    }
    if (batch->query != NULL)
        batch->query->done(batch->query, STORE_FAILED, NULL);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->gets[i] != NULL)
            batch->gets[i]->done(batch->gets[i], STORE_FAILED, NULL, NULL);
        else
            doubt(s, batch, i);
    }
}

void store_lose(struct lane *lane) {
    struct store *s = lane->store;
    if (!lane->up)
        return;
    sim_trace(s->sim, "%s: connection %d to server %d is lost", s->process->name,
              (int)(lane - s->lanes), lane->server);
    lane->up = false;
    lane->life++;
    lane->done_us = lane->answered_us = lane->busy_until_us = 0;
    s->beat_pending = false;
    retry(lane, 1000, 30000);
    struct batch *batch = lane->first;
    lane->first = NULL;
    for (struct batch *next; batch != NULL; batch = next) {
        next = batch->next;
        lose_batch(lane, batch);
    }
    refuse(s);
}

static void on_lost(struct sim *sim, void *ctx, uint64_t arg) {
    struct lane *lane = ctx;
    if (!lane->store->ended && lane->life == arg)
        store_lose(lane);
}

static void lose_soon(struct lane *lane, int64_t us_max) {
    struct store *s = lane->store;
    sim_in(s->sim, s->process, sim_between(s->sim, 10, us_max), on_lost, lane, lane->life);
}

void sim_store_end(struct store *s) {
    s->ended = true;
    store_replica_lose(s);
    for (unsigned i = 0; i < s->lanes_count; i++)
        store_lose(&s->lanes[i]);
    refuse(s);
}

void sim_store_trust(struct store *s, int server) {
    s->trusted = server;
    for (unsigned i = 0; i < s->lanes_count && server != SIM_NO_SERVER; i++) {
        if (s->lanes[i].up && s->lanes[i].server != server)
            sim_in(s->sim, s->process, 0, on_lost, &s->lanes[i], s->lanes[i].life);
    }
}

void sim_store_server_died(struct store *s, int server) {
    for (unsigned i = 0; i < s->lanes_count; i++) {
        if (s->lanes[i].up && s->lanes[i].server == server)
            lose_soon(&s->lanes[i], 20000);
    }
}

void sim_store_break(struct store *s) {
    lose_soon(&s->lanes[sim_random(s->sim, s->lanes_count)], 100);
}

void sim_store_cut(struct store *s, bool cut) {
    s->cut = cut; /* what is under way at the replica ends by its patience */
    for (unsigned i = 0; cut && i < s->lanes_count; i++)
        lose_soon(&s->lanes[i], 100000);
}

bool sim_store_all_on(const struct store *s, int server) {
    for (unsigned i = 0; i < s->lanes_count; i++) {
        if (s->lanes[i].up && s->lanes[i].server != server)
            return false;
    }
    return true;
}

uint64_t sim_store_strays(const struct store *s) {
    return s->strays;
}

/* ---- heartbeats ---- */

struct beat {
    const struct sim_lines *lines;
    struct lane *lane;
    uint64_t life;
    int server;
};

static void on_beat_answer(struct sim *sim, void *ctx, uint64_t arg) {
    struct beat *beat = ctx;
    if (beat->lane->life == beat->life)
        beat->lane->store->beat_pending = false;
}

static void on_beat(struct sim *sim, void *ctx, uint64_t arg) {
    struct beat *beat = ctx;
    struct store *s = beat->lane->store;
    if (s->cut || (beat->lane->life != beat->life && sim_chance(sim, 500)))
        return;
    if (!sim_db_alive(sim, beat->server))
        return;
    sim_lines_send(sim, beat->server, beat->lines);
    sim_in(sim, s->process, sim_between(sim, 10, sim_profile(sim)->net_us_max), on_beat_answer,
           beat, 0);
}

bool sim_store_beat(struct store *s, const struct sim_lines *lines) {
    if (s->beat_pending)
        return false;
    for (unsigned i = 0; i < s->lanes_count; i++) {
        struct lane *lane = &s->lanes[s->beat_lane++ % s->lanes_count];
        if (!lane->up || lane->kind == LANE_SLOW)
            continue;
        struct beat *beat = sim_alloc(s->sim, sizeof(*beat));
        *beat = (struct beat){sim_lines_keep(s->sim, lines), lane, lane->life, lane->server};
        s->beat_pending = true;
        sim_in(s->sim, NULL, sim_between(s->sim, 10, sim_profile(s->sim)->statement_us_max),
               on_beat, beat, 0);
        return true;
    }
    return false;
}
