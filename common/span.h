/*
 * span: a borrowed run of bytes. It never owns: the comment beside each use says until when the
 * bytes live. A span is not NUL-terminated and may hold any byte.
 */
#ifndef RINGFENCE_SPAN_H
#define RINGFENCE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t len;
};

/** SPAN(literal): a span over a string literal, without its NUL. */
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

/** span_of(ptr, len): the span of `len` bytes at `ptr`. Borrows. */
static inline struct span span_of(const char *ptr, size_t len) {
    return (struct span){ptr, len};
}

/** span_str(text): the span of a NUL-terminated string. Borrows. */
static inline struct span span_str(const char *text) {
    return (struct span){text, strlen(text)};
}

/** span_equal(a, b): the same bytes. */
static inline bool span_equal(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/** span_begins_with(text, head): text's first bytes are those of `head`; every text begins with "".
 */
static inline bool span_begins_with(struct span text, struct span head) {
    return text.len >= head.len && span_equal(span_of(text.ptr, head.len), head);
}

/** span_equal_nocase(a, b): the same bytes but for ASCII case. */
bool span_equal_nocase(struct span a, struct span b);

/** span_compare(a, b): byte order, as PostgreSQL's COLLATE "C": <0, 0, >0. */
int span_compare(struct span a, struct span b);

/**
 * span_to_int64(s, out): the whole span as a decimal integer in Redis' strict form: an optional
 * '-', no '+', no leading zeros, no blanks, within int64. Returns false, `out` untouched,
 * otherwise.
 */
bool span_to_int64(struct span s, int64_t *out);

/**
 * span_is_text(s): valid UTF-8 as PostgreSQL's `text` takes it: no NUL, no overlong form, no
 * surrogate, nothing above U+10FFFF. Cost: O(len), eight ASCII bytes at a time.
 */
bool span_is_text(struct span s);

#endif
