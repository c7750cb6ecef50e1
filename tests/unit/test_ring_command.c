/* ringfence-ctl ring: called as main() calls it, with files of its own. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../ctl/ctl.h"

struct run {
    enum ctl_status status;
    char *out, *err;
};

/* Runs `ringfence-ctl` with the words up to the first NULL. */
static struct run run(const char *const *words) {
    struct run r;
    size_t out_len, err_len;
    char *argv[12] = {"ringfence-ctl"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    struct ctl_io io = {open_memstream(&r.out, &out_len), open_memstream(&r.err, &err_len), NULL};
    r.status = ctl_run(&io, argc, argv);
    fclose(io.out);
    fclose(io.err);
    return r;
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void release(struct run *r) {
    free(r->out);
    free(r->err);
}

static void write_file(char *path, const char *text) {
    strcpy(path, "/tmp/ring-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static const char THREE[] = "epoch 7\n"
                            "node a 127.0.0.1:1\n"
                            "node b [::1]:2 weight=3\n"
                            "node long-name cache.example:65535 state=drain\n";

static void expect(struct run r, enum ctl_status status, const char *out, const char *err) {
    cr_expect_eq(r.status, status, "status %d", r.status);
    cr_expect_str_eq(r.out, out, "out: %s", r.out);
    cr_expect_str_eq(r.err, err, "err: %s", r.err);
    release(&r);
}

static void expect_part(struct run r, enum ctl_status status, const char *out, const char *err) {
    cr_expect_eq(r.status, status, "status %d", r.status);
    cr_expect_not_null(strstr(r.out, out), "out: %s", r.out);
    cr_expect_not_null(strstr(r.err, err), "err: %s", r.err);
    cr_expect(r.out[0] == '\0' || r.err[0] == '\0', "one of the two streams is silent");
    release(&r);
}

Test(ring_command, check_says_that_a_file_is_fine) {
    char path[32], wanted[200];
    write_file(path, THREE);
    snprintf(wanted, sizeof(wanted),
             "%s: fine: 3 nodes, 2 up, epoch 7, checksum a6caae0110785002\n", path);
    expect(RUN("ring", "check", path), CTL_OK, wanted, "");
    unlink(path);
}

Test(ring_command, every_command_names_the_line_of_a_bad_file) {
    char good[32], bad[32], wanted[200];
    write_file(good, THREE);
    write_file(bad, "node a 127.0.0.1:1\n\nnode b 127.0.0.1\n");
    snprintf(wanted, sizeof(wanted), "%s:3: '127.0.0.1' is not HOST:PORT\n", bad);
    expect(RUN("ring", "check", bad), CTL_BAD_FILE, "", wanted);
    expect(RUN("ring", "show", bad), CTL_BAD_FILE, "", wanted);
    expect(RUN("ring", "diff", bad, good), CTL_BAD_FILE, "", wanted);
    expect(RUN("ring", "diff", good, bad), CTL_BAD_FILE, "", wanted);
    expect(RUN("ring", "owner", bad, "key"), CTL_BAD_FILE, "", wanted);
    unlink(bad);
    snprintf(wanted, sizeof(wanted), "%s: No such file or directory\n", bad);
    expect(RUN("ring", "check", bad), CTL_BAD_FILE, "", wanted);
    unlink(good);
}

Test(ring_command, show_has_a_line_for_each_node) {
    char path[32];
    write_file(path, THREE);
    expect(RUN("ring", "show", path), CTL_OK,
           "NODE       ADDRESS              WEIGHT  STATE  SHARE\n"
           "a          127.0.0.1:1               1  up     25.3733%\n"
           "b          [::1]:2                   3  up     74.6266%\n"
           "long-name  cache.example:65535       1  drain  0.0000%\n"
           "3 nodes, 2 up, epoch 7, checksum a6caae0110785002\n",
           "");
    unlink(path);
}

Test(ring_command, diff_names_what_is_added_removed_changed_and_moved) {
    char old[32], new[32];
    write_file(old, THREE);
    write_file(new, "epoch 8\n"
                    "node b 127.0.0.1:2 weight=2\n"
                    "node long-name cache.example:65535 weight=2 state=down\n"
                    "node c [::1]:3\n");
    expect(RUN("ring", "diff", old, new), CTL_OK,
           "removed  a 127.0.0.1:1 weight=1 state=up\n"
           "changed  b weight 3 -> 2\n"
           "moved    b [::1]:2 -> 127.0.0.1:2\n"
           "changed  long-name weight 1 -> 2, state drain -> down\n"
           "added    c [::1]:3 weight=1 state=up\n"
           "epoch    7 -> 8\n"
           "4 nodes differ; keys that move: 46.1916%\n",
           "");
    unlink(old);
    unlink(new);
}

struct diff_case {
    const char *old, *new, *out;
};

static const struct diff_case DIFFS[] = {
    {"node a h:1\n", "# the same\nnode a h:1 weight=1 state=up\n",
     "0 nodes differ; keys that move: 0.0000%\n"},
    {"node a h:1\nnode b h:2\n", "node b h:2\nnode a h:1\n",
     "0 nodes differ; keys that move: 0.0000%\n"},
    {"node a h:1\nnode b h:2\n", "node a g:1\nnode b h:2\n",
     "moved    a h:1 -> g:1\n1 node differs; keys that move: 0.0000%\n"},
    {"node a h:1\n", "node a h:2\n",
     "moved    a h:1 -> h:2\n1 node differs; keys that move: 0.0000%\n"},
    {"node a h:1\n", "node b h:1\n",
     "removed  a h:1 weight=1 state=up\nadded    b h:1 weight=1 state=up\n"
     "2 nodes differ; keys that move: 100.0000%\n"},
    {"node a h:1 state=drain\nnode b h:2\n", "node a h:1 state=down\nnode b h:2\n",
     "changed  a state drain -> down\n1 node differs; keys that move: 0.0000%\n"},
};

Test(ring_command, diff_counts_the_keys_that_move) {
    for (size_t i = 0; i < sizeof(DIFFS) / sizeof(DIFFS[0]); i++) {
        char old[32], new[32];
        write_file(old, DIFFS[i].old);
        write_file(new, DIFFS[i].new);
        expect(RUN("ring", "diff", old, new), CTL_OK, DIFFS[i].out, "");
        unlink(old);
        unlink(new);
    }
}

Test(ring_command, owner_names_the_owner_and_the_next_ones) {
    char path[32];
    write_file(path, "node a h:1\nnode b h:2\nnode c h:3\nnode d h:4\nnode e h:5\n"
                     "node f h:6 state=down\n");
    expect(RUN("ring", "owner", path, "greeting", "{greeting}:2", "a\n\\", ""), CTL_OK,
           "KEY           OWNER  ADDRESS  THEN\n"
           "greeting      b      h:2      a d c\n"
           "{greeting}:2  b      h:2      a d c\n"
           "a\\x0a\\x5c     c      h:3      b a e\n"
           "\"\"            c      h:3      a d e\n",
           "");
    unlink(path);
    write_file(path, "node a h:1\n");
    expect(RUN("ring", "owner", path, "--help"), CTL_OK,
           "KEY     OWNER  ADDRESS  THEN\n--help  a      h:1      -\n", "");
    unlink(path);
}

Test(ctl, helps_on_stdout_when_asked) {
    expect_part(RUN("--help"), CTL_OK, "usage: ringfence-ctl", "");
    expect_part(RUN("help"), CTL_OK, "ring owner FILE KEY...", "");
    expect_part(RUN("ring", "--help"), CTL_OK, "ring diff OLD NEW", "");
    expect_part(RUN("ring", "show", "-h"), CTL_OK, "ring show FILE", "");
    expect_part(RUN("--version"), CTL_OK, "ringfence-ctl 0.", "");
}

Test(ctl, refuses_what_it_does_not_know_with_status_2) {
    expect_part(run((const char *const[]){NULL}), CTL_USAGE, "", "usage: ringfence-ctl");
    expect(RUN("ring"), CTL_USAGE, "",
           "ringfence-ctl: unknown command 'ring'; --help lists them\n");
    expect(RUN("ring", "spin"), CTL_USAGE, "",
           "ringfence-ctl: unknown command 'ring spin'; --help lists them\n");
    expect(RUN("ring", "check"), CTL_USAGE, "", "usage: ringfence-ctl ring check FILE\n");
    expect(RUN("ring", "check", "a", "b"), CTL_USAGE, "", "usage: ringfence-ctl ring check FILE\n");
    expect(RUN("ring", "diff", "a"), CTL_USAGE, "", "usage: ringfence-ctl ring diff OLD NEW\n");
    expect(RUN("ring", "owner", "a"), CTL_USAGE, "",
           "usage: ringfence-ctl ring owner FILE KEY...\n");
}

Test(ctl, fails_when_its_output_cannot_be_written) {
    char *err, *argv[] = {"ringfence-ctl", "--help"};
    size_t err_len;
    struct ctl_io io = {fopen("/dev/full", "w"), open_memstream(&err, &err_len), NULL};
    cr_assert_not_null(io.out);
    cr_assert_eq(ctl_run(&io, 2, argv), CTL_FAILED);
    fclose(io.out);
    fclose(io.err);
    cr_assert_str_eq(err, "ringfence-ctl: the output could not be written\n");
    free(err);
}

/* The sample that a proxy reads by default. */
Test(ring_command, the_sample_file_is_fine) {
    expect_part(RUN("ring", "check", "configs/ring.conf"), CTL_OK, "fine: 3 nodes, 3 up", "");
}
