/* Requests: what Redis 7.0.15 answered to the same bytes is what the tables expect. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/buf.h"
#include "../../common/random.h"
#include "../../common/resp_parse.h"
#include "../../common/resp_write.h"

static const struct resp_limits LIMITS = {
    .args_max = 1024, .bulk_bytes_max = 1 << 20, .inline_bytes_max = 64 << 10};

/* The requests of `data` as one text: each argument in <>, a request ends with ';', an error with
 * '!' and its text, '~' means that more is needed. Fed with at most `step` more bytes per call. The
 * bytes lie at the end of an allocation of their own, so that a sanitizer sees a read behind them.
 */
static char *parse_in(const char *data, size_t len, size_t first, size_t step,
                      const struct resp_limits *limits) {
    struct buf text;
    buf_init(&text, 0);
    struct resp_parser p;
    resp_parser_init(&p);
    size_t from = 0, have = 0;
    enum resp_result result = RESP_PARTIAL;
    while (result == RESP_OK || have < len) {
        if (result == RESP_PARTIAL)
            have = have == 0 ? (first < len ? first : len) : len - have < step ? len : have + step;
        char *exact = malloc(have - from + 1);
        memcpy(exact + 1, data + from, have - from);
        struct resp_request in;
        result = resp_parse_request(&p, exact + 1, have - from, limits, &in);
        if (result == RESP_OK) {
            from += in.size;
            for (uint32_t i = 0; i < in.argc; i++) {
                buf_append(&text, "<", 1);
                buf_append_span(&text, in.argv[i]);
                buf_append(&text, ">", 1);
            }
            buf_append(&text, ";", 1);
        } else if (result == RESP_ERROR) {
            buf_append(&text, "!", 1);
            buf_append(&text, p.error, strlen(p.error));
        }
        free(exact);
        if (result == RESP_ERROR)
            break;
        if (result == RESP_OK && from == len)
            break;
    }
    if (result == RESP_PARTIAL)
        buf_append(&text, "~", 1);
    buf_append(&text, "", 1);
    resp_parser_release(&p);
    char *out = strdup(buf_len(&text) == 1 ? "" : buf_head(&text));
    buf_release(&text);
    return out;
}

static char *parse_all(const char *data, size_t len, size_t step,
                       const struct resp_limits *limits) {
    return parse_in(data, len, step, step, limits);
}

static char *parse_split(const char *data, size_t len, size_t split,
                         const struct resp_limits *limits) {
    return parse_in(data, len, split, len, limits);
}

struct parse_case {
    const char *data;
    size_t len;
    const char *wanted;
};
#define CASE(bytes, expected)                                                                      \
    { bytes, sizeof(bytes) - 1, expected }

