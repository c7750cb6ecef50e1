/*
 * ringfence-load: the load generator. `ringfence-load --help` lists the options; figures go to
 * stdout, and as JSON to a file.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/conf.h"
#include "cpu.h"
#include "load.h"

enum { THREADS_MAX = 64, WATCHED_MAX = 16, WATCHED_PIDS_MAX = 64, TIMELINE_MAX = 3600 };

#define FIELD(name) offsetof(struct load_conf, name)

static const char *const PROTOCOLS[] = {[LOAD_RESP] = "resp", [LOAD_MEMCACHED] = "memcached", NULL};

static const struct conf_row ROWS[] = {
    {"host", CONF_STRING, FIELD(host), "127.0.0.1", 0, 0, "", NULL, 0, "where to connect"},
    {"port", CONF_INT, FIELD(port), "6379", 1, 65535, "", NULL, 0, "port"},
    {"protocol", CONF_CHOICE, FIELD(protocol), "resp", 0, 0, "", PROTOCOLS, 0,
     "what the server speaks"},
    {"clients", CONF_INT, FIELD(clients), "50", 1, 20000, "", NULL, 0, "connections"},
    {"threads", CONF_INT, FIELD(threads), "1", 1, THREADS_MAX, "", NULL, 0,
     "threads that share them"},
    {"pipeline", CONF_INT, FIELD(pipeline), "1", 1, 10000, "", NULL, 0,
     "requests a connection has unanswered"},
    {"seconds", CONF_INT, FIELD(seconds), "5", 1, 3600, "s", NULL, 0, "how long is measured"},
    {"warmup", CONF_INT, FIELD(warmup_s), "1", 0, 600, "s", NULL, 0, "before that"},
    {"requests", CONF_INT, FIELD(requests), "0", 0, INT64_MAX, "", NULL, 0,
     "stop after so many; 0: by time"},
    {"rate", CONF_INT, FIELD(rate), "0", 0, 10000000, "1/s", NULL, 0,
     "open loop: requests a second in all, latency from the intended start; 0: closed loop"},
    {"keys", CONF_INT, FIELD(keys), "100000", 1, UINT32_MAX, "", NULL, 0, "different keys"},
    {"zipf", CONF_STRING, FIELD(zipf), "0", 0, 0, "", NULL, 0,
     "exponent of the keys' distribution; 0: uniform"},
    {"gets", CONF_INT, FIELD(gets), "1", 0, 1000000, "", NULL, 0, "weight of GET in the mix"},
    {"sets", CONF_INT, FIELD(sets), "0", 0, 1000000, "", NULL, 0, "weight of SET"},
    {"mgets", CONF_INT, FIELD(mgets), "0", 0, 1000000, "", NULL, 0, "weight of MGET"},
    {"mget-keys-min", CONF_INT, FIELD(mget_keys_min), "5", 1, 1000, "", NULL, 0,
     "keys of an MGET, at least"},
    {"mget-keys-max", CONF_INT, FIELD(mget_keys_max), "5", 1, 1000, "", NULL, 0, "and at most"},
    {"value-min", CONF_BYTES, FIELD(value_min), "100", 1, 1 << 20, "bytes", NULL, 0,
     "smallest value"},
    {"value-max", CONF_BYTES, FIELD(value_max), "100", 1, 1 << 20, "bytes", NULL, 0,
     "largest; sizes are log-uniform"},
    {"json", CONF_BOOL, FIELD(json_values), "yes", 0, 0, "", NULL, 0, "values are JSON objects"},
    {"prefix", CONF_STRING, FIELD(prefix), "bench:", 0, 0, "", NULL, 0,
     "keys begin with this (at most 40 bytes)"},
    {"key-offset", CONF_INT, FIELD(key_offset), "0", 0, INT64_MAX, "", NULL, 0,
     "added to each key's number"},
    {"once", CONF_BOOL, FIELD(once), "no", 0, 0, "", NULL, 0,
     "each key once, in a scattered order: to fill, or to read cold"},
    {"seed", CONF_INT, FIELD(seed), "1", 0, INT64_MAX, "", NULL, 0, "of all random numbers"},
    {"pids", CONF_STRING, FIELD(pids), "", 0, 0, "", NULL, 0,
     "name=pid+pid,...: report their CPU time per request; pids joined by + count as one"},
    {"json-file", CONF_STRING, FIELD(json_file), "", 0, 0, "", NULL, 0, "write the figures here"},
    {"timeline", CONF_BOOL, FIELD(timeline), "no", 0, 0, "", NULL, 0,
     "a line a second with the rate"},
    {"quiet", CONF_BOOL, FIELD(quiet), "no", 0, 0, "", NULL, 0, "no figures on stdout"},
};

static const char *const OPS[] = {[LOAD_GET] = "get", [LOAD_SET] = "set", [LOAD_MGET] = "mget"};
static const struct {
    const char *name;
    uint32_t per_million;
} PERCENTILES[] = {
    {"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p99.9", 999000}, {"p99.99", 999900}};

struct watched {
    char name[32];
    int pids[WATCHED_PIDS_MAX]; /* counted together */
    unsigned count;
    uint64_t before_ns, after_ns;
};

