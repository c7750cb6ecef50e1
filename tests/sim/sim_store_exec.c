/* Transactions, and questions past the cache: a whole row (WATCH), rows of one moment (an EXEC that
 * only reads). */
#include "sim_check.h"
#include "sim_store_private.h"
#include "sim_wait.h"

/* ---- questions ---- */

void store_send_query(struct lane *lane, struct batch *batch) {
    struct store *s = lane->store;
    batch->query = s->first_query;
    s->first_query = batch->query->next;
    if (s->first_query == NULL)
        s->last_query = NULL;
}

static uint32_t keys_of(const struct store_query *query, const struct span **keys) {
    bool many = query->question == STORE_ROWS;
    *keys = many ? query->keys : &query->key;
    return many ? query->count : 1;
}

void store_do_query(struct batch *batch) {
    struct sim *sim = batch->lane->store->sim;
    const struct span *keys;
    uint32_t count = keys_of(batch->query, &keys);
    for (uint32_t i = 0; i < count; i++) {
        unsigned key = sim_key_index(keys[i]);
        const struct sim_row *older = sim_wait_shown(sim, batch->server, key);
        batch->rows[i] = older != NULL ? *older : *sim_db_row(sim, batch->server, key);
        batch->live[i] = sim_db_select(sim, batch->server, key) != NULL;
    }
    batch->results[0].stray = !sim_db_is_primary(sim, batch->server);
}

void store_answer_query(struct batch *batch) {
    struct store *s = batch->lane->store;
    struct store_query *query = batch->query;
    const struct span *keys;
    uint32_t count = keys_of(query, &keys);
    struct store_row *rows = sim_alloc(s->sim, count * sizeof(*rows));
    size_t room = sim_profile(s->sim)->value_bytes + SIM_TEXT_BYTES;
    char *texts = sim_alloc(s->sim, count * room);
    for (uint32_t i = 0; i < count; i++) {
        struct sim_row row = batch->rows[i];
        row.exists = batch->live[i];
        rows[i] = sim_exec_row(s->sim, &row, texts + i * room);
        rows[i].version = batch->rows[i].exists ? batch->rows[i].version : 0;
    }
    s->strays += batch->results[0].stray;
    const struct store_answer answer = {.rows = rows,
                                        .found = batch->rows[0].exists,
                                        .live = batch->live[0],
                                        .version = rows[0].version};
    query->done(query, STORE_OK, &answer);
}

/* ---- transactions ---- */

struct sim_exec *store_copy_exec(struct sim *sim, const struct store_write *write) {
    const struct store_exec *from = write->exec;
    struct sim_exec *exec = sim_alloc(sim, sizeof(*exec));
    exec->keys_count = write->count;
    for (uint32_t i = 0; i < write->count; i++) {
        exec->keys[i] = (uint8_t)sim_key_index(write->keys[i]);
        exec->holds[i] = from->holds[i];
    }
    exec->watches_count = from->watches_count;
    for (uint32_t i = 0; i < from->watches_count; i++) {
        exec->watches[i].key = (uint8_t)sim_key_index(from->watches[i].key);
        exec->watches[i].version = from->watches[i].version;
        exec->watches[i].live = from->watches[i].live;
    }
    exec->edits_count = from->edits_count;
    for (uint32_t i = 0; i < from->edits_count; i++) {
        const struct store_write *edit = &from->edits[i];
        struct sim_statement *st = &exec->edits[i];
        st->op = edit->op;
        st->count = edit->count;
        for (uint32_t k = 0; k < edit->count; k++) {
            st->keys[k] = (uint8_t)sim_key_index(edit->keys[k]);
            st->values[k] = store_op_takes_value(edit->op) ? sim_value_id(edit->values[k]) : 0;
        }
    }
    return exec;
}

void store_finish_exec(struct store *s, struct store_write *write,
                       const struct sim_statement *statement) {
    static const uint64_t NOTHING[SIM_KEYS_MAX];
    const struct sim_exec *exec = statement->exec;
    struct store_row rows[SIM_KEYS_MAX];
    struct store_result results[SIM_OP_KEYS_MAX] = {0};
    uint64_t versions[SIM_OP_KEYS_MAX] = {0};
    size_t room = sim_profile(s->sim)->value_bytes + SIM_TEXT_BYTES;
    char *texts = sim_alloc(s->sim, SIM_KEYS_MAX * room);
    for (uint32_t i = 0; i < exec->keys_count; i++)
        rows[i] = sim_exec_row(s->sim, &exec->before[i], texts + i * room);
    for (uint32_t i = 0, at = 0; i < exec->edits_count; i++) {
        for (uint32_t k = 0; k < exec->edits[i].count; k++)
            versions[at++] = exec->edits[i].versions[k];
        results[i] = (struct store_result){
            .live = exec->edits[i].live, .had_old = exec->edits[i].had_old, .ttl_ms = -1};
    }
    const struct store_exec_ack done = {
        .refused = exec->refused, .rows = rows, .results = results, .versions = versions};
    const struct store_ack ack = {.status = STORE_OK, .versions = NOTHING, .exec = &done};
    store_finish(s, write, &ack);
    for (uint32_t i = 0; i < exec->keys_count; i++)
        sim_check_told(s->node, exec->keys[i], exec->states[i]);
}
