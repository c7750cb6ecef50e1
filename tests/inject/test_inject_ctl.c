/*
 * Every call of a kind fails once in ringfence-ctl: what it says is what it says without a failure,
 * or its exit status is an error and it names a reason; it never crashes, and leaks nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/program.h"
#include "../harness/sql.h"
#include "../harness/stack.h"
#include "page.h"
#include "script.h"

enum { RUN_MS = 20000, SAID_BYTES = 8000, LINE_BYTES = 1000, ROWS_OLD = 3 };

static struct stack *s;
static PGconn *sql;
static struct script users;

static void set_up(void) {
    inject_open();
    inject_hide(); /* from the stack's own daemons */
    s = stack_private((struct stack_conf){.nodes = 1});
    inject_show();
    sql = sql_open(s);
    script_users(&users);
}

static void tear_down(void) {
    PQfinish(sql);
    unlink(users.users_file);
    stack_down(&s);
    inject_close();
}

TestSuite(inject_ctl, .init = set_up, .fini = tear_down);

/* `words`: the command with its arguments, for a shell. */
struct command {
    const char *name, *words;
    const char *begins; /* all that is the same each time; NULL: everything */
    bool purges;
};

static void lay_out_rows(const struct command *command) {
    if (command->purges)
        sql_do(sql,
               "DELETE FROM ringfence.entry WHERE key LIKE 'ctl:%%'; INSERT INTO ringfence.entry "
               "(key, payload, active, updated_at) SELECT 'ctl:' || i, 'old', false, now() - "
               "interval '9 days' FROM generate_series(1, %d) AS i",
               ROWS_OLD);
}

static int run(const struct command *command, char said[SAID_BYTES]) {
    char program[STACK_PATH_BYTES], line[LINE_BYTES];
    program_path("ringfence-ctl", program, sizeof(program));
    snprintf(line, sizeof(line),
             "ctl=%s ring=%s users=%s db='host=%s port=%s dbname=%s user=postgres'; %s", program,
             s->ring_file, users.users_file, s->pg_host, s->pg_port, s->pg_database,
             command->words);
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    lay_out_rows(command);
    return program_run(argv, said, SAID_BYTES, RUN_MS);
}

/* True when it went well all the same. */
static bool one_run(const struct command *command, const struct inject_aim *aim, const char *want,
                    const char *title) {
    char said[SAID_BYTES];
    inject_arm(aim);
    int status = run(command, said);
    inject_disarm(INJECT_CTL);
    const char *place = inject_place(INJECT_CTL);
    cr_assert(strstr(said, "Sanitizer") == NULL && strstr(said, "runtime error") == NULL,
              "%s (%s): %s", title, place, said);
    cr_assert(status >= 0 && status < 99 && said[0] != '\0', "%s (%s): ended with %d and said '%s'",
              title, place, status, said);
    if (status != 0)
        return false;
    if (command->begins == NULL)
        cr_assert_str_eq(said, want, "%s (%s): said %s", title, place, said);
    else
        cr_assert(strncmp(said, command->begins, strlen(command->begins)) == 0, "%s (%s): said %s",
                  title, place, said);
    if (command->purges)
        sql_expect(sql, "0", "SELECT count(*) FROM ringfence.entry WHERE key LIKE 'ctl:%%'");
    return true;
}

static void sweep(const struct command *command, enum inject_kind kind) {
    char name[80], title[120], want[SAID_BYTES];
    snprintf(name, sizeof(name), "ctl %s %s", command->name, inject_kind_name(kind));
    if (!inject_is_wanted(name))
        return;
    struct inject_aim aim = {INJECT_CTL, kind, INJECT_FAIL, INJECT_COUNT_ONLY};
    inject_arm(&aim);
    cr_assert_eq(run(command, want), 0, "%s: %s", name, want);
    unsigned calls = inject_count(INJECT_CTL), rounds = 0, fine = 0;
    for (unsigned nth = 1 + inject_stride() / 2; nth <= calls; nth += inject_stride()) {
        alarm(100);
        snprintf(title, sizeof(title), "%s %u of %u", name, nth, calls);
        aim.nth = nth;
        fine += one_run(command, &aim, want, title);
        cr_assert(inject_has_fired(INJECT_CTL), "%s: it did not come to that", title);
        rounds++;
    }
    if (calls != 0)
        printf("inject %-28s calls=%u rounds=%u fine_all_the_same=%u\n", name, calls, rounds, fine);
    fflush(stdout);
}

Test(inject_ctl, each_call_of_the_operators_command_fails_once) {
    static const struct command COMMANDS[] = {
        {"ring check", "$ctl ring check $ring", NULL, false},
        {"ring show", "$ctl ring show $ring", NULL, false},
        {"ring diff", "$ctl ring diff $ring $ring", NULL, false},
        {"ring owner", "$ctl ring owner $ring a b", NULL, false},
        {"user line", "echo secret | $ctl user line web read flag: config:",
         "user web role=read prefix=flag: prefix=config: pbkdf2=", false},
        {"user check", "$ctl user check $users", NULL, false},
        {"purge", "$ctl purge --older-than 7d \"$db\"", NULL, true},
    };
    static const enum inject_kind KINDS[] = {INJECT_ALLOC, INJECT_SYSTEM, INJECT_CRYPTO, INJECT_PQ};
    for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++) {
        for (size_t k = 0; k < sizeof(KINDS) / sizeof(KINDS[0]); k++)
            sweep(&COMMANDS[i], KINDS[k]);
    }
}
