/* The ring file is edited while clients work: no request fails, every value is right, a bad file
 * changes nothing. On proxies with ring files of their own; nodes and database are the shared ones.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/load.h"
#include "../harness/program.h"
#include "../harness/stack.h"

enum { ADOPTED_MS = 5000, PATIENCE_MS = 60000, STOP_MS = 15000, BETWEEN_EDITS = 1500 };

static const struct stack *s;
static char ring_file[STACK_PATH_BYTES];
static uint16_t proxy_port, extra_port;
static pid_t proxy, extra;
static int epoch;

static void open_all(void) {
    char args[STACK_PATH_BYTES + 20];
    s = stack_shared();
    stack_ring_own(s, ring_file);
    snprintf(args, sizeof(args), "--ring-file %s", ring_file);
    extra = stack_node(s, "node4", NULL, &extra_port);
    proxy = stack_proxy(s, args, &proxy_port);
}

static void close_all(void) {
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0, "the proxy did not end cleanly");
    cr_assert_eq(program_stop(extra, SIGTERM, STOP_MS), 0, "the node did not end cleanly");
}

TestSuite(ring_edit, .init = open_all, .fini = close_all);

/* Lines of a ring file: `attributes` by node, in order; "-" leaves the node out. */
static void ring_text(char *out, size_t size, int number, const char *const attributes[4]) {
    size_t at = (size_t)snprintf(out, size, "epoch %d\n", number);
    for (int i = 0; i < 4; i++) {
        if (strcmp(attributes[i], "-") != 0)
            at += (size_t)snprintf(out + at, size - at, "node node%d 127.0.0.1:%u %s\n", i + 1,
                                   i < 3 ? s->node_ports[i] : extra_port, attributes[i]);
    }
}

static void expect_adopted(int64_t adoptions_before) {
    EVENTUALLY(ADOPTED_MS, stack_info(proxy_port, "ring_epoch") == epoch);
    EVENTUALLY(ADOPTED_MS, stack_info(proxy_port, "ring_adoptions") == adoptions_before + 1);
}

static void edit(const char *a, const char *b, const char *c, const char *d) {
    char text[1000];
    int64_t adoptions = stack_info(proxy_port, "ring_adoptions");
    ring_text(text, sizeof(text), ++epoch, (const char *const[]){a, b, c, d});
    stack_ring_write(ring_file, text);
    expect_adopted(adoptions);
}

static bool log_has(const char *text) {
    char daemon[32];
    snprintf(daemon, sizeof(daemon), "proxy.%u", proxy_port);
    return stack_log_has(s, daemon, text);
}

static struct load *start_load(void) {
    struct load *load = load_start(&(struct load_conf){.ports = {proxy_port},
                                                       .prefix = "ring:load",
                                                       .clients = 8,
                                                       .keys = 50,
                                                       .depth = 8,
                                                       .write_percent = 20});
    cr_assert_not_null(load);
    return load;
}

static void let_work(const struct load *load) {
    load_let_work(load, BETWEEN_EDITS, PATIENCE_MS);
}

static void expect_flawless(struct load **load) {
    struct load_result result;
    load_end(load, &result);
    fprintf(stderr, "ring edits: requests=%llu errors=%llu old=%llu wrong=%llu\n",
            (unsigned long long)result.requests, (unsigned long long)result.errors,
            (unsigned long long)result.old, (unsigned long long)result.wrong);
    cr_expect_eq(result.errors, 0, "%s", result.first_error);
    cr_expect_eq(result.wrong, 0, "%s", result.first_wrong);
}

Test(ring_edit, add_weigh_drain_and_remove_under_load) {
    struct load *load = start_load();
    let_work(load);
    edit("", "", "", ""); /* node4 joins */
    let_work(load);
    edit("", "weight=3", "", "");
    let_work(load);
    edit("", "weight=3", "", "weight=5");
    let_work(load);
    edit("state=drain", "", "", "");
    let_work(load);
    edit("-", "", "", "");
    let_work(load);
    edit("-", "-", "state=down", "");
    let_work(load);
    edit("", "", "", "state=down");
    let_work(load);
    edit("", "", "", "-");
    let_work(load);
    expect_flawless(&load);
}

Test(ring_edit, many_edits_in_a_row_under_load) {
    struct load *load = start_load();
    for (int i = 0; i < 10; i++) {
        edit(i % 2 == 0 ? "" : "-", i % 3 == 0 ? "weight=2" : "", i % 4 == 3 ? "state=drain" : "",
             i % 2 == 0 ? "-" : "");
        let_work(load);
    }
    expect_flawless(&load);
}

