/*
 * kill -9 inside one MULTI, or MSET, over keys of several nodes: of the proxy that was asked, of
 * the node that runs it, of the backend that does it. At moments that are swept: while the
 * transaction waits for a row that somebody holds, and so many microseconds after it was sent. What
 * became of it is read from a history that triggers write in the same transaction: all of it or
 * nothing, and as it was answered. Meanwhile others read the keys in one MULTI, and see no half.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum {
    KEYS = 3,
    KEY_BYTES = 64,
    ROUNDS_MAX = 64,
    READERS = 2,
    PATIENCE_MS = 60000,
    HOLD_MS = 5000, /* until it must have come to the row that is held */
    STEP_US = 400,  /* between the moments that are swept */
    RUNNING_MAX = 200,
};

enum kind { MULTI_SETS, MSET, MULTI_MSETNX, MULTI_REFUSED, KINDS };
enum outcome { DONE, NIL, FAILED, UNKNOWN };

struct field {
    struct stack *stack;
    PGconn *sql, *locker;
    uint16_t port; /* of the proxy that is asked */
    pid_t proxy;   /* that one, if it is one of its own */
    char keys[KEYS][KEY_BYTES];
    int rounds;
    struct {
        enum kind kind;
        enum outcome outcome;
    } round[ROUNDS_MAX];
    atomic_bool end;
    atomic_int reads, halves;
    char half[400];
    pthread_t readers[READERS];
};

/* ---- readers ---- */

static bool is_whole(const struct resp_reply *r) {
    for (size_t i = 1; i < r->count; i++) {
        const struct resp_reply *a = r->elements[0], *b = r->elements[i];
        if (a->type != b->type ||
            (a->type == RESP_STRING && (a->len != b->len || memcmp(a->text, b->text, a->len) != 0)))
            return false;
    }
    return true;
}

static void look(struct field *f, struct caller *c) {
    caller_say_words(c, "MULTI", NULL);
    for (int i = 0; i < KEYS; i++)
        caller_say_words(c, "GET", f->keys[i], NULL);
    caller_say_words(c, "EXEC", NULL);
    if (!caller_flush(c))
        return;
    struct resp_reply *reply = NULL;
    for (int i = 0; i < KEYS + 2; i++) {
        resp_reply_free(&reply);
        reply = caller_hear(c);
        if (reply == NULL)
            return;
    }
    if (reply->type == RESP_ARRAY && reply->count == KEYS) {
        atomic_fetch_add(&f->reads, 1);
        if (!is_whole(reply) && atomic_fetch_add(&f->halves, 1) == 0) {
            char *shown = caller_show(reply);
            snprintf(f->half, sizeof(f->half), "%s", shown);
            free(shown);
        }
    }
    resp_reply_free(&reply);
}

static void *read_on(void *arg) {
    struct field *f = arg;
    while (!atomic_load(&f->end)) {
        struct caller *c = caller_open(f->stack->proxy_port);
        for (int i = 0; c != NULL && i < RUNNING_MAX && !atomic_load(&f->end); i++)
            look(f, c);
        caller_close(&c);
    }
    return NULL;
}

/* ---- beginning and end ---- */

static const char HISTORY[] =
    "CREATE SCHEMA kill; CREATE TABLE kill.history (key text, payload text, xid xid8 DEFAULT "
    "pg_current_xact_id());"
    "CREATE FUNCTION kill.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN "
    "INSERT INTO kill.history (key, payload) SELECT key, payload FROM new_rows WHERE active AND "
    "key ~ '^kill:'; RETURN NULL; END $$;"
    "CREATE TRIGGER kill_insert AFTER INSERT ON ringfence.entry REFERENCING NEW TABLE AS new_rows "
    "FOR EACH STATEMENT EXECUTE FUNCTION kill.note();"
    "CREATE TRIGGER kill_update AFTER UPDATE ON ringfence.entry REFERENCING NEW TABLE AS new_rows "
    "FOR EACH STATEMENT EXECUTE FUNCTION kill.note()";

static void begin(struct field *f) {
    struct caller *c;
    *f = (struct field){.stack = stack_private((struct stack_conf){
                            .nodes = KEYS, .proxy_args = "--node-probation-max-ms 0"})};
    f->sql = sql_open(f->stack);
    f->locker = sql_open(f->stack);
    f->port = f->stack->proxy_port;
    sql_do(f->sql, "%s", HISTORY);
    for (int i = 0; i < KEYS; i++)
        stack_key_of(f->stack, i, "kill:key:", f->keys[i], KEY_BYTES);
    c = expect_caller(f->port);
    EXPECT_WITHIN(PATIENCE_MS, c, "+OK", "MSET", f->keys[0], "v", f->keys[1], "v", f->keys[2], "v",
                  "kill:more", "v", "kill:watched", "v");
    caller_close(&c);
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(pthread_create(&f->readers[i], NULL, read_on, f), 0);
}

