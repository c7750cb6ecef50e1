/*
 * aspect: what MEMORY and OBJECT ask of one key, and how it is answered from its value. Knows no
 * session and no store.
 */
#ifndef RINGFENCE_ASPECT_H
#define RINGFENCE_ASPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/span.h"

struct buf;

enum aspect_of {
    ASPECT_USAGE,
    ASPECT_ENCODING,
    ASPECT_REFCOUNT,
    ASPECT_FREQ,
    ASPECT_IDLETIME,
};

struct aspect {
    enum aspect_of of;
    uint32_t key_len;
};

/** aspect_asks(id): a command that asks for one: MEMORY, OBJECT. */
bool aspect_asks(int id);

/** aspect_parse(id, argv, argc, out): which one a request for such a command asks for. Returns -1,
 * or the error that it is (enum reply_error). */
int aspect_parse(int id, const struct span *argv, uint32_t argc, struct aspect *out);

/** aspect_write(aspect, value, expires, out): the answer for a key that has this value. */
void aspect_write(const struct aspect *aspect, struct span value, bool expires, struct buf *out);

#endif
