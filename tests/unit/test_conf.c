#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../common/conf.h"

struct sample {
    int64_t port, low, memory, level;
    bool watch;
    char *name, *secret;
};

static const char *const LEVELS[] = {"debug", "info", "warn", NULL};
static const struct conf_row ROWS[] = {
    {"port", CONF_INT, offsetof(struct sample, port), "6379", 1, 65535, "", NULL, 0, "A port."},
    {"low", CONF_INT, offsetof(struct sample, low), "-5", INT64_MIN, 10, "ms", NULL, 0, "Low."},
    {"memory", CONF_BYTES, offsetof(struct sample, memory), "1mb", 1024, INT64_MAX, "bytes", NULL,
     CONF_RELOADABLE, "Memory."},
    {"level", CONF_CHOICE, offsetof(struct sample, level), "info", 0, 0, "", LEVELS, 0, "Level."},
    {"watch", CONF_BOOL, offsetof(struct sample, watch), "yes", 0, 0, "", NULL, 0, "Watch it."},
    {"name", CONF_STRING, offsetof(struct sample, name), "node1", 0, 0, "", NULL, 0, "A name."},
    {"secret", CONF_STRING, offsetof(struct sample, secret), "", 0, 0, "", NULL, CONF_SECRET,
     "A secret."},
};
enum { COUNT = sizeof(ROWS) / sizeof(ROWS[0]) };

static struct sample fresh(void) {
    struct sample c;
    memset(&c, 0xA5, sizeof(c));
    conf_init(ROWS, COUNT, &c);
    return c;
}

/* All values, as one text. */
static const char *show(const struct sample *c) {
    static char text[600];
    size_t at = 0;
    for (size_t i = 0; i < COUNT; i++) {
        char value[100];
        conf_get(&ROWS[i], c, value, sizeof(value));
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i == 0 ? "" : " ", value);
    }
    return text;
}

static const char DEFAULTS[] = "6379 -5 1048576 info yes node1 ";

Test(conf, begins_with_the_defaults) {
    struct sample c = fresh();
    cr_assert_eq(c.port, 6379);
    cr_assert_eq(c.low, -5);
    cr_assert_eq(c.memory, 1 << 20);
    cr_assert_eq(c.level, 1);
    cr_assert(c.watch);
    cr_assert_str_eq(c.name, "node1");
    cr_assert_str_eq(c.secret, "");
    cr_assert_str_eq(show(&c), DEFAULTS);
    conf_release(ROWS, COUNT, &c);
    cr_assert_null(c.name);
    cr_assert_null(c.secret);
}

static const struct {
    const char *name, *value, *shown; /* shown: the value as conf_get() has it afterwards */
} GOOD[] = {
    {"port", "1", "1"},
    {"port", "65535", "65535"},
    {"port", "080", "80"},
    {"low", "-9223372036854775808", "-9223372036854775808"},
    {"low", "10", "10"},
    {"memory", "1024", "1024"},
    {"memory", "1kb", "1024"},
    {"memory", "3KB", "3072"},
    {"memory", "2mb", "2097152"},
    {"memory", "2gb", "2147483648"},
    {"memory", "5000b", "5000"},
    {"memory", "9223372036854775807", "9223372036854775807"},
    {"level", "debug", "debug"},
    {"level", "warn", "warn"},
    {"watch", "no", "no"},
    {"watch", "yes", "yes"},
    {"name", "", ""},
    {"name", "two words", "two words"},
    {"secret", "hunter2", ""},
};

Test(conf, takes_values_of_each_type) {
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct sample c = fresh();
        struct conf_error error = {"none"};
        cr_expect(conf_set(ROWS, COUNT, &c, GOOD[i].name, GOOD[i].value, &error), "%s %s: %s",
                  GOOD[i].name, GOOD[i].value, error.text);
        for (size_t r = 0; r < COUNT; r++) {
            char value[100];
            conf_get(&ROWS[r], &c, value, sizeof(value));
            if (strcmp(ROWS[r].name, GOOD[i].name) == 0)
                cr_expect_str_eq(value, GOOD[i].shown, "%s %s", GOOD[i].name, GOOD[i].value);
        }
        if (strcmp(GOOD[i].name, "secret") == 0)
            cr_expect_str_eq(c.secret, "hunter2", "kept, though not shown");
        conf_release(ROWS, COUNT, &c);
    }
}

