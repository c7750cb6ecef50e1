#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../common/ring.h"
#include "../../common/ring_file.h"

static struct ring *parse(struct span text, struct ring_file_error *error) {
    uint64_t epoch;
    memset(error, 0x55, sizeof(*error));
    return ring_file_parse(text, "ring.conf", &epoch, error);
}

/* The members as one text: "name host port weight state; ..." */
static const char *show(const struct ring *ring) {
    static char text[2000];
    size_t at = 0;
    for (uint32_t i = 0; i < ring_count(ring); i++) {
        const struct ring_member *m = ring_at(ring, i);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s %s %u %u %s; ", m->name, m->host,
                               m->port, m->weight, ring_state_name(m->state));
    }
    return text;
}

static const struct {
    const char *text, *wanted;
} GOOD[] = {
    {"node a h:1\n", "a h 1 1 up; "},
    {"node a h:1", "a h 1 1 up; "},
    {"\n# node x\n  node\ta   h:1  # comment\r\n\n", "a h 1 1 up; "},
    {"node a h:1#comment=no", NULL},
    {"node b h:2 weight=7\nnode a h:1 state=drain\nnode c h:3 state=down weight=100\n",
     "b h 2 7 up; a h 1 1 drain; c h 3 100 down; "},
    {"node a h:1 state=up weight=1\n", "a h 1 1 up; "},
    {"hash xxh3-ketama 0\nepoch 12\nnode a 10.0.0.1:65535\n", "a 10.0.0.1 65535 1 up; "},
    {"node a [::1]:6380\nnode b [2001:db8::5%eth0]:1\n",
     "a ::1 6380 1 up; b 2001:db8::5%eth0 1 1 up; "},
    {"node A.b-c_9 cache-1.cache_ns.svc:7101\n", "A.b-c_9 cache-1.cache_ns.svc 7101 1 up; "},
    {"node a h:1\nnode b h:2\nnode A h:3\n", "a h 1 1 up; b h 2 1 up; A h 3 1 up; "},
    {"node a12345678901234567890123456789012345678901234567890123456789abcd h:1\n",
     "a12345678901234567890123456789012345678901234567890123456789abcd h 1 1 up; "},
};

Test(ring_file, reads_nodes_in_the_order_of_the_file) {
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct ring_file_error error;
        struct ring *ring = parse(span_str(GOOD[i].text), &error);
        if (GOOD[i].wanted == NULL) {
            cr_expect_null(ring, "%s", GOOD[i].text);
            ring_free(&ring);
            continue;
        }
        cr_assert_not_null(ring, "%s: %s", GOOD[i].text, error.text);
        cr_expect_str_eq(show(ring), GOOD[i].wanted, "%s: %s", GOOD[i].text, show(ring));
        ring_free(&ring);
    }
}

Test(ring_file, reads_the_epoch) {
    static const struct {
        const char *text;
        uint64_t epoch;
    } CASES[] = {{"node a h:1\n", 0},
                 {"epoch 0\nnode a h:1\n", 0},
                 {"node a h:1\nepoch 7\n", 7},
                 {"epoch 9223372036854775807\nnode a h:1\n", INT64_MAX}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct ring_file_error error;
        uint64_t epoch = 4711;
        struct ring *ring = ring_file_parse(span_str(CASES[i].text), "x", &epoch, &error);
        cr_assert_not_null(ring, "%s", CASES[i].text);
        cr_expect_eq(epoch, CASES[i].epoch, "%s", CASES[i].text);
        ring_free(&ring);
    }
}

static const char NODE_USAGE[] = ":1: 'node NAME HOST:PORT [weight=N] [state=up|drain|down]'";
static const char WEIGHT[] = ":1: weight is not from 1 to 100";

