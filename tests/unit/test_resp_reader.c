/*
 * The reader, against libhiredis' own where that knows the types (RESP2), and by table elsewhere.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <hiredis/hiredis.h>
#include <math.h>
#include <stdio.h>

#include "../../common/resp_parse.h"

/* ---- a seeded source of RESP2, valid and mutated ---- */

struct source {
    uint64_t state;
    char *data;
    size_t len, cap;
};

static uint32_t draw(struct source *s, uint32_t below) {
    s->state = s->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((s->state >> 33) % below);
}

static void put(struct source *s, const char *bytes, size_t len) {
    if (s->len + len > s->cap) {
        s->cap = (s->len + len) * 2;
        s->data = realloc(s->data, s->cap);
    }
    memcpy(s->data + s->len, bytes, len);
    s->len += len;
}

static void put_text(struct source *s, const char *text) {
    put(s, text, strlen(text));
}

static void put_reply(struct source *s, int depth) {
    static const char *const PLAIN[] = {"+OK\r\n",
                                        "-ERR no\r\n",
                                        "+\r\n",
                                        ":0\r\n",
                                        ":-7\r\n",
                                        ":9223372036854775807\r\n",
                                        ":-9223372036854775808\r\n",
                                        "$-1\r\n",
                                        "*-1\r\n",
                                        "*0\r\n",
                                        "$0\r\n\r\n",
                                        "+a\rb\r\n",
                                        "-a\nb\r\n"};
    uint32_t kind = draw(s, 5);
    char head[32];
    if (kind == 0 && depth < 11) {
        uint32_t count = draw(s, 4);
        put(s, head, (size_t)snprintf(head, sizeof(head), "*%u\r\n", count));
        for (uint32_t i = 0; i < count; i++)
            put_reply(s, depth + 1);
    } else if (kind == 1 && draw(s, 4) == 0 && depth < 8) { /* straight down, to the limit */
        put_text(s, "*1\r\n");
        put_reply(s, depth + 1);
    } else if (kind < 3) {
        uint32_t len = draw(s, 20);
        put(s, head, (size_t)snprintf(head, sizeof(head), "$%u\r\n", len));
        for (uint32_t i = 0; i < len; i++)
            put(s, &"\r\n$*:+-019 abc"[draw(s, 14)], 1);
        put_text(s, "\r\n");
    } else {
        put_text(s, PLAIN[draw(s, sizeof(PLAIN) / sizeof(PLAIN[0]))]);
    }
}

static void mutate(struct source *s) {
    for (uint32_t times = draw(s, 3); times > 0 && s->len > 1; times--) {
        size_t at = draw(s, (uint32_t)s->len);
        switch (draw(s, 4)) {
        case 0:
            s->data[at] = "\r\n$*:+-0189 x\0"[draw(s, 14)];
            break;
        case 1:
            memmove(s->data + at, s->data + at + 1, s->len - at - 1);
            s->len--;
            break;
        case 2: {
            char twice = s->data[at];
            put(s, "x", 1);
            memmove(s->data + at + 1, s->data + at, s->len - at - 1);
            s->data[at] = twice;
            break;
        }
        case 3:
            s->len = at + 1;
            break;
        }
    }
}

/* hiredis allocates what a header announces: keep its hands off large arrays. */
static bool has_large_array(const struct source *s) {
    for (size_t i = 0; i < s->len; i++) {
        size_t digits = 0;
        while (s->data[i] == '*' && i + 1 + digits < s->len && isdigit(s->data[i + 1 + digits]))
            digits++;
        if (digits > 5)
            return true;
    }
    return false;
}

/* ---- comparing ---- */

static void expect_same(const struct resp_reply *mine, const redisReply *theirs) {
    static const int TYPES[] = {
        [RESP_STRING] = REDIS_REPLY_STRING, [RESP_STATUS] = REDIS_REPLY_STATUS,
        [RESP_FAILURE] = REDIS_REPLY_ERROR, [RESP_INTEGER] = REDIS_REPLY_INTEGER,
        [RESP_NIL] = REDIS_REPLY_NIL,       [RESP_ARRAY] = REDIS_REPLY_ARRAY};
    cr_assert_eq(TYPES[mine->type], theirs->type);
    if (theirs->type == REDIS_REPLY_INTEGER)
        cr_assert_eq(mine->integer, theirs->integer);
    if (theirs->str != NULL) {
        cr_assert_eq(mine->len, (size_t)theirs->len);
        cr_assert_eq(memcmp(mine->text, theirs->str, mine->len + 1), 0);
    } else {
        cr_assert_null(mine->text);
    }
    size_t count = theirs->type == REDIS_REPLY_ARRAY ? theirs->elements : 0;
    cr_assert_eq(mine->count, count);
    for (size_t i = 0; i < count; i++)
        expect_same(mine->elements[i], theirs->element[i]);
}

