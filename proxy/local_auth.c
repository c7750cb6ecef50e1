/* AUTH and HELLO: who a client is. */
#include <stdio.h>

#include "../common/buf.h"
#include "../common/log.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "../common/users.h"
#include "../common/version.h"
#include "local_private.h"
#include "proxy_conf.h"
#include "registry.h"
#include "tracking.h"

/* ---- who a client is ---- */

void local_store_user(const struct local_server *server, struct local_client *client, bool begins) {
    if (begins)
        rights_begin(server->rights, &client->rights);
    const struct user *user = client->rights.user;
    registry_lock(server->registry);
    snprintf(client->user, sizeof(client->user), "%s", user != NULL ? user->name : "default");
    registry_unlock(server->registry);
}

void local_begin(const struct local_server *server, struct local_client *client) {
    local_store_user(server, client, true);
}

bool local_renew(const struct local_server *server, struct local_client *client) {
    return rights_renew(server->rights, span_str(client->user), &client->rights);
}

/* A name that is nobody's is not logged: it may be a password in the wrong place. */
static void log_failure(const struct local_call *call, struct span name) {
    if (call->client->rights.failures != 1) /* one line for those that go on trying */
        return;
    const struct user *user = users_find(rights_users(call->server->rights), name);
    log_event(LOG_LEVEL_WARN, "auth_failed", "id=%llu addr=%s user=%s",
              (unsigned long long)call->client->id, call->client->addr,
              user != NULL ? user->name : "unknown");
}

/* Without users it is as in a Redis without passwords: "default" gets in with any, and there is no
 * other user. */
static bool log_in(const struct local_call *call, struct span name, struct span password) {
    struct rights *rights = call->server->rights;
    bool in = rights == NULL ? span_equal(name, SPAN("default"))
                             : rights_login(rights, name, password, &call->client->rights);
    if (in) {
        local_store_user(call->server, call->client, false);
        return true;
    }
    if (rights != NULL)
        log_failure(call, name);
    reply_error(call->out, REPLY_WRONGPASS, NULL);
    return false;
}

/* "default" needs no password: to give one alone is a client's mistake. */
static bool is_open(const struct rights *rights) {
    const struct user *user =
        rights == NULL ? NULL : users_find(rights_users(rights), SPAN("default"));
    return rights == NULL || (user != NULL && user->nopass);
}

void local_auth(const struct local_call *call) {
    if (call->argc > 3)
        reply_error(call->out, REPLY_SYNTAX, NULL);
    else if (call->argc == 2 && is_open(call->server->rights))
        reply_error(call->out, REPLY_NO_PASSWORD, NULL);
    else if (log_in(call, call->argc == 2 ? SPAN("default") : call->argv[1],
                    call->argv[call->argc - 1]))
        resp_write_status(call->out, "OK");
}

/* ---- HELLO ---- */

struct hello {
    int proto;
    const struct span *auth; /* user and password, or NULL */
    const struct span *name; /* or NULL */
};

static bool hello_option(const struct local_call *call, uint32_t *at, struct hello *hello) {
    struct span option = call->argv[*at];
    uint32_t left = call->argc - 1 - *at;
    if (span_equal_nocase(option, SPAN("AUTH")) && left >= 2) {
        hello->auth = &call->argv[*at + 1];
        *at += 3;
        return true;
    }
    if (span_equal_nocase(option, SPAN("SETNAME")) && left >= 1) {
        hello->name = &call->argv[*at + 1];
        *at += 2;
        return true;
    }
    reply_error_with(call->out, REPLY_HELLO_OPTION, &option, 1);
    return false;
}

static bool parse_hello(const struct local_call *call, struct hello *hello) {
    int64_t proto;
    if (call->argc > 1) {
        if (!span_to_int64(call->argv[1], &proto)) {
            reply_error(call->out, REPLY_HELLO_VERSION, NULL);
            return false;
        }
        if (proto != 2 && proto != 3) {
            reply_error(call->out, REPLY_NOPROTO, NULL);
            return false;
        }
        hello->proto = (int)proto;
    }
    for (uint32_t at = 2; at < call->argc;) {
        if (!hello_option(call, &at, hello))
            return false;
    }
    return true;
}

static void write_hello(const struct local_call *call) {
    struct buf *out = call->out;
    resp_write_map(out, 8, call->client->proto);
    resp_write_bulk(out, SPAN("server"));
    resp_write_bulk(out, SPAN("redis"));
    resp_write_bulk(out, SPAN("version"));
    resp_write_bulk(out, span_str(call->server->conf->compat_redis_version));
    resp_write_bulk(out, SPAN("proto"));
    resp_write_int(out, call->client->proto);
    resp_write_bulk(out, SPAN("id"));
    resp_write_int(out, (int64_t)call->client->id);
    resp_write_bulk(out, SPAN("mode"));
    resp_write_bulk(out, SPAN("standalone"));
    resp_write_bulk(out, SPAN("role"));
    resp_write_bulk(out, SPAN("master"));
    resp_write_bulk(out, SPAN("modules"));
    resp_write_array(out, 0);
    resp_write_bulk(out, SPAN("ringfence_version"));
    resp_write_bulk(out, SPAN(RINGFENCE_VERSION));
}

/* In Redis' order: who, then the name, then the protocol. */
void local_hello(const struct local_call *call) {
    struct hello hello = {.proto = call->client->proto};
    if (!parse_hello(call, &hello) ||
        (hello.auth != NULL && !log_in(call, hello.auth[0], hello.auth[1])))
        return;
    if (rights_waits(call->server->rights, &call->client->rights)) {
        reply_error(call->out, REPLY_NOAUTH_HELLO, NULL);
        return;
    }
    if (hello.name != NULL && !local_name_fits(call, *hello.name))
        return;
    if (hello.proto != 3 && call->client->tracking->redirect == NULL) { /* it cannot be told */
        tracking_stop(call->server->tracking, call->client->tracking);
        local_show_tracking(call->client);
    }
    if (hello.proto != call->client->proto)
        local_store_proto(call, hello.proto);
    if (hello.name != NULL)
        local_store_name(call, *hello.name);
    write_hello(call);
}
