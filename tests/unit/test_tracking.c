/* tracking: who is told of what, once, and never too late. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../proxy/tracking.h"

enum { CLIENTS = 4, TOLD_MAX = 256 };

struct world {
    struct tracking *t;
    struct tracking_client clients[CLIENTS];
    struct {
        struct tracking_client *client;
        char key[32];
        bool all;
    } told[TOLD_MAX];
    unsigned told_count, watch_calls, doubts;
    struct authors_change doubt; /* the last one */
    bool watching, waits;
};

static void tell(void *ctx, struct tracking_client *client, struct span key,
                 const struct authors_change *doubt) {
    struct world *w = ctx;
    if (doubt != NULL) {
        w->doubt = *doubt;
        w->doubts++;
    }
    cr_assert_lt(w->told_count, TOLD_MAX);
    w->told[w->told_count].client = client;
    w->told[w->told_count].all = key.ptr == NULL;
    snprintf(w->told[w->told_count].key, sizeof(w->told[0].key), "%.*s", (int)key.len,
             key.ptr != NULL ? key.ptr : "");
    w->told_count++;
}

static bool waits(void *ctx, const struct tracking_client *client) {
    return ((struct world *)ctx)->waits;
}

static void watch(void *ctx, bool on) {
    struct world *w = ctx;
    w->watching = on;
    w->watch_calls++;
}

static const struct tracking_handlers HANDLERS = {.tell = tell, .waits = waits, .watch = watch};

static struct world *world_new(size_t keys_max) {
    struct world *w = calloc(1, sizeof(*w));
    cr_assert_not_null(w);
    w->t = tracking_new(keys_max, &HANDLERS, w);
    cr_assert_not_null(w->t);
    for (unsigned i = 0; i < CLIENTS; i++)
        w->clients[i].id = 1 + i;
    return w;
}

static void world_free(struct world *w) {
    for (int i = 0; i < CLIENTS; i++)
        tracking_stop(w->t, &w->clients[i]);
    struct tracking_figures f;
    tracking_figures(w->t, &f);
    cr_assert_eq(f.keys + f.items + f.prefixes + f.clients, 0, "nothing is left behind");
    tracking_free(&w->t);
    free(w);
}

static void start(struct world *w, int client, unsigned flags) {
    cr_assert(tracking_start(w->t, &w->clients[client], flags, NULL, 0));
}

static void remember(struct world *w, int client, const char *key) {
    tracking_remember(w->t, &w->clients[client], span_str(key));
}

/* How often `client` was told of `key`. */
static unsigned times_told(const struct world *w, int client, const char *key) {
    unsigned n = 0;
    for (unsigned i = 0; i < w->told_count; i++)
        n += w->told[i].client == &w->clients[client] && !w->told[i].all &&
             strcmp(w->told[i].key, key) == 0;
    return n;
}

static unsigned times_told_all(const struct world *w, int client) {
    unsigned n = 0;
    for (unsigned i = 0; i < w->told_count; i++)
        n += w->told[i].client == &w->clients[client] && w->told[i].all;
    return n;
}

Test(tracking, a_holder_is_told_once_and_others_are_not) {
    struct world *w = world_new(100);
    start(w, 0, 0);
    start(w, 1, 0);
    remember(w, 0, "a");
    remember(w, 0, "a");
    remember(w, 1, "b");
    tracking_stale(w->t, SPAN("a"), 0);
    tracking_stale(w->t, SPAN("a"), 0);
    cr_assert_eq(times_told(w, 0, "a"), 1);
    cr_assert_eq(w->told_count, 1);
    tracking_stale(w->t, SPAN("b"), 0);
    cr_assert_eq(times_told(w, 1, "b"), 1);
    world_free(w);
}

Test(tracking, reading_again_is_remembered_again) {
    struct world *w = world_new(100);
    start(w, 0, 0);
    for (unsigned i = 1; i <= 5; i++) {
        remember(w, 0, "a");
        tracking_stale(w->t, SPAN("a"), 0);
        cr_assert_eq(times_told(w, 0, "a"), i);
    }
    world_free(w);
}

Test(tracking, everybody_who_holds_a_key_is_told) {
    struct world *w = world_new(100);
    for (int i = 0; i < CLIENTS; i++) {
        start(w, i, 0);
        remember(w, i, "a");
    }
    tracking_stop(w->t, &w->clients[2]);
    tracking_stale(w->t, SPAN("a"), 0);
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_eq(times_told(w, i, "a"), i == 2 ? 0 : 1, "client %d", i);
    world_free(w);
}

Test(tracking, everything_tells_holders_and_bcast_and_forgets) {
    struct world *w = world_new(100);
    start(w, 0, 0);
    start(w, 1, 0);
    start(w, 2, TRACKING_BCAST);
    remember(w, 0, "a");
    remember(w, 0, "b");
    tracking_everything(w->t);
    cr_assert_eq(times_told_all(w, 0), 1);
    cr_assert_eq(times_told_all(w, 1), 0, "it holds nothing");
    cr_assert_eq(times_told_all(w, 2), 1);
    tracking_stale(w->t, SPAN("a"), 0);
    cr_assert_eq(times_told(w, 0, "a"), 0, "it was told already");
    world_free(w);
}

