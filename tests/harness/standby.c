#include "standby.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack.h"

enum { READY_MS = 60000, ARGS_MAX = 24 };

/* A program of the stack's PostgreSQL, as its user. */
static void pg(const char *name, const char *const args[]) {
    static char bin[PATH_MAX];
    char path[PATH_MAX + 32], said[2000];
    if (bin[0] == '\0') {
        const char *const where[] = {"sh", "-c",
                                     "p=$(pg_config --bindir 2>/dev/null); [ -x \"$p/initdb\" ] || "
                                     "p=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1); "
                                     "printf %s \"$p\"",
                                     NULL};
        cr_assert_eq(program_run(where, bin, sizeof(bin), READY_MS), 0);
    }
    snprintf(path, sizeof(path), "%s/%s", bin, name);
    const char *argv[ARGS_MAX] = {"runuser", "-u", "postgres", "--", path};
    size_t argc = 5;
    for (size_t i = 0; args[i] != NULL && argc + 1 < ARGS_MAX; i++)
        argv[argc++] = args[i];
    int status = program_run(geteuid() == 0 ? argv : argv + 4, said, sizeof(said), READY_MS);
    cr_assert_eq(status, 0, "%s: %s", name, said);
}

/* What stack.sh's `down` needs to end a PostgreSQL: a folder that says where it is. */
static void guard(struct standby *standby) {
    char dir[] = "/var/tmp/rf-test-XXXXXX", path[80];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/pg_dir", dir);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fprintf(file, "%s\n", standby->dir);
    fclose(file);
    standby->guard = program_guard(dir);
    cr_assert_gt(standby->guard.pid, 0);
}

void standby_start(const struct stack *stack, struct standby *out) {
    char data[80], log[80], option[120];
    snprintf(out->dir, sizeof(out->dir), "/var/tmp/rf-XXXXXX");
    cr_assert_not_null(mkdtemp(out->dir));
    guard(out);
    snprintf(data, sizeof(data), "%s/data", out->dir);
    snprintf(log, sizeof(log), "%s/log", out->dir);
    snprintf(option, sizeof(option), "-k %s", out->dir);
    if (geteuid() == 0) {
        const char *const own[] = {"chown", "postgres", out->dir, NULL};
        cr_assert_eq(program_run(own, NULL, 0, READY_MS), 0);
    }
    const char *const copy[] = {"-h",       stack->pg_host, "-p",     stack->pg_port, "-U",
                                "postgres", "-D",           data,     "-R",           "-c",
                                "fast",     "-X",           "stream", "--no-sync",    NULL};
    pg("pg_basebackup", copy);
    const char *const start[] = {"-D", data, "-l", log, "-w", "-o", option, "start", NULL};
    pg("pg_ctl", start);
}

void standby_promote(struct standby *standby) {
    char data[80];
    snprintf(data, sizeof(data), "%s/data", standby->dir);
    const char *const promote[] = {"-D", data, "-w", "promote", NULL};
    pg("pg_ctl", promote);
}

void standby_stop(struct standby *standby) {
    program_unguard(&standby->guard);
}
