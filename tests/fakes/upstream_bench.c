#include "upstream_bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/buf.h"
#include "../../common/conn.h"
#include "../../common/resp_write.h"

static void must(bool holds, const char *what) {
    if (holds)
        return;
    perror(what);
    abort();
}

static void on_done(struct upstream_entry *entry, struct span reply) {
    struct asked *a = (struct asked *)((char *)entry - offsetof(struct asked, entry));
    a->answered++;
    a->order = ++a->t->fates;
    snprintf(a->reply, sizeof(a->reply), "%.*s", (int)reply.len, reply.ptr);
}

static void on_lost(void *ctx, struct upstream_entry *entry, enum upstream_lost why,
                    struct span bytes) {
    struct asked *a = (struct asked *)((char *)entry - offsetof(struct asked, entry));
    must(ctx == a->t, "upstream_bench: ctx");
    a->lost++;
    a->order = ++a->t->fates;
    a->why = why;
    a->bytes_len = bytes.len;
    a->bytes_same = bytes.len == entry->size && memcmp(bytes.ptr, a->sent, bytes.len) == 0;
}

static void on_stale(void *ctx, struct upstream *u, struct span key, uint64_t version,
                     enum change change) {
    struct upstream_bench *t = ctx;
    snprintf(t->stale, sizeof(t->stale), "%c:%.*s", (char)change, (int)key.len, key.ptr);
    t->stale_version = version;
}

static void on_wrote(void *ctx, uint64_t author, struct span key, uint64_t version) {
    struct upstream_bench *t = ctx;
    snprintf(t->wrote, sizeof(t->wrote), "%" PRIu64 ":%.*s:%" PRIu64, author, (int)key.len, key.ptr,
             version);
}

static void on_watched(void *ctx) {
    ((struct upstream_bench *)ctx)->watched++;
}

static void on_gap(void *ctx) {
    ((struct upstream_bench *)ctx)->gaps++;
}

static const struct upstream_handlers HANDLERS = {.on_lost = on_lost,
                                                  .on_stale = on_stale,
                                                  .on_wrote = on_wrote,
                                                  .on_watched = on_watched,
                                                  .on_gap = on_gap};

struct upstream_bench *upstream_bench_new(void) {
    struct upstream_bench *t = calloc(1, sizeof(*t));
    must(t != NULL, "upstream_bench");
    t->b = bench_new(1);
    t->node = t->b->nodes[0];
    t->b->conf.request_timeout_ms = t->b->conf.write_timeout_ms = 600000;
    t->b->conf.connect_timeout_ms = 600000;
    t->b->conf.health_interval_ms = 600000;
    t->b->conf.node_retry_max_ms = 40;
    return t;
}

void upstream_bench_connect(struct upstream_bench *t, const char *host) {
    t->u = upstream_new(&t->b->env, "n0", host != NULL ? host : "127.0.0.1",
                        node_fake_port(t->node), &HANDLERS, t);
    must(t->u != NULL, "upstream_bench: upstream");
}

void upstream_bench_up(struct upstream_bench *t) {
    upstream_bench_connect(t, NULL);
    int64_t heard_us;
    must(UPSTREAM_UNTIL(t, upstream_status(t->u, &heard_us).len != 0), "upstream_bench: not up");
}

bool upstream_bench_free(struct upstream_bench **pointer) {
    struct upstream_bench *t = *pointer;
    bool one_fate_each = true;
    *pointer = NULL;
    upstream_free(&t->u);
    for (unsigned i = 0; i < t->asked_count; i++) {
        const struct asked *a = &t->asked[i];
        if (a->answered + a->lost != 1) {
            fprintf(stderr, "request %u was answered %u times and lost %u times\n", i, a->answered,
                    a->lost);
            one_fate_each = false;
        }
        free(t->asked[i].sent);
    }
    bench_free(&t->b);
    free(t);
    return one_fate_each;
}

void upstream_bench_turn(struct upstream_bench *t) {
    bench_turn(t->b);
    if (t->u != NULL)
        upstream_tick(t->u, conn_loop_now_us(t->b->env.loop));
}

static struct asked *ask(struct upstream_bench *t, bool is_write, uint8_t tries,
                         struct buf *request) {
    size_t len = buf_len(request);
    must(t->asked_count < ASKED_MAX && !request->failed, "upstream_bench: request");
    bool may = upstream_usable(t->u) || upstream_last_resort(t->u);
    struct buf *out = may ? upstream_out(t->u, len) : NULL;
    if (out == NULL) {
        buf_release(request);
        return NULL;
    }
    struct asked *a = &t->asked[t->asked_count++];
    *a = (struct asked){.t = t, .sent = malloc(len)};
    must(a->sent != NULL, "upstream_bench: memory");
    memcpy(a->sent, buf_head(request), len);
    a->entry.done = on_done;
    a->entry.is_write = is_write;
    a->entry.tries = tries;
    a->entry.start_us = conn_loop_now_us(t->b->env.loop);
    buf_append(out, buf_head(request), len);
    upstream_push(t->u, &a->entry, (uint32_t)len);
    buf_release(request);
    return a;
}

static struct asked *ask_words(struct upstream_bench *t, const char *words, uint8_t tries) {
    char room[ASKED_TEXT_BYTES];
    struct span argv[16];
    uint32_t argc = 0;
    snprintf(room, sizeof(room), "%s", words);
    char *rest = room;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = span_str(word);
    struct buf request;
    buf_init(&request, 0);
    resp_write_request(&request, argv, argc);
    return ask(t, strcmp(room, "GET") != 0, tries, &request);
}

struct asked *upstream_bench_ask(struct upstream_bench *t, const char *words) {
    return ask_words(t, words, 0);
}

struct asked *upstream_bench_ask_retry(struct upstream_bench *t, const char *words) {
    return ask_words(t, words, 1);
}

struct asked *upstream_bench_ask_big(struct upstream_bench *t, bool is_write, size_t bytes) {
    char *value = malloc(bytes);
    must(value != NULL, "upstream_bench: memory");
    memset(value, 'x', bytes);
    struct buf request;
    buf_init(&request, 0);
    resp_write_request(&request, (struct span[]){SPAN("SET"), SPAN("big"), span_of(value, bytes)},
                       3);
    free(value);
    return ask(t, is_write, 0, &request);
}