static const struct {
    struct span text;
    const char *why;
} BAD[] = {
    {SPAN(""), ": no node in it"},
    {SPAN("# node a h:1\n"), ": no node in it"},
    {SPAN("epoch 1\n"), ": no node in it"},
    {SPAN("node a h:1 state=drain\nnode b h:2 state=down\n"), ": no node is up"},
    {SPAN("\n\nnodes a h:1\n"), ":3: unknown word 'nodes' (node, epoch or hash)"},
    {SPAN("Node a h:1\n"), ":1: unknown word 'Node' (node, epoch or hash)"},
    {SPAN("node\n"), NODE_USAGE},
    {SPAN("node a\n"), NODE_USAGE},
    {SPAN("node a # h:1\n"), NODE_USAGE},
    {SPAN("node a h:1 weight=1 state=up a b c d\n"), ":1: too many words"},
    /* names */
    {SPAN("node a/b h:1\n"), ":1: node name 'a/b': only letters, digits, '_', '.' and '-'"},
    {SPAN("node \xc3\xa9 h:1\n"),
     ":1: node name '\xc3\xa9': only letters, digits, '_', '.' and '-'"},
    {SPAN("node a\x1b[2J h:1\n"), ":1: node name 'a?[2J': only letters, digits, '_', '.' and '-'"},
    {SPAN("node a\0b h:1\n"), ":1: node name 'a': only letters, digits, '_', '.' and '-'"},
    {SPAN("node a12345678901234567890123456789012345678901234567890123456789abcde h:1\n"),
     ":1: node name is longer than 64 bytes"},
    {SPAN("node a h:1\nnode b h:2\nnode a h:3\n"), ":3: node 'a' stands twice"},
    /* addresses */
    {SPAN("node a h\n"), ":1: 'h' is not HOST:PORT"},
    {SPAN("node a h:\n"), ":1: port of 'h:' is not from 1 to 65535"},
    {SPAN("node a h:0\n"), ":1: port of 'h:0' is not from 1 to 65535"},
    {SPAN("node a h:65536\n"), ":1: port of 'h:65536' is not from 1 to 65535"},
    {SPAN("node a h:-1\n"), ":1: port of 'h:-1' is not from 1 to 65535"},
    {SPAN("node a h:1x\n"), ":1: port of 'h:1x' is not from 1 to 65535"},
    {SPAN("node a h:01\n"), ":1: port of 'h:01' is not from 1 to 65535"},
    {SPAN("node a :1\n"), ":1: host of ':1' is empty or too long"},
    {SPAN("node a []:1\n"), ":1: host '[]' has a character that no host has"},
    {SPAN("node a ::1:6380\n"), ":1: an IPv6 address goes in brackets: '[::1]:6380'"},
    {SPAN("node a h\0x:1\n"), ":1: host 'h' has a character that no host has"},
    {SPAN("node a h\"x:1\n"), ":1: host 'h\"x' has a character that no host has"},
    {SPAN("node a h/x:1\n"), ":1: host 'h/x' has a character that no host has"},
    {SPAN("node a [::1\x1b]:1\n"), ":1: host '::1?' has a character that no host has"},
    {SPAN("node a h%x:1\n"), ":1: host 'h%x' has a character that no host has"},
    {SPAN("node a h:1\nnode b h:1\n"), ":2: nodes 'a' and 'b' have one address, h:1"},
    {SPAN("node a [::1]:1\nnode b [::1]:1\n"), ":2: nodes 'a' and 'b' have one address, [::1]:1"},
    /* attributes */
    {SPAN("node a h:1 weight=0\n"), WEIGHT},
    {SPAN("node a h:1 weight=101\n"), WEIGHT},
    {SPAN("node a h:1 weight=-1\n"), WEIGHT},
    {SPAN("node a h:1 weight=1.5\n"), WEIGHT},
    {SPAN("node a h:1 weight=\n"), WEIGHT},
    {SPAN("node a h:1 weight=2 weight=3\n"), ":1: weight was given before"},
    {SPAN("node a h:1 state=up state=up\n"), ":1: state was given before"},
    {SPAN("node a h:1 state=UP\n"), ":1: state is none of up, drain, down"},
    {SPAN("node a h:1 state=\n"), ":1: state is none of up, drain, down"},
    {SPAN("node a h:1 state=drained\n"), ":1: state is none of up, drain, down"},
    {SPAN("node a h:1 colour=red\n"),
     ":1: unknown word 'colour=red' (weight=N or state=up|drain|down)"},
    {SPAN("node a h:1 weight 2\n"), ":1: unknown word 'weight' (weight=N or state=up|drain|down)"},
    /* hash, epoch */
    {SPAN("hash xxh3-ketama 1\n"), ":1: the only placement is 'hash xxh3-ketama 0', once"},
    {SPAN("hash crc32 0\n"), ":1: the only placement is 'hash xxh3-ketama 0', once"},
    {SPAN("hash xxh3-ketama\n"), ":1: the only placement is 'hash xxh3-ketama 0', once"},
    {SPAN("hash xxh3-ketama 0\nhash xxh3-ketama 0\n"),
     ":2: the only placement is 'hash xxh3-ketama 0', once"},
    {SPAN("epoch\n"), ":1: 'epoch N', once, with N a whole number"},
    {SPAN("epoch -1\n"), ":1: 'epoch N', once, with N a whole number"},
    {SPAN("epoch x\n"), ":1: 'epoch N', once, with N a whole number"},
    {SPAN("epoch 1 2\n"), ":1: 'epoch N', once, with N a whole number"},
    {SPAN("epoch 9223372036854775808\n"), ":1: 'epoch N', once, with N a whole number"},
    {SPAN("epoch 1\nepoch 1\n"), ":2: 'epoch N', once, with N a whole number"},
};

