#include "tracking.h"

#include <stdlib.h>
#include <string.h>

#include "../common/hash.h"
#include "inbox.h"

enum { BUCKETS_MIN = 1024, ITEMS_PER_KEY = 8 };

/* A key that somebody may hold. */
struct entry {
    struct entry *next; /* in its bucket */
    uint64_t hash;
    struct tracking_ref *refs;
    size_t key_len;
    char key[];
};

/* One client may hold one key. In three lists: of the pair's bucket, the key, the client. */
struct tracking_ref {
    struct tracking_ref *next_in_bucket;
    struct entry *entry;
    struct tracking_client *client;
    struct tracking_ref *next_of_key, *prev_of_key;
    struct tracking_ref *next_of_client, *prev_of_client;
};

struct tracking {
    const struct tracking_handlers *handlers;
    void *ctx;
    uint64_t seed;
    size_t keys_max, mask, hand; /* `hand`: the bucket where the next key is forgotten */
    struct entry **keys;
    struct tracking_ref **pairs;
    struct tracking_client *plain, *bcast; /* those who track */
    uint64_t noloop;                       /* how many of them have NOLOOP */
    struct authors *authors;               /* made for the first of those */
    struct tracking_figures figures;
};

struct tracking *tracking_new(size_t keys_max, const struct tracking_handlers *handlers,
                              void *ctx) {
    struct tracking *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->handlers = handlers;
    t->ctx = ctx;
    t->keys_max = keys_max;
    t->seed = hash_seed();
    return t;
}

void tracking_free(struct tracking **pointer) {
    struct tracking *t = *pointer;
    *pointer = NULL;
    if (t == NULL)
        return;
    free(t->keys);
    free(t->pairs);
    authors_free(&t->authors);
    free(t);
}

/* ---- the table ---- */

static bool make_table(struct tracking *t) {
    if (t->keys != NULL)
        return true;
    size_t buckets = BUCKETS_MIN;
    while (buckets < t->keys_max)
        buckets *= 2;
    t->keys = calloc(buckets, sizeof(*t->keys));
    t->pairs = calloc(buckets, sizeof(*t->pairs));
    if (t->keys == NULL || t->pairs == NULL) {
        free(t->keys);
        free(t->pairs);
        t->keys = NULL;
        t->pairs = NULL;
        return false;
    }
    t->mask = buckets - 1;
    return true;
}

static bool make_authors(struct tracking *t, unsigned flags) {
    if ((flags & TRACKING_NOLOOP) != 0 && t->authors == NULL)
        t->authors = authors_new();
    return (flags & TRACKING_NOLOOP) == 0 || t->authors != NULL;
}

static struct entry **find_key(const struct tracking *t, struct span key, uint64_t hash) {
    struct entry **link = &t->keys[hash & t->mask];
    while (*link != NULL &&
           ((*link)->hash != hash || !span_equal(span_of((*link)->key, (*link)->key_len), key)))
        link = &(*link)->next;
    return link;
}

static struct tracking_ref **pair_bucket(const struct tracking *t, const struct entry *entry,
                                         const struct tracking_client *client) {
    uint64_t mixed = entry->hash ^ ((uint64_t)(uintptr_t)client * 0x9E3779B97F4A7C15u >> 20);
    return &t->pairs[mixed & t->mask];
}

static struct tracking_ref *find_pair(const struct tracking *t, const struct entry *entry,
                                      const struct tracking_client *client) {
    struct tracking_ref *ref = *pair_bucket(t, entry, client);
    while (ref != NULL && (ref->entry != entry || ref->client != client))
        ref = ref->next_in_bucket;
    return ref;
}

static void free_entry(struct tracking *t, struct entry *entry) {
    struct entry **link = &t->keys[entry->hash & t->mask];
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    free(entry);
    t->figures.keys--;
}

static void drop_ref(struct tracking *t, struct tracking_ref *ref) {
    struct entry *entry = ref->entry;
    struct tracking_client *client = ref->client;
    struct tracking_ref **link = pair_bucket(t, entry, client);
    while (*link != ref)
        link = &(*link)->next_in_bucket;
    *link = ref->next_in_bucket;
    *(ref->prev_of_key != NULL ? &ref->prev_of_key->next_of_key : &entry->refs) = ref->next_of_key;
    if (ref->next_of_key != NULL)
        ref->next_of_key->prev_of_key = ref->prev_of_key;
    *(ref->prev_of_client != NULL ? &ref->prev_of_client->next_of_client : &client->refs) =
        ref->next_of_client;
    if (ref->next_of_client != NULL)
        ref->next_of_client->prev_of_client = ref->prev_of_client;
    free(ref);
    t->figures.items--;
    if (entry->refs == NULL)
        free_entry(t, entry);
}

/* ---- whose change it is ---- */

enum whose { WHOSE_OTHERS, WHOSE_OWN, WHOSE_UNDECIDED };

