/* CLIENT KILL: clients of any worker are marked; their workers are woken and close them. */
#include <stdio.h>

#include "../common/buf.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "../common/users.h"
#include "local_private.h"
#include "registry.h"

struct wanted {
    const struct span *addr, *laddr, *user; /* NULL: any */
    int64_t id;                             /* 0: any */
    enum local_type type;
    bool skip_me;
};

static bool user_exists(const struct local_call *call, struct span name) {
    const struct rights *rights = call->server->rights;
    return rights == NULL ? span_equal(name, SPAN("default"))
                          : span_equal(name, SPAN("default")) ||
                                users_find(rights_users(rights), name) != NULL;
}

/* One option and its value. Returns false, the error written, when it is none. */
static bool parse_option(const struct local_call *call, const struct span *option,
                         struct wanted *out) {
    const struct span *value = option + 1;
    if (span_equal_nocase(*option, SPAN("ID"))) {
        if (span_to_int64(*value, &out->id) && out->id > 0)
            return true;
        reply_error(call->out, REPLY_CLIENT_ID_POSITIVE, NULL);
        return false;
    }
    if (span_equal_nocase(*option, SPAN("TYPE")))
        return local_client_type(call, *value, &out->type);
    if (span_equal_nocase(*option, SPAN("ADDR"))) {
        out->addr = value;
        return true;
    }
    if (span_equal_nocase(*option, SPAN("LADDR"))) {
        out->laddr = value;
        return true;
    }
    if (span_equal_nocase(*option, SPAN("USER"))) {
        out->user = value;
        if (user_exists(call, *value))
            return true;
        reply_error_with(call->out, REPLY_NO_SUCH_USER, value, 1);
        return false;
    }
    if (span_equal_nocase(*option, SPAN("SKIPME"))) {
        out->skip_me = span_equal_nocase(*value, SPAN("yes"));
        if (out->skip_me || span_equal_nocase(*value, SPAN("no")))
            return true;
    }
    reply_error(call->out, REPLY_SYNTAX, NULL);
    return false;
}

static bool is_wanted(const struct local_call *call, const struct wanted *w,
                      const struct local_client *c) {
    /* One that was killed before is gone, be its worker still at it. */
    return local_is_type(c, w->type) && !(w->skip_me && c == call->client) &&
           stats_get(&c->killed) == 0 && (w->id == 0 || c->id == (uint64_t)w->id) &&
           (w->addr == NULL || span_equal(*w->addr, span_str(c->addr))) &&
           (w->laddr == NULL || span_equal(*w->laddr, span_str(c->laddr))) &&
           (w->user == NULL || span_equal(*w->user, span_str(c->user)));
}

/* Marks those that are wanted, and returns how many. The asker ends behind its answer. */
static int64_t kill_wanted(const struct local_call *call, const struct wanted *w) {
    const struct local_server *server = call->server;
    int64_t killed = 0;
    bool others = false;
    registry_lock(server->registry);
    for (struct local_client *c = registry_first(server->registry); c != NULL; c = c->next) {
        if (!is_wanted(call, w, c))
            continue;
        killed++;
        if (c == call->client) {
            call->client->ends = true;
        } else {
            stats_set(&c->killed, LOCAL_KILL_ASKED);
            others = true;
        }
    }
    registry_unlock(server->registry);
    if (others)
        local_tell(server, LOCAL_NEWS_KILLED);
    return killed;
}

void local_kill(const struct local_call *call) {
    struct wanted w = {.skip_me = true};
    if (call->argc == 3) { /* the old form: an address, perhaps one's own */
        w = (struct wanted){.addr = &call->argv[2]};
        if (kill_wanted(call, &w) != 0)
            resp_write_status(call->out, "OK");
        else
            reply_error(call->out, REPLY_NO_SUCH_CLIENT, NULL);
        return;
    }
    for (uint32_t at = 2; at < call->argc; at += 2) {
        if (at + 1 == call->argc) {
            reply_error(call->out, REPLY_SYNTAX, NULL);
            return;
        }
        if (!parse_option(call, &call->argv[at], &w))
            return;
    }
    resp_write_int(call->out, kill_wanted(call, &w));
}
