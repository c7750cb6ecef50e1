// needs: node/json_check.c common/span.c -ljansson
/*
 * Values that have to be JSON: no fault; a refusal says why, in a text of its own that is one line;
 * and blanks around a value change nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "../../node/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { WHY_BYTES = 120 };

static bool check(const char *before, const uint8_t *input, size_t size, const char *after) {
    char why[WHY_BYTES + 1];
    size_t head = strlen(before), tail = strlen(after);
    char *exact = malloc(head + size + tail + 1); /* a fault shows behind its end */
    if (exact == NULL)
        abort();
    memset(why, 'w', sizeof(why));
    memcpy(exact + 1, before, head);
    memcpy(exact + 1 + head, input, size);
    memcpy(exact + 1 + head + size, after, tail);
    bool is_json = json_check(span_of(exact + 1, head + size + tail), why, WHY_BYTES);
    if (why[WHY_BYTES] != 'w' ||
        (!is_json && (why[0] == '\0' || memchr(why, '\0', WHY_BYTES) == NULL)))
        abort();
    free(exact);
    return is_json;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    bool is_json = check("", input, size, "");
    if (check(" \t", input, size, "\r\n ") != is_json)
        abort();
    if (is_json && !check("[", input, size, ",null]") && size < 1000)
        abort(); /* what is a value may stand in an array */
    return 0;
}
