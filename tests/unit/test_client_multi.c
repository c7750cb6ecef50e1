// needs: fakes/bench.c fakes/node_fake.c
/* MULTI, EXEC, DISCARD, WATCH, UNWATCH as a client sees them, and what nodes are asked. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proxy/client.h"
#include "../fakes/bench.h"

/* Says `text`, and hears exactly `want` to it. */
static void ask(struct bench_client *c, const char *text, const char *want) {
    bench_forget(c);
    bench_say(c, text);
    cr_assert(bench_hears(c, want), "%s: %s", text, bench_listen(c));
}

/* ---- what is refused ---- */

static const struct {
    const char *say, *hear;
} REFUSALS[] = {
    {"EXEC\r\n", "-ERR EXEC without MULTI\r\n"},
    {"DISCARD\r\n", "-ERR DISCARD without MULTI\r\n"},
    {"UNWATCH\r\n", "+OK\r\n"},
    {"MULTI\r\nMULTI\r\nEXEC\r\n", "+OK\r\n-ERR MULTI calls can not be nested\r\n*0\r\n"},
    {"MULTI\r\nWATCH a\r\nEXEC\r\n", "+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n*0\r\n"},
    {"MULTI\r\nPING\r\nDISCARD\r\nEXEC\r\n",
     "+OK\r\n+QUEUED\r\n+OK\r\n-ERR EXEC without MULTI\r\n"},
    {"MULTI\r\nNOSUCH\r\nGET a\r\nEXEC\r\nEXEC\r\n",
     "+OK\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n+QUEUED\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n-ERR EXEC without MULTI\r\n"},
    {"MULTI\r\nGET\r\nEXEC\r\n",
     "+OK\r\n-ERR wrong number of arguments for 'get' command\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    {"MULTI\r\nDBSIZE\r\nEXEC\r\n",
     "+OK\r\n-ERR Command not allowed inside a transaction\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    {"MULTI\r\nCLIENT REPLY OFF\r\nDISCARD\r\nPING\r\n",
     "+OK\r\n-ERR Command not allowed inside a transaction\r\n+OK\r\n+PONG\r\n"},
    {"MULTI\r\nCLIENT KILL ID 1\r\nCLIENT TRACKING ON\r\nGET a\r\nEXEC\r\n",
     "+OK\r\n-ERR Command not allowed inside a transaction\r\n"
     "-ERR Command not allowed inside a transaction\r\n+QUEUED\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    {"MULTI\r\nOBJECT nosuch a\r\nGET a\r\nEXEC\r\n",
     "+OK\r\n-ERR unknown subcommand 'nosuch'. Try OBJECT HELP.\r\n+QUEUED\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    {"MULTI\r\nMEMORY USAGE\r\nEXEC\r\n",
     "+OK\r\n-ERR wrong number of arguments for 'memory|usage' command\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    {"MULTI\r\nSCAN 0\r\nEXEC\r\n",
     "+OK\r\n-ERR Command not allowed inside a transaction\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    {"MULTI\r\nMODULE nosuch\r\nGET a\r\nEXEC\r\n",
     "+OK\r\n-ERR unknown subcommand 'nosuch'. Try MODULE HELP.\r\n+QUEUED\r\n"
     "-EXECABORT Transaction discarded because of previous errors.\r\n"},
    {"MULTI\r\nROLE\r\nPING\r\nEXEC\r\n",
     "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n+PONG\r\n"},
    {"MULTI\r\nGET a\r\nRESET\r\nEXEC\r\n",
     "+OK\r\n+QUEUED\r\n+RESET\r\n-ERR EXEC without MULTI\r\n"},
    {"MULTI\r\nEXEC x\r\nPING\r\nEXEC\r\n",
     "+OK\r\n-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' "
     "command\r\n+PONG\r\n-ERR EXEC without MULTI\r\n"},
};

Test(client_multi, is_refused_in_the_words_of_redis) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++)
        ask(c, REFUSALS[i].say, REFUSALS[i].hear);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 0);
    bench_stop(b, c);
}

