/*
 * Requests: multibulk and inline, read as Redis 7.0 reads them, texts and limits included. Three
 * departures: the limit of a line holds however the reads cut it; a NUL in a line is a byte like
 * any other (Redis would wait behind it for ever); and the number of arguments is bounded for
 * inline requests too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "resp_line.h"
#include "resp_parse.h"

/* After a request with more arguments than this their room is given back. */
enum { SLOTS_KEPT_MAX = 256 };

/* Redis' own limit of one argument: beyond it the length is wrong whoever sends it. */
enum { BULK_BYTES_KNOWN = 512 << 20 };

_Static_assert(sizeof(union resp_slot) == sizeof(struct span), "slots become argv in place");

void resp_parser_init(struct resp_parser *p) {
    memset(p, 0, sizeof(*p));
    p->bulk_len = -1;
    p->cap = RESP_ARGS_INLINE;
}

void resp_parser_release(struct resp_parser *p) {
    free(p->slots_heap);
    free(p->unquoted);
    resp_parser_init(p);
}

static enum resp_result fail(struct resp_parser *p, const char *why) {
    p->error = why;
    return RESP_ERROR;
}

static union resp_slot *slots_of(struct resp_parser *p) {
    return p->slots_heap != NULL ? p->slots_heap : p->slots_inline;
}

/* Twice the room for arguments: it follows what has arrived, not what was announced. */
static bool grow(struct resp_parser *p) {
    union resp_slot *slots = realloc(p->slots_heap, (size_t)p->cap * 2 * sizeof(*slots));
    if (slots == NULL)
        return false;
    if (p->slots_heap == NULL)
        memcpy(slots, p->slots_inline, sizeof(p->slots_inline));
    p->slots_heap = slots;
    p->cap *= 2;
    return true;
}

/* The request is whole: spans over where the bytes are now; ready for the next one. */
static enum resp_result finish(struct resp_parser *p, const char *base, bool is_inline,
                               struct resp_request *out) {
    union resp_slot *slots = slots_of(p);
    for (uint32_t i = 0; i < p->argc; i++)
        slots[i].span = span_of(base + slots[i].offset.at, slots[i].offset.len);
    *out = (struct resp_request){
        .argv = &slots[0].span, .argc = p->argc, .size = p->pos, .is_inline = is_inline};
    p->pos = p->seen = 0;
    p->argc = 0;
    return RESP_OK;
}

/* ---- multibulk ---- */

/* The argument at `at`, `*len` bytes: where it begins if it is here whole and plainly written, else
 * NULL. The next one comes two bytes behind it: Redis does not look at these either. */
static const char *plain_argument(const char *at, const char *limit, uint32_t bytes_max,
                                  uint32_t *len) {
    const char *body = at < limit && *at == '$' ? resp_line_plain(at + 1, limit, len) : NULL;
    bool is_here = body != NULL && *len <= bytes_max && (size_t)(limit - body) >= (size_t)*len + 2;
    return is_here ? body : NULL;
}

/* What nearly all requests are: here whole, and plainly written. False: nothing was taken. */
static bool take_whole(struct resp_parser *p, const char *data, size_t len,
                       const struct resp_limits *limits, struct resp_request *out) {
    union resp_slot *slots = slots_of(p);
    const char *limit = data + len;
    uint32_t argc, n;
    const char *at = resp_line_plain(data + 1, limit, &argc);
    if (at == NULL || argc == 0 || argc > p->cap || argc > limits->args_max)
        return false;
    for (uint32_t i = 0; i < argc; i++) {
        const char *body = plain_argument(at, limit, limits->bulk_bytes_max, &n);
        if (body == NULL)
            return false;
        slots[i].span = span_of(body, n);
        at = body + n + 2;
    }
    *out = (struct resp_request){.argv = &slots[0].span, .argc = argc, .size = (size_t)(at - data)};
    p->seen = 0; /* its first line may have come in pieces */
    return true;
}

/* Of a request that comes in pieces, the arguments that are here whole and plainly written. */
static void take_plain(struct resp_parser *p, const char *data, size_t len, uint32_t bytes_max) {
    union resp_slot *slots = slots_of(p);
    const char *at = data + p->pos, *limit = data + len;
    uint32_t argc = p->argc, left = p->args_left, room = p->cap - argc;
    for (uint32_t n; left > 0 && room > 0; left--, room--) {
        const char *body = plain_argument(at, limit, bytes_max, &n);
        if (body == NULL || (size_t)(body - data) > UINT32_MAX / 2)
            break;
        slots[argc].offset.at = (uint32_t)(body - data);
        slots[argc++].offset.len = n;
        at = body + n + 2;
    }
    p->pos = (size_t)(at - data);
    p->argc = argc;
    p->args_left = left;
}