static bool is_lost(PGconn *sql) {
    PQclear(PQexec(sql, "SELECT"));
    return PQstatus(sql) != CONNECTION_OK;
}

/* Connections to PostgreSQL, after it was down: it needs a moment to see that. */
static void connect_again(struct field *f) {
    char text[256];
    snprintf(text, sizeof(text), "host=%s port=%s dbname=%s", f->stack->pg_host, f->stack->pg_port,
             f->stack->pg_database);
    EVENTUALLY(PATIENCE_MS, is_lost(f->sql));
    EVENTUALLY(PATIENCE_MS, PQping(text) == PQPING_OK);
    PQfinish(f->sql);
    PQfinish(f->locker);
    f->sql = sql_open(f->stack);
    f->locker = sql_open(f->stack);
}

/* Nothing that was sent is under way any more. */
static void settle(struct field *f) {
    EVENTUALLY(PATIENCE_MS,
               sql_int(f->sql, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE "
                               "'ringfence %%' AND (state LIKE '%%in transaction%%' OR (state = "
                               "'active' AND query !~ 'pg_notify|pg_is_in_recovery'))") == 0);
}

static void judge(struct field *f) {
    static const int64_t WHOLE[KINDS] = {
        [MULTI_SETS] = KEYS, [MSET] = KEYS, [MULTI_MSETNX] = KEYS + 1, [MULTI_REFUSED] = 0};
    unsigned outcomes[4] = {0}, unknown_done = 0;
    for (int i = 0; i < f->rounds; i++) {
        enum outcome outcome = f->round[i].outcome;
        int64_t whole = WHOLE[f->round[i].kind],
                rows =
                    sql_int(f->sql, "SELECT count(*) FROM kill.history WHERE payload = 'r%d'", i),
                parts = sql_int(f->sql,
                                "SELECT count(DISTINCT xid::text) FROM kill.history WHERE payload "
                                "= 'r%d'",
                                i);
        cr_expect(rows == 0 || (rows == whole && parts == 1),
                  "round %d, kind %d: %lld of %lld rows in %lld transactions", i, f->round[i].kind,
                  (long long)rows, (long long)whole, (long long)parts);
        if (outcome == DONE)
            cr_expect_eq(rows, whole, "round %d, kind %d: answered, and not there", i,
                         f->round[i].kind);
        if (outcome == NIL || outcome == FAILED)
            cr_expect_eq(rows, 0, "round %d, kind %d: %s, and there", i, f->round[i].kind,
                         outcome == NIL ? "nil" : "an error");
        if (f->round[i].kind == MULTI_REFUSED)
            cr_expect_neq(outcome, DONE, "round %d: a watched key had changed", i);
        else
            cr_expect_neq(outcome, NIL, "round %d: nothing was watched", i);
        outcomes[outcome]++;
        unknown_done += outcome == UNKNOWN && rows != 0;
    }
    fprintf(stderr,
            "kill: rounds=%d done=%u nil=%u errors=%u unknown=%u of_these_done=%u reads=%d\n",
            f->rounds, outcomes[DONE], outcomes[NIL], outcomes[FAILED], outcomes[UNKNOWN],
            unknown_done, atomic_load(&f->reads));
    cr_expect_gt(outcomes[UNKNOWN], 0, "nobody was killed inside of one");
}