Test(client_multi, too_many_commands_are_refused) {
    struct bench *b = bench_start(1);
    b->conf.transaction_commands_max = 2;
    struct bench_client *c = bench_client_new(b);
    ask(c, "MULTI\r\nPING\r\nPING\r\nPING\r\nPING\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR a transaction takes at most 2 commands\r\n+QUEUED\r\n"
        "-EXECABORT Transaction discarded because of previous errors.\r\n");
    b->conf.transaction_bytes_max = 20;
    ask(c, "MULTI\r\nPING\r\n", "+OK\r\n-ERR a transaction takes at most 20 bytes of commands\r\n");
    ask(c, "DISCARD\r\nWATCH a b c\r\n", "+OK\r\n-ERR at most 2 keys can be watched\r\n");
    ask(c, "MULTI\r\nEXEC\r\n",
        "+OK\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
    ask(c, "MULTI\r\nEXEC\r\n", "+OK\r\n*0\r\n");
    bench_stop(b, c);
}

/* ---- EXEC ---- */

Test(client_multi, what_the_proxy_answers_itself_is_answered_in_its_place) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    ask(c, "MULTI\r\nPING\r\nECHO hi\r\nPING x y\r\nUNWATCH\r\nSELECT 0\r\nSELECT 1\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
        "*6\r\n+PONG\r\n$2\r\nhi\r\n-ERR wrong number of arguments for 'ping' command\r\n+OK\r\n+OK"
        "\r\n-ERR DB index is out of range\r\n");
    bench_stop(b, c);
}

#define QUEUED3 "+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"

Test(client_multi, what_looks_at_the_proxy_sees_what_stands_before_it) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    ask(c,
        "MULTI\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\nMODULE LIST\r\nSLOWLOG LEN\r\n"
        "CONFIG SET nosuch 1\r\nCLIENT NO-TOUCH x\r\nEXEC\r\nCLIENT GETNAME\r\n",
        "+OK\r\n" QUEUED3 QUEUED3 "*6\r\n+OK\r\n$2\r\nme\r\n*0\r\n:0\r\n-ERR Unknown option or "
        "number of arguments for CONFIG SET - 'nosuch'\r\n-ERR syntax error\r\n$2\r\nme\r\n");
    ask(c, "MULTI\r\nCLIENT SETNAME other\r\nDISCARD\r\nCLIENT GETNAME\r\n",
        "+OK\r\n+QUEUED\r\n+OK\r\n$2\r\nme\r\n");
    bench_stop(b, c);
}

Test(client_multi, object_freq_is_what_the_proxy_says_of_a_key_that_exists) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    ask(c, "MULTI\r\nOBJECT FREQ a\r\nOBJECT freq b\r\nOBJECT HELP\r\n", "+OK\r\n" QUEUED3);
    ask(c, "OBJECT ENCODING a\r\nDISCARD\r\nMULTI\r\nOBJECT FREQ a\r\nOBJECT freq b\r\n",
        "+QUEUED\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    bench_forget(c);
    bench_say(c, "OBJECT ENCODING c\r\nEXEC\r\n");
    BENCH_HEARD(b, 0, 1);
    cr_assert_str_eq(node_fake_request(b->nodes[0], 0),
                     "RF.EXEC  *2\r\n$6\r\nEXISTS\r\n$1\r\na\r\n*2\r\n$6\r\nEXISTS\r\n$1\r\nb\r\n"
                     "*3\r\n$6\r\nOBJECT\r\n$8\r\nENCODING\r\n$1\r\nc\r\n");
    node_fake_say(b->nodes[0], "*3\r\n:1\r\n:0\r\n$3\r\nint\r\n");
    cr_assert(bench_hears(c, "+QUEUED\r\n*3\r\n:0\r\n$-1\r\n$3\r\nint\r\n"), "%s", bench_listen(c));
    bench_stop(b, c);
}

