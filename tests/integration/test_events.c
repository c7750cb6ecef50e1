/* What became of a key, whoever wrote: as the nodes tell it to proxies, and as subscribers hear it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

static const struct stack *s;
static PGconn *sql;
static struct caller *c, *listener;

static void open_all(void) {
    s = stack_shared();
    sql = sql_open(s);
    c = expect_caller(s->proxy_port);
}

static void close_all(void) {
    caller_close(&c);
    if (listener != NULL)
        caller_close(&listener);
    PQfinish(sql);
}

TestSuite(events, .init = open_all, .fini = close_all);

/* The next thing that is heard of keys that begin with `mine`. */
static void expect_heard(const char *mine, const char *want) {
    for (;;) {
        struct resp_reply *r = caller_hear(listener);
        char *shown = caller_show(r);
        resp_reply_free(&r);
        cr_assert_str_neq(shown, "closed", "while waiting for %s", want);
        bool passed = strstr(shown, mine) == NULL;
        cr_assert(passed || strcmp(shown, want) == 0, "%s, not %s", shown, want);
        free(shown);
        if (!passed)
            return;
    }
}

/* ---- what a node tells a proxy ---- */

static void open_node(void) {
    listener = expect_caller(s->node_ports[0]);
    EXPECT(listener, "+OK", "RF.LINK", "1");
    EXPECT(listener, "+OK", "RF.WATCH", "1");
}

Test(events, a_node_says_what_became_of_a_key) {
    open_node();
    EXPECT(c, "+OK", "SET", "ev:node:a", "1");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    EXPECT(c, ":1", "EXPIRE", "ev:node:a", "1000");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    EXPECT(c, ":1", "DEL", "ev:node:a");
    expect_heard("ev:node:", "[+stale +d $ev:node:a]");
    sql_do(sql,
           "UPDATE ringfence.entry SET active = true, expires_at = NULL WHERE key = 'ev:node:a'");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'sql' WHERE key = 'ev:node:a'");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    EXPECT(c, ":1", "PEXPIRE", "ev:node:a", "1");
    expect_heard("ev:node:", "[+stale +s $ev:node:a]");
    expect_heard("ev:node:", "[+stale +x $ev:node:a]"); /* swept */
    sql_do(sql, "UPDATE ringfence.entry SET payload = 'x' WHERE key = 'ev:node:a'");
    expect_heard("ev:node:", "[+stale +n $ev:node:a]");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'ev:node:a'");
    expect_heard("ev:node:", "[+stale +n $ev:node:a]");
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('ev:node:b', '1')");
    expect_heard("ev:node:", "[+stale +s $ev:node:b]");
    sql_do(sql, "UPDATE ringfence.entry SET key = 'ev:node:d' WHERE key = 'ev:node:b'");
    expect_heard("ev:node:", "[+stale +s $ev:node:d]");
    expect_heard("ev:node:", "[+stale +d $ev:node:b]");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key = 'ev:node:d'");
    expect_heard("ev:node:", "[+stale +d $ev:node:d]");
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload, active) VALUES ('ev:node:e', '1', false)");
    expect_heard("ev:node:", "[+stale +n $ev:node:e]");
}
