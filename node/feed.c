#include "feed.h"

#include "../common/plant.h"

/* The next word of a line: up to a blank. */
static struct span word(struct span *rest) {
    const char *end = memchr(rest->ptr, ' ', rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->ptr);
    struct span taken = span_of(rest->ptr, len);
    size_t skip = len < rest->len ? len + 1 : len;
    *rest = span_of(rest->ptr + skip, rest->len - skip);
    return taken;
}

/* `KEYLEN KEY\n`: keys may hold blanks and newlines, so they are counted. */
static bool key_of(struct span *rest, struct span *key) {
    int64_t len;
    const char *end = memchr(rest->ptr, ' ', rest->len);
    if (end == NULL || !span_to_int64(span_of(rest->ptr, (size_t)(end - rest->ptr)), &len) ||
        len <= 0)
        return false;
    size_t left = rest->len - (size_t)(end + 1 - rest->ptr);
    if ((uint64_t)len >= left || end[1 + len] != '\n')
        return false;
    *key = span_of(end + 1, (size_t)len);
    *rest = span_of(end + 1 + len + 1, left - (size_t)len - 1);
    return true;
}

static bool heartbeat(struct span *rest, const struct feed_handlers *handlers, void *ctx) {
    const char *end = memchr(rest->ptr, '\n', rest->len);
    if (end == NULL)
        return false;
    struct span line = span_of(rest->ptr, (size_t)(end - rest->ptr));
    struct span node = word(&line), counter = word(&line), nonce = word(&line);
    int64_t n;
    if (node.len == 0 || nonce.len == 0 || line.len != 0 || !span_to_int64(counter, &n) || n < 0)
        return false;
    *rest = span_of(end + 1, rest->len - (size_t)(end + 1 - rest->ptr));
    handlers->on_heartbeat(ctx, node, (uint64_t)n, nonce);
    return true;
}

/* What the kind of a line says of its key, or 0: it is not about a change. */
static enum change change_of(char kind) {
    switch (kind) {
    case 'c':
        return CHANGE_SET;
    case 'd':
    case 'g':
        return CHANGE_DEL;
    case 'x':
        return CHANGE_EXPIRED;
    case 'n':
    case 'p':
        return CHANGE_NONE;
    }
    return (enum change)0;
}

static bool item(struct span *rest, const struct feed_handlers *handlers, void *ctx) {
    char kind = rest->ptr[0];
    struct span key;
    int64_t version;
    if (kind == 'e' && rest->len >= 2 && rest->ptr[1] == '\n') {
        *rest = span_of(rest->ptr + 2, rest->len - 2);
        handlers->on_everything(ctx);
        return true;
    }
    if (rest->len < 3 || rest->ptr[1] != ' ')
        return false;
    *rest = span_of(rest->ptr + 2, rest->len - 2);
    switch (kind) {
    case 'c':
    case 'd':
    case 'x':
    case 'n':
        if (!span_to_int64(word(rest), &version) || version < 0 || !key_of(rest, &key))
            return false;
        handlers->on_changed(ctx, key, (uint64_t)version, change_of(kind));
        return true;
    case 'g':
    case 'p':
        if (!key_of(rest, &key))
            return false;
        handlers->on_gone(ctx, key, change_of(kind));
        return true;
    case 'h':
        return heartbeat(rest, handlers, ctx);
    }
    return false;
}

bool feed_parse(struct span payload, const struct feed_handlers *handlers, void *ctx) {
    struct span rest = payload;
    bool understood = span_begins_with(payload, SPAN("1\n"));
    if (understood)
        rest = span_of(payload.ptr + 2, payload.len - 2);
    while (understood && rest.len != 0)
        understood = item(&rest, handlers, ctx);
    if (!understood && !PLANTED(garbage_is_nothing))
        handlers->on_everything(ctx);
    return understood;
}
