/*
 * micro: what the micro benchmarks have in common. Without arguments a program prints, for each of
 * its benches, nanoseconds per call (the best of several rounds); `PROGRAM NAME CALLS` runs one
 * bench for so many calls and prints nothing: for counting instructions (bench/counts.py).
 */
#ifndef RINGFENCE_BENCH_MICRO_H
#define RINGFENCE_BENCH_MICRO_H

#include <stddef.h>
#include <stdint.h>

struct micro {
    const char *name;
    uint64_t (*run)(void *ctx, uint64_t calls); /* returns something that depends on the work */
};

/** micro_main(argc, argv, benches, count, ctx): the program; returns its exit code: 0, or 2 for
 * arguments that mean nothing. `--list` prints the names. */
int micro_main(int argc, char **argv, const struct micro *benches, size_t count, void *ctx);

#endif
