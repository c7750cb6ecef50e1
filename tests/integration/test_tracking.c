/* Clients that cache (CLIENT TRACKING): they are told of every change, whoever made it, and never
 * hold an old value once all was said. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/expect.h"
#include "../harness/shared.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { KEYS = 8, ROUNDS = 400, SEEN_MS = 2000, QUIET_MS = 500, VALUE_BYTES = 32 };

static const struct stack *s;
static PGconn *sql;
static struct caller *c, *tracker;

static void open_all(void) {
    shared_open(&s, &sql, &c, NULL);
    tracker = expect_caller(s->proxy_port);
    EXPECT(tracker, "*", "HELLO", "3");
}

static void close_all(void) {
    caller_close(&tracker);
    shared_close(&sql, &c, NULL);
}

TestSuite(tracking, .init = open_all, .fini = close_all);

static bool is_push(const struct resp_reply *r) {
    return r != NULL && r->type == RESP_PUSH && r->count == 2 &&
           strcmp(r->elements[0]->text, "invalidate") == 0;
}

/* The tracker is told of `key`; NULL: of everything. Every node tells of every change, each when it
 * hears of it: so a key that was read right after a write may be told of once more
 * (docs/decisions.md), and what does not match is passed over. */
static void expect_told(const char *key) {
    for (bool matches = false; !matches;) {
        struct resp_reply *r = caller_hear(tracker);
        char *shown = caller_show(r);
        cr_assert(is_push(r), "not an invalidation: %s", shown);
        const struct resp_reply *what = r->elements[1];
        matches = key == NULL
                      ? what->type == RESP_NIL
                      : what->type == RESP_ARRAY && strcmp(what->elements[0]->text, key) == 0;
        free(shown);
        resp_reply_free(&r);
    }
}

/* What the tracker reads, in the end; invalidations on the way are passed over, and what was read
 * meanwhile is read again: it may be forgotten already, so nobody would tell of it. */
static void expect_read(const char *key, const char *want) {
    for (int64_t until_ms = clock_mono_ms() + SEEN_MS;;) {
        caller_say_words(tracker, "GET", key, NULL);
        expect_flush(tracker);
        struct resp_reply *r = caller_hear(tracker);
        bool told = false;
        while (is_push(r)) {
            told = true;
            resp_reply_free(&r);
            r = caller_hear(tracker);
        }
        char *shown = caller_show(r);
        bool same = strcmp(shown, want) == 0 && !told;
        cr_assert(same || clock_mono_ms() < until_ms, "%s: %s, not %s", key, shown, want);
        free(shown);
        resp_reply_free(&r);
        if (same)
            return;
    }
}

/* Nothing was said: what comes next is the answer to a PING. */
static void expect_untold(void) {
    EXPECT(tracker, "+PONG", "PING");
}

Test(tracking, whoever_writes_the_reader_is_told) {
    EXPECT(c, "+OK", "SET", "track:a", "1");
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON");
    expect_read("track:a", "$1");
    EXPECT(c, "+OK", "SET", "track:a", "2");
    expect_told("track:a");
    expect_read("track:a", "$2");
    sql_do(sql, "UPDATE ringfence.entry SET payload = '3' WHERE key = 'track:a'");
    expect_told("track:a");
    expect_read("track:a", "$3");
    EXPECT(c, ":1", "DEL", "track:a");
    expect_told("track:a");
    expect_read("track:a", "nil");
    sql_do(sql, "UPDATE ringfence.entry SET active = true WHERE key = 'track:a'");
    expect_told("track:a");
    expect_read("track:a", "$3");
}

Test(tracking, who_was_told_is_not_told_again_before_it_reads) {
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON");
    expect_read("track:once", "nil");
    EXPECT(c, "+OK", "SET", "track:once", "1");
    expect_told("track:once");
    for (int i = 0; i < 20; i++)
        EXPECT(c, "+OK", "SET", "track:once", "2");
    expect_untold();
}

Test(tracking, an_edit_of_everything_tells_everything) {
    EXPECT(c, "+OK", "SET", "track:all", "1");
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON");
    expect_read("track:all", "$1");
    sql_do(sql, "SELECT ringfence.everything()");
    expect_read("track:all", "$1"); /* it may have been told of that write already */
    sql_do(sql, "SELECT ringfence.everything()");
    expect_told(NULL);
}

Test(tracking, a_lost_feed_tells_everything) {
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON");
    expect_read("track:feed", "nil");
    sql_do(sql, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                "'ringfence feed'");
    expect_told(NULL);
    EVENTUALLY(10000, stack_info(s->node_ports[0], "feed_up") == 1 &&
                          stack_info(s->node_ports[1], "feed_up") == 1 &&
                          stack_info(s->node_ports[2], "feed_up") == 1);
}

