/* Who may do what, over the wire: a users file, edited while the proxy runs. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"

#define SECRET "sha256=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define OTHER  "sha256=d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
#define NOAUTH "-NOAUTH Authentication required."
#define WRONG  "-WRONGPASS invalid username-password pair or user is disabled."
#define NOKEY  "-NOPERM this user has no permissions to access one of the keys used as arguments"

enum { WAIT_MS = 15000, RUN_MS = 30000, EXIT_CONFIG = 6 };

static const struct stack *s;
static char dir[64], users[128], log_path[STACK_PATH_BYTES + 32];
static uint16_t port;
static pid_t proxy;

/* As an editor does: a new file, renamed. */
static void write_users(const char *text) {
    char fresh[160];
    snprintf(fresh, sizeof(fresh), "%s.new", users);
    int fd = open(fresh, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    dprintf(fd, "%s", text);
    close(fd);
    cr_assert_eq(rename(fresh, users), 0);
}

static void open_all(void) {
    char args[256];
    s = stack_shared();
    snprintf(dir, sizeof(dir), "/var/tmp/rf-users-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(users, sizeof(users), "%s/users", dir);
    write_users("user ops role=admin " SECRET "\nuser app role=write prefix=auth: " SECRET "\n"
                "user reader role=read " SECRET "\n");
    snprintf(args, sizeof(args), "--users-file %s --workers 2", users);
    proxy = stack_proxy(s, args, &port);
    snprintf(log_path, sizeof(log_path), "%s/proxy.%u.log", s->dir, port);
}

static void close_all(void) {
    cr_assert_eq(program_stop(proxy, SIGTERM, WAIT_MS), 0);
    unlink(users);
    rmdir(dir);
}

TestSuite(auth, .init = open_all, .fini = close_all);

static struct caller *logged_in(const char *user) {
    struct caller *c = expect_caller(port);
    EXPECT(c, "+OK", "AUTH", user, "secret");
    return c;
}

Test(auth, each_user_may_do_what_its_line_says) {
    struct caller *nobody = expect_caller(port), *app = logged_in("app"),
                  *reader = logged_in("reader"), *ops = logged_in("ops");
    EXPECT(nobody, NOAUTH, "GET", "auth:a");
    EXPECT(nobody, WRONG, "AUTH", "app", "other");
    EXPECT(nobody, WRONG, "AUTH", "secret");
    EXPECT(app, "+OK", "MSET", "auth:a", "1", "auth:b", "2");
    EXPECT(app, NOKEY, "MSET", "auth:a", "1", "greeting", "2");
    EXPECT(app, NOKEY, "GET", "greeting");
    EXPECT(reader, "[$1 $2]", "MGET", "auth:a", "auth:b");
    EXPECT(reader, "-NOPERM this user has no permissions to run the 'del' command", "DEL",
           "auth:a");
    EXPECT(reader, "-NOPERM this user has no permissions to run the 'config|get' command", "CONFIG",
           "GET", "port");
    EXPECT(ops, "[$app $ops $reader]", "ACL", "USERS");
    EXPECT(ops, ":2", "DEL", "auth:a", "auth:b");
    char *list = NULL;
    caller_say_words(ops, "CLIENT", "LIST", NULL);
    expect_flush(ops);
    struct resp_reply *reply = caller_hear(ops);
    list = caller_show(reply);
    cr_assert_not_null(strstr(list, " user=app "), "%s", list);
    cr_assert_not_null(strstr(list, " user=reader "), "%s", list);
    cr_assert_null(strstr(list, "secret"));
    free(list);
    resp_reply_free(&reply);
    caller_close(&nobody);
    caller_close(&app);
    caller_close(&reader);
    caller_close(&ops);
}

/* ---- commands about all keys ---- */

enum { OWN = 40, STEPS_MAX = 5000 };

/* All that a walk through two proxies shows, as one list of numbers behind auth:; each once. */
static void expect_walk(struct caller *one, struct caller *other, const char *count) {
    unsigned times[OWN] = {0}, steps = 0;
    char cursor[32] = "0";
    do {
        struct caller *who = steps % 2 == 0 ? one : other;
        caller_say_words(who, "SCAN", cursor, "COUNT", count, NULL);
        expect_flush(who);
        struct resp_reply *reply = caller_hear(who);
        cr_assert(reply != NULL && reply->type == RESP_ARRAY && reply->count == 2, "%s",
                  caller_show(reply));
        snprintf(cursor, sizeof(cursor), "%s", reply->elements[0]->text);
        for (size_t i = 0; i < reply->elements[1]->count; i++) {
            const char *key = reply->elements[1]->elements[i]->text;
            cr_assert_eq(strncmp(key, "auth:", 5), 0, "%s is somebody else's", key);
            if (strncmp(key, "auth:own:", 9) == 0)
                times[strtoul(key + 9, NULL, 10) % OWN]++;
        }
        resp_reply_free(&reply);
        cr_assert_lt(steps++, STEPS_MAX);
    } while (strcmp(cursor, "0") != 0);
    for (int i = 0; i < OWN; i++)
        cr_assert_eq(times[i], 1, "COUNT %s: auth:own:%d: %u times", count, i, times[i]);
}

static void expect_random(struct caller *who) {
    caller_say_words(who, "RANDOMKEY", NULL);
    expect_flush(who);
    struct resp_reply *reply = caller_hear(who);
    cr_assert(reply != NULL && reply->type == RESP_STRING);
    cr_assert_eq(strncmp(reply->text, "auth:", 5), 0, "%s is somebody else's", reply->text);
    resp_reply_free(&reply);
}

Test(auth, who_has_some_of_the_keys_sees_exactly_these) {
    static const char *const COUNTS[] = {"1", "7", "1000"};
    PGconn *sql = sql_open(s);
    char args[256];
    uint16_t second_port;
    snprintf(args, sizeof(args), "--users-file %s", users);
    pid_t second = stack_proxy(s, args, &second_port);
    struct caller *app = logged_in("app"), *ops = logged_in("ops"),
                  *other = expect_caller(second_port);
    EXPECT(other, "+OK", "AUTH", "app", "secret");
    sql_do(sql,
           "DELETE FROM ringfence.entry WHERE key LIKE 'auth:%%';"
           "INSERT INTO ringfence.entry (key, payload) SELECT 'auth:own:' || n, n FROM "
           "generate_series(0, %d) AS n; INSERT INTO ringfence.entry (key, payload) SELECT "
           "'authority:' || n, n FROM generate_series(0, 299) AS n ON CONFLICT DO NOTHING",
           OWN - 1);
    for (size_t i = 0; i < sizeof(COUNTS) / sizeof(COUNTS[0]); i++)
        expect_walk(app, other, COUNTS[i]);
    EXPECT(app, "[$auth:own:17 $auth:own:27 $auth:own:37 $auth:own:7]", "KEYS", "auth*7");
    EXPECT(app, "[]", "KEYS", "authority:1");
    EXPECT(ops, "[$authority:1]", "KEYS", "authority:1");
    EXPECT(app, ":40", "DBSIZE");
    for (int i = 0; i < 10; i++)
        expect_random(app);
    EXPECT(app, "-NOPERM this user has no permissions to run the 'flushall' command", "FLUSHALL");
    EXPECT(app, "-ERR invalid cursor", "SCAN", "x");
    EXPECT(app, "-ERR unknown command 'RF.SCOPE'*", "RF.SCOPE", "1", "a", "DBSIZE");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key LIKE 'auth:own:%%'");
    EXPECT(app, ":0", "DBSIZE");
    EXPECT(app, "nil", "RANDOMKEY");
    sql_do(sql, "DELETE FROM ringfence.entry WHERE key LIKE 'authority:%%'");
    caller_close(&app);
    caller_close(&ops);
    caller_close(&other);
    cr_assert_eq(program_stop(second, SIGTERM, WAIT_MS), 0);
    PQfinish(sql);
}

Test(auth, an_edit_of_the_file_counts_at_once) {
    struct caller *app = logged_in("app"), *reader = logged_in("reader"), *ops = logged_in("ops");
    write_users("user ops role=admin " OTHER " " SECRET "\nuser app role=read " SECRET "\n");
    EXPECT_WITHIN(WAIT_MS, app, "-NOPERM this user has no permissions to run the 'set' command",
                  "SET", "auth:a", "1");
    cr_assert(caller_ended(reader));
    EXPECT(ops, "+PONG", "PING");
    write_users("user ops role=admin " OTHER "\nuser app role=read " SECRET "\n");
    cr_assert(caller_ended(ops)); /* its password is no longer one */
    struct caller *again = expect_caller(port);
    EXPECT(again, WRONG, "AUTH", "ops", "secret");
    EXPECT(again, "+OK", "AUTH", "ops", "other");
    caller_close(&again);
    caller_close(&app);
    caller_close(&reader);
    caller_close(&ops);
}

Test(auth, a_bad_file_changes_nothing_and_is_reported) {
    struct caller *app = logged_in("app");
    write_users("user app role=write " SECRET "\nuser ops role=boss " SECRET "\n");
    EVENTUALLY(WAIT_MS, program_file_has(log_path, "users:2: user 'ops': role=read"));
    EXPECT(app, NOKEY, "GET", "greeting");
    cr_assert_eq(chmod(users, 0644), 0);
    EVENTUALLY(WAIT_MS, program_file_has(log_path, "mode 0644 lets others at it"));
    EXPECT(app, NOKEY, "GET", "greeting");
    write_users("user app role=write " SECRET "\n");
    EXPECT_WITHIN(WAIT_MS, app, "$hello from PostgreSQL", "GET", "greeting");
    cr_assert_not(program_file_has(log_path, "secret"));
    caller_close(&app);
}

Test(auth, sighup_reads_the_file_again) {
    kill(proxy, SIGHUP);
    EVENTUALLY(WAIT_MS, program_file_has(log_path, "users_unchanged"));
}

/* ---- where it may listen ---- */

static int try(const char *const more[], char *said, size_t size) {
    char path[STACK_PATH_BYTES];
    const char *argv[16] = {path, "-t", "--ring-file", stack_shared()->ring_file};
    program_path("ringfence-proxy", path, sizeof(path));
    for (int i = 0; more[i] != NULL; i++)
        argv[4 + i] = more[i];
    return program_run(argv, said, size, RUN_MS);
}

Test(auth_start, without_users_only_loopback_is_listened_on) {
    static const char *const REFUSED[] = {"0.0.0.0", "::", "192.0.2.1"};
    static const char *const TAKEN[] = {"127.0.0.1", "localhost", "::1", "127.3.2.1"};
    char said[2000];
    for (size_t i = 0; i < 3; i++) {
        const char *args[] = {"--bind", REFUSED[i], NULL};
        cr_assert_eq(try(args, said, sizeof(said)), EXIT_CONFIG, "%s: %s", REFUSED[i], said);
        cr_assert_not_null(strstr(said, "ringfence-ctl user line default admin >users"), "%s",
                           said);
        cr_assert_not_null(strstr(said, "--protected-mode no"), "%s", said);
        const char *open[] = {"--bind", REFUSED[i], "--protected-mode", "no", NULL};
        cr_assert_eq(try(open, said, sizeof(said)), 0, "%s: %s", REFUSED[i], said);
    }
    for (size_t i = 0; i < 4; i++) {
        const char *args[] = {"--bind", TAKEN[i], NULL};
        cr_assert_eq(try(args, said, sizeof(said)), 0, "%s: %s", TAKEN[i], said);
    }
}

Test(auth_start, a_users_file_for_all_to_read_is_refused) {
    char path[] = "/var/tmp/rf-users-XXXXXX", said[2000];
    int fd = mkstemp(path);
    dprintf(fd, "user app role=read " SECRET "\n");
    const char *args[] = {"--bind", "0.0.0.0", "--users-file", path, NULL};
    cr_assert_eq(try(args, said, sizeof(said)), 0, "%s", said);
    cr_assert_eq(fchmod(fd, 0604), 0);
    cr_assert_eq(try(args, said, sizeof(said)), EXIT_CONFIG, "%s", said);
    cr_assert_not_null(strstr(said, "mode 0604 lets others at it: chmod 0600"), "%s", said);
    close(fd);
    unlink(path);
}
