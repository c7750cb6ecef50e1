/* CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR. Texts as Redis has them. */
#include "../common/buf.h"
#include "../common/reply.h"
#include "../common/resp_write.h"
#include "inbox.h"
#include "local_private.h"
#include "registry.h"
#include "tracking.h"

struct options {
    unsigned flags;
    struct span prefixes[TRACKING_PREFIXES_MAX];
    uint32_t prefixes_count;
    struct inbox *redirect; /* NULL: none */
};

/* Of the same user alone: nobody is to send others messages that they did not ask for. */
static bool parse_redirect(const struct local_call *call, struct span text, struct options *o) {
    int64_t id;
    bool missing;
    if (o->redirect != NULL) {
        reply_error(call->out, REPLY_TRACKING_REDIRECTS, NULL);
        return false;
    }
    if (!span_to_int64(text, &id)) {
        reply_error(call->out, REPLY_NOT_INTEGER, NULL);
        return false;
    }
    o->redirect = registry_inbox(call->server->registry, id, call->client->user, &missing);
    if (o->redirect == NULL)
        reply_error(call->out, missing ? REPLY_TRACKING_REDIRECT : REPLY_OOM, NULL);
    return o->redirect != NULL;
}

/* One option at argv[*at]; moves on. False with the error written. */
static bool parse_option(const struct local_call *call, uint32_t *at, struct options *o) {
    static const struct {
        const char *name;
        unsigned flag;
    } FLAGS[] = {{"BCAST", TRACKING_BCAST},
                 {"OPTIN", TRACKING_OPTIN},
                 {"OPTOUT", TRACKING_OPTOUT},
                 {"NOLOOP", TRACKING_NOLOOP}};
    struct span word = call->argv[(*at)++];
    bool more = *at < call->argc;
    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++) {
        if (span_equal_nocase(word, span_str(FLAGS[i].name))) {
            o->flags |= FLAGS[i].flag;
            return true;
        }
    }
    if (span_equal_nocase(word, SPAN("PREFIX")) && more) {
        if (o->prefixes_count == TRACKING_PREFIXES_MAX) {
            reply_error_number(call->out, REPLY_TRACKING_PREFIXES, TRACKING_PREFIXES_MAX);
            return false;
        }
        o->prefixes[o->prefixes_count++] = call->argv[(*at)++];
        return true;
    }
    if (span_equal_nocase(word, SPAN("REDIRECT")) && more)
        return parse_redirect(call, call->argv[(*at)++], o);
    reply_error(call->out, REPLY_SYNTAX, NULL);
    return false;
}

static bool overlap(struct span a, struct span b) {
    return span_begins_with(a, b) || span_begins_with(b, a);
}

/* Overlapping prefixes would tell a client twice. */
static bool prefixes_are_apart(const struct local_call *call, const struct options *o) {
    const struct tracking_client *t = call->client->tracking;
    for (uint32_t i = 0; i < o->prefixes_count; i++) {
        struct span a = o->prefixes[i];
        for (uint32_t j = 0; j < t->prefixes_count; j++) {
            struct span b = span_of(t->prefixes[j], t->prefixes_len[j]);
            if (overlap(a, b)) {
                reply_error_with(call->out, REPLY_TRACKING_OVERLAP, (struct span[]){a, b}, 2);
                return false;
            }
        }
        for (uint32_t j = i + 1; j < o->prefixes_count; j++) {
            struct span b = o->prefixes[j];
            if (overlap(a, b)) {
                reply_error_with(call->out, REPLY_TRACKING_OVERLAPS, (struct span[]){a, b}, 2);
                return false;
            }
        }
    }
    return true;
}

static bool options_fit(const struct local_call *call, const struct options *o) {
    const struct tracking_client *t = call->client->tracking;
    const unsigned opts = TRACKING_OPTIN | TRACKING_OPTOUT;
    int why = -1;
    if (call->client->proto != 3 && o->redirect == NULL)
        why = REPLY_TRACKING_RESP3;
    else if (o->prefixes_count != 0 && (o->flags & TRACKING_BCAST) == 0)
        why = REPLY_TRACKING_PREFIX;
    else if (t->on && ((o->flags ^ t->flags) & TRACKING_BCAST) != 0)
        why = REPLY_TRACKING_BCAST;
    else if ((o->flags & TRACKING_BCAST) != 0 && (o->flags & opts) != 0)
        why = REPLY_TRACKING_OPT_BCAST;
    else if ((o->flags & opts) == opts)
        why = REPLY_TRACKING_OPT_BOTH;
    else if (t->on && (((o->flags & TRACKING_OPTIN) != 0 && (t->flags & TRACKING_OPTOUT) != 0) ||
                       ((o->flags & TRACKING_OPTOUT) != 0 && (t->flags & TRACKING_OPTIN) != 0)))
        why = REPLY_TRACKING_OPT;
    if (why >= 0)
        reply_error(call->out, (enum reply_error)why, NULL);
    return why < 0;
}

/* BCAST tells the names of keys that it did not read. */
static bool is_allowed(const struct local_call *call, const struct options *o) {
    const struct rights_holder *rights = &call->client->rights;
    bool fine = (o->flags & TRACKING_BCAST) == 0 || o->prefixes_count != 0 ||
                call->client->tracking->prefixes_count != 0 ||
                rights_covers_prefix(rights, SPAN(""));
    for (uint32_t i = 0; i < o->prefixes_count; i++)
        fine = fine && rights_covers_prefix(rights, o->prefixes[i]);
    if (!fine)
        reply_error(call->out, REPLY_NOPERM_KEY, NULL);
    return fine;
}