Test(tracking, a_node_that_dies_tells_everything) {
    struct stack *own = stack_private((struct stack_conf){0});
    struct caller *t = expect_caller(own->proxy_port);
    EXPECT(t, "*", "HELLO", "3");
    EXPECT(t, "+OK", "CLIENT", "TRACKING", "ON");
    EXPECT(t, "nil", "GET", "track:node");
    kill(own->node_pids[0], SIGKILL);
    struct caller *before = tracker;
    tracker = t;
    expect_told(NULL);
    tracker = before;
    caller_close(&t);
    stack_down(&own);
}

Test(tracking, bcast_hears_of_its_prefix) {
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "track:bcast:");
    EXPECT(c, "+OK", "SET", "track:other", "1");
    EXPECT(c, "+OK", "SET", "track:bcast:x", "1");
    expect_told("track:bcast:x");
}

Test(tracking, off_is_off) {
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON");
    expect_read("track:off", "nil");
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "OFF");
    EXPECT(c, "+OK", "SET", "track:off", "1");
    EXPECT_WITHIN(SEEN_MS, c, "$1", "GET", "track:off");
    expect_untold();
}

/* ---- REDIRECT: several readers, of both workers, and one connection that is told ---- */

enum { READERS = 4 };

static struct caller *readers[READERS], *told;
static char told_id[24];

static void redirect_all(void) {
    told = expect_caller(s->proxy_port);
    caller_say_words(told, "CLIENT", "ID", NULL);
    expect_flush(told);
    struct resp_reply *r = caller_hear(told);
    snprintf(told_id, sizeof(told_id), "%lld", (long long)r->integer);
    resp_reply_free(&r);
    EXPECT(told, "[$subscribe $__redis__:invalidate :1]", "SUBSCRIBE", "__redis__:invalidate");
    for (int i = 0; i < READERS; i++) {
        readers[i] = expect_caller(s->proxy_port);
        EXPECT(readers[i], "+OK", "CLIENT", "TRACKING", "ON", "REDIRECT", told_id);
    }
}

static void close_readers(void) {
    for (int i = 0; i < READERS; i++)
        caller_close(&readers[i]);
    caller_close(&told);
}

/* The next message is about this; it may follow others about what was changed before. */
static void expect_message(const char *want) {
    char whole[128];
    snprintf(whole, sizeof(whole), "[$message $__redis__:invalidate %s]", want);
    for (bool matches = false; !matches;) {
        struct resp_reply *r = caller_hear(told);
        char *shown = caller_show(r);
        cr_assert(expect_is(shown, "[$message $__redis__:invalidate *"), "%s", shown);
        matches = strcmp(shown, whole) == 0;
        free(shown);
        resp_reply_free(&r);
    }
}

Test(tracking, what_readers_of_any_worker_read_one_subscriber_is_told) {
    char key[32], want[40];
    redirect_all();
    for (int i = 0; i < READERS; i++) {
        snprintf(key, sizeof(key), "track:redirect:%d", i);
        snprintf(want, sizeof(want), "[$%s]", key);
        EXPECT(c, "+OK", "SET", key, "1");
        EXPECT(readers[i], "$1", "GET", key);
        sql_do(sql, "UPDATE ringfence.entry SET payload = '2' WHERE key = '%s'", key);
        expect_message(want);
        EXPECT_WITHIN(SEEN_MS, readers[i], "$2", "GET", key);
    }
    for (int i = 0; i < READERS; i++) { /* it may have been told of that write twice */
        sql_do(sql, "SELECT ringfence.everything()");
        snprintf(key, sizeof(key), "track:redirect:%d", i);
        EXPECT(readers[i], "$2", "GET", key);
        sql_do(sql, "SELECT ringfence.everything()");
        expect_message("nil");
    }
    close_readers();
}

Test(tracking, a_target_that_is_gone_is_told_as_broken) {
    redirect_all();
    for (int i = 0; i < READERS; i++) {
        EXPECT(readers[i], "*", "HELLO", "3");
        EXPECT(readers[i], "*", "GET", "track:broken");
    }
    caller_close(&told);
    EXPECT_WITHIN(SEEN_MS, c, "$*", "CLIENT", "LIST", "TYPE", "pubsub");
    EXPECT(c, "+OK", "SET", "track:broken", "1");
    for (int i = 0; i < READERS; i++) {
        struct resp_reply *r = caller_hear(readers[i]);
        cr_assert(r != NULL && r->type == RESP_PUSH);
        cr_assert_str_eq(r->elements[0]->text, "tracking-redir-broken");
        resp_reply_free(&r);
    }
    told = expect_caller(s->proxy_port);
    close_readers();
}

