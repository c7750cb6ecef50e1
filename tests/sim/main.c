/*
 * simulate: seeded runs of a whole Ringfence (docs/simulation.md).
 *   simulate [--seeds N] [--from SEED] [--seconds N] [--failures N]    N runs, from that seed on
 *   simulate --seed SEED                                one run, with the end of its trace
 * --regime NAME: all of that kind; else each seed has its own.
 * The last line is `N passed, N failed`; a seed that fails is named and shown again with its trace.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../common/log.h"
#include "sim.h"
#include "sim_fakes.h"

static volatile uint64_t running;

/* An assertion or a fault in the code under test: say which seed it was. */
static void on_crash(int signo) {
    char text[64];
    int n = snprintf(text, sizeof(text), "seed %llu: crashed by signal %d\n",
                     (unsigned long long)running, signo);
    ssize_t ignored = write(STDOUT_FILENO, text, (size_t)n);
    (void)ignored;
    sim_crashed();
    signal(signo, SIG_DFL);
    raise(signo);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool run_one(uint64_t seed, const char *regime, bool trace, struct sim_result *result) {
    running = seed;
    sim_run(seed, regime, trace, result);
    return !result->failed;
}

static void show(uint64_t seed, const char *regime, const struct sim_result *first) {
    struct sim_result again;
    printf("seed %llu: %s\n", (unsigned long long)seed, first->violation);
    fflush(stdout);
    run_one(seed, regime, true, &again);
    if (!again.failed || strcmp(again.violation, first->violation) != 0)
        printf("seed %llu: it does not replay: %s\n", (unsigned long long)seed,
               again.failed ? again.violation : "nothing found");
}

static uint64_t number(const char *text) {
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "simulate: '%s' is no number\n", text);
        exit(2);
    }
    return n;
}

static const char *regime_of(const char *name) {
    for (unsigned i = 0; sim_regime(i) != NULL; i++) {
        if (strcmp(sim_regime(i), name) == 0)
            return sim_regime(i);
    }
    fprintf(stderr, "simulate: there is no regime '%s', but:", name);
    for (unsigned i = 0; sim_regime(i) != NULL; i++)
        fprintf(stderr, " %s", sim_regime(i));
    fprintf(stderr, "\n");
    exit(2);
}

int main(int argc, char **argv) {
    uint64_t seeds = 2000, from = 1, failures_max = 3, passed = 0, failed = 0, events = 0;
    double seconds_max = 1e9, start = seconds();
    const char *regime = NULL;
    bool one = false;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0)
            seeds = number(argv[i + 1]);
        else if (strcmp(argv[i], "--from") == 0)
            from = number(argv[i + 1]);
        else if (strcmp(argv[i], "--failures") == 0)
            failures_max = number(argv[i + 1]);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds_max = (double)number(argv[i + 1]);
        else if (strcmp(argv[i], "--regime") == 0)
            regime = regime_of(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            from = number(argv[i + 1]), one = true;
        else
            number(argv[i]);
    }
    log_set_level(one ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    mallopt(M_TRIM_THRESHOLD, 256 << 20); /* each run would take it again */
    mallopt(M_MMAP_THRESHOLD, 16 << 20);
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    for (uint64_t i = 0; i < (one ? 1 : seeds) && failed < failures_max; i++) {
        struct sim_result result;
        if (run_one(from + i, regime, one, &result)) {
            passed++;
        } else {
            failed++;
            if (one)
                printf("seed %llu: %s\n", (unsigned long long)from, result.violation);
            else
                show(from + i, regime, &result);
        }
        events += result.events;
        if (seconds() - start > seconds_max)
            break;
    }
    double took = seconds() - start;
    printf("%llu seeds from %llu in %.1f s, %.1f events a seed, %.0f seeds/s\n",
           (unsigned long long)(passed + failed), (unsigned long long)from, took,
           (double)events / (double)(passed + failed), (double)(passed + failed) / took);
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    sim_release();
    sim_rings_release();
    return failed == 0 ? 0 : 1;
}
