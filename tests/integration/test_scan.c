/* Commands about all keys, on the real table: SCAN, KEYS, RANDOMKEY, FLUSHDB, FLUSHALL. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { KEYS = 300, STEPS_MAX = 5000, STOP_MS = 15000 };

static const struct stack *s;
static PGconn *sql;
static struct caller *c;

static void open_all(void) {
    shared_open(&s, &sql, &c, NULL);
}

static void close_all(void) {
    shared_close(&sql, &c, NULL);
}

TestSuite(scan, .init = open_all, .fini = close_all);

/* ---- a walk ---- */

/* How often each of the keys PREFIX0 .. was found. */
struct found {
    const char *prefix;
    unsigned times[KEYS];
    unsigned steps, others;
};

static struct resp_reply *ask(struct caller *who, const char *cursor, const char *match,
                              const char *count) {
    caller_say_words(who, "SCAN", cursor, "MATCH", match, "COUNT", count, NULL);
    expect_flush(who);
    struct resp_reply *reply = caller_hear(who);
    cr_assert(reply != NULL && reply->type == RESP_ARRAY && reply->count == 2);
    return reply;
}

static void note(struct found *found, const struct resp_reply *keys) {
    size_t len = strlen(found->prefix);
    for (size_t i = 0; i < keys->count; i++) {
        const char *key = keys->elements[i]->text;
        if (strncmp(key, found->prefix, len) != 0) {
            found->others++;
            continue;
        }
        unsigned long n = strtoul(key + len, NULL, 10);
        cr_assert_lt(n, KEYS, "%s", key);
        found->times[n]++;
    }
}

/* One step; the new cursor in `cursor`. False at the end. */
static bool step(struct caller *who, struct found *found, char *cursor, const char *match,
                 const char *count) {
    struct resp_reply *reply = ask(who, cursor, match, count);
    snprintf(cursor, 32, "%s", reply->elements[0]->text);
    note(found, reply->elements[1]);
    resp_reply_free(&reply);
    cr_assert_lt(found->steps++, STEPS_MAX);
    return strcmp(cursor, "0") != 0;
}

static void insert(const char *prefix) {
    sql_do(sql,
           "INSERT INTO ringfence.entry (key, payload) SELECT '%s' || n, n "
           "FROM generate_series(0, %d) AS n",
           prefix, KEYS - 1);
}

/* ---- SCAN ---- */

Test(scan, gives_every_key_once) {
    static const char *const COUNTS[] = {"1", "7", "100", "100000"};
    insert("scan:once:");
    for (size_t i = 0; i < sizeof(COUNTS) / sizeof(COUNTS[0]); i++) {
        struct found found = {.prefix = "scan:once:"};
        char cursor[32] = "0";
        while (step(c, &found, cursor, "scan:once:*", COUNTS[i]))
            ;
        for (int k = 0; k < KEYS; k++)
            cr_assert_eq(found.times[k], 1, "COUNT %s: key %d: %u times", COUNTS[i], k,
                         found.times[k]);
        cr_assert_eq(found.others, 0);
    }
}

/* The cursor is no proxy's and no node's; keys that come and go beside do not matter. */
Test(scan, misses_no_key_that_was_there_throughout) {
    uint16_t port;
    pid_t other = stack_proxy(s, NULL, &port);
    struct caller *who[3] = {c, expect_caller(port), expect_caller(s->node_ports[0])};
    struct found found = {.prefix = "scan:stay:"};
    char cursor[32] = "0", key[32];
    insert("scan:stay:");
    do {
        snprintf(key, sizeof(key), "scan:go:%u", found.steps);
        EXPECT(c, "+OK", "SET", key, "v");
        snprintf(key, sizeof(key), "scan:stay:%u", found.steps * 7 % KEYS);
        EXPECT(c, "+OK", "SET", key, "changed");
        if (found.steps > 3) {
            snprintf(key, sizeof(key), "scan:go:%u", found.steps - 3);
            EXPECT(c, ":1", "DEL", key);
        }
    } while (step(who[found.steps % 3], &found, cursor, "scan:*", "20"));
    for (int k = 0; k < KEYS; k++)
        cr_assert_eq(found.times[k], 1, "key %d: %u times", k, found.times[k]);
    caller_close(&who[1]);
    caller_close(&who[2]);
    cr_assert_eq(program_stop(other, SIGTERM, STOP_MS), 0);
}