static const struct parse_case CASES[] = {
    CASE("*1\r\n$4\r\nPING\r\n", "<PING>;"),
    CASE("*2\r\n$3\r\nGET\r\n$16\r\n0123456789abcdef\r\n", "<GET><0123456789abcdef>;"),
    CASE("*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", "<GET><>;<PING>;"),
    CASE("*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", "<PING>;<PING>;"),
    CASE("*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$4\r\n*1\r\n\r\n", "<SET><\r\n><*1\r\n>;"),
    CASE("*10\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n$"
         "1\r\n7\r\n"
         "$1\r\n8\r\n$2\r\n99\r\n",
         "<0><1><2><3><4><5><6><7><8><99>;"),
    /* nothing to do */
    CASE("*0\r\n*-1\r\n*-5\r\n\r\n\n  \r\nPING\n", ";;;;;;<PING>;"),
    /* incomplete */
    CASE("*", "~"),
    CASE("*1\r", "~"),
    CASE("*1\r\nfoo", "~"),
    CASE("*1\r\n$4", "~"),
    CASE("*1\r\n$4\r\nPING\r", "~"),
    CASE("PING", "~"),
    CASE("PING\r", "~"),
    CASE("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPIN", "<PING>;~"),
    /* refused */
    CASE("*\r\n", "!invalid multibulk length"),
    CASE("*a\r\n", "!invalid multibulk length"),
    CASE("*01\r\n", "!invalid multibulk length"),
    CASE("*+1\r\n", "!invalid multibulk length"),
    CASE("*1 \r\n", "!invalid multibulk length"),
    CASE("*-0\r\n", "!invalid multibulk length"),
    CASE("*1025\r\n", "!invalid multibulk length"),
    CASE("*2147483648\r\n", "!invalid multibulk length"),
    CASE("*18446744073709551617\r\n", "!invalid multibulk length"),
    CASE("*99999999999999999999999999999\r\n", "!invalid multibulk length"),
    CASE("*1\r\n$-1\r\n", "!invalid bulk length"),
    CASE("*1\r\n$1048577\r\n", "!invalid bulk length"),
    CASE("*1\r\n$4294967297\r\n", "!invalid bulk length"),
    CASE("*1\r\n$+4\r\nPING\r\n", "!invalid bulk length"),
    CASE("*1\r\n$04\r\nPING\r\n", "!invalid bulk length"),
    CASE("*1\r\n$\r\n", "!invalid bulk length"),
    CASE("*1\r\n$4x\r\n", "!invalid bulk length"),
    CASE("*1\r\nfoo\r\n", "!expected '$', got 'f'"),
    CASE("*1\r\n:4\r\n", "!expected '$', got ':'"),
    CASE("*1\r\n\r\n\r\n", "!expected '$', got '\r'"),
    CASE("*1\r\n\0\r\n", "!expected '$', got ' '"),
    CASE("*2\r\n$4\r\nPING\r\nPING\r\n", "!expected '$', got 'P'"),
    /* inline */
    CASE("PING\r\n", "<PING>;"),
    CASE("  set\ta   b  \r\n", "<set><a><b>;"),
    CASE("\v\fping\r\n", "<ping>;"),
    CASE("ping\vx\r\n", "<ping\vx>;"),
    CASE("echo a\rb\r\n", "<echo><a><b>;"),
    CASE("echo \"\" ''\r\n", "<echo><><>;"),
    CASE("echo \"a\\x41\\n\\q\\x4\"\r\n", "<echo><aA\nqx4>;"),
    CASE("echo \"\\r\\t\\b\\a\\\\\\\"\\xfF\\x4g\"\n", "<echo><\r\t\b\a\\\"\xffx4g>;"),
    CASE("echo 'a\\'b\\n\\x41'\r\n", "<echo><a'b\\n\\x41>;"),
    CASE("echo 'a\\\\'\r\n", "!unbalanced quotes in request"),
    CASE("echo a\"b c\"\r\n", "<echo><ab c>;"),
    CASE("echo \"a\"\vb\r\n", "<echo><a><b>;"),
    CASE("echo a\"b\"c\r\n", "!unbalanced quotes in request"),
    CASE("echo 'b'c\r\n", "!unbalanced quotes in request"),
    CASE("echo \"a\r\n", "!unbalanced quotes in request"),
    CASE("echo 'a\r\n", "!unbalanced quotes in request"),
    CASE("echo \"a\\\r\n", "!unbalanced quotes in request"),
    CASE("echo \"\\x4\r\n", "!unbalanced quotes in request"),
    CASE("a b c d e f g h i j k\n", "<a><b><c><d><e><f><g><h><i><j><k>;"),
    CASE("$4\r\nPING\r\n", "<$4>;<PING>;"),
};

Test(resp_parse, reads_and_refuses_as_redis_does) {
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char *got = parse_all(CASES[i].data, CASES[i].len, CASES[i].len, &LIMITS);
        cr_expect_str_eq(got, CASES[i].wanted, "%s: %s", CASES[i].data, got);
        free(got);
    }
}

Test(resp_parse, gives_the_same_byte_by_byte_and_at_every_step) {
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        for (size_t step = 1; step < CASES[i].len; step++) {
            char *got = parse_all(CASES[i].data, CASES[i].len, step, &LIMITS);
            cr_expect_str_eq(got, CASES[i].wanted, "by %zu: %s: %s", step, CASES[i].data, got);
            free(got);
        }
    }
}

