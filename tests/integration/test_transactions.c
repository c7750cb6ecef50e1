/* MULTI, EXEC and WATCH over keys of several nodes: all or nothing, and seen as all or nothing. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { PATIENCE_MS = 30000, KEY_BYTES = 64, ANSWER_BYTES = 400 };

/* ---- threads that ask ---- */

/* Says lines of words, hears their answers, and keeps the last one's text. False if the connection
 * is lost. */
static bool ask(struct caller *c, char *last, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool ask(struct caller *c, char *last, const char *format, ...) {
    char text[1024], *rest = text;
    unsigned lines = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *line; (line = strsep(&rest, "\n")) != NULL; lines++) {
        struct span words[16];
        uint32_t argc = 0;
        for (char *word; (word = strsep(&line, " ")) != NULL && argc < 16;)
            words[argc++] = span_str(word);
        caller_say(c, words, argc);
    }
    if (!caller_flush(c))
        return false;
    for (; lines != 0; lines--) {
        struct resp_reply *reply = caller_hear(c);
        char *shown = caller_show(reply);
        snprintf(last, ANSWER_BYTES, "%s", shown);
        free(shown);
        if (reply == NULL)
            return false;
        resp_reply_free(&reply);
    }
    return true;
}

/* What all threads of a test share. */
struct shared {
    uint16_t port;
    char keys[4][KEY_BYTES];
    unsigned keys_count;
    int rounds;
    atomic_bool end;
    atomic_int done, refused, unknown, wrong;
    char first_wrong[2 * ANSWER_BYTES];
};

static void note_wrong(struct shared *s, const char *what, const char *answer) {
    if (atomic_fetch_add(&s->wrong, 1) == 0)
        snprintf(s->first_wrong, sizeof(s->first_wrong), "%s: %s", what, answer);
}

static void begin(struct shared *s, const struct stack *stack, const char *prefix, unsigned keys) {
    memset(s, 0, sizeof(*s));
    s->port = stack->proxy_port;
    s->keys_count = keys;
    for (unsigned i = 0; i < keys; i++) {
        char own[32];
        snprintf(own, sizeof(own), "%s:%u:", prefix, i);
        stack_key_of(stack, (int)i % stack->nodes, own, s->keys[i], KEY_BYTES);
    }
}

/* As many threads of each kind; those of `steady` run until the others are through. */
static void run(struct shared *s, void *(*busy)(void *), unsigned busy_count,
                void *(*steady)(void *), unsigned steady_count) {
    pthread_t threads[32];
    for (unsigned i = 0; i < busy_count + steady_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i < busy_count ? busy : steady, s), 0);
    for (unsigned i = 0; i < busy_count; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&s->end, true);
    for (unsigned i = 0; i < steady_count; i++)
        pthread_join(threads[busy_count + i], NULL);
    cr_assert_eq(atomic_load(&s->wrong), 0, "%s", s->first_wrong);
}

/* ---- one client ---- */

Test(transactions, run_over_several_nodes_and_answer_as_redis) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    char a[KEY_BYTES], b[KEY_BYTES];
    stack_key_of(s, 0, "tx:a", a, sizeof(a));
    stack_key_of(s, 1, "tx:b", b, sizeof(b));
    EXPECT(c, "+OK", "MULTI");
    EXPECT(c, "+QUEUED", "SET", a, "one");
    EXPECT(c, "+QUEUED", "MGET", a, b, a);
    EXPECT(c, "+QUEUED", "SET", b, "two", "GET");
    EXPECT(c, "+QUEUED", "EXPIRE", b, "100");
    EXPECT(c, "+QUEUED", "TTL", b);
    EXPECT(c, "+QUEUED", "EXPIRE", b, "x");
    EXPECT(c, "+QUEUED", "DEL", a, "tx:none", a);
    EXPECT(c, "+QUEUED", "GET", a);
    EXPECT(c, "+QUEUED", "PING");
    EXPECT(c,
           "[+OK [$one nil $one] nil :1 :100 -ERR value is not an integer or out of range :1 nil "
           "+PONG]",
           "EXEC");
    EXPECT(c, "nil", "GET", a);
    EXPECT(c, "$two", "GET", b);
    EXPECT(c, "+OK", "MULTI");
    EXPECT(c, "+QUEUED", "GET", b);
    EXPECT(c, "[$two]", "EXEC");
    caller_close(&c);
}