static bool turn_on(const struct local_call *call, const struct options *o) {
    struct tracking_client *t = call->client->tracking;
    if (!options_fit(call, o) || !prefixes_are_apart(call, o) || !is_allowed(call, o))
        return false;
    if (!tracking_start(call->server->tracking, t, o->flags, o->prefixes, o->prefixes_count)) {
        reply_error(call->out, REPLY_OOM, NULL);
        return false;
    }
    tracking_redirect(t, o->redirect);
    return true;
}

/* Returns false, the error written, if nothing was changed. */
static bool change_tracking(const struct local_call *call, struct options *o) {
    bool on = span_equal_nocase(call->argv[2], SPAN("ON"));
    if (!on && !span_equal_nocase(call->argv[2], SPAN("OFF"))) {
        reply_error(call->out, REPLY_SYNTAX, NULL);
        return false;
    }
    for (uint32_t at = 3; at < call->argc;) {
        if (!parse_option(call, &at, o))
            return false;
    }
    if (on)
        return turn_on(call, o);
    tracking_stop(call->server->tracking, call->client->tracking);
    return true;
}

void local_tracking(const struct local_call *call) {
    struct options o = {0};
    if (change_tracking(call, &o))
        resp_write_status(call->out, "OK");
    inbox_drop(&o.redirect);
    local_show_tracking(call->client);
}

/* ---- how it tracks ---- */

/* 0, or the id of who is told instead of it, shifted by three bits: on, BCAST, redirect broken. */
void local_show_tracking(struct local_client *client) {
    const struct tracking_client *t = client->tracking;
    uint64_t id = t->redirect == NULL ? 0 : inbox_id(t->redirect);
    stats_set(&client->tracks, !t->on ? 0
                                      : id << 3 | (uint64_t)t->broken << 2 |
                                            (uint64_t)((t->flags & TRACKING_BCAST) != 0) << 1 | 1);
}

int64_t local_tracks(const struct local_client *client, char flags[LOCAL_TRACKS_BYTES]) {
    uint64_t tracks = stats_get(&client->tracks);
    size_t n = 0;
    if ((tracks & 1) != 0)
        flags[n++] = 't';
    if ((tracks & 4) != 0)
        flags[n++] = 'R';
    if ((tracks & 2) != 0)
        flags[n++] = 'B';
    flags[n] = '\0';
    return tracks == 0 ? -1 : (int64_t)(tracks >> 3);
}

static int64_t redirect_of(const struct tracking_client *t) {
    return !t->on ? -1 : t->redirect == NULL ? 0 : (int64_t)inbox_id(t->redirect);
}

void local_caching(const struct local_call *call) {
    struct tracking_client *t = call->client->tracking;
    bool yes = span_equal_nocase(call->argv[2], SPAN("YES"));
    if (!t->on) {
        reply_error(call->out, REPLY_CACHING_OFF, NULL);
    } else if (!yes && !span_equal_nocase(call->argv[2], SPAN("NO"))) {
        reply_error(call->out, REPLY_SYNTAX, NULL);
    } else if ((t->flags & (yes ? TRACKING_OPTIN : TRACKING_OPTOUT)) == 0) {
        reply_error_with(call->out, REPLY_CACHING_MODE,
                         yes ? (struct span[]){SPAN("YES"), SPAN("OPTIN")}
                             : (struct span[]){SPAN("NO"), SPAN("OPTOUT")},
                         2);
    } else {
        t->caching = yes ? TRACKING_CACHING_YES : TRACKING_CACHING_NO;
        resp_write_status(call->out, "OK");
    }
}

void local_trackinginfo(const struct local_call *call) {
    const struct tracking_client *t = call->client->tracking;
    const struct {
        const char *name;
        bool shown;
    } FLAGS[] = {{"off", !t->on},
                 {"on", t->on},
                 {"bcast", (t->flags & TRACKING_BCAST) != 0},
                 {"optin", (t->flags & TRACKING_OPTIN) != 0},
                 {"caching-yes", t->caching == TRACKING_CACHING_YES},
                 {"optout", (t->flags & TRACKING_OPTOUT) != 0},
                 {"caching-no", t->caching == TRACKING_CACHING_NO},
                 {"noloop", (t->flags & TRACKING_NOLOOP) != 0},
                 {"broken_redirect", t->broken}};
    uint64_t shown = 0;
    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++)
        shown += FLAGS[i].shown;
    int proto = call->client->proto;
    resp_write_map(call->out, 3, proto);
    resp_write_bulk(call->out, SPAN("flags"));
    resp_write_set(call->out, shown, proto);
    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++) {
        if (FLAGS[i].shown)
            resp_write_bulk(call->out, span_str(FLAGS[i].name));
    }
    resp_write_bulk(call->out, SPAN("redirect"));
    resp_write_int(call->out, redirect_of(t));
    resp_write_bulk(call->out, SPAN("prefixes"));
    resp_write_array(call->out, t->prefixes_count);
    for (uint32_t i = 0; i < t->prefixes_count; i++)
        resp_write_bulk(call->out, span_of(t->prefixes[i], t->prefixes_len[i]));
}

void local_getredir(const struct local_call *call) {
    resp_write_int(call->out, redirect_of(call->client->tracking));
}
