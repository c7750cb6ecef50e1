#include "scope.h"

bool scope_covers(const struct scope *scope, struct span key) {
    for (uint32_t i = 0; i < scope->count; i++) {
        if (span_begins_with(key, scope->prefixes[i]))
            return true;
    }
    return scope->count == 0;
}

struct span scope_text(struct span bytes) {
    size_t len = bytes.len < SCOPE_KEY_BYTES_MAX ? bytes.len : SCOPE_KEY_BYTES_MAX;
    while (len != 0 && !span_is_text(span_of(bytes.ptr, len)))
        len--;
    return span_of(bytes.ptr, len);
}

/* Another prefix has all of its keys. */
static bool is_within_another(const struct scope *scope, uint32_t at, struct span prefix) {
    for (uint32_t i = 0; i < scope->count; i++) {
        struct span other = scope_text(scope->prefixes[i]);
        if (i != at && span_begins_with(prefix, other) && (other.len < prefix.len || i < at))
            return true;
    }
    return false;
}

bool scope_range(const struct scope *scope, struct span plain, uint32_t *at, struct span *out) {
    if (scope->count == 0) {
        *out = plain;
        return (*at)++ == 0;
    }
    while (*at < scope->count) {
        uint32_t i = (*at)++;
        struct span prefix = scope_text(scope->prefixes[i]);
        if (is_within_another(scope, i, prefix))
            continue;
        *out = prefix.len < plain.len ? plain : prefix;
        if (span_begins_with(*out, prefix) && span_begins_with(*out, plain))
            return true;
    }
    return false;
}

uint64_t scope_cursor(uint64_t before, uint64_t last) {
    while ((last & (last - 1)) > before)
        last &= last - 1;
    return last;
}
