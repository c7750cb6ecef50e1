#include "channels.h"

#include <stdlib.h>
#include <string.h>

#include "../common/glob.h"
#include "names.h"

/* In the order of their use: a key's channel is the first with the key behind it. */
#define KEYSPACE SPAN("__keyspace@0__:")
#define KEYEVENT SPAN("__keyevent@0__:")
#define GAP      SPAN("gap")

/* One client is subscribed to one name. */
struct channels_ref {
    struct name *name;
    struct channels_client *client;
    struct channels_ref *next_of_name, *prev_of_name;
    struct channels_ref *next_of_client, *prev_of_client;
};

struct channels {
    struct board *board;
    const struct channels_handlers *handlers;
    void *ctx;
    struct names names[BOARD_KINDS];
    uint64_t watchers; /* subscriptions to events, and those who hold */
    struct channels_client *holders;
    struct channels_figures figures;
};

struct channels *channels_new(struct board *board, const struct channels_handlers *handlers,
                              void *ctx) {
    struct channels *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->board = board;
    t->handlers = handlers;
    t->ctx = ctx;
    for (int kind = 0; kind < BOARD_KINDS; kind++)
        names_init(&t->names[kind]);
    return t;
}

void channels_free(struct channels **pointer) {
    struct channels *t = *pointer;
    *pointer = NULL;
    if (t == NULL)
        return;
    for (int kind = 0; kind < BOARD_KINDS; kind++)
        names_release(&t->names[kind]);
    free(t);
}

/* ---- what a name is about ---- */

struct span channels_key(struct span name) {
    struct span head = KEYSPACE;
    return span_begins_with(name, head) ? span_of(name.ptr + head.len, name.len - head.len)
                                        : SPAN("");
}

/* A pattern may match a channel that begins with `head`: what comes before its first special
 * character does not say otherwise. */
static bool may_match(struct span pattern, struct span head) {
    size_t plain = 0;
    while (plain < pattern.len && plain < head.len && strchr("*?[\\", pattern.ptr[plain]) == NULL)
        plain++;
    return memcmp(pattern.ptr, head.ptr, plain) == 0 && (plain == head.len || plain < pattern.len);
}

bool channels_carries(enum board_kind kind, struct span name) {
    return kind == BOARD_CHANNELS
               ? span_begins_with(name, KEYSPACE) || span_begins_with(name, KEYEVENT)
               : may_match(name, KEYSPACE) || may_match(name, KEYEVENT);
}

/* ---- who watches ---- */

static void watch(struct channels *t, bool on) {
    if (on && t->watchers++ == 0)
        t->handlers->watch(t->ctx, true);
    else if (!on && --t->watchers == 0)
        t->handlers->watch(t->ctx, false);
}

void channels_hold(struct channels *t, struct channels_client *client, bool on) {
    if (client->holds == on)
        return;
    client->holds = on;
    if (on) {
        client->prev_holder = NULL;
        client->next_holder = t->holders;
        if (t->holders != NULL)
            t->holders->prev_holder = client;
        t->holders = client;
    } else {
        *(client->prev_holder != NULL ? &client->prev_holder->next_holder : &t->holders) =
            client->next_holder;
        if (client->next_holder != NULL)
            client->next_holder->prev_holder = client->prev_holder;
    }
    watch(t, on);
}

bool channels_watching(const struct channels *t) {
    return t != NULL && t->watchers != 0;
}

void channels_ready(struct channels *t) {
    for (struct channels_client *c = t == NULL ? NULL : t->holders; c != NULL; c = c->next_holder)
        t->handlers->ready(t->ctx, c);
}

/* ---- subscriptions ---- */

/* Walks the two lists side by side, up to the end of the shorter one. */
static struct channels_ref *find(const struct channels_client *client, enum board_kind kind,
                                 const struct name *name) {
    struct channels_ref *a = client->refs[kind], *b = name->first;
    for (; a != NULL && b != NULL; a = a->next_of_client, b = b->next_of_name) {
        if (a->name == name)
            return a;
        if (b->client == client)
            return b;
    }
    return NULL;
}

static void drop_unused(struct channels *t, enum board_kind kind, struct name *name) {
    if (name->first == NULL)
        names_remove(&t->names[kind], name);
}

static void link_ref(struct channels_ref *ref, enum board_kind kind) {
    struct channels_ref *first = ref->name->first;
    ref->next_of_name = first;
    if (first != NULL)
        first->prev_of_name = ref;
    ref->name->first = ref;
    ref->next_of_client = ref->client->refs[kind];
    if (ref->next_of_client != NULL)
        ref->next_of_client->prev_of_client = ref;
    ref->client->refs[kind] = ref;
}

