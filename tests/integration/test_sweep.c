/* Rows whose time is over are deleted by the nodes, one at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "../harness/expect.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { SWEPT_MS = 15000 };

static struct stack *s;
static PGconn *sql;
static struct caller *c;

static void open_own(void) {
    s = stack_private(
        (struct stack_conf){.nodes = 2, .node_args = "--expiry-sweep-ms 100 --expiry-batch 50"});
    sql = sql_open(s);
    c = expect_caller(s->proxy_port);
}

static void close_own(void) {
    caller_close(&c);
    PQfinish(sql);
    stack_down(&s);
}

TestSuite(sweep, .init = open_own, .fini = close_own);

static int64_t active(const char *like) {
    return sql_int(sql, "SELECT count(*) FROM ringfence.entry WHERE active AND key LIKE '%s'",
                   like);
}

/* Many batches; nothing that lives is touched, and nothing is lost: the payload stays. */
Test(sweep, deletes_what_has_expired_and_nothing_else) {
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload, expires_at) SELECT 'sweep:' || n, n, "
                "CASE n %% 3 WHEN 0 THEN NULL WHEN 1 THEN now() + '1 h'::interval ELSE now() END "
                "FROM generate_series(1, 900) AS n");
    EVENTUALLY(SWEPT_MS, active("sweep:%") == 600);
    sql_expect(sql, "300",
               "SELECT count(*) FROM ringfence.entry WHERE NOT active AND payload <> ''");
    EVENTUALLY(SWEPT_MS, stack_info(s->node_ports[0], "expired_keys") +
                                 stack_info(s->node_ports[1], "expired_keys") ==
                             300);
    cr_assert_eq(active("sweep:%"), 600);
}

/* While somebody has the lock, nobody sweeps; a row that is locked is left for later. */
Test(sweep, is_done_by_one_at_a_time) {
    PGconn *other = sql_open(s);
    sql_do(other, "BEGIN");
    sql_do(other, "SELECT pg_advisory_xact_lock(hashtextextended('ringfence sweep "
                  "\"ringfence\".\"entry\"', 0))");
    EXPECT(c, "+OK", "SET", "sweep:one", "v", "PX", "1");
    EVENTUALLY(SWEPT_MS, sql_int(sql, "SELECT (expires_at < now() - '500 ms'::interval)::int FROM "
                                      "ringfence.entry WHERE key = 'sweep:one'") == 1);
    cr_assert_eq(active("sweep:one"), 1);
    sql_do(other, "COMMIT");
    EVENTUALLY(SWEPT_MS, active("sweep:one") == 0);
    PQfinish(other);
}

/* Returns the next answer as text; freed by the caller. */
static char *hear(void) {
    struct resp_reply *reply = caller_hear(c);
    char *text = caller_show(reply);
    resp_reply_free(&reply);
    return text;
}

/* A client that keeps a copy hears that the key is over, though nobody wrote it. (It may be told
 * once more of the SET before that.) */
Test(sweep, tells_clients_that_cache) {
    caller_say_raw(c, SPAN("HELLO 3\r\nSET sweep:told v PX 300\r\nCLIENT TRACKING ON\r\n"));
    expect_flush(c);
    EXPECT_NEXT(c, "[$server $redis *");
    EXPECT_NEXT(c, "+OK");
    EXPECT_NEXT(c, "+OK");
    bool there = true;
    for (int told = 0; there; told++) {
        caller_say_words(c, "GET", "sweep:told", NULL);
        expect_flush(c);
        char *text = hear();
        there = strcmp(text, "$v") == 0;
        cr_assert(there || (strcmp(text, "nil") == 0 && told > 0), "%s", text);
        free(text);
        if (there)
            EXPECT_NEXT(c, "[$invalidate [$sweep:told]]");
    }
    EVENTUALLY(SWEPT_MS, active("sweep:told") == 0);
}
