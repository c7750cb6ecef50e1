/* SLOWLOG, LATENCY, and INFO's commandstats: how long requests took. */
#include <stdio.h>
#include <stdlib.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "local_private.h"
#include "slowlog.h"
#include "timing.h"

enum { SLOW_DEFAULT = 10, LINE_BYTES = 256 };

/* ---- SLOWLOG ---- */

/* As Redis cuts them: what is missing is counted in the last word. Values are never kept. */
static void write_args(const struct local_call *call, const struct slowlog_entry *e) {
    bool has_key = command_row(e->command)->first_key != 0;
    uint32_t shown = has_key ? 2 : 1;
    char text[SLOWLOG_KEY_BYTES + 40];
    resp_write_array(call->out, shown + (e->argc > shown));
    resp_write_bulk(call->out, span_str(command_row(e->command)->name));
    if (has_key && e->key.len <= SLOWLOG_KEY_BYTES) {
        resp_write_bulk(call->out, span_of(e->key.bytes, e->key.len));
    } else if (has_key) {
        int n = snprintf(text, sizeof(text), "%.*s... (%u more bytes)", SLOWLOG_KEY_BYTES,
                         e->key.bytes, (unsigned)e->key.len - SLOWLOG_KEY_BYTES);
        resp_write_bulk(call->out, span_of(text, (size_t)n));
    }
    if (e->argc > shown) {
        int n = snprintf(text, sizeof(text), "... (%u more arguments)", e->argc - shown);
        resp_write_bulk(call->out, span_of(text, (size_t)n));
    }
}

static void slow_get(const struct local_call *call) {
    int64_t count = SLOW_DEFAULT;
    size_t found = 0;
    if (call->argc > 3) {
        reply_error_with(call->out, REPLY_SUBCOMMAND_ARGS,
                         (struct span[]){SPAN("GET"), SPAN("SLOWLOG")}, 2);
        return;
    }
    if (call->argc == 3 && (!span_to_int64(call->argv[2], &count) || count < -1)) {
        reply_error(call->out, REPLY_SLOWLOG_COUNT, NULL);
        return;
    }
    struct slowlog_entry *entries =
        count == 0 || call->server->slowlog == NULL
            ? NULL
            : slowlog_get(call->server->slowlog, (uint64_t)count, &found);
    resp_write_array(call->out, found);
    for (size_t i = 0; i < found; i++) {
        resp_write_array(call->out, 6);
        resp_write_int(call->out, (int64_t)entries[i].id);
        resp_write_int(call->out, entries[i].wall_s);
        resp_write_int(call->out, entries[i].usec);
        write_args(call, &entries[i]);
        resp_write_bulk(call->out, span_str(entries[i].addr));
        resp_write_bulk(call->out, span_str(entries[i].name));
    }
    free(entries);
}

static void slow_len(const struct local_call *call) {
    struct slowlog *log = call->server->slowlog;
    resp_write_int(call->out, log == NULL ? 0 : (int64_t)slowlog_len(log));
}

static void slow_reset(const struct local_call *call) {
    if (call->server->slowlog != NULL)
        slowlog_reset(call->server->slowlog);
    resp_write_status(call->out, "OK");
}

static void slow_help(const struct local_call *call) {
    local_help(call, COMMAND_SLOWLOG);
}

