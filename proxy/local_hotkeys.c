/* RF.HOTKEYS: the keys that all workers of this proxy are asked for most. */
#include <math.h>
#include <stdio.h>

#include "../common/buf.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "hotkeys.h"
#include "local_private.h"

enum { COUNT_DEFAULT = 10 };

/* `[COUNT n]`. Returns false, the error written, for anything else. */
static bool parse_count(const struct local_call *call, int64_t *out) {
    *out = COUNT_DEFAULT;
    if (call->argc == 1)
        return true;
    if (call->argc != 3 || !span_equal_nocase(call->argv[1], SPAN("count"))) {
        reply_error(call->out, REPLY_SYNTAX, NULL);
        return false;
    }
    if (span_to_int64(call->argv[2], out) && *out > 0)
        return true;
    reply_error(call->out, REPLY_NOT_INTEGER, NULL);
    return false;
}

/* Those that the client's user may read, and that come at all; the first `max`. Returns how many.
 */
static size_t choose(const struct local_call *call, struct hotkeys_list *list, int64_t max) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count && kept < (uint64_t)max; i++) {
        if (list->rows[i].per_second > 0 &&
            rights_covers_prefix(&call->client->rights, list->rows[i].key))
            list->rows[kept++] = list->rows[i];
    }
    return kept;
}

void local_hotkeys(const struct local_call *call) {
    int64_t max;
    struct hotkeys_list list = {0};
    if (!parse_count(call, &max))
        return;
    if (call->server->hotkeys != NULL &&
        !hotkeys_list(call->server->hotkeys, call->now_mono_ms * 1000, &list)) {
        reply_error(call->out, REPLY_OOM, NULL);
        return;
    }
    size_t count = choose(call, &list, max);
    resp_write_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        char share[32];
        int n = snprintf(share, sizeof(share), "%.4f", list.rows[i].per_second / list.per_second);
        resp_write_array(call->out, 3);
        resp_write_bulk(call->out, list.rows[i].key);
        resp_write_int(call->out, (int64_t)ceil(list.rows[i].per_second));
        resp_write_bulk(call->out, span_of(share, (size_t)n));
    }
    hotkeys_release(&list);
}