static const struct {
    const char *name, *value, *why;
} BAD[] = {
    {"port", "0", "port: '0' is not a whole number from 1 to 65535"},
    {"port", "65536", "port: '65536' is not a whole number from 1 to 65535"},
    {"port", "", "port: '' is not a whole number from 1 to 65535"},
    {"port", "x", "port: 'x' is not a whole number from 1 to 65535"},
    {"port", "1x", "port: '1x' is not a whole number from 1 to 65535"},
    {"port", "1kb", "port: '1kb' is not a whole number from 1 to 65535"},
    {"port", "1.5", "port: '1.5' is not a whole number from 1 to 65535"},
    {"port", " 1", "port: ' 1' is not a whole number from 1 to 65535"},
    {"port", "+1", "port: '+1' is not a whole number from 1 to 65535"},
    {"port", "1 ", "port: '1 ' is not a whole number from 1 to 65535"},
    {"port", "99999999999999999999",
     "port: '99999999999999999999' is not a whole number from 1 to 65535"},
    {"low", "", "low: '' is not a whole number from -9223372036854775808 to 10 ms"},
    {"low", "-9223372036854775809",
     "low: '-9223372036854775809' is not a whole number from -9223372036854775808 to 10 ms"},
    {"low", "11", "low: '11' is not a whole number from -9223372036854775808 to 10 ms"},
    {"memory", "1023",
     "memory: '1023' is not a size (kb, mb, gb allowed) from 1024 to 9223372036854775807 bytes"},
    {"memory", "1tb",
     "memory: '1tb' is not a size (kb, mb, gb allowed) from 1024 to 9223372036854775807 bytes"},
    {"memory", "8589934592gb", /* 2^63 */
     "memory: '8589934592gb' is not a size (kb, mb, gb allowed) from 1024 to 9223372036854775807 "
     "bytes"},
    {"memory", "18014398509481985kb", /* 1 kb, wrapped */
     "memory: '18014398509481985kb' is not a size (kb, mb, gb allowed) from 1024 to "
     "9223372036854775807 bytes"},
    {"memory", "mb",
     "memory: 'mb' is not a size (kb, mb, gb allowed) from 1024 to 9223372036854775807 bytes"},
    {"level", "loud", "level: 'loud' is none of debug, info, warn"},
    {"level", "", "level: '' is none of debug, info, warn"},
    {"level", "Info", "level: 'Info' is none of debug, info, warn"},
    {"watch", "true", "watch: 'true' is neither yes nor no"},
    {"watch", "", "watch: '' is neither yes nor no"},
    {"colour", "red", "unknown option 'colour'"},
    {"", "red", "unknown option ''"},
};

Test(conf, refuses_bad_values_with_what_is_allowed_and_changes_nothing) {
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct sample c = fresh();
        struct conf_error error = {"none"};
        cr_expect_not(conf_set(ROWS, COUNT, &c, BAD[i].name, BAD[i].value, &error), "%s %s",
                      BAD[i].name, BAD[i].value);
        cr_expect_str_eq(error.text, BAD[i].why, "%s", error.text);
        cr_expect_str_eq(show(&c), DEFAULTS, "%s %s", BAD[i].name, BAD[i].value);
        conf_release(ROWS, COUNT, &c);
    }
}

Test(conf, cuts_values_at_the_size_given) {
    struct sample c = fresh();
    char text[4] = "xxx";
    conf_get(&ROWS[5], &c, text, sizeof(text));
    cr_assert_str_eq(text, "nod");
    conf_release(ROWS, COUNT, &c);
}

/* ---- files ---- */

