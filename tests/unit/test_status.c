// needs: fakes/session_rig.c fakes/store_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/buf.h"
#include "../../common/clock.h"
#include "../../node/node_stats.h"
#include "../../node/status.h"
#include "../fakes/session_rig.h"

static struct session_rig *rig;
static struct buf text;

static void set_up(void) {
    rig = session_rig_new();
    buf_init(&text, 0);
}

static void tear_down(void) {
    buf_release(&text);
    session_rig_free(&rig);
}

TestSuite(status, .init = set_up, .fini = tear_down);

static const char *shown(void) {
    buf_append(&text, "", 1);
    return buf_head(&text);
}

static bool has(const char *whole, const char *name, unsigned long long value) {
    char line[100];
    snprintf(line, sizeof(line), "\n%s:%llu\r\n", name, value);
    return strstr(whole, line) != NULL;
}

Test(status, names_every_figure_once) {
    status_lines(&rig->server, &text);
    const char *lines = shown();
    cr_assert_eq(strncmp(lines, "node:node1\r\nuptime_in_seconds:", 30), 0, "%s", lines);
    for (int i = 0; i < NODE_STAT_COUNT; i++) {
        char name[100];
        snprintf(name, sizeof(name), "\n%s:", node_stats_row((enum node_stat)i)->name);
        const char *first = strstr(lines, name);
        cr_expect_not_null(first, "%s", name);
        cr_expect_null(first == NULL ? NULL : strstr(first + 1, name), "%s twice", name);
    }
}

Test(status, takes_figures_from_those_who_count) {
    session_rig_figures(&(struct store_figures){.reads = 11,
                                                .read_batches = 12,
                                                .writes = 13,
                                                .write_batches = 14,
                                                .retried_alone = 15,
                                                .errors = 16,
                                                .reconnects = 17,
                                                .connections_up = 3},
                        true);
    session_rig_cached(rig, "a", 1, "va");
    struct session_client *c = session_rig_open(rig);
    session_client_say(c, "GET a\r\nGET a\r\nBOGUS\r\nGET x\r\n");
    cr_assert(SESSION_UNTIL(rig, store_fake_gets(rig->server.store) == 1));
    status_lines(&rig->server, &text);
    const char *lines = shown();
    static const struct {
        const char *name;
        unsigned long long value;
    } WANT[] = {{"connected_clients", 1},
                {"db_reads", 11},
                {"db_read_batches", 12},
                {"db_writes", 13},
                {"db_write_batches", 14},
                {"db_errors", 16},
                {"db_reconnects", 18}, /* with the feed's one */
                {"db_connections", 3},
                {"db_up", 1},
                {"feed_up", 1},
                {"pending_requests", 1},
                {"keys", 1}};
    for (size_t i = 0; i < sizeof(WANT) / sizeof(WANT[0]); i++)
        cr_expect(has(lines, WANT[i].name, WANT[i].value), "%s:%llu is not in\n%s", WANT[i].name,
                  WANT[i].value, lines);
}

Test(status, says_that_nothing_is_heard_of_the_feed) {
    through_feed_lost(rig->server.through);
    session_rig_figures(&(struct store_figures){0}, false);
    store_fake_up(rig->server.store, false, false);
    status_lines(&rig->server, &text);
    const char *lines = shown();
    cr_assert(has(lines, "feed_up", 0), "%s", lines);
    cr_assert(has(lines, "db_up", 0));
    cr_assert_not(has(lines, "feed_lag_ms", 0));
}

Test(status, shows_all_sections_or_the_one_that_is_asked_for) {
    static const char *const HEADS[] = {"# Server\r\n", "# Clients\r\n",  "# Memory\r\n",
                                        "# Stats\r\n",  "# Database\r\n", "# Persistence\r\n"};
    static const char *const ALL[] = {"", "all", "DEFAULT", "everything"};
    for (size_t i = 0; i < sizeof(ALL) / sizeof(ALL[0]); i++) {
        buf_release(&text);
        status_info(&rig->server, span_str(ALL[i]), &text);
        const char *info = shown();
        for (size_t h = 0; h < sizeof(HEADS) / sizeof(HEADS[0]); h++)
            cr_expect_not_null(strstr(info, HEADS[h]), "'%s' has no %s", ALL[i], HEADS[h]);
    }
    buf_release(&text);
    status_info(&rig->server, SPAN("Memory"), &text);
    const char *info = shown();
    cr_assert_eq(strncmp(info, "# Memory\r\n", 10), 0, "%s", info);
    cr_assert_null(strstr(info + 1, "# "));
    buf_release(&text);
    status_info(&rig->server, SPAN("bogus"), &text);
    cr_assert_eq(buf_len(&text), 0);
}

Test(status, keeps_an_error_of_postgresql_to_one_bounded_line) {
    static char error[1000];
    memset(error, 'x', sizeof(error) - 1);
    session_rig_figures(&(struct store_figures){.last_error = error}, true);
    status_info(&rig->server, SPAN("server"), &text);
    const char *at = strstr(shown(), "db_last_error:");
    cr_assert_not_null(at);
    cr_assert_eq(strcspn(at + 14, "\r\n"), 300);
}