/* ---- NOLOOP: told of others' changes, not of its own ---- */

/* Who writes, who is told (perhaps the same), and how often of which key, `noloop:0` and so on. */
struct noloop {
    struct caller *writer, *told;
    unsigned times[KEYS], ends;
};

static bool take_told(struct noloop *n, struct resp_reply *r) {
    cr_assert_not_null(r, "the proxy closed the connection");
    bool is_told =
        r->type == RESP_PUSH || (n->told != n->writer && r->type == RESP_ARRAY && r->count == 3);
    if (is_told) {
        const struct resp_reply *what = r->elements[r->count - 1];
        cr_assert_eq(what->type, RESP_ARRAY, "everything may have changed");
        const char *name = what->elements[0]->text + strlen("noloop:");
        if (strcmp(name, "end") == 0)
            n->ends++;
        else
            n->times[atoi(name)]++;
    }
    cr_assert_neq(r->type, RESP_ERROR, "%s", r->text);
    resp_reply_free(&r);
    return is_told;
}

static void hear_answer(struct noloop *n) {
    while (take_told(n, caller_hear(n->writer))) {
    }
}

#define WRITE(n, ...)                                                                              \
    do {                                                                                           \
        caller_say_words((n)->writer, __VA_ARGS__, NULL);                                          \
        expect_flush((n)->writer);                                                                 \
        hear_answer(n);                                                                            \
    } while (0)

/* Every node has said what changed until now: each tells of this edit behind that. */
static void hear_all(struct noloop *n) {
    sql_do(sql, "INSERT INTO ringfence.entry (key, payload) VALUES ('noloop:end', '1') "
                "ON CONFLICT (key) DO UPDATE SET payload = '2'");
    for (n->ends = 0; n->ends < 3;)
        take_told(n, caller_hear(n->told));
}

/* Until it is not told of its own write: by then every node says versions. */
static void await_versions(struct noloop *n) {
    int64_t until_ms = clock_mono_ms() + SEEN_MS;
    do {
        cr_assert_lt(clock_mono_ms(), until_ms, "it is still told of its own writes");
        n->times[0] = 0;
        WRITE(n, "SET", "noloop:0", "1");
        hear_all(n);
    } while (n->times[0] != 0);
}

static void write_all_ways(struct noloop *n) {
    WRITE(n, "SET", "noloop:1", "1");
    WRITE(n, "INCR", "noloop:1");
    WRITE(n, "DEL", "noloop:1");
    WRITE(n, "MSET", "noloop:2", "1", "noloop:3", "2", "noloop:4", "3");
    WRITE(n, "MULTI");
    WRITE(n, "SET", "noloop:2", "4");
    WRITE(n, "APPEND", "noloop:3", "5");
    WRITE(n, "EXEC");
    for (int i = 0; i < 20; i++) /* in one go */
        caller_say_words(n->writer, "SET", "noloop:5", "1", NULL);
    expect_flush(n->writer);
    for (int i = 0; i < 20; i++)
        hear_answer(n);
}

static void expect_noloop(struct noloop *n) {
    await_versions(n);
    write_all_ways(n);
    hear_all(n);
    for (int k = 0; k < KEYS; k++)
        cr_assert_eq(n->times[k], 0, "it was told of its own write of noloop:%d", k);
    EXPECT(c, "+OK", "SET", "noloop:1", "1");
    sql_do(sql, "UPDATE ringfence.entry SET payload = 's' WHERE key IN ('noloop:2', 'noloop:3')");
    EXPECT(c, "+OK", "MSET", "noloop:4", "x", "noloop:5", "y");
    hear_all(n);
    for (int k = 1; k <= 5; k++)
        cr_assert_eq(n->times[k], 3, "each node has told it of another's write of noloop:%d", k);
}

Test(tracking, bcast_with_noloop_is_told_of_others_writes_alone) {
    struct noloop n = {tracker, tracker, {0}, 0};
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "noloop:", "NOLOOP");
    expect_noloop(&n);
}

Test(tracking, bcast_with_noloop_and_redirect_likewise) {
    redirect_all();
    struct noloop n = {readers[0], told, {0}, 0};
    EXPECT(readers[0], "+OK", "CLIENT", "TRACKING", "OFF");
    EXPECT(readers[0], "+OK", "CLIENT", "TRACKING", "ON", "REDIRECT", told_id, "BCAST", "PREFIX",
           "noloop:", "NOLOOP");
    expect_noloop(&n);
    close_readers();
}

