/* authors: only what is surely somebody's own is said to be. */
#include <criterion/criterion.h>

#include "../../proxy/authors.h"

static struct authors *authors;

static void set_up(void) {
    authors = authors_new();
    cr_assert_not_null(authors);
}

static void tear_down(void) {
    authors_free(&authors);
}

TestSuite(authors, .init = set_up, .fini = tear_down);

static bool is(uint64_t hash, uint64_t version, uint64_t client) {
    return authors_is(authors, (struct authors_change){hash, version}, client);
}

static void note(uint64_t hash, uint64_t version, uint64_t client) {
    authors_note(authors, (struct authors_change){hash, version}, client);
}

Test(authors, knows_who_made_which_version_of_which_key) {
    cr_assert_not(is(7, 42, 1), "nothing is known");
    note(7, 42, 1);
    cr_assert(is(7, 42, 1));
    cr_assert_not(is(7, 42, 2), "another client's");
    cr_assert_not(is(8, 42, 1), "another key");
    cr_assert_not(is(7, 43, 1), "another version");
}

Test(authors, what_is_not_known_is_nobodys) {
    cr_assert_not(is(0, 0, 0));
    note(7, 0, 1);
    cr_assert_not(is(7, 0, 1), "a version that is not known");
    note(7, 42, 0);
    cr_assert_not(is(7, 42, 0), "nobody");
}

Test(authors, a_burst_is_remembered_and_what_is_old_is_forgotten) {
    enum { BURST = 4096 };
    for (uint64_t version = 1; version <= BURST; version++)
        note(version * 31, version, 1);
    for (uint64_t version = 1; version <= BURST; version++)
        cr_assert(is(version * 31, version, 1), "version %llu", (unsigned long long)version);
    note(5, 1 + BURST, 2);
    cr_assert(is(5, 1 + BURST, 2));
    cr_assert_not(is(31, 1, 1), "a newer one took its place");
}

Test(authors, forgets_everything) {
    note(7, 42, 1);
    authors_forget(authors);
    cr_assert_not(is(7, 42, 1));
}
