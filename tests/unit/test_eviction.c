#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../proxy/eviction.h"
#include "../../proxy/local.h"
#include "../../proxy/registry.h"

enum { CLIENTS = 100, MIB = 1 << 20 };

static struct registry *registry;
static struct local_client *clients; /* client i has bytes_of(i) */

static uint64_t bytes_of(int i) {
    return (uint64_t)(i + 1) * MIB;
}

static void set_up(void) {
    registry = registry_new();
    clients = calloc(CLIENTS, sizeof(*clients));
    for (int i = 0; i < CLIENTS; i++) {
        registry_add(registry, &clients[i * 37 % CLIENTS]); /* in no order */
        stats_set(&clients[i].bytes, bytes_of(i));
    }
}

static void tear_down(void) {
    for (int i = 0; i < CLIENTS; i++)
        registry_remove(registry, &clients[i]);
    free(clients);
    registry_free(&registry);
}

TestSuite(eviction, .init = set_up, .fini = tear_down);

static bool goes(int i) {
    return stats_get(&clients[i].killed) == LOCAL_KILL_EVICTED;
}

static uint64_t bytes_left(void) {
    uint64_t bytes = 0;
    for (int i = 0; i < CLIENTS; i++)
        bytes += stats_get(&clients[i].killed) == LOCAL_KILL_NOT ? bytes_of(i) : 0;
    return bytes;
}

Test(eviction, nobody_goes_while_all_fit) {
    cr_expect_eq(eviction_mark(registry, bytes_left()), 0u);
    cr_expect_eq(eviction_mark(registry, UINT64_MAX), 0u);
    cr_expect_not(goes(CLIENTS - 1));
}

Test(eviction, the_largest_go_and_no_more_than_must) {
    static const uint64_t LIMITS_MIB[] = {5049, 5000, 4000, 2525, 1000, 55, 1};
    for (unsigned l = 0; l < sizeof(LIMITS_MIB) / sizeof(LIMITS_MIB[0]); l++) {
        uint64_t most = LIMITS_MIB[l] * MIB, before = bytes_left();
        uint32_t marked = eviction_mark(registry, most);
        uint64_t smallest_gone = UINT64_MAX, largest_left = 0;
        for (int i = 0; i < CLIENTS; i++) {
            if (goes(i) && bytes_of(i) < smallest_gone)
                smallest_gone = bytes_of(i);
            if (!goes(i))
                largest_left = bytes_of(i);
        }
        cr_expect_eq(marked > 0, before > most);
        cr_expect(bytes_left() <= most, "%d MiB", (int)LIMITS_MIB[l]);
        cr_expect(bytes_left() + smallest_gone > most || before <= most ||
                      bytes_left() + smallest_gone * 5 / 4 >= most,
                  "too many went for %d MiB", (int)LIMITS_MIB[l]);
        cr_expect(largest_left <= smallest_gone + smallest_gone / 4 + 1,
                  "%d MiB went, %d MiB stays", (int)(smallest_gone / MIB),
                  (int)(largest_left / MIB));
    }
}

Test(eviction, who_said_no_evict_stays_and_counts) {
    for (int i = 50; i < CLIENTS; i++)
        stats_set(&clients[i].no_evict, 1);
    uint64_t spared = 0;
    for (int i = 50; i < CLIENTS; i++)
        spared += bytes_of(i);
    cr_expect(eviction_mark(registry, spared + 10 * MIB) > 0);
    for (int i = 50; i < CLIENTS; i++)
        cr_expect_not(goes(i));
    cr_expect(goes(49) && !goes(0));
    eviction_mark(registry, MIB); /* cannot be had */
    cr_expect(goes(0));
    cr_expect_eq(bytes_left(), spared);
    cr_expect_eq(eviction_mark(registry, MIB), 0u);
}

Test(eviction, who_is_on_its_way_out_counts_no_more) {
    stats_set(&clients[99].killed, LOCAL_KILL_ASKED);
    cr_expect_eq(eviction_mark(registry, 4950 * (uint64_t)MIB), 0u);
    cr_expect_eq(stats_get(&clients[99].killed), LOCAL_KILL_ASKED);
    cr_expect_eq(eviction_mark(registry, 4949 * (uint64_t)MIB), 1u);
    cr_expect_eq(eviction_mark(registry, 4949 * (uint64_t)MIB), 0u, "marked once");
}

Test(eviction, who_holds_nothing_is_never_closed) {
    stats_set(&clients[0].bytes, 0);
    eviction_mark(registry, 0);
    cr_expect_not(goes(0));
    cr_expect(goes(1));
}