/* It may have read the key behind its own write: then the next change is told, whoever made it. */
Test(tracking, noloop_in_the_default_mode_loses_no_change_of_others) {
    struct noloop n = {tracker, tracker, {0}, 0};
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON", "NOLOOP");
    for (int round = 0; round < 50; round++) {
        WRITE(&n, "GET", "noloop:6");
        WRITE(&n, "SET", "noloop:6", "own");
        WRITE(&n, "SETNX", "noloop:6", "nothing");
        WRITE(&n, "GET", "noloop:6");
        n.times[6] = 0;
        EXPECT(c, "+OK", "SET", "noloop:6", "other");
        while (n.times[6] == 0)
            take_told(&n, caller_hear(tracker));
    }
}

/* ---- a client's cache, kept by the book, is never old in the end ---- */

struct copies {
    char values[KEYS][VALUE_BYTES]; /* "" where nothing is held */
    unsigned told, told_all;
};

static int key_number(const char *key) {
    return atoi(key + strlen("track:copy:"));
}

/* Takes in one thing that was heard; `asked` is the key of the oldest GET without an answer. */
static bool take(struct copies *copies, struct resp_reply *r, int asked) {
    cr_assert_not_null(r, "the proxy closed the connection");
    if (!is_push(r)) {
        cr_assert_eq(r->type, RESP_STRING);
        snprintf(copies->values[asked], VALUE_BYTES, "%s", r->text);
        return true;
    }
    if (r->elements[1]->type == RESP_NIL) {
        memset(copies->values, 0, sizeof(copies->values));
        copies->told_all++;
    } else {
        copies->values[key_number(r->elements[1]->elements[0]->text)][0] = '\0';
        copies->told++;
    }
    return false;
}

/* Takes in what was said up to now; how much. */
static unsigned catch_up(struct copies *copies) {
    unsigned before = copies->told + copies->told_all;
    caller_say_words(tracker, "PING", NULL);
    expect_flush(tracker);
    for (;;) {
        struct resp_reply *r = caller_hear(tracker);
        bool pong = r != NULL && r->type == RESP_STATUS;
        if (!pong)
            cr_assert_not(take(copies, r, 0));
        resp_reply_free(&r);
        if (pong)
            return copies->told + copies->told_all - before;
    }
}

static void write_somewhere(unsigned round) {
    char key[VALUE_BYTES], value[VALUE_BYTES];
    snprintf(key, sizeof(key), "track:copy:%u", round * 7 % KEYS);
    snprintf(value, sizeof(value), "v%u", round);
    if (round % 3 == 0) {
        sql_do(sql, "UPDATE ringfence.entry SET payload = '%s' WHERE key = '%s'", value, key);
        return;
    }
    caller_say_words(c, "SET", key, value, NULL);
    expect_flush(c);
    if (round % 3 == 1) /* else its answer is heard behind the reads */
        EXPECT_NEXT(c, "+OK");
}

Test(tracking, a_cache_kept_by_the_book_is_right_when_all_was_said, .timeout = 120) {
    struct copies copies = {0};
    char key[VALUE_BYTES];
    for (int k = 0; k < KEYS; k++) {
        snprintf(key, sizeof(key), "track:copy:%d", k);
        EXPECT(c, "+OK", "SET", key, "v");
    }
    EXPECT(tracker, "+OK", "CLIENT", "TRACKING", "ON");
    for (unsigned round = 0; round < ROUNDS; round++) {
        int asked[KEYS], count = 0, answered = 0;
        for (int k = 0; k < KEYS; k++) { /* what it does not hold is read, in one pipeline */
            if (copies.values[k][0] != '\0')
                continue;
            snprintf(key, sizeof(key), "track:copy:%d", k);
            caller_say_words(tracker, "GET", key, NULL);
            asked[count++] = k;
        }
        expect_flush(tracker);
        write_somewhere(round);
        while (answered < count) {
            struct resp_reply *r = caller_hear(tracker);
            answered += take(&copies, r, asked[answered]);
            resp_reply_free(&r);
        }
        if (round % 3 == 2)
            EXPECT_NEXT(c, "+OK");
        if (round % 5 == 0)
            catch_up(&copies);
    }
    for (int64_t until_ms = clock_mono_ms() + QUIET_MS; clock_mono_ms() < until_ms;) {
        if (catch_up(&copies) != 0)
            until_ms = clock_mono_ms() + QUIET_MS;
        expect_pause();
    }
    cr_assert_gt(copies.told, ROUNDS / 10);
    for (int k = 0; k < KEYS; k++) {
        if (copies.values[k][0] != '\0')
            sql_expect(sql, copies.values[k],
                       "SELECT payload FROM ringfence.entry WHERE key = 'track:copy:%d'", k);
    }
}
