/* Which of several servers a node's connections lead to. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../../common/log.h"
#include "../../node/hosts.h"

static struct hosts *h;
static unsigned newer, chosen;

static void on_newer(void *ctx) {
    newer++;
}

static void on_chosen(void *ctx) {
    chosen++;
}

static void open_with(int count) {
    static const struct hosts_handlers HANDLERS = {.on_newer = on_newer, .on_chosen = on_chosen};
    static const struct host_place PLACES[] = {{.host = "a"}, {.host = "b"}, {.host = "c"}};
    log_set_level(LOG_LEVEL_ERROR + 1);
    h = hosts_new(&HANDLERS, NULL);
    cr_assert_not_null(h);
    for (int i = 0; i < count; i++)
        cr_assert(hosts_add(h, &PLACES[i]));
}

static void tear_down(void) {
    hosts_free(&h);
}

TestSuite(hosts, .fini = tear_down);

static enum host_state met(int host, const char *identity) {
    return hosts_met(h, host, hosts_try(h), identity);
}

static void missed(int host) {
    hosts_missed(h, host, "", "refused");
}

/* a leads on timeline 1, b is its standby. */
static void begin(void) {
    open_with(2);
    met(0, "7/00000001/x");
    met(1, "7/reads/y");
    cr_assert_eq(hosts_pick(h, 1), 0);
}

Test(hosts, one_host_is_chosen_when_it_takes_writes) {
    open_with(1);
    cr_assert_eq(hosts_pick(h, 1), HOSTS_NONE);
    missed(0);
    cr_assert_eq(hosts_pick(h, 2), HOSTS_NONE);
    cr_assert_str_eq(hosts_why(h), "a: refused");
    cr_assert_eq(chosen, 0);
    cr_assert_eq(met(0, "7/00000001/x"), HOST_WRITER);
    cr_assert_eq(hosts_pick(h, 3), 0);
    cr_assert_eq(chosen, 1);
    cr_assert_str_eq(hosts_why(h), "");
    cr_assert_eq(hosts_timeline(h), 1);
    cr_assert_eq(newer, 0);
}

/* Else a node that starts beside a zombie would serve it until the other one answers. */
Test(hosts, at_start_all_are_heard_before_one_is_chosen) {
    open_with(3);
    met(0, "7/00000001/x");
    cr_assert_eq(hosts_pick(h, 10), HOSTS_NONE);
    missed(2);
    cr_assert_eq(hosts_pick(h, 11), HOSTS_NONE);
    met(1, "7/00000002/y");
    cr_assert_eq(hosts_pick(h, 12), 1);
    cr_assert_eq(hosts_state(h, 0), HOST_OLD);
}

Test(hosts, at_start_one_that_does_not_answer_is_waited_for_but_not_for_ever) {
    open_with(2);
    met(1, "7/00000001/x");
    cr_assert_eq(hosts_pick(h, 10), HOSTS_NONE);
    cr_assert_eq(hosts_pick(h, 10 + HOSTS_PATIENCE_MS - 1), HOSTS_NONE);
    cr_assert_eq(hosts_pick(h, 10 + HOSTS_PATIENCE_MS), 1);
}

Test(hosts, a_promoted_server_is_followed_while_the_old_one_takes_writes) {
    begin();
    cr_assert(hosts_keeps(h, 0, "7/00000001/x"));
    cr_assert_eq(met(1, "7/00000002/y"), HOST_WRITER);
    cr_assert_eq(newer, 1);
    cr_assert_eq(chosen, 2);
    cr_assert_eq(hosts_pick(h, 2), 1);
    cr_assert_eq(hosts_old(h), 1);
    cr_assert_not(hosts_keeps(h, 0, "7/00000001/x"));
    cr_assert(hosts_keeps(h, 1, "7/00000002/y"));
    cr_assert_eq(met(0, "7/00000001/x"), HOST_OLD);
    cr_assert_eq(hosts_pick(h, 3), 1);
    cr_assert_eq(newer, 1);
    cr_assert_eq(hosts_old(h), 1, "it is the same zombie");
}