/* Two pieces, cut at every place: the parser sees the first one, then all. */
Test(resp_parse, gives_the_same_at_every_split) {
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        for (size_t split = 1; split < CASES[i].len; split++) {
            char *got = parse_split(CASES[i].data, CASES[i].len, split, &LIMITS);
            cr_expect_str_eq(got, CASES[i].wanted, "at %zu: %s: %s", split, CASES[i].data, got);
            free(got);
        }
    }
}

/* ---- S8: pipelines drawn from a seed, in one piece and in others ---- */

enum { PIPELINES = 4000, SPLITS = 50, PAIRS_LEAST = 100000 };

static uint64_t below(uint64_t *state, uint64_t n) {
    return random_next(state) % n;
}

static void draw_request(uint64_t *state, struct buf *out) {
    struct span argv[6];
    char bytes[6][24];
    uint32_t argc = 1 + (uint32_t)below(state, 6);
    for (uint32_t i = 0; i < argc; i++) {
        argv[i] = span_of(bytes[i], below(state, sizeof(bytes[i])));
        for (size_t at = 0; at < argv[i].len; at++)
            bytes[i][at] = "\r\n$*1 a\xff'\"\\"[below(state, 11)];
    }
    resp_write_request(out, argv, argc);
}

/* Requests of the table and others; in half of them some byte is another one. */
static void draw_pipeline(uint64_t *state, struct buf *out) {
    for (uint64_t left = 1 + below(state, 6); left != 0; left--) {
        const struct parse_case *one = &CASES[below(state, sizeof(CASES) / sizeof(CASES[0]))];
        if (below(state, 2) == 0 && strpbrk(one->wanted, "!~") == NULL)
            buf_append(out, one->data, one->len);
        else
            draw_request(state, out);
    }
    if (below(state, 2) == 0)
        out->data[out->head + below(state, buf_len(out))] = "\r\n$*-1 9a"[below(state, 9)];
}

Test(resp_parse, gives_the_same_for_pipelines_however_they_are_cut, .timeout = 120) {
    uint64_t state = 20261129;
    unsigned pairs = 0, errors = 0, ended = 0;
    for (unsigned i = 0; i < PIPELINES; i++) {
        struct buf b;
        buf_init(&b, 0);
        draw_pipeline(&state, &b);
        size_t len = buf_len(&b);
        char *whole = parse_all(buf_head(&b), len, len, &LIMITS);
        errors += strchr(whole, '!') != NULL;
        ended += whole[0] != '\0' && whole[strlen(whole) - 1] == ';';
        for (unsigned split = 0; split < SPLITS; split++) {
            size_t first = 1 + below(&state, len);
            size_t step = split % 2 == 0 ? len : 1 + below(&state, len);
            char *got = parse_in(buf_head(&b), len, first, step, &LIMITS);
            cr_assert_str_eq(got, whole, "pipeline %u: %zu, then by %zu", i, first, step);
            pairs++;
            free(got);
        }
        free(whole);
        buf_release(&b);
    }
    cr_assert_geq(pairs, PAIRS_LEAST);
    cr_assert_gt(ended, PIPELINES / 2, "most of them are requests to their end");
    cr_assert_gt(errors, PIPELINES / 20, "and some are not: %u", errors);
}

/* A4, A5: an odd request leaves nothing behind for the next one, whatever the two are. */
Test(resp_parse, forgets_a_request_before_the_next) {
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct parse_case *a = &CASES[i];
        if (strpbrk(a->wanted, "!~") != NULL)
            continue;
        for (size_t j = 0; j < sizeof(CASES) / sizeof(CASES[0]); j++) {
            const struct parse_case *b = &CASES[j];
            char data[512], wanted[256];
            memcpy(data, a->data, a->len);
            memcpy(data + a->len, b->data, b->len);
            snprintf(wanted, sizeof(wanted), "%s%s", a->wanted, b->wanted);
            for (size_t step = 1; step <= a->len + b->len; step += a->len + b->len - 1) {
                char *got = parse_all(data, a->len + b->len, step, &LIMITS);
                cr_expect_str_eq(got, wanted, "%s then %s: %s", a->data, b->data, got);
                free(got);
            }
        }
    }
}

