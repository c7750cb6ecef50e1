/* Statements under way: when they are done, and what is heard of it. */
#include "sim_check.h"
#include "sim_node.h"
#include "sim_store_private.h"

static void on_read(struct sim *sim, void *ctx, uint64_t arg);
static void on_read_answer(struct sim *sim, void *ctx, uint64_t arg);
static void on_write_start(struct sim *sim, void *ctx, uint64_t arg);
static void on_write_commit(struct sim *sim, void *ctx, uint64_t arg);
static void on_write_answer(struct sim *sim, void *ctx, uint64_t arg);

static struct batch *batch_new(struct lane *lane) {
    struct batch *batch = sim_alloc(lane->store->sim, sizeof(*batch));
    batch->lane = lane;
    batch->server = lane->server;
    struct batch **link = &lane->first;
    while (*link != NULL)
        link = &(*link)->next;
    *link = batch;
    return batch;
}

/* Mostly quick; now and then a disk, a lock or a checkpoint is in the way. */
static int64_t work_us(struct sim *sim) {
    int64_t max = sim_calm(sim, sim_profile(sim)->statement_us_max);
    if (sim_loading(sim) && sim_chance(sim, sim_profile(sim)->slow_permille))
        max *= 20;
    return sim_between(sim, 20, max);
}

static int64_t net_us(struct sim *sim) {
    return sim_between(sim, 10, sim_calm(sim, sim_profile(sim)->net_us_max));
}

/* A packet may get lost on the way back: then what was read is old when it comes. */
static int64_t answer_us(struct sim *sim) {
    bool slow = sim_loading(sim) && sim_chance(sim, sim_profile(sim)->slow_permille);
    return net_us(sim) * (slow ? 10 : 1) + (slow ? work_us(sim) : 0);
}

/* One after the other on a connection. */
static int64_t done_at(struct lane *lane, int64_t at_us) {
    lane->done_us = at_us > lane->done_us ? at_us : lane->done_us;
    return lane->done_us;
}

static void answer(struct batch *batch, sim_event_fn *fn) {
    struct lane *lane = batch->lane;
    struct store *s = lane->store;
    int64_t at_us = sim_now_us(s->sim) + answer_us(s->sim);
    batch->done = true;
    if (batch->lost || s->cut)
        return;
    lane->answered_us = at_us > lane->answered_us ? at_us : lane->answered_us;
    sim_at(s->sim, s->process, lane->answered_us, fn, batch, 0);
}

/* Its answer is here: the lane is free for the next one. */
static void leave(struct batch *batch) {
    struct batch **link = &batch->lane->first;
    while (*link != batch)
        link = &(*link)->next;
    *link = batch->next;
    store_pump_soon(batch->lane->store);
}

/* ---- reads ---- */

void store_send_reads(struct lane *lane) {
    struct store *s = lane->store;
    struct batch *batch = batch_new(lane);
    if (s->first_query != NULL)
        store_send_query(lane, batch);
    while (batch->query == NULL && s->first_get != NULL && batch->count < BATCH_MAX) {
        batch->gets[batch->count++] = s->first_get;
        s->first_get->sent = true;
        s->first_get = s->first_get->next;
    }
    *(s->first_get == NULL ? &s->last_get : &s->first_get->prev) = NULL;
    sim_at(s->sim, NULL, done_at(lane, sim_now_us(s->sim) + net_us(s->sim) + work_us(s->sim)),
           on_read, batch, 0);
}

static void on_read(struct sim *sim, void *ctx, uint64_t arg) {
    struct batch *batch = ctx;
    if (batch->lost || !sim_db_alive(sim, batch->server))
        return;
    if (batch->query != NULL)
        store_do_query(batch);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct sim_row *row =
            sim_db_select(sim, batch->server, sim_key_index(batch->gets[i]->key));
        struct result *result = &batch->results[i];
        result->stray = !sim_db_is_primary(sim, batch->server);
        result->state = sim_db_state_now(sim, sim_key_index(batch->gets[i]->key));
        result->ttl_ms = -1;
        if (row == NULL)
            continue;
        result->present = true;
        result->value = row->value;
        result->version = row->version;
        if (row->expires_us != 0)
            result->ttl_ms = (row->expires_us - sim_now_us(sim)) / 1000;
    }
    answer(batch, on_read_answer);
}

