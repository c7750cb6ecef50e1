/*
 * Micro benchmark of the parsers, the writer and the command table: ns per call, best of several
 * rounds. `micro_resp NAME` runs one alone and once, for callgrind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/resp_parse.h"
#include "../common/resp_write.h"

enum { CALLS = 200000, ROUNDS = 9, VALUE_BYTES = 100 };

static const struct resp_limits LIMITS = {
    .args_max = 1024, .bulk_bytes_max = 1 << 20, .inline_bytes_max = 64 << 10};

struct bench {
    struct buf request, mget, inline_ping, bulk, status, array; /* inputs */
    struct buf out;
    struct resp_parser parser;
    struct span value;
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t parse(struct bench *b, const struct buf *from) {
    struct resp_request in = {0};
    uint64_t sum = 0;
    for (int i = 0; i < CALLS; i++) {
        resp_parse_request(&b->parser, buf_head(from), buf_len(from), &LIMITS, &in);
        sum += in.argc + in.argv[0].len;
    }
    return sum;
}

static uint64_t scan(const struct buf *from) {
    struct resp_scan s = {0};
    uint64_t sum = 0;
    for (int i = 0; i < CALLS; i++) {
        size_t size = 0;
        resp_scan_reply(&s, buf_head(from), buf_len(from), &size);
        sum += size;
    }
    return sum;
}

static uint64_t parse_get(struct bench *b) {
    return parse(b, &b->request);
}

static uint64_t parse_mget(struct bench *b) {
    return parse(b, &b->mget);
}

static uint64_t parse_inline(struct bench *b) {
    return parse(b, &b->inline_ping);
}

static uint64_t scan_bulk(struct bench *b) {
    return scan(&b->bulk);
}

static uint64_t scan_status(struct bench *b) {
    return scan(&b->status);
}

static uint64_t scan_array(struct bench *b) {
    return scan(&b->array);
}

static uint64_t write_bulk(struct bench *b) {
    for (int i = 0; i < CALLS; i++) {
        resp_write_bulk(&b->out, b->value);
        buf_consume(&b->out, buf_len(&b->out));
    }
    return b->out.cap;
}

static uint64_t find_all(const char *const *names) {
    uint64_t sum = 0;
    for (int i = 0; i < CALLS; i++)
        sum += (uint64_t)command_find(span_str(names[i & 3]));
    return sum;
}

static uint64_t find_hot(struct bench *b) {
    static const char *const NAMES[] = {"GET", "SET", "MGET", "GET"};
    return find_all(NAMES);
}

static uint64_t find_cold(struct bench *b) {
    static const char *const NAMES[] = {"config", "dbsize", "nosuch", "RF.STATUS"};
    return find_all(NAMES);
}

static const struct {
    const char *name;
    uint64_t (*run)(struct bench *b);
} BENCHES[] = {
    {"parse_get", parse_get},      {"parse_mget5", parse_mget}, {"parse_inline", parse_inline},
    {"scan_bulk100", scan_bulk},   {"scan_ok", scan_status},    {"scan_array5", scan_array},
    {"write_bulk100", write_bulk}, {"find_hot", find_hot},      {"find_cold", find_cold},
};

static void prepare(struct bench *b) {
    static const char KEY[] = "user:0000000001:", VALUE[VALUE_BYTES] = "value";
    const struct span argv[] = {SPAN("MGET"), SPAN(KEY), SPAN(KEY),
                                SPAN(KEY),    SPAN(KEY), SPAN(KEY)};
    const struct span get[] = {SPAN("GET"), SPAN(KEY)};
    *b = (struct bench){.value = span_of(VALUE, sizeof(VALUE))};
    resp_parser_init(&b->parser);
    resp_write_request(&b->request, get, 2);
    resp_write_request(&b->mget, argv, 6);
    buf_append_span(&b->inline_ping, SPAN("PING\r\n"));
    resp_write_bulk(&b->bulk, b->value);
    resp_write_status(&b->status, "OK");
    resp_write_array(&b->array, 5);
    for (int i = 0; i < 5; i++)
        resp_write_bulk(&b->array, b->value);
}

int main(int argc, char **argv) {
    struct bench b;
    prepare(&b);
    volatile uint64_t sink = 0;
    for (size_t i = 0; i < sizeof(BENCHES) / sizeof(BENCHES[0]); i++) {
        if (argc > 1 && strcmp(argv[1], BENCHES[i].name) != 0)
            continue;
        uint64_t best = UINT64_MAX;
        for (int round = 0; round < (argc > 1 ? 1 : ROUNDS); round++) {
            uint64_t began = now_ns();
            sink += BENCHES[i].run(&b);
            uint64_t took = now_ns() - began;
            best = took < best ? took : best;
        }
        printf("%-16s %6.1f ns\n", BENCHES[i].name, (double)best / CALLS);
    }
    struct buf *const used[] = {&b.request, &b.mget,  &b.inline_ping, &b.bulk,
                                &b.status,  &b.array, &b.out};
    for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++)
        buf_release(used[i]);
    resp_parser_release(&b.parser);
    return 0;
}
