/*
 * resp_line: what the request parser, the reply scanner and the reader share about one line of
 * RESP. Private to resp_*.c.
 */
#ifndef RINGFENCE_RESP_LINE_H
#define RINGFENCE_RESP_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * resp_line_plain(at, limit, out): the usual number of a header line: 1 to 9 digits, no leading
 * zero, and \r\n, all before `limit`. Returns where the next line begins, or NULL if it is anything
 * else, which then needs the careful way. Cost: O(digits).
 */
static inline const char *resp_line_plain(const char *at, const char *limit, uint32_t *out) {
    const char *c = at, *stop = limit - at > 9 ? at + 9 : limit;
    uint32_t n = 0;
    for (; c < stop; c++) {
        unsigned digit = (unsigned char)(*c - '0');
        if (digit > 9)
            break;
        n = n * 10 + digit;
    }
    if (c == at || limit - c < 2 || c[0] != '\r' || c[1] != '\n' || (*at == '0' && c != at + 1))
        return NULL;
    *out = n;
    return c + 2;
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
