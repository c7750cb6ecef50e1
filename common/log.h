/*
 * log: one line per event on stderr: UTC time with ms, level, event name, then key=value pairs.
 * Never payloads, never passwords; keys only at debug level. Thread-safe: one write(2) per line.
 */
#ifndef RINGFENCE_LOG_H
#define RINGFENCE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/** log_set_level(level): drop lines below `level` (default info). */
void log_set_level(enum log_level level);

/** log_level_from_name(name, out): "debug", "info", "warn", "error". Returns false on another name.
 */
bool log_level_from_name(const char *name, enum log_level *out);

/**
 * log_event(level, event, fmt, ...): one line. `event` is a short fixed name ("ring_reloaded");
 * `fmt` makes the key=value pairs (values with blanks in double quotes). Control characters in the
 * result are replaced, so that a line stays one line. Lines above 2,000 bytes are cut. With
 * JOURNAL_STREAM set each line carries systemd's <N> priority prefix.
 */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