/* Then there is nothing to ask the table, and EXEC is no error itself. */
Test(transactions, one_of_which_every_command_is_wrong_is_answered_command_by_command) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    EXPECT(c, "+OK", "MULTI");
    EXPECT(c, "+QUEUED", "EXPIRE", "tx:wrong", "x");
    EXPECT(c, "+QUEUED", "SET", "tx:wrong", "value", "EX", "x");
    EXPECT(c, "+QUEUED", "SET", "tx:wrong", "value", "NX", "XX");
    EXPECT(c,
           "[-ERR value is not an integer or out of range -ERR value is not an integer or out of "
           "range -ERR syntax error]",
           "EXEC");
    EXPECT(c, "nil", "GET", "tx:wrong");
    EXPECT(c, "+OK", "MULTI"); /* that one is over */
    EXPECT(c, "[]", "EXEC");
    caller_close(&c);
}

Test(transactions, memory_and_object_see_the_value_in_its_turn) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    char last[ANSWER_BYTES];
    EXPECT(c, "*", "DEL", "tx:a", "tx:b");
    cr_assert(
        ask(c, last,
            "MULTI\nSET tx:a 1\nOBJECT ENCODING tx:a\nAPPEND tx:a x\nOBJECT ENCODING tx:a\n"
            "OBJECT FREQ tx:b\nMEMORY USAGE tx:b\nOBJECT REFCOUNT tx:a\nCLIENT GETNAME\nEXEC"));
    cr_assert_str_eq(last, "[+OK $int :2 $embstr nil nil :1 nil]");
    caller_say_words(c, "MEMORY", "USAGE", "tx:a", NULL);
    expect_flush(c);
    struct resp_reply *alone = caller_hear(c);
    snprintf(last, sizeof(last), "[:%lld]", (long long)alone->integer);
    resp_reply_free(&alone);
    EXPECT(c, "+OK", "MULTI");
    EXPECT(c, "+QUEUED", "MEMORY", "USAGE", "tx:a");
    EXPECT(c, last, "EXEC");
    EXPECT(c, "+OK", "WATCH", "tx:a"); /* now reads come from the table */
    EXPECT(c, "$embstr", "OBJECT", "ENCODING", "tx:a");
    EXPECT(c, ":*", "OBJECT", "FREQ", "tx:a");
    EXPECT(c, "nil", "OBJECT", "FREQ", "tx:b");
    EXPECT(c, "-ERR unknown subcommand 'x'. Try OBJECT HELP.", "OBJECT", "x", "tx:a");
    caller_close(&c);
}

