// needs: common/resp_request.c common/resp_line.c common/span.c
/*
 * The request parser: whatever the bytes, no fault; and the same result whole as in pieces. The
 * first byte of the input is the size of the pieces.
 */
#include <stdlib.h>

#include "../../common/resp_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static const struct resp_limits LIMITS = {
    .args_max = 64, .bulk_bytes_max = 4096, .inline_bytes_max = 256};

/* All that a run of the parser can be told by: folded into one number. */
static uint64_t fold(uint64_t h, const char *data, size_t len) {
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)data[i]) * 1099511628211u;
    return (h ^ len) * 1099511628211u;
}

static uint64_t run(const char *data, size_t len, size_t step) {
    struct resp_parser p;
    resp_parser_init(&p);
    uint64_t h = 14695981039346656037u;
    size_t from = 0, have = 0;
    enum resp_result result = RESP_PARTIAL;
    while (result != RESP_ERROR && (result == RESP_OK || have < len)) {
        if (result == RESP_PARTIAL)
            have = len - have < step ? len : have + step;
        char *exact = malloc(have - from + 1); /* a fault shows behind its end, and it moves */
        if (exact == NULL)
            abort();
        memcpy(exact + 1, data + from, have - from);
        struct resp_request in;
        result = resp_parse_request(&p, exact + 1, have - from, &LIMITS, &in);
        if (result == RESP_OK) {
            if (in.size == 0 || in.size > have - from || in.argc > LIMITS.args_max)
                abort();
            from += in.size;
            for (uint32_t i = 0; i < in.argc; i++)
                h = fold(h, in.argv[i].ptr, in.argv[i].len);
            h = (h ^ in.argc) * 1099511628211u;
        } else if (result == RESP_ERROR) {
            h = fold(h, p.error, strlen(p.error));
        }
        free(exact);
    }
    resp_parser_release(&p);
    return (h ^ from) * 1099511628211u;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 2)
        return 0;
    const char *data = (const char *)input + 1;
    uint64_t whole = run(data, size - 1, size);
    if (run(data, size - 1, 1) != whole || run(data, size - 1, (size_t)input[0] + 1) != whole)
        abort();
    return 0;
}