Test(tracking, bcast_is_told_by_prefix_and_every_time) {
    struct world *w = world_new(100);
    const struct span prefixes[] = {SPAN("flag:"), SPAN("conf:")};
    cr_assert(tracking_start(w->t, &w->clients[0], TRACKING_BCAST, prefixes, 2));
    start(w, 1, TRACKING_BCAST);
    tracking_stale(w->t, SPAN("flag:x"), 0);
    tracking_stale(w->t, SPAN("flag:x"), 0);
    tracking_stale(w->t, SPAN("conf:"), 0);
    tracking_stale(w->t, SPAN("flag"), 0);
    cr_assert_eq(times_told(w, 0, "flag:x"), 2);
    cr_assert_eq(times_told(w, 0, "conf:"), 1);
    cr_assert_eq(times_told(w, 0, "flag"), 0);
    cr_assert_eq(times_told(w, 1, "flag"), 1, "no prefix stands for all keys");
    world_free(w);
}

/* ---- NOLOOP ---- */

enum { V = 42 }; /* the version of the change that is told of */

/* Client 0 has NOLOOP and these flags, and holds `a`; client 1 has the flags alone. */
static struct world *noloop(unsigned flags) {
    struct world *w = world_new(100);
    start(w, 0, flags | TRACKING_NOLOOP);
    start(w, 1, flags);
    if ((flags & TRACKING_BCAST) == 0) {
        remember(w, 0, "a");
        remember(w, 1, "a");
    }
    return w;
}

static void wrote(struct world *w, int client, const char *key, uint64_t version) {
    tracking_wrote(w->t, w->clients[client].id, span_str(key), version);
}

static const unsigned MODES[] = {0, TRACKING_BCAST};
enum { MODES_COUNT = sizeof(MODES) / sizeof(MODES[0]) };

Test(tracking, noloop_is_not_told_of_its_own_change) {
    for (int i = 0; i < MODES_COUNT; i++) {
        struct world *w = noloop(MODES[i]);
        wrote(w, 0, "a", V);
        for (int node = 0; node < 3; node++)
            tracking_stale(w->t, SPAN("a"), V);
        cr_assert_eq(times_told(w, 0, "a"), 0, "mode %d", i);
        cr_assert_geq(times_told(w, 1, "a"), 1, "mode %d", i);
        world_free(w);
    }
}

Test(tracking, noloop_is_told_of_whatever_is_not_known_to_be_its_own) {
    static const struct {
        const char *what;
        int author; /* who made the version `noted` of the key `noted_key`; -1: nobody said */
        const char *noted_key;
        uint64_t noted, told;
    } ROWS[] = {
        {"nobody says who wrote", -1, "a", V, V},       {"another client wrote", 1, "a", V, V},
        {"another version", 0, "a", V - 1, V},          {"another key", 0, "b", V, V},
        {"a node that says no versions", 0, "a", V, 0},
    };
    for (int mode = 0; mode < MODES_COUNT; mode++) {
        for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
            struct world *w = noloop(MODES[mode]);
            if (ROWS[i].author >= 0)
                wrote(w, ROWS[i].author, ROWS[i].noted_key, ROWS[i].noted);
            tracking_stale(w->t, SPAN("a"), ROWS[i].told);
            cr_assert_eq(times_told(w, 0, "a"), 1, "mode %d: %s", mode, ROWS[i].what);
            cr_assert_eq(w->doubts, 0);
            world_free(w);
        }
    }
}

/* It may have read the key after its write, which nobody would tell it of else. */
Test(tracking, noloop_still_holds_what_it_wrote_itself) {
    struct world *w = noloop(0);
    wrote(w, 0, "a", V);
    tracking_stale(w->t, SPAN("a"), V);
    tracking_stale(w->t, SPAN("a"), V + 1);
    cr_assert_eq(times_told(w, 0, "a"), 1);
    world_free(w);
}

/* A node may say so before the answer to the write says who it was. */
Test(tracking, while_noloop_waits_it_is_told_with_a_doubt) {
    for (int i = 0; i < MODES_COUNT; i++) {
        struct world *w = noloop(MODES[i]);
        w->waits = true;
        tracking_stale(w->t, SPAN("a"), V);
        cr_assert_eq(w->doubts, 1);
        cr_assert_eq(times_told(w, 0, "a"), 1);
        cr_assert_not(tracking_is_own(w->t, &w->clients[0], w->doubt));
        wrote(w, 0, "a", V);
        cr_assert(tracking_is_own(w->t, &w->clients[0], w->doubt));
        cr_assert_not(tracking_is_own(w->t, &w->clients[1], w->doubt));
        w->waits = false;
        tracking_stale(w->t, SPAN("a"), V + 1);
        cr_assert_eq(w->doubts, 1);
        cr_assert_eq(times_told(w, 0, "a"), 2, "mode %d: in doubt it still holds it", i);
        world_free(w);
    }
}

