/*
 * measure: what the figures share: how often, percentiles, what /proc says of a process.
 */
#ifndef RINGFENCE_MEASURE_H
#define RINGFENCE_MEASURE_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/** measure_repeats(): FIGURES_REPEATS, or 10. */
int measure_repeats(void);

/** measure_percentile(values, count, percent): sorts `values`; count > 0. */
double measure_percentile(double *values, int count, int percent);

/** measure_status_kb(pid, "VmRSS:"): a field of /proc/PID/status; -1 if it is not there. */
int64_t measure_status_kb(pid_t pid, const char *field);

/** measure_cpu_seconds(pid): what the process has used so far. */
double measure_cpu_seconds(pid_t pid);

/** measure_may_open(files): raise our own limit of open files to so many, or as far as it goes;
 * returns what it is then. */
uint64_t measure_may_open(rlim_t files);

#endif
