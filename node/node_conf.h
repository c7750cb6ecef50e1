/*
 * node_conf: the node's options, declared once. Owned by main; the rest borrows it.
 */
#ifndef RINGFENCE_NODE_CONF_H
#define RINGFENCE_NODE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_row;

enum node_payload_format { NODE_PAYLOAD_TEXT, NODE_PAYLOAD_JSON };

struct node_conf {
    char *name, *bind;
    bool protected_mode; /* listen on loopback addresses only */
    int64_t port;
    char *conninfo, *read_conninfo, *table, *key_column, *payload_column, *active_column;
    int64_t cache_bytes_max, key_bytes_max, value_bytes_max, args_max, payload_format;
    int64_t read_connections, write_connections, transaction_connections;
    int64_t replica_age_max_ms, replica_timeout_ms;
    int64_t read_timeout_ms, write_timeout_ms, fence_after_ms, stale_max_ms;
    int64_t fills_max, fill_rate_max, pending_bytes_max;
    int64_t pending_max, clients_max, output_bytes_max, log_level;
    int64_t keys_max, expiry_sweep_ms, expiry_batch;
    bool allow_flush;
};

/** node_conf_rows(count_out): the table of rows (see conf.h). */
const struct conf_row *node_conf_rows(size_t *count_out);

#endif
