/* CONFIG SET, RESETSTAT and REWRITE. Every worker has options of its own; each is told. */
#include <stdio.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/conf.h"
#include "../common/log.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "local_private.h"
#include "proxy_conf.h"

enum { PAIRS_MAX = 32, VALUE_BYTES_MAX = 128 };

struct change {
    const struct conf_row *row;
    int64_t value;
};

static bool fail(const struct local_call *call, struct span name, const char *why) {
    reply_error_with(call->out, REPLY_CONFIG_SET, (struct span[]){name, span_str(why)}, 2);
    return false;
}

/* Our row of that name, in any case; or of ours behind a name of Redis'. */
static const struct conf_row *find_row(struct span name) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    const char *ours = local_config_alias(name);
    for (size_t i = 0; i < count; i++) {
        if (ours != NULL ? span_equal(span_str(ours), span_str(rows[i].name))
                         : span_equal_nocase(name, span_str(rows[i].name)))
            return &rows[i];
    }
    return NULL;
}

/* One pair. Nothing is changed yet. */
static bool parse_change(const struct local_call *call, const struct span *pair,
                         struct proxy_conf *scratch, struct change *out) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count), *row = find_row(pair[0]);
    char value[VALUE_BYTES_MAX];
    struct conf_error error;
    if (row == NULL && local_config_known(pair[0]))
        return fail(call, pair[0], "can't set immutable config");
    if (row == NULL) {
        reply_error_with(call->out, REPLY_CONFIG_UNKNOWN, &pair[0], 1);
        return false;
    }
    if ((row->flags & CONF_RELOADABLE) == 0)
        return fail(call, pair[0], "can't set immutable config");
    if (pair[1].len >= sizeof(value) || memchr(pair[1].ptr, '\0', pair[1].len) != NULL)
        return fail(call, pair[0], "argument is too long");
    snprintf(value, sizeof(value), "%.*s", (int)pair[1].len, pair[1].ptr);
    if (!conf_set(rows, count, scratch, row->name, value, &error))
        return fail(call, pair[0], error.text);
    *out = (struct change){row, conf_number(row, scratch)};
    return true;
}

/* Events are always there for those who subscribe, so this is taken if it does not turn off what is
 * there: some libraries set it before they do. */
static bool is_events(struct span name) {
    return span_equal_nocase(name, SPAN("notify-keyspace-events"));
}

static bool events_fit(const struct local_call *call, const struct span *pair) {
    bool by_key_or_event = false;
    for (size_t i = 0; i < pair[1].len; i++) {
        char flag = pair[1].ptr[i];
        if (flag == '\0' || strchr("AKEg$lshzxetdmn", flag) == NULL)
            return fail(call, pair[0], "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        by_key_or_event = by_key_or_event || flag == 'K' || flag == 'E';
    }
    return by_key_or_event || fail(call, pair[0], "events cannot be turned off here");
}

void local_config_set(const struct local_call *call) {
    struct proxy_conf scratch = *call->server->conf; /* its texts are not changed */
    struct change changes[PAIRS_MAX];
    uint32_t count = (call->argc - 2) / 2;
    if (call->argc % 2 != 0 || count > PAIRS_MAX) {
        reply_wrong_arity(call->out, "config|set");
        return;
    }
    uint32_t pairs = count;
    count = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        const struct span *pair = &call->argv[2 + 2 * i];
        if (is_events(pair[0]) ? !events_fit(call, pair)
                               : !parse_change(call, pair, &scratch, &changes[count]))
            return;
        for (uint32_t j = 0; j < count; j++) {
            if (!is_events(pair[0]) && changes[j].row == changes[count].row) {
                fail(call, pair[0], "duplicate parameter");
                return;
            }
        }
        count += !is_events(pair[0]);
    }
    const struct local_peers *peers = call->server->peers;
    bool all = peers != NULL;
    for (uint32_t i = 0; all && i < count; i++) {
        log_event(LOG_LEVEL_INFO, "option_set", "name=%s value=%lld by=%s", changes[i].row->name,
                  (long long)changes[i].value, call->client->user);
        all = peers->set_option(peers->ctx, call->server->worker, changes[i].row, changes[i].value);
    }
    if (all)
        resp_write_status(call->out, "OK");
    else
        reply_error(call->out, REPLY_BUSY, NULL);
}

void local_config_resetstat(const struct local_call *call) {
    if (call->server->peers != NULL)
        call->server->peers->reset_stats(call->server->peers->ctx, call->server->worker);
    resp_write_status(call->out, "OK");
}

/* The file is its owner's: what was SET is gone with the process. */
void local_config_rewrite(const struct local_call *call) {
    reply_error(call->out,
                call->server->config_file[0] == '\0' ? REPLY_NO_CONFIG_FILE : REPLY_CONFIG_REWRITE,
                NULL);
}