Test(ring_file, names_the_line_and_the_reason) {
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct ring_file_error error;
        char wanted[300];
        struct ring *ring = parse(BAD[i].text, &error);
        cr_expect_null(ring, "%s", BAD[i].text.ptr);
        snprintf(wanted, sizeof(wanted), "ring.conf%s", BAD[i].why);
        cr_expect_str_eq(error.text, wanted, "%s: %s", BAD[i].text.ptr, error.text);
        ring_free(&ring);
    }
}

/* A cut file is a smaller ring or an error, never a crash or a ring with half a word in it. */
Test(ring_file, reads_every_beginning_of_a_file) {
    static const char TEXT[] = "# ring\nhash xxh3-ketama 0\nepoch 3\nnode a [::1]:6380 weight=2 "
                               "state=up # first\nnode b b.example:7 state=drain\n";
    for (size_t len = 0; len < sizeof(TEXT); len++) {
        char *exact = malloc(len + 1); /* so that a sanitizer sees a read behind the end */
        memcpy(exact + 1, TEXT, len);
        struct ring_file_error error;
        struct ring *ring = parse(span_of(exact + 1, len), &error);
        if (ring == NULL)
            cr_expect_eq(strncmp(error.text, "ring.conf:", 10), 0, "%zu: %s", len, error.text);
        else
            cr_expect_eq(strncmp(show(ring), "a ::1 6", 7), 0, "%zu: %s", len, show(ring));
        ring_free(&ring);
        free(exact);
    }
}

Test(ring_file, bounds_nodes_and_weights) {
    enum { LINE = 40 };
    char *text = malloc((RING_MEMBERS_MAX + 2) * LINE), wanted[100];
    struct ring_file_error error;
    size_t len = 0;
    for (int i = 0; i <= RING_MEMBERS_MAX; i++)
        len += (size_t)snprintf(text + len, LINE, "node n%d h:%d state=%s\n", i, i + 1,
                                i == 0 ? "up" : "down");
    struct ring *ring = parse(span_of(text, len), &error);
    cr_assert_null(ring);
    snprintf(wanted, sizeof(wanted), "ring.conf:%d: more than %d nodes", RING_MEMBERS_MAX + 1,
             RING_MEMBERS_MAX);
    cr_assert_str_eq(error.text, wanted, "%s", error.text);
    len -= 2; /* the last line has no number any more, and then no node */
    while (text[len - 1] != '\n')
        len--;
    ring = parse(span_of(text, len), &error);
    cr_assert_not_null(ring, "%s", error.text);
    cr_assert_eq(ring_count(ring), (size_t)RING_MEMBERS_MAX);
    ring_free(&ring);
    len = 0;
    for (int i = 0; i < RING_WEIGHT_SUM_MAX / RING_WEIGHT_MAX + 1; i++)
        len += (size_t)snprintf(text + len, LINE, "node n%d h:%d weight=%d\n", i, i + 1,
                                RING_WEIGHT_MAX);
    cr_assert_null(parse(span_of(text, len), &error));
    cr_assert_str_eq(error.text,
                     "ring.conf: the weights of all nodes that are up make more than 4096", "%s",
                     error.text);
    free(text);
}

