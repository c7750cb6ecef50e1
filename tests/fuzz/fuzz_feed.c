// needs: node/feed.c common/span.c
/*
 * The feed's payload: any role may NOTIFY, so any bytes may come. What is not understood must end
 * in exactly one "everything"; a key must lie within the payload.
 */
#include <stdlib.h>

#include "../../node/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct heard {
    struct span payload;
    size_t everything, items;
};

static void check_within(struct heard *h, struct span part) {
    if (part.ptr < h->payload.ptr || part.len > h->payload.len ||
        part.ptr + part.len > h->payload.ptr + h->payload.len)
        abort();
    h->items++;
}

static void on_changed(void *ctx, struct span key, uint64_t version, enum change change) {
    (void)version;
    check_within(ctx, key);
}

static void on_gone(void *ctx, struct span key, enum change change) {
    check_within(ctx, key);
}

static void on_everything(void *ctx) {
    struct heard *h = ctx;
    h->everything++;
}

static void on_heartbeat(void *ctx, struct span node, uint64_t counter, struct span nonce) {
    (void)counter;
    check_within(ctx, node);
    check_within(ctx, nonce);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static const struct feed_handlers HANDLERS = {on_changed, on_gone, on_everything, on_heartbeat};
    struct heard h = {.payload = span_of((const char *)input, size)};
    bool understood = feed_parse(h.payload, &HANDLERS, &h);
    if ((!understood && h.everything == 0) || h.everything + h.items > size + 1)
        abort();
    return 0;
}
