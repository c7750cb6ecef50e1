#include "span.h"

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool span_equal_nocase(struct span a, struct span b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

int span_compare(struct span a, struct span b) {
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared == 0 ? 0 : memcmp(a.ptr, b.ptr, shared);
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool span_to_int64(struct span s, int64_t *out) {
    if (s.len == 0 || s.len > 20)
        return false;
    bool negative = s.ptr[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == s.len)
        return false;
    if (s.ptr[i] == '0') { /* "0" alone: "-0" and "01" are not how Redis writes a number */
        if (s.len != 1)
            return false;
        *out = 0;
        return true;
    }
    uint64_t n = 0;
    for (; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - '0';
        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    if (n > limit)
        return false;
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

/* Length of the UTF-8 sequence at p (2 to 4), or 0 when it is not well-formed. `p[0]` is >= 0x80.
 */
static size_t utf8_sequence(const unsigned char *p, size_t left) {
    unsigned char a = p[0];
    size_t len = a >= 0xC2 && a <= 0xDF   ? 2
                 : a >= 0xE0 && a <= 0xEF ? 3
                 : a >= 0xF0 && a <= 0xF4 ? 4
                                          : 0;
    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((a == 0xE0 && p[1] < 0xA0) || (a == 0xF0 && p[1] < 0x90)) /* overlong */
        return 0;
    if ((a == 0xED && p[1] > 0x9F) || (a == 0xF4 && p[1] > 0x8F)) /* surrogate; above U+10FFFF */
        return 0;
    return len;
}

bool span_is_text(struct span s) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    const uint64_t high = 0x8080808080808080u, low = 0x0101010101010101u;
    size_t i = 0;
    while (i < s.len) {
        uint64_t word;
        if (s.len - i >= sizeof(word)) {
            memcpy(&word, p + i, sizeof(word));
            if ((word & high) == 0 && ((word - low) & ~word & high) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        if (p[i] == 0)
            return false;
        size_t step = p[i] < 0x80 ? 1 : utf8_sequence(p + i, s.len - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}