/* ---- files ---- */

static void write_file(char *path, const char *text, size_t len) {
    strcpy(path, "/tmp/ring-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
}

Test(ring_file, loads_a_file_or_says_why_not) {
    char path[32], wanted[100];
    struct ring_file_error error;
    uint64_t epoch;
    write_file(path, "epoch 5\nnode a h:1\n", 19);
    struct ring *ring = ring_file_load(path, &epoch, &error);
    cr_assert_not_null(ring);
    cr_assert_eq(epoch, 5u);
    ring_free(&ring);
    cr_assert_eq(truncate(path, 13), 0);
    cr_assert_null(ring_file_load(path, &epoch, &error));
    snprintf(wanted, sizeof(wanted), "%s:2: 'node NAME HOST:PORT [weight=N] ", path);
    cr_assert_eq(strncmp(error.text, wanted, strlen(wanted)), 0, "%s", error.text);
    unlink(path);
    cr_assert_null(ring_file_load(path, &epoch, &error));
    snprintf(wanted, sizeof(wanted), "%s: No such file or directory", path);
    cr_assert_str_eq(error.text, wanted);
    cr_assert_null(ring_file_load("/tmp", &epoch, &error));
    cr_assert_str_eq(error.text, "/tmp: cannot be read");
}

Test(ring_file, loads_four_megabytes_and_no_more) {
    size_t len = (4 << 20) + 1;
    char *text = malloc(len), path[32];
    struct ring_file_error error;
    uint64_t epoch;
    memset(text, '#', len);
    memcpy(text, "node a h:1\n", 11);
    write_file(path, text, len);
    cr_assert_null(ring_file_load(path, &epoch, &error));
    cr_assert_not_null(strstr(error.text, ": longer than 4194304 bytes"), "%s", error.text);
    cr_assert_eq(truncate(path, (off_t)len - 1), 0);
    struct ring *ring = ring_file_load(path, &epoch, &error);
    cr_assert_not_null(ring, "%s", error.text);
    ring_free(&ring);
    unlink(path);
    free(text);
}

Test(ring_file, writes_addresses_as_it_reads_them) {
    static const char *const ADDRESSES[] = {"h:1", "[::1]:65535", "10.0.0.1:7101"};
    for (size_t i = 0; i < sizeof(ADDRESSES) / sizeof(ADDRESSES[0]); i++) {
        char text[100], out[RING_FILE_ADDRESS_SIZE];
        snprintf(text, sizeof(text), "node a %s", ADDRESSES[i]);
        struct ring_file_error error;
        struct ring *ring = parse(span_str(text), &error);
        ring_file_address(ring_at(ring, 0), out, sizeof(out));
        cr_expect_str_eq(out, ADDRESSES[i]);
        ring_free(&ring);
    }
    struct ring_member longest = {.port = 65535};
    char out[RING_FILE_ADDRESS_SIZE];
    memset(longest.host, ':', RING_HOST_BYTES_MAX);
    ring_file_address(&longest, out, sizeof(out));
    cr_assert_eq(strlen(out), sizeof(out) - 1);
    cr_assert_str_eq(out + sizeof(out) - 8, "]:65535");
}