Test(client_multi, a_key_without_a_value_is_an_error_of_its_command_alone) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    ask(c, "MULTI\r\nMSET a 1 b\r\nPING\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n"
        "*2\r\n-ERR wrong number of arguments for 'mset' command\r\n+PONG\r\n");
    bench_stop(b, c);
}

Test(client_multi, goes_to_the_owner_of_the_first_key_and_the_others_drop) {
    struct bench *b = bench_start(2);
    struct bench_client *c = bench_client_new(b);
    char text[256], want[256];
    snprintf(text, sizeof(text), "MULTI\r\nPING\r\nSET %s 1\r\nMGET %s %s\r\nEXEC\r\n",
             bench_key(b, 1, 0), bench_key(b, 0, 0), bench_key(b, 1, 1));
    bench_say(c, text);
    BENCH_HEARD(b, 1, 1);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 0);
    snprintf(want, sizeof(want), "RF.EXEC  *3\r\n$3\r\nSET\r\n$2\r\n%s\r\n$1\r\n1\r\n*3\r\n$4",
             bench_key(b, 1, 0));
    cr_assert_eq(strncmp(node_fake_request(b->nodes[1], 0), want, strlen(want)), 0, "%s",
                 node_fake_request(b->nodes[1], 0));
    node_fake_say(b->nodes[1], "*2\r\n+OK\r\n*2\r\n_\r\n$1\r\nx\r\n");
    BENCH_HEARD(b, 0, 1);
    snprintf(want, sizeof(want), "RF.DROP %s", bench_key(b, 0, 0));
    cr_assert_str_eq(node_fake_request(b->nodes[0], 0), want);
    cr_assert(bench_hears(c, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n")); /* not before that */
    node_fake_say(b->nodes[0], ":1\r\n");
    cr_assert(bench_hears(c, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                             "*3\r\n+PONG\r\n+OK\r\n*2\r\n$-1\r\n$1\r\nx\r\n"));
    bench_stop(b, c);
}

Test(client_multi, an_answer_of_another_length_is_an_error) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "MULTI\r\nGET a\r\nEXEC\r\n");
    BENCH_HEARD(b, 0, 1);
    node_fake_say(b->nodes[0], "*2\r\n_\r\n_\r\n");
    cr_assert(bench_hears(c, "+OK\r\n+QUEUED\r\n-ERR internal error\r\n"));
    bench_stop(b, c);
}

Test(client_multi, an_error_or_a_null_is_the_whole_answer) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "MULTI\r\nGET a\r\nEXEC\r\nMULTI\r\nGET a\r\nEXEC\r\n");
    BENCH_HEARD(b, 0, 1);
    node_fake_say(b->nodes[0], "-BUSY no\r\n");
    BENCH_HEARD(b, 0, 2);
    node_fake_say(b->nodes[0], "_\r\n");
    cr_assert(bench_hears(c, "+OK\r\n+QUEUED\r\n-BUSY no\r\n+OK\r\n+QUEUED\r\n*-1\r\n"));
    bench_say(c, "HELLO 3\r\nMULTI\r\nGET a\r\nEXEC\r\n");
    BENCH_HEARD(b, 0, 3);
    node_fake_say(b->nodes[0], "_\r\n");
    cr_assert(BENCH_UNTIL(b, strstr(bench_listen(c), "+QUEUED\r\n_\r\n") != NULL));
    bench_stop(b, c);
}

Test(client_multi, keeps_the_order_of_the_requests_around_it) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "GET a\r\nMULTI\r\nSET b 1\r\nEXEC\r\nGET c\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 1); /* EXEC waits for the GET */
    node_fake_say(b->nodes[0], "$1\r\na\r\n");
    BENCH_HEARD(b, 0, 2);
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 2); /* and what follows for the EXEC */
    node_fake_say(b->nodes[0], "*1\r\n+OK\r\n");
    BENCH_HEARD(b, 0, 3);
    node_fake_say(b->nodes[0], "$1\r\nc\r\n");
    cr_assert(bench_hears(c, "$1\r\na\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n$1\r\nc\r\n"));
    bench_stop(b, c);
}

