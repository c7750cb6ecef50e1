/*
 * sim_client: a client of a proxy: random requests, several at a time, over one connection.
 */
#ifndef RINGFENCE_SIM_CLIENT_H
#define RINGFENCE_SIM_CLIENT_H

#include "sim.h"

struct conn;
struct conn_loop;
struct sim_client;

enum sim_op_kind {
    SIM_OP_GET,
    SIM_OP_MGET,
    SIM_OP_EXISTS,
    SIM_OP_WATCH,
    SIM_OP_QUEUE,     /* MULTI, or what follows it */
    SIM_OP_EXEC_READ, /* it only reads */
    /* From here on they write. */
    SIM_OP_SET,
    SIM_OP_SET_NX,
    SIM_OP_SET_XX,
    SIM_OP_GETSET,
    SIM_OP_GETDEL,
    SIM_OP_ADD, /* INCRBYFLOAT: the table makes a value that nobody else has made */
    SIM_OP_MSET,
    SIM_OP_MSETNX,
    SIM_OP_DEL,
    SIM_OP_EXEC,
    SIM_OP_KINDS
};

/* What a transaction does to a key. NX: all keys of this kind, which are the last ones, are set by
 * one MSETNX. */
enum sim_act { SIM_ACT_GET, SIM_ACT_SET, SIM_ACT_DEL, SIM_ACT_NX };

/* One request. */
struct sim_op {
    struct sim_op *next;       /* of its client, in the order of sending */
    struct sim_op *next_write; /* of all that write, for the checker's last look */
    struct sim_client *client;
    enum sim_op_kind kind;
    bool final; /* after everything has settled */
    uint32_t count;
    uint8_t keys[SIM_OP_KEYS_MAX];
    uint32_t values[SIM_OP_KEYS_MAX]; /* that it writes */
    int64_t sent_us;
    uint64_t stale; /* sim_nodes_stale() then */
    uint32_t floors[SIM_OP_KEYS_MAX];
    enum sim_act acts[SIM_OP_KEYS_MAX]; /* of EXEC */
    uint32_t watched;                   /* EXEC, WATCH: a bit mask of keys */
    int64_t watched_us;                 /* EXEC: when WATCH was sent */
    uint64_t watched_from;              /* and at which moment of the table */
    uint64_t moment;                    /* sim_db_moment() when it was sent */
    enum { SIM_OP_OPEN, SIM_OP_OK, SIM_OP_ERROR, SIM_OP_UNCERTAIN } outcome;
};

struct sim_client {
    struct sim_process process;
    unsigned proxy;
    struct conn_loop *loop;
    struct conn *conn;
    uint64_t life; /* of its connection */
    struct sim_op *first, *last;
    unsigned open;
    /* By key: the newest state that its earlier requests have seen or made; that its writes have.
     */
    uint32_t floors[SIM_KEYS_MAX], write_floors[SIM_KEYS_MAX];
    uint32_t watched; /* a bit mask of keys, until the next EXEC is sent */
    int64_t watched_us;
    uint64_t watched_from;
    bool watch_failed;       /* the newest WATCH that was answered */
    uint64_t watched_moment; /* when it was answered */
    char name[12];
};

/** sim_client_mix(i): how often each kind of request comes, out of a thousand; i <
 * SIM_MIXES_ALL. */
enum {
    SIM_MIXES = 4,
    /* Not among those drawn: */
    SIM_MIX_HOT = SIM_MIXES, /* mostly reads */
    SIM_MIX_READS,           /* reads, and a few writes of several keys */
    SIM_MIX_CROSSING,        /* writes of several keys, and such as may do nothing */
    SIM_MIXES_ALL
};
const unsigned *sim_client_mix(unsigned i);

struct sim_client *sim_clients_new(struct sim *sim);

/** sim_client_begin(client): the load begins: what it thought before led to nothing. */
void sim_client_begin(struct sim_client *client);

/** sim_client_leave(client): it closes its connection, and comes back. */
void sim_client_leave(struct sim_client *client);

/** sim_client_final(client): read every key; the answers must be what the table holds. */
void sim_client_final(struct sim_client *client);

#endif
