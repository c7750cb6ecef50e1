// needs: common/glob.c common/span.c
/*
 * Patterns: no fault, and the same answer as a recursive matcher that follows the rules word by
 * word. The first byte says where the pattern ends and the text begins.
 */
#include <ctype.h>
#include <stdlib.h>

#include "../../common/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { PATTERN_MAX = 24, TEXT_MAX = 24, STARS_MAX = 4 /* the matcher below is exponential */ };

static unsigned char fold(char c, bool nocase) {
    return nocase && c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : (unsigned char)c;
}

/* One element of the pattern other than a star: how long it is, and whether it takes `c`. */
static size_t element(struct span p, char c, bool nocase, bool *takes) {
    unsigned char byte = fold(c, nocase);
    if (p.ptr[0] == '?') {
        *takes = true;
        return 1;
    }
    if (p.ptr[0] == '\\' && p.len >= 2) {
        *takes = fold(p.ptr[1], nocase) == byte;
        return 2;
    }
    if (p.ptr[0] != '[') {
        *takes = fold(p.ptr[0], nocase) == byte;
        return 1;
    }
    size_t at = 1;
    bool negated = at < p.len && p.ptr[at] == '^', in = false;
    at += negated;
    while (at < p.len && p.ptr[at] != ']') {
        if (p.ptr[at] == '\\' && at + 1 < p.len) {
            in = in || fold(p.ptr[at + 1], nocase) == byte;
            at += 2;
        } else if (at + 2 < p.len && p.ptr[at + 1] == '-') {
            unsigned char low = fold(p.ptr[at], nocase), high = fold(p.ptr[at + 2], nocase);
            in = in || (low <= high ? low <= byte && byte <= high : high <= byte && byte <= low);
            at += 3;
        } else {
            in = in || fold(p.ptr[at], nocase) == byte;
            at++;
        }
    }
    *takes = in != negated;
    return at < p.len ? at + 1 : at;
}

static bool matches(struct span p, struct span text, bool nocase) {
    if (p.len == 0)
        return text.len == 0;
    if (p.ptr[0] == '*') {
        struct span rest = span_of(p.ptr + 1, p.len - 1);
        for (size_t skip = 0; skip <= text.len; skip++) {
            if (matches(rest, span_of(text.ptr + skip, text.len - skip), nocase))
                return true;
        }
        return false;
    }
    bool takes;
    if (text.len == 0)
        return false;
    size_t len = element(p, text.ptr[0], nocase, &takes);
    return takes &&
           matches(span_of(p.ptr + len, p.len - len), span_of(text.ptr + 1, text.len - 1), nocase);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 2)
        return 0;
    bool nocase = (input[0] & 1) != 0;
    size_t stars = 0, pattern_len = (size_t)(input[0] >> 1) % size, text_len;
    text_len = size - 1 - pattern_len;
    char *exact = malloc(size); /* a fault shows behind its end */
    if (exact == NULL)
        abort();
    memcpy(exact, input + 1, size - 1);
    struct span text = span_of(exact, text_len), pattern = span_of(exact + text_len, pattern_len);
    for (size_t i = 0; i < pattern.len; i++)
        stars += pattern.ptr[i] == '*';
    bool got = glob_match(pattern, text, nocase);
    if (pattern.len <= PATTERN_MAX && text.len <= TEXT_MAX && stars <= STARS_MAX &&
        got != matches(pattern, text, nocase))
        abort();
    free(exact);
    return 0;
}
