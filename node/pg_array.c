#include "pg_array.h"

#include <arpa/inet.h>

#include "../common/buf.h"

enum { TEXT_OID = 25 };

static void add_u32(struct buf *b, uint32_t n) {
    n = htonl(n);
    buf_append(b, (const char *)&n, sizeof(n));
}

void pg_array_begin(struct buf *b, uint32_t count) {
    add_u32(b, count != 0); /* dimensions */
    add_u32(b, 0);          /* no nulls */
    add_u32(b, TEXT_OID);
    if (count == 0)
        return;
    add_u32(b, count);
    add_u32(b, 1); /* lower bound */
}

void pg_array_add(struct buf *b, struct span element) {
    add_u32(b, (uint32_t)element.len);
    buf_append_span(b, element);
}

int64_t pg_array_int64(const char *data) {
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | (unsigned char)data[i];
    return (int64_t)n;
}
