// needs: common/conf.c common/span.c
/* The configuration file: a conf whose values keep their bounds, or a text that says why not. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../common/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct sample {
    int64_t port, memory, level;
    bool watch;
    char *name, *secret;
};

static const char *const LEVELS[] = {"debug", "info", NULL};
static const struct conf_row ROWS[] = {
    {"port", CONF_INT, offsetof(struct sample, port), "6379", 1, 65535, "", NULL, 0, "port"},
    {"memory", CONF_BYTES, offsetof(struct sample, memory), "1mb", 1024, INT64_MAX, "bytes", NULL,
     CONF_RELOADABLE, "memory"},
    {"watch", CONF_BOOL, offsetof(struct sample, watch), "yes", 0, 0, "", NULL, 0, "watch"},
    {"name", CONF_STRING, offsetof(struct sample, name), "", 0, 0, "", NULL, 0, "name"},
    {"secret", CONF_STRING, offsetof(struct sample, secret), "x", 0, 0, "", NULL, CONF_SECRET, "s"},
    {"level", CONF_CHOICE, offsetof(struct sample, level), "info", 0, 0, "", LEVELS, 0, "level"},
};
enum { ROWS_COUNT = sizeof(ROWS) / sizeof(ROWS[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    char path[64], text[128];
    int fd = memfd_create("conf", 0);
    if (fd < 0 || write(fd, input, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct sample conf;
    struct conf_error error = {{0}};
    conf_init(ROWS, ROWS_COUNT, &conf);
    if (conf_load(ROWS, ROWS_COUNT, &conf, path, &error)) {
        if (conf.port < 1 || conf.port > 65535 || conf.memory < 1024 || conf.level < 0 ||
            conf.level > 1 || conf.name == NULL)
            abort();
        for (size_t i = 0; i < ROWS_COUNT; i++)
            conf_get(&ROWS[i], &conf, text, sizeof(text));
    } else if (error.text[0] == '\0') {
        abort();
    }
    conf_release(ROWS, ROWS_COUNT, &conf);
    close(fd);
    return 0;
}
