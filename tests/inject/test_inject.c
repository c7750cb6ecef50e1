/*
 * Every call of a kind fails once, in a node or in a proxy that serve: the process lives, every
 * reply is right or an error, what is asked later is right again, nothing is leaked, no descriptor
 * either. `make inject` tries every call; without INJECT_STRIDE=1 only some.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../harness/expect.h"
#include "../harness/stack.h"
#include "page.h"
#include "script.h"

enum { ROUND_SECONDS = 100, FDS_MS = 20000, MISSES_MAX = 3 };

static unsigned fds_of(pid_t pid) {
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    cr_assert_not_null(dir, "%s: the process is gone", path);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static unsigned fds_of_all(const struct stack *stack) {
    unsigned count = fds_of(stack->proxy_pid);
    for (int i = 0; i < stack->nodes; i++)
        count += fds_of(stack->node_pids[i]);
    return count;
}

static void expect_alive(const struct stack *stack, const struct script *s) {
    cr_assert_eq(kill(stack->proxy_pid, 0), 0, "%s: the proxy is gone", s->title);
    for (int i = 0; i < stack->nodes; i++)
        cr_assert_eq(kill(stack->node_pids[i], 0), 0, "%s: a node is gone", s->title);
}

static unsigned count_calls(struct inject_aim aim, struct script *s) {
    aim.nth = INJECT_COUNT_ONLY;
    s->fails = true; /* the sweep before may have cost a worker its link to an owner */
    inject_arm(&aim);
    script_run(s);
    unsigned count = inject_count(aim.program);
    inject_disarm(aim.program);
    cr_assert_eq(s->errors, 0, "%s: %u errors without a failure: %s", s->title, s->errors,
                 s->error);
    script_settle(s);
    return count;
}

/* One round in which one call fails; whether it came to that. */
static bool one_round(const struct inject_aim *aim, struct script *s) {
    alarm(ROUND_SECONDS);
    s->fails = true;
    inject_arm(aim);
    script_run(s);
    inject_disarm(aim->program);
    size_t len = strlen(s->title);
    snprintf(s->title + len, sizeof(s->title) - len, " (%s)", inject_place(aim->program));
    expect_alive(s->stack, s);
    script_settle(s);
    return inject_has_fired(aim->program);
}

/* `fds`: open files when everything was connected. */
static void sweep(struct inject_aim aim, struct script *s, unsigned fds) {
    char name[80];
    snprintf(name, sizeof(name), "%s %s %s", inject_program_name(aim.program),
             inject_kind_name(aim.kind), inject_mode_name(aim.mode));
    if (!inject_is_wanted(name))
        return;
    snprintf(s->title, sizeof(s->title), "%s", name);
    unsigned calls = count_calls(aim, s), rounds = 0, fired = 0, errors = 0, old = 0, late = 0;
    /* Until none is left; what runs beside the script makes it a few more or less. */
    for (unsigned nth = 1 + inject_stride() / 2, misses = 0;
         misses < MISSES_MAX && nth <= calls + calls / 4 + 1; nth += inject_stride()) {
        snprintf(s->title, sizeof(s->title), "%s %u of %u", name, nth, calls);
        aim.nth = nth;
        bool happened = one_round(&aim, s);
        misses = happened ? 0 : misses + 1;
        rounds++;
        late += s->late;
        fired += happened;
        errors += s->errors;
        if (s->errors != 0 && aim.mode >= INJECT_INTERRUPT) /* nothing was lost, so why? */
            printf("inject %s: %s\n", s->title, s->error);
        old += s->old;
    }
    EVENTUALLY(FDS_MS, fds_of_all(s->stack) <= fds);
    printf("inject %-28s calls=%u rounds=%u failed=%u errors=%u old=%u late=%u\n", name, calls,
           rounds, fired, errors, old, late);
    fflush(stdout);
}

TestSuite(inject, .init = inject_open, .fini = inject_close);

static void sweep_all(enum inject_program program) {
    const struct {
        enum inject_kind kind;
        unsigned modes;
    } ALL[] = {{INJECT_ALLOC, 1},
               {INJECT_EVENT_ALLOC, 1},
               {INJECT_RECV, 5},
               {INJECT_SEND, 5},
               {INJECT_SYSTEM, 1},
               {INJECT_CRYPTO, program == INJECT_PROXY},
               {INJECT_PQ, program == INJECT_NODE},
               {INJECT_PQ_RESULT, program == INJECT_NODE}};
    struct script s = {.round = 0};
    char proxy_args[160];
    script_users(&s);
    snprintf(proxy_args, sizeof(proxy_args),
             "--node-probation-max-ms 0 --node-retry-max-ms 50 --users-file %s", s.users_file);
    struct stack *stack = stack_private((struct stack_conf){.nodes = 2, .proxy_args = proxy_args});
    script_init(&s, stack);
    script_run(&s); /* what is allocated once is */
    script_settle(&s);
    unsigned fds = fds_of_all(stack); /* counted anew later, a lost link might still be down */
    for (size_t i = 0; i < sizeof(ALL) / sizeof(ALL[0]); i++) {
        for (unsigned mode = 0; mode < ALL[i].modes; mode++)
            sweep((struct inject_aim){program, ALL[i].kind, mode, 0}, &s, fds);
    }
    script_release(&s);
    stack_down(&stack);
}

Test(inject, each_call_of_a_node_fails_once) {
    sweep_all(INJECT_NODE);
}

Test(inject, each_call_of_a_proxy_fails_once) {
    sweep_all(INJECT_PROXY);
}