bool channels_join(struct channels *t, struct channels_client *client, enum board_kind kind,
                   struct span text) {
    struct name *name = names_find(&t->names[kind], text);
    if (name != NULL && find(client, kind, name) != NULL)
        return true;
    struct channels_ref *ref = calloc(1, sizeof(*ref));
    if (name == NULL && ref != NULL)
        name = names_add(&t->names[kind], text);
    if (ref == NULL || name == NULL || !board_join(t->board, kind, text)) {
        if (name != NULL)
            drop_unused(t, kind, name);
        free(ref);
        return false;
    }
    ref->name = name;
    ref->client = client;
    link_ref(ref, kind);
    t->figures.clients += channels_of(client) == 0;
    stats_add(&client->count[kind], 1);
    if (channels_carries(kind, text))
        watch(t, true);
    return true;
}

static void drop(struct channels *t, struct channels_ref *ref, enum board_kind kind) {
    struct channels_client *client = ref->client;
    struct name *name = ref->name;
    if (ref->prev_of_name != NULL)
        ref->prev_of_name->next_of_name = ref->next_of_name;
    else
        name->first = ref->next_of_name;
    if (ref->next_of_name != NULL)
        ref->next_of_name->prev_of_name = ref->prev_of_name;
    *(ref->prev_of_client != NULL ? &ref->prev_of_client->next_of_client : &client->refs[kind]) =
        ref->next_of_client;
    if (ref->next_of_client != NULL)
        ref->next_of_client->prev_of_client = ref->prev_of_client;
    free(ref);
    stats_sub(&client->count[kind], 1);
    t->figures.clients -= channels_of(client) == 0;
    board_leave(t->board, kind, name_text(name));
    bool carries = channels_carries(kind, name_text(name));
    drop_unused(t, kind, name);
    if (carries)
        watch(t, false);
}

bool channels_leave(struct channels *t, struct channels_client *client, enum board_kind kind,
                    struct span text) {
    struct name *name = names_find(&t->names[kind], text);
    struct channels_ref *ref = name == NULL ? NULL : find(client, kind, name);
    if (ref != NULL)
        drop(t, ref, kind);
    return ref != NULL;
}

bool channels_leave_any(struct channels *t, struct channels_client *client, enum board_kind kind,
                        void (*left)(void *ctx, struct span name), void *ctx) {
    struct channels_ref *ref = client->refs[kind];
    if (ref == NULL)
        return false;
    left(ctx, name_text(ref->name));
    drop(t, ref, kind);
    return true;
}

void channels_leave_all(struct channels *t, struct channels_client *client) {
    if (client->holds)
        channels_hold(t, client, false);
    for (int kind = 0; kind < BOARD_KINDS; kind++) {
        while (client->refs[kind] != NULL)
            drop(t, client->refs[kind], (enum board_kind)kind);
    }
}

/* ---- telling ---- */

static void tell(struct channels *t, const struct name *name, const struct channels_message *m) {
    for (struct channels_ref *ref = name->first; ref != NULL; ref = ref->next_of_name) {
        t->figures.told++;
        t->handlers->tell(t->ctx, ref->client, m);
    }
}

/* To the subscribers of the channel, and to those of patterns that match it. */
static void publish(struct channels *t, struct channels_message m) {
    const struct name *name = names_find(&t->names[BOARD_CHANNELS], m.channel);
    if (name != NULL)
        tell(t, name, &m);
    for (const struct name *n = t->names[BOARD_PATTERNS].first; n != NULL; n = n->next) {
        m.pattern = name_text(n);
        if (glob_match(m.pattern, m.channel, false))
            tell(t, n, &m);
    }
}

static struct span join(char *room, struct span head, struct span tail) {
    memcpy(room, head.ptr, head.len);
    memcpy(room + head.len, tail.ptr, tail.len);
    return span_of(room, head.len + tail.len);
}

void channels_event(struct channels *t, struct span key, enum change change) {
    char room[CHANNELS_NAME_BYTES_MAX];
    struct span event = change_name(change), head = KEYSPACE;
    if (event.len == 0 || key.len > sizeof(room) - head.len)
        return;
    publish(t, (struct channels_message){
                   .channel = join(room, KEYSPACE, key), .text = event, .key = key});
    publish(t, (struct channels_message){
                   .channel = join(room, KEYEVENT, event), .text = key, .key = key});
}

/* Of a key's channel its subscribers are told there; of patterns over keys in the name of no key:
 * keys are never empty. */
void channels_gap(struct channels *t) {
    char room[64];
    if (!channels_watching(t))
        return;
    t->figures.gaps++;
    for (const struct name *n = t->names[BOARD_CHANNELS].first; n != NULL; n = n->next) {
        if (span_begins_with(name_text(n), KEYSPACE))
            tell(t, n, &(struct channels_message){.channel = name_text(n), .text = GAP});
    }
    for (const struct name *n = t->names[BOARD_PATTERNS].first; n != NULL; n = n->next) {
        if (may_match(name_text(n), KEYSPACE))
            tell(t, n,
                 &(struct channels_message){
                     .pattern = name_text(n), .channel = KEYSPACE, .text = GAP});
    }
    publish(t, (struct channels_message){.channel = join(room, KEYEVENT, GAP), .text = SPAN("")});
}

void channels_figures(const struct channels *t, struct channels_figures *out) {
    *out = t->figures;
}
