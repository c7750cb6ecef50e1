/* channels, board and names: who is told what, and what is counted. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proxy/channels.h"
#include "../../proxy/names.h"

enum { CLIENTS = 3, TEXT_BYTES = 4096 };

struct world {
    struct board *board;
    struct channels *t;
    struct channels_client clients[CLIENTS];
    char told[TEXT_BYTES]; /* as "0:channel=text " and "0:pattern>channel=text " */
    size_t told_len;
    unsigned watch_calls, ready;
    bool watching;
};

static void tell(void *ctx, struct channels_client *client, const struct channels_message *m) {
    struct world *w = ctx;
    int n = snprintf(w->told + w->told_len, TEXT_BYTES - w->told_len, "%d:%.*s%s%.*s=%.*s ",
                     (int)(client - w->clients), (int)m->pattern.len, m->pattern.ptr,
                     m->pattern.ptr != NULL ? ">" : "", (int)m->channel.len, m->channel.ptr,
                     (int)m->text.len, m->text.ptr);
    w->told_len += (size_t)n;
    cr_assert_lt(w->told_len, TEXT_BYTES);
}

static void watch(void *ctx, bool on) {
    struct world *w = ctx;
    w->watching = on;
    w->watch_calls++;
}

static void ready(void *ctx, struct channels_client *client) {
    ((struct world *)ctx)->ready |= 1u << (client - ((struct world *)ctx)->clients);
}

static const struct channels_handlers HANDLERS = {.tell = tell, .watch = watch, .ready = ready};

static struct world *world_new(uint64_t subscriptions_max, uint64_t patterns_max) {
    struct world *w = calloc(1, sizeof(*w));
    w->board = board_new(subscriptions_max, patterns_max);
    w->t = channels_new(w->board, &HANDLERS, w);
    cr_assert(w->board != NULL && w->t != NULL);
    return w;
}

static void world_free(struct world *w) {
    struct channels_figures f;
    for (int i = 0; i < CLIENTS; i++)
        channels_leave_all(w->t, &w->clients[i]);
    channels_figures(w->t, &f);
    cr_assert_eq(f.clients, 0);
    cr_assert_eq(board_names(w->board, BOARD_CHANNELS) + board_names(w->board, BOARD_PATTERNS), 0);
    cr_assert_not(channels_watching(w->t));
    channels_free(&w->t);
    board_free(&w->board);
    free(w);
}

static bool join(struct world *w, int client, enum board_kind kind, const char *name) {
    return channels_join(w->t, &w->clients[client], kind, span_str(name));
}

static void expect_told(struct world *w, const char *want) {
    cr_assert_str_eq(w->told, want);
    w->told_len = 0;
    w->told[0] = '\0';
}

Test(channels, an_event_goes_to_its_key_and_to_its_name) {
    struct world *w = world_new(100, 100);
    join(w, 0, BOARD_CHANNELS, "__keyspace@0__:a");
    join(w, 1, BOARD_CHANNELS, "__keyevent@0__:del");
    join(w, 2, BOARD_CHANNELS, "__keyspace@1__:a");
    channels_event(w->t, SPAN("a"), CHANGE_SET);
    expect_told(w, "0:__keyspace@0__:a=set ");
    channels_event(w->t, SPAN("b"), CHANGE_DEL);
    expect_told(w, "1:__keyevent@0__:del=b ");
    channels_event(w->t, SPAN("a"), CHANGE_EXPIRED);
    expect_told(w, "0:__keyspace@0__:a=expired ");
    channels_event(w->t, SPAN("a"), CHANGE_NONE);
    channels_event(w->t, SPAN("a"), (enum change)'?');
    expect_told(w, "");
    world_free(w);
}

