#include "range.h"

struct span range_of(struct span value, struct range range) {
    int64_t len = (int64_t)value.len, from = range.from, to = range.to;
    if (from < 0)
        from = from + len < 0 ? 0 : from + len;
    if (to < 0)
        to = to + len < 0 ? 0 : to + len;
    if (to >= len)
        to = len - 1;
    if ((range.from < 0 && range.to < 0 && range.from > range.to) || from > to)
        return SPAN("");
    return span_of(value.ptr + from, (size_t)(to - from + 1));
}
