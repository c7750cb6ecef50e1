#include "proxy_conf.h"

#include "../common/conf.h"

#define INTEGER(field) CONF_INT, offsetof(struct proxy_conf, field)
#define BYTES(field)   CONF_BYTES, offsetof(struct proxy_conf, field)
#define BOOLEAN(field) CONF_BOOL, offsetof(struct proxy_conf, field)
#define STRING(field)  CONF_STRING, offsetof(struct proxy_conf, field)
#define CHOICE(field)  CONF_CHOICE, offsetof(struct proxy_conf, field)

enum { KB = 1024, MB = 1024 * KB };

/* In the order of enum log_level. */
static const char *const LOG_LEVELS[] = {"debug", "info", "warn", "error", NULL};

/* name, type and field, default, min, max, unit, choices, flags, help */
static const struct conf_row ROWS[] = {
    {"bind", STRING(bind), "localhost", 0, 0, "", NULL, 0,
     "Address or name to listen on; a name stands for all its addresses."},
    {"port", INTEGER(port), "6379", 0, 65535, "", NULL, 0,
     "TCP port for clients; 0 picks a free one."},
    {"port-shared", BOOLEAN(port_shared), "no", 0, 0, "", NULL, 0,
     "Listen even where another proxy that shares its port listens: for taking over from it."},
    {"ring-file", STRING(ring_file), "configs/ring.conf", 0, 0, "", NULL, 0,
     "The nodes; watched, and read again when it changes or on SIGHUP."},
    {"users-file", STRING(users_file), "", 0, 0, "", NULL, 0,
     "Who may do what, mode 0600; watched, and read again when it changes or on SIGHUP. Empty: "
     "everybody may do everything."},
    {"protected-mode", BOOLEAN(protected_mode), "yes", 0, 0, "", NULL, 0,
     "Without a users file, refuse to listen where other machines could connect."},
    {"auth-timeout-s", INTEGER(auth_timeout_s), "10", 1, 3600, "s", NULL, CONF_RELOADABLE,
     "Clients that do not authenticate within this time are closed."},
    {"unauthenticated-max", INTEGER(unauthenticated_max), "1000", 1, 1000000, "clients", NULL, 0,
     "Clients that have yet to authenticate, all workers together; beyond it the oldest is "
     "closed."},
    {"workers", INTEGER(workers), "0", 0, 64, "threads", NULL, 0,
     "Threads that serve clients; 0 is one per core, at most 8."},
    {"clients-max", INTEGER(clients_max), "10000", 1, 1000000, "clients", NULL, 0,
     "Clients connected at once, further ones are refused; lowered if too few files may be open."},
    {"request-timeout-ms", INTEGER(request_timeout_ms), "200", 1, 60000, "ms", NULL,
     CONF_RELOADABLE,
     "A read is answered within this time, tries at other nodes included, or gets TIMEOUT."},
    {"write-timeout-ms", INTEGER(write_timeout_ms), "2000", 1, 600000, "ms", NULL, CONF_RELOADABLE,
     "A write is answered within this time, or gets TIMEOUT or UNCERTAIN."},
    {"connect-timeout-ms", INTEGER(connect_timeout_ms), "500", 1, 60000, "ms", NULL,
     CONF_RELOADABLE, "A node that takes longer to connect to is tried again later."},
    {"node-retry-max-ms", INTEGER(node_retry_max_ms), "1000", 10, 60000, "ms", NULL, 0,
     "Longest pause between two tries to reach a node."},
    {"node-probation-max-ms", INTEGER(node_probation_max_ms), "10000", 0, 600000, "ms", NULL, 0,
     "A node that is lost again soon after it came back is passed over for up to this long; 0: not "
     "at all."},
    {"health-interval-ms", INTEGER(health_interval_ms), "500", 50, 60000, "ms", NULL,
     CONF_RELOADABLE, "Each node is asked for its status this often."},
    {"pipeline-max", INTEGER(pipeline_max), "1024", 1, 1000000, "requests", NULL, CONF_RELOADABLE,
     "Requests of one client that may wait for an answer; further ones wait in its socket."},
    {"batch-rest-us", INTEGER(batch_rest_us), "40", 0, 10000, "us", NULL, 0,
     "While many clients wait, a worker rests this long between two turns, so that their "
     "requests travel together, and the replies to one client's pipeline; 0 never."},
    {"transaction-commands-max", INTEGER(transaction_commands_max), "1024", 1, 65536, "commands",
     NULL, 0, "Commands of one client between MULTI and EXEC, and keys that it watches."},
    {"transaction-bytes-max", BYTES(transaction_bytes_max), "4mb", 64 * KB, 16 * MB, "bytes", NULL,
     0, "Bytes of the commands of one client between MULTI and EXEC."},
    {"tracking-table-max-keys", INTEGER(tracking_table_max_keys), "1000000", 1, 100000000, "keys",
     NULL, 0,
     "Keys remembered for clients that cache (CLIENT TRACKING), over all workers; beyond it an old "
     "one is invalidated."},
    {"subscriptions-max", INTEGER(subscriptions_max), "100000", 1, 100000000, "subscriptions", NULL,
     0, "Subscriptions of all clients (SUBSCRIBE, PSUBSCRIBE); further ones are refused."},
    {"patterns-max", INTEGER(patterns_max), "1000", 0, 100000, "patterns", NULL, 0,
     "Different patterns that clients may subscribe to: each costs something at every event."},
    {"node-inflight-max", INTEGER(node_inflight_max), "65536", 16, 4194304, "requests", NULL, 0,
     "Requests of one worker that may wait at one node; beyond that clients get BUSY."},
    {"args-max", INTEGER(args_max), "4096", 8, 1048576, "arguments", NULL, 0,
     "Arguments of one request, its name included."},
    {"key-bytes-max", BYTES(key_bytes_max), "1024", 1, 2048, "bytes", NULL, CONF_RELOADABLE,
     "Longest key; as in the nodes' configuration."},
    {"value-bytes-max", BYTES(value_bytes_max), "1mb", 1, 16 * MB, "bytes", NULL, CONF_RELOADABLE,
     "Longest value; as in the nodes' configuration."},
    {"output-bytes-max", BYTES(output_bytes_max), "64mb", 2 * MB, 4096LL * MB, "bytes", NULL, 0,
     "Replies that one client has not read yet; beyond that it is closed."},
    {"clients-bytes-max", BYTES(clients_bytes_max), "160mb", 0, 1024LL * 1024 * MB, "bytes", NULL,
     CONF_RELOADABLE,
     "Buffers of all clients together; beyond that the largest clients are closed. 0: no limit."},
    {"drain-ms", INTEGER(drain_ms), "10000", 0, 3600000, "ms", NULL, 0,
     "After SIGTERM clients may finish for this long."},
    {"client-idle-s", INTEGER(client_idle_s), "0", 0, 31536000, "s", NULL, CONF_RELOADABLE,
     "Clients that ask for nothing for this long are closed; 0 never."},
    {"slowlog-log-slower-than", INTEGER(slowlog_log_slower_than), "10000", -1, 3600000000, "us",
     NULL, CONF_RELOADABLE,
     "Requests that take at least this long are kept for SLOWLOG; 0: all, -1: none."},
    {"slowlog-max-len", INTEGER(slowlog_max_len), "128", 0, 100000, "requests", NULL,
     CONF_RELOADABLE, "Slow requests that each worker keeps."},
    {"hotkeys-sample", INTEGER(hotkeys_sample), "32", 0, 1000000, "requests", NULL, CONF_RELOADABLE,
     "One request in so many is counted for RF.HOTKEYS and OBJECT FREQ; 0: none."},
    {"hot-cache-bytes", BYTES(hot_cache_bytes), "0", 0, 1024 * MB, "bytes", NULL, 0,
     "Values of the hottest keys that each worker keeps; 0: none. A GET or MGET of such a key may "
     "then be old for a moment after a write through another proxy, as after an edit by SQL."},
    {"hot-cache-rate", INTEGER(hot_cache_rate), "1000", 1, 1000000000, "requests", NULL,
     CONF_RELOADABLE, "A key that a worker is asked for so often per second is hot."},
    {"hot-cache-ms", INTEGER(hot_cache_ms), "100", 1, 10000, "ms", NULL, 0,
     "A value is kept for this long at most, whatever is heard, and then asked for again."},
    {"allow-monitor", BOOLEAN(allow_monitor), "no", 0, 0, "", NULL, CONF_RELOADABLE,
     "MONITOR, which shows an admin what all clients ask for, keys and values."},
    {"monitor-sample", INTEGER(monitor_sample), "1", 1, 1000000, "requests", NULL, CONF_RELOADABLE,
     "One request in so many is shown by MONITOR."},
    {"allow-debug", BOOLEAN(allow_debug), "no", 0, 0, "", NULL, 0,
     "DEBUG SLEEP, which stops a worker and all its clients."},
    {"log-level", CHOICE(log_level), "info", 0, 0, "", LOG_LEVELS, CONF_RELOADABLE,
     "What is logged."},
    {"compat-redis-version", STRING(compat_redis_version), "7.4.0", 0, 0, "", NULL, 0,
     "The Redis version that HELLO and INFO name, for clients that look at it."},
};

const struct conf_row *proxy_conf_rows(size_t *count_out) {
    *count_out = sizeof(ROWS) / sizeof(ROWS[0]);
    return ROWS;
}
