/* Answers come in the order of the requests, each to whoever asked, and are those that Redis gives.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/hash.h"
#include "../harness/expect.h"
#include "../harness/load.h"
#include "../harness/program.h"
#include "../harness/stack.h"

enum {
    SEEDS = 12,
    PIPELINES = 12,
    DEPTH_MAX = 60,
    KEYS = 6,
    DEEP = 10000,
    STOP_MS = 15000,
    PATIENCE_MS = 120000
};

/* ---- against Redis ---- */

struct rng {
    uint64_t state;
};

static unsigned draw(struct rng *r, unsigned below) { /* xorshift64* */
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (unsigned)((r->state * 0x2545F4914F6CDD1Du) >> 33) % below;
}

/* One random request over a few keys: the same words every time for the same state. */
static uint32_t make_request(struct rng *r, unsigned seed, char text[][32], struct span *argv) {
    static const char *const FORMS[] = {"GET k",          "SET k v",        "DEL k",
                                        "GET k",          "MSET k v k v",   "MGET k k k",
                                        "DEL k k",        "EXISTS k k",     "SETNX k v",
                                        "GETSET k v",     "GETDEL k",       "STRLEN k",
                                        "TYPE k",         "TOUCH k k",      "UNLINK k",
                                        "SET k v NX",     "SET k v XX",     "SET k v GET",
                                        "SET k v NX GET", "SET k v XX GET", "MSET k v k v k v",
                                        "SET k",          "ECHO v",         "PING",
                                        "NOSUCH k"};
    char form[32], *rest = NULL;
    uint32_t argc = 0;
    snprintf(form, sizeof(form), "%s", FORMS[draw(r, sizeof(FORMS) / sizeof(FORMS[0]))]);
    for (char *word = strtok_r(form, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (strcmp(word, "k") == 0)
            snprintf(text[argc], 32, "order:%u:%u", seed, draw(r, KEYS));
        else if (strcmp(word, "v") == 0)
            snprintf(text[argc], 32, "%u", draw(r, 1000));
        else
            snprintf(text[argc], 32, "%s", word);
        argv[argc] = span_str(text[argc]);
        argc++;
    }
    return argc;
}

/* PIPELINES pipelines to both; every answer must be the same. */
static void compare_with_redis(struct caller *ours, struct caller *redis, unsigned seed) {
    struct rng r = {hash_point(SPAN("order"), seed) | 1};
    for (int p = 0; p < PIPELINES; p++) {
        char text[DEPTH_MAX][8][32];
        struct span argv[DEPTH_MAX][8];
        uint32_t argc[DEPTH_MAX];
        unsigned depth = 1 + draw(&r, DEPTH_MAX);
        for (unsigned i = 0; i < depth; i++) {
            argc[i] = make_request(&r, seed, text[i], argv[i]);
            caller_say(ours, argv[i], argc[i]);
            caller_say(redis, argv[i], argc[i]);
        }
        expect_flush(ours);
        expect_flush(redis);
        for (unsigned i = 0; i < depth; i++) {
            struct resp_reply *a = caller_hear(ours), *b = caller_hear(redis);
            char *have = caller_show(a), *want = caller_show(b);
            cr_assert_str_eq(have, want,
                             "seed %u, pipeline %d, request %u of %u (%s %s): %s, not %s", seed, p,
                             i + 1, depth, text[i][0], argc[i] > 1 ? text[i][1] : "", have, want);
            free(have);
            free(want);
            resp_reply_free(&a);
            resp_reply_free(&b);
        }
    }
}

Test(order, pipelines_of_mixed_commands_get_the_answers_of_redis) {
    const struct stack *s = stack_shared();
    char port[8], log[] = "/var/tmp/rf-redis-XXXXXX";
    close(mkstemp(log));
    uint16_t redis_port = program_free_port();
    snprintf(port, sizeof(port), "%u", redis_port);
    const char *const argv[] = {"redis-server", "--port", port,       "--bind",
                                "127.0.0.1",    "--save", "",         "--appendonly",
                                "no",           "--dir",  "/var/tmp", NULL};
    pid_t redis_pid = program_start(argv, log);
    EVENTUALLY(STOP_MS, program_file_has(log, "Ready to accept connections"));
    unlink(log);
    struct caller *redis = expect_caller(redis_port), *ours = expect_caller(s->proxy_port);
    for (unsigned seed = 0; seed < SEEDS; seed++)
        compare_with_redis(ours, redis, seed);
    caller_close(&redis);
    caller_close(&ours);
    program_stop(redis_pid, SIGTERM, STOP_MS);
}

/* ---- deep pipelines ---- */

Test(order, a_pipeline_of_10000_requests) {
    const struct stack *s = stack_shared();
    struct caller *c = expect_caller(s->proxy_port);
    char key[32], value[32], want[32];
    for (int i = 0; i < DEEP; i++) {
        snprintf(key, sizeof(key), "order:deep:%d", i % 100);
        snprintf(value, sizeof(value), "%d", i);
        if (i % 10 == 0)
            caller_say_words(c, "SET", key, value, NULL);
        else
            caller_say_words(c, "ECHO", value, NULL);
    }
    for (int i = 0; i < DEEP; i++) {
        snprintf(key, sizeof(key), "order:deep:%d", i % 100 / 10 * 10);
        caller_say_words(c, "GET", key, NULL);
    }
    expect_flush(c);
    for (int i = 0; i < DEEP; i++) {
        snprintf(want, sizeof(want), "$%d", i);
        EXPECT_NEXT(c, i % 10 == 0 ? "+OK" : want);
    }
    for (int i = 0; i < DEEP; i++) { /* the last SET of the key's hundred */
        snprintf(want, sizeof(want), "$%d", DEEP - 100 + i % 100 / 10 * 10);
        EXPECT_NEXT(c, want);
    }
    caller_close(&c);
}

/* ---- many clients ---- */

static void report(const char *name, const struct load_result *r) {
    fprintf(stderr, "%s: requests=%llu errors=%llu uncertain=%llu old=%llu wrong=%llu%s%s\n", name,
            (unsigned long long)r->requests, (unsigned long long)r->errors,
            (unsigned long long)r->uncertain, (unsigned long long)r->old,
            (unsigned long long)r->wrong, r->first_error[0] != '\0' ? " first error: " : "",
            r->first_error);
}

/* Through two proxies, on a stable ring: no error, and no client ever sees an old value of its own.
 */
Test(order, fifty_clients_read_their_own_writes) {
    const struct stack *s = stack_shared();
    uint16_t other;
    pid_t pid = stack_proxy(s, NULL, &other);
    struct load *load = load_start(&(struct load_conf){.ports = {s->proxy_port, other},
                                                       .prefix = "order:own",
                                                       .clients = 50,
                                                       .keys = 20,
                                                       .depth = 10,
                                                       .write_percent = 10,
                                                       .requests = 400});
    cr_assert_not_null(load);
    EVENTUALLY(PATIENCE_MS, load_done(load));
    struct load_result result;
    load_end(&load, &result);
    report("own writes", &result);
    cr_expect_eq(result.wrong, 0, "%s", result.first_wrong);
    cr_expect_eq(result.old, 0);
    cr_expect_eq(result.errors, 0, "%s", result.first_error);
    cr_assert_eq(program_stop(pid, SIGTERM, STOP_MS), 0);
}

/* A node hangs for 300 ms, twice, and comes back: whatever is answered meanwhile goes to whoever
 * asked. */
Test(order, no_reply_is_misdelivered_while_a_node_hangs) {
    enum { HANG_MS = 300, HANGS = 2, CLIENT_REQUESTS = 2000 };
    struct stack *s = stack_private((struct stack_conf){0});
    struct load *load = load_start(&(struct load_conf){.ports = {s->proxy_port},
                                                       .prefix = "order:hang",
                                                       .clients = 50,
                                                       .keys = 20,
                                                       .depth = 10,
                                                       .write_percent = 5,
                                                       .requests = CLIENT_REQUESTS});
    cr_assert_not_null(load);
    for (int i = 0; i < HANGS; i++) {
        load_let_work(load, 20000, PATIENCE_MS);
        kill(s->node_pids[i], SIGSTOP);
        usleep(HANG_MS * 1000); /* this long it hangs: it is the fault that is tested */
        kill(s->node_pids[i], SIGCONT);
    }
    EVENTUALLY(PATIENCE_MS, load_done(load));
    struct load_result result;
    load_end(&load, &result);
    report("hang", &result);
    cr_expect_eq(result.requests, 50 * CLIENT_REQUESTS);
    cr_expect_eq(result.wrong, 0, "%s", result.first_wrong);
    stack_down(&s);
}
