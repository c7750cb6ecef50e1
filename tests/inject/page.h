/*
 * page: the test's end of inject.h: it tells daemons which call fails. For Criterion's main thread.
 */
#ifndef RINGFENCE_PAGE_H
#define RINGFENCE_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "inject.h"

enum { INJECT_COUNT_ONLY = UINT32_MAX >> 1 }; /* no call fails, but they are counted */

struct inject_aim {
    enum inject_program program;
    enum inject_kind kind;
    enum inject_mode mode;
    uint32_t nth;
};

/** inject_open(): from now on stacks run the daemons of the build's folder inject, and map our
 * page. inject_close(): at the test's end. inject_hide(): those that start now do not;
 * inject_show(): they do again. */
void inject_open(void);
void inject_close(void);
void inject_hide(void);
void inject_show(void);

/** inject_arm(aim): the nth call of the kind from now on fails, once; or, with INJECT_BURST, so
 * many in a row. inject_disarm(program): none does any more. */
void inject_arm(const struct inject_aim *aim);
void inject_disarm(enum inject_program program);

/** inject_count(program): calls of the kind since it was armed. inject_has_fired(program): one has
 * failed; inject_place(program): which, as a text; a debugger's "info line *0x..." finds it. */
unsigned inject_count(enum inject_program program);
bool inject_has_fired(enum inject_program program);
const char *inject_place(enum inject_program program);

/** inject_stride(): every how-manieth call is tried; INJECT_STRIDE, 40 without it: then only what
 * is soon done is, and inject_is_brief(). inject_is_wanted(name): it has INJECT_ONLY in it. */
unsigned inject_stride(void);
bool inject_is_brief(void);
bool inject_is_wanted(const char *name);

const char *inject_program_name(enum inject_program program);
const char *inject_kind_name(enum inject_kind kind);
const char *inject_mode_name(enum inject_mode mode);

#endif
