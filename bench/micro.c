#include "micro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALLS = 200000, ROUNDS = 9 };

static volatile uint64_t sink; /* so that no work is optimised away */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others may use the machine */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void measure(const struct micro *m, void *ctx) {
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t began = now_ns();
        sink += m->run(ctx, CALLS);
        uint64_t took = now_ns() - began;
        best = took < best ? took : best;
    }
    printf("%-20s %7.1f ns\n", m->name, (double)best / CALLS);
}

int micro_main(int argc, char **argv, const struct micro *benches, size_t count, void *ctx) {
    for (size_t i = 0; i < count; i++) {
        if (argc == 1)
            measure(&benches[i], ctx);
        else if (argc == 2 && strcmp(argv[1], "--list") == 0)
            puts(benches[i].name);
        else if (argc == 3 && strcmp(argv[1], benches[i].name) == 0)
            sink += benches[i].run(ctx, strtoull(argv[2], NULL, 10));
        else
            continue;
        if (argc == 3)
            return 0;
    }
    if (argc == 1 || (argc == 2 && strcmp(argv[1], "--list") == 0))
        return 0;
    fprintf(stderr, "usage: %s [--list | NAME CALLS]\n", argv[0]);
    return 2;
}
