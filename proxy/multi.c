#include "multi.h"

#include <stdio.h>
#include <stdlib.h>

#include "../common/resp_write.h"

void multi_init(struct multi *m) {
    *m = (struct multi){0};
    buf_init(&m->commands, 0);
}

void multi_clear(struct multi *m) {
    uint32_t asked = m->watches_asked;
    for (uint32_t i = 0; i < m->watched; i++)
        free(m->watches[i].key);
    free(m->watches);
    buf_release(&m->commands);
    multi_init(m);
    m->watches_asked = asked;
}

/* ---- commands ---- */

static size_t size_of(const struct span *argv, uint32_t argc) {
    enum { HEAD_BYTES = 16 /* of an argument at most */ };
    size_t size = HEAD_BYTES;
    for (uint32_t i = 0; i < argc; i++)
        size += argv[i].len + HEAD_BYTES;
    return size;
}

enum multi_result multi_queue(struct multi *m, const struct multi_limits *limits,
                              const struct span *argv, uint32_t argc) {
    enum multi_result result = MULTI_OK;
    if (m->broken) /* it is checked, but need not be kept */
        return MULTI_OK;
    if (m->count >= limits->commands_max)
        result = MULTI_TOO_MANY;
    else if (buf_len(&m->commands) + size_of(argv, argc) > limits->bytes_max)
        result = MULTI_TOO_LONG;
    else if (!m->commands.failed)
        resp_write_request(&m->commands, argv, argc);
    if (m->commands.failed)
        result = MULTI_NO_MEMORY;
    if (result == MULTI_OK)
        m->count++;
    else
        m->broken = true;
    return result;
}

/* ---- watched keys ---- */

bool multi_watch(struct multi *m, struct span key, uint64_t version, bool live) {
    for (uint32_t i = 0; i < m->watched; i++) {
        if (span_equal(span_of(m->watches[i].key, m->watches[i].len), key))
            return true;
    }
    if ((m->watched & (m->watched - 1)) == 0) { /* room for the next power of two */
        uint32_t room = m->watched == 0 ? 1 : m->watched * 2;
        struct multi_watch *more = realloc(m->watches, room * sizeof(*more));
        if (more == NULL)
            return false;
        m->watches = more;
    }
    char *copy = malloc(key.len + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, key.ptr, key.len);
    m->watches[m->watched++] = (struct multi_watch){copy, key.len, version, live};
    return true;
}

void multi_write_watches(const struct multi *m, struct buf *out) {
    for (uint32_t i = 0; i < m->watched; i++) {
        const struct multi_watch *watch = &m->watches[i];
        char version[24];
        int len = snprintf(version, sizeof(version), "%llu", (unsigned long long)watch->version);
        const struct span words[] = {span_of(watch->key, watch->len), span_of(version, (size_t)len),
                                     watch->live ? SPAN("1") : SPAN("0")};
        resp_write_request(out, words, 3);
    }
}

/* ---- walking ---- */

void multi_walk_begin(struct multi_walk *walk, struct span commands) {
    resp_parser_init(&walk->parser);
    walk->left = commands;
}

bool multi_walk_next(struct multi_walk *walk, struct resp_request *out) {
    static const struct resp_limits NONE = {
        .args_max = UINT32_MAX, .bulk_bytes_max = INT32_MAX, .inline_bytes_max = 64 << 10};
    if (walk->left.len == 0 ||
        resp_parse_request(&walk->parser, walk->left.ptr, walk->left.len, &NONE, out) != RESP_OK)
        return false;
    walk->left = span_of(walk->left.ptr + out->size, walk->left.len - out->size);
    return true;
}

void multi_walk_end(struct multi_walk *walk) {
    resp_parser_release(&walk->parser);
}