Test(transactions, msetnx_does_all_or_nothing_over_several_nodes) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    char a[KEY_BYTES], b[KEY_BYTES], d[KEY_BYTES];
    stack_key_of(s, 0, "tx:nx:a", a, sizeof(a));
    stack_key_of(s, 1, "tx:nx:b", b, sizeof(b));
    stack_key_of(s, 2 % s->nodes, "tx:nx:d", d, sizeof(d));
    EXPECT(c, "+OK", "MULTI");
    EXPECT(c, "+QUEUED", "MSETNX", a, "1", b, "2", a, "3");
    EXPECT(c, "+QUEUED", "MGET", a, b);
    EXPECT(c, "+QUEUED", "MSETNX", d, "4", b, "5");
    EXPECT(c, "+QUEUED", "EXISTS", d);
    EXPECT(c, "+QUEUED", "DEL", b);
    EXPECT(c, "+QUEUED", "MSETNX", d, "6", b, "7");
    EXPECT(c, "[:1 [$3 $2] :0 :0 :1 :1]", "EXEC");
    EXPECT(c, "[$3 $7 $6]", "MGET", a, b, d);
    sql_expect(sql, "1",
               "SELECT count(DISTINCT xmin::text) FROM ringfence.entry WHERE key IN ('%s', '%s', "
               "'%s') AND active",
               a, b, d);
    /* What only kept a place is none. */
    EXPECT(c, ":3", "DEL", a, b, d);
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key IN ('%s', '%s', '%s')", a, b, d);
    EXPECT(c, "+OK", "WATCH", a);
    EXPECT(c, "+OK", "MULTI");
    EXPECT(c, "+QUEUED", "SET", b, "x", "XX");
    EXPECT(c, "+QUEUED", "MSETNX", d, "1", b, "2");
    EXPECT(c, "+QUEUED", "DEL", d, b);
    EXPECT(c, "+QUEUED", "MSETNX", a, "1", b, "2");
    EXPECT(c, "[nil :1 :2 :1]", "EXEC");
    PQfinish(sql);
    caller_close(&c);
}

Test(transactions, know_versions_and_switches) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    char a[KEY_BYTES], b[KEY_BYTES], last[ANSWER_BYTES];
    long long version, again;
    stack_key_of(s, 0, "tx:ver:a", a, sizeof(a));
    stack_key_of(s, 1, "tx:ver:b", b, sizeof(b));
    cr_assert(ask(c, last,
                  "MULTI\nRF.GET %s\nRF.SETVER %s 0 one\nRF.SETVER %s 0 two\nRF.GET %s\nEXEC", a, a,
                  a, a));
    cr_assert_eq(
        sscanf(last, "[nil :%lld nil [$payload $one $version :%lld $active :1", &version, &again),
        2, "%s", last);
    cr_assert_eq(version, again);
    cr_assert_eq(version, sql_int(sql, "SELECT version FROM ringfence.entry WHERE key = '%s'", a));
    cr_assert(ask(c, last,
                  "MULTI\nRF.DISABLE %s\nGET %s\nRF.ENABLE %s\nGET %s\nPEXPIREAT %s 4102444800123\n"
                  "PEXPIRETIME %s\nEXPIRETIME %s\nRF.ENABLE %s\nRF.DISABLE %s\nRF.GET %s\nEXEC",
                  a, a, a, a, a, a, a, b, b, b));
    cr_assert_str_eq(last, "[:1 nil :1 $one :1 :4102444800123 :4102444800 :0 :0 nil]");
    cr_assert(ask(c, last, "MULTI\nRF.GET %s\nPEXPIRETIME %s\nEXEC", a, b)); /* only reads */
    cr_assert_eq(sscanf(last, "[[$payload $one $version :%lld", &again), 1, "%s", last);
    cr_assert_gt(again, version);
    cr_assert_not_null(strstr(last, "$expires_at :4102444800123] :-2]"), "%s", last);
    sql_expect(sql, "0", "SELECT count(*) FROM ringfence.entry WHERE key = '%s'", b);
    PQfinish(sql);
    caller_close(&c);
}

/* Of one moment: no RF.GET is of another than the GETs beside it. */
Test(transactions, that_only_look_leave_nothing_and_heed_a_watch) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port), *other = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    char a[KEY_BYTES], b[KEY_BYTES], last[ANSWER_BYTES];
    stack_key_of(s, 0, "tx:look:a", a, sizeof(a));
    stack_key_of(s, 1, "tx:look:b", b, sizeof(b));
    cr_assert(ask(c, last, "WATCH %s %s\nMULTI\nRF.GET %s\nEXEC", a, b, a));
    cr_assert_str_eq(last, "[nil]");
    sql_expect(sql, "0", "SELECT count(*) FROM ringfence.entry WHERE key IN ('%s', '%s')", a, b);
    cr_assert(ask(c, last, "WATCH %s", b));
    cr_assert(ask(other, last, "SET %s x", b));
    cr_assert(ask(c, last, "MULTI\nRF.GET %s\nEXEC", a));
    cr_assert_str_eq(last, "nil");
    PQfinish(sql);
    caller_close(&other);
    caller_close(&c);
}

