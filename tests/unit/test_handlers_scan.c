// needs: fakes/session_rig.c fakes/store_fake.c
/* Commands about all keys: what they ask of the store, step by step. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../node/session.h"
#include "../fakes/session_rig.h"

enum { PAGE = 5000 };

static struct session_rig *rig;
static struct store *store;
static struct session_client *c;

static void set_up(void) {
    rig = session_rig_new();
    rig->conf.keys_max = 3;
    rig->conf.allow_flush = true;
    store = rig->server.store;
    c = session_rig_open(rig);
}

static void tear_down(void) {
    session_rig_free(&rig);
}

TestSuite(handlers_scan, .init = set_up, .fini = tear_down);

static struct store_query *asked(void) {
    cr_assert(SESSION_UNTIL(rig, store_fake_queries(store) == 1));
    return store_fake_query(store, 0);
}

static struct store_query *ask(const char *request) {
    session_client_say(c, request);
    return asked();
}

static void answer_keys(const struct span *keys, uint32_t count, uint64_t last_place) {
    const struct store_answer answer = {
        .keys = keys, .keys_count = count, .last_place = last_place, .expires_ms = -1};
    store_fake_answer(store, 0, STORE_OK, &answer);
}

static const struct span KEYS[] = {SPAN("a1"), SPAN("b2"), SPAN("a3")};

Test(handlers_scan, goes_on_behind_the_last_place) {
    struct store_query *query = ask("SCAN 0 COUNT 3\r\n");
    cr_assert(query->question == STORE_SCAN && query->place == 0 && query->count_max == 3);
    answer_keys(KEYS, 3, 41);
    cr_assert(
        session_client_hears(c, "*2\r\n$2\r\n42\r\n*3\r\n$2\r\na1\r\n$2\r\nb2\r\n$2\r\na3\r\n"));
    query = ask("SCAN 42 MATCH a*\r\n");
    cr_assert(query->place == 42 && query->count_max == 10);
    answer_keys(KEYS, 3, 50); /* fewer than asked for: that was all */
    cr_assert(session_client_hears(c, "*2\r\n$1\r\n0\r\n*2\r\n$2\r\na1\r\n$2\r\na3\r\n"));
}

Test(handlers_scan, asks_for_a_bounded_number_of_keys) {
    cr_assert_eq(ask("SCAN 4503599627370495 COUNT 1000000\r\n")->count_max, 10000);
    answer_keys(KEYS, 0, 0);
    cr_assert(session_client_hears(c, "*2\r\n$1\r\n0\r\n*0\r\n"));
}

/* Behind the last place there is nothing, and there are strings alone. */
Test(handlers_scan, asks_nothing_where_nothing_can_be) {
    session_client_say(c, "SCAN 4503599627370496\r\nSCAN 0 TYPE list\r\n");
    cr_assert(session_client_hears(c, "*2\r\n$1\r\n0\r\n*0\r\n*2\r\n$1\r\n0\r\n*0\r\n"));
    cr_assert_eq(store_fake_queries(store), 0);
}

Test(handlers_scan, lists_keys_page_by_page) {
    struct span *page = calloc(PAGE, sizeof(*page));
    for (int i = 0; i < PAGE; i++)
        page[i] = SPAN("user:x");
    struct store_query *query = ask("KEYS user:*7\r\n");
    cr_assert(query->question == STORE_LIST && query->count_max == PAGE);
    cr_assert(span_equal(query->key, SPAN("user:")));
    cr_assert(query->until.len == 5 + 1024 &&
              memcmp(query->until.ptr, "user:\xf4\x8f\xbf\xbf", 9) == 0);
    answer_keys(page, PAGE, 0);
    query = asked();
    cr_assert(span_equal(query->key, SPAN("user:x\x01")), "no text is between the two");
    const struct span last[] = {SPAN("user:y"), SPAN("user:y7")};
    answer_keys(last, 2, 0);
    cr_assert(session_client_hears(c, "*1\r\n$7\r\nuser:y7\r\n"));
    free(page);
}

/* The beginning that is asked for must be text, whatever the pattern's bytes are. */
Test(handlers_scan, asks_by_the_plain_beginning_of_a_pattern) {
    static const struct {
        const char *request;
        struct span key;
    } CASES[] = {
        {"KEYS *\r\n", SPAN("")},        {"KEYS plain\r\n", SPAN("plain")},
        {"KEYS pl?in\r\n", SPAN("pl")},  {"KEYS p[l]ain\r\n", SPAN("p")},
        {"KEYS p\\lain\r\n", SPAN("p")}, {"KEYS p\xc3*\r\n", SPAN("p")},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        cr_expect(span_equal(ask(CASES[i].request)->key, CASES[i].key), "%s", CASES[i].request);
        answer_keys(KEYS, 0, 0);
        cr_assert(session_client_hears(c, "*0\r\n"));
    }
}

