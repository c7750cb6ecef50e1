/*
 * Cache-aside, as an application writes it, and the same application with Ringfence in its place: a
 * number of threads that each read (and now and then write) one document after the other.
 *
 *   aside PORT CONNINFO PREFIX BASE KEYS THREADS SECONDS WRITES_PER_MILLE
 *
 * With a CONNINFO: GET from the cache at PORT; on a miss SELECT from the table `bare` and SET with
 * a time to live; a write is an upsert into it, then DEL. With "-" for it: GET and SET at PORT
 * alone. Prints JSON.
 */
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "draw.h"
#include "histogram.h"

enum { THREADS_MAX = 256, KEY_BYTES_MAX = 128, VALUE_BYTES = 100 };

struct conf {
    int port, threads, seconds;
    const char *conninfo, *prefix; /* conninfo NULL: Ringfence does the rest */
    uint64_t base, keys, writes_per_mille;
};

struct app {
    const struct conf *conf;
    pthread_t thread;
    redisContext *cache;
    PGconn *database;
    struct draw draw;
    struct histogram reads, writes;
    uint64_t hits, errors;
};

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool prepare(PGconn *database) {
    PGresult *read = PQprepare(database, "get", "SELECT payload FROM bare WHERE key = $1", 1, NULL);
    PGresult *write = PQprepare(database, "set",
                                "INSERT INTO bare (key, payload) VALUES ($1, $2) ON CONFLICT (key) "
                                "DO UPDATE SET payload = excluded.payload",
                                2, NULL);
    bool done =
        PQresultStatus(read) == PGRES_COMMAND_OK && PQresultStatus(write) == PGRES_COMMAND_OK;
    PQclear(read);
    PQclear(write);
    return done;
}

static bool open_app(struct app *a) {
    a->cache = redisConnect("127.0.0.1", a->conf->port);
    if (a->cache == NULL || a->cache->err != 0)
        return false;
    if (a->conf->conninfo == NULL)
        return true;
    a->database = PQconnectdb(a->conf->conninfo);
    return PQstatus(a->database) == CONNECTION_OK && prepare(a->database);
}

/* A command to the cache whose reply only has to be no error; true if it was a string. */
static bool tell(struct app *a, const char *format, const char *key, const char *value) {
    redisReply *reply = value != NULL ? redisCommand(a->cache, format, key, value)
                                      : redisCommand(a->cache, format, key);
    a->errors += reply == NULL || reply->type == REDIS_REPLY_ERROR;
    bool is_string = reply != NULL && reply->type == REDIS_REPLY_STRING;
    if (reply != NULL)
        freeReplyObject(reply);
    return is_string;
}

static void read_one(struct app *a, const char *key) {
    bool hit = tell(a, "GET %s", key, NULL);
    a->hits += hit;
    if (hit || a->database == NULL) {
        a->errors += !hit; /* every key is in the table */
        return;
    }
    PGresult *row = PQexecPrepared(a->database, "get", 1, &key, NULL, NULL, 0);
    if (PQntuples(row) == 1)
        tell(a, "SET %s %s EX 60", key, PQgetvalue(row, 0, 0));
    else
        a->errors++;
    PQclear(row);
}

static void write_one(struct app *a, const char *key, const char *value) {
    if (a->database == NULL) {
        tell(a, "SET %s %s", key, value);
        return;
    }
    const char *const values[] = {key, value};
    PGresult *done = PQexecPrepared(a->database, "set", 2, values, NULL, NULL, 0);
    a->errors += PQresultStatus(done) != PGRES_COMMAND_OK;
    PQclear(done);
    tell(a, "DEL %s", key, NULL);
}

static void *run(void *arg) {
    struct app *a = arg;
    char key[KEY_BYTES_MAX], value[VALUE_BYTES + 1];
    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    int64_t began_us = now_us(), end_us = began_us + a->conf->seconds * INT64_C(1000000);
    while (began_us < end_us && a->cache->err == 0) {
        snprintf(key, sizeof(key), "%s%llu", a->conf->prefix,
                 (unsigned long long)(a->conf->base + draw_key(&a->draw)));
        bool writes = draw_between(&a->draw, 0, 999) < a->conf->writes_per_mille;
        if (writes)
            write_one(a, key, value);
        else
            read_one(a, key);
        int64_t ended_us = now_us();
        histogram_add(writes ? &a->writes : &a->reads, (uint64_t)(ended_us - began_us));
        began_us = ended_us;
    }
    return NULL;
}

static void print(const struct conf *conf, const struct app *apps, double seconds) {
    static struct histogram reads, writes;
    uint64_t hits = 0, errors = 0;
    for (int i = 0; i < conf->threads; i++) {
        histogram_merge(&reads, &apps[i].reads);
        histogram_merge(&writes, &apps[i].writes);
        hits += apps[i].hits;
        errors += apps[i].errors;
    }
    printf(
        "{\"per_second\": %.1f, \"errors\": %llu, \"hit_ratio\": %.4f, "
        "\"reads\": {\"p50\": %llu, \"p99\": %llu}, \"writes\": {\"p50\": %llu, \"p99\": %llu}}\n",
        (double)(reads.total + writes.total) / seconds, (unsigned long long)errors,
        reads.total == 0 ? 0.0 : (double)hits / (double)reads.total,
        (unsigned long long)histogram_at(&reads, 500000),
        (unsigned long long)histogram_at(&reads, 990000),
        (unsigned long long)histogram_at(&writes, 500000),
        (unsigned long long)histogram_at(&writes, 990000));
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: aside PORT CONNINFO|- PREFIX BASE KEYS THREADS SECONDS "
                        "WRITES_PER_MILLE\n");
        return 2;
    }
    struct conf conf = {.port = atoi(argv[1]),
                        .conninfo = strcmp(argv[2], "-") == 0 ? NULL : argv[2],
                        .prefix = argv[3],
                        .base = strtoull(argv[4], NULL, 10),
                        .keys = strtoull(argv[5], NULL, 10),
                        .threads = atoi(argv[6]),
                        .seconds = atoi(argv[7]),
                        .writes_per_mille = strtoull(argv[8], NULL, 10)};
    if (conf.threads < 1 || conf.threads > THREADS_MAX || conf.keys == 0)
        return 2;
    struct app *apps = calloc((size_t)conf.threads, sizeof(*apps));
    for (int i = 0; apps != NULL && i < conf.threads; i++) {
        apps[i].conf = &conf;
        draw_init(&apps[i].draw, (uint64_t)i + 1, conf.keys, 0.99);
        if (!open_app(&apps[i])) {
            fprintf(stderr, "cannot connect\n");
            return EXIT_FAILURE;
        }
    }
    if (apps == NULL)
        return EXIT_FAILURE;
    int64_t began_us = now_us();
    for (int i = 0; i < conf.threads; i++) {
        if (pthread_create(&apps[i].thread, NULL, run, &apps[i]) != 0)
            return EXIT_FAILURE;
    }
    for (int i = 0; i < conf.threads; i++)
        pthread_join(apps[i].thread, NULL);
    print(&conf, apps, (double)(now_us() - began_us) / 1e6);
    for (int i = 0; i < conf.threads; i++) {
        redisFree(apps[i].cache);
        PQfinish(apps[i].database);
    }
    free(apps);
    return 0;
}
