#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../../common/clock.h"
#include "../../common/log.h"

/* stderr goes to a file of its own from here on; lines() reads what came. */
static int keep = -1, file = -1;

static void catch_stderr(void) {
    char path[] = "/tmp/log-XXXXXX";
    unsetenv("JOURNAL_STREAM");
    keep = dup(STDERR_FILENO);
    file = mkostemp(path, O_APPEND);
    cr_assert_geq(file, 0);
    unlink(path);
    dup2(file, STDERR_FILENO);
}

static char *lines(void) {
    static char text[4 << 20];
    dup2(keep, STDERR_FILENO);
    ssize_t n = pread(file, text, sizeof(text) - 1, 0);
    cr_assert_geq(n, 0);
    text[n] = '\0';
    return text;
}

static bool matches(const char *text, const char *pattern) {
    regex_t regex;
    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool matched = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return matched;
}

TestSuite(log, .init = catch_stderr);

Test(log, writes_time_level_event_and_pairs_on_one_line) {
    setenv("TZ", "Asia/Tokyo", 1);
    tzset();
    time_t before = time(NULL);
    log_event(LOG_LEVEL_WARN, "ring_reloaded", "epoch=%d why=\"%s\"", 7, "a b");
    const char *text = lines();
    cr_assert(matches(text, "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
                            "warn ring_reloaded epoch=7 why=\"a b\"\n$"),
              "%s", text);
    struct tm utc = {0};
    cr_assert_not_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &utc));
    time_t said = timegm(&utc);
    cr_assert(said >= before && said <= time(NULL) + 1, "%s is UTC", text);
}

Test(log, leaves_out_what_is_below_its_level) {
    log_event(LOG_LEVEL_DEBUG, "by_default_not", "x=1");
    log_event(LOG_LEVEL_INFO, "by_default", "x=1");
    log_set_level(LOG_LEVEL_ERROR);
    log_event(LOG_LEVEL_WARN, "too_low", "x=1");
    log_event(LOG_LEVEL_ERROR, "high", "x=1");
    log_set_level(LOG_LEVEL_DEBUG);
    log_event(LOG_LEVEL_DEBUG, "now_it_is", "x=1");
    cr_assert(matches(lines(), "^[^\n]* info by_default x=1\n[^\n]* error high x=1\n"
                               "[^\n]* debug now_it_is x=1\n$"),
              "%s", lines());
}

Test(log, stays_one_line_whatever_the_values_are) {
    log_event(LOG_LEVEL_INFO, "evil", "key=%s", "a\nb\r\x1b[31m\x7f\tc\xc3\xa9");
    const char *text = lines();
    cr_assert(matches(text, "^[^\n]* info evil key=a\\?b\\?\\?\\[31m\\?\\?c\xc3\xa9\n$"), "%s",
              text);
}

Test(log, cuts_a_line_that_is_too_long) {
    static const size_t LENGTHS[] = {1900, 1950, 1960, 1970, 1999, 2000, 2001, 100000};
    char *value = malloc(100001);
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
        memset(value, 'x', LENGTHS[i]);
        value[LENGTHS[i]] = '\0';
        log_event(LOG_LEVEL_INFO, "long", "v=%s", value);
    }
    free(value);
    const char *text = lines();
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
        size_t len = strcspn(text, "\n"), head = strlen("2000-01-01T00:00:00.000Z info long v=");
        cr_assert_eq(text[len], '\n');
        cr_assert_eq(len + 1, head + LENGTHS[i] < 1999 ? head + LENGTHS[i] + 1 : 2000, "%zu: %zu",
                     LENGTHS[i], len);
        text += len + 1;
    }
    cr_assert_eq(*text, '\0');
}

Test(log, tells_the_journal_how_grave_a_line_is) {
    setenv("JOURNAL_STREAM", "8:1", 1);
    log_set_level(LOG_LEVEL_DEBUG);
    for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++)
        log_event((enum log_level)level, "e", "x=1");
    const char *text = lines();
    cr_assert(matches(text, "^<7>2[^\n]* debug e x=1\n<6>2[^\n]* info e x=1\n"
                            "<4>2[^\n]* warn e x=1\n<3>2[^\n]* error e x=1\n$"),
              "%s", text);
}

Test(log, knows_its_levels_by_name) {
    static const char *const NAMES[] = {"debug", "info", "warn", "error"};
    dup2(keep, STDERR_FILENO);
    enum log_level level;
    for (int i = 0; i < 4; i++) {
        cr_assert(log_level_from_name(NAMES[i], &level));
        cr_assert_eq((int)level, i);
    }
    cr_assert_not(log_level_from_name("warning", &level));
    cr_assert_not(log_level_from_name("", &level));
    cr_assert_not(log_level_from_name("INFO", &level));
}

enum { THREADS = 4, LINES_EACH = 3000 };

static pthread_barrier_t start;

static void *write_lines(void *name) {
    pthread_barrier_wait(&start);
    for (int i = 0; i < LINES_EACH; i++)
        log_event(LOG_LEVEL_INFO, "from", "t=%s%s%s%s i=%d.", (char *)name, (char *)name,
                  (char *)name, (char *)name, i);
    return NULL;
}

Test(log, keeps_lines_of_several_threads_whole, .timeout = 60) {
    static char names[THREADS][30];
    pthread_t threads[THREADS];
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        memset(names[i], 'a' + i, sizeof(names[i]) - 1);
        cr_assert_eq(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    int next[THREADS] = {0};
    for (char *at = lines(), *end; *at != '\0'; at = end + 1) {
        end = strchr(at, '\n');
        cr_assert_not_null(end);
        *end = '\0';
        const char *pair = strstr(at, " info from t=");
        cr_assert_not_null(pair, "%s", at);
        int thread = pair[13] - 'a';
        char wanted[300];
        cr_assert(thread >= 0 && thread < THREADS, "%s", at);
        const char *n = names[thread];
        snprintf(wanted, sizeof(wanted), " info from t=%s%s%s%s i=%d.", n, n, n, n, next[thread]++);
        cr_assert_str_eq(pair, wanted);
    }
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(next[i], LINES_EACH);
}

Test(clock, reads_four_clocks) {
    int64_t mono_us = clock_mono_us(), mono_ms = clock_mono_ms();
    cr_assert_leq(mono_us, clock_mono_us());
    cr_assert(mono_ms >= mono_us / 1000 && mono_ms <= clock_mono_us() / 1000);
    int64_t before_s = time(NULL), wall_us = clock_wall_us(), wall_ms = clock_wall_ms();
    cr_assert(wall_us / 1000000 >= before_s && wall_us / 1000 <= wall_ms);
    cr_assert_leq(wall_ms / 1000, time(NULL) + 1, "time() is up to a tick behind");
}
