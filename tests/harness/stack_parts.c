/* The parts of a stack: logs, figures, nodes, the database, the ring file. */
#include <criterion/criterion.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/hash.h"
#include "../../common/ring.h"
#include "../../common/ring_file.h"
#include "expect.h"
#include "program.h"
#include "stack.h"

enum {
    READY_MS = 30000,
    PG_CTL_MS = 110000, /* a checkpoint on a disk that others use too */
    ARGS_MAX = 64,
    START_TRIES = 5,
    KEYS_TRIED = 10000,
    LOG_PATH_BYTES = 2 * STACK_PATH_BYTES
};

/* ---- logs and figures ---- */

static void log_path(const struct stack *s, const char *daemon, char *out, size_t size) {
    snprintf(out, size, "%s/%s.log", s->dir, daemon);
}

bool stack_log_has(const struct stack *s, const char *daemon, const char *text) {
    char path[LOG_PATH_BYTES];
    log_path(s, daemon, path, sizeof(path));
    return program_file_has(path, text);
}

int64_t stack_info(uint16_t port, const char *field) {
    struct caller *caller = caller_open(port);
    char line[80];
    if (caller == NULL)
        return -1;
    snprintf(line, sizeof(line), "\n%s:", field);
    caller_say_words(caller, "INFO", "everything", NULL);
    caller_flush(caller);
    struct resp_reply *reply = caller_hear(caller);
    const char *at = reply == NULL || reply->type != RESP_STRING ? NULL : strstr(reply->text, line);
    int64_t number = at == NULL ? -1 : atoll(at + strlen(line));
    resp_reply_free(&reply);
    caller_close(&caller);
    return number;
}

/* ---- daemons ---- */

static bool serves(uint16_t port) {
    return stack_info(port, "loading") == 0 && stack_info(port, "feed_up") == 1 &&
           stack_info(port, "db_up") == 1;
}

/* The stack's `down` goes by this file. */
static void note_pid(const struct stack *s, const char *name, pid_t pid) {
    char path[STACK_PATH_BYTES + 8], stat[64];
    snprintf(stat, sizeof(stat), "/proc/%d/stat", (int)pid);
    char *text = program_file_text(stat), *at = strrchr(text, ')');
    unsigned long long start = 0;
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at != NULL)
        start = strtoull(at, NULL, 10);
    free(text);
    snprintf(path, sizeof(path), "%s/pids", s->dir);
    FILE *file = fopen(path, "ae");
    cr_assert_not_null(file);
    fprintf(file, "%s %d %llu\n", name, (int)pid, start);
    fclose(file);
}

/* A command line that is being put together, with the room for its words. */
struct command_line {
    const char *argv[ARGS_MAX];
    size_t argc;
    char program[STACK_PATH_BYTES], conninfo[300], words[1000], port[8];
};

static void begin_proxy(struct command_line *line, const struct stack *s) {
    program_path("ringfence-proxy", line->program, sizeof(line->program));
    const char *const head[] = {line->program, "--ring-file", s->ring_file, "--workers", "2"};
    line->argc = sizeof(head) / sizeof(head[0]);
    memcpy(line->argv, head, sizeof(head));
}

static void begin_node(struct command_line *line, const struct stack *s, const char *name) {
    program_path("ringfence-node", line->program, sizeof(line->program));
    snprintf(line->conninfo, sizeof(line->conninfo), "host=%s port=%s dbname=%s user=rf_node1",
             s->pg_host, s->pg_port, s->pg_database);
    const char *const head[] = {line->program, "--name", name, "--conninfo", line->conninfo};
    line->argc = sizeof(head) / sizeof(head[0]);
    memcpy(line->argv, head, sizeof(head));
}

/* The options that all of the stack's daemons of that kind have, then its own, and the port, which
 * nobody may override. */
static void end_line(struct command_line *line, const char *all, const char *own, uint16_t port) {
    int len = snprintf(line->words, sizeof(line->words), "%s %s", all, own != NULL ? own : "");
    cr_assert_lt(len, (int)sizeof(line->words));
    size_t argc = program_words(line->words, line->argv, line->argc, ARGS_MAX - 2);
    snprintf(line->port, sizeof(line->port), "%u", port);
    line->argv[argc] = "--port";
    line->argv[argc + 1] = line->port;
    line->argv[argc + 2] = NULL;
}

void stack_node_start(struct stack *s, int index) {
    struct command_line line;
    char path[LOG_PATH_BYTES], name[16];
    snprintf(name, sizeof(name), "node%d", index + 1);
    log_path(s, name, path, sizeof(path));
    begin_node(&line, s, name);
    end_line(&line, s->node_args, NULL, s->node_ports[index]);
    s->node_pids[index] = program_start_orphan(line.argv, path);
    cr_assert_gt(s->node_pids[index], 0);
    note_pid(s, name, s->node_pids[index]);
    EVENTUALLY(READY_MS, serves(s->node_ports[index]));
}