bool tracking_is_own(const struct tracking *t, const struct tracking_client *client,
                     struct authors_change change) {
    return t->authors != NULL && authors_is(t->authors, change, client->id);
}

static enum whose whose(const struct tracking *t, const struct tracking_client *client,
                        struct authors_change change) {
    if ((client->flags & TRACKING_NOLOOP) == 0 || change.version == 0)
        return WHOSE_OTHERS;
    if (tracking_is_own(t, client, change))
        return WHOSE_OWN;
    return t->handlers->waits(t->ctx, client) ? WHOSE_UNDECIDED : WHOSE_OTHERS;
}

static void tell(struct tracking *t, struct tracking_client *client, struct span key,
                 const struct authors_change *doubt) {
    t->figures.told++;
    t->handlers->tell(t->ctx, client, key, doubt);
}

/* Tell whoever holds the key, and forget the pairs. The entry is gone when the last pair is. A pair
 * whose client changed the key itself stays: it may have read it since. */
static void tell_holders(struct tracking *t, struct entry *entry, struct span key,
                         uint64_t version) {
    const struct authors_change change = {entry->hash, version};
    for (struct tracking_ref *ref = entry->refs, *next; ref != NULL; ref = next) {
        struct tracking_client *client = ref->client;
        next = ref->next_of_key;
        switch (whose(t, client, change)) {
        case WHOSE_OWN:
            break;
        case WHOSE_UNDECIDED:
            tell(t, client, key, &change);
            break;
        case WHOSE_OTHERS:
            drop_ref(t, ref);
            tell(t, client, key, NULL);
            break;
        }
    }
}

/* Make room: some key is forgotten, and its clients told, as if it had changed. */
static void evict(struct tracking *t) {
    while (t->keys[t->hand & t->mask] == NULL)
        t->hand++;
    struct entry *entry = t->keys[t->hand++ & t->mask];
    char key[1024]; /* the longest key that a node takes */
    size_t len = entry->key_len < sizeof(key) ? entry->key_len : sizeof(key);
    memcpy(key, entry->key, len);
    tell_holders(t, entry, span_of(key, len), 0);
}

/* ---- clients ---- */

static struct tracking_client **list_of(struct tracking *t, const struct tracking_client *client) {
    return (client->flags & TRACKING_BCAST) != 0 ? &t->bcast : &t->plain;
}

static void forget_prefixes(struct tracking *t, struct tracking_client *client) {
    for (uint32_t i = 0; i < client->prefixes_count; i++)
        free(client->prefixes[i]);
    t->figures.prefixes -= client->prefixes_count;
    client->prefixes_count = 0;
}

static bool add_prefixes(struct tracking *t, struct tracking_client *client,
                         const struct span *prefixes, uint32_t count) {
    uint32_t before = client->prefixes_count;
    for (uint32_t i = 0; i < count; i++) {
        char *copy = malloc(prefixes[i].len + 1);
        if (copy == NULL || client->prefixes_count == TRACKING_PREFIXES_MAX ||
            prefixes[i].len > UINT16_MAX) {
            free(copy);
            while (client->prefixes_count > before)
                free(client->prefixes[--client->prefixes_count]);
            return false;
        }
        if (prefixes[i].len != 0)
            memcpy(copy, prefixes[i].ptr, prefixes[i].len);
        client->prefixes[client->prefixes_count] = copy;
        client->prefixes_len[client->prefixes_count++] = (uint16_t)prefixes[i].len;
    }
    t->figures.prefixes += client->prefixes_count - before;
    return true;
}

bool tracking_start(struct tracking *t, struct tracking_client *client, unsigned flags,
                    const struct span *prefixes, uint32_t count) {
    static const struct span ALL = {"", 0};
    if ((flags & TRACKING_BCAST) != 0 && count == 0 && client->prefixes_count == 0) {
        prefixes = &ALL;
        count = 1;
    }
    if (!make_table(t) || !make_authors(t, flags) || !add_prefixes(t, client, prefixes, count))
        return false;
    bool no_loop = (flags & TRACKING_NOLOOP) != 0;
    bool first = no_loop && t->noloop == 0;
    t->noloop += (uint64_t)no_loop - (uint64_t)((client->flags & TRACKING_NOLOOP) != 0);
    client->flags = flags;
    client->caching = TRACKING_CACHING_UNSET;
    if (client->on) {
        if (first)
            t->handlers->watch(t->ctx, true);
        return true;
    }
    client->on = true;
    struct tracking_client **list = list_of(t, client);
    client->prev = NULL;
    client->next = *list;
    if (client->next != NULL)
        client->next->prev = client;
    *list = client;
    if (t->figures.clients++ == 0 || first)
        t->handlers->watch(t->ctx, true);
    return true;
}