Test(client_multi, a_client_that_leaves_takes_its_transaction_with_it) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "MULTI\r\nSET a 1\r\nEXEC\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_client_free(&c);
    bench_settle(b);
    node_fake_say(b->nodes[0], "*1\r\n+OK\r\n");
    cr_assert(BENCH_UNTIL(b, client_list_count(b->clients) == 0));
    c = bench_client_new(b);
    bench_say(c, "MULTI\r\nSET a 1\r\n");
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 1); /* nothing of it was sent */
    bench_stop(b, c);
}

/* ---- WATCH ---- */

Test(client_multi, watched_keys_go_with_the_exec) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "WATCH a b\r\nMULTI\r\nSET a 1\r\nEXEC\r\n");
    BENCH_HEARD(b, 0, 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], 0), "RF.VERSION a");
    cr_assert_str_eq(node_fake_request(b->nodes[0], 1), "RF.VERSION b");
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 2); /* EXEC waits for what WATCH finds */
    node_fake_say(b->nodes[0], "*2\r\n:7\r\n:1\r\n*2\r\n:0\r\n:0\r\n");
    BENCH_HEARD(b, 0, 3);
    static const char WANT[] = "RF.EXEC *3\r\n$1\r\na\r\n$1\r\n7\r\n$1\r\n1\r\n"
                               "*3\r\n$1\r\nb\r\n$1\r\n0\r\n$1\r\n0\r\n *3\r\n$3\r\nSET\r\n";
    cr_assert_eq(strncmp(node_fake_request(b->nodes[0], 2), WANT, strlen(WANT)), 0);
    node_fake_say(b->nodes[0], "_\r\n");
    cr_assert(bench_hears(c, "+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n"));
    ask(c, "MULTI\r\nEXEC\r\n", "+OK\r\n*0\r\n"); /* they are watched no more */
    bench_stop(b, c);
}

Test(client_multi, a_watch_that_fails_lets_no_exec_through) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "WATCH a b\r\nMULTI\r\nSET a 1\r\nEXEC\r\n");
    BENCH_HEARD(b, 0, 2);
    node_fake_say(b->nodes[0], "*2\r\n:7\r\n:1\r\n-DBDOWN no\r\n");
    cr_assert(bench_hears(c, "-DBDOWN no\r\n+OK\r\n+QUEUED\r\n"
                             "-EXECABORT Transaction discarded because of previous errors.\r\n"));
    cr_assert_eq(node_fake_heard(b->nodes[0]), 2);
    bench_stop(b, c);
}

Test(client_multi, unwatch_waits_for_a_watch_and_forgets_it) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "WATCH a\r\nUNWATCH\r\nGET a\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_settle(b);
    cr_assert(bench_hears(c, ""));
    node_fake_say(b->nodes[0], "*2\r\n:7\r\n:1\r\n");
    BENCH_HEARD(b, 0, 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], 1), "GET a");
    node_fake_say(b->nodes[0], "_\r\n");
    cr_assert(bench_hears(c, "+OK\r\n+OK\r\n$-1\r\n"));
    bench_stop(b, c);
}

Test(client_multi, whoever_watches_reads_the_table) {
    struct bench *b = bench_start(1);
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "WATCH a\r\nGET a\r\n");
    BENCH_HEARD(b, 0, 1);
    bench_settle(b);
    cr_assert_eq(node_fake_heard(b->nodes[0]), 1); /* not older than what WATCH sees */
    node_fake_say(b->nodes[0], "*2\r\n:7\r\n:1\r\n");
    BENCH_HEARD(b, 0, 2);
    cr_assert_str_eq(node_fake_request(b->nodes[0], 1), "RF.EXEC  *2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    node_fake_say(b->nodes[0], "*1\r\n$1\r\nv\r\n");
    cr_assert(bench_hears(c, "+OK\r\n$1\r\nv\r\n"));
    bench_stop(b, c);
}