Test(transactions, are_written_by_one_commit) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    char a[KEY_BYTES], b[KEY_BYTES], last[ANSWER_BYTES];
    stack_key_of(s, 0, "tx:c", a, sizeof(a));
    stack_key_of(s, 1, "tx:d", b, sizeof(b));
    cr_assert(ask(c, last, "MULTI\nSET %s 1\nSET %s 2\nEXEC", a, b));
    cr_assert_str_eq(last, "[+OK +OK]");
    sql_expect(sql, "1",
               "SELECT count(DISTINCT xmin::text) FROM ringfence.entry WHERE key IN ('%s', '%s')",
               a, b);
    PQfinish(sql);
    caller_close(&c);
}

/* An owner that has a copy of a key must not answer with it after the EXEC. */
Test(transactions, no_cache_is_older_than_an_exec) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    char keys[3][KEY_BYTES], last[ANSWER_BYTES], want[64];
    for (int i = 0; i < 3; i++)
        stack_key_of(s, i % s->nodes, "tx:e", keys[i], KEY_BYTES);
    for (int round = 0; round < 50; round++) {
        cr_assert(ask(c, last, "MGET %s %s %s\nMULTI\nSET %s %d\nSET %s %d\nSET %s %d\nEXEC",
                      keys[0], keys[1], keys[2], keys[0], round, keys[1], round, keys[2], round));
        cr_assert_str_eq(last, "[+OK +OK +OK]");
        cr_assert(ask(c, last, "MGET %s %s %s", keys[0], keys[1], keys[2]));
        snprintf(want, sizeof(want), "[$%d $%d $%d]", round, round, round);
        cr_assert_str_eq(last, want);
    }
    caller_close(&c);
}

/* ---- WATCH ---- */

Test(transactions, a_change_by_anybody_undoes_a_watch) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port), *other = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    char a[KEY_BYTES], b[KEY_BYTES], last[ANSWER_BYTES];
    stack_key_of(s, 0, "tx:w", a, sizeof(a));
    stack_key_of(s, 1, "tx:x", b, sizeof(b));
    const struct {
        const char *before, *request, *edit; /* the request by a client, the edit by SQL */
    } CASES[] = {
        {"SET %s 1", "SET %s 2", NULL},
        {"SET %s 1", "SET %s 1", NULL},
        {"SET %s 1", "DEL %s", NULL},
        {"DEL %s", "SET %s 1", NULL},
        {"SET %s 1", "EXPIRE %s 100", NULL},
        {"SET %s 1", NULL, "UPDATE ringfence.entry SET payload = '2' WHERE key = '%s'"},
        {"SET %s 1", NULL, "UPDATE ringfence.entry SET active = false WHERE key = '%s'"},
        {"SET %s 1", NULL, "DELETE FROM ringfence.entry WHERE key = '%s'"},
        {"SET %s 1", NULL,
         "DELETE FROM ringfence.entry WHERE key = '%1$s'; "
         "INSERT INTO ringfence.entry (key, payload) VALUES ('%1$s', '1')"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char text[400];
        snprintf(text, sizeof(text), CASES[i].before, a);
        cr_assert(ask(other, last, "%s", text));
        cr_assert(ask(c, last, "WATCH %s\nGET %s", a, a));
        snprintf(text, sizeof(text), CASES[i].request != NULL ? CASES[i].request : CASES[i].edit,
                 a);
        if (CASES[i].request != NULL)
            cr_assert(ask(other, last, "%s", text));
        else
            sql_do(sql, "%s", text);
        cr_assert(ask(c, last, "MULTI\nSET %s mine\nSET %s mine\nEXEC", b, a));
        cr_expect_str_eq(last, "nil", "case %zu: %s", i, last);
        cr_assert(ask(c, last, "GET %s", b));
        cr_expect_str_eq(last, "nil", "case %zu", i);
        cr_assert(ask(c, last, "WATCH %s\nMULTI\nGET %s\nEXEC", a, b)); /* and the next one goes */
        cr_expect_str_eq(last, "[nil]", "case %zu: %s", i, last);
    }
    PQfinish(sql);
    caller_close(&other);
    caller_close(&c);
}

