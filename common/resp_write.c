#include "resp_write.h"

#include "buf.h"

enum { ERROR_BYTES_MAX = 1000, HEAD_BYTES = 24 };

/* `c`, digits, \r\n at `to`; returns the end. */
static char *write_head(char *to, char c, uint64_t n) {
    char digits[20];
    int count = 0;
    *to++ = c;
    for (; n >= 10; n /= 10)
        digits[count++] = (char)('0' + n % 10);
    *to++ = (char)('0' + n); /* most numbers are of one digit or two */
    while (count > 0)
        *to++ = digits[--count];
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

static void append_head(struct buf *b, char c, uint64_t n) {
    char *to = buf_reserve(b, HEAD_BYTES);
    if (to != NULL)
        buf_commit(b, (size_t)(write_head(to, c, n) - to));
}

void resp_write_bulk(struct buf *b, struct span s) {
    char *to = buf_reserve(b, HEAD_BYTES + s.len + 2);
    if (to == NULL)
        return;
    char *at = write_head(to, '$', s.len);
    if (s.len != 0)
        memcpy(at, s.ptr, s.len);
    at += s.len;
    *at++ = '\r';
    *at++ = '\n';
    buf_commit(b, (size_t)(at - to));
}

void resp_write_status(struct buf *b, const char *text) {
    buf_append(b, "+", 1);
    buf_append(b, text, strlen(text));
    buf_append(b, "\r\n", 2);
}

void resp_write_error(struct buf *b, struct span text) {
    size_t len = text.len > ERROR_BYTES_MAX ? ERROR_BYTES_MAX : text.len;
    char *to = buf_reserve(b, len + 3);
    if (to == NULL)
        return;
    *to++ = '-';
    for (size_t i = 0; i < len; i++)
        *to++ = text.ptr[i] == '\r' || text.ptr[i] == '\n' ? ' ' : text.ptr[i];
    *to++ = '\r';
    *to++ = '\n';
    buf_commit(b, len + 3);
}

void resp_write_int(struct buf *b, int64_t n) {
    if (n >= 0) {
        append_head(b, ':', (uint64_t)n);
        return;
    }
    buf_append(b, ":", 1);
    append_head(b, '-', 0 - (uint64_t)n);
}

void resp_write_null(struct buf *b, int proto) {
    if (proto == 3)
        buf_append(b, "_\r\n", 3);
    else
        buf_append(b, "$-1\r\n", 5);
}

void resp_write_array(struct buf *b, uint64_t count) {
    append_head(b, '*', count);
}

void resp_write_map(struct buf *b, uint64_t pairs, int proto) {
    if (proto == 3)
        append_head(b, '%', pairs);
    else
        append_head(b, '*', pairs * 2);
}

void resp_write_set(struct buf *b, uint64_t count, int proto) {
    append_head(b, proto == 3 ? '~' : '*', count);
}

void resp_write_push(struct buf *b, uint64_t count) {
    append_head(b, '>', count);
}

void resp_write_verbatim(struct buf *b, struct span s, int proto) {
    if (proto != 3) {
        resp_write_bulk(b, s);
        return;
    }
    append_head(b, '=', s.len + 4);
    buf_append(b, "txt:", 4);
    buf_append_span(b, s);
    buf_append(b, "\r\n", 2);
}

void resp_write_request(struct buf *b, const struct span *argv, uint32_t argc) {
    resp_write_array(b, argc);
    for (uint32_t i = 0; i < argc; i++)
        resp_write_bulk(b, argv[i]);
}
