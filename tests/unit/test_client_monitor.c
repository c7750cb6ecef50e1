// needs: fakes/bench.c fakes/node_fake.c
/* MONITOR as clients see it: what is shown, to whom, and that who does not read loses lines. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/users.h"
#include "../../proxy/client.h"
#include "../../proxy/inbox.h"
#include "../../proxy/monitor.h"
#include "../../proxy/proxy_conf.h"
#include "../../proxy/rights.h"
#include "../fakes/bench.h"

static struct bench *b;
static struct bench_client *watcher, *c;
static unsigned wakes;

static bool on_wake(void *ctx, struct inbox *inbox) {
    wakes++;
    client_inbox(inbox); /* at once: its worker is this one */
    return true;
}

static void on_tell(void *ctx, enum local_news news) {
    if (news == LOCAL_NEWS_MONITORS)
        client_list_monitor(b->clients);
}

static void answer(void *ctx, struct node_fake *node, const struct span *argv, uint32_t argc) {
    node_fake_say(node, "+OK\r\n");
}

static void begin(void) {
    static const struct local_peers PEERS = {.wake = on_wake, .tell = on_tell};
    b = bench_start(1);
    b->server.peers = &PEERS;
    b->conf.allow_monitor = true;
    node_fake_serve(b->nodes[0], answer, NULL);
    watcher = bench_client_new(b);
    c = bench_client_new(b);
}

static void end(void) {
    if (watcher != NULL)
        bench_client_free(&watcher);
    bench_stop(b, c);
}

TestSuite(client_monitor, .init = begin, .fini = end);

static void watch(void) {
    cr_assert(bench_says(watcher, "MONITOR\r\n", "+OK\r\n"));
    bench_forget(watcher);
}

/* The words of the next lines, each behind its address; times are left out. */
static void expect_shown(const char *want) {
    static char got[1 << 16];
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(watcher), "\"PING\"\r\n") != NULL), "%s",
              bench_listen(watcher));
    size_t len = 0;
    for (const char *at = watcher->heard, *line_end; *at != '\0'; at = line_end + 2) {
        line_end = strstr(at, "\r\n");
        const char *words = strstr(at, "] ");
        cr_assert(at[0] == '+' && words != NULL && words < line_end, "%s", at);
        len += (size_t)snprintf(got + len, sizeof(got) - len, "%.*s\n", (int)(line_end - words - 2),
                                words + 2);
    }
    cr_assert_str_eq(got, want);
    bench_forget(watcher);
}

static void say(const char *text) {
    bench_say(c, text);
    bench_settle(b);
}

Test(client_monitor, shows_what_clients_ask_for) {
    say("GET before\r\n");
    watch();
    say("GET a\r\nset b 1\r\nMULTI\r\nGET x\r\nEXEC\r\nPING\r\n");
    expect_shown(
        "\"GET\" \"a\"\n\"set\" \"b\" \"1\"\n\"MULTI\"\n\"GET\" \"x\"\n\"EXEC\"\n\"PING\"\n");
    bench_say(watcher, "RESET\r\n"); /* which is shown, too, as lines come at once here */
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(watcher), "+RESET\r\n") != NULL));
    bench_forget(watcher);
    say("PING\r\n");
    cr_assert_str_eq(bench_listen(watcher), "");
    cr_assert_eq(monitor_count(b->env.monitor), 0);
}

Test(client_monitor, shows_no_secret_and_nothing_of_admins) {
    watch();
    say("AUTH geheim\r\nAUTH default geheim\r\nHELLO 3 AUTH default geheim SETNAME me\r\n"
        "HELLO 3 auth geheim\r\nACL SETUSER x >geheim\r\nCONFIG SET requirepass geheim\r\n"
        "CLIENT LIST\r\nCLIENT ID\r\nDEBUG geheim\r\nMONITORX geheim\r\nGET\r\nPING\r\n");
    expect_shown("\"AUTH\" \"(redacted)\"\n\"AUTH\" \"(redacted)\" \"(redacted)\"\n"
                 "\"HELLO\" \"3\" \"AUTH\" \"(redacted)\" \"(redacted)\" \"SETNAME\" \"me\"\n"
                 "\"HELLO\" \"3\" \"auth\" \"(redacted)\"\n\"CLIENT\" \"ID\"\n\"PING\"\n");
}

