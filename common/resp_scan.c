/* Replies, measured in place. */
#include "resp_line.h"
#include "resp_parse.h"

enum { HEADER_BYTES_MAX = 64 << 10 };

static enum resp_result fail(struct resp_scan *s, const char *why) {
    s->error = why;
    return RESP_ERROR;
}

/* Nothing to do before there are `need` bytes. */
static enum resp_result wait_for(struct resp_scan *s, size_t need) {
    s->need = need;
    return RESP_PARTIAL;
}

/* RESP_OK: the line that begins at s->pos ends in \r\n at data[*end]. */
static enum resp_result line_end(struct resp_scan *s, const char *data, size_t len, size_t *end) {
    size_t at = s->seen > s->pos ? s->seen : s->pos;
    while (at < len) {
        const char *cr = memchr(data + at, '\r', len - at);
        if (cr == NULL)
            break;
        at = (size_t)(cr - data);
        if (at + 1 == len) { /* the \n may be the next byte */
            s->seen = at;
            return wait_for(s, len + 1);
        }
        if (data[at + 1] == '\n') {
            *end = at;
            return RESP_OK;
        }
        at++;
    }
    s->seen = len;
    return wait_for(s, len + 1);
}

/* The number behind the type byte at s->pos, and where the next line begins. */
static enum resp_result header(struct resp_scan *s, const char *data, size_t len, size_t *next,
                               int64_t *out) {
    uint32_t plain;
    const char *at = data + s->pos + 1, *behind = resp_line_plain(at, data + len, &plain);
    if (behind != NULL) {
        *next = (size_t)(behind - data);
        *out = plain;
        return RESP_OK;
    }
    size_t end = 0;
    if (line_end(s, data, len, &end) != RESP_OK)
        return len - s->pos > HEADER_BYTES_MAX ? fail(s, "header line too long") : RESP_PARTIAL;
    if (!span_to_int64(span_of(at, (size_t)(data + end - at)), out))
        return fail(s, "bad length");
    if (*out < -1)
        return fail(s, "length out of range");
    *next = end + 2;
    return RESP_OK;
}

static enum resp_result bulk(struct resp_scan *s, const char *data, size_t len) {
    int64_t n = 0;
    size_t next = 0;
    enum resp_result result = header(s, data, len, &next, &n);
    if (result != RESP_OK)
        return result;
    if (n >= 0) {
        size_t body = next;
        next += (size_t)n + 2; /* cannot wrap: below 2^63 + 2^48 */
        if (next > len)
            return wait_for(s, next);
        if (data[s->pos] == '=' && (n < 4 || data[body + 3] != ':'))
            return fail(s, "verbatim string without its type");
    }
    s->pos = next;
    return RESP_OK;
}

/* An aggregate's header; *inside: how many elements it opens a level for. */
static enum resp_result aggregate(struct resp_scan *s, const char *data, size_t len,
                                  int64_t *inside) {
    char type = data[s->pos];
    int64_t n = 0;
    size_t next = 0;
    if (s->depth == RESP_DEPTH_MAX)
        return fail(s, "nested too deeply");
    enum resp_result result = header(s, data, len, &next, &n);
    if (result != RESP_OK)
        return result;
    if (n > INT32_MAX || (n < 0 && type == '|'))
        return fail(s, "length out of range");
    s->pos = next;
    if (type == '%')
        n *= 2;
    if (type == '|')
        n = 2 * n + 1; /* what it describes is its last element */
    *inside = n;
    return RESP_OK;
}

/* One element at s->pos: a leaf whole, or the header of an aggregate. */
static enum resp_result element(struct resp_scan *s, const char *data, size_t len,
                                int64_t *inside) {
    size_t end = 0;
    switch (data[s->pos]) {
    case '$':
    case '=':
    case '!':
        return bulk(s, data, len);
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
        return aggregate(s, data, len, inside);
    case '+':
    case '-':
    case ':':
    case ',':
    case '_':
    case '#':
    case '(':
        if (line_end(s, data, len, &end) != RESP_OK)
            return RESP_PARTIAL;
        const char *wrong = resp_line_wrong(data[s->pos], data + s->pos + 1, end - s->pos - 1);
        if (wrong != NULL)
            return fail(s, wrong);
        s->pos = end + 2;
        return RESP_OK;
    }
    return fail(s, "unknown type byte");
}

/* An element is complete: so may be those around it. Returns true when the whole reply is. */
static bool complete(struct resp_scan *s) {
    while (s->depth > 0) {
        if (--s->left[s->depth - 1] > 0)
            return false;
        s->depth--;
    }
    return true;
}

static enum resp_result scan_on(struct resp_scan *s, const char *data, size_t len,
                                size_t *size_out) {
    for (;;) {
        if (s->pos >= len)
            return wait_for(s, s->pos + 1);
        int64_t inside = 0;
        enum resp_result result = element(s, data, len, &inside);
        if (result != RESP_OK)
            return result;
        if (inside > 0) {
            s->left[s->depth++] = inside;
        } else if (complete(s)) {
            *size_out = s->pos;
            s->pos = s->need = s->seen = 0;
            return RESP_OK;
        }
    }
}

enum resp_result resp_scan_reply(struct resp_scan *s, const char *data, size_t len,
                                 size_t *size_out) {
    if (len < s->need)
        return RESP_PARTIAL;
    /* What most replies are: a bulk string that is there whole. */
    uint32_t n;
    const char *body;
    if (s->need == 0 && len > 0 && data[0] == '$' &&
        (body = resp_line_plain(data + 1, data + len, &n)) != NULL &&
        (size_t)(data + len - body) >= (size_t)n + 2) {
        *size_out = (size_t)(body - data) + n + 2;
        return RESP_OK;
    }
    return scan_on(s, data, len, size_out);
}
