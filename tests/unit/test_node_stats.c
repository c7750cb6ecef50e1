#include <criterion/criterion.h>
#include <string.h>

#include "../../node/node_stats.h"

Test(node_stats, every_figure_has_a_whole_row) {
    static const char *const SECTIONS[] = {"clients", "memory", "stats", "database"};
    for (int i = 0; i < NODE_STAT_COUNT; i++) {
        const struct stats_row *row = node_stats_row((enum node_stat)i);
        cr_assert_not_null(row->name, "figure %d", i);
        cr_assert_not_null(row->section, "%s", row->name);
        cr_assert_not_null(row->unit, "%s", row->name);
        cr_assert_not_null(row->help, "%s", row->name);
        cr_assert_gt(strlen(row->help), 5, "%s", row->name);
        bool shown = false;
        for (size_t s = 0; s < sizeof(SECTIONS) / sizeof(SECTIONS[0]); s++)
            shown = shown || strcmp(row->section, SECTIONS[s]) == 0;
        cr_assert(shown, "%s is in section %s, which INFO does not have", row->name, row->section);
    }
}

Test(node_stats, names_are_words_and_each_is_there_once) {
    for (int i = 0; i < NODE_STAT_COUNT; i++) {
        const char *name = node_stats_row((enum node_stat)i)->name;
        cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name), "%s", name);
        for (int j = 0; j < i; j++)
            cr_assert_str_neq(name, node_stats_row((enum node_stat)j)->name);
    }
}

Test(node_stats, figures_that_redis_has_carry_its_names) {
    static const struct {
        enum node_stat stat;
        const char *name;
    } REDIS[] = {{NODE_STAT_CLIENTS, "connected_clients"},
                 {NODE_STAT_CONNECTIONS, "total_connections_received"},
                 {NODE_STAT_REFUSED, "rejected_connections"},
                 {NODE_STAT_COMMANDS, "total_commands_processed"},
                 {NODE_STAT_ERRORS, "total_error_replies"},
                 {NODE_STAT_HITS, "keyspace_hits"},
                 {NODE_STAT_MISSES, "keyspace_misses"},
                 {NODE_STAT_BYTES_USED, "used_memory"},
                 {NODE_STAT_BYTES_MAX, "maxmemory"},
                 {NODE_STAT_EVICTED, "evicted_keys"}};
    for (size_t i = 0; i < sizeof(REDIS) / sizeof(REDIS[0]); i++)
        cr_assert_str_eq(node_stats_row(REDIS[i].stat)->name, REDIS[i].name);
}
