#include "ctl.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "../common/users.h"
#include "../common/version.h"
#include "purge_command.h"
#include "ring_command.h"
#include "user_command.h"

struct row {
    const char *words[2]; /* the command's name */
    const char *args;     /* as help shows them */
    int args_min, args_max;
    ctl_command_fn *run;
    const char *help; /* one line */
};

static const struct row ROWS[] = {
    {{"ring", "check"},
     "FILE",
     1,
     1,
     ring_command_check,
     "Read a ring file: say that it is fine, or which line is not and why."},
    {{"ring", "show"},
     "FILE",
     1,
     1,
     ring_command_show,
     "Its nodes: address, weight, state and exact share of the keys."},
    {{"ring", "diff"},
     "OLD NEW",
     2,
     2,
     ring_command_diff,
     "What an edit changes, and the exact share of the keys that move."},
    {{"ring", "owner"},
     "FILE KEY...",
     2,
     INT_MAX,
     ring_command_owner,
     "The node that owns a key, and who is asked next when it is down."},
    {{"user", "line"},
     "NAME ROLE [PREFIX...]",
     2,
     2 + USER_PREFIXES_MAX,
     user_command_line,
     "A line for the users file; the password comes from standard input."},
    {{"user", "check"},
     "FILE",
     1,
     1,
     user_command_check,
     "Read a users file: say that it is fine, or which line is not and why."},
    {{"purge", "--older-than"},
     "AGE [CONNINFO [TABLE]]",
     1,
     3,
     purge_command,
     "Delete rows that are not active and were not changed for so long, such as 30d."},
};
enum { ROWS_COUNT = sizeof(ROWS) / sizeof(ROWS[0]) };

static void print_row(FILE *to, const struct row *row) {
    char usage[80];
    snprintf(usage, sizeof(usage), "%s %s %s", row->words[0], row->words[1], row->args);
    fprintf(to, "  %-41s  %s\n", usage, row->help);
}

static void print_help(FILE *to) {
    fprintf(to, "usage: ringfence-ctl COMMAND [ARGUMENT ...]\n"
                "       ringfence-ctl --help | --version\n\n");
    for (size_t i = 0; i < ROWS_COUNT; i++)
        print_row(to, &ROWS[i]);
    fprintf(to, "\nExit status: %d fine, %d failed, %d wrong usage, %d a file is wrong.\n", CTL_OK,
            CTL_FAILED, CTL_USAGE, CTL_BAD_FILE);
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static const struct row *find(int argc, char **argv) {
    for (size_t i = 0; argc > 2 && i < ROWS_COUNT; i++) {
        if (strcmp(argv[1], ROWS[i].words[0]) == 0 && strcmp(argv[2], ROWS[i].words[1]) == 0)
            return &ROWS[i];
    }
    return NULL;
}

static enum ctl_status dispatch(const struct ctl_io *io, int argc, char **argv) {
    if (argc < 2) {
        print_help(io->err);
        return CTL_USAGE;
    }
    if (is_help(argv[1]) || strcmp(argv[1], "help") == 0 || (argc == 3 && is_help(argv[2]))) {
        print_help(io->out);
        return CTL_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        fprintf(io->out, "ringfence-ctl %s\n", RINGFENCE_VERSION);
        return CTL_OK;
    }
    const struct row *row = find(argc, argv);
    if (row == NULL) {
        fprintf(io->err, "ringfence-ctl: unknown command '%s%s%s'; --help lists them\n", argv[1],
                argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
        return CTL_USAGE;
    }
    if (argc > 3 && is_help(argv[3])) {
        print_row(io->out, row);
        return CTL_OK;
    }
    if (argc - 3 < row->args_min || argc - 3 > row->args_max) {
        fprintf(io->err, "usage: ringfence-ctl %s %s %s\n", row->words[0], row->words[1],
                row->args);
        return CTL_USAGE;
    }
    return row->run(io, argc - 3, argv + 3);
}

enum ctl_status ctl_run(const struct ctl_io *io, int argc, char **argv) {
    enum ctl_status status = dispatch(io, argc, argv);
    if ((fflush(io->out) != 0 || ferror(io->out)) && status == CTL_OK) {
        fprintf(io->err, "ringfence-ctl: the output could not be written\n");
        return CTL_FAILED;
    }
    return status;
}
