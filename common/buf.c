#include "buf.h"

#include <stdlib.h>

enum { BUF_BYTES_MIN = 512 };

void buf_init(struct buf *b, size_t bytes_max) {
    *b = (struct buf){.bytes_max = bytes_max};
}

void buf_release(struct buf *b) {
    free(b->data);
    buf_init(b, b->bytes_max);
}

bool buf_grow(struct buf *b, size_t len) {
    size_t held = buf_len(b);
    if (len > SIZE_MAX / 4 || held > SIZE_MAX / 4 ||
        (b->bytes_max != 0 && held + len > b->bytes_max)) {
        b->failed = true;
        return false;
    }
    /* Moving to the front pays when at least half of the memory is free there: each byte moves O(1)
     * times. */
    if (b->head >= b->cap / 2 && b->cap - held >= len) {
        if (held != 0)
            memmove(b->data, b->data + b->head, held);
        b->head = 0;
        b->tail = held;
        return true;
    }
    size_t cap = b->cap < BUF_BYTES_MIN ? BUF_BYTES_MIN : b->cap;
    while (cap - b->tail < len)
        cap *= 2;
    char *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}
