// needs: common/resp_scan.c common/resp_reader.c common/resp_line.c common/span.c common/buf.c
/*
 * The reply scanner and the reader: no fault; the same result whole as in pieces; and the scanner's
 * size is what the reader takes. The first byte of the input is the size of the pieces.
 */
#include <stdlib.h>

#include "../../common/resp_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct outcome {
    enum resp_result last;
    size_t replies, bytes;
};

static struct outcome scan(const char *data, size_t len, size_t step) {
    struct outcome out = {RESP_PARTIAL, 0, 0};
    struct resp_scan s = {0};
    size_t have = 0, size = 0;
    while (out.last != RESP_ERROR && (out.last == RESP_OK || have < len)) {
        if (out.last == RESP_PARTIAL)
            have = len - have < step ? len : have + step;
        char *exact = malloc(have - out.bytes + 1);
        if (exact == NULL)
            abort();
        memcpy(exact + 1, data + out.bytes, have - out.bytes);
        out.last = resp_scan_reply(&s, exact + 1, have - out.bytes, &size);
        free(exact);
        if (out.last == RESP_OK) {
            if (size == 0 || size > have - out.bytes)
                abort();
            out.replies++;
            out.bytes += size;
        }
    }
    return out;
}

static size_t walk(const struct resp_reply *reply, size_t depth) {
    if (depth > RESP_DEPTH_MAX || (reply->text != NULL && reply->text[reply->len] != '\0'))
        abort();
    size_t nodes = 1;
    for (size_t i = 0; i < reply->count; i++)
        nodes += walk(reply->elements[i], depth + 1);
    return nodes;
}

static struct outcome read_all(const char *data, size_t len, size_t step) {
    struct outcome out = {RESP_PARTIAL, 0, 0};
    struct resp_reader *r = resp_reader_new();
    size_t have = 0;
    while (r != NULL && out.last != RESP_ERROR && (out.last == RESP_OK || have < len)) {
        if (out.last == RESP_PARTIAL) {
            size_t more = len - have < step ? len - have : step;
            if (!resp_reader_feed(r, data + have, more))
                abort();
            have += more;
        }
        struct resp_reply *reply;
        out.last = resp_reader_get(r, &reply);
        if (out.last == RESP_OK) {
            out.replies++;
            if (walk(reply, 0) > len)
                abort();
        }
        resp_reply_free(&reply);
    }
    resp_reader_free(&r);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 2)
        return 0;
    const char *data = (const char *)input + 1;
    size_t step = (size_t)input[0] + 1;
    struct outcome whole = scan(data, size - 1, size);
    const struct outcome others[] = {scan(data, size - 1, 1), scan(data, size - 1, step),
                                     read_all(data, size - 1, step)};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i].last != whole.last || others[i].replies != whole.replies)
            abort();
    }
    return others[0].bytes == whole.bytes && others[1].bytes == whole.bytes ? 0 : (abort(), 0);
}