Test(handlers_scan, refuses_a_list_that_is_too_long) {
    static const struct span MANY[] = {SPAN("a"), SPAN("b"), SPAN("c"), SPAN("d")};
    ask("KEYS *\r\n");
    answer_keys(MANY, 3, 0);
    cr_assert(session_client_hears(c, "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"));
    ask("KEYS *\r\n");
    answer_keys(MANY, 4, 0);
    cr_assert(session_client_hears(c, "-ERR more than 3 keys match (keys-max); use SCAN\r\n"));
}

Test(handlers_scan, takes_a_random_key_from_the_beginning_when_none_is_behind) {
    ask("RANDOMKEY\r\n");
    answer_keys(KEYS, 0, 0);
    cr_assert_eq(asked()->place, 0);
    answer_keys(KEYS, 1, 7);
    cr_assert(session_client_hears(c, "$2\r\na1\r\n"));
    ask("RANDOMKEY\r\n");
    answer_keys(KEYS, 0, 0);
    asked();
    answer_keys(KEYS, 0, 0);
    cr_assert(session_client_hears(c, "$-1\r\n"));
}

/* ---- for those with some prefixes ---- */

static void answer_places(uint32_t count, uint32_t before, uint64_t place_before, uint64_t last) {
    const struct store_answer answer = {.keys = KEYS,
                                        .keys_count = count,
                                        .keys_before = before,
                                        .place_before = place_before,
                                        .last_place = last,
                                        .expires_ms = -1};
    store_fake_answer(store, 0, STORE_OK, &answer);
}

/* The cursor is not the place of a key that may be somebody else's. */
Test(handlers_scan, scoped_shows_no_other_key_and_not_its_place) {
    struct store_query *query = ask("RF.SCOPE 1 a SCAN 0 COUNT 2\r\n");
    cr_assert(query->question == STORE_SCAN && query->place == 0 && query->count_max == 3);
    answer_places(3, 2, 0x1000, 0x2fff); /* b2 is not shown, a3 left for the next step */
    cr_assert(session_client_hears(c, "*2\r\n$4\r\n8192\r\n*1\r\n$2\r\na1\r\n"));
    ask("RF.SCOPE 2 b a3 SCAN 8192 COUNT 2 MATCH *3\r\n");
    answer_places(3, 0, 0, 0x2fff); /* all at one place */
    cr_assert(session_client_hears(c, "*2\r\n$5\r\n12288\r\n*1\r\n$2\r\na3\r\n"));
    ask("RF.SCOPE 1 c SCAN 12288 COUNT 3\r\n");
    answer_places(3, 2, 0x3000, 0x4000); /* three, where there would have been four */
    cr_assert(session_client_hears(c, "*2\r\n$1\r\n0\r\n*0\r\n"));
}

Test(handlers_scan, scoped_lists_and_counts_range_by_range) {
    struct store_query *query = ask("RF.SCOPE 3 x: a a:b KEYS *\r\n");
    cr_assert(query->question == STORE_LIST && span_equal(query->key, SPAN("x:")));
    cr_assert_eq(memcmp(query->until.ptr, "x:\xf4\x8f\xbf\xbf", 6), 0);
    answer_keys(KEYS, 0, 0);
    cr_assert(span_equal(asked()->key, SPAN("a")));
    answer_keys(KEYS, 3, 0);
    cr_assert(session_client_hears(c, "*2\r\n$2\r\na1\r\n$2\r\na3\r\n"));
    session_client_say(c, "RF.SCOPE 1 x: KEYS a*\r\n");
    cr_assert(session_client_hears(c, "*0\r\n"));
    query = ask("RF.SCOPE 2 x: a DBSIZE\r\n");
    cr_assert(query->question == STORE_TALLY && span_equal(query->key, SPAN("x:")));
    store_fake_answer(store, 0, STORE_OK,
                      &(struct store_answer){.count = query->count_max, .last_key = SPAN("x:m")});
    cr_assert(span_equal(asked()->key, SPAN("x:m\x01")));
    store_fake_answer(store, 0, STORE_OK, &(struct store_answer){.count = 2});
    cr_assert(span_equal(asked()->key, SPAN("a")));
    store_fake_answer(store, 0, STORE_OK, &(struct store_answer){.count = 3});
    cr_assert(session_client_hears(c, ":20005\r\n"));
}

