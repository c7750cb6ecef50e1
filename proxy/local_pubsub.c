/* PUBSUB and PUBLISH. */
#include "../common/buf.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "board.h"
#include "local_private.h"
#include "proxy_conf.h"

/* Names of channels hold keys, and not everybody may know of all keys. */
static bool may_know(const struct local_call *call, const char *subcommand) {
    bool may = call->server->board != NULL && rights_covers_prefix(&call->client->rights, SPAN(""));
    if (!may)
        reply_error_with(call->out, REPLY_NOPERM_SUBCOMMAND,
                         (struct span[]){SPAN("pubsub"), span_str(subcommand)}, 2);
    return may;
}

struct listed {
    struct buf names;
    uint64_t count;
};

static void add(void *ctx, struct span name) {
    struct listed *listed = ctx;
    resp_write_bulk(&listed->names, name);
    listed->count++;
}

static void channels(const struct local_call *call) {
    struct listed listed = {.count = 0};
    if (call->argc > 3) {
        reply_wrong_arity(call->out, "pubsub|channels");
        return;
    }
    if (!may_know(call, "channels"))
        return;
    buf_init(&listed.names, (size_t)call->server->conf->output_bytes_max);
    board_each(call->server->board, call->argc == 3 ? call->argv[2] : span_of(NULL, 0), add,
               &listed);
    if (listed.names.failed) {
        reply_error(call->out, REPLY_OOM, NULL);
    } else {
        resp_write_array(call->out, listed.count);
        buf_append(call->out, buf_head(&listed.names), buf_len(&listed.names));
    }
    buf_release(&listed.names);
}

static void numsub(const struct local_call *call) {
    if (!may_know(call, "numsub"))
        return;
    resp_write_array(call->out, 2 * (uint64_t)(call->argc - 2));
    for (uint32_t i = 2; i < call->argc; i++) {
        resp_write_bulk(call->out, call->argv[i]);
        resp_write_int(call->out, (int64_t)board_subscribers(call->server->board, call->argv[i]));
    }
}

static void numpat(const struct local_call *call) {
    if (may_know(call, "numpat"))
        resp_write_int(call->out, (int64_t)board_names(call->server->board, BOARD_PATTERNS));
}

static void help(const struct local_call *call) {
    local_help(call, COMMAND_PUBSUB);
}

const struct local_subcommand LOCAL_PUBSUB_ROWS[] = {
    {"channels", -2, "2.8.0", " [<pattern>]", "The channels that somebody is subscribed to.",
     channels, 0},
    {"numsub", -2, "2.8.0", " [<channel> ...]",
     "How many connections are subscribed to each channel, patterns not counted.", numsub, 0},
    {"numpat", 2, "2.8.0", "", "How many different patterns somebody is subscribed to.", numpat, 0},
    {"help", 2, "6.2.0", "", "This text.", help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};

/* What clients say to each other would have to go through the table, or through every proxy. */
void local_publish(const struct local_call *call) {
    reply_error(call->out, REPLY_PUBLISH, NULL);
}
