#include "stack.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

enum {
    UP_MS = 60000,
    TEST_SECONDS_MAX = 240, /* a test that takes longer hangs: SIGALRM ends it */
    UP_TRIES = 5,
};

static struct program_guard guard_of_test;

/* ---- reading DIR/env ---- */

static bool value_of(const char *env, const char *name, char *out, size_t size) {
    char line[64];
    snprintf(line, sizeof(line), "%s=", name);
    const char *at = strncmp(env, line, strlen(line)) == 0 ? env : NULL;
    if (at == NULL) {
        snprintf(line, sizeof(line), "\n%s=", name);
        at = strstr(env, line);
    }
    if (at == NULL)
        return false;
    at = strchr(at, '=') + 1;
    size_t len = strcspn(at, "\n");
    if (len >= 2 && at[0] == '"') {
        at++;
        len -= 2;
    }
    snprintf(out, size, "%.*s", (int)len, at);
    return true;
}

static int numbers_of(const char *env, const char *name, long *out, int max) {
    char text[256] = "", *at = text, *end;
    int count = 0;
    value_of(env, name, text, sizeof(text));
    for (long n = strtol(at, &end, 10); end != at && count < max; n = strtol(at, &end, 10)) {
        out[count++] = n;
        at = end;
    }
    return count;
}

static bool read_env(struct stack *s, const char *dir) {
    char path[STACK_PATH_BYTES + 8];
    long n[STACK_NODES_MAX] = {0};
    snprintf(s->dir, sizeof(s->dir), "%s", dir);
    snprintf(path, sizeof(path), "%s/env", dir);
    char *env = program_file_text(path);
    bool whole = value_of(env, "PGHOST", s->pg_host, sizeof(s->pg_host)) &&
                 value_of(env, "PGPORT", s->pg_port, sizeof(s->pg_port)) &&
                 value_of(env, "PGDATABASE", s->pg_database, sizeof(s->pg_database)) &&
                 value_of(env, "RING_FILE", s->ring_file, sizeof(s->ring_file)) &&
                 value_of(env, "NODE_ARGS", s->node_args, sizeof(s->node_args)) &&
                 value_of(env, "PROXY_ARGS", s->proxy_args, sizeof(s->proxy_args)) &&
                 numbers_of(env, "PROXY_PORT", n, 1) == 1;
    s->proxy_port = (uint16_t)n[0];
    whole = whole && numbers_of(env, "PROXY_PID", n, 1) == 1;
    s->proxy_pid = (pid_t)n[0];
    whole = whole && numbers_of(env, "PG_PID", n, 1) == 1;
    s->pg_pid = (pid_t)n[0];
    s->nodes = numbers_of(env, "NODE_PORTS", n, STACK_NODES_MAX);
    for (int i = 0; i < s->nodes; i++)
        s->node_ports[i] = (uint16_t)n[i];
    numbers_of(env, "NODE_PIDS", n, STACK_NODES_MAX);
    for (int i = 0; i < s->nodes; i++)
        s->node_pids[i] = (pid_t)n[i];
    free(env);
    return whole && s->nodes > 0;
}

/* ---- up and down ---- */

static void set_number(const char *name, int n) {
    char text[16];
    snprintf(text, sizeof(text), "%d", n);
    setenv(name, text, 1);
}

static void up(const char *dir, const struct stack_conf *conf) {
    char script[STACK_PATH_BYTES], said[4000];
    snprintf(script, sizeof(script), "%s/ctl/stack.sh", program_root());
    const char *const argv[] = {script, "up", dir, NULL};
    setenv("FLAVOUR", program_flavour(), 1);
    setenv("NODE_ARGS", conf->node_args != NULL ? conf->node_args : "", 1);
    setenv("PROXY_ARGS", conf->proxy_args != NULL ? conf->proxy_args : "", 1);
    setenv("PG_LISTEN", "", 1);
    set_number("NODES", conf->nodes != 0 ? conf->nodes : 3);
    set_number("WORKERS", conf->workers != 0 ? conf->workers : 2);
    int status = 1;
    for (int tries = 0; tries < UP_TRIES && status != 0; tries++) { /* a port may be taken */
        set_number("PROXY_PORT", program_free_port());
        status = program_run(argv, said, sizeof(said), UP_MS);
        if (status != 0)
            fprintf(stderr, "a stack did not start: %s\n", said);
    }
    cr_assert_eq(status, 0, "the stack did not start: %s", said);
}

const struct stack *stack_shared(void) {
    static struct stack shared;
    const char *dir = getenv(STACK_SHARED_DIR);
    alarm(TEST_SECONDS_MAX);
    if (dir != NULL && dir[0] != '\0') {
        cr_assert(read_env(&shared, dir), "%s says %s, but no stack runs there", STACK_SHARED_DIR,
                  dir);
        return &shared;
    }
    dir = getenv(STACK_LAZY_DIR);
    cr_assert_not_null(dir);
    if (!read_env(&shared, dir)) {
        up(dir, &(struct stack_conf){.node_args = STACK_PATIENT_NODE,
                                     .proxy_args = STACK_PATIENT_PROXY});
        cr_assert(read_env(&shared, dir));
    }
    return &shared;
}

struct stack *stack_private(struct stack_conf conf) {
    char dir[] = "/var/tmp/rf-test-XXXXXX";
    struct stack *s = calloc(1, sizeof(*s));
    cr_assert(s != NULL && mkdtemp(dir) != NULL);
    alarm(TEST_SECONDS_MAX);
    guard_of_test = program_guard(dir);
    cr_assert_gt(guard_of_test.pid, 0);
    up(dir, &conf);
    cr_assert(read_env(s, dir));
    return s;
}

static void check_logs(const struct stack *s) {
    char name[16] = "proxy";
    for (int i = 0; i <= s->nodes; i++) {
        cr_expect(!stack_log_has(s, name, "Sanitizer") && !stack_log_has(s, name, "runtime error"),
                  "the log of %s has a sanitizer's report", name);
        snprintf(name, sizeof(name), "node%d", i + 1);
    }
}

void stack_down(struct stack **stack) {
    struct stack *s = *stack;
    char script[STACK_PATH_BYTES];
    snprintf(script, sizeof(script), "%s/ctl/stack.sh", program_root());
    const char *const down[] = {script, "down", s->dir, NULL};
    int status = program_run(down, NULL, 0, UP_MS);
    cr_expect_eq(status, 0, "the stack did not stop");
    check_logs(s);
    program_unguard(&guard_of_test);
    free(s);
    *stack = NULL;
}