Test(hosts, the_old_server_is_not_taken_when_the_promoted_one_is_lost) {
    begin();
    met(1, "7/00000002/y");
    missed(1);
    cr_assert_eq(met(0, "7/00000001/x"), HOST_OLD);
    cr_assert_eq(hosts_pick(h, 2), HOSTS_NONE);
    cr_assert_str_eq(hosts_why(h), "a: its timeline is old; b: refused");
    cr_assert_eq(met(0, "7/00000003/x"), HOST_WRITER); /* promoted in its turn */
    cr_assert_eq(hosts_pick(h, 3), 0);
}

Test(hosts, timelines_are_hexadecimal_and_of_one_system) {
    begin();
    met(1, "7/00000010/y");
    cr_assert_eq(met(0, "7/0000000F/x"), HOST_OLD);
    cr_assert_eq(met(0, "8/00000001/x"), HOST_WRITER, "another system's timelines are its own");
    cr_assert_eq(hosts_pick(h, 2), 1, "but nobody moves for it");
    missed(1);
    cr_assert_eq(hosts_pick(h, 3), 0);
}

/* The scouts' connections are few and may be ended alone. */
Test(hosts, the_loss_of_a_scout_moves_nobody_while_the_host_is_used) {
    open_with(2);
    met(0, "7/00000001/x");
    met(1, "7/00000001/y"); /* another way to the same server */
    cr_assert_eq(hosts_pick(h, 1), 0);
    hosts_joined(h, 0);
    missed(0);
    cr_assert_eq(hosts_pick(h, 2), HOSTS_NONE);
    cr_assert(hosts_keeps(h, 0, "7/00000001/x"));
    met(0, "7/00000001/x");
    cr_assert_eq(hosts_pick(h, 3), 0);
    missed(0);
    hosts_left(h, 0);
    cr_assert_eq(hosts_pick(h, 4), 1);
    cr_assert_not(hosts_keeps(h, 0, "7/00000001/x"));
}

/* An address may lead to another server than before: the newest connection knows. */
Test(hosts, a_host_is_as_the_newest_connection_found_it) {
    open_with(1);
    uint64_t scout = hosts_try(h);
    hosts_met(h, 0, scout, "7/00000001/x");
    cr_assert_eq(met(0, "7/00000002/y"), HOST_WRITER);
    cr_assert_eq(newer, 1);
    cr_assert_eq(hosts_met(h, 0, scout, "7/00000001/x"), HOST_OLD);
    cr_assert_eq(hosts_state(h, 0), HOST_WRITER);
    cr_assert_eq(hosts_pick(h, 1), 0);
    cr_assert_not(hosts_keeps(h, 0, "7/00000001/x"));
    hosts_missed(h, 0, "7/00000001/x", "closed");
    cr_assert_eq(hosts_state(h, 0), HOST_WRITER);
}

/* The others connect after their scout, and count as newer. */
Test(hosts, the_loss_of_a_scout_counts_at_once) {
    open_with(1);
    met(0, "7/00000001/x");
    met(0, "7/00000001/x");
    hosts_missed(h, 0, "7/00000001/x", "closed");
    cr_assert_eq(hosts_pick(h, 1), HOSTS_NONE);
}

Test(hosts, says_when_all_only_read) {
    open_with(2);
    met(0, "7/reads/x");
    cr_assert_not(hosts_only_read(h));
    met(1, "7/reads/y");
    cr_assert(hosts_only_read(h));
    missed(1);
    cr_assert_not(hosts_only_read(h), "it may be the primary");
}

Test(hosts, refusals_say_why_and_are_counted) {
    begin();
    met(1, "7/00000002/y");
    uint64_t before = hosts_old(h);
    cr_assert_str_eq(hosts_refuse(h, 0, "7/00000001/x"), "a is on timeline 1, and 2 was seen");
    cr_assert_eq(hosts_old(h), before + 1);
    cr_assert_str_eq(hosts_refuse(h, 0, "7/00000002/x"), "it leads to a, the others to b");
    cr_assert_eq(hosts_old(h), before + 1);
}
