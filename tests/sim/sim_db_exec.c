/* Transactions of nodes: everything at one moment, or nothing. Their own locks are not modelled:
 * what they look at is what they change. */
#include "sim_wait.h"

static bool is_as_watched(struct sim *sim, int server, const struct sim_exec *exec) {
    for (uint32_t i = 0; i < exec->watches_count; i++) {
        const struct sim_row *row = sim_db_row(sim, server, exec->watches[i].key);
        bool live = sim_db_read(sim, server, exec->watches[i].key) != NULL;
        if ((row->exists ? row->version : 0) != exec->watches[i].version ||
            live != exec->watches[i].live) {
            sim_trace(sim, "table: key %u is not as it was watched: version %llu (%llu), %s (%s)",
                      exec->watches[i].key, (unsigned long long)(row->exists ? row->version : 0),
                      (unsigned long long)exec->watches[i].version, live ? "live" : "absent",
                      exec->watches[i].live ? "live" : "absent");
            return false;
        }
    }
    return true;
}

void sim_exec_do(struct sim *sim, int server, struct sim_exec *exec, struct sim_lines *lines) {
    for (uint32_t i = 0; i < exec->keys_count; i++)
        sim_wait_lock(sim, exec->keys[i]);
    for (uint32_t i = 0; i < exec->watches_count; i++)
        sim_wait_lock(sim, exec->watches[i].key);
    exec->refused = !is_as_watched(sim, server, exec);
    if (exec->refused)
        return;
    for (uint32_t i = 0; i < exec->keys_count; i++) {
        const struct sim_row *live = sim_db_read(sim, server, exec->keys[i]);
        exec->before[i] = live != NULL ? *live : (struct sim_row){0};
    }
    for (uint32_t i = 0; i < exec->edits_count; i++)
        sim_db_do(sim, server, &exec->edits[i], lines);
    for (uint32_t i = 0; i < exec->keys_count; i++) { /* rows that keep a place, and no more */
        if (exec->holds[i] && !sim_db_row(sim, server, exec->keys[i])->exists) {
            sim_db_put(sim, server, exec->keys[i], (struct sim_row){.exists = true}, true);
            sim_lines_changed(sim, lines, exec->keys[i], 0);
        }
    }
}

struct store_row sim_exec_row(struct sim *sim, const struct sim_row *row, char *text) {
    if (!row->exists)
        return (struct store_row){.ttl_ms = -1};
    return (struct store_row){
        .present = true,
        .payload = sim_value_text(sim, row->value, text),
        .version = row->version,
        .ttl_ms = row->expires_us == 0 ? -1 : (row->expires_us - sim_now_us(sim)) / 1000};
}
