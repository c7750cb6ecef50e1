#include "resp_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "span.h"

enum { DOUBLE_BYTES_MAX = 325 /* as hiredis */ };

bool resp_line_to_double(const char *at, size_t len, double *out) {
    struct span text = span_of(at, len);
    if (span_equal_nocase(text, SPAN("inf")) || span_equal_nocase(text, SPAN("-inf"))) {
        *out = at[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (span_equal_nocase(text, SPAN("nan")) || span_equal_nocase(text, SPAN("-nan"))) {
        *out = NAN;
        return true;
    }
    char copy[DOUBLE_BYTES_MAX + 1], *end;
    if (len == 0 || len > DOUBLE_BYTES_MAX)
        return false;
    memcpy(copy, at, len);
    copy[len] = '\0';
    *out = strtod(copy, &end);
    return end == copy + len && isfinite(*out);
}

static bool is_bignum(const char *at, size_t len) {
    for (size_t i = len > 0 && at[0] == '-' ? 1 : 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
    }
    return true;
}

const char *resp_line_plain_long(const char *at, const char *limit, uint32_t *out) {
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

const char *resp_line_wrong(char type, const char *at, size_t len) {
    int64_t integer;
    double number;
    switch (type) {
    case ':':
        return span_to_int64(span_of(at, len), &integer) ? NULL : "bad integer";
    case ',':
        return resp_line_to_double(at, len, &number) ? NULL : "bad double";
    case '_':
        return len == 0 ? NULL : "bad null";
    case '#':
        return len == 1 && at[0] != '\0' && strchr("tTfF", at[0]) != NULL ? NULL : "bad boolean";
    case '(':
        return is_bignum(at, len) ? NULL : "bad big number";
    }
    return NULL; /* status and error: any text */
}