static void expect_long(const char *head, size_t filler, const char *tail, const char *wanted) {
    size_t head_len = strlen(head), len = head_len + filler + strlen(tail);
    char *data = malloc(len + 1);
    memcpy(data, head, head_len);
    memset(data + head_len, '1', filler);
    memcpy(data + head_len + filler, tail, strlen(tail) + 1);
    for (size_t step = 1000; step <= len; step += len - 1000) {
        char *got = parse_all(data, len, step, &LIMITS);
        cr_expect_str_eq(got, wanted, "%s... of %zu by %zu: %.60s", head, len, step, got);
        free(got);
    }
    free(data);
}

Test(resp_parse, bounds_lines_that_do_not_end) {
    expect_long("*", 65535, "", "~");
    expect_long("*", 65536, "", "!too big mbulk count string");
    expect_long("*", 65536, "\r\n", "!too big mbulk count string");
    expect_long("*", 65535, "\r\n", "!invalid multibulk length");
    expect_long("*1\r\n$", 65535, "", "~");
    expect_long("*1\r\n$", 65536, "", "!too big bulk count string");
    expect_long("", 65536, "", "~");
    expect_long("", 65537, "", "!too big inline request");
    expect_long("", 65537, "\r\n", "!too big inline request");
    expect_long("echo '", 65536 - 6, "\n", "!unbalanced quotes in request");
}

Test(resp_parse, keeps_the_limits_it_was_given) {
    struct resp_limits few = {.args_max = 3, .bulk_bytes_max = 4, .inline_bytes_max = 20};
    static const struct parse_case SMALL[] = {
        CASE("*3\r\n$1\r\na\r\n$1\r\nb\r\n$4\r\ncccc\r\n", "<a><b><cccc>;"),
        CASE("*4\r\n", "!invalid multibulk length"),
        CASE("*1\r\n$5\r\n", "!invalid bulk length"),
        CASE("*1\r\n$5\r\nabcde\r\n", "!invalid bulk length"),
        CASE("a b c\n", "<a><b><c>;"),
        CASE("a b c d\n", "!too many arguments in an inline request"),
        CASE("12345678901234567890\n", "<12345678901234567890>;"),
        CASE("123456789012345678901\n", "!too big inline request"),
    };
    for (size_t i = 0; i < sizeof(SMALL) / sizeof(SMALL[0]); i++) {
        for (size_t step = 1; step <= SMALL[i].len; step++) {
            char *got = parse_all(SMALL[i].data, SMALL[i].len, step, &few);
            cr_expect_str_eq(got, SMALL[i].wanted, "by %zu: %s: %s", step, SMALL[i].data, got);
            free(got);
        }
    }
}

/* Limits may be reloaded while a request is half there. */
Test(resp_parse, survives_limits_that_shrink_within_a_request) {
    struct resp_limits small = {.args_max = 1, .bulk_bytes_max = 1, .inline_bytes_max = 1};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        for (size_t have = 1; have < CASES[i].len; have++) {
            struct resp_parser p;
            struct resp_request in;
            resp_parser_init(&p);
            if (resp_parse_request(&p, CASES[i].data, have, &LIMITS, &in) == RESP_PARTIAL)
                resp_parse_request(&p, CASES[i].data, CASES[i].len, &small, &in);
            resp_parser_release(&p);
        }
    }
}

Test(resp_parse, allocates_for_what_arrived_and_not_for_what_was_announced) {
    struct resp_limits huge = {
        .args_max = INT32_MAX, .bulk_bytes_max = INT32_MAX, .inline_bytes_max = 1 << 16};
    struct resp_parser p;
    struct resp_request in;
    resp_parser_init(&p);
    static const char TEXT[] = "*2147483647\r\n$3\r\nGET\r\n$2147483647\r\nx";
    cr_assert_eq(resp_parse_request(&p, TEXT, sizeof(TEXT) - 1, &huge, &in), RESP_PARTIAL);
    cr_assert_eq(p.cap, (uint32_t)RESP_ARGS_INLINE);
    cr_assert_null(p.slots_heap);
    resp_parser_release(&p);
}

