#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <unistd.h>

#include "../../common/cli.h"
#include "../../common/conf.h"
#include "../../common/version.h"

struct options {
    int64_t port;
    char *name;
};

static const struct conf_row ROWS[] = {
    {"port", CONF_INT, offsetof(struct options, port), "7", 0, 9, "", NULL, 0, "A port."},
    {"name", CONF_STRING, offsetof(struct options, name), "x", 0, 0, "", NULL, 0, "A name."},
};
static const struct cli CLI = {"ringfence-test", "the weather", ROWS, 2};
static struct options options;
static const char *file;

static void set_up(void) {
    cr_redirect_stdout();
    cr_redirect_stderr();
}

static void tear_down(void) {
    conf_release(ROWS, 2, &options);
}

TestSuite(cli, .init = set_up, .fini = tear_down);

#define READ(...) read_words((char *[]){"ringfence-test", ##__VA_ARGS__, NULL})

static enum cli_wish read_words(char **argv) {
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    enum cli_wish wish = cli_read(&CLI, argc, argv, &options, &file);
    fflush(stdout);
    fflush(stderr);
    return wish;
}

Test(cli, runs_with_the_defaults) {
    cr_assert_eq(READ(), CLI_RUN);
    cr_assert_eq(options.port, 7);
    cr_assert_str_eq(options.name, "x");
    cr_assert_str_eq(file, "");
}

Test(cli, takes_options_from_the_file_and_over_it) {
    char path[] = "/tmp/rf-cli-XXXXXX";
    int fd = mkstemp(path);
    dprintf(fd, "port 3\nname filed\n");
    close(fd);
    enum cli_wish wish = READ(path, "--port", "4");
    unlink(path);
    cr_assert_eq(wish, CLI_RUN);
    cr_assert_eq(options.port, 4);
    cr_assert_str_eq(options.name, "filed");
    cr_assert_str_eq(file, path);
}

Test(cli, only_checks_when_it_is_asked_to) {
    cr_assert_eq(READ("-t", "--port", "4"), CLI_CHECK);
    cr_assert_eq(options.port, 4);
    cr_assert_str_eq(file, "");
}

Test(cli, says_why_it_cannot) {
    cr_assert_eq(READ("--port", "10"), CLI_BAD);
    cr_assert_stderr_eq_str("ringfence-test: port: '10' is not a whole number from 0 to 9\n");
}

Test(cli, checks_say_why_it_cannot_too) {
    cr_assert_eq(READ("-t", "--bogus", "1"), CLI_BAD);
    cr_assert_stderr_eq_str("ringfence-test: unknown option 'bogus'\n");
}

Test(cli, says_its_version) {
    cr_assert_eq(READ("--version"), CLI_SAID);
    cr_assert_stdout_eq_str("ringfence-test " RINGFENCE_VERSION "\n");
}

Test(cli, helps) {
    char text[2000];
    cr_assert_eq(READ("--help"), CLI_SAID);
    FILE *out = cr_get_redirected_stdout();
    size_t n = fread(text, 1, sizeof(text) - 1, out);
    text[n] = '\0';
    cr_assert_eq(strncmp(text, "usage: ringfence-test [FILE]", 28), 0, "%s", text);
    cr_assert_not_null(strstr(text, "check the weather, then exit"), "%s", text);
    cr_assert_not_null(strstr(text, "# port 7"), "%s", text);
}
