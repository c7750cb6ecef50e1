/* A node's own clients in one write: GETs that are answered together keep their order, and go back
 * when one of them has to wait. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

/* Each test has keys of its own, which the node never saw: so its first GET has to wait. */
enum { KEYS = 100, HALF = 100, AMONG = 200, NONSENSE = 220 };

static const struct stack *s;
static struct caller *c;

static void open_all(void) {
    s = stack_shared();
    PGconn *sql = sql_open(s);
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT 'pipe:' || n, 'value ' || n FROM "
           "generate_series(0, 299) AS n ON CONFLICT DO NOTHING");
    PQfinish(sql);
    c = expect_caller(s->node_ports[0]);
}

static void close_all(void) {
    caller_close(&c);
}

TestSuite(pipeline, .init = open_all, .fini = close_all);

static void say_get(int n) {
    char key[32];
    snprintf(key, sizeof(key), "pipe:%d", n);
    caller_say_words(c, "GET", key, NULL);
}

static void expect_value(int n) {
    char want[32];
    snprintf(want, sizeof(want), "$value %d", n);
    EXPECT_NEXT(c, want);
}

Test(pipeline, gets_in_one_write_are_answered_in_order) {
    for (int i = 0; i < KEYS; i++)
        say_get(i);
    expect_flush(c);
    for (int i = 0; i < KEYS; i++)
        expect_value(i);
}

/* Behind the GETs, in the same read, half of a request: while the first of them waits the session
 * goes back to the second, and has to read that half anew. */
Test(pipeline, half_a_request_behind_a_get_that_waits) {
    for (int i = 0; i < 10; i++)
        say_get(HALF + i);
    caller_say_raw(c, SPAN("*2\r\n$4\r\nECHO\r\n$6\r\nhal"));
    expect_flush(c);
    for (int i = 0; i < 10; i++)
        expect_value(HALF + i);
    caller_say_raw(c, SPAN("ves\r\n"));
    expect_flush(c);
    EXPECT_NEXT(c, "$halves");
}

Test(pipeline, other_requests_among_the_gets_keep_their_place) {
    say_get(AMONG + 1);
    caller_say_words(c, "ECHO", "between", NULL);
    say_get(AMONG + 2);
    caller_say_words(c, "GET", "", NULL);
    caller_say_words(c, "GET", NULL);
    caller_say_words(c, "MGET", "pipe:203", "pipe:204", NULL);
    say_get(AMONG + 5);
    caller_say_words(c, "STRLEN", "pipe:205", NULL);
    expect_flush(c);
    expect_value(AMONG + 1);
    EXPECT_NEXT(c, "$between");
    expect_value(AMONG + 2);
    EXPECT_NEXT(c, "-ERR key is empty");
    EXPECT_NEXT(c, "-ERR wrong number of arguments for 'get' command");
    EXPECT_NEXT(c, "[$value 203 $value 204]");
    expect_value(AMONG + 5);
    EXPECT_NEXT(c, ":9");
}

Test(pipeline, nonsense_behind_a_get_that_waits_is_refused_in_its_turn) {
    say_get(NONSENSE + 6);
    say_get(NONSENSE + 7);
    caller_say_raw(c, SPAN("*1\r\n!nonsense\r\n"));
    expect_flush(c);
    expect_value(NONSENSE + 6);
    expect_value(NONSENSE + 7);
    EXPECT_NEXT(c, "-ERR Protocol error: *");
    cr_assert(caller_ended(c));
}
