#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "../../node/cache_ahead.h"
#include "../../node/cache_pages.h"

enum { HUGE_BYTES = 2 << 20, MAPPING_BYTES = 2 * HUGE_BYTES, PIECE_BYTES = 64 << 10 };

/* Whether the page at `at` is mapped. */
static bool is_mapped(const void *at) {
    unsigned char in_core;
    return mincore((void *)at, CACHE_PAGE_BYTES, &in_core) == 0;
}

static void fill(char *piece, size_t bytes, int with) {
    cr_assert_not_null(piece);
    cr_assert_eq((uintptr_t)piece % CACHE_PAGE_BYTES, 0u);
    for (size_t i = 0; i < bytes; i++)
        cr_assert_eq(piece[i], 0, "byte %zu is not zero", i);
    memset(piece, with, bytes);
}

Test(cache_pages, pieces_are_zeroed_apart_and_cut_from_few_mappings) {
    enum { PIECES = 3 * MAPPING_BYTES / PIECE_BYTES };
    struct cache_pages pages;
    char *pieces[PIECES];
    cache_pages_init(&pages, MAPPING_BYTES, NULL);
    int beside = 0;
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = cache_pages_take(&pages, PIECE_BYTES);
        fill(pieces[i], PIECE_BYTES, i + 1);
        beside += i > 0 && pieces[i] == pieces[i - 1] + PIECE_BYTES;
    }
    cr_assert_geq(beside, PIECES - 3);
    cr_assert_eq((uintptr_t)pieces[0] % HUGE_BYTES, 0u, "a huge page fits");
    for (int i = 0; i < PIECES; i++)
        cr_assert_eq(pieces[i][PIECE_BYTES - 1], (char)(i + 1));
    for (int i = 0; i < PIECES; i++)
        cache_pages_give(pieces[i], PIECE_BYTES);
    cache_pages_release(&pages);
}

Test(cache_pages, what_is_given_back_leaves_its_neighbours_alone) {
    struct cache_pages pages;
    cache_pages_init(&pages, MAPPING_BYTES, NULL);
    char *a = cache_pages_take(&pages, PIECE_BYTES), *b = cache_pages_take(&pages, PIECE_BYTES),
         *c = cache_pages_take(&pages, PIECE_BYTES);
    fill(a, PIECE_BYTES, 1);
    fill(b, PIECE_BYTES, 2);
    fill(c, PIECE_BYTES, 3);
    cache_pages_give(b, PIECE_BYTES);
    cr_assert_not(is_mapped(b));
    cr_assert_eq(a[PIECE_BYTES - 1], 1);
    cr_assert_eq(c[0], 3);
    cache_pages_release(&pages);
    cr_assert(is_mapped(a) && is_mapped(c), "pieces that were taken stay");
    cr_assert_not(is_mapped(c + PIECE_BYTES), "what was never taken goes");
    cache_pages_give(a, PIECE_BYTES);
    cache_pages_give(c, PIECE_BYTES);
}

Test(cache_pages, a_large_piece_gets_a_mapping_of_its_own) {
    struct cache_pages pages;
    cache_pages_init(&pages, PIECE_BYTES, NULL);
    char *small = cache_pages_take(&pages, CACHE_PAGE_BYTES);
    char *large = cache_pages_take(&pages, 2 * PIECE_BYTES);
    char *next = cache_pages_take(&pages, CACHE_PAGE_BYTES);
    fill(large, 2 * PIECE_BYTES, 1);
    cr_assert_eq(next, small + CACHE_PAGE_BYTES);
    cache_pages_give(large, 2 * PIECE_BYTES);
    cache_pages_give(small, CACHE_PAGE_BYTES);
    cache_pages_give(next, CACHE_PAGE_BYTES);
    cache_pages_release(&pages);
}

/* Whether the page at `at` is there already. */
static bool is_touched(const void *at) {
    unsigned char in_core = 0;
    return mincore((void *)at, CACHE_PAGE_BYTES, &in_core) == 0 && (in_core & 1) != 0;
}

Test(cache_pages, the_next_huge_page_is_touched_before_it_is_taken) {
    static char probe[2 * CACHE_PAGE_BYTES] __attribute__((aligned(4096)));
    if (madvise(probe, sizeof(probe), MADV_POPULATE_WRITE) != 0)
        cr_skip_test("this kernel does not touch memory on request");
    struct cache_ahead *ahead = cache_ahead_new();
    struct cache_pages pages;
    cr_assert_not_null(ahead);
    cache_pages_init(&pages, MAPPING_BYTES, ahead);
    enum { PIECES = 4 * MAPPING_BYTES / PIECE_BYTES };
    char *pieces[PIECES];
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = cache_pages_take(&pages, PIECE_BYTES);
        cache_ahead_wait(ahead);
        if (i >= HUGE_BYTES / PIECE_BYTES) /* the first huge page is the loop's own to touch */
            cr_assert(is_touched(pieces[i]), "piece %d", i);
        fill(pieces[i], PIECE_BYTES, i + 1);
    }
    for (int i = 0; i < PIECES; i++)
        cr_assert_eq(pieces[i][0], (char)(i + 1));
    for (int i = 0; i < PIECES; i++)
        cache_pages_give(pieces[i], PIECE_BYTES);
    cache_pages_release(&pages);
    cache_ahead_free(&ahead);
}

Test(cache_pages, what_was_unmapped_meanwhile_or_is_too_much_is_passed_over) {
    struct cache_ahead *ahead = cache_ahead_new();
    for (int round = 0; round < 100; round++) {
        struct cache_pages pages;
        cache_pages_init(&pages, MAPPING_BYTES, NULL);
        char *piece = cache_pages_take(&pages, PIECE_BYTES);
        cache_ahead_touch(ahead, piece, PIECE_BYTES);
        cache_pages_give(piece, PIECE_BYTES);
        cache_pages_release(&pages);
    }
    cache_ahead_wait(ahead);
    cache_ahead_touch(NULL, NULL, PIECE_BYTES);
    cache_ahead_free(&ahead);
    cr_assert_null(ahead);
}
