#include "aspect.h"

#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "cache.h"

bool aspect_asks(int id) {
    return id == COMMAND_MEMORY || id == COMMAND_OBJECT;
}

int aspect_parse(int id, const struct span *argv, uint32_t argc, struct aspect *out) {
    static const struct {
        int id;
        const char *name;
        enum aspect_of of;
    } ROWS[] = {{COMMAND_MEMORY, "usage", ASPECT_USAGE},
                {COMMAND_OBJECT, "encoding", ASPECT_ENCODING},
                {COMMAND_OBJECT, "refcount", ASPECT_REFCOUNT},
                {COMMAND_OBJECT, "freq", ASPECT_FREQ},
                {COMMAND_OBJECT, "idletime", ASPECT_IDLETIME}};
    int64_t samples;
    bool known = false;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]) && !known; i++) {
        known = ROWS[i].id == id && span_equal_nocase(argv[1], span_str(ROWS[i].name));
        out->of = ROWS[i].of;
    }
    if (!known || argc < 3 || (argc > 3 && (id != COMMAND_MEMORY || argc != 5)))
        return REPLY_SYNTAX;
    if (argc == 5 && !span_equal_nocase(argv[3], SPAN("samples")))
        return REPLY_SYNTAX;
    if (argc == 5 && !span_to_int64(argv[4], &samples))
        return REPLY_NOT_INTEGER;
    if (argc == 5 && samples < 0)
        return REPLY_SYNTAX;
    out->key_len = (uint32_t)argv[2].len;
    return -1;
}

/* The name that Redis has for how it would keep the value. */
static struct span encoding_of(struct span value) {
    enum { EMBEDDED_BYTES_MAX = 44 };
    int64_t ignored;
    if (span_to_int64(value, &ignored))
        return SPAN("int");
    return value.len <= EMBEDDED_BYTES_MAX ? SPAN("embstr") : SPAN("raw");
}

void aspect_write(const struct aspect *aspect, struct span value, bool expires, struct buf *out) {
    switch (aspect->of) {
    case ASPECT_USAGE:
        resp_write_int(out, (int64_t)cache_item_bytes(aspect->key_len, value.len, expires));
        return;
    case ASPECT_ENCODING:
        resp_write_bulk(out, encoding_of(value));
        return;
    case ASPECT_REFCOUNT:
        resp_write_int(out, 1);
        return;
    case ASPECT_FREQ:
        reply_error(out, REPLY_NO_FREQUENCY, NULL);
        return;
    case ASPECT_IDLETIME:
        reply_error(out, REPLY_NO_IDLE_TIME, NULL);
        return;
    }
}