const struct local_subcommand LOCAL_SLOWLOG_ROWS[] = {
    {"get", -2, "2.2.12", " [<count>]", "The latest slow requests, 10 if not said; -1: all.",
     slow_get, LOCAL_ADMIN},
    {"len", 2, "2.2.12", "", "How many there are.", slow_len, LOCAL_ADMIN},
    {"reset", 2, "2.2.12", "", "Forgets them.", slow_reset, LOCAL_ADMIN},
    {"help", 2, "6.2.0", "", "This text.", slow_help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};

/* ---- sums over the workers ---- */

struct sum {
    uint64_t calls, usec, rejected, failed, timed;
    uint64_t buckets[TIMING_BUCKETS];
};

static void add_up(const struct local_server *server, int id, struct sum *out) {
    *out = (struct sum){0};
    for (unsigned w = 0; server->timings != NULL && w < server->workers; w++) {
        const struct timing_row *row = &server->timings[w]->rows[id];
        out->calls += stats_get(&row->calls);
        out->usec += stats_get(&row->usec);
        out->rejected += stats_get(&row->rejected);
        out->failed += stats_get(&row->failed);
        out->timed += stats_get(&row->timed);
        for (unsigned i = 0; i < TIMING_BUCKETS; i++)
            out->buckets[i] += stats_get(&row->buckets[i]);
    }
}

void local_commandstats(const struct local_server *server, struct buf *out) {
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        struct sum s;
        char line[LINE_BYTES];
        add_up(server, id, &s);
        if (s.calls == 0 && s.rejected == 0)
            continue;
        int n =
            snprintf(line, sizeof(line),
                     "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
                     "failed_calls=%llu\r\n",
                     command_row(id)->name, (unsigned long long)s.calls, (unsigned long long)s.usec,
                     s.calls == 0 ? 0 : (double)s.usec / (double)s.calls,
                     (unsigned long long)s.rejected, (unsigned long long)s.failed);
        buf_append(out, line, (size_t)n);
    }
}

/* ---- LATENCY ---- */

static void write_histogram(const struct local_call *call, int id, const struct sum *s) {
    int proto = call->client->proto;
    uint64_t shown = 0, below = 0;
    for (unsigned i = 0; i < TIMING_BUCKETS; i++)
        shown += s->buckets[i] != 0;
    resp_write_bulk(call->out, span_str(command_row(id)->name));
    resp_write_map(call->out, 2, proto);
    local_write_int(call, "calls", (int64_t)s->timed);
    resp_write_bulk(call->out, SPAN("histogram_usec"));
    resp_write_map(call->out, shown, proto);
    for (unsigned i = 0; i < TIMING_BUCKETS; i++) {
        below += s->buckets[i];
        if (s->buckets[i] == 0)
            continue;
        resp_write_int(call->out, (int64_t)1 << i);
        resp_write_int(call->out, (int64_t)below);
    }
}

/* A name in argv[2 ...], or no names at all. */
static bool is_asked(const struct local_call *call, int id) {
    for (uint32_t i = 2; i < call->argc; i++) {
        if (command_find(call->argv[i]) == id)
            return true;
    }
    return call->argc == 2;
}

static void histogram(const struct local_call *call) {
    uint64_t found = 0;
    struct sum s;
    bool shown[COMMAND_COUNT_OF];
    if (local_too_many_names(call))
        return;
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        shown[id] = is_asked(call, id);
        if (shown[id])
            add_up(call->server, id, &s);
        shown[id] = shown[id] && s.timed != 0;
        found += shown[id];
    }
    resp_write_map(call->out, found, call->client->proto);
    for (int id = 0; id < COMMAND_COUNT_OF; id++) {
        if (!shown[id])
            continue;
        add_up(call->server, id, &s);
        write_histogram(call, id, &s);
    }
}

/* Events of the process are not watched here: there is no list of them. */
static void no_events(const struct local_call *call) {
    resp_write_array(call->out, 0);
}

static void reset_events(const struct local_call *call) {
    resp_write_int(call->out, 0);
}

static void doctor(const struct local_call *call) {
    resp_write_verbatim(call->out,
                        SPAN("Events of the process are not watched. LATENCY HISTOGRAM says how "
                             "long each command took, SLOWLOG GET which requests took long."),
                        call->client->proto);
}

static void latency_help(const struct local_call *call) {
    local_help(call, COMMAND_LATENCY);
}

const struct local_subcommand LOCAL_LATENCY_ROWS[] = {
    {"histogram", -2, "7.0.0", " [<name> ...]",
     "How long commands took: for each power of two, in microseconds, how many took no longer.",
     histogram, LOCAL_ADMIN},
    {"latest", 2, "2.8.13", "", "Empty: events are not watched.", no_events, LOCAL_ADMIN},
    {"history", 3, "2.8.13", " <event>", "Empty: events are not watched.", no_events, LOCAL_ADMIN},
    {"reset", -2, "2.8.13", " [<event> ...]", "Nothing to reset; CONFIG RESETSTAT resets times.",
     reset_events, LOCAL_ADMIN},
    {"doctor", 2, "2.8.13", "", "Where to look.", doctor, LOCAL_ADMIN},
    {"help", 2, "2.8.13", "", "This text.", latency_help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};
