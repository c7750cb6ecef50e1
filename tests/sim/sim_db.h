/*
 * sim_db: a model of PostgreSQL as far as the rules rely on it: the table's rows, one sequence, the
 * order of commits, who listens where, and servers that crash, lose commits and take over. Keeps
 * the history that the checker judges by. Knows no connections.
 */
#ifndef RINGFENCE_SIM_DB_H
#define RINGFENCE_SIM_DB_H

#include "../../node/store.h"
#include "sim.h"

struct sim_db;
struct sim_lines;

enum { SIM_SERVERS_MAX = 16, SIM_NO_SERVER = -1, SIM_VALUES_MAX = 8192 };

struct sim_row {
    bool exists, active;
    uint32_t value;
    uint64_t version;
    int64_t expires_us; /* 0: never */
};

/* What a key was for a while. */
struct sim_state {
    uint32_t value; /* 0: absent */
    uint64_t version;
    int64_t from_us, to_us; /* to_us: INT64_MAX while it is */
    bool ended_by_expiry;
    bool by_node;      /* it began with a statement of a node */
    uint64_t from, to; /* moments: see sim_db_moment(); `to` is that of the next state */
};

struct sim_history {
    struct sim_state *states; /* in the order of their commits */
    uint32_t count, room;
};

struct sim_exec;

/* One statement of a node: its rows and what becomes of them. */
struct sim_statement {
    enum store_op op;
    bool want_old;
    uint32_t count;
    uint8_t keys[SIM_OP_KEYS_MAX];
    uint32_t values[SIM_OP_KEYS_MAX];
    uint64_t early[SIM_OP_KEYS_MAX]; /* numbers that the INSERT arms took before they waited */
    uint64_t versions[SIM_OP_KEYS_MAX];
    uint32_t states[SIM_OP_KEYS_MAX]; /* of its keys, when it was seen */
    uint32_t changed;
    bool had_old, live; /* before it and after it, of the first key */
    uint32_t old, now;
    int64_t ttl_ms;        /* of what is there after it; -1: for ever */
    struct sim_exec *exec; /* of a transaction; then count is 0 */
};

/* A transaction of a node: a copy, since it may be done when nobody waits any more. */
struct sim_exec {
    struct {
        uint8_t key;
        uint64_t version; /* 0: no row, or one that only keeps the place */
        bool live;
    } watches[SIM_KEYS_MAX];
    uint32_t watches_count, keys_count, edits_count;
    uint8_t keys[SIM_KEYS_MAX];
    bool holds[SIM_KEYS_MAX];
    struct sim_statement edits[SIM_OP_KEYS_MAX]; /* of one key each, or an MSETNX */
    bool refused;
    uint32_t states[SIM_KEYS_MAX];       /* of its keys, when it was seen */
    struct sim_row before[SIM_KEYS_MAX]; /* `exists`: it was live */
};

struct sim_db *sim_db_new(struct sim *sim);

/** sim_db_connect(sim, stray): the server that a new connection reaches, or SIM_NO_SERVER; `stray`:
 * an old primary that lives on, if there is one. */
int sim_db_connect(struct sim *sim, bool stray);

/** sim_db_alive(sim, server) / sim_db_is_primary(sim, server). */
bool sim_db_alive(const struct sim *sim, int server);
bool sim_db_is_primary(const struct sim *sim, int server);

/** sim_db_select(sim, server, key): the row as a SELECT sees it: NULL if there is no live one.
 * sim_db_read(): as who holds its lock sees it: the same, unless that is a commit that waits. */
const struct sim_row *sim_db_select(struct sim *sim, int server, unsigned key);
const struct sim_row *sim_db_read(struct sim *sim, int server, unsigned key);

/** sim_db_start(sim, server, statement): take numbers; sim_db_commit(sim, server, statements,
 * count): do them all at once. Its result: seen by everybody in so many microseconds; then
 * sim_db_done(sim, statements, count) notes of which states that was. SIM_DB_REFUSED: this server
 * does not commit any more. sim_db_locked_us(): what they change is locked for so long. */
enum { SIM_DB_REFUSED = -1 };
void sim_db_start(struct sim *sim, int server, struct sim_statement *statement);
int64_t sim_db_commit(struct sim *sim, int server, struct sim_statement *const *statements,
                      unsigned count);
void sim_db_done(struct sim *sim, struct sim_statement *const *statements, unsigned count);
int64_t sim_db_locked_us(struct sim *sim, int server, struct sim_statement *const *statements,
                         unsigned count);

