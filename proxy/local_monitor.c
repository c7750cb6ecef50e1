/* MONITOR. Who monitors is shown what the clients of all workers ask for. */
#include "../common/buf.h"
#include "../common/log.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "inbox.h"
#include "local_private.h"
#include "monitor.h"
#include "proxy_conf.h"

/* Returns false, the error written. */
static bool begin(const struct local_call *call) {
    struct local_client *c = call->client;
    c->monitor = inbox_new(INBOX_LINES, c->id, c->worker, c, MONITOR_INBOX_BYTES_MAX);
    if (c->monitor == NULL) {
        reply_error(call->out, REPLY_OOM, NULL);
        return false;
    }
    if (!monitor_join(call->server->monitor, c->monitor)) {
        inbox_drop(&c->monitor);
        reply_error_number(call->out, REPLY_MONITORS, MONITORS_MAX);
        return false;
    }
    stats_set(&c->monitors, 1);
    log_event(LOG_LEVEL_INFO, "monitor_begun", "id=%llu addr=%s user=%s", (unsigned long long)c->id,
              c->addr, c->user);
    local_tell(call->server, LOCAL_NEWS_MONITORS);
    return true;
}

bool local_may_monitor(const struct local_server *server, const struct local_client *client) {
    return rights_is_admin(server->rights, &client->rights) &&
           rights_covers_prefix(&client->rights, SPAN(""));
}

void local_monitor(const struct local_call *call) {
    if (!local_may_monitor(call->server, call->client))
        reply_error(call->out, REPLY_NOPERM_COMMAND, "monitor");
    else if (!call->server->conf->allow_monitor || call->server->monitor == NULL)
        reply_error(call->out, REPLY_MONITOR, NULL);
    else if (call->client->monitor != NULL || begin(call))
        resp_write_status(call->out, "OK");
}

void local_monitor_end(const struct local_server *server, struct local_client *client) {
    if (client->monitor == NULL)
        return;
    monitor_leave(server->monitor, client->monitor);
    inbox_close(client->monitor);
    inbox_drop(&client->monitor);
    stats_set(&client->monitors, 0);
    local_tell(server, LOCAL_NEWS_MONITORS);
}
