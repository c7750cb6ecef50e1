/* Requests: multibulk and inline. Texts and limits are Redis' own. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "resp_parse.h"

enum { COUNT_DIGITS_MAX = 20 /* of a number in a header line */ };

void resp_parser_init(struct resp_parser *p) {
    memset(p, 0, sizeof(*p));
    p->bulk_len = -1;
    p->cap = RESP_ARGS_INLINE;
    p->args = p->args_inline;
    p->argv = p->argv_inline;
}

static void release_heap(struct resp_parser *p) {
    if (p->args != p->args_inline) {
        free(p->args);
        free(p->argv);
    }
    free(p->unquoted);
}

void resp_parser_release(struct resp_parser *p) {
    release_heap(p);
    resp_parser_init(p);
}

static enum resp_result fail(struct resp_parser *p, const char *why) {
    p->error = why;
    return RESP_ERROR;
}

static bool grow(struct resp_parser *p, uint32_t args_max) {
    uint32_t cap = p->cap * 2 > args_max ? args_max : p->cap * 2;
    struct resp_arg *args = malloc(cap * sizeof(*args));
    struct span *argv = malloc(cap * sizeof(*argv));
    if (args == NULL || argv == NULL || cap <= p->argc) {
        free(args);
        free(argv);
        return false;
    }
    memcpy(args, p->args, p->argc * sizeof(*args));
    if (p->args != p->args_inline) {
        free(p->args);
        free(p->argv);
    }
    p->args = args;
    p->argv = argv;
    p->cap = cap;
    return true;
}

/* The request is whole: spans over where the bytes are now; the parser is ready for the next one.
 */
static enum resp_result finish(struct resp_parser *p, const char *data, bool is_inline,
                               struct resp_request *out) {
    const char *base = is_inline ? p->unquoted : data;
    for (uint32_t i = 0; i < p->argc; i++)
        p->argv[i] = span_of(base + p->args[i].at, p->args[i].len);
    *out = (struct resp_request){
        .argv = p->argv, .argc = p->argc, .size = p->pos, .is_inline = is_inline};
    p->pos = 0;
    p->argc = p->args_left = 0;
    p->bulk_len = -1;
    p->in_multibulk = false;
    return RESP_OK;
}

/* A header line `Xdigits\r\n` at p->pos; RESP_OK moves behind it. */
static enum resp_result header(struct resp_parser *p, const char *data, size_t len,
                               const struct resp_limits *limits, const char *too_big,
                               const char *invalid, int64_t *out) {
    const char *at = data + p->pos + 1, *limit = data + len;
    uint64_t n = 0;
    /* The usual case first: digits, then \r\n, all there. */
    const char *c = at;
    while (c < limit && (unsigned char)(*c - '0') < 10 && c - at < 18)
        n = n * 10 + (unsigned char)(*c++ - '0');
    if (c > at && limit - c >= 2 && c[0] == '\r' && (*at != '0' || c - at == 1)) {
        *out = (int64_t)n;
        p->pos = (size_t)(c + 2 - data);
        return RESP_OK;
    }
    const char *end = memchr(at, '\r', (size_t)(limit - at));
    if (end == NULL)
        return len - p->pos > limits->inline_bytes_max ? fail(p, too_big) : RESP_PARTIAL;
    if (limit - end < 2)
        return RESP_PARTIAL;
    if (end - at > COUNT_DIGITS_MAX || !span_to_int64(span_of(at, (size_t)(end - at)), out))
        return fail(p, invalid);
    p->pos = (size_t)(end + 2 - data);
    return RESP_OK;
}

static enum resp_result bulk_header(struct resp_parser *p, const char *data, size_t len,
                                    const struct resp_limits *limits) {
    if (p->pos >= len)
        return RESP_PARTIAL;
    char c = data[p->pos];
    if (c != '$') {
        snprintf(p->error_room, sizeof(p->error_room), "expected '$', got '%c'",
                 isprint((unsigned char)c) ? c : '?');
        return fail(p, p->error_room);
    }
    int64_t n;
    enum resp_result result =
        header(p, data, len, limits, "too big bulk count string", "invalid bulk length", &n);
    if (result != RESP_OK)
        return result;
    if (n < 0 || n > limits->bulk_bytes_max)
        return fail(p, "invalid bulk length");
    p->bulk_len = n;
    return RESP_OK;
}

