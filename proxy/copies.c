#include "copies.h"

#include <stdlib.h>

#include "../common/buf.h"
#include "near.h"

struct copy {
    uint64_t hash;
    struct near_ticket ticket;
    size_t at, len; /* in `values`; 0: it is asked for */
};

struct copies {
    struct near *near;
    struct buf values;
    uint32_t count, taken;
    struct copy keys[];
};

struct copies *copies_new(struct near *near, uint32_t count) {
    struct copies *c = calloc(1, sizeof(*c) + count * sizeof(c->keys[0]));
    if (c == NULL)
        return NULL;
    c->near = near;
    c->count = count;
    buf_init(&c->values, 0);
    return c;
}

void copies_free(struct copies **pointer) {
    struct copies *c = *pointer;
    *pointer = NULL;
    if (c == NULL)
        return;
    buf_release(&c->values);
    free(c);
}

bool copies_take(struct copies *c, uint32_t index, struct span value) {
    c->keys[index].at = buf_len(&c->values);
    buf_append_span(&c->values, value);
    if (c->values.failed)
        return false;
    c->keys[index].len = value.len;
    c->taken++;
    return true;
}

void copies_ask(struct copies *c, uint32_t index, uint64_t hash, const struct near_ticket *ticket) {
    c->keys[index].hash = hash;
    c->keys[index].ticket = *ticket;
}

uint32_t copies_taken(const struct copies *c) {
    return c == NULL ? 0 : c->taken;
}

struct span copies_value(const struct copies *c, uint32_t index) {
    const struct copy *key = c == NULL ? NULL : &c->keys[index];
    return key == NULL || key->len == 0
               ? span_of(NULL, 0)
               : span_of(c->values.data + c->values.head + key->at, key->len);
}

void copies_answered(struct copies *c, uint32_t index, struct span element, bool in_order) {
    const struct copy *key = &c->keys[index];
    if (!in_order || key->ticket.slot == NEAR_NONE || element.ptr[0] != '$' ||
        !near_put(c->near, &key->ticket, element))
        near_pass(c->near, key->hash, false);
}