void tracking_redirect(struct tracking_client *client, struct inbox *to) {
    struct inbox *before = client->redirect;
    client->redirect = inbox_hold(to);
    client->broken = false;
    inbox_drop(&before);
}

void tracking_stop(struct tracking *t, struct tracking_client *client) {
    if (!client->on)
        return;
    while (client->refs != NULL)
        drop_ref(t, client->refs);
    forget_prefixes(t, client);
    inbox_drop(&client->redirect);
    *(client->prev != NULL ? &client->prev->next : list_of(t, client)) = client->next;
    if (client->next != NULL)
        client->next->prev = client->prev;
    t->noloop -= (client->flags & TRACKING_NOLOOP) != 0;
    *client = (struct tracking_client){.id = client->id};
    if (--t->figures.clients == 0)
        t->handlers->watch(t->ctx, false);
}

/* ---- keys ---- */

bool tracking_reads(const struct tracking_client *client) {
    if (!client->on || (client->flags & TRACKING_BCAST) != 0)
        return false;
    if ((client->flags & TRACKING_OPTIN) != 0)
        return client->caching == TRACKING_CACHING_YES;
    return (client->flags & TRACKING_OPTOUT) == 0 || client->caching != TRACKING_CACHING_NO;
}

static bool remember(struct tracking *t, struct tracking_client *client, struct span key) {
    uint64_t hash = hash_table(key, t->seed);
    struct entry **link = find_key(t, key, hash), *entry = *link;
    if (entry != NULL && find_pair(t, entry, client) != NULL)
        return true;
    struct tracking_ref *ref = malloc(sizeof(*ref));
    if (ref == NULL)
        return false;
    if (entry == NULL) {
        entry = malloc(sizeof(*entry) + key.len);
        if (entry == NULL) {
            free(ref);
            return false;
        }
        *entry = (struct entry){.hash = hash, .key_len = key.len};
        memcpy(entry->key, key.ptr, key.len);
        *link = entry;
        t->figures.keys++;
    }
    struct tracking_ref **bucket = pair_bucket(t, entry, client);
    *ref = (struct tracking_ref){.next_in_bucket = *bucket,
                                 .entry = entry,
                                 .client = client,
                                 .next_of_key = entry->refs,
                                 .next_of_client = client->refs};
    *bucket = ref;
    if (entry->refs != NULL)
        entry->refs->prev_of_key = ref;
    entry->refs = ref;
    if (client->refs != NULL)
        client->refs->prev_of_client = ref;
    client->refs = ref;
    t->figures.items++;
    return true;
}

void tracking_remember(struct tracking *t, struct tracking_client *client, struct span key) {
    while (t->figures.keys >= t->keys_max || t->figures.items >= t->keys_max * ITEMS_PER_KEY)
        evict(t);
    if (!remember(t, client, key))
        tell(t, client, key, NULL);
}

void tracking_wrote(struct tracking *t, uint64_t author, struct span key, uint64_t version) {
    const struct authors_change change = {hash_table(key, t->seed), version};
    if (t->authors != NULL)
        authors_note(t->authors, change, author);
}

static bool wants(const struct tracking_client *client, struct span key) {
    for (uint32_t i = 0; i < client->prefixes_count; i++) {
        if (span_begins_with(key, span_of(client->prefixes[i], client->prefixes_len[i])))
            return true;
    }
    return false;
}

void tracking_stale(struct tracking *t, struct span key, uint64_t version) {
    if (t->figures.clients == 0)
        return;
    const struct authors_change change = {hash_table(key, t->seed), version};
    struct entry *entry = *find_key(t, key, change.hash);
    if (entry != NULL)
        tell_holders(t, entry, key, version);
    for (struct tracking_client *c = t->bcast; c != NULL; c = c->next) {
        enum whose author = wants(c, key) ? whose(t, c, change) : WHOSE_OWN;
        if (author != WHOSE_OWN)
            tell(t, c, key, author == WHOSE_UNDECIDED ? &change : NULL);
    }
}

static void tell_all(struct tracking *t, struct tracking_client *c) {
    while (c->refs != NULL)
        drop_ref(t, c->refs);
    t->figures.told_all++;
    t->handlers->tell(t->ctx, c, span_of(NULL, 0), NULL);
}

void tracking_everything(struct tracking *t) {
    if (t->authors != NULL)
        authors_forget(t->authors);
    for (struct tracking_client *c = t->plain; c != NULL; c = c->next) {
        if (c->refs != NULL) /* else it holds nothing that it was not told of */
            tell_all(t, c);
    }
    for (struct tracking_client *c = t->bcast; c != NULL; c = c->next)
        tell_all(t, c);
}

bool tracking_watching(const struct tracking *t) {
    return t->figures.clients != 0;
}

bool tracking_wants_versions(const struct tracking *t) {
    return t->noloop != 0;
}

void tracking_figures(const struct tracking *t, struct tracking_figures *out) {
    *out = t->figures;
}