/* What is new in the log names what changed and how much moved. */
Test(ring_edit, the_difference_is_logged) {
    edit("", "", "", "-"); /* as it was, but for the epoch */
    edit("-", "weight=2", "", "");
    EVENTUALLY(ADOPTED_MS, log_has("ring_node_removed node=node1"));
    cr_assert(log_has("ring_node_changed node=node2"));
    cr_assert(log_has("ring_node_added node=node4"));
    cr_assert(log_has(" ring_reloaded epoch=2 "));
    cr_assert(log_has("keys_moved_percent="));
}

Test(ring_edit, a_bad_file_changes_nothing_and_is_logged_by_line) {
    static const struct {
        const char *tail, *logged;
    } BAD[] = {
        {"nodes x 127.0.0.1:1\n", ":5: unknown word 'nodes'"},
        {"node node1 127.0.0.1:9\n", ":5: node 'node1' stands twice"},
        {"# why\n\nnode x 127.0.0.1:70000\n", ":7: port of '127.0.0.1:70000'"},
        {"node x 127.0.0.1:7 weight=0\n", ":5: weight is not from 1 to 100"},
        {"node x 127.0.0.1:7 state=gone\n", ":5: state is none of up, drain, down"},
        {"node x\n", ":5: 'node NAME HOST:PORT"},
    };
    struct caller *c = expect_caller(proxy_port);
    char text[1200], want[STACK_PATH_BYTES + 80];
    struct load *load = start_load();
    edit("", "", "", "-");
    int64_t adoptions = stack_info(proxy_port, "ring_adoptions");
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        ring_text(text, 1000, 900, (const char *const[]){"", "", "", "-"});
        strcat(text, BAD[i].tail);
        stack_ring_write(ring_file, text);
        snprintf(want, sizeof(want), "why=\"%.150s%s", ring_file, BAD[i].logged);
        EVENTUALLY(ADOPTED_MS, log_has(want));
        EXPECT(c, "+OK", "SET", "ring:bad", BAD[i].logged);
    }
    stack_ring_write(ring_file, "# nobody\n");
    EVENTUALLY(ADOPTED_MS, log_has("no node in it"));
    remove(ring_file);
    EVENTUALLY(ADOPTED_MS, log_has("No such file or directory"));
    cr_assert_eq(stack_info(proxy_port, "ring_epoch"), epoch);
    cr_assert_eq(stack_info(proxy_port, "ring_adoptions"), adoptions);
    edit("", "", "-", "");
    expect_flawless(&load);
    caller_close(&c);
}

/* The file is changed in a way that the watch does not see: it stays open for writing. */
Test(ring_edit, sighup_reads_the_file_again) {
    char text[1000];
    edit("", "", "", "-");
    int64_t adoptions = stack_info(proxy_port, "ring_adoptions");
    ring_text(text, sizeof(text), ++epoch, (const char *const[]){"", "", "", ""});
    FILE *file = fopen(ring_file, "r+e");
    cr_assert_not_null(file);
    fputs(text, file);
    fflush(file);
    kill(proxy, SIGHUP);
    expect_adopted(adoptions);
    cr_assert_eq(stack_info(proxy_port, "ring_nodes"), 4);
    fclose(file);
}

/* A node that moves to another address keeps its keys: its name is what counts. */
Test(ring_edit, a_node_that_moves_keeps_its_keys) {
    char text[600], key[48];
    struct caller *c = expect_caller(proxy_port);
    edit("", "", "", "-");
    int64_t adoptions = stack_info(proxy_port, "ring_adoptions");
    stack_key_of(s, 2, "ring:moved:", key, sizeof(key));
    EXPECT(c, "+OK", "SET", key, "value");
    int64_t before = stack_info(extra_port, "keyspace_misses");
    snprintf(
        text, sizeof(text),
        "epoch %d\nnode node1 127.0.0.1:%u\nnode node2 127.0.0.1:%u\nnode node3 127.0.0.1:%u\n",
        ++epoch, s->node_ports[0], s->node_ports[1], extra_port);
    stack_ring_write(ring_file, text);
    expect_adopted(adoptions);
    cr_assert(log_has("keys_moved_percent=0.00"));
    EXPECT(c, "$value", "GET", key);
    cr_assert_eq(stack_info(extra_port, "keyspace_misses"), before + 1);
    caller_close(&c);
}