/** sim_db_value(sim, key): a value that was never used. sim_db_value_key(): the key it is for;
 * SIM_KEYS_MAX: never handed out. sim_db_commits(sim, value): how often it was committed. */
uint32_t sim_db_value(struct sim *sim, unsigned key);
unsigned sim_db_value_key(const struct sim *sim, uint32_t value);
unsigned sim_db_commits(const struct sim *sim, uint32_t value);

/** sim_db_moment(sim): counts what changes the table, commits above all; what one commit changes
 * has one moment. sim_db_moment_of(sim, value): that of its commit; 0: none. */
uint64_t sim_db_moment(const struct sim *sim);
uint64_t sim_db_moment_of(const struct sim *sim, uint32_t value);

/** sim_db_history(sim, key): all its states. sim_db_now(sim, key): the current one's index.
 * sim_db_last_state_of(sim, value): the index of its latest state; -1: none. */
const struct sim_history *sim_db_history(const struct sim *sim, unsigned key);
uint32_t sim_db_state_now(const struct sim *sim, unsigned key);
int64_t sim_db_state_of(const struct sim *sim, uint32_t value);

/** sim_db_is_kept(sim, key): its row was never erased: its versions rise with each change. */
bool sim_db_is_kept(const struct sim *sim, unsigned key);

/** sim_db_edit(sim): somebody changes rows by SQL, somehow. */
void sim_db_edit(struct sim *sim);

/** sim_db_restart(sim): the primary crashes and comes back; nothing is lost. */
void sim_db_restart(struct sim *sim);

/** sim_db_fail_over(sim, old_lives): a standby that may lack the last commits takes over. */
void sim_db_fail_over(struct sim *sim, bool old_lives);

/** sim_db_strays_until_us(sim): when a server that had been replaced was last alive. A node all of
 * whose connections lead to it cannot know. */
int64_t sim_db_strays_until_us(const struct sim *sim);

/** sim_db_heal(sim): old servers die; there is a primary. */
void sim_db_heal(struct sim *sim);

/* For sim_db_sql.c. sim_db_begin(sim): what is put from here on is one commit. */
void sim_db_begin(struct sim *sim);
uint64_t sim_db_number(struct sim *sim, int server);
int sim_db_primary(const struct sim *sim);
uint64_t sim_db_lsn(const struct sim *sim,
                    int server); /* its commits so far: also sim_replica.c's */
struct sim_row *sim_db_row(struct sim *sim, int server, unsigned key);
void sim_db_show(struct sim *sim, unsigned key, const struct sim_row *row, bool by_node);
void sim_db_put(struct sim *sim, int server, unsigned key, struct sim_row row, bool by_node);

/* For sim_db_exec.c. sim_db_do(sim, server, statement, lines): one statement within a commit. */
void sim_db_do(struct sim *sim, int server, struct sim_statement *statement,
               struct sim_lines *lines);

/** sim_exec_do(sim, server, exec, lines): a transaction, as one part of a commit.
 * sim_exec_row(sim, row, text): what the store says of a row; `text` has room for a value. */
void sim_exec_do(struct sim *sim, int server, struct sim_exec *exec, struct sim_lines *lines);
struct store_row sim_exec_row(struct sim *sim, const struct sim_row *row, char *text);

/* ---- what the feeds hear (sim_feed.c) ---- */

struct sim_lines {
    size_t len;
    uint32_t keys; /* a bit mask of those that it is about */
    bool everything;
    char text[4096]; /* last: a copy has only as much as it needs */
};

/** sim_lines_keep(sim, lines): a copy for later. */
const struct sim_lines *sim_lines_keep(struct sim *sim, const struct sim_lines *lines);

void sim_lines_begin(struct sim_lines *lines);
void sim_lines_changed(struct sim *sim, struct sim_lines *lines, unsigned key, uint64_t version);
void sim_lines_gone(struct sim *sim, struct sim_lines *lines, unsigned key);
void sim_lines_everything(struct sim_lines *lines);

/** sim_lines_garble(sim, lines): the same, as nobody here can read it: of a later format, or cut
 * off.
 */
void sim_lines_garble(struct sim *sim, struct sim_lines *lines);

/** sim_lines_send(sim, server, lines): NOTIFY: all feeds on that server will hear it. */
void sim_lines_send(struct sim *sim, int server, const struct sim_lines *lines);

#endif