Test(channels, patterns_match_whole_channels_and_are_told_apart) {
    struct world *w = world_new(100, 100);
    join(w, 0, BOARD_PATTERNS, "__keyspace@0__:flag:*");
    join(w, 0, BOARD_CHANNELS, "__keyspace@0__:flag:a");
    join(w, 1, BOARD_PATTERNS, "__key*__:*");
    channels_event(w->t, SPAN("flag:a"), CHANGE_SET);
    expect_told(w, "0:__keyspace@0__:flag:a=set 1:__key*__:*>__keyspace@0__:flag:a=set "
                   "0:__keyspace@0__:flag:*>__keyspace@0__:flag:a=set "
                   "1:__key*__:*>__keyevent@0__:set=flag:a ");
    channels_event(w->t, SPAN("other"), CHANGE_DEL);
    expect_told(w, "1:__key*__:*>__keyspace@0__:other=del 1:__key*__:*>__keyevent@0__:del=other ");
    world_free(w);
}

Test(channels, a_gap_is_told_to_all_who_wait_for_events_of_keys) {
    struct world *w = world_new(100, 100);
    channels_gap(w->t);
    channels_gap(NULL);
    join(w, 0, BOARD_CHANNELS, "__keyspace@0__:a");
    join(w, 0, BOARD_CHANNELS, "other");
    join(w, 1, BOARD_CHANNELS, "__keyevent@0__:gap");
    join(w, 1, BOARD_CHANNELS, "__keyevent@0__:set");
    channels_gap(w->t);
    expect_told(w, "0:__keyspace@0__:a=gap 1:__keyevent@0__:gap= ");
    channels_leave_all(w->t, &w->clients[0]);
    channels_leave_all(w->t, &w->clients[1]);
    join(w, 0, BOARD_PATTERNS, "__keyspace@0__:flag:*");
    join(w, 1, BOARD_PATTERNS, "__keyevent@0__:*");
    join(w, 2, BOARD_PATTERNS, "news.*");
    channels_gap(w->t);
    expect_told(w, "0:__keyspace@0__:flag:*>__keyspace@0__:=gap "
                   "1:__keyevent@0__:*>__keyevent@0__:gap= ");
    struct channels_figures f;
    channels_figures(w->t, &f);
    cr_assert_eq(f.gaps, 2, "nobody listened the first time");
    world_free(w);
}

