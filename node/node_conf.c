#include "node_conf.h"

#include "../common/conf.h"

#define FIELD(name) offsetof(struct node_conf, name)

static const char *const FORMATS[] = {
    [NODE_PAYLOAD_TEXT] = "text", [NODE_PAYLOAD_JSON] = "json", NULL};
static const char *const LEVELS[] = {"debug", "info", "warn", "error", NULL};

enum { KB = 1 << 10, MB = 1 << 20 };
#define TB      ((int64_t)1 << 40)
#define HOUR_MS ((int64_t)3600 * 1000)

static const struct conf_row ROWS[] = {
    {"name", CONF_STRING, FIELD(name), "node1", 0, 0, "", NULL, 0,
     "This node's name, as the ring file says it."},
    {"bind", CONF_STRING, FIELD(bind), "127.0.0.1", 0, 0, "", NULL, 0,
     "Address to listen on. A node knows no users: keep it where only proxies reach it."},
    {"protected-mode", CONF_BOOL, FIELD(protected_mode), "yes", 0, 0, "", NULL, 0,
     "Refuse to listen where other machines could connect: whoever can may do everything."},
    {"port", CONF_INT, FIELD(port), "7101", 0, 65535, "", NULL, 0,
     "Port to listen on; 0 picks a free one."},
    {"conninfo", CONF_STRING, FIELD(conninfo), "", 0, 0, "", NULL, CONF_SECRET,
     "PostgreSQL: a libpq connection string or URI. Of several hosts the one that takes writes "
     "is used, on the highest timeline: a promoted standby is followed. Empty: libpq's "
     "defaults."},
    {"read-conninfo", CONF_STRING, FIELD(read_conninfo), "", 0, 0, "", NULL, CONF_SECRET,
     "A streaming standby of it: misses are read there whenever it can be shown that the "
     "answer is no older than what this node knows. Empty: never."},
    {"replica-age-max-ms", CONF_INT, FIELD(replica_age_max_ms), "1000", 40, HOUR_MS, "ms", NULL, 0,
     "What the standby must have replayed was asked of the primary at most this long ago; more "
     "than fence-after-ms counts as that."},
    {"replica-timeout-ms", CONF_INT, FIELD(replica_timeout_ms), "40", 1, HOUR_MS, "ms", NULL, 0,
     "A miss that the standby does not answer in this time is read from the primary; below a "
     "third of read-timeout-ms."},
    {"table", CONF_STRING, FIELD(table), "ringfence.entry", 0, 0, "", NULL, 0,
     "The table, as schema.table."},
    {"key-column", CONF_STRING, FIELD(key_column), "key", 0, 0, "", NULL, 0,
     "Its column with the key."},
    {"payload-column", CONF_STRING, FIELD(payload_column), "payload", 0, 0, "", NULL, 0,
     "With the value."},
    {"active-column", CONF_STRING, FIELD(active_column), "active", 0, 0, "", NULL, 0,
     "With the active flag."},
    {"cache-bytes-max", CONF_BYTES, FIELD(cache_bytes_max), "256mb", 4 * MB, TB, "bytes", NULL, 0,
     "Memory of the cache: keys, values, table and all."},
    {"key-bytes-max", CONF_BYTES, FIELD(key_bytes_max), "1kb", 1, KB, "bytes", NULL, 0,
     "Longest key."},
    {"value-bytes-max", CONF_BYTES, FIELD(value_bytes_max), "1mb", 1, 16 * MB, "bytes", NULL, 0,
     "Longest value."},
    {"args-max", CONF_INT, FIELD(args_max), "4096", 8, MB, "", NULL, 0,
     "Arguments of one request."},
    {"payload-format", CONF_CHOICE, FIELD(payload_format), "text", 0, 0, "", FORMATS, 0,
     "json: a write whose value is not JSON is refused."},
    {"read-connections", CONF_INT, FIELD(read_connections), "2", 1, 16, "", NULL, 0,
     "Connections to PostgreSQL that misses are read on, in batches."},
    {"write-connections", CONF_INT, FIELD(write_connections), "1", 1, 16, "", NULL, 0,
     "Connections that writes are committed on, in groups. More of them commit slower: NOTIFY "
     "takes a lock."},
    {"transaction-connections", CONF_INT, FIELD(transaction_connections), "2", 1, 16, "", NULL, 0,
     "Connections that transactions (MULTI, EXEC) run on, each one at a time."},
    {"read-timeout-ms", CONF_INT, FIELD(read_timeout_ms), "150", 1, HOUR_MS, "ms", NULL, 0,
     "A read waits for PostgreSQL this long; below the proxies' request-timeout-ms."},
    {"write-timeout-ms", CONF_INT, FIELD(write_timeout_ms), "1800", 1, HOUR_MS, "ms", NULL, 0,
     "A write waits for its outcome this long; below the proxies' write-timeout-ms."},
    {"fence-after-ms", CONF_INT, FIELD(fence_after_ms), "2000", 100, HOUR_MS, "ms", NULL, 0,
     "Cached values are trusted while the newest heartbeat heard on the feed is at most this "
     "old."},
    {"stale-max-ms", CONF_INT, FIELD(stale_max_ms), "3600000", 0, 24 * HOUR_MS, "ms", NULL, 0,
     "While PostgreSQL cannot be reached, cached values are served this long."},
    {"fills-max", CONF_INT, FIELD(fills_max), "512", 1, 8192, "rows", NULL, 0,
     "Rows that this node asks PostgreSQL for at once, as after the loss of another node; "
     "further misses wait, within read-timeout-ms."},
    {"fill-rate-max", CONF_INT, FIELD(fill_rate_max), "0", 0, 100 * MB, "rows/s", NULL, 0,
     "Rows that this node asks PostgreSQL for per second; 0: as many as it answers."},
    {"pending-max", CONF_INT, FIELD(pending_max), "65536", 1, MB, "", NULL, 0,
     "Reads that may wait for PostgreSQL, and as many writes; one more is answered BUSY."},
    {"pending-bytes-max", CONF_BYTES, FIELD(pending_bytes_max), "64mb", 16 * MB, TB, "bytes", NULL,
     0, "Keys and values of the reads that wait, and as much of writes; beyond: BUSY."},
    {"clients-max", CONF_INT, FIELD(clients_max), "1024", 1, 65536, "", NULL, 0, "Connections."},
    {"output-bytes-max", CONF_BYTES, FIELD(output_bytes_max), "64mb", MB, TB, "bytes", NULL, 0,
     "Replies that a connection has not read; more, and it is closed."},
    {"keys-max", CONF_INT, FIELD(keys_max), "10000", 1, MB, "", NULL, 0,
     "KEYS gives at most so many; more, and it is an error."},
    {"allow-flush", CONF_BOOL, FIELD(allow_flush), "no", 0, 0, "", NULL, 0,
     "yes: FLUSHDB and FLUSHALL delete all keys, as DEL would."},
    {"expiry-sweep-ms", CONF_INT, FIELD(expiry_sweep_ms), "1000", 0, HOUR_MS, "ms", NULL, 0,
     "Rows whose time is over are deleted this often, by one node at a time; 0: never. Readers "
     "do not need it."},
    {"expiry-batch", CONF_INT, FIELD(expiry_batch), "1000", 1, 65536, "", NULL, 0,
     "At most so many at once; while there are as many, ten times as often."},
    {"log-level", CONF_CHOICE, FIELD(log_level), "info", 0, 0, "", LEVELS, 0,
     "Least level that is logged."},
};

const struct conf_row *node_conf_rows(size_t *count_out) {
    *count_out = sizeof(ROWS) / sizeof(ROWS[0]);
    return ROWS;
}
