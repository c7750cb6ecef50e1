// needs: fakes/worker_fake.c
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/users.h"
#include "../../proxy/users_reload.h"
#include "../fakes/worker_fake.h"

#define PLAIN "sha256=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

enum { WORKERS = 2 };

struct setup {
    char dir[40], file[60], log[60];
    struct users_reload *reload;
    struct worker *workers[WORKERS];
};

static void write_file(const struct setup *s, const char *text) {
    int fd = open(s->file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    dprintf(fd, "%s", text);
    close(fd);
}

/* The log goes to a file from here on. */
static struct setup *start(void) {
    static struct setup s;
    char error[256];
    snprintf(s.dir, sizeof(s.dir), "/tmp/test_users_reload_XXXXXX");
    cr_assert_not_null(mkdtemp(s.dir));
    snprintf(s.file, sizeof(s.file), "%s/users", s.dir);
    snprintf(s.log, sizeof(s.log), "%s/log", s.dir);
    write_file(&s, "user a role=read " PLAIN "\n");
    s.reload = users_reload_new(s.file, error, sizeof(error));
    cr_assert_not_null(s.reload, "%s", error);
    for (int i = 0; i < WORKERS; i++)
        s.workers[i] = worker_fake_new();
    int fd = open(s.log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    cr_assert_geq(dup2(fd, STDERR_FILENO), 0);
    close(fd);
    return &s;
}

static void stop(struct setup *s) {
    users_reload_free(&s->reload);
    for (int i = 0; i < WORKERS; i++)
        worker_fake_free(&s->workers[i]);
    unlink(s->file);
    unlink(s->log);
    rmdir(s->dir);
}

static bool logged(const struct setup *s, const char *text) {
    static char all[16384];
    FILE *file = fopen(s->log, "re");
    all[fread(all, 1, sizeof(all) - 1, file)] = '\0';
    fclose(file);
    return strstr(all, text) != NULL;
}

static bool again(struct setup *s) {
    return users_reload_again(s->reload, s->workers, WORKERS);
}

Test(users_reload, every_worker_gets_users_of_its_own) {
    struct setup *s = start();
    write_file(s, "user b role=admin " PLAIN "\n");
    cr_assert(again(s));
    const struct users *one = worker_fake_users(s->workers[0]),
                       *two = worker_fake_users(s->workers[1]);
    cr_assert(one != NULL && two != NULL && one != two);
    cr_assert_not_null(users_find(one, SPAN("b")));
    cr_assert_null(users_find(two, SPAN("a")));
    struct users *copy = users_reload_copy(s->reload);
    cr_assert(users_same(copy, one));
    users_free(&copy);
    stop(s);
}

Test(users_reload, the_same_file_is_no_change) {
    struct setup *s = start();
    cr_assert_not(again(s));
    cr_assert_null(worker_fake_users(s->workers[0]));
    cr_assert(logged(s, "users_unchanged"));
    stop(s);
}

Test(users_reload, a_bad_file_keeps_the_old_users) {
    struct setup *s = start();
    write_file(s, "user a role=read " PLAIN "\nuser b role=hunter2\n");
    cr_assert_not(again(s));
    cr_assert_null(worker_fake_users(s->workers[0]));
    cr_assert(logged(s, "users_refused"));
    cr_assert(logged(s, "/users:2: user 'b': role=read"));
    cr_assert_not(logged(s, "hunter2"));
    write_file(s, "user b role=read " PLAIN "\n");
    cr_assert_eq(chmod(s->file, 0640), 0);
    cr_assert_not(again(s));
    cr_assert(logged(s, "mode 0640 lets others at it"));
    struct users *copy = users_reload_copy(s->reload);
    cr_assert_not_null(users_find(copy, SPAN("a")));
    users_free(&copy);
    stop(s);
}

Test(users_reload, what_a_worker_did_not_get_is_given_again) {
    struct setup *s = start();
    write_file(s, "user b role=read " PLAIN "\n");
    worker_fake_full(s->workers[1], true);
    cr_assert(again(s));
    cr_assert_null(worker_fake_users(s->workers[1]));
    cr_assert(logged(s, "users_not_delivered"));
    worker_fake_full(s->workers[1], false);
    cr_assert(again(s));
    cr_assert_not_null(worker_fake_users(s->workers[1]));
    cr_assert_not(again(s));
    stop(s);
}

Test(users_reload, a_file_that_is_not_there_is_no_start) {
    char error[256];
    cr_assert_null(users_reload_new("/nowhere/users", error, sizeof(error)));
    cr_assert_str_eq(error, "/nowhere/users: No such file or directory");
}
