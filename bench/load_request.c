#include "load_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/resp_write.h"

enum {
    KEY_DIGITS = 10,
    KEY_BYTES_MAX = 64,
    SLIDE_BYTES = 64,      /* values begin at one of so many places */
    RANKS_COUNT = 1 << 18, /* drawn once, then in turn */
};

bool load_request_init(struct load_request *r, const struct load_conf *conf, unsigned index) {
    uint64_t threads = (uint64_t)conf->threads;
    *r = (struct load_request){.conf = conf};
    r->once_next = (uint64_t)conf->keys * index / threads;
    r->once_end = (uint64_t)conf->keys * (index + 1) / threads;
    draw_init(&r->draw, (uint64_t)conf->seed * 1000 + index, (uint64_t)conf->keys,
              strtod(conf->zipf, NULL));
    size_t bytes = (size_t)conf->value_max + SLIDE_BYTES;
    r->source = malloc(bytes);
    r->json = malloc(bytes);
    bool drawn = r->draw.exponent != 0 && !conf->once;
    r->ranks = drawn ? malloc(RANKS_COUNT * sizeof(*r->ranks)) : NULL;
    if (r->source == NULL || r->json == NULL || (drawn && r->ranks == NULL)) {
        load_request_release(r);
        return false;
    }
    for (size_t i = 0; i < bytes; i++)
        r->source[i] = (char)('a' + draw_number(&r->draw) % 26);
    for (unsigned i = 0; drawn && i < RANKS_COUNT; i++)
        r->ranks[i] = (uint32_t)draw_key(&r->draw);
    return true;
}

void load_request_release(struct load_request *r) {
    free(r->source);
    free(r->json);
    free(r->ranks);
    *r = (struct load_request){0};
}

bool load_request_over(const struct load_request *r) {
    return r->conf->once && r->once_next >= r->once_end;
}

static uint64_t next_key(struct load_request *r) {
    /* Scattered: a prime that divides no smaller number of keys. Rows in order would lie side by
     * side in the database's pages. */
    if (r->conf->once)
        return r->once_next++ * 2654435761u % (uint64_t)r->conf->keys;
    if (r->ranks != NULL)
        return r->ranks[r->next_rank++ % RANKS_COUNT];
    return draw_key(&r->draw);
}

/* prefix0000000001 */
static struct span key_text(struct load_request *r, char *room) {
    uint64_t n = next_key(r) + (uint64_t)r->conf->key_offset;
    size_t prefix = strlen(r->conf->prefix);
    memcpy(room, r->conf->prefix, prefix);
    for (int i = KEY_DIGITS - 1; i >= 0; i--, n /= 10)
        room[prefix + (size_t)i] = (char)('0' + n % 10);
    return span_of(room, prefix + KEY_DIGITS);
}

static uint64_t value_size(struct load_request *r) {
    uint64_t low = (uint64_t)r->conf->value_min, high = (uint64_t)r->conf->value_max;
    if (low >= high)
        return low;
    unsigned doublings = 0; /* log-uniform: first the power of two, then the place in it */
    while ((low << (doublings + 1)) <= high)
        doublings++;
    uint64_t from = low << draw_between(&r->draw, 0, doublings);
    return draw_between(&r->draw, from, from * 2 < high ? from * 2 : high);
}

static struct span value_text(struct load_request *r) {
    size_t size = value_size(r);
    const char *from = r->source + draw_number(&r->draw) % SLIDE_BYTES;
    if (!r->conf->json_values)
        return span_of(from, size);
    size = size < 8 ? 8 : size; /* {"v":"aaaa"}: shorter is not JSON any more */
    memcpy(r->json, "{\"v\":\"", 6);
    memcpy(r->json + 6, from, size - 8);
    memcpy(r->json + size - 2, "\"}", 2);
    return span_of(r->json, size);
}

static void write_memcached(struct load_request *r, struct buf *out, enum load_op op,
                            unsigned keys) {
    char room[KEY_BYTES_MAX], head[KEY_BYTES_MAX + 64];
    if (op == LOAD_SET) {
        struct span key = key_text(r, room), value = value_text(r);
        int n =
            snprintf(head, sizeof(head), "set %.*s 0 0 %zu\r\n", (int)key.len, key.ptr, value.len);
        buf_append(out, head, (size_t)n);
        buf_append_span(out, value);
        buf_append(out, "\r\n", 2);
        return;
    }
    buf_append(out, "get", 3);
    for (unsigned i = 0; i < keys; i++) {
        buf_append(out, " ", 1);
        buf_append_span(out, key_text(r, room));
    }
    buf_append(out, "\r\n", 2);
}

static void write_resp(struct load_request *r, struct buf *out, enum load_op op, unsigned keys) {
    static const struct span NAMES[] = {
        [LOAD_GET] = {"GET", 3}, [LOAD_SET] = {"SET", 3}, [LOAD_MGET] = {"MGET", 4}};
    char room[KEY_BYTES_MAX];
    resp_write_array(out, 1 + keys + (op == LOAD_SET ? 1 : 0));
    resp_write_bulk(out, NAMES[op]);
    for (unsigned i = 0; i < keys; i++)
        resp_write_bulk(out, key_text(r, room));
    if (op == LOAD_SET)
        resp_write_bulk(out, value_text(r));
}

static enum load_op pick_op(struct load_request *r) {
    const struct load_conf *c = r->conf;
    int64_t all = c->gets + c->sets + c->mgets;
    if (all == c->gets)
        return LOAD_GET;
    int64_t n = (int64_t)draw_between(&r->draw, 1, (uint64_t)all);
    return n <= c->gets ? LOAD_GET : n <= c->gets + c->sets ? LOAD_SET : LOAD_MGET;
}

enum load_op load_request_write(struct load_request *r, struct buf *out) {
    const struct load_conf *c = r->conf;
    enum load_op op = pick_op(r);
    unsigned keys = op != LOAD_MGET ? 1
                                    : (unsigned)draw_between(&r->draw, (uint64_t)c->mget_keys_min,
                                                             (uint64_t)c->mget_keys_max);
    if (c->protocol == LOAD_RESP)
        write_resp(r, out, op, keys);
    else
        write_memcached(r, out, op, keys);
    return op;
}
