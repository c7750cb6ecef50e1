#include "json_check.h"

#include <jansson.h>
#include <stdio.h>

bool json_check(struct span text, char *why, unsigned size) {
    json_error_t error;
    json_t *parsed = json_loadb(text.ptr, text.len,
                                JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (parsed == NULL) {
        snprintf(why, size, "%s at byte %d", error.text, error.position);
        return false;
    }
    json_decref(parsed);
    return true;
}