/* The careful way to a header line at p->pos. RESP_OK: it is whole, its number is in *out if
 * *is_number. As Redis, the byte behind \r is not looked at. */
static enum resp_result header(struct resp_parser *p, const char *data, size_t len,
                               uint32_t bytes_max, const char *too_big, int64_t *out,
                               bool *is_number, size_t *next) {
    size_t from = p->seen > p->pos ? p->seen : p->pos;
    size_t stop = len - p->pos > bytes_max ? p->pos + bytes_max + 1 : len;
    const char *end = stop > from ? memchr(data + from, '\r', stop - from) : NULL;
    if (end == NULL) {
        p->seen = stop;
        return len - p->pos > bytes_max ? fail(p, too_big) : RESP_PARTIAL;
    }
    p->seen = (size_t)(end - data);
    if (len - p->seen < 2)
        return RESP_PARTIAL;
    const char *digits = data + p->pos + 1;
    *is_number = end >= digits && span_to_int64(span_of(digits, (size_t)(end - digits)), out);
    *next = p->seen + 2;
    return RESP_OK;
}

static enum resp_result bulk_header(struct resp_parser *p, const char *data, size_t len,
                                    const struct resp_limits *limits) {
    int64_t n = 0;
    size_t next = 0;
    bool is_number = false;
    enum resp_result result = header(p, data, len, limits->inline_bytes_max,
                                     "too big bulk count string", &n, &is_number, &next);
    if (result != RESP_OK)
        return result;
    char c = data[p->pos];
    if (c != '$') {
        snprintf(p->error_room, sizeof(p->error_room), "expected '$', got '%c'",
                 c != '\0' ? c : ' ');
        return fail(p, p->error_room);
    }
    if (limits->before_auth && is_number && n > limits->bulk_bytes_max && n <= BULK_BYTES_KNOWN)
        return fail(p, "unauthenticated bulk length");
    if (!is_number || n < 0 || n > limits->bulk_bytes_max)
        return fail(p, "invalid bulk length");
    if (next > UINT32_MAX / 2)
        return fail(p, "too big request");
    p->pos = next;
    p->bulk_len = n;
    return RESP_OK;
}

/* One argument that is not plain: it comes in pieces, is too large, or is wrong. */
static enum resp_result take_argument(struct resp_parser *p, const char *data, size_t len,
                                      const struct resp_limits *limits) {
    if (p->bulk_len < 0) {
        enum resp_result result = p->pos < len ? bulk_header(p, data, len, limits) : RESP_PARTIAL;
        if (result != RESP_OK)
            return result;
    }
    if (len - p->pos < (size_t)p->bulk_len + 2)
        return RESP_PARTIAL;
    if (p->argc == p->cap && !grow(p))
        return fail(p, "out of memory");
    union resp_slot *slot = &slots_of(p)[p->argc++];
    slot->offset.at = (uint32_t)p->pos;
    slot->offset.len = (uint32_t)p->bulk_len;
    p->pos += (size_t)p->bulk_len + 2;
    p->bulk_len = -1;
    p->args_left--;
    return RESP_OK;
}

/* The first line: how many arguments. */
static enum resp_result count_line(struct resp_parser *p, const char *data, size_t len,
                                   const struct resp_limits *limits) {
    uint32_t plain;
    int64_t n = 0;
    size_t next = 0;
    bool is_number = true;
    const char *behind = resp_line_plain(data + 1, data + len, &plain);
    if (behind != NULL) {
        n = plain;
        next = (size_t)(behind - data);
    } else {
        enum resp_result result = header(p, data, len, limits->inline_bytes_max,
                                         "too big mbulk count string", &n, &is_number, &next);
        if (result != RESP_OK)
            return result;
    }
    if (limits->before_auth && is_number && n > limits->args_max && n <= INT32_MAX)
        return fail(p, "unauthenticated multibulk length");
    if (!is_number || n > limits->args_max)
        return fail(p, "invalid multibulk length");
    p->pos = next;
    p->args_left = n <= 0 ? 0 : (uint32_t)n;
    return RESP_OK;
}

static enum resp_result multibulk(struct resp_parser *p, const char *data, size_t len,
                                  const struct resp_limits *limits, struct resp_request *out) {
    if (p->args_left == 0 && take_whole(p, data, len, limits, out))
        return RESP_OK;
    if (p->args_left == 0) {
        enum resp_result result = count_line(p, data, len, limits);
        if (result != RESP_OK)
            return result;
    }
    while (p->args_left > 0) {
        if (p->bulk_len < 0)
            take_plain(p, data, len, limits->bulk_bytes_max);
        if (p->args_left == 0)
            break;
        enum resp_result result = take_argument(p, data, len, limits);
        if (result != RESP_OK)
            return result;
    }
    return finish(p, data, false, out);
}