static void on_read_answer(struct sim *sim, void *ctx, uint64_t arg) {
    struct batch *batch = ctx;
    struct store *s = batch->lane->store;
    if (batch->lost)
        return;
    leave(batch);
    bool trusted = s->trusted == batch->server;
    if (batch->query != NULL)
        store_answer_query(batch);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct store_get *get = batch->gets[i];
        const struct result *result = &batch->results[i];
        struct store_row row = {.present = result->present,
                                .version = result->version,
                                .ttl_ms = result->ttl_ms,
                                .cacheable = trusted};
        if (result->present)
            row.payload = sim_value_text(sim, result->value, s->text);
        s->strays += result->stray;
        sim_trace(sim, "%s: row of %.*s: v%u, version %llu%s", s->process->name, (int)get->key.len,
                  get->key.ptr, result->value, (unsigned long long)result->version,
                  trusted ? "" : ", not cacheable");
        unsigned key = sim_key_index(get->key);
        get->done(get, STORE_OK, &row, NULL);
        sim_check_told(s->node, key, result->state);
    }
}

/* ---- writes ---- */

static void add_write(struct batch *batch, struct store_write *write) {
    struct sim *sim = batch->lane->store->sim;
    struct sim_statement *st = sim_alloc(sim, sizeof(*st));
    st->op = write->op;
    st->want_old = write->want_old;
    st->exec = write->op == STORE_EXEC ? store_copy_exec(sim, write) : NULL;
    st->count = st->exec != NULL ? 0 : write->count;
    for (uint32_t i = 0; i < st->count; i++) {
        st->keys[i] = (uint8_t)sim_key_index(write->keys[i]);
        st->values[i] = store_op_takes_value(write->op) ? sim_value_id(write->values[i]) : 0;
    }
    write->sent = true;
    batch->writes[batch->count] = write;
    batch->statements[batch->count++] = st;
}

static void send(struct batch *batch) {
    struct lane *lane = batch->lane;
    struct sim *sim = lane->store->sim;
    int64_t start_us = done_at(lane, sim_now_us(sim) + net_us(sim));
    sim_at(sim, NULL, start_us, on_write_start, batch, 0);
    sim_at(sim, NULL, done_at(lane, start_us + work_us(sim)), on_write_commit, batch, 0);
}

static bool is_shared(const struct store_write *write) {
    return !write->want_old && (write->op == STORE_SET || write->op == STORE_DELETE);
}

/* As the real one: all plain SETs together, all DELs together, each other one alone, in one
 * pipeline. */
void store_send_writes(struct lane *lane) {
    static const enum store_op SHARED[] = {STORE_SET, STORE_DELETE};
    struct store *s = lane->store;
    for (int i = 0; i < 2; i++) {
        struct batch *batch = NULL;
        for (struct store_write *write = s->first_write, *next; write != NULL; write = next) {
            next = write->next;
            if (!is_shared(write) || write->op != SHARED[i] ||
                (batch != NULL && batch->count == BATCH_MAX))
                continue;
            store_take_write(&s->first_write, &s->last_write, write);
            batch = batch != NULL ? batch : batch_new(lane);
            add_write(batch, write);
        }
        if (batch != NULL)
            send(batch);
    }
    for (struct store_write *write = s->first_write, *next; write != NULL; write = next) {
        next = write->next;
        if (is_shared(write))
            continue;
        store_take_write(&s->first_write, &s->last_write, write);
        struct batch *batch = batch_new(lane);
        add_write(batch, write);
        send(batch);
    }
}

void store_send_alone(struct lane *lane) {
    struct store *s = lane->store;
    struct store_write *write = s->first_alone;
    store_take_write(&s->first_alone, &s->last_alone, write);
    struct batch *batch = batch_new(lane);
    add_write(batch, write);
    send(batch);
}

static void on_write_start(struct sim *sim, void *ctx, uint64_t arg) {
    struct batch *batch = ctx;
    if (batch->cancelled || !sim_db_is_primary(sim, batch->server))
        return;
    for (uint32_t i = 0; i < batch->count; i++)
        sim_db_start(sim, batch->server, batch->statements[i]);
}

/* What is written next on a connection is written later. */
static void wait_in_line(struct batch *batch, int64_t us) {
    struct sim *sim = batch->lane->store->sim;
    int64_t until_us = sim_now_us(sim) + us;
    batch->lane->busy_until_us =
        until_us > batch->lane->busy_until_us ? until_us : batch->lane->busy_until_us;
    done_at(batch->lane, batch->lane->busy_until_us);
}

