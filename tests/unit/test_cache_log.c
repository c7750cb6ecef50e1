#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../node/cache_entry.h"
#include "../../node/cache_log.h"

enum { SEGMENT_BYTES = 64 << 10, PAGE_BYTES = 4096 };

/* An entry whose version is `number` and whose value has `value_len` bytes of it. */
static struct cache_entry *append(struct cache_log *log, uint64_t number, uint32_t value_len) {
    struct cache_entry *e = cache_log_append(log, cache_entry_bytes(0, value_len, false));
    cr_assert_not_null(e);
    *e = (struct cache_entry){.version = number, .value_len = value_len};
    memset(e->data, (int)(number & 0xFF), value_len);
    return e;
}

static void kill_entry(struct cache_log *log, struct cache_entry *e) {
    e->flags |= CACHE_ENTRY_DEAD;
    log->dead += cache_entry_size(e);
}

Test(cache_log, an_empty_log_has_no_hand_and_no_memory) {
    struct cache_log log;
    struct cache_spare spare = {0};
    cache_log_init(&log, SEGMENT_BYTES, &spare);
    cr_assert_null(cache_log_hand(&log));
    cr_assert_eq(log.bytes, 0);
    cr_assert_eq(log.used, 0);
    cache_log_release(&log);
}

Test(cache_log, entries_come_out_as_they_went_in) {
    struct cache_log log;
    struct cache_spare spare = {0};
    cache_log_init(&log, SEGMENT_BYTES, &spare);
    for (uint64_t i = 0; i < 10000; i++)
        append(&log, i, (uint32_t)(i % 977));
    for (uint64_t i = 0; i < 10000; i++) {
        struct cache_entry *e = cache_log_hand(&log);
        cr_assert_not_null(e);
        cr_assert_eq(e->version, i);
        cr_assert_eq(e->value_len, i % 977);
        for (uint32_t at = 0; at < e->value_len; at++)
            cr_assert_eq(e->data[at], (char)(i & 0xFF), "entry %zu, byte %u", (size_t)i, at);
        cache_log_pass(&log);
    }
    cr_assert_null(cache_log_hand(&log));
    cr_assert_eq(log.bytes, 0, "an empty log holds nothing");
}

Test(cache_log, entries_do_not_move_while_others_come_and_go) {
    struct cache_log log;
    struct cache_spare spare = {0};
    cache_log_init(&log, SEGMENT_BYTES, &spare);
    for (uint64_t i = 0; i < 100; i++)
        append(&log, i, 100);
    struct cache_entry *fixed = append(&log, 4711, 100);
    for (uint64_t i = 0; i < 5000; i++)
        append(&log, i, 300);
    for (int i = 0; i < 100; i++)
        cache_log_pass(&log);
    cr_assert_eq(cache_log_hand(&log), fixed);
    cr_assert_eq(fixed->version, 4711);
    cache_log_release(&log);
}

Test(cache_log, used_and_dead_bytes_are_what_lies_before_the_hand) {
    struct cache_log log;
    size_t one = cache_entry_bytes(0, 100, false);
    struct cache_spare spare = {0};
    cache_log_init(&log, SEGMENT_BYTES, &spare);
    struct cache_entry *entries[10];
    for (uint64_t i = 0; i < 10; i++)
        entries[i] = append(&log, i, 100);
    cr_assert_eq(log.used, 10 * one);
    kill_entry(&log, entries[0]);
    kill_entry(&log, entries[5]);
    cr_assert_eq(log.dead, 2 * one);
    cache_log_pass(&log);
    cr_assert_eq(log.used, 9 * one);
    cr_assert_eq(log.dead, one);
    cache_log_pass(&log);
    cr_assert_eq(log.dead, one, "a live one is not among the dead");
    cache_log_release(&log);
    cr_assert_eq(log.used, 0);
    cr_assert_eq(log.dead, 0);
    cr_assert_eq(log.bytes, 0);
}