struct run {
    struct load_conf conf;
    struct load_thread *threads[THREADS_MAX];
    struct watched watched[WATCHED_MAX];
    unsigned watched_count;
    uint64_t done_before, done_after;
    int64_t from_us, until_us;
    uint64_t timeline[TIMELINE_MAX];
    unsigned timeline_count;
    struct load_figures figures;
};

static void parse_pids(struct run *r) {
    char *state, *copy = strdup(r->conf.pids);
    for (char *word = strtok_r(copy, ",", &state); word != NULL && r->watched_count < WATCHED_MAX;
         word = strtok_r(NULL, ",", &state)) {
        struct watched *w = &r->watched[r->watched_count];
        int at = 0;
        if (sscanf(word, "%31[^=]=%n", w->name, &at) != 1 || at == 0)
            continue;
        for (char *digits = word + at; *digits != '\0' && w->count < WATCHED_PIDS_MAX;) {
            w->pids[w->count++] = (int)strtol(digits, &digits, 10);
            if (*digits != '+')
                break;
            digits++;
        }
        r->watched_count++;
    }
    free(copy);
}

/* The generator itself: on few cores it is the bottleneck, so it is always shown. */
static void watch_self(struct run *r) {
    struct watched *w = &r->watched[r->watched_count++];
    snprintf(w->name, sizeof(w->name), "load");
    w->pids[w->count++] = getpid();
}

static uint64_t cpu_of(const struct watched *w) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < w->count; i++)
        sum += cpu_ns(w->pids[i]);
    return sum;
}

static uint64_t rss_of(const struct watched *w) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < w->count; i++)
        sum += cpu_rss_bytes(w->pids[i]);
    return sum;
}

static uint64_t done(const struct run *r) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < r->conf.threads; i++)
        sum += load_thread_done(r->threads[i]);
    return sum;
}

static bool running(const struct run *r) {
    for (int64_t i = 0; i < r->conf.threads; i++) {
        if (load_thread_running(r->threads[i]))
            return true;
    }
    return false;
}

static void sleep_until(int64_t until_us) {
    for (int64_t left; (left = until_us - clock_mono_us()) > 0;)
        usleep((useconds_t)(left < 100000 ? left : 100000));
}

/* Reads the other processes' clocks at the edges of the measured time; a line a second in between.
 */
static void watch(struct run *r, int64_t start_us) {
    sleep_until(start_us + r->conf.warmup_s * 1000000);
    r->from_us = clock_mono_us();
    r->done_before = done(r);
    for (unsigned i = 0; i < r->watched_count; i++)
        r->watched[i].before_ns = cpu_of(&r->watched[i]);
    uint64_t last = r->done_before;
    for (int64_t second = 1; second <= r->conf.seconds && running(r); second++) {
        int64_t until = r->from_us + second * 1000000;
        while (running(r) && clock_mono_us() < until)
            sleep_until(clock_mono_us() + 2000 < until ? clock_mono_us() + 2000 : until);
        uint64_t now = done(r);
        if (r->timeline_count < TIMELINE_MAX)
            r->timeline[r->timeline_count++] = now - last;
        if (r->conf.timeline)
            fprintf(stderr, "%3llds  %llu requests/s\n", (long long)second,
                    (unsigned long long)(now - last));
        last = now;
    }
    r->until_us = clock_mono_us();
    r->done_after = done(r);
    for (unsigned i = 0; i < r->watched_count; i++)
        r->watched[i].after_ns = cpu_of(&r->watched[i]);
}

static json_t *latencies(const struct histogram *h) {
    json_t *o = json_object();
    json_object_set_new(o, "count", json_integer((json_int_t)h->total));
    json_object_set_new(o, "mean_us",
                        json_real(h->total == 0 ? 0 : (double)h->sum / (double)h->total / 1000));
    for (size_t i = 0; i < sizeof(PERCENTILES) / sizeof(PERCENTILES[0]); i++)
        json_object_set_new(o, PERCENTILES[i].name,
                            json_real((double)histogram_at(h, PERCENTILES[i].per_million) / 1000));
    json_object_set_new(o, "max", json_real((double)h->max / 1000));
    return o;
}

