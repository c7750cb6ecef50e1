/* Far more misses than PostgreSQL is to be asked for: who cannot be served is told so, never nil;
 * hits and writes go on; PostgreSQL gets what was configured and no more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { KEYS = 900, RATE = 200 /* rows/s */, BURST = RATE / 100 + 1, PATIENCE_MS = 60000 };

static struct stack *s;
static struct caller *crowd, *beside;

static void set_up(void) {
    s = stack_private((struct stack_conf){
        .nodes = 1, .node_args = "--fill-rate-max 200 --fills-max 4 --read-timeout-ms 100"});
    PGconn *sql = sql_open(s);
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT 'cold:' || i, 'value'"
           " FROM generate_series(0, %d) AS i",
           KEYS - 1);
    PQfinish(sql);
    crowd = expect_caller(s->proxy_port);
    beside = expect_caller(s->proxy_port);
}

static void tear_down(void) {
    caller_close(&crowd);
    caller_close(&beside);
    stack_down(&s);
}

static void ask_all(void) {
    char key[32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "cold:%d", i);
        caller_say_words(crowd, "GET", key, NULL);
    }
    expect_flush(crowd);
}

Test(fill_limit, misses_beyond_it_get_an_error_and_nobody_else_feels_them, .init = set_up,
     .fini = tear_down, .timeout = 120) {
    int values = 0, timeouts = 0;
    EXPECT_WITHIN(PATIENCE_MS, beside, "+OK", "SET", "warm", "value");
    EXPECT_WITHIN(PATIENCE_MS, beside, "$value", "GET", "warm");
    int64_t rows = stack_info(s->node_ports[0], "db_reads"), from_ms = clock_mono_ms();
    ask_all();
    EXPECT(beside, "$value", "GET", "warm");
    EXPECT(beside, "+OK", "SET", "warm", "other");
    for (int i = 0; i < KEYS; i++) {
        struct resp_reply *reply = caller_hear(crowd);
        char *shown = caller_show(reply);
        values += strcmp(shown, "$value") == 0;
        timeouts += strncmp(shown, "-TIMEOUT ", 9) == 0;
        cr_assert(expect_is(shown, "$value") || expect_is(shown, "-TIMEOUT *"), "%s", shown);
        free(shown);
        resp_reply_free(&reply);
    }
    rows = stack_info(s->node_ports[0], "db_reads") - rows;
    int64_t ms = clock_mono_ms() - from_ms;
    cr_expect_eq(values + timeouts, KEYS);
    cr_expect(timeouts > 0);
    cr_expect(rows <= RATE * ms / 1000 + BURST, "%d rows in %d ms", (int)rows, (int)ms);
    cr_expect(stack_info(s->node_ports[0], "fills_unwanted") > 0);
    EVENTUALLY(PATIENCE_MS, stack_info(s->node_ports[0], "pending_requests") == 0);
    EXPECT_WITHIN(PATIENCE_MS, beside, "$value", "GET", "cold:1");
}