Test(channels, what_may_carry_events) {
    static const struct {
        enum board_kind kind;
        const char *name;
        bool carries;
    } ROWS[] = {
        {BOARD_CHANNELS, "__keyspace@0__:a", true},
        {BOARD_CHANNELS, "__keyevent@0__:set", true},
        {BOARD_CHANNELS, "__keyspace@0__", false},
        {BOARD_CHANNELS, "__redis__:invalidate", false},
        {BOARD_CHANNELS, "*", false},
        {BOARD_PATTERNS, "*", true},
        {BOARD_PATTERNS, "__keyspace@0__:flag:*", true},
        {BOARD_PATTERNS, "__keyevent@?__:set", true},
        {BOARD_PATTERNS, "\\__key*", true},
        {BOARD_PATTERNS, "__keyspace@1*", false},
        {BOARD_PATTERNS, "__keyspace", false},
        {BOARD_PATTERNS, "", false},
        {BOARD_PATTERNS, "a*", false},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        cr_assert_eq(channels_carries(ROWS[i].kind, span_str(ROWS[i].name)), ROWS[i].carries, "%s",
                     ROWS[i].name);
    cr_assert(span_equal(channels_key(SPAN("__keyspace@0__:a:b")), SPAN("a:b")));
    cr_assert_eq(channels_key(SPAN("__keyevent@0__:set")).len, 0);
}

Test(channels, only_subscriptions_to_events_watch) {
    struct world *w = world_new(100, 100);
    join(w, 0, BOARD_CHANNELS, "news");
    cr_assert_not(channels_watching(w->t));
    join(w, 0, BOARD_CHANNELS, "__keyspace@0__:a");
    join(w, 1, BOARD_PATTERNS, "*");
    cr_assert(w->watching && w->watch_calls == 1);
    cr_assert(channels_leave(w->t, &w->clients[0], BOARD_CHANNELS, SPAN("__keyspace@0__:a")));
    cr_assert(w->watching);
    cr_assert_not(channels_leave(w->t, &w->clients[0], BOARD_PATTERNS, SPAN("*")));
    cr_assert(channels_leave(w->t, &w->clients[1], BOARD_PATTERNS, SPAN("*")));
    cr_assert(!w->watching && w->watch_calls == 2);
    world_free(w);
}

Test(channels, who_holds_watches_and_is_called) {
    struct world *w = world_new(100, 100);
    for (int i = 0; i < CLIENTS; i++)
        channels_hold(w->t, &w->clients[i], true);
    channels_hold(w->t, &w->clients[1], true);
    cr_assert(w->watching);
    channels_hold(w->t, &w->clients[1], false);
    channels_ready(w->t);
    cr_assert_eq(w->ready, 1u << 0 | 1u << 2);
    channels_leave_all(w->t, &w->clients[0]);
    channels_hold(w->t, &w->clients[2], false);
    cr_assert_not(w->watching);
    w->ready = 0;
    channels_ready(w->t);
    channels_ready(NULL);
    cr_assert_eq(w->ready, 0);
    world_free(w);
}

Test(channels, twice_is_once) {
    struct world *w = world_new(100, 100);
    cr_assert(join(w, 0, BOARD_CHANNELS, "__keyspace@0__:a"));
    cr_assert(join(w, 0, BOARD_CHANNELS, "__keyspace@0__:a"));
    cr_assert(join(w, 0, BOARD_PATTERNS, "__keyspace@0__:a"));
    cr_assert_eq(channels_of(&w->clients[0]), 2);
    cr_assert_eq(board_subscribers(w->board, SPAN("__keyspace@0__:a")), 1);
    channels_event(w->t, SPAN("a"), CHANGE_SET);
    expect_told(w, "0:__keyspace@0__:a=set 0:__keyspace@0__:a>__keyspace@0__:a=set ");
    world_free(w);
}

Test(channels, both_bounds_hold_and_leave_nothing_behind) {
    struct world *w = world_new(3, 1);
    cr_assert(join(w, 0, BOARD_PATTERNS, "a*"));
    cr_assert_not(join(w, 0, BOARD_PATTERNS, "b*"));
    cr_assert(join(w, 1, BOARD_PATTERNS, "a*"), "the same one costs nothing more");
    cr_assert(join(w, 1, BOARD_CHANNELS, "x"));
    cr_assert_not(join(w, 1, BOARD_CHANNELS, "y"));
    cr_assert_not(join(w, 0, BOARD_CHANNELS, "x"));
    cr_assert_eq(board_subscribers(w->board, SPAN("x")), 1);
    cr_assert_eq(board_subscribers(w->board, SPAN("y")), 0);
    channels_leave_all(w->t, &w->clients[1]);
    cr_assert(join(w, 0, BOARD_CHANNELS, "y"));
    world_free(w);
}

static void count(void *ctx, struct span name) {
    ++*(unsigned *)ctx;
}

Test(channels, many_names_are_found_and_forgotten) {
    enum { MANY = 1000 };
    struct world *w = world_new(2 * MANY, 1);
    char name[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "__keyspace@0__:k%d", i);
        cr_assert(join(w, i % CLIENTS, BOARD_CHANNELS, name));
    }
    unsigned all = 0, some = 0;
    board_each(w->board, span_of(NULL, 0), count, &all);
    board_each(w->board, SPAN("*:k99?"), count, &some);
    cr_assert_eq(all, MANY);
    cr_assert_eq(some, 10);
    for (int i = 0; i < MANY; i += 2) {
        snprintf(name, sizeof(name), "__keyspace@0__:k%d", i);
        cr_assert(channels_leave(w->t, &w->clients[i % CLIENTS], BOARD_CHANNELS, span_str(name)));
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "k%d", i);
        channels_event(w->t, span_str(name), CHANGE_SET);
        cr_assert_eq(w->told_len != 0, i % 2 == 1, "%s", name);
        w->told_len = 0;
    }
    world_free(w);
}