/* So that it is exact also for a client that keeps it in a double. */
Test(scan, cursors_stay_below_2_to_the_53) {
    struct found found = {.prefix = "scan:small:"};
    char cursor[32] = "0";
    insert("scan:small:");
    while (step(c, &found, cursor, "*", "50"))
        cr_assert_leq(strtoull(cursor, NULL, 10), 1ull << 53);
}

Test(scan, gives_only_what_is_live) {
    struct found found = {.prefix = "scan:dead:"};
    char cursor[32] = "0";
    insert("scan:dead:");
    sql_do(sql, "UPDATE ringfence.entry SET active = false WHERE key = 'scan:dead:1'; "
                "UPDATE ringfence.entry SET expires_at = now() WHERE key = 'scan:dead:2'");
    EXPECT(c, ":1", "DEL", "scan:dead:3");
    while (step(c, &found, cursor, "scan:dead:*", "1000"))
        ;
    cr_assert(found.times[1] == 0 && found.times[2] == 0 && found.times[3] == 0);
    cr_assert_eq(found.times[4], 1);
}

Test(scan, matches_as_redis_does) {
    EXPECT(c, "+OK", "MSET", "scan:glob:a1", "v", "scan:glob:b2", "v", "scan:glob:[", "v");
    EXPECT(c, "[$0 [$scan:glob:b2]]", "SCAN", "0", "COUNT", "10000", "MATCH", "scan:glob:[^a]?");
    EXPECT(c, "[$0 [$scan:glob:[]]", "SCAN", "0", "MATCH", "scan:glob:\\[", "COUNT", "10000");
    EXPECT(c, "[$0 [$scan:glob:a1]]", "SCAN", "0", "MATCH", "scan:glob:a*", "TYPE", "STRING",
           "COUNT", "10000");
    EXPECT(c, "[$0 []]", "SCAN", "0", "TYPE", "hash", "COUNT", "10000");
}

Test(scan, refuses_what_redis_refuses) {
    EXPECT(c, "-ERR invalid cursor", "SCAN", "x");
    EXPECT(c, "-ERR invalid cursor", "SCAN", " 1");
    EXPECT(c, "-ERR invalid cursor", "SCAN", "18446744073709551616");
    EXPECT(c, "[$0 []]", "SCAN", "18446744073709551615");
    EXPECT(c, "-ERR syntax error", "SCAN", "0", "COUNT");
    EXPECT(c, "-ERR syntax error", "SCAN", "0", "COUNT", "0");
    EXPECT(c, "-ERR value is not an integer or out of range", "SCAN", "0", "COUNT", "x");
    EXPECT(c, "-ERR syntax error", "SCAN", "0", "FOO", "1");
}

/* ---- KEYS, RANDOMKEY ---- */

Test(scan, keys_gives_all_that_match) {
    insert("scan:keys:");
    EXPECT(c, "+OK", "MSET", "scan:keys", "v", "scan:keys\xf4\x8f\xbf\xbf", "v", "scan:ke", "v");
    EXPECT(c, "[$scan:keys:177 $scan:keys:277 $scan:keys:77]", "KEYS", "scan:keys:*77");
    EXPECT(c, "[$scan:keys]", "KEYS", "scan:keys");
    EXPECT(c, "[$scan:keys $scan:keys\xf4\x8f\xbf\xbf]", "KEYS", "scan:key*[^0-9]");
    EXPECT(c, "[]", "KEYS", "scan:keys:x*");
    EXPECT(c, "[]", "KEYS", "");
    EXPECT(c, "[$scan:keys:42]", "KEYS", "?can:ke[y]s:42");
    EXPECT(c, "[]", "KEYS", "scan:keys:\xff*");
}