/* No row, no version: who inserts a row by SQL and takes it away again with a hard DELETE, both
 * since the WATCH, leaves nothing behind that EXEC could see. Whatever leaves a row is seen. */
Test(transactions, a_row_that_came_and_went_without_a_trace_is_not_seen_by_a_watch) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port), *other = expect_caller(s->proxy_port);
    PGconn *sql = sql_open(s);
    char a[KEY_BYTES], last[ANSWER_BYTES];
    static const char *const EDITS[] = {
        "INSERT INTO ringfence.entry (key, payload) VALUES ('%1$s', '1'); "
        "DELETE FROM ringfence.entry WHERE key = '%1$s'",
        "INSERT INTO ringfence.entry (key, payload) VALUES ('%1$s', '1'); "
        "UPDATE ringfence.entry SET active = false WHERE key = '%1$s'",
        "INSERT INTO ringfence.entry (key, payload, active) VALUES ('%1$s', '1', false)",
    };
    for (int i = 0; i < 3; i++) {
        char prefix[16], text[400];
        snprintf(prefix, sizeof(prefix), "tx:gone%d", i);
        stack_key_of(s, 0, prefix, a, sizeof(a));
        cr_assert(ask(c, last, "WATCH %s", a));
        snprintf(text, sizeof(text), EDITS[i], a);
        sql_do(sql, "%s", text);
        cr_assert(ask(c, last, "MULTI\nSET %s mine\nEXEC", a));
        cr_expect_str_eq(last, i == 0 ? "[+OK]" : "nil", "%d: %s", i, last);
    }
    stack_key_of(s, 0, "tx:gone-soft", a, sizeof(a)); /* a client's DEL leaves a row */
    cr_assert(ask(c, last, "WATCH %s", a));
    cr_assert(ask(other, last, "SET %s x\nDEL %s", a, a));
    cr_assert(ask(c, last, "MULTI\nSET %s mine\nEXEC", a));
    cr_expect_str_eq(last, "nil");
    PQfinish(sql);
    caller_close(&other);
    caller_close(&c);
}

Test(transactions, nothing_changed_so_the_exec_is_done) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    char a[KEY_BYTES], b[KEY_BYTES], last[ANSWER_BYTES];
    stack_key_of(s, 0, "tx:y", a, sizeof(a));
    stack_key_of(s, 1, "tx:z", b, sizeof(b));
    cr_assert(ask(c, last, "WATCH %s %s\nMULTI\nSET %s 1\nEXEC", a, b, b));
    cr_expect_str_eq(last, "[+OK]");
    cr_assert(ask(c, last, "WATCH %s %s\nMULTI\nSET %s 1\nEXEC", a, b, a));
    cr_expect_str_eq(last, "[+OK]");
    cr_assert(ask(c, last, "WATCH %s\nSET %s 2\nUNWATCH\nMULTI\nGET %s\nEXEC", a, a, a));
    cr_expect_str_eq(last, "[$2]");
    cr_assert(ask(c, last, "WATCH %s\nSET %s 3\nMULTI\nGET %s\nEXEC", a, a, a));
    cr_expect_str_eq(last, "nil", "its own change counts too");
    caller_close(&c);
}

