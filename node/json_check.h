/* json_check: is a value JSON? By jansson, the strictest of the libraries that are packaged. */
#ifndef RINGFENCE_JSON_CHECK_H
#define RINGFENCE_JSON_CHECK_H

#include <stdbool.h>

#include "../common/span.h"

/**
 * json_check(text, why, size): any JSON value (RFC 8259), objects and scalars alike. Refuses real
 * numbers above 1e308 and nesting above 2,048, which jansson does not take. False: `why` says what
 * and where. Cost: parses it whole.
 */
bool json_check(struct span text, char *why, unsigned size);

#endif
