#include "status.h"

#include <stdio.h>
#include <unistd.h>

#include "../common/buf.h"
#include "../common/clock.h"
#include "../common/log.h"
#include "../common/version.h"
#include "cache.h"
#include "feed_pg.h"
#include "node_conf.h"
#include "node_stats.h"
#include "replica.h"
#include "server.h"
#include "store_pg.h"
#include "through.h"

static void collect_replica(const struct server *s, const struct store_figures *d, uint64_t *v) {
    int64_t age_ms = replica_age_ms(s->replica, clock_mono_ms());
    v[NODE_STAT_REPLICA_UP] = d->replica_up;
    v[NODE_STAT_REPLICA_AGE_MS] = age_ms < 0 ? UINT32_MAX : (uint64_t)age_ms;
    v[NODE_STAT_REPLICA_FLOORS] = replica_counters(s->replica)->floors;
    v[NODE_STAT_REPLICA_FILLS] = through_counters(s->through)->replica_fills;
    v[NODE_STAT_REPLICA_REFUSED] = through_counters(s->through)->replica_refused;
    v[NODE_STAT_REPLICA_BATCHES] = d->replica_batches;
    v[NODE_STAT_REPLICA_FAILURES] = replica_counters(s->replica)->failures;
}

static void collect(const struct server *s, uint64_t *v) {
    const struct through_counters *t = through_counters(s->through);
    struct cache_stats c;
    struct store_figures d;
    cache_stats_get(s->cache, &c);
    store_pg_figures(s->store, &d);
    int64_t lag_ms = through_lag_ms(s->through, clock_mono_ms());
    v[NODE_STAT_CLIENTS] = s->sessions_count;
    v[NODE_STAT_CONNECTIONS] = s->sessions_made;
    v[NODE_STAT_REFUSED] = s->sessions_refused;
    v[NODE_STAT_COMMANDS] = s->commands;
    v[NODE_STAT_ERRORS] = s->errors;
    v[NODE_STAT_DEFERRED] = s->deferred;
    v[NODE_STAT_HITS] = t->hits;
    v[NODE_STAT_MISSES] = t->misses;
    v[NODE_STAT_NEGATIVE_HITS] = t->negative_hits;
    v[NODE_STAT_COALESCED] = t->coalesced;
    v[NODE_STAT_STALE] = t->stale_served;
    v[NODE_STAT_FILLS] = t->fills;
    v[NODE_STAT_OVERTAKEN] = t->fills_overtaken;
    v[NODE_STAT_FILLS_UNWANTED] = t->fills_unwanted;
    v[NODE_STAT_BUSY] = t->refused_busy;
    v[NODE_STAT_WRITES] = t->writes;
    v[NODE_STAT_UNCERTAIN] = t->writes_uncertain;
    v[NODE_STAT_ACKS_DROPPED] = t->acks_dropped;
    v[NODE_STAT_INVALIDATIONS] = t->invalidations;
    v[NODE_STAT_EVERYTHING] = t->everything;
    v[NODE_STAT_EPOCH] = through_epoch(s->through);
    v[NODE_STAT_PENDING] = through_pending(s->through);
    v[NODE_STAT_ITEMS] = c.items;
    v[NODE_STAT_ABSENT_ITEMS] = c.absent_items;
    v[NODE_STAT_KEYS] = c.items - c.absent_items;
    v[NODE_STAT_BYTES_USED] = c.bytes_used;
    v[NODE_STAT_BYTES_LIVE] = c.bytes_live;
    v[NODE_STAT_BYTES_MAX] = (uint64_t)s->conf->cache_bytes_max;
    v[NODE_STAT_EVICTED] = c.evicted;
    v[NODE_STAT_EXPIRED] = s->swept;
    v[NODE_STAT_DB_UP] = store_up(s->store);
    v[NODE_STAT_DB_CONNECTIONS] = d.connections_up;
    v[NODE_STAT_FEED_UP] = (uint64_t)feed_pg_is_up(s->feed);
    v[NODE_STAT_FEED_LAG_MS] = lag_ms == INT64_MAX ? UINT32_MAX : (uint64_t)lag_ms;
    v[NODE_STAT_DB_READS] = d.reads;
    v[NODE_STAT_DB_READ_BATCHES] = d.read_batches;
    v[NODE_STAT_DB_WRITES] = d.writes;
    v[NODE_STAT_DB_WRITE_BATCHES] = d.write_batches;
    v[NODE_STAT_DB_RETRIED] = d.retried_alone;
    v[NODE_STAT_DB_ERRORS] = d.errors;
    v[NODE_STAT_DB_RECONNECTS] = d.reconnects + feed_pg_reconnects(s->feed);
    v[NODE_STAT_DB_TIMELINE] = d.timeline;
    v[NODE_STAT_DB_OLD] = d.old_timeline;
    v[NODE_STAT_REPLICA_AGE_MS] = UINT32_MAX;
    if (s->replica != NULL)
        collect_replica(s, &d, v);
}

