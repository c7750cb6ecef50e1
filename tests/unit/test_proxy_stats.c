#include <criterion/criterion.h>
#include <string.h>

#include "../../proxy/proxy_stats.h"

Test(proxy_stats, every_counter_has_a_whole_row) {
    for (int i = 0; i < PROXY_STAT_COUNT; i++) {
        const struct stats_row *row = proxy_stats_row((enum proxy_stat)i);
        cr_assert_not_null(row->name, "counter %d", i);
        cr_assert_not_null(row->section, "%s", row->name);
        cr_assert_not_null(row->unit, "%s", row->name);
        cr_assert_not_null(row->help, "%s", row->name);
        cr_assert(strcmp(row->section, "stats") == 0 || strcmp(row->section, "clients") == 0 ||
                      strcmp(row->section, "ring") == 0 || strcmp(row->section, "memory") == 0,
                  "%s is in section %s, which INFO does not have", row->name, row->section);
    }
}

Test(proxy_stats, names_are_words_that_info_can_show) {
    for (int i = 0; i < PROXY_STAT_COUNT; i++) {
        const char *name = proxy_stats_row((enum proxy_stat)i)->name;
        cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name), "%s", name);
        for (int j = 0; j < i; j++)
            cr_assert_str_neq(name, proxy_stats_row((enum proxy_stat)j)->name);
    }
}

Test(proxy_stats, figures_that_redis_has_carry_its_names) {
    static const struct {
        enum proxy_stat stat;
        const char *name;
    } REDIS[] = {{PROXY_STAT_CLIENTS, "connected_clients"},
                 {PROXY_STAT_CONNECTIONS, "total_connections_received"},
                 {PROXY_STAT_CONNECTIONS_REFUSED, "rejected_connections"},
                 {PROXY_STAT_COMMANDS, "total_commands_processed"},
                 {PROXY_STAT_BYTES_IN, "total_net_input_bytes"},
                 {PROXY_STAT_BYTES_OUT, "total_net_output_bytes"},
                 {PROXY_STAT_ERRORS, "total_error_replies"}};
    for (size_t i = 0; i < sizeof(REDIS) / sizeof(REDIS[0]); i++)
        cr_assert_str_eq(proxy_stats_row(REDIS[i].stat)->name, REDIS[i].name);
}
