/*
 * expect: what a test says about answers and rows. Fails the running Criterion test; for its main
 * thread only.
 */
#ifndef RINGFENCE_EXPECT_H
#define RINGFENCE_EXPECT_H

#include <criterion/criterion.h>
#include <stdbool.h>

#include "../../common/clock.h"
#include "../../common/span.h"
#include "caller.h"

/** EXPECT(caller, want, "GET", "key"): ask, and compare the answer as caller_show() writes it. A
 * `want` that ends with `*` is a beginning. */
#define EXPECT(caller, want, ...)                                                                  \
    expect_answer(__FILE__, __LINE__, caller, want, __VA_ARGS__, (const char *)NULL)

/** EXPECT_NEXT(caller, want): the same for the next answer of what was said before. */
#define EXPECT_NEXT(caller, want) expect_next(__FILE__, __LINE__, caller, want)

/** EVENTUALLY(ms, condition): poll until it holds; the test fails when it does not within `ms`. */
#define EVENTUALLY(ms, condition)                                                                  \
    do {                                                                                           \
        int64_t eventually_until_ms = clock_mono_ms() + (ms);                                      \
        while (!(condition)) {                                                                     \
            cr_assert(clock_mono_ms() < eventually_until_ms, "not within %d ms: %s", (int)(ms),    \
                      #condition);                                                                 \
            expect_pause();                                                                        \
        }                                                                                          \
    } while (0)

/** EXPECT_WITHIN(ms, caller, want, "GET", "key"): EVENTUALLY for an answer; says the last one. */
#define EXPECT_WITHIN(ms, caller, want, ...)                                                       \
    expect_within(__FILE__, __LINE__, ms, caller, want, __VA_ARGS__, (const char *)NULL)

void expect_answer(const char *file, int line, struct caller *caller, const char *want, ...)
    __attribute__((sentinel));
void expect_next(const char *file, int line, struct caller *caller, const char *want);
void expect_within(const char *file, int line, int ms, struct caller *caller, const char *want, ...)
    __attribute__((sentinel));
void expect_pause(void);

/** expect_caller(port): a caller that is connected. */
struct caller *expect_caller(uint16_t port);

/** expect_flush(caller): all that was said is sent. */
void expect_flush(struct caller *caller);

/** expect_bulk(caller, want): the next answer is this string, which may be long. */
void expect_bulk(struct caller *caller, struct span want);

/** expect_is(text, want): equal, or `want` ends with `*` and `text` begins so. */
bool expect_is(const char *text, const char *want);

#endif
