/* cpu: CPU time of other processes, as the kernel accounts it. */
#ifndef RINGFENCE_BENCH_CPU_H
#define RINGFENCE_BENCH_CPU_H

#include <stdint.h>

/** cpu_ns(pid): nanoseconds that a process has run, all threads (its CPU clock); 0 when it is not
 * there. */
uint64_t cpu_ns(int pid);

/** cpu_rss_bytes(pid): its resident memory; 0 when it is not there. */
uint64_t cpu_rss_bytes(int pid);

#endif