/* A request that has to wait is looked at several times. */
Test(client_monitor, shows_each_request_once) {
    node_fake_serve(b->nodes[0], NULL, NULL);
    watch();
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_say(c, "SET a 1\r\nGET a\r\nGET a\r\nSET a 2\r\nPING\r\n");
    for (unsigned i = 1; i <= 4; i++) {
        BENCH_HEARD(b, 0, before + i);
        bench_settle(b);
        if (i != 2) /* two GETs at once */
            node_fake_say(b->nodes[0], i == 3 ? "$1\r\n1\r\n$1\r\n1\r\n" : "+OK\r\n");
    }
    expect_shown(
        "\"SET\" \"a\" \"1\"\n\"GET\" \"a\"\n\"GET\" \"a\"\n\"SET\" \"a\" \"2\"\n\"PING\"\n");
}

Test(client_monitor, shows_a_part_of_them_if_asked_to) {
    b->conf.monitor_sample = 10;
    watch();
    for (int i = 0; i < 100; i++)
        say("ECHO x\r\n");
    unsigned lines = 0;
    for (const char *at = bench_listen(watcher); (at = strstr(at, "\"ECHO\"")) != NULL; at++)
        lines++;
    cr_assert(lines >= 9 && lines <= 11, "%u", lines);
}

Test(client_monitor, a_request_that_waited_does_not_hide_a_later_one) {
    b->conf.monitor_sample = 3;
    node_fake_serve(b->nodes[0], NULL, NULL);
    watch();
    unsigned before = node_fake_heard(b->nodes[0]);
    bench_say(c, "SET a 1\r\nGET a\r\nPING\r\n"); /* GET is the second, and the third */
    BENCH_HEARD(b, 0, before + 1);
    bench_settle(b);
    node_fake_say(b->nodes[0], "+OK\r\n");
    expect_shown("\"SET\" \"a\" \"1\"\n\"PING\"\n");
}

Test(client_monitor, is_refused_where_it_is_not_allowed_and_ends_when_it_is_no_more) {
    watch();
    b->conf.allow_monitor = false;
    cr_assert(bench_says(c, "MONITOR\r\n",
                         "-ERR MONITOR is not allowed here: it needs allow-monitor yes in the "
                         "configuration\r\n"));
    client_list_monitor(b->clients); /* as the worker does */
    cr_assert(bench_ended(watcher));
    cr_assert_eq(monitor_count(b->env.monitor), 0);
}

Test(client_monitor, is_for_admins_of_all_keys) {
    struct users_error error = {{0}};
    struct users *users =
        users_parse(SPAN("user default role=admin prefix=a: nopass\n"), "u", &error);
    cr_assert_not_null(users, "%s", error.text);
    struct rights *rights = rights_new(users);
    b->server.rights = rights;
    struct bench_client *other = bench_client_new(b);
    cr_assert(bench_says(other, "MONITOR\r\n",
                         "-NOPERM this user has no permissions to run the 'monitor' command\r\n"));
    bench_client_free(&other);
    bench_settle(b);
    b->server.rights = NULL;
    rights_free(&rights);
}

Test(client_monitor, who_does_not_read_loses_lines_and_is_told_so) {
    char *request = malloc(1100);
    memset(request, 'x', 1100);
    memcpy(request, "ECHO ", 5);
    memcpy(request + 1000, "\r\n", 3);
    watch();
    for (int i = 0; i < 6000; i++) {
        bench_say(c, request);
        bench_turn(b);
        if (i % 50 == 0) {
            bench_listen(c);
            bench_forget(c);
        }
    }
    cr_assert_eq(client_list_count(b->clients), 2);
    cr_assert(
        BENCH_UNTIL(b, (client_list_tick(b->clients, bench_now_ms() * 1000),
                        strstr(bench_listen(watcher), "[0 ringfence:0] \"LOST\" \"") != NULL)));
    cr_assert_gt(bench_stat(b, PROXY_STAT_MONITOR_LOST), 0);
    bench_forget(watcher);
    say("PING\r\n");
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(watcher), "\"PING\"\r\n") != NULL));
    free(request);
}

Test(client_monitor, who_leaves_leaves_nothing_behind) {
    watch();
    bench_client_free(&watcher);
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 1));
    cr_assert_eq(monitor_count(b->env.monitor), 0);
    cr_assert(bench_says(c, "PING\r\n", "+PONG\r\n"));
}
