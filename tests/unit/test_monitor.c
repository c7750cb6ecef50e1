/* monitor: lines as Redis has them, bounded, without secrets; and who gets them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/buf.h"
#include "../../proxy/inbox.h"
#include "../../proxy/monitor.h"

static char room[MONITOR_LINE_BYTES_MAX];

/* A line of this request, NUL-terminated. */
static const char *line_of(const struct span *argv, uint32_t argc) {
    struct span line =
        monitor_line(room, 1339518083107412, "127.0.0.1:60866", argv, argc, NULL, NULL);
    cr_assert_lt(line.len, sizeof(room));
    room[line.len] = '\0';
    return room;
}

#define HEAD "+1339518083.107412 [0 127.0.0.1:60866]"

Test(monitor, a_line_is_as_redis_writes_it) {
    const struct span argv[] = {SPAN("SET"), SPAN("bin"), SPAN("a\x01\"\\\n\t\r\a\b\x00\xc3\xa5'~"),
                                SPAN("")};
    cr_assert_str_eq(
        line_of(argv, 4),
        HEAD " \"SET\" \"bin\" \"a\\x01\\\"\\\\\\n\\t\\r\\a\\b\\x00\\xc3\\xa5'~\" \"\"\r\n");
}

static bool not_the_second(const void *ctx, uint32_t i) {
    return i != *(const uint32_t *)ctx;
}

Test(monitor, a_secret_is_not_shown) {
    const uint32_t second = 1;
    const struct span argv[] = {SPAN("AUTH"), SPAN("geheim")};
    struct span line = monitor_line(room, 5, "a", argv, 2, not_the_second, &second);
    room[line.len] = '\0';
    cr_assert_str_eq(room, "+0.000005 [0 a] \"AUTH\" \"(redacted)\"\r\n");
}

Test(monitor, long_arguments_and_many_are_cut) {
    enum { LONG = 100000, MANY = 5000 };
    char *bytes = malloc(LONG);
    struct span *argv = calloc(MANY, sizeof(*argv));
    memset(bytes, 0x01, LONG); /* four bytes each */
    argv[0] = SPAN("SET");
    argv[1] = span_of(bytes, LONG);
    const char *line = line_of(argv, 2);
    cr_assert_not_null(strstr(line, "\\x01... (98976 more bytes)\"\r\n"));
    for (int i = 1; i < MANY; i++)
        argv[i] = span_of(bytes, LONG);
    line = line_of(argv, MANY);
    cr_assert_not_null(strstr(line, " more arguments)\"\r\n"));
    for (int i = 1; i < MANY; i++)
        argv[i] = SPAN("");
    line = line_of(argv, MANY);
    cr_assert_not_null(strstr(line, " more arguments)\"\r\n"));
    free(argv);
    free(bytes);
}

/* ---- who gets them ---- */

static bool count_wakes(void *ctx, struct inbox *inbox) {
    return ++*(int *)ctx < 100;
}

static void expect_lines(struct inbox *inbox, const char *want) {
    struct buf got;
    uint64_t lost;
    inbox_take(inbox, &got, &lost);
    cr_assert(span_equal(span_of(buf_head(&got), buf_len(&got)), span_str(want)));
    buf_release(&got);
}

Test(monitor, everybody_who_joined_gets_every_line) {
    struct monitor *m = monitor_new();
    struct inbox *inboxes[MONITORS_MAX + 1];
    int wakes = 0;
    cr_assert_eq(monitor_count(NULL), 0);
    for (int i = 0; i <= MONITORS_MAX; i++)
        inboxes[i] = inbox_new(INBOX_LINES, (uint64_t)i, 0, m, 100);
    for (int i = 0; i < MONITORS_MAX; i++)
        cr_assert(monitor_join(m, inboxes[i]));
    cr_assert_not(monitor_join(m, inboxes[MONITORS_MAX]));
    cr_assert_eq(monitor_count(m), MONITORS_MAX);
    monitor_show(m, SPAN("+1\r\n"), count_wakes, &wakes);
    monitor_show(m, SPAN("+2\r\n"), count_wakes, &wakes);
    cr_assert_eq(wakes, MONITORS_MAX);
    monitor_leave(m, inboxes[3]);
    monitor_leave(m, inboxes[3]);
    cr_assert_eq(monitor_count(m), MONITORS_MAX - 1);
    monitor_show(m, SPAN("+3\r\n"), count_wakes, &wakes);
    for (int i = 0; i < MONITORS_MAX; i++)
        expect_lines(inboxes[i], i == 3 ? "+1\r\n+2\r\n" : "+1\r\n+2\r\n+3\r\n");
    for (int i = 0; i <= MONITORS_MAX; i++) {
        monitor_leave(m, inboxes[i]);
        inbox_drop(&inboxes[i]);
    }
    cr_assert_eq(monitor_count(m), 0);
    monitor_free(&m);
}