static void end(struct field *f) {
    atomic_store(&f->end, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(f->readers[i], NULL);
    settle(f);
    judge(f);
    cr_expect_eq(atomic_load(&f->halves), 0, "a reader saw half: %s", f->half);
    cr_expect_gt(atomic_load(&f->reads), 0);
    PQfinish(f->sql);
    PQfinish(f->locker);
    stack_down(&f->stack);
}

/* ---- a round ---- */

/* Says it all; returns how many answers there will be. */
static int say(struct field *f, struct caller *c, enum kind kind, int round) {
    char value[16], fresh[KEYS][KEY_BYTES];
    snprintf(value, sizeof(value), "r%d", round);
    for (int i = 0; i < KEYS; i++) {
        char prefix[32];
        snprintf(prefix, sizeof(prefix), "kill:new:%d:", round);
        stack_key_of(f->stack, i, prefix, fresh[i], KEY_BYTES);
    }
    if (kind == MSET) {
        caller_say_words(c, "MSET", f->keys[0], value, f->keys[1], value, f->keys[2], value, NULL);
        return 1;
    }
    caller_say_words(c, "MULTI", NULL);
    if (kind == MULTI_MSETNX) {
        caller_say_words(c, "MSETNX", fresh[0], value, fresh[1], value, fresh[2], value, NULL);
        caller_say_words(c, "SET", "kill:more", value, NULL);
        caller_say_words(c, "EXEC", NULL);
        return 4;
    }
    for (int i = 0; i < KEYS; i++)
        caller_say_words(c, "SET", f->keys[i], value, NULL);
    caller_say_words(c, "EXEC", NULL);
    return 2 + KEYS;
}

static enum outcome hear(struct caller *c, int answers) {
    struct resp_reply *reply = NULL;
    enum outcome outcome = UNKNOWN;
    for (int i = 0; i < answers; i++) {
        resp_reply_free(&reply);
        reply = caller_hear(c);
        if (reply == NULL)
            return UNKNOWN;
    }
    if (reply->type == RESP_FAILURE)
        outcome = strncmp(reply->text, "UNCERTAIN ", 10) == 0 ? UNKNOWN : FAILED;
    else if (reply->type == RESP_NIL)
        outcome = NIL;
    else
        outcome = DONE;
    for (size_t i = 0; reply->type == RESP_ARRAY && i < reply->count; i++)
        cr_expect_neq(reply->elements[i]->type, RESP_FAILURE, "%s", reply->elements[i]->text);
    resp_reply_free(&reply);
    return outcome;
}

static bool is_held_up(struct field *f) {
    return sql_int(f->sql, "SELECT count(*) FROM pg_stat_activity WHERE wait_event IN ('tuple', "
                           "'transactionid') AND application_name LIKE 'ringfence %%'") > 0;
}

static void nap(int64_t us) {
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

/* `strike` kills somebody, at this round's moment. */
static void play(struct field *f, void (*strike)(struct field *f)) {
    int round = f->rounds++;
    enum kind kind = (enum kind)(round / 2 % KINDS);
    bool held = round % 2 == 0;
    struct caller *c = expect_caller(f->port);
    if (kind == MULTI_REFUSED) {
        EXPECT_WITHIN(PATIENCE_MS, c, "+OK", "WATCH", "kill:watched");
        sql_do(f->sql, "UPDATE ringfence.entry SET payload = 'changed' WHERE key = 'kill:watched'");
    }
    if (held)
        sql_do(f->locker,
               "BEGIN; SELECT FROM ringfence.entry WHERE key IN ('%s', 'kill:more') FOR "
               "UPDATE",
               f->keys[1]);
    int answers = say(f, c, kind, round);
    expect_flush(c);
    if (held) {
        for (int64_t until_ms = clock_mono_ms() + HOLD_MS;
             !is_held_up(f) && clock_mono_ms() < until_ms;)
            nap(STEP_US);
    } else {
        nap(round / 2 * STEP_US);
    }
    strike(f);
    if (held && PQstatus(f->locker) == CONNECTION_OK)
        PQclear(PQexec(f->locker, "ROLLBACK")); /* it may be gone */
    f->round[round].kind = kind;
    f->round[round].outcome = hear(c, answers);
    caller_close(&c);
}

/* Everybody is there again. */
static void recover(struct field *f) {
    struct caller *c = expect_caller(f->port);
    EXPECT_WITHIN(PATIENCE_MS, c, "+OK", "MSET", "kill:probe:1", "v", "kill:probe:2", "v",
                  "kill:probe:3", "v");
    caller_close(&c);
}

/* ---- who is killed ---- */

static void kill_proxy(struct field *f) {
    program_stop(f->proxy, SIGKILL, PATIENCE_MS);
}

Test(kill, of_the_proxy, .timeout = 300) {
    struct field f;
    begin(&f);
    for (int round = 0; round < 32; round++) {
        f.proxy = stack_proxy(f.stack, NULL, &f.port);
        play(&f, kill_proxy);
    }
    end(&f);
}

/* The owner of the first key. */
static void kill_node(struct field *f) {
    kill(f->stack->node_pids[0], SIGKILL);
    EVENTUALLY(PATIENCE_MS, kill(f->stack->node_pids[0], 0) != 0);
}

Test(kill, of_the_node_that_runs_it, .timeout = 300) {
    struct field f;
    begin(&f);
    for (int round = 0; round < 16; round++) {
        play(&f, kill_node);
        stack_node_start(f.stack, 0);
        EVENTUALLY(PATIENCE_MS, stack_info(f.port, "ring_nodes_heard") == KEYS);
        recover(&f);
    }
    end(&f);
}

/* PostgreSQL ends all its backends when one is killed, and recovers by itself. */
static void kill_backend(struct field *f) {
    pid_t pid = (pid_t)sql_int(
        f->sql, "SELECT pid FROM pg_stat_activity WHERE application_name ~ '^ringfence "
                "(transaction|write)' ORDER BY coalesce(wait_event IN ('tuple', 'transactionid'), "
                "false) DESC, state = "
                "'idle', pid LIMIT 1");
    cr_assert_gt(pid, 1);
    kill(pid, SIGKILL);
}

Test(kill, of_the_backend_and_so_of_postgresql, .timeout = 300) {
    struct field f;
    begin(&f);
    for (int round = 0; round < 12; round++) {
        play(&f, kill_backend);
        connect_again(&f);
        recover(&f);
    }
    end(&f);
}
