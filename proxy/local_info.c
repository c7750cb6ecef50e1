#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../common/buf.h"
#include "../common/clock.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "../common/ring.h"
#include "../common/version.h"
#include "board.h"
#include "local_private.h"
#include "proxy_conf.h"
#include "proxy_stats.h"
#include "topology.h"

/* Figures that nodes send with RF.STATUS. */
struct figures {
    uint64_t keys, hits, misses, evicted, expired, db_up, db_reads, db_writes;
    uint64_t feed_lag_ms; /* the largest; UINT64_MAX: a node hears no feed */
    uint64_t memory;
    uint64_t heard; /* nodes that said anything */
};

struct info {
    const struct local_call *call;
    struct buf text;
    struct figures total;
};

static void line(struct info *info, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line(struct info *info, const char *fmt, ...) {
    char room[768];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(room, sizeof(room) - 2, fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(room) - 2 ? (size_t)n : sizeof(room) - 3;
    room[len] = '\r';
    room[len + 1] = '\n';
    buf_append(&info->text, room, len + 2);
}

static unsigned long long wide(uint64_t n) {
    return n;
}

/* ---- what nodes say ---- */

/* The number in the line `name:number` of a node's status. Returns false without such a line. */
static bool status_number(struct span status, const char *name, uint64_t *out) {
    size_t name_len = strlen(name);
    const char *at = status.ptr, *end = status.ptr + status.len;
    while (at < end) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((eol != NULL ? eol : end) - at);
        if (len > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == ':') {
            uint64_t n = 0;
            for (size_t i = name_len + 1; i < len && at[i] >= '0' && at[i] <= '9'; i++)
                n = n * 10 + (uint64_t)(at[i] - '0');
            *out = len > name_len + 1 && at[name_len + 1] == '-' ? UINT64_MAX : n;
            return true;
        }
        at = eol != NULL ? eol + 1 : end;
    }
    return false;
}

static void read_status(struct span status, struct figures *out) {
    *out = (struct figures){.heard = status.len != 0};
    status_number(status, "keys", &out->keys);
    status_number(status, "keyspace_hits", &out->hits);
    status_number(status, "keyspace_misses", &out->misses);
    status_number(status, "evicted_keys", &out->evicted);
    status_number(status, "expired_keys", &out->expired);
    status_number(status, "used_memory", &out->memory);
    status_number(status, "db_up", &out->db_up);
    status_number(status, "db_reads", &out->db_reads);
    status_number(status, "db_writes", &out->db_writes);
    status_number(status, "feed_lag_ms", &out->feed_lag_ms);
}

static struct figures add_up(const struct topology *t) {
    struct figures sum = {0};
    size_t count = topology_count(t);
    for (size_t i = 0; i < count; i++) {
        struct topology_node node;
        struct figures f;
        topology_node(t, (uint32_t)i, &node);
        if (!node.reachable) /* what it said when it was counts no more */
            continue;
        read_status(node.status, &f);
        sum.heard += f.heard;
        sum.keys += f.keys;
        sum.hits += f.hits;
        sum.misses += f.misses;
        sum.evicted += f.evicted;
        sum.expired += f.expired;
        sum.memory += f.memory;
        sum.db_up += f.db_up != 0;
        sum.db_reads += f.db_reads;
        sum.db_writes += f.db_writes;
        if (f.feed_lag_ms > sum.feed_lag_ms)
            sum.feed_lag_ms = f.feed_lag_ms;
    }
    return sum;
}

static double ratio(uint64_t part, uint64_t rest) {
    return part + rest == 0 ? 0 : (double)part / (double)(part + rest);
}

/* ---- what workers count ---- */

/* One of them, over all workers. */
static uint64_t sum(const struct info *info, enum proxy_stat stat) {
    const struct local_server *server = info->call->server;
    uint64_t n = 0;
    for (unsigned w = 0; w < server->workers; w++)
        n += stats_get(&server->worker_stats[w][stat]);
    return n;
}

/* The counters of one section, over all workers: the sum, or the largest where each worker counts
 * the same event. */
static void counters(struct info *info, const char *section) {
    const struct local_server *server = info->call->server;
    bool largest = strcmp(section, "ring") == 0;
    for (int stat = 0; stat < PROXY_STAT_COUNT; stat++) {
        const struct stats_row *row = proxy_stats_row((enum proxy_stat)stat);
        if (strcmp(row->section, section) != 0)
            continue;
        uint64_t value = 0;
        for (unsigned w = 0; w < server->workers; w++) {
            uint64_t n = stats_get(&server->worker_stats[w][stat]);
            value = !largest ? value + n : n > value ? n : value;
        }
        line(info, "%s:%llu", row->name, wide(value));
    }
}

/* ---- sections ---- */

static void server(struct info *info) {
    const struct local_server *s = info->call->server;
    struct utsname os = {.sysname = ""};
    char executable[512];
    ssize_t len = readlink("/proc/self/exe", executable, sizeof(executable) - 1);
    executable[len > 0 ? len : 0] = '\0';
    uname(&os);
    int64_t uptime_s = (clock_mono_ms() - s->started_mono_ms) / 1000;
    line(info, "redis_version:%.64s", s->conf->compat_redis_version);
    line(info, "ringfence_version:%s", RINGFENCE_VERSION);
    line(info, "redis_mode:standalone");
    line(info, "os:%s %s %s", os.sysname, os.release, os.machine);
    line(info, "arch_bits:%d", (int)(8 * sizeof(void *)));
    line(info, "multiplexing_api:libevent");
    line(info, "process_id:%ld", (long)getpid());
    line(info, "run_id:%s", s->run_id);
    line(info, "tcp_port:%u", s->port);
    line(info, "server_time_usec:%lld", (long long)clock_wall_us());
    line(info, "uptime_in_seconds:%lld", (long long)uptime_s);
    line(info, "uptime_in_days:%lld", (long long)(uptime_s / 86400));
    line(info, "executable:%s", executable);
    line(info, "config_file:%s", s->config_file);
    line(info, "worker_threads:%u", s->workers);
}

static void clients(struct info *info) {
    counters(info, "clients");
    line(info, "maxclients:%lld", (long long)info->call->server->conf->clients_max);
    line(info, "blocked_clients:0");
}

static uint64_t resident_bytes(void) {
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void human(struct info *info, const char *name, uint64_t bytes) {
    static const char UNITS[] = "BKMGT";
    double n = (double)bytes;
    size_t unit = 0;
    while (n >= 1024 && unit + 2 < sizeof(UNITS)) {
        n /= 1024;
        unit++;
    }
    line(info, unit == 0 ? "%s_human:%.0f%c" : "%s_human:%.2f%c", name, n, UNITS[unit]);
}

/* The proxy's own memory: the values are in the nodes. */
static void memory(struct info *info) {
    struct mallinfo2 heap = mallinfo2();
    struct rusage usage = {.ru_maxrss = 0};
    getrusage(RUSAGE_SELF, &usage);
    uint64_t used = heap.uordblks + heap.hblkhd, resident = resident_bytes();
    line(info, "used_memory:%llu", wide(used));
    human(info, "used_memory", used);
    line(info, "used_memory_rss:%llu", wide(resident));
    human(info, "used_memory_rss", resident);
    line(info, "used_memory_peak:%llu", wide((uint64_t)usage.ru_maxrss * 1024));
    human(info, "used_memory_peak", (uint64_t)usage.ru_maxrss * 1024);
    counters(info, "memory");
    line(info, "maxmemory:0");
    line(info, "maxmemory_policy:noeviction");
    line(info, "mem_fragmentation_ratio:%.2f", used == 0 ? 0 : (double)resident / (double)used);
    line(info, "mem_allocator:libc");
}

static void persistence(struct info *info) {
    line(info, "loading:0");
    line(info, "async_loading:0");
    line(info, "rdb_bgsave_in_progress:0");
    line(info, "aof_enabled:0");
    line(info, "aof_rewrite_in_progress:0");
}

static void stats(struct info *info) {
    counters(info, "stats");
    line(info, "instantaneous_input_kbps:%.2f", (double)sum(info, PROXY_STAT_BYTES_IN_RATE) / 1024);
    line(info, "instantaneous_output_kbps:%.2f",
         (double)sum(info, PROXY_STAT_BYTES_OUT_RATE) / 1024);
    line(info, "keyspace_hits:%llu", wide(info->total.hits));
    line(info, "keyspace_misses:%llu", wide(info->total.misses));
    line(info, "expired_keys:%llu", wide(info->total.expired));
    line(info, "evicted_keys:%llu", wide(info->total.evicted));
    struct board *board = info->call->server->board;
    line(info, "pubsub_channels:%llu",
         wide(board == NULL ? 0 : board_names(board, BOARD_CHANNELS)));
    line(info, "pubsub_patterns:%llu",
         wide(board == NULL ? 0 : board_names(board, BOARD_PATTERNS)));
}

static void replication(struct info *info) {
    line(info, "role:master");
    line(info, "connected_slaves:0");
}

static void cpu(struct info *info) {
    struct rusage usage = {.ru_maxrss = 0};
    getrusage(RUSAGE_SELF, &usage);
    line(info, "used_cpu_sys:%lld.%06ld", (long long)usage.ru_stime.tv_sec,
         (long)usage.ru_stime.tv_usec);
    line(info, "used_cpu_user:%lld.%06ld", (long long)usage.ru_utime.tv_sec,
         (long)usage.ru_utime.tv_usec);
}

static void cluster(struct info *info) {
    line(info, "cluster_enabled:0");
}

static const char *state_name(enum ring_state state) {
    switch (state) {
    case RING_UP:
        return "up";
    case RING_DRAIN:
        return "drain";
    case RING_DOWN:
        return "down";
    }
    return "unknown";
}

static void ring_node(struct info *info, uint32_t index, const struct ring_member *member) {
    struct topology_node node;
    struct figures f;
    topology_node(info->call->server->topology, index, &node);
    read_status(node.status, &f);
    line(info,
         "node%u:name=%s,host=%s,port=%u,state=%s,weight=%u,share=%u.%06u,reachable=%d,inflight=%u,"
         "status_age_ms=%lld,keys=%llu,hit_ratio=%.4f",
         index, node.name, node.host, node.port, state_name(member->state), member->weight,
         node.share_ppm / 1000000, node.share_ppm % 1000000, node.reachable, node.inflight,
         (long long)node.status_age_ms, wide(f.keys), ratio(f.hits, f.misses));
}

static void ring(struct info *info) {
    const struct topology *t = info->call->server->topology;
    const struct ring *r = topology_ring(t);
    size_t count = topology_count(t);
    line(info, "ring_file:%s", topology_path(t));
    line(info, "ring_epoch:%llu", wide(topology_epoch(t)));
    if (r == NULL)
        return;
    line(info, "ring_checksum:%016llx", wide(ring_checksum(r)));
    counters(info, "ring");
    line(info, "ring_nodes:%zu", count);
    line(info, "ring_nodes_heard:%llu", wide(info->total.heard));
    line(info, "ring_memory:%llu", wide(info->total.memory));
    line(info, "ring_hit_ratio:%.4f", ratio(info->total.hits, info->total.misses));
    for (size_t i = 0; i < count; i++)
        ring_node(info, (uint32_t)i, ring_at(r, (uint32_t)i));
}

/* db_up means: every node that was heard reaches it. */
static void database(struct info *info) {
    const struct figures *f = &info->total;
    line(info, "db_up:%d", f->heard != 0 && f->db_up == f->heard);
    line(info, "db_nodes_up:%llu", wide(f->db_up));
    line(info, "db_reads:%llu", wide(f->db_reads));
    line(info, "db_writes:%llu", wide(f->db_writes));
    line(info, "feed_lag_ms:%lld",
         f->heard == 0 || f->feed_lag_ms > INT64_MAX ? -1LL : (long long)f->feed_lag_ms);
}

/* Only shown to who asks for it, or for everything. */
static void commandstats(struct info *info) {
    local_commandstats(info->call->server, &info->text);
}

/* Keys that are cached; DBSIZE asks the database how many there are. How many of them have a time
 * to live nobody counts (docs/inspection.md). */
static void keyspace(struct info *info) {
    if (info->total.keys != 0)
        line(info, "db0:keys=%llu,expires=0,avg_ttl=0", wide(info->total.keys));
}

/* ---- the reply ---- */

static const struct {
    const char *title;
    void (*write)(struct info *info);
    bool if_asked; /* not a part of INFO alone */
} SECTIONS[] = {
    {"Server", server, false},
    {"Clients", clients, false},
    {"Memory", memory, false},
    {"Persistence", persistence, false},
    {"Stats", stats, false},
    {"Replication", replication, false},
    {"CPU", cpu, false},
    {"Cluster", cluster, false},
    {"Ring", ring, false},
    {"Database", database, false},
    {"Commandstats", commandstats, true},
    {"Keyspace", keyspace, false},
};

enum { SECTIONS_COUNT = sizeof(SECTIONS) / sizeof(SECTIONS[0]), NAMES_MAX = 64 };

static bool is_wanted(const struct local_call *call, const char *title, bool if_asked) {
    if (call->argc == 1)
        return !if_asked;
    for (uint32_t i = 1; i < call->argc && i <= NAMES_MAX; i++) {
        struct span name = call->argv[i];
        if (span_equal_nocase(name, span_str(title)) || span_equal_nocase(name, SPAN("all")) ||
            (!if_asked && span_equal_nocase(name, SPAN("default"))) ||
            span_equal_nocase(name, SPAN("everything")))
            return true;
    }
    return false;
}

void local_info(const struct local_call *call) {
    struct info info = {.call = call, .total = add_up(call->server->topology)};
    buf_init(&info.text, (size_t)call->server->conf->output_bytes_max);
    for (size_t i = 0; i < SECTIONS_COUNT; i++) {
        if (!is_wanted(call, SECTIONS[i].title, SECTIONS[i].if_asked))
            continue;
        if (buf_len(&info.text) != 0)
            buf_append(&info.text, "\r\n", 2);
        line(&info, "# %s", SECTIONS[i].title);
        SECTIONS[i].write(&info);
    }
    if (info.text.failed)
        reply_error(call->out, REPLY_OOM, NULL);
    else
        resp_write_verbatim(call->out, span_of(buf_head(&info.text), buf_len(&info.text)),
                            call->client->proto);
    buf_release(&info.text);
}
