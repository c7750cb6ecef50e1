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
    unsigned told_count, watch_calls;
    bool watching;
};

static void tell(void *ctx, struct tracking_client *client, struct span key) {
    struct world *w = ctx;
    cr_assert_lt(w->told_count, TOLD_MAX);
    w->told[w->told_count].client = client;
    w->told[w->told_count].all = key.ptr == NULL;
    snprintf(w->told[w->told_count].key, sizeof(w->told[0].key), "%.*s", (int)key.len,
             key.ptr != NULL ? key.ptr : "");
    w->told_count++;
}

static void watch(void *ctx, bool on) {
    struct world *w = ctx;
    w->watching = on;
    w->watch_calls++;
}

static const struct tracking_handlers HANDLERS = {.tell = tell, .watch = watch};

static struct world *world_new(size_t keys_max) {
    struct world *w = calloc(1, sizeof(*w));
    cr_assert_not_null(w);
    w->t = tracking_new(keys_max, &HANDLERS, w);
    cr_assert_not_null(w->t);
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
    tracking_stale(w->t, SPAN("a"));
    tracking_stale(w->t, SPAN("a"));
    cr_assert_eq(times_told(w, 0, "a"), 1);
    cr_assert_eq(w->told_count, 1);
    tracking_stale(w->t, SPAN("b"));
    cr_assert_eq(times_told(w, 1, "b"), 1);
    world_free(w);
}

Test(tracking, reading_again_is_remembered_again) {
    struct world *w = world_new(100);
    start(w, 0, 0);
    for (unsigned i = 1; i <= 5; i++) {
        remember(w, 0, "a");
        tracking_stale(w->t, SPAN("a"));
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
    tracking_stale(w->t, SPAN("a"));
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
    tracking_stale(w->t, SPAN("a"));
    cr_assert_eq(times_told(w, 0, "a"), 0, "it was told already");
    world_free(w);
}

Test(tracking, bcast_is_told_by_prefix_and_every_time) {
    struct world *w = world_new(100);
    const struct span prefixes[] = {SPAN("flag:"), SPAN("conf:")};
    cr_assert(tracking_start(w->t, &w->clients[0], TRACKING_BCAST, prefixes, 2));
    start(w, 1, TRACKING_BCAST);
    tracking_stale(w->t, SPAN("flag:x"));
    tracking_stale(w->t, SPAN("flag:x"));
    tracking_stale(w->t, SPAN("conf:"));
    tracking_stale(w->t, SPAN("flag"));
    cr_assert_eq(times_told(w, 0, "flag:x"), 2);
    cr_assert_eq(times_told(w, 0, "conf:"), 1);
    cr_assert_eq(times_told(w, 0, "flag"), 0);
    cr_assert_eq(times_told(w, 1, "flag"), 1, "no prefix stands for all keys");
    world_free(w);
}

Test(tracking, noloop_forgets_what_the_client_changed_itself) {
    struct world *w = world_new(100);
    start(w, 0, TRACKING_NOLOOP);
    start(w, 1, 0);
    remember(w, 0, "a");
    remember(w, 1, "a");
    tracking_forget(w->t, &w->clients[0], SPAN("a"));
    tracking_forget(w->t, &w->clients[0], SPAN("never read"));
    tracking_stale(w->t, SPAN("a"));
    cr_assert_eq(times_told(w, 0, "a"), 0);
    cr_assert_eq(times_told(w, 1, "a"), 1);
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
        tracking_stale(w->t, span_str(key));
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