Test(scan, randomkey_gives_a_key_that_is_there) {
    insert("scan:random:");
    for (int i = 0; i < 20; i++) {
        caller_say_words(c, "RANDOMKEY", NULL);
        expect_flush(c);
        struct resp_reply *reply = caller_hear(c);
        cr_assert(reply != NULL && reply->type == RESP_STRING);
        cr_assert_eq(
            sql_int(sql, "SELECT count(*) FROM ringfence.entry WHERE key = '%s'", reply->text), 1,
            "%s", reply->text);
        resp_reply_free(&reply);
    }
}

/* ---- losses ---- */

/* A step that may fail: then it is taken again, from the same cursor. */
static bool step_again(struct caller **who, uint16_t port, struct found *found, char *cursor,
                       unsigned *failed) {
    for (;; (*failed)++) {
        cr_assert_lt(*failed, STEPS_MAX);
        caller_say_words(*who, "SCAN", cursor, "MATCH", "scan:loss:*", "COUNT", "3", NULL);
        struct resp_reply *reply = caller_flush(*who) ? caller_hear(*who) : NULL;
        if (reply != NULL && reply->type == RESP_ARRAY) {
            snprintf(cursor, 32, "%s", reply->elements[0]->text);
            note(found, reply->elements[1]);
            resp_reply_free(&reply);
            return strcmp(cursor, "0") != 0;
        }
        bool lost = reply == NULL;
        resp_reply_free(&reply);
        if (lost) {
            caller_close(who);
            *who = expect_caller(port);
        }
        expect_pause();
    }
}

/* While a node is killed and comes back, and the ring is edited twice. */
Test(loss, scan_misses_no_key_while_a_node_dies_and_the_ring_is_edited) {
    struct stack *mine = stack_private((struct stack_conf){.nodes = 3});
    struct found found = {.prefix = "scan:loss:"};
    char ring[STACK_PATH_BYTES], args[STACK_PATH_BYTES + 32], cursor[32] = "0", text[256];
    unsigned failed = 0, steps = 0;
    uint16_t port;
    s = mine;
    sql = sql_open(s);
    insert("scan:loss:");
    stack_ring_own(s, ring);
    snprintf(args, sizeof(args), "--ring-file %s", ring);
    pid_t proxy = stack_proxy(s, args, &port);
    struct caller *who = expect_caller(port);
    bool more = true;
    for (; more; steps++) {
        more = step_again(&who, port, &found, cursor, &failed);
        switch (steps) {
        case 20:
            kill(mine->node_pids[0], SIGKILL);
            break;
        case 40: /* the one that died, and another one, leave the ring */
            snprintf(text, sizeof(text), "node node2 127.0.0.1:%u\n", s->node_ports[1]);
            stack_ring_write(ring, text);
            EVENTUALLY(STOP_MS, stack_info(port, "ring_nodes") == 1);
            break;
        case 60:
            stack_node_start(mine, 0);
            snprintf(text, sizeof(text),
                     "node node1 127.0.0.1:%u\nnode node2 127.0.0.1:%u\nnode node3 127.0.0.1:%u\n",
                     s->node_ports[0], s->node_ports[1], s->node_ports[2]);
            stack_ring_write(ring, text);
            EVENTUALLY(STOP_MS, stack_info(port, "ring_nodes") == 3);
            break;
        case 80:
            kill(mine->node_pids[1], SIGKILL);
            break;
        }
    }
    fprintf(stderr, "scan: %u steps, %u failed and were taken again\n", steps, failed);
    cr_assert_gt(steps, 80);
    for (int k = 0; k < KEYS; k++)
        cr_assert_eq(found.times[k], 1, "key %d: %u times", k, found.times[k]);
    caller_close(&who);
    cr_assert_eq(program_stop(proxy, SIGTERM, STOP_MS), 0);
    PQfinish(sql);
    stack_down(&mine);
}