Test(resp_parse, does_not_look_at_the_same_bytes_again) {
    static const char *const HEADS[] = {"", "*", "*1\r\n$"};
    for (size_t i = 0; i < sizeof(HEADS) / sizeof(HEADS[0]); i++) {
        char data[4000];
        struct resp_parser p;
        struct resp_request in;
        resp_parser_init(&p);
        memset(data, '1', sizeof(data));
        memcpy(data, HEADS[i], strlen(HEADS[i]));
        for (size_t have = 20; have < sizeof(data); have += 20) {
            cr_assert_eq(resp_parse_request(&p, data, have, &LIMITS, &in), RESP_PARTIAL);
            cr_assert_eq(p.seen, have, "'%s': %zu of %zu", HEADS[i], p.seen, have);
        }
        resp_parser_release(&p);
    }
}

Test(resp_parse, gives_back_the_room_of_a_very_large_request) {
    struct buf b;
    buf_init(&b, 0);
    struct span argv[1000];
    for (size_t i = 0; i < 1000; i++)
        argv[i] = SPAN("x");
    resp_write_request(&b, argv, 1000);
    struct resp_parser p;
    struct resp_request in;
    resp_parser_init(&p);
    cr_assert_eq(resp_parse_request(&p, buf_head(&b), buf_len(&b), &LIMITS, &in), RESP_OK);
    cr_assert_eq(in.argc, 1000u);
    cr_assert_eq(in.size, buf_len(&b));
    for (size_t i = 0; i < 1000; i++)
        cr_assert(span_equal(in.argv[i], argv[i]));
    cr_assert_eq(resp_parse_request(&p, "*1\r\n$1\r\nx\r\n", 11, &LIMITS, &in), RESP_OK);
    cr_assert_null(p.slots_heap);
    resp_parser_release(&p);
    buf_release(&b);
}

Test(resp_parse, says_whether_a_request_can_be_forwarded_as_it_is) {
    struct resp_parser p;
    struct resp_request in;
    resp_parser_init(&p);
    static const char TEXT[] = "*1\r\n$4\r\nPING\r\n PING \r\n";
    cr_assert_eq(resp_parse_request(&p, TEXT, sizeof(TEXT) - 1, &LIMITS, &in), RESP_OK);
    cr_assert_not(in.is_inline);
    cr_assert_eq(in.size, 14u);
    cr_assert_eq(in.argv[0].ptr, TEXT + 8, "borrowed, not copied");
    cr_assert_eq(resp_parse_request(&p, TEXT + 14, sizeof(TEXT) - 15, &LIMITS, &in), RESP_OK);
    cr_assert(in.is_inline);
    cr_assert_eq(in.size, 8u);
    resp_parser_release(&p);
}

Test(resp_parse, stays_small_enough_to_be_a_part_of_every_connection) {
    cr_assert_leq(sizeof(struct resp_parser), 256u);
}

/* What resp_write writes is what is read, for random arguments and random pieces. */
Test(resp_parse, reads_what_resp_write_writes) {
    uint64_t state = 7;
    for (int round = 0; round < 2000; round++) {
        struct span argv[20];
        char bytes[20][40];
        uint32_t argc = 1 + (uint32_t)(round % 20);
        struct buf b;
        buf_init(&b, 0);
        for (uint32_t i = 0; i < argc; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t len = (size_t)(state >> 33) % 40;
            for (size_t at = 0; at < len; at++)
                bytes[i][at] = "\r\n$*1 a\xff"[(state >> (at % 60)) & 7];
            argv[i] = span_of(bytes[i], len);
        }
        resp_write_request(&b, argv, argc);
        struct resp_parser p;
        struct resp_request in;
        resp_parser_init(&p);
        size_t cut = (size_t)(state >> 40) % buf_len(&b);
        cr_assert_eq(resp_parse_request(&p, buf_head(&b), cut, &LIMITS, &in), RESP_PARTIAL);
        cr_assert_eq(resp_parse_request(&p, buf_head(&b), buf_len(&b), &LIMITS, &in), RESP_OK);
        cr_assert_eq(in.argc, argc);
        cr_assert_eq(in.size, buf_len(&b));
        for (uint32_t i = 0; i < argc; i++)
            cr_assert(span_equal(in.argv[i], argv[i]));
        resp_parser_release(&p);
        buf_release(&b);
    }
}
