// needs: fakes/local_rig.c fakes/topology_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/buf.h"
#include "../../common/clock.h"
#include "../../common/command.h"
#include "../../common/conf.h"
#include "../../common/resp_parse.h"
#include "../../proxy/local.h"
#include "../../proxy/local_private.h"
#include "../../proxy/proxy_conf.h"
#include "../../proxy/proxy_stats.h"
#include "../../proxy/registry.h"
#include "../../proxy/timing.h"
#include "../../proxy/tracking.h"
#include "../fakes/local_rig.h"
#include "../fakes/topology_fake.h"

/* ---- what tools ask ---- */

/* Texts of errors are what redis-server 7.0.15 answers, but for DEBUG and REWRITE's. */
Test(local_tools, tools_are_answered) {
    static const char *const CASES[][2] = {
        {"ACL WHOAMI", "$7\r\ndefault\r\n"},
        {"ACL USERS", "*1\r\n$7\r\ndefault\r\n"},
        {"ACL LIST", "*1\r\n$34\r\nuser default on nopass ~* &* +@all\r\n"},
        {"ACL GETUSER nobody", "$-1\r\n"},
        {"MODULE LIST", "*0\r\n"},
        {"ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"},
        {"WAIT 1 5000", ":0\r\n"},
        {"WAIT -1 0", ":0\r\n"},
        {"WAIT x 0", "-ERR value is not an integer or out of range\r\n"},
        {"WAIT 0 x", "-ERR timeout is not an integer or out of range\r\n"},
        {"WAIT 0 -1", "-ERR timeout is negative\r\n"},
        {"CLUSTER INFO", "-ERR This instance has cluster support disabled\r\n"},
        {"READONLY", "-ERR This instance has cluster support disabled\r\n"},
        {"READWRITE", "-ERR This instance has cluster support disabled\r\n"},
        {"SLOWLOG GET", "*0\r\n"},
        {"SLOWLOG LEN", ":0\r\n"},
        {"SLOWLOG RESET", "+OK\r\n"},
        {"SLOWLOG GET -2", "-ERR count should be greater than or equal to -1\r\n"},
        {"SLOWLOG GET x", "-ERR count should be greater than or equal to -1\r\n"},
        {"SLOWLOG GET 1 2", "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try "
                            "SLOWLOG HELP.\r\n"},
        {"LATENCY LATEST", "*0\r\n"},
        {"LATENCY HISTORY command", "*0\r\n"},
        {"LATENCY RESET", ":0\r\n"},
        {"LATENCY HISTOGRAM", "*0\r\n"},
        {"LATENCY HISTOGRAM nosuch", "*0\r\n"},
        {"MEMORY PURGE", "+OK\r\n"},
        {"MEMORY foo", "-ERR unknown subcommand 'foo'. Try MEMORY HELP.\r\n"},
        {"MEMORY USAGE", "-ERR wrong number of arguments for 'memory|usage' command\r\n"},
        {"OBJECT FREQ", "-ERR wrong number of arguments for 'object|freq' command\r\n"},
        {"DEBUG SLEEP 0", "-ERR DEBUG command not allowed: it needs allow-debug yes in the "
                          "configuration\r\n"},
        {"CONFIG RESETSTAT", "+OK\r\n"},
        {"CONFIG SET foo 1",
         "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n"},
        {"CONFIG SET port 1", "-ERR CONFIG SET failed (possibly related to argument 'port') - "
                              "can't set immutable config\r\n"},
        {"CONFIG SET SAVE x", "-ERR CONFIG SET failed (possibly related to argument 'SAVE') - "
                              "can't set immutable config\r\n"},
        {"CONFIG SET timeout 1 client-idle-s 2",
         "-ERR CONFIG SET failed (possibly related to argument 'client-idle-s') - duplicate "
         "parameter\r\n"},
        {"CONFIG SET timeout 1 timeout",
         "-ERR wrong number of arguments for 'config|set' command\r\n"},
        {"CONFIG REWRITE", "-ERR Rewriting config file: not supported here, the file is written by "
                           "hand alone\r\n"},
    };
    struct local_rig *b = local_rig_start();
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        local_rig_expect(b, CASES[i][0], CASES[i][1]);
    local_rig_expect_has(b, "CONFIG SET timeout x",
                         "'x' is not a whole number from 0 to 31536000 s\r\n");
    local_rig_expect_has(b, "MEMORY STATS", "total.allocated");
    local_rig_expect_has(b, "ACL GETUSER default", "$5\r\n+@all\r\n");
}