/* One more daemon of the test's own, on a free port. */
static pid_t start_own(const struct stack *s, struct command_line *line, const char *all,
                       const char *own, const char *name, const char *ready, uint16_t *port_out) {
    for (int tries = 0; tries < START_TRIES; tries++) {
        char path[LOG_PATH_BYTES], daemon[40];
        *port_out = program_free_port();
        snprintf(daemon, sizeof(daemon), "%s.%u", name, *port_out);
        log_path(s, daemon, path, sizeof(path));
        unlink(path); /* of one that had the same port before, and said that it was ready */
        end_line(line, all, own, *port_out);
        pid_t pid = program_start(line->argv, path);
        cr_assert_gt(pid, 0);
        EVENTUALLY(READY_MS, program_file_has(path, ready) || !program_runs(pid));
        if (program_runs(pid))
            return pid;
        program_wait(pid, READY_MS);
        cr_assert(program_file_has(path, "cannot listen"), "%s ended: see %s", name, path);
    }
    cr_assert_fail("%s found no free port", name);
    return -1;
}

pid_t stack_proxy(const struct stack *s, const char *args, uint16_t *port_out) {
    struct command_line line;
    begin_proxy(&line, s);
    return start_own(s, &line, s->proxy_args, args, "proxy", " proxy_ready ", port_out);
}

pid_t stack_node_begin(const struct stack *s, const char *name, const char *args,
                       uint16_t *port_out) {
    struct command_line line;
    begin_node(&line, s, name);
    return start_own(s, &line, s->node_args, args, name, " node_ready ", port_out);
}

pid_t stack_node(const struct stack *s, const char *name, const char *args, uint16_t *port_out) {
    pid_t pid = stack_node_begin(s, name, args, port_out);
    EVENTUALLY(READY_MS, serves(*port_out));
    return pid;
}

/* ---- the database ---- */

static void pg_ctl(const struct stack *s, const char *verb, const char *mode) {
    static char program[PATH_MAX];
    char link[64], data[160], log[160], said[2000];
    if (program[0] == '\0') { /* while it runs for the first time */
        snprintf(link, sizeof(link), "/proc/%d/exe", (int)s->pg_pid);
        ssize_t n = readlink(link, program, sizeof(program) - 16);
        cr_assert_gt(n, 0);
        program[n] = '\0';
        dirname(program);
        strcat(program, "/pg_ctl");
    }
    snprintf(data, sizeof(data), "%s/data", s->pg_host);
    snprintf(log, sizeof(log), "%s/log", s->pg_host);
    const char *const argv[] = {"runuser", "-u", "postgres", "--", program, verb, "-D",  data,
                                "-l",      log,  "-w",       "-m", mode,    "-t", "100", NULL};
    int status = program_run(geteuid() == 0 ? argv : argv + 4, said, sizeof(said), PG_CTL_MS);
    cr_assert_eq(status, 0, "pg_ctl %s: %s", verb, said);
}

void stack_database_stop(struct stack *s, const char *mode) {
    pg_ctl(s, "stop", mode);
}

void stack_database_start(struct stack *s) {
    char path[160];
    pg_ctl(s, "start", "fast");
    snprintf(path, sizeof(path), "%s/data/postmaster.pid", s->pg_host);
    char *text = program_file_text(path);
    s->pg_pid = (pid_t)atol(text);
    free(text);
}

/* ---- the ring ---- */

void stack_ring_write(const char *path, const char *text) {
    char fresh[STACK_PATH_BYTES + 8];
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    FILE *file = fopen(fresh, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    cr_assert_eq(rename(fresh, path), 0);
}

void stack_ring_own(const struct stack *s, char *out) {
    char dir[STACK_PATH_BYTES];
    cr_assert_lt(snprintf(dir, sizeof(dir), "%.200s/ring-XXXXXX", s->dir), STACK_PATH_BYTES);
    cr_assert_not_null(mkdtemp(dir));
    snprintf(out, STACK_PATH_BYTES, "%.240s/ring.conf", dir);
    char *text = program_file_text(s->ring_file);
    stack_ring_write(out, text);
    free(text);
}

int stack_owner(const struct stack *s, const char *key) {
    struct ring_file_error error;
    uint64_t epoch;
    struct ring *ring = ring_file_load(s->ring_file, &epoch, &error);
    cr_assert_not_null(ring, "%s", error.text);
    int index = atoi(ring_at(ring, ring_lookup(ring, hash_ring(span_str(key))))->name + 4) - 1;
    ring_free(&ring);
    return index;
}

void stack_key_of(const struct stack *s, int index, const char *prefix, char *out, unsigned size) {
    for (int i = 0; i < KEYS_TRIED; i++) {
        snprintf(out, size, "%s%d", prefix, i);
        if (stack_owner(s, out) == index)
            return;
    }
    cr_assert_fail("node %d owns no key", index);
}
