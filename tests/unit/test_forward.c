// needs: fakes/bench.c fakes/node_fake.c
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/command.h"
#include "../../common/hash.h"
#include "../../proxy/forward.h"
#include "../../proxy/hotkeys.h"
#include "../fakes/bench.h"

static struct bench *start(void) {
    struct bench *b = bench_patient(1);
    b->conf.key_bytes_max = 8;
    b->conf.value_bytes_max = 4;
    bench_up(b);
    return b;
}

Test(forward, a_request_goes_by_the_hash_of_its_first_key) {
    struct span argv[] = {SPAN("get"), SPAN("a{tag}b"), SPAN("x")};
    cr_assert_eq(forward_hash(COMMAND_GET, argv), hash_ring(SPAN("tag")));
    cr_assert_eq(forward_hash(COMMAND_MSET, argv), hash_ring(SPAN("tag")));
    cr_assert_eq(forward_hash(COMMAND_DBSIZE, argv), 0);
    struct span scan[] = {SPAN("scan"), SPAN("17")}; /* a walk goes round the nodes */
    cr_assert_eq(forward_hash(COMMAND_SCAN, scan), hash_ring(SPAN("17")));
}

Test(forward, an_inline_request_is_written_anew) { /* the fake takes no other */
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    bench_say(c, "  SET   'k 1'  \"v\\x41\"\r\n");
    cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
    cr_assert_str_eq(node_fake_request(b->nodes[0], 0), "SET k 1 vA");
    bench_client_free(&c);
    bench_free(&b);
}

/* The node says whether the key exists; how often it is asked for is known here. */
Test(forward, object_freq_is_answered_from_the_sample) {
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    b->env.hotkeys = hotkeys_new(1, 3);
    b->conf.hotkeys_sample = 1;
    for (unsigned i = 0; i < 200; i++) {
        bench_say(c, "STRLEN hot\r\n");
        BENCH_HEARD(b, 0, i + 1);
        node_fake_say(b->nodes[0], ":1\r\n");
    }
    for (unsigned i = 0; i < 3; i++) {
        static const char *const HEARD[] = {":1\r\n", ":0\r\n", "-DBDOWN x\r\n"};
        bench_settle(b);
        bench_listen(c);
        bench_forget(c);
        bench_say(c, "object FREQ hot\r\n");
        BENCH_HEARD(b, 0, 201 + i);
        cr_assert_str_eq(node_fake_request(b->nodes[0], 200 + i), "EXISTS hot");
        node_fake_say(b->nodes[0], HEARD[i]);
        cr_assert(BENCH_UNTIL(b, bench_listen(c)[0] != '\0'));
        int64_t freq = strtoll(bench_listen(c) + 1, NULL, 10);
        if (i == 0)
            cr_assert(bench_listen(c)[0] == ':' && freq > 0 && freq <= 220, "%s", bench_listen(c));
        else
            cr_assert_str_eq(bench_listen(c), i == 1 ? "$-1\r\n" : HEARD[i]);
    }
    hotkeys_free(&b->env.hotkeys);
    bench_stop(b, c);
}

/* A RESP2 client is told in RESP2, whatever stands in an array. */
Test(forward, replies_are_passed_on_as_the_client_speaks) {
    static const struct {
        const char *from_node, *resp2;
    } CASES[] = {
        {"$3\r\nabc\r\n", "$3\r\nabc\r\n"},
        {"$0\r\n\r\n", "$0\r\n\r\n"},
        {"_\r\n", "$-1\r\n"},
        {":-5\r\n", ":-5\r\n"},
        {"-DBDOWN x\r\n", "-DBDOWN x\r\n"},
        {"*0\r\n", "*0\r\n"},
        {"*3\r\n_\r\n$3\r\n_\r\n\r\n*1\r\n_\r\n", "*3\r\n$-1\r\n$3\r\n_\r\n\r\n*1\r\n$-1\r\n"},
        {"%1\r\n$1\r\na\r\n_\r\n", "*2\r\n$1\r\na\r\n$-1\r\n"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct bench *b = start();
        struct bench_client *c = bench_client_new(b);
        bench_say(c, "MGET a\r\n");
        cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == 1));
        node_fake_say(b->nodes[0], CASES[i].from_node);
        cr_assert(bench_hears(c, CASES[i].resp2), "%s", CASES[i].from_node);
        bench_client_free(&c);
        bench_free(&b);
    }
}

Test(forward, what_is_too_long_is_refused_before_it_is_sent) {
    static const struct {
        const char *request, *reply;
    } CASES[] = {
        {"GET 123456789\r\n", "-ERR key is longer than 8 bytes\r\n"},
        {"SET 123456789 1\r\n", "-ERR key is longer than 8 bytes\r\n"},
        {"SET k 12345\r\n", "-ERR value is longer than 4 bytes\r\n"},
        {"SETNX k 12345\r\n", "-ERR value is longer than 4 bytes\r\n"},
        {"GETSET k 12345\r\n", "-ERR value is longer than 4 bytes\r\n"},
        {"MSETNX a 1 b 12345\r\n", "-ERR value is longer than 4 bytes\r\n"},
        {"APPEND k 12345\r\n", "-ERR value is longer than 4 bytes\r\n"},
        {"MSET a 1 b 12345\r\n", "-ERR value is longer than 4 bytes\r\n"},
        {"MSET a 1 123456789 1\r\n", "-ERR key is longer than 8 bytes\r\n"},
        {"MGET a 123456789\r\n", "-ERR key is longer than 8 bytes\r\n"},
        {"DEL a 123456789\r\n", "-ERR key is longer than 8 bytes\r\n"},
    };
    struct bench *b = start();
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct bench_client *c = bench_client_new(b);
        bench_say(c, CASES[i].request);
        cr_assert(bench_hears(c, CASES[i].reply), "%s", CASES[i].request);
        bench_client_free(&c);
    }
    cr_assert_eq(node_fake_heard(b->nodes[0]), 0);
    cr_assert_eq(bench_stat(b, PROXY_STAT_ERRORS), sizeof(CASES) / sizeof(CASES[0]));
    bench_free(&b);
}

Test(forward, what_is_as_long_as_it_may_be_is_sent) {
    static const char *const REQUESTS[] = {"GET 12345678",         "SET 12345678 1234",
                                           "DEL 12345678",         "MSET a 1234 b 1234",
                                           "SET k 1 EX 123456789", "GETDEL 12345678"};
    struct bench *b = start();
    struct bench_client *c = bench_client_new(b);
    for (unsigned i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++) {
        bench_say(c, REQUESTS[i]);
        bench_say(c, "\r\n");
        cr_assert(BENCH_UNTIL(b, node_fake_heard(b->nodes[0]) == i + 1), "%s", REQUESTS[i]);
        cr_assert_str_eq(node_fake_request(b->nodes[0], i), REQUESTS[i]);
        node_fake_say(b->nodes[0], "_\r\n");
        cr_assert(BENCH_UNTIL(b, (bench_listen(c), c->len == 5 * (i + 1))));
    }
    bench_client_free(&c);
    bench_free(&b);
}