/* Feeds `step` bytes at a time to both; after each the results have to be the same. */
static void compare_from(const struct source *s, size_t first, size_t step, unsigned *accepted,
                         unsigned *refused) {
    struct resp_reader *mine = resp_reader_new();
    redisReader *theirs = redisReaderCreate();
    bool wrong = false;
    for (size_t at = 0, len; at < s->len && !wrong; at += len) {
        len = at == 0 ? first : step;
        len = s->len - at < len ? s->len - at : len;
        cr_assert(resp_reader_feed(mine, s->data + at, len));
        cr_assert_eq(redisReaderFeed(theirs, s->data + at, len), REDIS_OK);
        enum resp_result result = RESP_OK;
        while (result == RESP_OK) {
            struct resp_reply *reply;
            void *other = NULL;
            result = resp_reader_get(mine, &reply);
            int status = redisReaderGetReply(theirs, &other);
            enum resp_result wanted = status != REDIS_OK ? RESP_ERROR
                                      : other != NULL    ? RESP_OK
                                                         : RESP_PARTIAL;
            cr_assert_eq(result, wanted,
                         "%d, not %d (%s / %s) after %zu of %zu bytes by %zu:\n%.*s", result,
                         wanted, resp_reader_error(mine), theirs->errstr, at + len, s->len, step,
                         (int)s->len, s->data);
            if (result == RESP_OK) {
                expect_same(reply, other);
                resp_reply_free(&reply);
                freeReplyObject(other);
                ++*accepted;
            }
            wrong = result == RESP_ERROR;
        }
    }
    *refused += wrong;
    resp_reader_free(&mine);
    cr_assert_null(mine);
    redisReaderFree(theirs);
}

static void compare(const struct source *s, size_t step, unsigned *accepted, unsigned *refused) {
    compare_from(s, step, step, accepted, refused);
}

static void compare_many(uint64_t seed, unsigned rounds, bool mutated) {
    unsigned accepted = 0, refused = 0;
    for (unsigned i = 0; i < rounds; i++) {
        struct source s = {.state = seed * 1000003 + i};
        for (uint32_t n = 1 + draw(&s, 3); n > 0; n--)
            put_reply(&s, 0);
        if (mutated)
            mutate(&s);
        if (!has_large_array(&s)) {
            compare(&s, 1, &accepted, &refused);
            compare(&s, 3, &accepted, &refused);
            compare(&s, s.len, &accepted, &refused);
        }
        free(s.data);
    }
    /* The source is worth nothing if it reaches only one outcome. */
    cr_assert_gt(accepted, rounds);
    if (mutated)
        cr_assert_gt(refused, rounds / 20);
}

Test(resp_reader, takes_valid_replies_as_hiredis_does) {
    compare_many(1, 3000, false);
}

Test(resp_reader, takes_or_refuses_mutated_replies_as_hiredis_does) {
    compare_many(2, 12000, true);
}

/* Two pieces, at every border; fewer inputs, since each is read once per byte of it. */
Test(resp_reader, takes_or_refuses_at_every_split_as_hiredis_does, .timeout = 120) {
    unsigned accepted = 0, refused = 0, rounds = 1500;
    for (unsigned i = 0; i < rounds; i++) {
        struct source s = {.state = 3 * 1000003 + i};
        for (uint32_t n = 1 + draw(&s, 2); n > 0; n--)
            put_reply(&s, 0);
        if (i % 2 == 1)
            mutate(&s);
        for (size_t split = 1; split < s.len && s.len < 400 && !has_large_array(&s); split++)
            compare_from(&s, split, s.len, &accepted, &refused);
        free(s.data);
    }
    cr_assert_gt(accepted, rounds);
    cr_assert_gt(refused, rounds);
}

