/*
 * sim_store_private: what sim_store.c (queues, lanes) and sim_store_batch.c (statements) share.
 */
#ifndef RINGFENCE_SIM_STORE_PRIVATE_H
#define RINGFENCE_SIM_STORE_PRIVATE_H

#include "sim_store.h"

enum { LANES_MAX = 6, BATCH_MAX = 16, ATTEMPTS_MAX = 2 };

enum lane_kind { LANE_READ, LANE_WRITE, LANE_SLOW };

struct batch;

struct lane {
    struct store *store;
    enum lane_kind kind;
    int server;
    bool up;
    uint64_t life;         /* rises with each loss */
    struct batch *first;   /* without an answer, in the order of sending */
    struct batch *zombies; /* lost, and not done yet: they may still be */
    int64_t done_us;       /* when the last statement that was sent will have been done */
    int64_t answered_us;
    int64_t busy_until_us; /* a statement of it waits for a lock, or its commit for a standby */
};

struct result {
    bool present, stray;
    uint32_t value;
    uint64_t version;
    uint32_t state; /* of the key, when it was read */
    int64_t ttl_ms;
};

struct batch {
    struct lane *lane;
    struct batch *next;
    int server;
    bool lost;      /* its connection is gone: nobody waits */
    bool cancelled; /* and it will not be done */
    bool done;
    enum store_status status; /* of a write: OK, LOCKED, REFUSED */
    uint32_t count;
    struct store_get *gets[BATCH_MAX];
    struct result results[BATCH_MAX];
    struct store_write *writes[BATCH_MAX];
    struct sim_statement *statements[BATCH_MAX];
    struct store_query *query;         /* a question past the cache; then count is 0 */
    struct sim_row rows[SIM_KEYS_MAX]; /* its answer: as they are */
    bool live[SIM_KEYS_MAX];
};

struct store {
    struct sim *sim;
    struct sim_node *node;
    struct sim_process *process;
    struct lane lanes[LANES_MAX];
    unsigned lanes_count;
    int trusted;
    bool cut, ended, pumping;
    struct store_get *first_get, *last_get;
    struct store_query *first_query, *last_query;
    struct store_write *first_write, *last_write;
    struct store_write *first_alone, *last_alone;
    uint32_t keys_busy; /* of all writes that are here: a bit mask */
    unsigned beat_lane;
    bool beat_pending;
    uint64_t strays;
    char *text, *old_text; /* of one value each */
    /* sim_store_replica.c's */
    struct replica *policy; /* the node's; NULL: none */
    uint64_t replica_life;  /* rises with each loss */
    bool probing;
    struct fetch *fetch; /* under way, or NULL */
    struct replica_wait *first_wait, *last_wait;
};

/** store_pump_soon(store): something may be sent. */
void store_pump_soon(struct store *store);

/** store_lose(lane): it is lost now: whoever waits for it is told. */
void store_lose(struct lane *lane);

/** store_send_reads / store_send_writes / store_send_alone(lane): what waits, as far as one batch
 * goes. */
void store_send_reads(struct lane *lane);
void store_send_writes(struct lane *lane);
void store_send_alone(struct lane *lane);

/* sim_store_exec.c */
/** store_send_query(lane, batch): the oldest question, as the only one of a new batch.
 * store_do_query(batch): it is looked at now. store_answer_query(batch): and told. */
void store_send_query(struct lane *lane, struct batch *batch);
void store_do_query(struct batch *batch);
void store_answer_query(struct batch *batch);

/** store_copy_exec(sim, write): what a transaction asks. store_finish_exec(store, write, exec): it
 * was committed, or a watched key was not as it was. */
struct sim_exec *store_copy_exec(struct sim *sim, const struct store_write *write);
void store_finish_exec(struct store *store, struct store_write *write,
                       const struct sim_statement *statement);

/* sim_store_replica.c */
/** store_replica_begin(store): floors from now on, if there is a replica. store_replica_get(): one
 * row. store_replica_lose(store): its connection is gone. */
void store_replica_begin(struct store *store);
enum store_status store_replica_get(struct store *store, struct store_get *get);
void store_replica_lose(struct store *store);

/** store_take_write(first, last, write): out of its queue. store_give_write(): behind the last. */
void store_take_write(struct store_write **first, struct store_write **last,
                      struct store_write *write);
void store_give_write(struct store_write **first, struct store_write **last,
                      struct store_write *write);

/** store_finish(store, write, ack): it leaves the store. */
void store_finish(struct store *store, struct store_write *write, const struct store_ack *ack);

#endif