/* ---- inline ---- */

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A bare word ends at fewer characters than are skipped between words: so it is in Redis. */
static bool ends_word(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct line {
    const char *at, *end; /* what is left of it */
    char *to;             /* where unquoted bytes go */
};

/* One escape in double quotes, at the backslash; something follows it. */
static void unescape(struct line *l) {
    if (l->end - l->at >= 4 && l->at[1] == 'x' && hex_digit(l->at[2]) >= 0 &&
        hex_digit(l->at[3]) >= 0) {
        *l->to++ = (char)(hex_digit(l->at[2]) * 16 + hex_digit(l->at[3]));
        l->at += 4;
        return;
    }
    static const char FROM[] = "nrtba", TO[] = "\n\r\t\b\a";
    const char *found = memchr(FROM, l->at[1], sizeof(FROM) - 1);
    *l->to++ = found != NULL ? TO[found - FROM] : l->at[1];
    l->at += 2;
}

/* The rest of a word behind its opening quote. Returns false if the quote does not end, or not at
 * the end of the word. */
static bool quoted(struct line *l, char quote) {
    while (l->at < l->end) {
        bool escapes = *l->at == '\\' && l->end - l->at >= 2;
        if (escapes && quote == '"') {
            unescape(l);
        } else if (escapes && l->at[1] == '\'') {
            *l->to++ = '\'';
            l->at += 2;
        } else if (*l->at == quote) {
            l->at++;
            return l->at == l->end || is_blank(*l->at);
        } else {
            *l->to++ = *l->at++;
        }
    }
    return false;
}

static bool word(struct line *l) {
    while (l->at < l->end && !ends_word(*l->at)) {
        char c = *l->at++;
        if (c == '"' || c == '\'')
            return quoted(l, c);
        *l->to++ = c;
    }
    return true;
}

static enum resp_result split_line(struct resp_parser *p, struct line l,
                                   const struct resp_limits *limits, struct resp_request *out) {
    for (;;) {
        while (l.at < l.end && is_blank(*l.at))
            l.at++;
        if (l.at == l.end)
            return finish(p, p->unquoted, true, out);
        char *from = l.to;
        if (!word(&l))
            return fail(p, "unbalanced quotes in request");
        if (p->argc >= limits->args_max)
            return fail(p, "too many arguments in an inline request");
        if (p->argc == p->cap && !grow(p))
            return fail(p, "out of memory");
        union resp_slot *slot = &slots_of(p)[p->argc++];
        slot->offset.at = (uint32_t)(from - p->unquoted);
        slot->offset.len = (uint32_t)(l.to - from);
    }
}

static enum resp_result inline_request(struct resp_parser *p, const char *data, size_t len,
                                       const struct resp_limits *limits, struct resp_request *out) {
    size_t stop = len > limits->inline_bytes_max ? (size_t)limits->inline_bytes_max + 1 : len;
    const char *end = stop > p->seen ? memchr(data + p->seen, '\n', stop - p->seen) : NULL;
    if (end == NULL) {
        p->seen = stop;
        return len > limits->inline_bytes_max ? fail(p, "too big inline request") : RESP_PARTIAL;
    }
    p->pos = (size_t)(end - data) + 1;
    if (end > data && end[-1] == '\r')
        end--;
    p->unquoted = malloc((size_t)(end - data) + 1);
    if (p->unquoted == NULL)
        return fail(p, "out of memory");
    return split_line(p, (struct line){data, end, p->unquoted}, limits, out);
}

/* What the request before this one needed. */
static void tidy(struct resp_parser *p) {
    free(p->unquoted);
    p->unquoted = NULL;
    if (p->cap > SLOTS_KEPT_MAX) {
        free(p->slots_heap);
        p->slots_heap = NULL;
        p->cap = RESP_ARGS_INLINE;
    }
}

enum resp_result resp_parse_request(struct resp_parser *p, const char *data, size_t len,
                                    const struct resp_limits *limits, struct resp_request *out) {
    if (len == 0)
        return RESP_PARTIAL;
    if (p->argc == 0 && (p->unquoted != NULL || p->slots_heap != NULL))
        tidy(p);
    return data[0] == '*' ? multibulk(p, data, len, limits, out)
                          : inline_request(p, data, len, limits, out);
}