static int64_t blocked_us(struct batch *batch) {
    struct sim *sim = batch->lane->store->sim;
    int64_t line_us = batch->lane->busy_until_us - sim_now_us(sim);
    int64_t lock_us = sim_db_locked_us(sim, batch->server, batch->statements, batch->count);
    return line_us > lock_us ? line_us : lock_us;
}

/* Everybody sees it now. */
static void on_write_shown(struct sim *sim, void *ctx, uint64_t arg) {
    struct batch *batch = ctx;
    if (!sim_db_is_primary(sim, batch->server))
        return;
    sim_db_done(sim, batch->statements, batch->count);
    answer(batch, on_write_answer);
}

static void on_write_commit(struct sim *sim, void *ctx, uint64_t arg) {
    struct batch *batch = ctx;
    struct lane *lane = batch->lane;
    bool fails = (sim_profile(sim)->faults & SIM_FAULT_STATEMENTS) != 0 && sim_chance(sim, 60);
    if (batch->cancelled || (lane->store->cut && !batch->lost && sim_chance(sim, 500)))
        return;
    if (!sim_db_is_primary(sim, batch->server)) {
        /* A server that was replaced takes no more writes: its clients lose their connections. */
        if (sim_db_alive(sim, batch->server) && !batch->lost)
            sim_store_server_died(lane->store, batch->server);
        return;
    }
    int64_t us = blocked_us(batch);
    if (us > 0) {
        wait_in_line(batch, us);
        sim_in(sim, NULL, us, on_write_commit, batch, 0);
        return;
    }
    batch->status = STORE_OK;
    if (fails) {
        batch->status = sim_chance(sim, 500) ? STORE_LOCKED : STORE_REFUSED;
        answer(batch, on_write_answer);
        return;
    }
    us = sim_db_commit(sim, batch->server, batch->statements, batch->count);
    if (us == SIM_DB_REFUSED)
        return;
    if (us == 0) {
        on_write_shown(sim, batch, 0);
        return;
    }
    wait_in_line(batch, us);
    sim_in(sim, NULL, us, on_write_shown, batch, 0);
}

/* Nothing of it was written: each request alone, or the error if it had its chances. */
static void try_alone(struct store *s, struct batch *batch, bool slow_up) {
    const struct store_ack refused = {.status = batch->status, .detail = "as the seed wants"};
    for (uint32_t i = 0; i < batch->count; i++) {
        struct store_write *write = batch->writes[i];
        bool was_alone = batch->count == 1 && batch->status == STORE_REFUSED;
        if (was_alone || write->attempt >= ATTEMPTS_MAX || !slow_up) {
            store_finish(s, write, &refused);
            continue;
        }
        write->attempt++;
        write->sent = false;
        store_give_write(&s->first_alone, &s->last_alone, write);
    }
}

static void on_write_answer(struct sim *sim, void *ctx, uint64_t arg) {
    struct batch *batch = ctx;
    struct store *s = batch->lane->store;
    if (batch->lost)
        return;
    leave(batch);
    sim_trace(sim, "%s: answer to %u writes, first of %.*s: status %d", s->process->name,
              batch->count, (int)batch->writes[0]->keys[0].len, batch->writes[0]->keys[0].ptr,
              batch->status);
    if (batch->status != STORE_OK) {
        try_alone(s, batch, s->lanes[s->lanes_count - 1].up);
        return;
    }
    bool trusted = s->trusted == batch->server;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct sim_statement *st = batch->statements[i];
        if (st->exec != NULL) {
            store_finish_exec(s, batch->writes[i], st);
            continue;
        }
        struct store_ack ack = {.status = STORE_OK,
                                .versions = st->versions,
                                .changed = st->changed,
                                .cacheable = trusted};
        struct store_result result = {
            .live = st->live, .had_old = st->had_old, .ttl_ms = st->ttl_ms};
        if (st->live)
            result.payload = sim_value_text(sim, st->now, s->text);
        if (st->want_old && st->had_old)
            result.old = sim_value_text(sim, st->old, s->old_text);
        if (!is_shared(batch->writes[i]) && st->count == 1)
            ack.result = &result;
        store_finish(s, batch->writes[i], &ack);
        for (uint32_t k = 0; k < st->count; k++)
            sim_check_told(s->node, st->keys[k], st->states[k]);
    }
}
