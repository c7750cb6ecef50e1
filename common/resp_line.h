/*
 * resp_line: what the request parser, the reply scanner and the reader share about one line of
 * RESP. Private to resp_*.c.
 */
#ifndef RINGFENCE_RESP_LINE_H
#define RINGFENCE_RESP_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** resp_line_plain_long(at, limit, out): resp_line_plain(), of any length. */
const char *resp_line_plain_long(const char *at, const char *limit, uint32_t *out);

/**
 * resp_line_plain(at, limit, out): the usual number of a header line: 1 to 9 digits, no leading
 * zero, and \r\n, all before `limit`. Returns where the next line begins, or NULL if it is anything
 * else, which then needs the careful way. Cost: O(digits).
 */
static inline const char *resp_line_plain(const char *at, const char *limit, uint32_t *out) {
    unsigned first, second, third;
    /* What nearly all are: one to three digits. */
    if (limit - at >= 5 && (first = (unsigned char)(*at - '0')) <= 9) {
        if (at[1] == '\r') {
            *out = first;
            return at[2] == '\n' ? at + 3 : NULL;
        }
        second = (unsigned char)(at[1] - '0');
        if (at[2] == '\r' && second <= 9 && first != 0) {
            *out = first * 10 + second;
            return at[3] == '\n' ? at + 4 : NULL;
        }
        third = (unsigned char)(at[2] - '0');
        if (at[3] == '\r' && third <= 9 && second <= 9 && first != 0) {
            *out = first * 100 + second * 10 + third;
            return at[4] == '\n' ? at + 5 : NULL;
        }
    }
    return resp_line_plain_long(at, limit, out);
}

/**
 * resp_line_wrong(type, at, len): what is wrong with the `len` bytes of a line behind its type byte
 * (one of + - : , _ # ( ), or NULL when nothing is.
 */
const char *resp_line_wrong(char type, const char *at, size_t len);

/** resp_line_to_double(at, len, out): RESP3's double: what strtod() takes whole if it is finite, or
 * inf, -inf, nan in any case. Returns false otherwise. */
bool resp_line_to_double(const char *at, size_t len, double *out);

#endif