Test(local_tools, debug_sleep_takes_a_part_of_a_second) {
    struct local_rig *b = local_rig_start();
    struct proxy_conf conf = *b->server.conf;
    conf.allow_debug = true;
    b->server.conf = &conf;
    local_rig_expect(b, "DEBUG SLEEP 0", "+OK\r\n");
    int64_t before_us = clock_mono_us();
    local_rig_expect(b, "DEBUG SLEEP 0.02", "+OK\r\n");
    cr_assert_geq(clock_mono_us() - before_us, 20000);
    static const char *const WRONG[] = {
        "x", "''", "-1", "1x", "nan", "inf", "60.1", "1e9", "0.00000000000000000000000000000001"};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "DEBUG SLEEP %s", WRONG[i]);
        local_rig_expect(b, text, "-ERR value is not a valid float\r\n");
    }
}

/* What set_option was told. */
struct told {
    char text[200];
    bool refuses;
};

static bool on_set_option(void *ctx, unsigned worker, const struct conf_row *row, int64_t value) {
    struct told *told = ctx;
    size_t at = strlen(told->text);
    snprintf(told->text + at, sizeof(told->text) - at, "%u:%s=%lld ", worker, row->name,
             (long long)value);
    return !told->refuses;
}

Test(local_tools, config_set_tells_the_workers_all_or_nothing) {
    struct local_rig *b = local_rig_start();
    struct told told = {.refuses = false};
    const struct local_peers peers = {.set_option = on_set_option, .ctx = &told};
    b->server.peers = &peers;
    b->server.worker = 1;
    local_rig_expect(b, "CONFIG SET Timeout 9 slowlog-max-len 5 key-bytes-max 1kb log-level warn",
                     "+OK\r\n");
    cr_assert_str_eq(told.text,
                     "1:client-idle-s=9 1:slowlog-max-len=5 1:key-bytes-max=1024 1:log-level=2 ");
    told.text[0] = '\0';
    local_rig_expect_has(b, "CONFIG SET timeout 9 port 1", "-ERR CONFIG SET failed");
    cr_assert_str_eq(told.text, "");
    told.refuses = true;
    local_rig_expect_has(b, "CONFIG SET timeout 9", "-BUSY ");
}

Test(local_tools, commandstats_and_histograms_are_sums_over_the_workers) {
    struct local_rig *b = local_rig_start();
    struct timing *t = calloc(2, sizeof(*t));
    const struct timing *both[] = {&t[0], &t[1]};
    b->server.timings = both;
    timing_add(&t[0].rows[COMMAND_GET], 3);
    timing_add(&t[0].rows[COMMAND_GET], 4);
    timing_add(&t[1].rows[COMMAND_GET], 100);
    stats_add(&t[1].rows[COMMAND_GET].failed, 1);
    stats_add(&t[1].rows[COMMAND_SET].rejected, 2);
    local_rig_expect(b, "LATENCY HISTOGRAM get set nosuch",
                     "*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:3\r\n$14\r\nhistogram_usec\r\n*4\r\n"
                     ":4\r\n:2\r\n:128\r\n:3\r\n");
    local_rig_expect_has(
        b, "INFO commandstats",
        "cmdstat_get:calls=3,usec=107,usec_per_call=35.67,rejected_calls=0,failed_calls=1");
    local_rig_expect_has(
        b, "INFO all",
        "cmdstat_set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=2,failed_calls=0");
    local_rig_expect_lacks(b, "INFO", "cmdstat_");
    local_rig_expect_lacks(b, "INFO default", "cmdstat_");
    free(t);
}

Test(local_tools, events_cannot_be_turned_off_and_need_not_be_turned_on) {
    struct local_rig *b = local_rig_start();
    local_rig_expect(b, "CONFIG GET notify-keyspace-events",
                     "*2\r\n$22\r\nnotify-keyspace-events\r\n$5\r\ng$xKE\r\n");
    local_rig_expect_has(b, "CONFIG SET notify-keyspace-events ''",
                         "events cannot be turned off here");
    local_rig_expect_has(b, "CONFIG SET notify-keyspace-events Ag",
                         "events cannot be turned off here");
    local_rig_expect_has(b, "CONFIG SET notify-keyspace-events KEq",
                         "Invalid event class character");
}