/* Bytes that only look like RESP: random ones of its alphabet. */
Test(resp_reader, takes_or_refuses_random_bytes_as_hiredis_does, .timeout = 120) {
    static const char ALPHABET[] = "\r\n\r\n\r\n$*:+-0123 a";
    unsigned accepted = 0, refused = 0, rounds = 30000;
    for (unsigned i = 0; i < rounds; i++) {
        struct source s = {.state = 4 * 1000003 + i};
        for (uint32_t n = 1 + draw(&s, 40); n > 0; n--)
            put(&s, &ALPHABET[draw(&s, sizeof(ALPHABET) - 1)], 1);
        if (!has_large_array(&s)) {
            compare(&s, 1, &accepted, &refused);
            compare(&s, s.len, &accepted, &refused);
            compare_from(&s, 1 + draw(&s, (uint32_t)s.len), 1 + draw(&s, 5), &accepted, &refused);
        }
        free(s.data);
    }
    cr_assert_gt(accepted, rounds / 20);
    cr_assert_gt(refused, rounds);
}

Test(resp_reader, takes_every_short_line_as_hiredis_does) {
    static const char ALPHABET[] = "\r\n$*:+-019a";
    const size_t n = sizeof(ALPHABET) - 1;
    unsigned accepted = 0, refused = 0;
    for (size_t code = 0; code < n * n * n * n; code++) {
        char text[8];
        for (size_t i = 0, left = code; i < 4; i++, left /= n)
            text[i] = ALPHABET[left % n];
        memcpy(text + 4, "\r\n\r\n", 4);
        struct source s = {.data = text, .len = sizeof(text)};
        compare(&s, 1, &accepted, &refused);
    }
    cr_assert_gt(accepted, 1000u);
    cr_assert_gt(refused, 1000u);
}

/* Two pieces, at every border, give what the whole gives. */
Test(resp_reader, builds_the_same_at_every_split) {
    static const char TEXT[] =
        "*3\r\n$5\r\nhello\r\n%1\r\n+k\r\n,1.5\r\n|1\r\n+a\r\n:1\r\n=7\r\ntxt:abc\r\n";
    for (size_t split = 0; split < sizeof(TEXT); split++) {
        struct resp_reader *r = resp_reader_new();
        struct resp_reply *reply;
        resp_reader_feed(r, TEXT, split);
        if (split < sizeof(TEXT) - 1)
            cr_assert_eq(resp_reader_get(r, &reply), RESP_PARTIAL, "at %zu", split);
        resp_reader_feed(r, TEXT + split, sizeof(TEXT) - 1 - split);
        cr_assert_eq(resp_reader_get(r, &reply), RESP_OK, "at %zu", split);
        cr_assert_eq(reply->type, RESP_ARRAY);
        cr_assert_eq(reply->count, 3);
        cr_assert_str_eq(reply->elements[0]->text, "hello");
        cr_assert_eq(reply->elements[1]->type, RESP_MAP);
        cr_assert_eq(reply->elements[1]->count, 2);
        cr_assert_eq(reply->elements[1]->elements[1]->number, 1.5);
        const struct resp_reply *described = reply->elements[2];
        cr_assert_eq(described->type, RESP_ATTRIBUTE);
        cr_assert_eq(described->count, 3);
        cr_assert_eq(described->elements[2]->type, RESP_VERBATIM);
        cr_assert_str_eq(described->elements[2]->text, "abc");
        cr_assert_eq(described->elements[2]->len, 3);
        resp_reply_free(&reply);
        cr_assert_null(reply);
        cr_assert_eq(resp_reader_get(r, &reply), RESP_PARTIAL);
        resp_reader_free(&r);
    }
}

struct resp3_case {
    const char *text;
    enum resp_result result;
    enum resp_type type;
    const char *content; /* text, or the integer as text */
};

