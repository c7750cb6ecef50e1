/*
 * store_pg: the maker of the store over libpq, and its figures. Owned by the node's main.
 */
#ifndef RINGFENCE_STORE_PG_H
#define RINGFENCE_STORE_PG_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct hosts;
struct pg_conn;
struct replica;
struct store;

struct store_pg_conf {
    const char *conninfo;
    struct hosts *hosts; /* of conninfo; borrowed; NULL: conninfo as it stands */
    const char *table;   /* "schema.table", unquoted */
    const char *key_column, *payload_column, *active_column;
    int64_t read_connections, write_connections; /* at most 16 each */
    int64_t transaction_connections;             /* likewise; 0: there are no transactions */
    int64_t read_deadline_ms, write_deadline_ms; /* a connection silent for longer is closed */
    int64_t fills_max;         /* rows that store_get() has asked for at once; 0: as many as fit */
    int64_t fill_rate_max;     /* rows a second; 0: any number */
    const char *read_conninfo; /* of a standby; with `replica` */
    struct replica *replica;   /* says when that may be asked, and is told; borrowed; NULL: never */
    int64_t replica_timeout_ms; /* it answers within so long, or it is left alone for a while */
};

struct store_figures {
    uint64_t reads, read_batches, rows, writes, write_batches, retried_alone, errors, reconnects;
    uint32_t connections_up, connections, reads_waiting, writes_waiting;
    uint32_t timeline;     /* of the server that connections lead to; 0: none */
    uint64_t old_timeline; /* servers and connections refused, as another server was promoted */
    uint64_t replica_rows, replica_batches; /* keys that the replica was asked for */
    bool replica_up;
    const char *last_error; /* one clean line; "" without one */
};

/** store_pg_new(base, conf, error, error_size): connections start at once; `conf`'s strings are
 * borrowed. NULL with a text for a bad table name or without memory. */
struct store *store_pg_new(struct event_base *base, const struct store_pg_conf *conf, char *error,
                           unsigned error_size);

/** store_pg_free(store): everything that waits is answered first (DOWN, or UNCERTAIN if it was
 * sent). */
void store_pg_free(struct store **store);

/** store_pg_tick(store, now_mono_ms): time-outs and reconnects; call it every 50 ms or so. */
void store_pg_tick(struct store *store, int64_t now_mono_ms);

/** store_pg_leave(store): connections that lead where they must not any more (hosts_keeps) get
 * nothing from now on, and are closed. */
void store_pg_leave(struct store *store);

/** store_pg_trust(store, identity): rows and acks from servers of another identity are not
 * cacheable, and their connections are closed. Copies; "" trusts nobody. */
void store_pg_trust(struct store *store, const char *identity);

/** store_pg_moved(store): since the last call a connection came up that leads to another server
 * than the feed's: the feed had better look where it leads itself. */
bool store_pg_moved(struct store *store);

/** store_pg_lend(store): a connection of the pool that is up, another one each time, or NULL: for a
 * heartbeat's group. */
struct pg_conn *store_pg_lend(struct store *store);

/** store_pg_channel(store) / store_pg_table(store): the feed's channel, and the table as quoted
 * identifiers; live as long as the store. */
const char *store_pg_channel(const struct store *store);
const char *store_pg_table(const struct store *store);

void store_pg_figures(const struct store *store, struct store_figures *out);

#endif