/* ---- a table of one's own ---- */

static struct stack *own;

static void open_own(void) {
    own = stack_private(
        (struct stack_conf){.nodes = 2,
                            .node_args = "--allow-flush yes --keys-max 100 " STACK_PATIENT_NODE,
                            .proxy_args = STACK_PATIENT_PROXY});
    s = own;
    sql = sql_open(s);
    c = expect_caller(s->proxy_port);
}

static void close_own(void) {
    close_all();
    stack_down(&own);
}

TestSuite(flush, .init = open_own, .fini = close_own);

/* More rows than one batch has, in every cache there is; and afterwards nobody has any. */
Test(flush, deletes_every_key_and_every_copy) {
    struct caller *node[2];
    char key[32];
    sql_do(sql, "TRUNCATE ringfence.entry; INSERT INTO ringfence.entry (key, payload) SELECT "
                "'flush:' || n, n FROM generate_series(0, 11999) AS n");
    for (int i = 0; i < 2; i++) {
        node[i] = expect_caller(s->node_ports[i]);
        for (int k = 0; k < KEYS; k++) {
            snprintf(key, sizeof(key), "flush:%d", k * 40);
            caller_say_words(node[i], "GET", key, NULL);
        }
        expect_flush(node[i]);
        for (int k = 0; k < KEYS; k++) {
            snprintf(key, sizeof(key), "$%d", k * 40);
            EXPECT_NEXT(node[i], key);
        }
    }
    EXPECT(c, ":12000", "DBSIZE");
    EXPECT(c, "-ERR more than 100 keys match (keys-max); use SCAN", "KEYS", "flush:*");
    EXPECT(c, "-ERR syntax error", "FLUSHALL", "NOW");
    EXPECT(c, "+OK", "FLUSHALL");
    for (int k = 0; k < KEYS; k++) {
        snprintf(key, sizeof(key), "flush:%d", k * 40);
        EXPECT(node[k % 2], "nil", "GET", key);
    }
    EXPECT(c, ":0", "DBSIZE");
    EXPECT(c, "nil", "RANDOMKEY");
    EXPECT(c, "[$0 []]", "SCAN", "0");
    EXPECT(c, "+OK", "FLUSHDB", "async");
    EXPECT(c, "+OK", "SET", "flush:1", "again");
    EXPECT(c, "$flush:1", "RANDOMKEY");
    EXPECT(c, "+OK", "FLUSHDB", "SYNC");
    EXPECT(c, "nil", "GET", "flush:1");
    sql_expect(sql, "12000", "SELECT count(*) FROM ringfence.entry WHERE NOT active");
    sql_expect(sql, "again", "SELECT payload FROM ringfence.entry WHERE key = 'flush:1'");
    for (int i = 0; i < 2; i++)
        caller_close(&node[i]);
}

Test(scan, flush_is_off_unless_allowed) {
    EXPECT(c, "-ERR deleting all keys is not allowed here (allow-flush)", "FLUSHALL");
    EXPECT(c, "-ERR deleting all keys is not allowed here (allow-flush)", "FLUSHDB", "ASYNC");
}

Test(flush, scan_works_without_the_index_and_says_so_once) {
    sql_do(sql, "DROP INDEX ringfence.entry_scan; INSERT INTO ringfence.entry (key, payload) "
                "SELECT 'slow:' || n, n FROM generate_series(0, 299) AS n");
    struct found found = {.prefix = "slow:"};
    char cursor[32] = "0";
    while (step(c, &found, cursor, "*", "30"))
        ;
    for (int k = 0; k < KEYS; k++)
        cr_assert_eq(found.times[k], 1, "key %d: %u times", k, found.times[k]);
    cr_assert(stack_log_has(own, "node1", "scan_without_index") ||
              stack_log_has(own, "node2", "scan_without_index"));
}