Test(transactions, an_expiry_undoes_a_watch) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    char a[KEY_BYTES], last[ANSWER_BYTES];
    stack_key_of(s, 2 % s->nodes, "tx:t", a, sizeof(a));
    /* On a busy machine it may have ended before it was watched. */
    EVENTUALLY(PATIENCE_MS,
               ask(c, last, "UNWATCH\nSET %s 1 PX 500\nWATCH %s\nEXISTS %s", a, a, a) &&
                   strcmp(last, ":1") == 0);
    EVENTUALLY(PATIENCE_MS, ask(c, last, "EXISTS %s", a) && strcmp(last, ":0") == 0);
    cr_assert(ask(c, last, "MULTI\nSET %s 2\nEXEC", a));
    cr_assert_str_eq(last, "nil");
    caller_close(&c);
}

/* The classic: read, add one, write if nobody did so meanwhile. */
static void *count_up(void *arg) {
    struct shared *s = arg;
    struct caller *c = caller_open(s->port);
    char last[ANSWER_BYTES];
    for (int i = 0; i < s->rounds; i++) {
        for (;;) {
            if (!ask(c, last, "WATCH %s\nGET %s", s->keys[0], s->keys[0]))
                break;
            int n = strcmp(last, "nil") == 0 ? 0 : atoi(last + 1);
            if (!ask(c, last, "MULTI\nSET %s %d\nSET %s %d\nEXEC", s->keys[0], n + 1, s->keys[1],
                     n + 1))
                break;
            if (strcmp(last, "[+OK +OK]") == 0) {
                atomic_fetch_add(&s->done, 1);
                break;
            }
            if (strncmp(last, "-BUSY", 5) != 0 && strcmp(last, "nil") != 0) {
                note_wrong(s, "EXEC", last);
                break;
            }
            atomic_fetch_add(&s->refused, 1);
        }
    }
    caller_close(&c);
    return NULL;
}

Test(transactions, no_increment_of_a_contended_counter_is_lost) {
    const struct stack *stack = stack_shared();
    struct shared s;
    struct caller *c = expect_caller(stack->proxy_port);
    char last[ANSWER_BYTES], want[64];
    begin(&s, stack, "tx:count", 2);
    s.rounds = 25;
    run(&s, count_up, 8, NULL, 0);
    cr_assert_eq(atomic_load(&s.done), 200);
    cr_expect_gt(atomic_load(&s.refused), 0, "nobody was in anybody's way");
    cr_assert(ask(c, last, "MGET %s %s", s.keys[0], s.keys[1]));
    snprintf(want, sizeof(want), "[$200 $200]");
    cr_assert_str_eq(last, want);
    caller_close(&c);
}

/* ---- many clients ---- */

/* Moves an amount between two of the accounts. */
static void *transfer(void *arg) {
    struct shared *s = arg;
    struct caller *c = caller_open(s->port);
    char last[ANSWER_BYTES];
    unsigned seed = (unsigned)(uintptr_t)&last;
    for (int i = 0; i < s->rounds && !atomic_load(&s->end); i++) {
        seed = seed * 1103515245u + 12345u;
        unsigned from = (seed >> 16) % s->keys_count;
        unsigned to = (from + 1 + (seed >> 20) % (s->keys_count - 1)) % s->keys_count;
        const char *x = s->keys[from], *y = s->keys[to];
        int have, other;
        if (c == NULL || !ask(c, last, "WATCH %s %s\nMGET %s %s", x, y, x, y) ||
            sscanf(last, "[$%d $%d]", &have, &other) != 2 ||
            !ask(c, last, "MULTI\nSET %s %d\nSET %s %d\nEXEC", x, have - 7, y, other + 7)) {
            caller_close(&c);
            c = caller_open(s->port);
            continue;
        }
        if (strcmp(last, "[+OK +OK]") == 0)
            atomic_fetch_add(&s->done, 1);
        else if (strncmp(last, "-UNCERTAIN", 10) == 0)
            atomic_fetch_add(&s->unknown, 1);
        else
            atomic_fetch_add(&s->refused, 1);
    }
    caller_close(&c);
    return NULL;
}

