/* CLIENT PAUSE and UNPAUSE. Texts as Redis has them. */
#include "../common/buf.h"
#include "../common/log.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "local_private.h"
#include "pause.h"

/* Returns false, the error written, if it is none. */
static bool parse_kind(const struct local_call *call, enum pause_kind *out) {
    *out = PAUSE_ALL;
    if (call->argc > 4) {
        reply_error_with(call->out, REPLY_SUBCOMMAND_ARGS,
                         (struct span[]){SPAN("PAUSE"), SPAN("CLIENT")}, 2);
        return false;
    }
    if (call->argc == 3 || span_equal_nocase(call->argv[3], SPAN("ALL")))
        return true;
    *out = PAUSE_WRITE;
    if (span_equal_nocase(call->argv[3], SPAN("WRITE")))
        return true;
    reply_error(call->out, REPLY_PAUSE_MODE, NULL);
    return false;
}

void local_pause(const struct local_call *call) {
    enum pause_kind kind;
    int64_t ms;
    if (!parse_kind(call, &kind))
        return;
    if (!span_to_int64(call->argv[2], &ms) || ms > PAUSE_MS_MAX) {
        reply_error(call->out, REPLY_TIMEOUT_RANGE, NULL);
        return;
    }
    if (ms < 0) {
        reply_error(call->out, REPLY_TIMEOUT_NEGATIVE, NULL);
        return;
    }
    int64_t now_us = call->now_mono_ms * 1000;
    log_event(LOG_LEVEL_INFO, "clients_paused", "ms=%lld what=%s by=%s", (long long)ms,
              kind == PAUSE_ALL ? "all" : "writes", call->client->user);
    pause_begin(call->server->pause, kind, now_us, now_us + ms * 1000);
    local_tell(call->server, LOCAL_NEWS_PAUSE);
    resp_write_status(call->out, "OK");
}

void local_unpause(const struct local_call *call) {
    log_event(LOG_LEVEL_INFO, "clients_unpaused", "by=%s", call->client->user);
    pause_end(call->server->pause);
    local_tell(call->server, LOCAL_NEWS_PAUSE);
    resp_write_status(call->out, "OK");
}
