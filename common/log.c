#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum { LINE_BYTES_MAX = 2000 };

/* The one piece of state that a process shares: what it was told to leave out. */
static _Atomic int least_level = LOG_LEVEL_INFO;

static const struct {
    const char *name;
    int priority; /* syslog's, for the journal */
} LEVELS[] = {
    [LOG_LEVEL_DEBUG] = {"debug", 7},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_WARN] = {"warn", 4},
    [LOG_LEVEL_ERROR] = {"error", 3},
};

void log_set_level(enum log_level level) {
    atomic_store(&least_level, (int)level);
}

bool log_level_from_name(const char *name, enum log_level *out) {
    for (size_t i = 0; i < sizeof(LEVELS) / sizeof(LEVELS[0]); i++) {
        if (strcmp(name, LEVELS[i].name) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static size_t write_head(char *line, enum log_level level, const char *event) {
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t at = 0;
    if (getenv("JOURNAL_STREAM") != NULL)
        at = (size_t)snprintf(line, LINE_BYTES_MAX, "<%d>", LEVELS[level].priority);
    at += strftime(line + at, LINE_BYTES_MAX - at, "%Y-%m-%dT%H:%M:%S", &utc);
    at += (size_t)snprintf(line + at, LINE_BYTES_MAX - at, ".%03dZ %s %.64s ", (int)(now_ms % 1000),
                           LEVELS[level].name, event);
    return at;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...) {
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    char line[LINE_BYTES_MAX + 1];
    size_t at = write_head(line, level, event);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line + at, LINE_BYTES_MAX - at, fmt, args);
    va_end(args);
    at += n < 0 ? 0 : (size_t)n < LINE_BYTES_MAX - at ? (size_t)n : LINE_BYTES_MAX - at - 1;
    for (size_t i = 0; i < at; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    }
    line[at++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, at); /* nowhere to report a failed report */
    (void)ignored;
}
