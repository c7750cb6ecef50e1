#include "expect.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORDS_MAX = 64, PAUSE_MS = 3, SHOWN_BYTES = 300 };

bool expect_is(const char *text, const char *want) {
    size_t len = strlen(want);
    return len != 0 && want[len - 1] == '*' ? strncmp(text, want, len - 1) == 0
                                            : strcmp(text, want) == 0;
}

static char *next(struct caller *caller) {
    struct resp_reply *reply = caller_hear(caller);
    char *text = caller_show(reply);
    resp_reply_free(&reply);
    return text;
}

static uint32_t gather(struct span *argv, va_list words) {
    uint32_t argc = 0;
    for (const char *word; argc < WORDS_MAX && (word = va_arg(words, const char *)) != NULL;)
        argv[argc++] = span_str(word);
    return argc;
}

static char *ask(struct caller *caller, const struct span *argv, uint32_t argc) {
    caller_say(caller, argv, argc);
    caller_flush(caller); /* what it could not send shows in the answer */
    return next(caller);
}

static void compare(const char *file, int line, char *text, const char *want,
                    const struct span *argv, uint32_t argc) {
    bool same = expect_is(text, want);
    cr_assert(same, "%s:%d: %.100s %.100s answered '%.*s', not '%.*s'", file, line,
              argc > 0 ? argv[0].ptr : "", argc > 1 ? argv[1].ptr : "", SHOWN_BYTES, text,
              SHOWN_BYTES, want);
    free(text);
}

void expect_answer(const char *file, int line, struct caller *caller, const char *want, ...) {
    struct span argv[WORDS_MAX];
    va_list words;
    va_start(words, want);
    uint32_t argc = gather(argv, words);
    va_end(words);
    compare(file, line, ask(caller, argv, argc), want, argv, argc);
}

void expect_next(const char *file, int line, struct caller *caller, const char *want) {
    compare(file, line, next(caller), want, NULL, 0);
}

void expect_within(const char *file, int line, int ms, struct caller *caller, const char *want,
                   ...) {
    struct span argv[WORDS_MAX];
    va_list words;
    va_start(words, want);
    uint32_t argc = gather(argv, words);
    va_end(words);
    int64_t until_ms = clock_mono_ms() + ms;
    char *text = ask(caller, argv, argc);
    while (!expect_is(text, want) && clock_mono_ms() < until_ms) {
        free(text);
        expect_pause();
        text = ask(caller, argv, argc);
    }
    compare(file, line, text, want, argv, argc);
}

void expect_pause(void) {
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000}, NULL);
}

struct caller *expect_caller(uint16_t port) {
    struct caller *caller = caller_open(port);
    cr_assert_not_null(caller, "nobody listens on port %u", port);
    return caller;
}

void expect_flush(struct caller *caller) {
    bool sent = caller_flush(caller);
    cr_assert(sent, "the connection broke");
}

void expect_bulk(struct caller *caller, struct span want) {
    struct resp_reply *reply = caller_hear(caller);
    cr_assert_not_null(reply, "no answer");
    cr_assert_eq(reply->type, RESP_STRING, "no string but '%.*s'", SHOWN_BYTES,
                 reply->text != NULL ? reply->text : "");
    cr_assert(span_equal(span_of(reply->text, reply->len), want), "%zu bytes, not the %zu expected",
              reply->len, want.len);
    resp_reply_free(&reply);
}
