/*
 * cli: what the command line of a daemon says, before it runs: --help, --version, -t, a file and
 * options. Knows no daemon.
 */
#ifndef RINGFENCE_CLI_H
#define RINGFENCE_CLI_H

#include <stddef.h>

struct conf_row;

enum { CLI_EXIT_CONFIG = 6 }; /* exit status after a configuration that cannot be used */

struct cli {
    const char *program, *checks; /* "ringfence-node"; what -t checks: "the configuration" */
    const struct conf_row *rows;  /* see conf.h */
    size_t rows_count;
};

enum cli_wish {
    CLI_RUN,
    CLI_CHECK, /* -t: check what can be checked, and end */
    CLI_SAID,  /* help or version was printed: end */
    CLI_BAD,   /* the reason was printed: end with CLI_EXIT_CONFIG */
};

/** cli_read(cli, argc, argv, conf, file_out): defaults, then the file, then the options, into
 * `conf`, which is initialised in any case (conf_release() it). `*file_out`: the file's name, of
 * argv; "" without one. */
enum cli_wish cli_read(const struct cli *cli, int argc, char **argv, void *conf,
                       const char **file_out);

#endif
