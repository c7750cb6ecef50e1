#include "script.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

enum { PATIENCE_MS = 30000, WORDS_MAX = 12, LINE_BYTES = 400, PIPELINE = 40, BIG_BYTES = 300000 };

/* ---- asking ---- */

/* Who is let in is answered; a connection may break at once. */
static void reconnect(struct script *s) {
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    bool answered = false;
    while (!answered) {
        cr_assert(clock_mono_ms() < until_ms, "%s: no connection any more", s->title);
        caller_close(&s->c);
        s->c = caller_open(s->stack->proxy_port);
        if (s->c == NULL)
            continue;
        caller_say_words(s->c, "PING", NULL);
        caller_flush(s->c);
        struct resp_reply *reply = caller_hear(s->c);
        answered = reply != NULL;
        resp_reply_free(&reply);
    }
}

static void say(struct script *s, const char *line) {
    char text[LINE_BYTES], *rest = text;
    struct span argv[WORDS_MAX];
    uint32_t argc = 0;
    snprintf(text, sizeof(text), "%s", line);
    snprintf(s->asked, sizeof(s->asked), "%s", line);
    for (char *word; argc < WORDS_MAX && (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = span_str(word);
    caller_say(s->c, argv, argc);
}

/* The next answer as text, which the caller frees. */
static char *hear(struct script *s) {
    struct resp_reply *reply = caller_hear(s->c);
    char *shown = caller_show(reply);
    resp_reply_free(&reply);
    bool closed = strcmp(shown, "closed") == 0;
    if (closed || (shown[0] == '-' && !s->wants_error)) {
        s->errors++;
        snprintf(s->error, sizeof(s->error), "%s: %s", s->asked, shown);
    }
    return shown;
}

static char *ask(struct script *s, const char *line) {
    say(s, line);
    caller_flush(s->c);
    char *shown = hear(s);
    if (strcmp(shown, "closed") == 0)
        reconnect(s);
    return shown;
}

static bool is_error(const char *shown) {
    return shown[0] == '-' || strcmp(shown, "closed") == 0;
}

static bool is_unknown(const char *shown) {
    return strcmp(shown, "closed") == 0 || strncmp(shown, "-UNCERTAIN", 10) == 0;
}

/* ---- what keys may hold ---- */

static bool is_among(const struct script_texts *texts, const char *shown) {
    for (unsigned i = 0; i < texts->count; i++) {
        if (strcmp(texts->of[i], shown) == 0)
            return true;
    }
    return false;
}

static void add(struct script_texts *texts, const char *shown) {
    if (is_among(texts, shown))
        return;
    cr_assert_lt(texts->count, SCRIPT_MAY);
    snprintf(texts->of[texts->count++], sizeof(texts->of[0]), "%s", shown);
}

static bool may_hold(const struct script_key *key, const char *shown) {
    return is_among(&key->may, shown) || is_among(&key->unknown, shown);
}

static void holds(struct script_key *key, const char *shown) {
    for (unsigned i = 0; i < key->may.count; i++)
        add(&key->was, key->may.of[i]);
    key->may.count = 0;
    add(&key->may, shown);
}

static void perhaps_holds(struct script_key *key, const char *shown) {
    add(&key->may, shown);
    add(&key->unknown, shown);
}

static void expect_held(struct script *s, struct script_key *key, const char *line,
                        const char *shown) {
    if (is_error(shown))
        return;
    if (s->fails && !may_hold(key, shown) && is_among(&key->was, shown)) {
        s->old++;
        return;
    }
    s->late += !is_among(&key->may, shown) && is_among(&key->unknown, shown);
    cr_assert(may_hold(key, shown), "%s: %s answered %.100s, and %s may hold %s%s%s", s->title,
              line, shown, key->name, key->may.of[0], key->may.count > 1 ? " or " : "",
              key->may.count > 1 ? key->may.of[1] : "");
}

/* ---- requests ---- */

static void format(char out[LINE_BYTES], const char *text, ...)
    __attribute__((format(printf, 2, 3)));
static void format(char out[LINE_BYTES], const char *text, ...) {
    va_list args;
    va_start(args, text);
    vsnprintf(out, LINE_BYTES, text, args);
    va_end(args);
}

static void get(struct script *s, unsigned k) {
    char line[LINE_BYTES];
    format(line, "GET %s", s->keys[k].name);
    char *shown = ask(s, line);
    expect_held(s, &s->keys[k], line, shown);
    free(shown);
}

/* The answer to a write that makes key k hold `after`. */
static void judge_write(struct script *s, unsigned k, const char *after, const char *want,
                        const char *line, const char *shown) {
    if (is_unknown(shown))
        perhaps_holds(&s->keys[k], after);
    else if (!is_error(shown))
        holds(&s->keys[k], after);
    cr_assert(is_error(shown) || expect_is(shown, want), "%s: %s answered %.100s, not %s", s->title,
              line, shown, want);
}

static void write_one(struct script *s, unsigned k, const char *after, const char *want,
                      const char *line) {
    char *shown = ask(s, line);
    judge_write(s, k, after, want, line, shown);
    free(shown);
}

static void set(struct script *s, unsigned k, const char *tag, const char *options) {
    char line[LINE_BYTES], after[SCRIPT_WORD_BYTES];
    snprintf(after, sizeof(after), "$%s=%s", s->keys[k].name, tag);
    format(line, "SET %s %s%s", s->keys[k].name, after + 1, options);
    write_one(s, k, after, "+OK", line);
}

static void getset(struct script *s, unsigned k, const char *tag) {
    char line[LINE_BYTES], after[SCRIPT_WORD_BYTES];
    snprintf(after, sizeof(after), "$%.40s=%s", s->keys[k].name, tag);
    format(line, "GETSET %s %s", s->keys[k].name, after + 1);
    char *shown = ask(s, line);
    expect_held(s, &s->keys[k], line, shown); /* what was there before */
    judge_write(s, k, after, shown, line, shown);
    free(shown);
}

/* Several keys at once: all or nothing. */
static void mset(struct script *s, unsigned a, unsigned b, const char *tag) {
    char line[LINE_BYTES], after[2][SCRIPT_WORD_BYTES];
    snprintf(after[0], sizeof(after[0]), "$%s=%s", s->keys[a].name, tag);
    snprintf(after[1], sizeof(after[1]), "$%s=%s", s->keys[b].name, tag);
    format(line, "MSET %s %s %s %s", s->keys[a].name, after[0] + 1, s->keys[b].name, after[1] + 1);
    char *shown = ask(s, line);
    judge_write(s, a, after[0], "+OK", line, shown);
    judge_write(s, b, after[1], "+OK", line, shown);
    free(shown);
}

static void mget(struct script *s) {
    char line[LINE_BYTES] = "MGET", *rest, *word;
    for (unsigned k = 0; k < SCRIPT_KEYS; k++) {
        strcat(line, " ");
        strcat(line, s->keys[k].name);
    }
    char *shown = ask(s, line);
    rest = shown + 1;
    if (!is_error(shown)) {
        cr_assert(shown[0] == '[' && shown[strlen(shown) - 1] == ']', "%s: MGET answered %.100s",
                  s->title, shown);
        shown[strlen(shown) - 1] = '\0';
        for (unsigned k = 0; k < SCRIPT_KEYS; k++) {
            word = strsep(&rest, " ");
            cr_assert_not_null(word);
            expect_held(s, &s->keys[k], line, word);
        }
    }
    free(shown);
}

static void transaction(struct script *s, unsigned k) {
    char line[LINE_BYTES], after[SCRIPT_WORD_BYTES], want[LINE_BYTES];
    snprintf(after, sizeof(after), "$%s=exec", s->keys[k].name);
    say(s, "MULTI");
    format(line, "SET %s %s", s->keys[k].name, after + 1);
    say(s, line);
    format(line, "GET %s", s->keys[k].name);
    say(s, line);
    say(s, "EXEC");
    caller_flush(s->c);
    char *shown = NULL;
    for (int i = 0; i < 4; i++) {
        free(shown);
        shown = hear(s);
    }
    format(want, "[+OK %s]", after);
    judge_write(s, k, after, want, "EXEC", shown);
    if (strcmp(shown, "closed") == 0)
        reconnect(s);
    free(shown);
}

/* One read in many small replies, and many in one. */
static void pipeline(struct script *s, unsigned k) {
    char line[LINE_BYTES];
    format(line, "GET %s", s->keys[k].name);
    for (int i = 0; i < PIPELINE; i++)
        say(s, line);
    caller_flush(s->c);
    bool closed = false;
    for (int i = 0; i < PIPELINE; i++) {
        char *shown = hear(s);
        expect_held(s, &s->keys[k], line, shown);
        closed = closed || strcmp(shown, "closed") == 0;
        free(shown);
    }
    if (closed)
        reconnect(s);
}

/* Any answer of this kind, or an error. */
static void other(struct script *s, const char *line, const char *want) {
    char *shown = ask(s, line);
    cr_assert(is_error(shown) || expect_is(shown, want), "%s: %s answered %.100s, not %s", s->title,
              line, shown, want);
    free(shown);
}

/* A value that goes through no socket at once. */
static void big(struct script *s) {
    char *value = malloc(BIG_BYTES + 1);
    cr_assert_not_null(value);
    memset(value, 'b', BIG_BYTES);
    snprintf(value, BIG_BYTES, "%09u", s->round);
    const struct span argv[] = {SPAN("SET"), SPAN("inject:big"), {value, BIG_BYTES}};
    value[strlen(value)] = '.';
    caller_say(s->c, argv, 3);
    say(s, "GET inject:big");
    caller_flush(s->c);
    char *wrote = hear(s), *read = hear(s);
    if (s->fails && !is_error(read) && atoi(read + 1) < (int)s->round && atoi(read + 1) > 0) {
        s->old++; /* whole, and of an earlier round */
        snprintf(value, BIG_BYTES, "%09d", atoi(read + 1));
        value[strlen(value)] = '.';
    }
    cr_assert(is_error(wrote) || strcmp(wrote, "+OK") == 0, "%s: a long SET answered %.100s",
              s->title, wrote);
    cr_assert(is_error(wrote) || is_error(read) ||
                  (strlen(read) == BIG_BYTES + 1 && memcmp(read + 1, value, BIG_BYTES) == 0),
              "%s: a long GET answered %.100s", s->title, read);
    if (strcmp(wrote, "closed") == 0 || strcmp(read, "closed") == 0)
        reconnect(s);
    free(wrote);
    free(read);
    free(value);
}

/* A client that caches; what it is told is not compared. */
static void tracking(struct script *s, unsigned k) {
    char line[LINE_BYTES];
    other(s, "HELLO 3", "[*");
    other(s, "CLIENT TRACKING ON", "+OK");
    format(line, "GET %s", s->keys[k].name);
    char *shown = ask(s, line);
    if (shown[0] != '[') /* a push */
        expect_held(s, &s->keys[k], line, shown);
    free(shown);
    reconnect(s);
}

/* ---- users ---- */

/* Who has not said who it is may do everything, as the script did before. Written anew in each
 * round, so that it is read while something fails; passwords stay, or their users were closed. */
static void write_users(struct script *s) {
    char fresh[SCRIPT_NAME_BYTES + 8];
    snprintf(fresh, sizeof(fresh), "%s.new", s->users_file);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    cr_assert_not_null(file);
    fprintf(file,
            "# round %u\nuser default role=admin nopass\nuser reader role=read prefix=inject: %s\n"
            "user writer role=write %s\n",
            s->round, s->reader, s->writer);
    fclose(file);
    cr_assert_eq(rename(fresh, s->users_file), 0);
}

void script_users(struct script *s) {
    struct digest slow = {.iterations = 0};
    cr_assert(digest_make(SPAN("reader's"), &slow));
    digest_write(&slow, s->reader);
    cr_assert(digest_make(SPAN("writer's"), &slow));
    digest_write(&slow, s->writer);
    snprintf(s->users_file, sizeof(s->users_file), "/var/tmp/rf-users-XXXXXX");
    int fd = mkostemp(s->users_file, O_CLOEXEC);
    cr_assert_geq(fd, 0);
    close(fd);
    write_users(s);
}

/* False when the connection broke: then nobody is logged in any more. */
static bool is_refused(struct script *s, const char *line) {
    s->wants_error = true;
    char *shown = ask(s, line);
    s->wants_error = false;
    bool closed = strcmp(shown, "closed") == 0;
    cr_assert(is_error(shown), "%s: %s was not refused: %.100s", s->title, line, shown);
    free(shown);
    return !closed;
}

static bool log_in(struct script *s, const char *line, const char *want) {
    char *shown = ask(s, line);
    bool in = !is_error(shown);
    cr_assert(!in || expect_is(shown, want), "%s: %s answered %.100s", s->title, line, shown);
    free(shown);
    return in;
}

static void users(struct script *s) {
    char line[LINE_BYTES];
    format(line, "SET %s reader", s->keys[5].name);
    if (is_refused(s, "AUTH reader writer's") && log_in(s, "AUTH reader reader's", "+OK") &&
        is_refused(s, "GET greeting") && is_refused(s, line) && is_refused(s, "CONFIG GET *"))
        get(s, 5);
    reconnect(s);
    if (log_in(s, "HELLO 3 AUTH writer writer's", "[*"))
        set(s, 5, "user", "");
    reconnect(s);
    if (log_in(s, "AUTH reader reader's", "+OK")) /* as one that is known, or anew */
        get(s, 5);
    reconnect(s);
}

/* ---- a round ---- */

void script_init(struct script *s, const struct stack *stack) {
    s->stack = stack;
    snprintf(s->title, sizeof(s->title), "before anything fails");
    s->sql = sql_open(stack);
    s->connections = stack_info(stack->node_ports[0], "db_connections");
    cr_assert_gt(s->connections, 0);
    reconnect(s);
}

void script_release(struct script *s) {
    caller_close(&s->c);
    PQfinish(s->sql);
    unlink(s->users_file);
}

static void begin(struct script *s) {
    s->round++;
    s->errors = s->old = s->late = 0;
    for (unsigned k = 0; k < SCRIPT_KEYS; k++) {
        snprintf(s->keys[k].name, sizeof(s->keys[k].name), "inject:%u:%u", s->round, k);
        s->keys[k].may.count = s->keys[k].was.count = s->keys[k].unknown.count = 0;
        holds(&s->keys[k], "nil");
    }
    /* Keys 6 and 7 are in the table, and in no cache. */
    sql_do(s->sql,
           "INSERT INTO ringfence.entry (key, payload) VALUES ('%s', 'cold'), ('%s', 'cold')",
           s->keys[6].name, s->keys[7].name);
    for (unsigned k = 6; k <= 7; k++) { /* nobody has asked, so nil is never right */
        s->keys[k].may.count = 0;
        holds(&s->keys[k], "$cold");
    }
}

void script_run(struct script *s) {
    char line[LINE_BYTES];
    begin(s);
    write_users(s);
    kill(s->stack->proxy_pid, SIGHUP);
    get(s, 6);
    get(s, 0);
    set(s, 0, "1", "");
    get(s, 0);
    set(s, 1, "2", " EX 1000");
    mset(s, 2, 3, "3");
    mget(s);
    pipeline(s, 0);
    getset(s, 0, "5");
    format(line, "TTL %s", s->keys[1].name);
    other(s, line, ":*");
    format(line, "DEL %s", s->keys[2].name);
    write_one(s, 2, "nil", ":*", line);
    transaction(s, 4);
    mget(s);
    big(s);
    other(s, "INFO everything", "$*");
    other(s, "CLIENT LIST", "$*");
    other(s, "CONFIG GET *", "[*");
    other(s, "COMMAND DOCS get", "[*");
    other(s, "SLOWLOG GET 3", "[*");
    other(s, "DBSIZE", ":*");
    other(s, "SCAN 0 COUNT 5", "[*");
    is_refused(s, "NOSUCH a");
    users(s);
    tracking(s, 0);
}

/* ---- afterwards ---- */

static bool all_well(const struct stack *stack, int64_t connections) {
    for (int i = 0; i < stack->nodes; i++) {
        if (stack_info(stack->node_ports[i], "feed_up") != 1 ||
            stack_info(stack->node_ports[i], "db_connections") != connections)
            return false;
    }
    return true;
}

/* What a reader sees is what the table has, and may have. */
static bool is_right(struct script *s, struct script_key *key, char said[LINE_BYTES]) {
    char line[LINE_BYTES];
    format(line, "GET %s", key->name);
    char *shown = ask(s, line);
    char *row =
        sql_text(s->sql, "SELECT '$' || payload FROM ringfence.entry WHERE key = '%s' AND active",
                 key->name);
    const char *there = strcmp(row, "none") == 0 ? "nil" : row;
    bool right = strcmp(shown, there) == 0 && may_hold(key, shown);
    format(said, "%s answers %.100s, and the table has %.100s", line, shown, there);
    free(row);
    free(shown);
    return right;
}

/* Soon: an owner may have come back just now. */
static void expect_right(struct script *s, unsigned keys, int64_t until_ms) {
    char said[LINE_BYTES];
    for (unsigned k = 0; k < keys; k++) {
        while (!is_right(s, &s->keys[k], said))
            cr_assert(clock_mono_ms() < until_ms, "%s: at rest, %s; it may hold %s", s->title, said,
                      s->keys[k].may.of[0]);
    }
}

void script_settle(struct script *s) {
    char line[LINE_BYTES], after[SCRIPT_WORD_BYTES];
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    s->fails = false;
    while (!all_well(s->stack, s->connections)) {
        cr_assert(clock_mono_ms() < until_ms, "%s: a node has not all its connections back",
                  s->title);
        expect_pause();
    }
    expect_right(s, SCRIPT_KEYS, until_ms);
    for (unsigned k = 0; k < SCRIPT_KEYS / 2; k++) {
        snprintf(after, sizeof(after), "$%.50s=end", s->keys[k].name);
        format(line, "SET %s %s", s->keys[k].name, after + 1);
        char *shown = ask(s, line);
        cr_assert_str_eq(shown, "+OK", "%s: later, %s answered %s", s->title, line, shown);
        free(shown);
        s->keys[k].unknown.count = 0; /* whatever it was has come to its end */
        holds(&s->keys[k], after);
    }
    expect_right(s, SCRIPT_KEYS / 2, until_ms);
}
