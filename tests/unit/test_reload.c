// needs: fakes/worker_fake.c
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/log.h"
#include "../../common/ring.h"
#include "../../proxy/reload.h"
#include "../fakes/worker_fake.h"

enum { WORKERS = 2 };

struct setup {
    char dir[32], file[48], log[48];
    struct reload *reload;
    struct worker *workers[WORKERS];
};

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

/* The log goes to a file from here on. */
static struct setup *start(const char *text) {
    static struct setup s;
    char error[256];
    snprintf(s.dir, sizeof(s.dir), "/tmp/test_reload_XXXXXX");
    cr_assert_not_null(mkdtemp(s.dir));
    snprintf(s.file, sizeof(s.file), "%s/ring.conf", s.dir);
    snprintf(s.log, sizeof(s.log), "%s/log", s.dir);
    write_file(s.file, text);
    s.reload = reload_new(s.file, error, sizeof(error));
    cr_assert_not_null(s.reload, "%s", error);
    for (int i = 0; i < WORKERS; i++)
        s.workers[i] = worker_fake_new();
    int fd = open(s.log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_geq(dup2(fd, STDERR_FILENO), 0);
    close(fd);
    return &s;
}

static void stop(struct setup *s) {
    reload_free(&s->reload);
    for (int i = 0; i < WORKERS; i++)
        worker_fake_free(&s->workers[i]);
    unlink(s->file);
    unlink(s->log);
    rmdir(s->dir);
}

static bool logged(const struct setup *s, const char *text) {
    static char all[16384];
    FILE *file = fopen(s->log, "re");
    cr_assert_not_null(file);
    size_t len = fread(all, 1, sizeof(all) - 1, file);
    all[len] = '\0';
    fclose(file);
    return strstr(all, text) != NULL;
}

static bool again(struct setup *s, const char *text) {
    write_file(s->file, text);
    return reload_again(s->reload, s->workers, WORKERS);
}

static const char TWO[] = "epoch 1\nnode a 127.0.0.1:7001\nnode b 127.0.0.1:7002\n";
static const char THREE[] =
    "epoch 2\nnode a 127.0.0.1:7001\nnode b 127.0.0.1:7002 weight=2\nnode c 127.0.0.1:7003\n";

Test(reload, a_file_that_is_wrong_at_the_start_is_named_with_its_line) {
    static const char *const WRONG[] = {"node a 127.0.0.1:7001\nnod b\n", "", "node a x\n"};
    char error[256], path[] = "/tmp/test_reload_XXXXXX";
    int fd = mkstemp(path);
    close(fd);
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        write_file(path, WRONG[i]);
        cr_assert_null(reload_new(path, error, sizeof(error)), "%s", WRONG[i]);
        cr_assert_eq(strncmp(error, path, strlen(path)), 0, "%s", error);
    }
    cr_assert_not_null(strstr(error, ":1: "), "%s", error);
    unlink(path);
    cr_assert_null(reload_new(path, error, sizeof(error)));
    cr_assert_not_null(strstr(error, "No such file"), "%s", error);
}

Test(reload, each_worker_gets_a_ring_of_its_own) {
    struct setup *s = start(TWO);
    uint64_t epoch, first_epoch;
    struct ring *first = reload_copy(s->reload, &first_epoch);
    cr_assert_eq(first_epoch, 1);
    cr_assert_eq(ring_count(first), 2);
    ring_free(&first);
    cr_assert(again(s, THREE));
    const struct ring *a = worker_fake_ring(s->workers[0], &epoch);
    cr_assert_eq(epoch, 2);
    const struct ring *b = worker_fake_ring(s->workers[1], &epoch);
    cr_assert_neq(a, b);
    cr_assert_eq(ring_checksum(a), ring_checksum(b));
    cr_assert_eq(ring_count(a), 3);
    cr_assert(logged(s, " ring_reloaded epoch=2 "));
    cr_assert(logged(s, " ring_node_added node=c "));
    cr_assert(logged(s, " ring_node_changed node=b "));
    cr_assert(logged(s, " keys_moved_percent="));
    stop(s);
}

Test(reload, a_bad_file_keeps_the_old_ring_and_its_line_is_logged) {
    static const struct {
        const char *text, *where;
    } BAD[] = {{"epoch 2\nnode a 127.0.0.1:7001\nnode a 127.0.0.1:7002\n", ":3: "},
               {"epoch 2\nnode a 127.0.0.1:99999\n", ":2: "},
               {"epoch 2\nnode a 127.0.0.1:7001 state=gone\n", ":2: "},
               {"epoch two\n", ":1: "},
               {"", "no node in it"},
               {"node a 127.0.0.1:7001 state=down\n", "no node is up"}};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct setup *s = start(TWO);
        uint64_t epoch;
        cr_assert_not(again(s, BAD[i].text), "%s", BAD[i].text);
        for (int w = 0; w < WORKERS; w++)
            cr_assert_eq(worker_fake_rings(s->workers[w]), 0, "%s", BAD[i].text);
        struct ring *kept = reload_copy(s->reload, &epoch);
        cr_assert_eq(epoch, 1);
        cr_assert_eq(ring_count(kept), 2);
        ring_free(&kept);
        cr_assert(logged(s, " ring_refused why=\""), "%s", BAD[i].text);
        cr_assert(logged(s, s->file));
        cr_assert(logged(s, BAD[i].where), "%s", BAD[i].text);
        stop(s);
    }
}

Test(reload, a_file_that_is_gone_keeps_the_old_ring) {
    struct setup *s = start(TWO);
    unlink(s->file);
    cr_assert_not(reload_again(s->reload, s->workers, WORKERS));
    cr_assert_eq(worker_fake_rings(s->workers[0]), 0);
    cr_assert(logged(s, "No such file"));
    cr_assert(again(s, THREE)); /* and it is back */
    stop(s);
}

Test(reload, what_changes_nothing_is_not_handed_out) {
    struct setup *s = start(TWO);
    cr_assert_not(again(s, TWO));
    cr_assert_not(again(s, "# another order, the same ring\nepoch 1\nnode b 127.0.0.1:7002\n"
                           "node a 127.0.0.1:7001\n"));
    cr_assert_eq(worker_fake_rings(s->workers[0]), 0);
    cr_assert(logged(s, " ring_unchanged epoch=1"));
    cr_assert(again(s, "epoch 5\nnode a 127.0.0.1:7001\nnode b 127.0.0.1:7002\n"));
    stop(s);
}

Test(reload, a_removed_node_is_logged) {
    struct setup *s = start(THREE);
    cr_assert(again(s, TWO));
    cr_assert(logged(s, " ring_node_removed node=c"));
    stop(s);
}

Test(reload, what_a_worker_did_not_get_is_handed_out_again_though_nothing_changed) {
    struct setup *s = start(TWO);
    uint64_t epoch;
    worker_fake_full(s->workers[1], true);
    cr_assert(again(s, THREE));
    cr_assert(logged(s, " ring_not_delivered worker=1 "));
    cr_assert_eq(worker_fake_rings(s->workers[0]), 1);
    cr_assert_eq(worker_fake_rings(s->workers[1]), 0);
    worker_fake_full(s->workers[1], false);
    cr_assert(again(s, THREE)); /* SIGHUP */
    cr_assert_eq(ring_count(worker_fake_ring(s->workers[1], &epoch)), 3);
    cr_assert_eq(epoch, 2);
    cr_assert_not(again(s, THREE)); /* now all have it */
    stop(s);
}
