#include "page.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../harness/program.h"
#include "../harness/stack.h"

static char file[] = "/var/tmp/rf-inject-XXXXXX";
static struct inject_pages *pages;

/* ---- the page ---- */

void inject_open(void) {
    char flavour[64];
    snprintf(flavour, sizeof(flavour), "%s/inject", program_flavour());
    int fd = mkostemp(file, O_CLOEXEC);
    cr_assert(fd >= 0 && ftruncate(fd, sizeof(*pages)) == 0);
    pages = mmap(NULL, sizeof(*pages), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(pages, MAP_FAILED);
    close(fd);
    setenv("FLAVOUR", flavour, 1);
    unsetenv(STACK_SHARED_DIR);
    inject_show();
}

void inject_close(void) {
    unlink(file);
}

void inject_hide(void) {
    unsetenv(INJECT_FILE);
}

void inject_show(void) {
    setenv(INJECT_FILE, file, 1);
}

/* ---- which call ---- */

static unsigned number_of(const char *name, unsigned usual) {
    const char *value = getenv(name);
    return value != NULL && atoi(value) > 0 ? (unsigned)atoi(value) : usual;
}

void inject_disarm(enum inject_program program) {
    __atomic_store_n(&pages->of[program].kind, INJECT_NOTHING, __ATOMIC_RELEASE);
}

void inject_arm(const struct inject_aim *aim) {
    struct inject_page *page = &pages->of[aim->program];
    inject_disarm(aim->program);
    page->mode = aim->mode;
    page->nth = aim->nth;
    page->burst = number_of("INJECT_BURST", 1);
    page->count = page->fired = 0;
    page->what[0] = '\0';
    __atomic_store_n(&page->kind, aim->kind, __ATOMIC_RELEASE);
}

unsigned inject_count(enum inject_program program) {
    return __atomic_load_n(&pages->of[program].count, __ATOMIC_ACQUIRE);
}

bool inject_has_fired(enum inject_program program) {
    return __atomic_load_n(&pages->of[program].fired, __ATOMIC_ACQUIRE) != 0;
}

const char *inject_place(enum inject_program program) {
    static char text[64];
    const struct inject_page *page = &pages->of[program];
    snprintf(text, sizeof(text), "%s at 0x%llx", page->what, (unsigned long long)page->where);
    return inject_has_fired(program) ? text : "no call";
}

/* ---- what is asked for ---- */

unsigned inject_stride(void) {
    return number_of("INJECT_STRIDE", 40);
}

bool inject_is_brief(void) {
    return getenv("INJECT_STRIDE") == NULL;
}

bool inject_is_wanted(const char *name) {
    const char *only = getenv("INJECT_ONLY");
    return only == NULL || only[0] == '\0' || strstr(name, only) != NULL;
}

const char *inject_program_name(enum inject_program program) {
    static const char *const NAMES[INJECT_PROGRAMS] = {"node", "proxy", "ctl"};
    return NAMES[program];
}

const char *inject_kind_name(enum inject_kind kind) {
    static const char *const NAMES[INJECT_KINDS] = {
        "", "alloc", "event_alloc", "recv", "send", "pq", "pq_result", "system", "crypto"};
    return NAMES[kind];
}

const char *inject_mode_name(enum inject_mode mode) {
    static const char *const NAMES[] = {"fail", "end", "interrupt", "again", "short"};
    return NAMES[mode];
}
