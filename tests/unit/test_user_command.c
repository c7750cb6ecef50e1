#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/users.h"
#include "../../ctl/ctl.h"

enum { ARGS_MAX = 32 };

struct result {
    char *out, *err;
    enum ctl_status status;
};

/* `text` is words parted by single blanks; `input` is what stands on standard input. */
static struct result run(const char *text, const char *input) {
    static char room[4096];
    char *argv[ARGS_MAX] = {(char *)"ringfence-ctl"}, *rest = room;
    int argc = 1;
    struct result r = {NULL, NULL, CTL_OK};
    size_t out_len, err_len;
    snprintf(room, sizeof(room), "%s", text);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = word;
    FILE *in = tmpfile();
    fputs(input, in);
    rewind(in);
    struct ctl_io io = {open_memstream(&r.out, &out_len), open_memstream(&r.err, &err_len), in};
    r.status = ctl_run(&io, argc, argv);
    fclose(io.out);
    fclose(io.err);
    fclose(in);
    return r;
}

static void release(struct result *r) {
    free(r->out);
    free(r->err);
}

Test(user_command, line_makes_a_line_that_the_password_opens) {
    struct users_error error = {{0}};
    struct result r = run("user line app write app: x", "s3cret word\nmore\n");
    cr_assert_eq(r.status, CTL_OK, "%s", r.err);
    cr_assert_str_eq(r.err, "");
    cr_assert_eq(strncmp(r.out, "user app role=write prefix=app: prefix=x pbkdf2=4096:", 53), 0);
    cr_assert_null(strstr(r.out, "s3cret"));
    struct users *users = users_parse(span_str(r.out), "u", &error);
    cr_assert_not_null(users, "%s", error.text);
    const struct user *app = users_find(users, SPAN("app"));
    cr_assert(digest_matches(&app->digests[0], SPAN("s3cret word")));
    cr_assert_not(digest_matches(&app->digests[0], SPAN("s3cret word\n")));
    cr_assert_eq(app->prefixes_count, 2);
    users_free(&users);
    release(&r);
}

Test(user_command, what_cannot_be_is_refused_and_said) {
    char long_one[700];
    memset(long_one, 'p', sizeof(long_one) - 1);
    long_one[sizeof(long_one) - 1] = '\0';
    const char *const CASES[][3] = {
        {"user line app root", "x\n", "role=read, role=write or role=admin"},
        {"user line a/b read", "x\n", "letters, digits"},
        {"user line app read a\tb", "x\n", "a word with a blank in it"},
        {"user line app read nopass", "", "no password on standard input"},
        {"user line app read", "", "no password on standard input"},
        {"user line app read", "\n", "no password on standard input"},
        {"user line app read", long_one, "more than 511 bytes"},
        {"user line app", "x\n", "usage: ringfence-ctl user line NAME ROLE"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct result r = run(CASES[i][0], CASES[i][1]);
        cr_assert_eq(r.status, CTL_USAGE, "%s: %d", CASES[i][0], (int)r.status);
        cr_assert_not_null(strstr(r.err, CASES[i][2]), "%s: %s", CASES[i][0], r.err);
        cr_assert_str_eq(r.out, "");
        release(&r);
    }
}

Test(user_command, check_says_what_a_proxy_would_say) {
    char path[] = "/tmp/test_user_command_XXXXXX", command[64], want[128];
    int fd = mkstemp(path);
    snprintf(command, sizeof(command), "user check %s", path);
    struct result made = run("user line app read", "x");
    dprintf(fd, "%s", made.out);
    struct result r = run(command, "");
    snprintf(want, sizeof(want), "%s: fine: 1 user\n", path);
    cr_assert_str_eq(r.out, want);
    cr_assert_eq(r.status, CTL_OK);
    release(&r);
    dprintf(fd, "user b\n");
    close(fd);
    r = run(command, "");
    snprintf(want, sizeof(want), "%s:2: user 'b' has no role= (read, write or admin)\n", path);
    cr_assert_str_eq(r.err, want);
    cr_assert_eq(r.status, CTL_BAD_FILE);
    release(&r);
    release(&made);
    unlink(path);
}