static void *add_up(void *arg) {
    struct shared *s = arg;
    struct caller *c = caller_open(s->port);
    char last[ANSWER_BYTES];
    while (!atomic_load(&s->end)) {
        int a, b, d, e;
        if (c == NULL || !ask(c, last, "MULTI\nGET %s\nMGET %s %s\nGET %s\nEXEC", s->keys[0],
                              s->keys[1], s->keys[2], s->keys[3])) {
            caller_close(&c);
            c = caller_open(s->port);
        } else if (sscanf(last, "[$%d [$%d $%d] $%d]", &a, &b, &d, &e) == 4) {
            if (a + b + d + e != 4000)
                note_wrong(s, "a sum", last);
        } else if (last[0] != '-') {
            note_wrong(s, "no sum", last);
        }
    }
    caller_close(&c);
    return NULL;
}

static void open_accounts(struct shared *s) {
    struct caller *c = expect_caller(s->port);
    char last[ANSWER_BYTES];
    cr_assert(ask(c, last, "MSET %s 1000 %s 1000 %s 1000 %s 1000", s->keys[0], s->keys[1],
                  s->keys[2], s->keys[3]));
    cr_assert_str_eq(last, "+OK");
    caller_close(&c);
}

static void expect_sum(const struct stack *stack, const struct shared *s) {
    PGconn *sql = sql_open(stack);
    sql_expect(
        sql, "4000",
        "SELECT sum(payload::int) FROM ringfence.entry WHERE key IN ('%s', '%s', '%s', '%s')",
        s->keys[0], s->keys[1], s->keys[2], s->keys[3]);
    PQfinish(sql);
}

Test(transactions, a_sum_never_changes_for_whoever_reads_it_in_one) {
    const struct stack *stack = stack_shared();
    struct shared s;
    begin(&s, stack, "tx:sum", 4);
    s.rounds = 100;
    open_accounts(&s);
    run(&s, transfer, 6, add_up, 3);
    cr_expect_gt(atomic_load(&s.done), 50);
    expect_sum(stack, &s);
}

/* Both keys are written by MSET and deleted by one transaction, over and over: with keys that are
 * not there at first. */
static void *make_and_delete(void *arg) {
    struct shared *s = arg;
    struct caller *c = caller_open(s->port);
    char last[ANSWER_BYTES];
    for (int i = 0; i < s->rounds; i++) {
        if (!ask(c, last, "MSET %s %d %s %d", s->keys[0], i, s->keys[1], i) ||
            !ask(c, last, "MULTI\nDEL %s\nDEL %s\nEXEC", s->keys[1], s->keys[0]))
            note_wrong(s, "connection", "lost");
    }
    caller_close(&c);
    return NULL;
}

static void *see_both(void *arg) {
    struct shared *s = arg;
    struct caller *c = caller_open(s->port);
    char last[ANSWER_BYTES], a[64], b[64];
    while (!atomic_load(&s->end)) {
        if (!ask(c, last, "MULTI\nGET %s\nGET %s\nEXEC", s->keys[0], s->keys[1]))
            note_wrong(s, "connection", "lost");
        if (sscanf(last, "[%60s %60[^]]", a, b) == 2 && strcmp(a, b) != 0)
            note_wrong(s, "half", last);
        /* A transaction that writes reads all of one moment too. */
        if (!ask(c, last, "MULTI\nEXISTS %s\nSET %s x\nEXISTS %s\nDEL %s\nEXEC", s->keys[0],
                 s->keys[2], s->keys[1], s->keys[2]))
            note_wrong(s, "connection", "lost");
        if (sscanf(last, "[%60s +OK %60s :1]", a, b) == 2 && strcmp(a, b) != 0)
            note_wrong(s, "half, with a write", last);
    }
    caller_close(&c);
    return NULL;
}