static json_t *report(const struct run *r) {
    json_t *root = json_object(), *cpu = json_object(), *rss = json_object(), *ops = json_object(),
           *line = json_array();
    double seconds = (double)(r->until_us - r->from_us) / 1e6;
    uint64_t requests = r->done_after - r->done_before;
    struct histogram all = {0}, reads = {0};
    for (int op = 0; op < LOAD_OPS; op++) {
        histogram_merge(&all, &r->figures.latency_ns[op]);
        if (op != LOAD_SET)
            histogram_merge(&reads, &r->figures.latency_ns[op]);
        if (r->figures.latency_ns[op].total != 0)
            json_object_set_new(ops, OPS[op], latencies(&r->figures.latency_ns[op]));
    }
    json_object_set_new(ops, "reads", latencies(&reads));
    for (unsigned i = 0; i < r->watched_count; i++) {
        const struct watched *w = &r->watched[i];
        double us = (double)(w->after_ns - w->before_ns) / 1000;
        json_object_set_new(cpu, w->name, json_real(requests == 0 ? 0 : us / (double)requests));
        json_object_set_new(rss, w->name, json_integer((json_int_t)rss_of(w)));
    }
    for (unsigned i = 0; i < r->timeline_count; i++)
        json_array_append_new(line, json_integer((json_int_t)r->timeline[i]));
    json_object_set_new(root, "requests", json_integer((json_int_t)requests));
    json_object_set_new(root, "seconds", json_real(seconds));
    json_object_set_new(root, "per_second", json_real((double)requests / seconds));
    json_object_set_new(root, "errors", json_integer((json_int_t)r->figures.errors));
    json_object_set_new(root, "nulls", json_integer((json_int_t)r->figures.nulls));
    json_object_set_new(
        root, "first_error",
        json_stringn_nocheck(r->figures.first_error, strlen(r->figures.first_error)));
    json_object_set_new(root, "latency_us", latencies(&all));
    json_object_set_new(root, "by_op", ops);
    json_object_set_new(root, "cpu_us_per_request", cpu);
    json_object_set_new(root, "rss_bytes", rss);
    json_object_set_new(root, "timeline", line);
    return root;
}

static void print(const json_t *root) {
    const char *name;
    json_t *value;
    printf("requests/s %.0f   errors %lld   nulls %lld\n",
           json_real_value(json_object_get(root, "per_second")),
           (long long)json_integer_value(json_object_get(root, "errors")),
           (long long)json_integer_value(json_object_get(root, "nulls")));
    if (json_integer_value(json_object_get(root, "errors")) != 0)
        printf("first error: %s\n", json_string_value(json_object_get(root, "first_error")));
    printf("latency us");
    json_object_foreach(json_object_get(root, "latency_us"), name, value) {
        if (json_is_real(value))
            printf("   %s %.1f", name, json_real_value(value));
    }
    printf("\n");
    json_object_foreach(json_object_get(root, "cpu_us_per_request"), name, value)
        printf("cpu us/request %-12s %.3f\n", name, json_real_value(value));
}

int main(int argc, char **argv) {
    static struct run r; /* large: the histograms */
    const size_t rows = sizeof(ROWS) / sizeof(ROWS[0]);
    struct conf_error error;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        printf("usage: ringfence-load [--option value ...]\n\n");
        conf_print(ROWS, rows);
        return 0;
    }
    conf_init(ROWS, rows, &r.conf);
    if (!conf_args(ROWS, rows, &r.conf, argc, argv, &error) || strlen(r.conf.prefix) > 40 ||
        r.conf.gets + r.conf.sets + r.conf.mgets == 0) {
        fprintf(stderr, "ringfence-load: %s\n",
                error.text[0] != '\0' ? error.text : "prefix too long, or an empty mix");
        return 2;
    }
    if (r.conf.threads > r.conf.clients)
        r.conf.threads = r.conf.clients;
    watch_self(&r);
    parse_pids(&r);
    int64_t start_us = clock_mono_us() + 200000 + r.conf.clients * 50;
    for (int64_t i = 0; i < r.conf.threads; i++) {
        r.threads[i] = load_thread_start(&r.conf, (unsigned)i, start_us);
        if (r.threads[i] == NULL)
            return 1;
    }
    watch(&r, start_us);
    for (int64_t i = 0; i < r.conf.threads; i++)
        load_thread_join(&r.threads[i], &r.figures);
    json_t *root = report(&r);
    if (!r.conf.quiet)
        print(root);
    int status = 0;
    if (r.conf.json_file[0] != '\0' &&
        json_dump_file(root, r.conf.json_file, JSON_INDENT(1)) != 0) {
        fprintf(stderr, "ringfence-load: cannot write %s\n", r.conf.json_file);
        status = 1;
    }
    json_decref(root);
    conf_release(ROWS, rows, &r.conf);
    return status;
}
