/* Micro benchmark of the parsers, the writer and the command table. */
#include "../common/buf.h"
#include "../common/command.h"
#include "../common/resp_parse.h"
#include "../common/resp_write.h"
#include "micro.h"

enum { VALUE_BYTES = 100 };

static const struct resp_limits LIMITS = {
    .args_max = 1024, .bulk_bytes_max = 1 << 20, .inline_bytes_max = 64 << 10};

struct bench {
    struct buf request, mget, inline_ping, bulk, status, array; /* inputs */
    struct buf out;
    struct resp_parser parser;
    struct span value;
};

static uint64_t parse(struct bench *b, const struct buf *from, uint64_t calls) {
    struct resp_request in = {0};
    uint64_t sum = 0;
    for (uint64_t i = 0; i < calls; i++) {
        resp_parse_request(&b->parser, buf_head(from), buf_len(from), &LIMITS, &in);
        sum += in.argc + in.argv[0].len;
    }
    return sum;
}

static uint64_t scan(const struct buf *from, uint64_t calls) {
    struct resp_scan s = {0};
    uint64_t sum = 0;
    for (uint64_t i = 0; i < calls; i++) {
        size_t size = 0;
        resp_scan_reply(&s, buf_head(from), buf_len(from), &size);
        sum += size;
    }
    return sum;
}

static uint64_t parse_get(void *ctx, uint64_t calls) {
    struct bench *b = ctx;
    return parse(b, &b->request, calls);
}

static uint64_t parse_mget(void *ctx, uint64_t calls) {
    struct bench *b = ctx;
    return parse(b, &b->mget, calls);
}

static uint64_t parse_inline(void *ctx, uint64_t calls) {
    struct bench *b = ctx;
    return parse(b, &b->inline_ping, calls);
}

static uint64_t scan_bulk(void *ctx, uint64_t calls) {
    struct bench *b = ctx;
    return scan(&b->bulk, calls);
}

static uint64_t scan_status(void *ctx, uint64_t calls) {
    struct bench *b = ctx;
    return scan(&b->status, calls);
}

static uint64_t scan_array(void *ctx, uint64_t calls) {
    struct bench *b = ctx;
    return scan(&b->array, calls);
}

static uint64_t write_bulk(void *ctx, uint64_t calls) {
    struct bench *b = ctx;
    for (uint64_t i = 0; i < calls; i++) {
        resp_write_bulk(&b->out, b->value);
        buf_consume(&b->out, buf_len(&b->out));
    }
    return b->out.cap;
}

static uint64_t find_all(const char *const *names, uint64_t calls) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < calls; i++)
        sum += (uint64_t)command_find(span_str(names[i & 3]));
    return sum;
}

static uint64_t find_hot(void *ctx, uint64_t calls) {
    static const char *const NAMES[] = {"GET", "SET", "MGET", "GET"};
    return find_all(NAMES, calls);
}

static uint64_t find_cold(void *ctx, uint64_t calls) {
    static const char *const NAMES[] = {"config", "dbsize", "nosuch", "RF.STATUS"};
    return find_all(NAMES, calls);
}

static const struct micro BENCHES[] = {
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
    int code = micro_main(argc, argv, BENCHES, sizeof(BENCHES) / sizeof(BENCHES[0]), &b);
    struct buf *const used[] = {&b.request, &b.mget,  &b.inline_ping, &b.bulk,
                                &b.status,  &b.array, &b.out};
    for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++)
        buf_release(used[i]);
    resp_parser_release(&b.parser);
    return code;
}
