#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/users.h"

#define PLAIN "sha256=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define OTHER "sha256=d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

static struct users *parse(const char *text) {
    struct users_error error = {{0}};
    struct users *users = users_parse(span_str(text), "u", &error);
    cr_assert_not_null(users, "%s", error.text);
    return users;
}

Test(users, a_line_says_name_role_prefixes_and_digests) {
    struct users *users = parse("# who\n\nuser app role=write prefix=app: prefix=x " PLAIN " " OTHER
                                " # the web servers\r\n"
                                "user default role=read nopass\n\tuser ops@x role=admin " PLAIN);
    cr_assert_eq(users_count(users), 3);
    const struct user *app = users_find(users, SPAN("app"));
    cr_assert_not_null(app);
    cr_assert_eq(app->role, USER_WRITE);
    cr_assert_eq(app->digests_count, 2);
    cr_assert(digest_matches(&app->digests[0], SPAN("secret")));
    cr_assert(digest_matches(&app->digests[1], SPAN("other")));
    cr_assert_eq(app->prefixes_count, 2);
    cr_assert_not(app->nopass);
    const struct user *anybody = users_find(users, SPAN("default"));
    cr_assert(anybody != NULL && anybody->nopass && anybody->role == USER_READ);
    cr_assert_eq(users_find(users, SPAN("ops@x"))->role, USER_ADMIN);
    cr_assert_null(users_find(users, SPAN("ap")));
    cr_assert_null(users_find(users, SPAN("app2")));
    cr_assert_null(users_find(users, SPAN("")));
    users_free(&users);
}

Test(users, a_key_is_covered_by_a_prefix_or_when_there_is_none) {
    struct users *users =
        parse("user a role=read prefix=app: prefix=* " PLAIN "\nuser b role=read " PLAIN);
    const struct user *a = users_find(users, SPAN("a")), *b = users_find(users, SPAN("b"));
    cr_assert(user_covers(a, SPAN("app:")));
    cr_assert(user_covers(a, SPAN("app:x")));
    cr_assert(user_covers(a, SPAN("*y"))); /* a prefix is no pattern */
    cr_assert_not(user_covers(a, SPAN("app")));
    cr_assert_not(user_covers(a, SPAN("App:x")));
    cr_assert_not(user_covers(a, SPAN("")));
    cr_assert_not(user_covers(a, SPAN("xapp:")));
    cr_assert(user_covers(b, SPAN("")));
    cr_assert(user_covers(b, SPAN("anything")));
    users_free(&users);
}

Test(users, what_is_wrong_is_said_with_its_line) {
    static const char *const CASES[][2] = {
        {"", "u: no user in it"},
        {"# none\n", "u: no user in it"},
        {"user", "u:1: 'user NAME role="},
        {"\nusr a role=read " PLAIN, "u:2: 'user NAME role="},
        {"user a " PLAIN, "u:1: user 'a' has no role="},
        {"user a role=root " PLAIN, "u:1: user 'a': role=read, role=write or role=admin, once"},
        {"user a role=read role=read " PLAIN, "once"},
        {"user a role=read", "u:1: user 'a' has no digest"},
        {"user a role=read nopass", "nopass is for the user 'default' alone"},
        {"user default role=read nopass " PLAIN, "nopass and a digest"},
        {"user a role=read sha256=12", "a digest is sha256=HEX"},
        {"user a role=read prefix= " PLAIN, "an empty prefix"},
        {"user a role=read hunter2 " PLAIN, "a word that is none of"},
        {"user a role=read " PLAIN "\nuser b role=read " PLAIN "\nuser a role=read " PLAIN,
         "u:3: user 'a' stands twice"},
        {"user a/b role=read " PLAIN, "letters, digits"},
        {"user 0123456789012345678901234567890123456789012345678901234567890123 role=read " PLAIN,
         "longer than 63 bytes"},
        {"user a role=read " PLAIN " " PLAIN " " PLAIN " " PLAIN " " PLAIN, "more than 4 digests"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct users_error error = {{0}};
        cr_assert_null(users_parse(span_str(CASES[i][0]), "u", &error), "%s", CASES[i][0]);
        cr_assert_not_null(strstr(error.text, CASES[i][1]), "'%s' has no '%s'", error.text,
                           CASES[i][1]);
        cr_assert_null(strstr(error.text, "hunter2"), "a password in: %s", error.text);
    }
}

Test(users, many_are_found_in_any_order) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; i < 500; i++)
        fprintf(out, "user u%03d role=read " PLAIN "\n", i * 211 % 500);
    fclose(out);
    struct users *users = parse(text);
    cr_assert_eq(users_count(users), 500);
    for (int i = 0; i < 500; i++) {
        char name[8];
        snprintf(name, sizeof(name), "u%03d", i);
        cr_assert_eq(users_find(users, span_str(name)), users_at(users, (size_t)i), "%s", name);
    }
    users_free(&users);
    free(text);
}

Test(users, a_copy_is_the_same_and_stands_alone) {
    struct users *users = parse("user a role=write prefix=app: " PLAIN), *copy = users_copy(users),
                 *other = parse("user a role=read prefix=app: " PLAIN);
    cr_assert(users_same(users, copy));
    cr_assert_not(users_same(users, other));
    users_free(&users);
    cr_assert_null(users);
    cr_assert(user_covers(users_find(copy, SPAN("a")), SPAN("app:1")));
    cr_assert_not(user_covers(users_find(copy, SPAN("a")), SPAN("ap")));
    users_free(&copy);
    users_free(&other);
}

/* ---- files ---- */

static char path[] = "/tmp/test_users_XXXXXX";

static void make_file(void) {
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    dprintf(fd, "user a role=read " PLAIN "\n");
    close(fd);
}

static void drop_file(void) {
    unlink(path);
}

TestSuite(users_file, .init = make_file, .fini = drop_file);

Test(users_file, only_its_owner_may_have_any_right_to_it) {
    for (mode_t mode = 0; mode <= 0777; mode++) {
        struct users_error error = {{0}};
        cr_assert_eq(chmod(path, mode), 0);
        struct users *users = users_load(path, &error);
        if ((mode & 077) == 0 && ((mode & 0400) != 0 || geteuid() == 0)) {
            cr_assert_not_null(users, "%04o: %s", mode, error.text);
        } else {
            cr_assert_null(users, "%04o was taken", mode);
            cr_assert((mode & 0400) == 0 || strstr(error.text, "chmod 0600 /tmp/") != NULL, "%s",
                      error.text);
        }
        users_free(&users);
    }
}

Test(users_file, what_is_no_file_is_refused) {
    struct users_error error = {{0}};
    cr_assert_null(users_load("/tmp", &error));
    cr_assert_str_eq(error.text, "/tmp: is no plain file");
    cr_assert_null(users_load("/nowhere/users", &error));
    cr_assert_str_eq(error.text, "/nowhere/users: No such file or directory");
}