static void line(struct buf *out, const char *name, unsigned long long value) {
    char text[128];
    int n = snprintf(text, sizeof(text), "%s:%llu\r\n", name, value);
    buf_append(out, text, (size_t)n);
}

static void words(struct buf *out, const char *name, const char *value) {
    char text[400];
    int n = snprintf(text, sizeof(text), "%s:%.300s\r\n", name, value);
    buf_append(out, text, (size_t)n);
}

void status_lines(const struct server *server, struct buf *out) {
    uint64_t values[NODE_STAT_COUNT] = {0};
    collect(server, values);
    words(out, "node", server->conf->name);
    line(out, "uptime_in_seconds",
         (unsigned long long)(clock_mono_ms() - server->started_mono_ms) / 1000);
    for (int i = 0; i < NODE_STAT_COUNT; i++)
        line(out, node_stats_row((enum node_stat)i)->name, values[i]);
}

static void info_server(const struct server *s, struct buf *out) {
    struct store_figures d;
    store_pg_figures(s->store, &d);
    words(out, "# Server\r\nredis_version", "7.4.0");
    words(out, "ringfence_version", RINGFENCE_VERSION);
    words(out, "redis_mode", "standalone");
    words(out, "node", s->conf->name);
    line(out, "process_id", (unsigned long long)getpid());
    line(out, "tcp_port", s->port);
    line(out, "uptime_in_seconds",
         (unsigned long long)(clock_mono_ms() - s->started_mono_ms) / 1000);
    words(out, "db_last_error", d.last_error);
    buf_append(out, "\r\n", 2);
}

void status_info(const struct server *server, struct span section, struct buf *out) {
    static const char *const SECTIONS[] = {"clients", "memory", "stats", "database"};
    static const char *const HEADS[] = {"# Clients\r\n", "# Memory\r\n", "# Stats\r\n",
                                        "# Database\r\n"};
    uint64_t values[NODE_STAT_COUNT] = {0};
    bool all = section.len == 0 || span_equal_nocase(section, SPAN("all")) ||
               span_equal_nocase(section, SPAN("default")) ||
               span_equal_nocase(section, SPAN("everything"));
    collect(server, values);
    if (all || span_equal_nocase(section, SPAN("server")))
        info_server(server, out);
    for (size_t i = 0; i < sizeof(SECTIONS) / sizeof(SECTIONS[0]); i++) {
        if (!all && !span_equal_nocase(section, span_str(SECTIONS[i])))
            continue;
        buf_append_span(out, span_str(HEADS[i]));
        for (int stat = 0; stat < NODE_STAT_COUNT; stat++) {
            const struct stats_row *row = node_stats_row((enum node_stat)stat);
            if (strcmp(row->section, SECTIONS[i]) == 0)
                line(out, row->name, values[stat]);
        }
        buf_append(out, "\r\n", 2);
    }
    if (all)
        line(out, "# Persistence\r\nloading", server->starting);
}

void status_log(const struct server *server) {
    uint64_t values[NODE_STAT_COUNT] = {0};
    collect(server, values);
    for (int i = 0; i < NODE_STAT_COUNT; i++)
        log_event(LOG_LEVEL_INFO, "figure", "%s=%llu", node_stats_row((enum node_stat)i)->name,
                  (unsigned long long)values[i]);
}