static void write_file(char *path, const char *text, size_t len) {
    strcpy(path, "/tmp/conf-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

/* Loads a text; returns the error behind the path, or NULL. The values are left in show(). */
static const char *load(const char *text, size_t len, char *shown) {
    static struct conf_error error;
    struct sample c = fresh();
    char path[32];
    write_file(path, text, len);
    bool loaded = conf_load(ROWS, COUNT, &c, path, &error);
    strcpy(shown, loaded ? show(&c) : "");
    conf_release(ROWS, COUNT, &c);
    unlink(path);
    if (loaded)
        return NULL;
    cr_assert_eq(strncmp(error.text, path, strlen(path)), 0, "%s", error.text);
    return error.text + strlen(path);
}

static const struct {
    const char *text, *shown;
} FILES[] = {
    {"", DEFAULTS},
    {"\n  \n\t\n# port 1\n   # x", DEFAULTS},
    {"port 1\nname \"two words\"\nlevel warn", "1 -5 1048576 warn yes two words "},
    {"port 1\r\nwatch no\r\n", "1 -5 1048576 info no node1 "},
    {"  port\t 1  # the first\n", "1 -5 1048576 info yes node1 "},
    {"name \"a # b\" # c\n", "6379 -5 1048576 info yes a # b "},
    {"name a#b#\n", "6379 -5 1048576 info yes a#b# "},
    {"name \"\"\n", "6379 -5 1048576 info yes  "},
};

Test(conf, reads_files) {
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        char shown[600];
        const char *why = load(FILES[i].text, strlen(FILES[i].text), shown);
        cr_expect_null(why, "%s: %s", FILES[i].text, why);
        cr_expect_str_eq(shown, FILES[i].shown, "%s: %s", FILES[i].text, shown);
    }
}

static const struct {
    struct span text;
    const char *why;
} BAD_FILES[] = {
    {SPAN("port 1\n\n# x\nport 2\n"), ":4: port was given before"},
    {SPAN("port 0\n"), ":1: port: '0' is not a whole number from 1 to 65535"},
    {SPAN("watch no\ncolour red\n"), ":2: unknown option 'colour'"},
    {SPAN("port\n"), ":1: an option needs a value"},
    {SPAN("port  \n"), ":1: an option needs a value"},
    {SPAN("port # 1\n"), ":1: an option needs a value"},
    {SPAN("port 1# x\n"), ":1: one option a line (values with blanks go in double quotes)"},
    {SPAN("name \"a\n"), ":1: a quote does not end"},
    {SPAN("name a b\n"), ":1: one option a line (values with blanks go in double quotes)"},
    {SPAN("name \"a\"b\n"), ":1: one option a line (values with blanks go in double quotes)"},
    {SPAN("port 1\nname a\0b\n"), ":2: a byte that is no text"},
    {SPAN("port 1\0\nname a\n"), ":1: a byte that is no text"},
};

Test(conf, names_the_line_of_a_bad_file) {
    for (size_t i = 0; i < sizeof(BAD_FILES) / sizeof(BAD_FILES[0]); i++) {
        char shown[600];
        const char *why = load(BAD_FILES[i].text.ptr, BAD_FILES[i].text.len, shown);
        cr_assert_not_null(why, "%s", BAD_FILES[i].text.ptr);
        cr_expect_str_eq(why, BAD_FILES[i].why, "%s: %s", BAD_FILES[i].text.ptr, why);
    }
}

/* A line may not be read as two. */
Test(conf, refuses_a_line_that_is_too_long) {
    static char text[5000];
    char shown[600];
    memset(text, 'x', sizeof(text));
    memcpy(text, "port 1\n# ", 9);
    memcpy(text + 7 + 4096, "\nlow 2\n", 7);
    const char *why = load(text, 7 + 4096 + 7, shown);
    cr_assert_not_null(why);
    cr_assert_str_eq(why, ":2: longer than 4095 bytes");
    memcpy(text + 7 + 4095, "\nlow 2\n", 7);
    why = load(text, 7 + 4095 + 7, shown);
    cr_assert_null(why, "%s", why);
    cr_assert_str_eq(shown, "1 2 1048576 info yes node1 ");
}

Test(conf, refuses_a_file_that_cannot_be_read) {
    struct sample c = fresh();
    struct conf_error error;
    cr_assert_not(conf_load(ROWS, COUNT, &c, "/nowhere/x.conf", &error));
    cr_assert_str_eq(error.text, "/nowhere/x.conf: No such file or directory");
    cr_assert_not(conf_load(ROWS, COUNT, &c, "/tmp", &error));
    cr_assert_str_eq(error.text, "/tmp: Is a directory");
    conf_release(ROWS, COUNT, &c);
}

/* ---- the command line ---- */

struct args_case {
    const char *words[6]; /* "FILE" stands for a file with port 7 and level warn */
    const char *wanted;   /* the values; or, behind a '!', the error */
};

static const struct args_case ARGS[] = {
    {{NULL}, DEFAULTS},
    {{"--port", "8", NULL}, "8 -5 1048576 info yes node1 "},
    {{"--port=8", "--name", "x y", NULL}, "8 -5 1048576 info yes x y "},
    {{"--name=a=b", NULL}, "6379 -5 1048576 info yes a=b "},
    {{"--name=", NULL}, "6379 -5 1048576 info yes  "},
    {{"--low", "-7", NULL}, "6379 -7 1048576 info yes node1 "},
    {{"FILE", NULL}, "7 -5 1048576 warn yes node1 "},
    {{"FILE", "--port", "8", NULL}, "8 -5 1048576 warn yes node1 "},
    {{"--port", "8", "FILE", NULL}, "8 -5 1048576 warn yes node1 "},
    {{"--port", "8", "--port", "9", NULL}, "9 -5 1048576 info yes node1 "},
    {{"--name", "FILE", NULL}, "6379 -5 1048576 info yes FILE "},
    {{"FILE", "FILE", NULL}, "!one configuration file, not 'FILE' too"},
    {{"--port", NULL}, "!--port needs a value"},
    {{"--port", "x", NULL}, "!port: 'x' is not a whole number from 1 to 65535"},
    {{"--colour", "red", NULL}, "!unknown option 'colour'"},
    {{"--colour=red", NULL}, "!unknown option 'colour'"},
    {{"--", NULL}, "!-- needs a value"},
    {{"/nowhere", NULL}, "!/nowhere: No such file or directory"},
};

Test(conf, reads_the_command_line_behind_the_file) {
    char path[32];
    write_file(path, "port 7\nlevel warn\n", 18);
    for (size_t i = 0; i < sizeof(ARGS) / sizeof(ARGS[0]); i++) {
        char *argv[8] = {"prog"}, wanted[200];
        int argc = 1;
        bool file_seen = false;
        for (; ARGS[i].words[argc - 1] != NULL; argc++) {
            bool is_file = strcmp(ARGS[i].words[argc - 1], "FILE") == 0 && !file_seen &&
                           strcmp(argv[argc - 1], "--name") != 0;
            argv[argc] = is_file ? path : (char *)(uintptr_t)ARGS[i].words[argc - 1];
            file_seen = file_seen || is_file;
        }
        struct sample c = fresh();
        struct conf_error error;
        bool taken = conf_args(ROWS, COUNT, &c, argc, argv, &error);
        snprintf(wanted, sizeof(wanted), "%s", ARGS[i].wanted + (ARGS[i].wanted[0] == '!'));
        cr_expect_eq(taken, ARGS[i].wanted[0] != '!', "%zu: %s", i, error.text);
        cr_expect_str_eq(taken ? show(&c) : error.text, wanted, "%zu: %s", i,
                         taken ? show(&c) : error.text);
        conf_release(ROWS, COUNT, &c);
    }
    unlink(path);
}

Test(conf, does_not_take_the_beginning_of_a_long_name_for_it) {
    static const struct conf_row LONG[] = {
        {"a-name-of-63-bytes-a-name-of-63-bytes-a-name-of-63-bytes-a-name", CONF_INT, 0, "1", 0, 9,
         "", NULL, 0, "Long."}};
    int64_t value;
    struct conf_error error;
    char word[100], *argv[] = {"prog", word};
    conf_init(LONG, 1, &value);
    snprintf(word, sizeof(word), "--%s=2", LONG[0].name);
    cr_assert(conf_args(LONG, 1, &value, 2, argv, &error), "%s", error.text);
    cr_assert_eq(value, 2);
    snprintf(word, sizeof(word), "--%sX=3", LONG[0].name);
    cr_assert_not(conf_args(LONG, 1, &value, 2, argv, &error));
    cr_assert_eq(value, 2);
}

Test(conf, prints_a_sample_that_says_everything, .init = cr_redirect_stdout) {
    conf_print(ROWS, COUNT);
    fflush(stdout);
    cr_assert_stdout_eq_str(
        "# A port.\n# (1 to 65535)\n# port 6379\n\n"
        "# Low.\n# (-9223372036854775808 to 10 ms)\n# low -5\n\n"
        "# Memory.\n# (from 1024 bytes; may change by CONFIG SET)\n# memory 1mb\n\n"
        "# Level.\n# (debug | info | warn)\n# level info\n\n"
        "# Watch it.\n# (yes | no)\n# watch yes\n\n"
        "# A name.\n# (text)\n# name node1\n\n"
        "# A secret.\n# (text)\n# secret \"\"\n\n");
}
