/* Replies, measured in place. */
#include "resp_parse.h"

enum { DEPTH_MAX = 9, LINE_BYTES_MAX = 64 << 10 };

static enum resp_result fail(struct resp_scan *s, const char *why) {
    s->error = why;
    return RESP_ERROR;
}

/* The number of a header line at `at`, and where the line ends. */
static enum resp_result line_number(struct resp_scan *s, const char *at, const char *limit,
                                    const char **next, int64_t *out) {
    uint64_t n = 0;
    const char *c = at;
    while (c < limit && (unsigned char)(*c - '0') < 10 && c - at < 18)
        n = n * 10 + (unsigned char)(*c++ - '0');
    if (c > at && limit - c >= 2 && c[0] == '\r' && c[1] == '\n') {
        *out = (int64_t)n;
        *next = c + 2;
        return RESP_OK;
    }
    const char *end = memchr(at, '\r', (size_t)(limit - at));
    if (end == NULL)
        return limit - at > LINE_BYTES_MAX ? fail(s, "header line too long") : RESP_PARTIAL;
    if (limit - end < 2)
        return RESP_PARTIAL;
    if (end[1] != '\n' || !span_to_int64(span_of(at, (size_t)(end - at)), out))
        return fail(s, "bad number in a header line");
    *next = end + 2;
    return RESP_OK;
}

static enum resp_result line_end(const char *at, const char *limit, const char **next) {
    for (const char *cr; (cr = memchr(at, '\r', (size_t)(limit - at))) != NULL; at = cr + 1) {
        if (limit - cr < 2)
            return RESP_PARTIAL;
        if (cr[1] == '\n') {
            *next = cr + 2;
            return RESP_OK;
        }
    }
    return RESP_PARTIAL;
}

/* One element at `at`: a leaf is passed whole, an aggregate's header opens a level. */
static enum resp_result element(struct resp_scan *s, const char *at, const char *limit,
                                const char **next) {
    int64_t n;
    enum resp_result result;
    switch (*at) {
    case '$':
    case '=':
    case '!':
        result = line_number(s, at + 1, limit, next, &n);
        if (result != RESP_OK)
            return result;
        if (n < -1 || (n == -1 && *at != '$') || n > INT32_MAX)
            return fail(s, "bulk string length out of range");
        if (n == -1)
            return RESP_OK;
        if (limit - *next < n + 2)
            return RESP_PARTIAL;
        *next += n + 2;
        return RESP_OK;
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
        result = line_number(s, at + 1, limit, next, &n);
        if (result != RESP_OK)
            return result;
        if (n < -1 || (n == -1 && *at != '*') || n > INT32_MAX)
            return fail(s, "multi-bulk length out of range");
        if (n == -1 || (n == 0 && *at != '|'))
            return RESP_OK;
        if (s->depth == DEPTH_MAX)
            return fail(s, "too deep nesting");
        /* A level counts the element that is its own header too; an attribute is followed by what
         * it describes. */
        s->left[s->depth++] = *at == '%' ? 2 * n + 1 : *at == '|' ? 2 * n + 2 : n + 1;
        return RESP_OK;
    case '+':
    case '-':
    case ':':
    case ',':
    case '#':
    case '(':
    case '_':
        return line_end(at + 1, limit, next);
    }
    return fail(s, "unknown type byte");
}

enum resp_result resp_scan_reply(struct resp_scan *s, const char *data, size_t len,
                                 size_t *size_out) {
    const char *limit = data + len;
    for (;;) {
        const char *at = data + s->pos, *next = at;
        if (at >= limit)
            return RESP_PARTIAL;
        enum resp_result result = element(s, at, limit, &next);
        if (result != RESP_OK)
            return result;
        s->pos = (size_t)(next - data);
        while (s->depth > 0 && --s->left[s->depth - 1] == 0)
            s->depth--;
        if (s->depth == 0) {
            *size_out = s->pos;
            s->pos = 0;
            return RESP_OK;
        }
    }
}
