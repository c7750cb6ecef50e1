/* People who edit the table by SQL, past every node. One transaction each; its lines leave at its
 * commit. */
#include <stdio.h>

#include "sim_db.h"
#include "sim_node.h"
#include "sim_wait.h"

enum edit { UPDATE, INSERT, DELETE, REINSERT, SWITCH, EXPIRE, RENAME, BULK, TRUNCATE, ROLLBACK };

static const unsigned WEIGHTS[] = {
    [UPDATE] = 30, [INSERT] = 15, [DELETE] = 15, [REINSERT] = 5, [SWITCH] = 10,
    [EXPIRE] = 12, [RENAME] = 5,  [BULK] = 4,    [TRUNCATE] = 2, [ROLLBACK] = 2};
enum { EDITS = sizeof(WEIGHTS) / sizeof(WEIGHTS[0]) };

/* An INSERT that took its number and then waited. */
struct insert {
    unsigned key;
    int server;
    uint64_t version;
};

static unsigned random_key(struct sim *sim) {
    unsigned pure = sim_profile(sim)->pure_keys;
    return pure + (unsigned)sim_random(sim, sim_profile(sim)->keys - pure);
}

/* The number triggers' arithmetic: a new number, and above the old one. */
static uint64_t next_number(struct sim *sim, int server, const struct sim_row *row) {
    uint64_t n = sim_db_number(sim, server);
    return row->exists && n <= row->version ? row->version + 1 : n;
}

static void put(struct sim *sim, int server, unsigned key, struct sim_row row,
                struct sim_lines *lines) {
    sim_db_put(sim, server, key, row, false);
    if (row.exists)
        sim_lines_changed(sim, lines, key, row.version);
    else
        sim_lines_gone(sim, lines, key);
}

static void update(struct sim *sim, int server, unsigned key, struct sim_lines *lines) {
    struct sim_row row = *sim_db_row(sim, server, key);
    if (!row.exists || sim_wait_us(sim, server, 1u << key) != 0)
        return;
    row.version = next_number(sim, server, &row);
    row.value = sim_db_value(sim, key);
    put(sim, server, key, row, lines);
}

static void on_insert(struct sim *sim, void *ctx, uint64_t arg) {
    const struct insert *insert = ctx;
    struct sim_lines lines;
    if (!sim_db_is_primary(sim, insert->server) ||
        sim_db_row(sim, insert->server, insert->key)->exists)
        return; /* it failed: a duplicate key, or its server is gone */
    sim_trace(sim, "SQL: a slow INSERT commits");
    sim_lines_begin(&lines);
    sim_db_begin(sim);
    put(sim, insert->server, insert->key,
        (struct sim_row){.exists = true,
                         .active = true,
                         .version = insert->version,
                         .value = sim_db_value(sim, insert->key)},
        &lines);
    sim_lines_send(sim, insert->server, &lines);
}

static void begin_insert(struct sim *sim, int server, unsigned key) {
    struct insert *insert = sim_alloc(sim, sizeof(*insert));
    *insert = (struct insert){key, server, sim_db_number(sim, server)};
    sim_in(sim, NULL, sim_between(sim, 0, 20000), on_insert, insert, 0);
}

static void erase(struct sim *sim, int server, unsigned key, struct sim_lines *lines) {
    if (sim_db_row(sim, server, key)->exists)
        put(sim, server, key, (struct sim_row){0}, lines);
}

static void change_flags(struct sim *sim, int server, unsigned key, bool expire,
                         struct sim_lines *lines) {
    struct sim_row row = *sim_db_row(sim, server, key);
    if (!row.exists || row.version == 0) /* nobody switches on what only keeps a place */
        return;
    row.version = next_number(sim, server, &row);
    if (expire)
        row.expires_us =
            sim_chance(sim, 800) ? sim_now_us(sim) + sim_between(sim, 0, 150) * 1000 : 0;
    else
        row.active = !row.active;
    put(sim, server, key, row, lines);
}