static const struct resp3_case RESP3_CASES[] = {
    {"_\r\n", RESP_OK, RESP_NIL, NULL},
    {"_x\r\n", RESP_ERROR, 0, "bad null"},
    {"#t\r\n", RESP_OK, RESP_BOOL, "1"},
    {"#F\r\n", RESP_OK, RESP_BOOL, "0"},
    {"#x\r\n", RESP_ERROR, 0, "bad boolean"},
    {"#\r\n", RESP_ERROR, 0, "bad boolean"},
    {"#tt\r\n", RESP_ERROR, 0, "bad boolean"},
    {",3.25\r\n", RESP_OK, RESP_DOUBLE, "3.25"},
    {",-1e10\r\n", RESP_OK, RESP_DOUBLE, "-1e10"},
    {",INF\r\n", RESP_OK, RESP_DOUBLE, "INF"},
    {",-inf\r\n", RESP_OK, RESP_DOUBLE, "-inf"},
    {",nan\r\n", RESP_OK, RESP_DOUBLE, "nan"},
    {",infinity\r\n", RESP_ERROR, 0, "bad double"},
    {",1e999\r\n", RESP_ERROR, 0, "bad double"},
    {",1.5x\r\n", RESP_ERROR, 0, "bad double"},
    {",\r\n", RESP_ERROR, 0, "bad double"},
    {"(123456789012345678901234567890\r\n", RESP_OK, RESP_BIGNUM, "123456789012345678901234567890"},
    {"(-1\r\n", RESP_OK, RESP_BIGNUM, "-1"},
    {"(1-\r\n", RESP_ERROR, 0, "bad big number"},
    {"=7\r\ntxt:abc\r\n", RESP_OK, RESP_VERBATIM, "abc"},
    {"=4\r\nmkd:\r\n", RESP_OK, RESP_VERBATIM, ""},
    {"=3\r\nabc\r\n", RESP_ERROR, 0, "verbatim string without its type"},
    {"=5\r\ntxtxx\r\n", RESP_ERROR, 0, "verbatim string without its type"},
    {"=-1\r\n", RESP_OK, RESP_NIL, NULL},
    {"!5\r\nERR x\r\n", RESP_OK, RESP_FAILURE, "ERR x"},
    {"%0\r\n", RESP_OK, RESP_MAP, NULL},
    {"%-1\r\n", RESP_OK, RESP_NIL, NULL},
    {"~1\r\n:1\r\n", RESP_OK, RESP_SET, NULL},
    {">1\r\n+x\r\n", RESP_OK, RESP_PUSH, NULL},
    {"|-1\r\n+x\r\n", RESP_ERROR, 0, "length out of range"},
    {"|0\r\n", RESP_PARTIAL, 0, NULL},
    {"|0\r\n+x\r\n", RESP_OK, RESP_ATTRIBUTE, NULL},
    {"?\r\n", RESP_ERROR, 0, "unknown type byte"},
    {"*2147483648\r\n", RESP_ERROR, 0, "length out of range"},
    {"*2147483647\r\n", RESP_PARTIAL, 0, NULL},
    {"%2147483647\r\n", RESP_PARTIAL, 0, NULL},
    {"$9223372036854775807\r\n", RESP_PARTIAL, 0, NULL},
    {"$9223372036854775808\r\n", RESP_ERROR, 0, "bad length"},
    {"$-2\r\n", RESP_ERROR, 0, "length out of range"},
    {"$+1\r\n", RESP_ERROR, 0, "bad length"},
    {"$\r\n", RESP_ERROR, 0, "bad length"},
};

Test(resp_reader, knows_the_types_of_resp3) {
    for (size_t i = 0; i < sizeof(RESP3_CASES) / sizeof(RESP3_CASES[0]); i++) {
        const struct resp3_case *c = &RESP3_CASES[i];
        struct resp_reader *r = resp_reader_new();
        struct resp_reply *reply;
        resp_reader_feed(r, c->text, strlen(c->text));
        cr_assert_eq(resp_reader_get(r, &reply), c->result, "%s", c->text);
        if (c->result == RESP_ERROR) {
            cr_assert_str_eq(resp_reader_error(r), c->content, "%s", c->text);
            cr_assert_eq(resp_reader_get(r, &reply), RESP_ERROR, "an error stays");
        } else if (c->result == RESP_OK) {
            cr_assert_eq(reply->type, c->type, "%s", c->text);
            if (c->type == RESP_BOOL)
                cr_assert_eq(reply->integer, c->content[0] - '0');
            else if (c->content != NULL)
                cr_assert_str_eq(reply->text, c->content);
            resp_reply_free(&reply);
        }
        resp_reader_free(&r);
    }
}

Test(resp_reader, reads_the_values_of_doubles) {
    struct resp_reader *r = resp_reader_new();
    struct resp_reply *reply;
    resp_reader_feed(r, "*3\r\n,-inf\r\n,nan\r\n,-0.5\r\n", 25);
    cr_assert_eq(resp_reader_get(r, &reply), RESP_OK);
    cr_assert(isinf(reply->elements[0]->number) && reply->elements[0]->number < 0);
    cr_assert(isnan(reply->elements[1]->number));
    cr_assert_eq(reply->elements[2]->number, -0.5);
    resp_reply_free(&reply);
    resp_reader_free(&r);
}

Test(resp_reader, frees_nothing_for_null) {
    struct resp_reader *r = NULL;
    struct resp_reply *reply = NULL;
    resp_reader_free(&r);
    resp_reply_free(&reply);
    cr_assert_null(r);
}
