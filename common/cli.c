#include "cli.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "version.h"

static void usage(const struct cli *cli) {
    const char *name = cli->program;
    printf("usage: %s [FILE] [--option value ...]\n"
           "       %s -t [FILE] [--option value ...]   check %s, then exit\n"
           "       %s --help | --version\n\n"
           "Options, as in FILE and after '--':\n\n",
           name, name, cli->checks, name);
    conf_print(cli->rows, cli->rows_count);
}

enum cli_wish cli_read(const struct cli *cli, int argc, char **argv, void *conf,
                       const char **file_out) {
    const char *first = argc > 1 ? argv[1] : "";
    *file_out = "";
    if (!conf_init(cli->rows, cli->rows_count, conf)) {
        fprintf(stderr, "%s: out of memory\n", cli->program);
        return CLI_BAD;
    }
    if (strcmp(first, "--help") == 0) {
        usage(cli);
        return CLI_SAID;
    }
    if (strcmp(first, "--version") == 0) {
        printf("%s %s\n", cli->program, RINGFENCE_VERSION);
        return CLI_SAID;
    }
    bool checks = strcmp(first, "-t") == 0;
    struct conf_error error;
    argc -= checks;
    argv += checks; /* conf_args() looks behind the first word only */
    if (!conf_args(cli->rows, cli->rows_count, conf, argc, argv, &error)) {
        fprintf(stderr, "%s: %s\n", cli->program, error.text);
        return CLI_BAD;
    }
    if (argc > 1 && argv[1][0] != '-')
        *file_out = argv[1];
    return checks ? CLI_CHECK : CLI_RUN;
}
