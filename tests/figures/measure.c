#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../harness/program.h"

int measure_repeats(void) {
    const char *value = getenv("FIGURES_REPEATS");
    return value != NULL && atoi(value) > 0 ? atoi(value) : 10;
}

static int by_size(const void *a, const void *b) {
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

double measure_percentile(double *values, int count, int percent) {
    qsort(values, (size_t)count, sizeof(*values), by_size);
    int at = count * percent / 100;
    return values[at < count ? at : count - 1];
}

/* ---- /proc ---- */

int64_t measure_status_kb(pid_t pid, const char *field) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    char *text = program_file_text(path), *at = strstr(text, field);
    int64_t kb = at == NULL ? -1 : atoll(at + strlen(field) + 1);
    free(text);
    return kb;
}

double measure_cpu_seconds(pid_t pid) {
    char path[64];
    unsigned long long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    char *text = program_file_text(path), *at = strrchr(text, ')');
    if (at != NULL)
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
    free(text);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

uint64_t measure_may_open(rlim_t files) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = files < limit.rlim_max ? files : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