Test(cache_log, memory_comes_and_goes_by_segments) {
    struct cache_log log;
    size_t one = cache_entry_bytes(0, 1000, false), made = 0, before = 0;
    struct cache_spare spare = {0};
    cache_log_init(&log, SEGMENT_BYTES, &spare);
    while (log.bytes < 3 * SEGMENT_BYTES) {
        before = cache_log_needs(&log, one);
        size_t held = log.bytes;
        append(&log, made++, 1000);
        cr_assert_eq(log.bytes - held, before, "needs() foretells what append() takes");
        cr_assert(before == 0 || before == SEGMENT_BYTES);
    }
    size_t freed = 0;
    for (size_t i = 0; i < made; i++) {
        size_t held = log.bytes;
        cache_log_pass(&log);
        cr_assert(log.bytes == held || log.bytes == held - SEGMENT_BYTES);
        freed += held - log.bytes;
    }
    cr_assert_eq(freed, 3 * SEGMENT_BYTES);
    cache_spare_release(&spare);
}

Test(cache_log, a_few_segments_are_kept_and_used_again) {
    struct cache_log log, other;
    struct cache_spare spare = {0};
    cache_log_init(&log, SEGMENT_BYTES, &spare);
    cache_log_init(&other, SEGMENT_BYTES, &spare);
    for (uint64_t i = 0; log.bytes < 5 * SEGMENT_BYTES; i++)
        append(&log, i, 1000);
    while (cache_log_hand(&log) != NULL)
        cache_log_pass(&log);
    size_t kept = spare.bytes;
    cr_assert_eq(kept % SEGMENT_BYTES, 0);
    cr_assert_gt(kept, 0);
    cr_assert_lt(kept, 5 * SEGMENT_BYTES, "bounded");
    for (uint64_t i = 0; spare.bytes != 0; i++) {
        cr_assert_eq(cache_log_needs(&other, 1016), 0, "a spare one costs nothing");
        append(&other, i, 1000);
    }
    cr_assert_eq(other.bytes, kept);
    cache_log_release(&other);
    cr_assert_eq(spare.bytes, kept);
    cache_spare_release(&spare);
    cr_assert_eq(spare.bytes, 0);
    cr_assert_eq(cache_log_needs(&other, 1016), SEGMENT_BYTES);
}

Test(cache_log, a_spare_segment_is_no_room_for_a_larger_entry) {
    struct cache_log log;
    struct cache_spare spare = {0};
    cache_log_init(&log, SEGMENT_BYTES, &spare);
    append(&log, 1, 1000);
    cache_log_pass(&log);
    cr_assert_eq(spare.bytes, SEGMENT_BYTES);
    cr_assert_gt(cache_log_needs(&log, 2 * SEGMENT_BYTES), (size_t)2 * SEGMENT_BYTES);
    append(&log, 2, 2 * SEGMENT_BYTES);
    cr_assert_eq(spare.bytes, SEGMENT_BYTES);
    cache_log_pass(&log);
    cr_assert_eq(spare.bytes, SEGMENT_BYTES, "only ordinary ones are kept");
    cache_spare_release(&spare);
}

Test(cache_log, an_entry_larger_than_a_segment_gets_one_of_its_own) {
    struct cache_log log;
    struct cache_spare spare = {0};
    cache_log_init(&log, SEGMENT_BYTES, &spare);
    append(&log, 1, 10);
    size_t big = cache_entry_bytes(0, 1 << 20, false), needs = cache_log_needs(&log, big);
    cr_assert_geq(needs, big);
    cr_assert_leq(needs, big + 2 * PAGE_BYTES, "no more than it is large");
    append(&log, 2, 1 << 20);
    cr_assert_eq(log.bytes, SEGMENT_BYTES + needs);
    append(&log, 3, 10000);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(cache_log_hand(&log)->version, i);
        cache_log_pass(&log);
    }
    cr_assert_eq(log.bytes, 0);
}

Test(cache_log, sizes_round_up_to_eight_and_count_a_deadline) {
    cr_assert_eq(cache_entry_bytes(0, 0, false) % 8, 0);
    for (size_t key = 0; key < 40; key++) {
        for (size_t value = 0; value < 40; value++) {
            size_t plain = cache_entry_bytes(key, value, false);
            cr_assert_eq(plain % 8, 0);
            cr_assert_geq(plain, offsetof(struct cache_entry, data) + key + value);
            cr_assert_lt(plain, offsetof(struct cache_entry, data) + key + value + 8);
            cr_assert_eq(cache_entry_bytes(key, value, true), plain + 8);
        }
    }
}