static enum resp_result multibulk(struct resp_parser *p, const char *data, size_t len,
                                  const struct resp_limits *limits, struct resp_request *out) {
    if (!p->in_multibulk) {
        int64_t n;
        enum resp_result result = header(p, data, len, limits, "too big mbulk count string",
                                         "invalid multibulk length", &n);
        if (result != RESP_OK)
            return result;
        if (n > limits->args_max)
            return fail(p, "invalid multibulk length");
        if (n <= 0)
            return finish(p, data, false, out);
        p->in_multibulk = true;
        p->args_left = (uint32_t)n;
    }
    while (p->args_left > 0) {
        if (p->bulk_len < 0) {
            enum resp_result result = bulk_header(p, data, len, limits);
            if (result != RESP_OK)
                return result;
        }
        if (len - p->pos < (size_t)p->bulk_len + 2)
            return RESP_PARTIAL;
        if (p->argc == p->cap && !grow(p, limits->args_max))
            return fail(p, "out of memory");
        p->args[p->argc++] = (struct resp_arg){(uint32_t)p->pos, (uint32_t)p->bulk_len};
        p->pos += (size_t)p->bulk_len + 2;
        p->bulk_len = -1;
        p->args_left--;
        if (p->pos > UINT32_MAX / 2)
            return fail(p, "too big request");
    }
    return finish(p, data, false, out);
}

/* ---- inline ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One escape of a double-quoted word; `*at` is behind the backslash. */
static char unescape(const char *line, size_t len, size_t *at) {
    char c = line[(*at)++];
    if (c == 'x' && *at + 1 < len && hex_digit(line[*at]) >= 0 && hex_digit(line[*at + 1]) >= 0) {
        char byte = (char)(hex_digit(line[*at]) * 16 + hex_digit(line[*at + 1]));
        *at += 2;
        return byte;
    }
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    }
    return c;
}

/* A word from line[*at] on, into p->unquoted at *to. Returns false on quotes that do not end, or
 * end inside a word. */
static bool inline_word(struct resp_parser *p, const char *line, size_t len, size_t *at,
                        size_t *to) {
    char quote = 0;
    while (*at < len) {
        char c = line[*at];
        if (quote == 0 && isspace((unsigned char)c))
            return true;
        (*at)++;
        if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (quote != 0 && c == quote) {
            if (*at < len && !isspace((unsigned char)line[*at]))
                return false;
            return true;
        } else if (quote == '"' && c == '\\' && *at < len) {
            p->unquoted[(*to)++] = unescape(line, len, at);
        } else if (quote == '\'' && c == '\\' && *at < len && line[*at] == '\'') {
            p->unquoted[(*to)++] = '\'';
            (*at)++;
        } else {
            p->unquoted[(*to)++] = c;
        }
    }
    return quote == 0;
}

static enum resp_result inline_request(struct resp_parser *p, const char *data, size_t len,
                                       const struct resp_limits *limits, struct resp_request *out) {
    const char *end = memchr(data + p->pos, '\n', len - p->pos);
    if (end == NULL) {
        p->pos = len;
        return len > limits->inline_bytes_max ? fail(p, "too big inline request") : RESP_PARTIAL;
    }
    size_t line_len = (size_t)(end - data);
    p->pos = line_len + 1;
    if (line_len > limits->inline_bytes_max)
        return fail(p, "too big inline request");
    if (line_len > 0 && data[line_len - 1] == '\r')
        line_len--;
    free(p->unquoted);
    p->unquoted = malloc(line_len + 1);
    if (p->unquoted == NULL)
        return fail(p, "out of memory");
    size_t at = 0, to = 0;
    for (;;) {
        while (at < line_len && isspace((unsigned char)data[at]))
            at++;
        if (at >= line_len)
            return finish(p, data, true, out);
        size_t from = to;
        if (!inline_word(p, data, line_len, &at, &to))
            return fail(p, "unbalanced quotes in request");
        if (p->argc == p->cap && !grow(p, limits->args_max))
            return fail(p, "too many arguments in an inline request");
        p->args[p->argc++] = (struct resp_arg){(uint32_t)from, (uint32_t)(to - from)};
    }
}

enum resp_result resp_parse_request(struct resp_parser *p, const char *data, size_t len,
                                    const struct resp_limits *limits, struct resp_request *out) {
    if (len == 0)
        return RESP_PARTIAL;
    if (p->cap > 64 * RESP_ARGS_INLINE && p->pos == 0) /* after one very large request */
        resp_parser_release(p);
    return data[0] == '*' ? multibulk(p, data, len, limits, out)
                          : inline_request(p, data, len, limits, out);
}