Test(handlers_scan, scoped_takes_a_random_key_of_its_own) {
    cr_assert_eq(ask("RF.SCOPE 2 x b RANDOMKEY\r\n")->question, STORE_SCAN);
    answer_keys(KEYS, 3, 7);
    cr_assert(session_client_hears(c, "$2\r\nb2\r\n"));
    ask("RF.SCOPE 2 x b RANDOMKEY\r\n");
    answer_keys(KEYS, 1, 7); /* none among the neighbours: range by range */
    cr_assert(asked()->question == STORE_LIST && span_equal(asked()->key, SPAN("x")));
    answer_keys(KEYS, 0, 0);
    cr_assert(span_equal(asked()->key, SPAN("b")));
    answer_keys(KEYS + 1, 1, 0);
    cr_assert(session_client_hears(c, "$2\r\nb2\r\n"));
    ask("RF.SCOPE 1 x RANDOMKEY\r\n");
    answer_keys(KEYS, 3, 7);
    asked();
    answer_keys(KEYS, 0, 0);
    cr_assert(session_client_hears(c, "$-1\r\n"));
}

Test(handlers_scan, scoped_is_for_commands_about_all_keys) {
    static const char *const BAD[] = {"RF.SCOPE 0 a DBSIZE\r\n", "RF.SCOPE 2 a DBSIZE\r\n",
                                      "RF.SCOPE x a DBSIZE\r\n", "RF.SCOPE 1 a GET b\r\n",
                                      "RF.SCOPE 1 a KEYS\r\n",   "RF.SCOPE 1 a NOSUCH\r\n"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        session_client_say(c, BAD[i]);
        cr_expect(session_client_hears(c, "-ERR syntax error\r\n"), "%s", BAD[i]);
    }
    session_client_say(c, "RF.SCOPE 1 a FLUSHALL\r\nRF.SCOPE 1 a PING\r\n");
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "PONG") != NULL ||
                                     strstr(c->heard, "\r\n-") != NULL));
    cr_assert_eq(strncmp(c->heard, "-ERR", 4), 0);
    cr_assert_null(strstr(c->heard, "PONG"));
    cr_assert_eq(store_fake_queries(store), 0);
}

/* ---- FLUSHALL ---- */

static void expect_error(const char *begins) {
    cr_assert(SESSION_UNTIL(rig, strstr(session_client_listen(c), "\r\n") != NULL));
    cr_expect_eq(strncmp(c->heard, begins, strlen(begins)), 0, "%s: %s", begins, c->heard);
    c->len = 0;
}

static void flushed(int64_t count, struct span last) {
    store_fake_answer(store, 0, STORE_OK, &(struct store_answer){.count = count, .last_key = last});
}

Test(handlers_scan, flushes_batch_by_batch_and_trusts_no_copy_afterwards) {
    struct store_query *query = ask("FLUSHALL\r\n");
    uint32_t epoch = through_epoch(rig->server.through);
    cr_assert(query->question == STORE_FLUSH && query->key.len == 0);
    flushed(PAGE, SPAN("m"));
    cr_assert(span_equal(asked()->key, SPAN("m\x01")));
    flushed(3, SPAN("z"));
    cr_assert(session_client_hears(c, "+OK\r\n"));
    cr_assert_gt(through_epoch(rig->server.through), epoch);
}

Test(handlers_scan, does_not_know_what_a_flush_that_failed_has_done) {
    ask("FLUSHDB SYNC\r\n");
    store_fake_answer(store, 0, STORE_DOWN, NULL); /* it was never sent */
    expect_error("-DBDOWN ");
    ask("FLUSHDB SYNC\r\n");
    store_fake_answer(store, 0, STORE_FAILED, NULL);
    expect_error("-UNCERTAIN ");
    ask("FLUSHDB SYNC\r\n");
    flushed(PAGE, SPAN("m"));
    asked();
    store_fake_answer(store, 0, STORE_BUSY, NULL);
    expect_error("-UNCERTAIN ");
}

Test(handlers_scan, flushes_nothing_unless_it_is_allowed) {
    rig->conf.allow_flush = false;
    session_client_say(c, "FLUSHALL\r\n");
    cr_assert(
        session_client_hears(c, "-ERR deleting all keys is not allowed here (allow-flush)\r\n"));
    cr_assert_eq(store_fake_queries(store), 0);
}

Test(handlers_scan, goes_on_without_its_client) {
    ask("FLUSHALL\r\n");
    session_close_all(&rig->server);
    flushed(PAGE, SPAN("m"));
    asked();
    flushed(0, SPAN(""));
    c = session_rig_open(rig);
    ask("KEYS *\r\n");
    session_close_all(&rig->server);
    answer_keys(KEYS, 3, 0);
    cr_assert_eq(store_fake_queries(store), 0);
}