Test(tracking, everything_ends_what_is_known_of_authors) {
    struct world *w = noloop(TRACKING_BCAST);
    wrote(w, 0, "a", V);
    tracking_everything(w->t);
    tracking_stale(w->t, SPAN("a"), V);
    cr_assert_eq(times_told(w, 0, "a"), 1, "versions may be given again after a gap");
    world_free(w);
}

Test(tracking, who_writes_is_said_while_it_has_noloop) {
    struct world *w = world_new(100);
    cr_assert_not(tracking_wants_versions(w->t));
    tracking_wrote(w->t, 1, SPAN("a"), V); /* of a client that has just ended */
    start(w, 0, 0);
    cr_assert_eq(tracking_author(&w->clients[0]), 0);
    cr_assert_eq(w->watch_calls, 1);
    start(w, 0, TRACKING_NOLOOP);
    cr_assert_eq(tracking_author(&w->clients[0]), w->clients[0].id);
    cr_assert_eq(w->watch_calls, 2, "nodes are to say versions, too");
    start(w, 1, TRACKING_NOLOOP);
    start(w, 1, TRACKING_NOLOOP);
    cr_assert_eq(w->watch_calls, 2);
    start(w, 0, 0);
    cr_assert(tracking_wants_versions(w->t));
    uint64_t id = w->clients[1].id;
    tracking_stop(w->t, &w->clients[1]);
    cr_assert_not(tracking_wants_versions(w->t));
    cr_assert_eq(w->clients[1].id, id);
    cr_assert_eq(tracking_author(&w->clients[1]), 0);
    world_free(w);
}

Test(tracking, optin_and_optout_follow_caching) {
    static const struct {
        unsigned flags;
        enum tracking_caching caching;
        bool reads;
    } ROWS[] = {
        {0, TRACKING_CACHING_UNSET, true},
        {TRACKING_OPTIN, TRACKING_CACHING_UNSET, false},
        {TRACKING_OPTIN, TRACKING_CACHING_YES, true},
        {TRACKING_OPTOUT, TRACKING_CACHING_UNSET, true},
        {TRACKING_OPTOUT, TRACKING_CACHING_NO, false},
        {TRACKING_BCAST, TRACKING_CACHING_UNSET, false},
    };
    struct world *w = world_new(100);
    cr_assert_not(tracking_reads(&w->clients[0]), "off");
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        start(w, 0, ROWS[i].flags);
        w->clients[0].caching = ROWS[i].caching;
        cr_assert_eq(tracking_reads(&w->clients[0]), ROWS[i].reads, "row %zu", i);
        tracking_stop(w->t, &w->clients[0]);
    }
    world_free(w);
}

/* Beyond keys_max something is forgotten, but never silently. */
Test(tracking, the_table_is_bounded_and_who_is_forgotten_is_told) {
    struct world *w = world_new(10);
    start(w, 0, 0);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        remember(w, 0, key);
        struct tracking_figures f;
        tracking_figures(w->t, &f);
        cr_assert_leq(f.keys, 10);
    }
    cr_assert_eq(w->told_count, 90);
    for (int i = 0; i < 100; i++) { /* each is either told already, or now */
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        tracking_stale(w->t, span_str(key), 0);
        cr_assert_eq(times_told(w, 0, key), 1, "%s", key);
    }
    world_free(w);
}

Test(tracking, nodes_are_watched_from_the_first_client_to_the_last) {
    struct world *w = world_new(10);
    cr_assert_not(tracking_watching(w->t));
    start(w, 0, 0);
    start(w, 1, 0);
    cr_assert(w->watching && tracking_watching(w->t));
    cr_assert_eq(w->watch_calls, 1);
    tracking_stop(w->t, &w->clients[0]);
    tracking_stop(w->t, &w->clients[0]);
    cr_assert(w->watching);
    tracking_stop(w->t, &w->clients[1]);
    cr_assert_not(w->watching || tracking_watching(w->t));
    world_free(w);
}

Test(tracking, too_many_prefixes_change_nothing) {
    struct world *w = world_new(10);
    struct span prefixes[TRACKING_PREFIXES_MAX + 1];
    for (int i = 0; i <= TRACKING_PREFIXES_MAX; i++)
        prefixes[i] = SPAN("p");
    cr_assert_not(
        tracking_start(w->t, &w->clients[0], TRACKING_BCAST, prefixes, TRACKING_PREFIXES_MAX + 1));
    cr_assert_not(w->clients[0].on);
    cr_assert_eq(w->clients[0].prefixes_count, 0);
    world_free(w);
}