/* The value goes with it: one that was never written for the new key, so it gets a new one. */
static void rename_key(struct sim *sim, int server, unsigned key, struct sim_lines *lines) {
    unsigned to = random_key(sim);
    struct sim_row row = *sim_db_row(sim, server, key);
    if (!row.exists || sim_db_row(sim, server, to)->exists)
        return;
    row.version = next_number(sim, server, &row);
    erase(sim, server, key, lines);
    row.value = sim_db_value(sim, to);
    put(sim, server, to, row, lines);
}

static void many(struct sim *sim, int server, bool truncate, struct sim_lines *lines) {
    struct sim_lines unsaid;
    sim_lines_begin(&unsaid);
    for (unsigned key = sim_profile(sim)->pure_keys; key < sim_profile(sim)->keys; key++) {
        if (truncate)
            erase(sim, server, key, &unsaid);
        else
            update(sim, server, key, &unsaid);
    }
    sim_lines_everything(lines);
}

static enum edit random_edit(struct sim *sim) {
    unsigned sum = 0;
    for (int i = 0; i < EDITS; i++)
        sum += WEIGHTS[i];
    uint64_t draw = sim_random(sim, sum);
    int edit = 0;
    while (draw >= WEIGHTS[edit])
        draw -= WEIGHTS[edit++];
    return (enum edit)edit;
}

static bool is_of_one(enum edit edit) {
    return edit != RENAME && edit != BULK && edit != TRUNCATE;
}

void sim_db_edit(struct sim *sim) {
    static const char *const NAMES[] = {"UPDATE",        "INSERT",
                                        "DELETE",        "DELETE and INSERT",
                                        "UPDATE active", "UPDATE expires_at",
                                        "UPDATE key",    "a bulk UPDATE",
                                        "TRUNCATE",      "ROLLBACK"};
    int server = sim_db_primary(sim);
    if (server == SIM_NO_SERVER || sim_profile(sim)->pure_keys == sim_profile(sim)->keys)
        return;
    unsigned key = random_key(sim);
    enum edit edit = random_edit(sim);
    struct sim_lines lines;
    sim_trace(sim, "SQL: %s, %.*s", NAMES[edit], (int)sim_key(sim, key).len, sim_key(sim, key).ptr);
    if (sim_wait_us(sim, server, is_of_one(edit) ? 1u << key : UINT32_MAX) != 0)
        return; /* it found the row locked, and gave up */
    sim_lines_begin(&lines);
    sim_db_begin(sim);
    if (edit == UPDATE || edit == SWITCH || edit == EXPIRE)
        sim_wait_begin(sim, server); /* not what erases rows: see docs/decisions.md */
    switch (edit) {
    case UPDATE:
        for (uint64_t rows = 1 + sim_random(sim, 3); rows != 0; rows--)
            update(sim, server, random_key(sim), &lines);
        break;
    case INSERT:
        begin_insert(sim, server, key);
        break;
    case DELETE:
        erase(sim, server, key, &lines);
        break;
    case REINSERT:
        erase(sim, server, key, &lines);
        put(sim, server, key,
            (struct sim_row){.exists = true,
                             .active = true,
                             .version = sim_db_number(sim, server),
                             .value = sim_db_value(sim, key)},
            &lines);
        break;
    case SWITCH:
    case EXPIRE:
        /* Of keys that have a time to live no copy is kept: test_near.c and test_hot.c see to that.
         */
        change_flags(sim, server, key, edit == EXPIRE && !sim_profile(sim)->hot, &lines);
        break;
    case RENAME:
        rename_key(sim, server, key, &lines);
        break;
    case BULK:
    case TRUNCATE:
        many(sim, server, edit == TRUNCATE, &lines);
        break;
    case ROLLBACK:
        sim_db_number(sim, server);
        break;
    }
    if (lines.len > 2 && (sim_profile(sim)->faults & SIM_FAULT_NOTIFY) != 0 &&
        sim_chance(sim, 60)) {
        sim_trace(sim, "SQL: its notification cannot be read");
        sim_lines_garble(sim, &lines);
    }
    sim_wait_end(sim, server, &lines);
}