Test(transactions, nobody_sees_half_of_a_write_of_two_keys) {
    const struct stack *stack = stack_shared();
    struct shared s;
    begin(&s, stack, "tx:half", 3);
    s.rounds = 60;
    run(&s, make_and_delete, 3, see_both, 3);
}

/* Each makes a key only if the other one's is not there: at most one may. */
struct skew {
    struct shared *shared;
    pthread_barrier_t *barrier;
    int own;
    bool made[64];
};

static void *watch_the_other(void *arg) {
    struct skew *k = arg;
    struct shared *s = k->shared;
    struct caller *c = caller_open(s->port);
    char last[ANSWER_BYTES];
    for (int i = 0; i < s->rounds; i++) {
        const char *own = s->keys[k->own], *other = s->keys[1 - k->own];
        bool free_to = ask(c, last, "WATCH %s:%d\nEXISTS %s:%d", other, i, other, i) &&
                       strcmp(last, ":0") == 0;
        pthread_barrier_wait(k->barrier);
        k->made[i] = free_to && ask(c, last, "MULTI\nSET %s:%d 1\nEXEC", own, i) &&
                     strcmp(last, "[+OK]") == 0;
        pthread_barrier_wait(k->barrier);
    }
    caller_close(&c);
    return NULL;
}

Test(transactions, two_that_watch_what_the_other_makes_are_not_both_done) {
    const struct stack *stack = stack_shared();
    struct shared s;
    pthread_barrier_t barrier;
    pthread_t threads[2];
    begin(&s, stack, "tx:skew", 2);
    s.rounds = 40;
    struct skew sides[2] = {{&s, &barrier, 0, {0}}, {&s, &barrier, 1, {0}}};
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, watch_the_other, &sides[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    int made = 0;
    for (int i = 0; i < s.rounds; i++) {
        cr_expect(!(sides[0].made[i] && sides[1].made[i]), "both in round %d", i);
        made += sides[0].made[i] + sides[1].made[i];
    }
    cr_expect_gt(made, 0);
    pthread_barrier_destroy(&barrier);
}

/* ---- losses ---- */

/* While transfers run, `lose` happens again and again; nothing half done is ever seen, or left. */
static void survive(void (*lose)(struct stack *, int)) {
    struct stack *stack = stack_private((struct stack_conf){.nodes = 3});
    struct shared s;
    pthread_t threads[6];
    begin(&s, stack, "tx:loss", 4);
    s.rounds = INT32_MAX;
    open_accounts(&s);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i < 4 ? transfer : add_up, &s), 0);
    for (int round = 0; round < 3; round++) {
        int done = atomic_load(&s.done);
        EVENTUALLY(PATIENCE_MS, atomic_load(&s.done) >= done + 10);
        lose(stack, round);
        expect_sum(stack, &s);
    }
    int done = atomic_load(&s.done);
    EVENTUALLY(PATIENCE_MS, atomic_load(&s.done) >= done + 10);
    atomic_store(&s.end, true);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&s.wrong), 0, "%s", s.first_wrong);
    expect_sum(stack, &s);
    stack_down(&stack);
}

static void lose_node(struct stack *stack, int round) {
    kill(stack->node_pids[round], SIGKILL);
    EVENTUALLY(PATIENCE_MS, kill(stack->node_pids[round], 0) != 0);
    stack_node_start(stack, round);
}

Test(transactions, survive_the_kill_of_nodes) {
    survive(lose_node);
}

static void lose_backends(struct stack *stack, int round) {
    PGconn *sql = sql_open(stack);
    sql_do(sql,
           "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
           "'ringfence transaction%%'");
    PQfinish(sql);
}

Test(transactions, survive_the_loss_of_their_connections) {
    survive(lose_backends);
}
