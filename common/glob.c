#include "glob.h"

#include <stdint.h>

static unsigned char fold(char c, bool nocase) {
    return (unsigned char)(nocase && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* The set whose '[' is at pattern[*at]; *at moves to the byte behind it. */
static bool set_has(struct span pattern, size_t *at, unsigned char c, bool nocase) {
    size_t p = *at + 1;
    bool negated = p < pattern.len && pattern.ptr[p] == '^', found = false;
    p += negated;
    for (; p < pattern.len && pattern.ptr[p] != ']'; p++) {
        bool escaped = pattern.ptr[p] == '\\' && p + 1 < pattern.len;
        p += escaped;
        unsigned char low = fold(pattern.ptr[p], nocase), high = low;
        if (!escaped && p + 2 < pattern.len && pattern.ptr[p + 1] == '-') { /* to ']', even */
            high = fold(pattern.ptr[p + 2], nocase);
            p += 2;
        }
        if (low > high) {
            unsigned char swap = low;
            low = high;
            high = swap;
        }
        found = found || (c >= low && c <= high);
    }
    *at = p < pattern.len ? p + 1 : p;
    return found != negated;
}

/* One element of the pattern that is not '*' against one byte; *at moves behind the element. */
static bool matches_one(struct span pattern, size_t *at, char text, bool nocase) {
    unsigned char c = fold(text, nocase);
    switch (pattern.ptr[*at]) {
    case '?':
        *at += 1;
        return true;
    case '[':
        return set_has(pattern, at, c, nocase);
    case '\\':
        *at += *at + 1 < pattern.len;
        break;
    default:
        break;
    }
    return fold(pattern.ptr[(*at)++], nocase) == c;
}

bool glob_match(struct span pattern, struct span text, bool nocase) {
    size_t p = 0, t = 0;
    size_t star = SIZE_MAX, star_text = 0; /* the last '*', and where what it takes ends so far */
    while (t < text.len) {
        size_t next = p;
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.len && matches_one(pattern, &next, text.ptr[t], nocase)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) { /* the last '*' takes one byte more */
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}
