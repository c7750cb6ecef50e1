/* ACL: what the users file says, in Redis' words. Users are changed by editing the file. */
#include <stdio.h>
#include <string.h>

#include "../common/buf.h"
#include "../common/command.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "../common/users.h"
#include "local_private.h"

/* As Redis' rules say what a role may. */
static const char *commands_of(enum user_role role) {
    switch (role) {
    case USER_READ:
        return "+@all -@write -@admin";
    case USER_WRITE:
        return "+@all -@admin";
    case USER_ADMIN:
        return "+@all";
    }
    return "-@all";
}

static const struct user *everybody(void) {
    static const struct user DEFAULT = {.name = "default", .role = USER_ADMIN, .nopass = true};
    return &DEFAULT;
}

static size_t count_users(const struct local_call *call) {
    return call->server->rights == NULL ? 1 : users_count(rights_users(call->server->rights));
}

static const struct user *user_at(const struct local_call *call, size_t index) {
    return call->server->rights == NULL ? everybody()
                                        : users_at(rights_users(call->server->rights), index);
}

static const struct user *find_user(const struct local_call *call, struct span name) {
    if (call->server->rights != NULL)
        return users_find(rights_users(call->server->rights), name);
    return span_equal(name, SPAN("default")) ? everybody() : NULL;
}

/* Prefixes as patterns: what a pattern would take for more than itself is escaped. */
static void write_keys(const struct user *user, struct buf *out) {
    if (user->prefixes_count == 0)
        buf_append(out, "~*", 2);
    for (uint32_t i = 0; i < user->prefixes_count; i++) {
        struct span prefix = user->prefixes[i];
        buf_append(out, " ", i == 0 ? 0 : 1);
        buf_append(out, "~", 1);
        for (size_t at = 0; at < prefix.len; at++) {
            if (prefix.ptr[at] != '\0' && strchr("*?[]\\", prefix.ptr[at]) != NULL)
                buf_append(out, "\\", 1);
            buf_append(out, &prefix.ptr[at], 1);
        }
        buf_append(out, "*", 1);
    }
}

static void write_text(const struct local_call *call, struct buf *text) {
    if (text->failed)
        reply_error(call->out, REPLY_OOM, NULL);
    else
        resp_write_bulk(call->out, span_of(buf_head(text), buf_len(text)));
    buf_release(text);
}

static void whoami(const struct local_call *call) {
    resp_write_bulk(call->out, span_str(call->client->user));
}

static void users(const struct local_call *call) {
    resp_write_array(call->out, count_users(call));
    for (size_t i = 0; i < count_users(call); i++)
        resp_write_bulk(call->out, span_str(user_at(call, i)->name));
}

/* Digests are not shown: who has them can try passwords at leisure. */
static void list(const struct local_call *call) {
    resp_write_array(call->out, count_users(call));
    for (size_t i = 0; i < count_users(call); i++) {
        const struct user *user = user_at(call, i);
        char line[128];
        struct buf text;
        buf_init(&text, 0);
        int n = snprintf(line, sizeof(line), "user %s on %s", user->name,
                         user->nopass ? "nopass " : "");
        buf_append(&text, line, (size_t)n);
        write_keys(user, &text);
        n = snprintf(line, sizeof(line), " &* %s", commands_of(user->role));
        buf_append(&text, line, (size_t)n);
        write_text(call, &text);
    }
}

static void getuser(const struct local_call *call) {
    const struct user *user = find_user(call, call->argv[2]);
    int proto = call->client->proto;
    struct buf keys;
    if (user == NULL) {
        resp_write_null(call->out, proto);
        return;
    }
    resp_write_map(call->out, 6, proto);
    resp_write_bulk(call->out, SPAN("flags"));
    resp_write_set(call->out, user->nopass ? 2 : 1, proto);
    resp_write_bulk(call->out, SPAN("on"));
    if (user->nopass)
        resp_write_bulk(call->out, SPAN("nopass"));
    resp_write_bulk(call->out, SPAN("passwords"));
    resp_write_array(call->out, 0);
    resp_write_bulk(call->out, SPAN("commands"));
    resp_write_bulk(call->out, span_str(commands_of(user->role)));
    resp_write_bulk(call->out, SPAN("keys"));
    buf_init(&keys, 0);
    write_keys(user, &keys);
    write_text(call, &keys);
    resp_write_bulk(call->out, SPAN("channels"));
    resp_write_bulk(call->out, SPAN("&*"));
    resp_write_bulk(call->out, SPAN("selectors"));
    resp_write_array(call->out, 0);
}

static void help(const struct local_call *call) {
    local_help(call, COMMAND_ACL);
}

const struct local_subcommand LOCAL_ACL_ROWS[] = {
    {"whoami", 2, "6.0.0", "", "The user of this connection.", whoami, 0},
    {"users", 2, "6.0.0", "", "The names of the users.", users, LOCAL_ADMIN},
    {"list", 2, "6.0.0", "", "What each user may do, as rules.", list, LOCAL_ADMIN},
    {"getuser", 3, "6.0.0", " <username>", "What one user may do.", getuser, LOCAL_ADMIN},
    {"help", 2, "5.0.0", "", "This text.", help, 0},
    {NULL, 0, NULL, NULL, NULL, NULL, 0},
};
