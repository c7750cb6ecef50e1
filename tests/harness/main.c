/*
 * Every integration program's main: Criterion's, one test after the other, and a place for the
 * stack that they share, which ends with this process however it ends. (Criterion's hooks would do,
 * but link-time optimisation drops them.)
 */
#include <criterion/criterion.h>
#include <criterion/options.h>
#include <stdio.h>
#include <stdlib.h>

#include "program.h"
#include "stack.h"

static bool prepare(struct program_guard *guard) {
    const char *shared = getenv(STACK_SHARED_DIR);
    if (shared != NULL && shared[0] != '\0')
        return true;
    char dir[] = "/var/tmp/rf-test-XXXXXX";
    if (mkdtemp(dir) == NULL || setenv(STACK_LAZY_DIR, dir, 1) != 0)
        return false;
    *guard = program_guard(dir);
    return guard->pid > 0;
}

int main(int argc, char **argv) {
    struct program_guard guard = {-1, -1};
    struct criterion_test_set *tests = criterion_initialize();
    int status = EXIT_SUCCESS;
    if (criterion_handle_args(argc, argv, true)) {
        criterion_options.jobs = 1;
        if (prepare(&guard))
            status = criterion_run_all_tests(tests) ? EXIT_SUCCESS : EXIT_FAILURE;
        else
            status = EXIT_FAILURE;
        program_unguard(&guard);
    }
    criterion_finalize(tests);
    return status;
}
