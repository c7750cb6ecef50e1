// needs: fakes/conf_check.c
#include <criterion/criterion.h>

#include "../../common/conf.h"
#include "../../node/node_conf.h"
#include "../fakes/conf_check.h"

static const struct conf_row *rows_of(size_t *count, struct node_conf *conf) {
    const struct conf_row *rows = node_conf_rows(count);
    conf_init(rows, *count, conf);
    return rows;
}

Test(node_conf, defaults_are_the_documented_ones) {
    struct node_conf conf;
    size_t count;
    const struct conf_row *rows = rows_of(&count, &conf);
    cr_assert_str_eq(conf.name, "node1");
    cr_assert_str_eq(conf.bind, "127.0.0.1");
    cr_assert_eq(conf.port, 7101);
    cr_assert_str_eq(conf.conninfo, "");
    cr_assert_str_eq(conf.table, "ringfence.entry");
    cr_assert_str_eq(conf.key_column, "key");
    cr_assert_str_eq(conf.payload_column, "payload");
    cr_assert_str_eq(conf.active_column, "active");
    cr_assert_eq(conf.cache_bytes_max, 256 << 20);
    cr_assert_eq(conf.key_bytes_max, 1024);
    cr_assert_eq(conf.value_bytes_max, 1 << 20);
    cr_assert_eq(conf.args_max, 4096);
    cr_assert_eq(conf.payload_format, NODE_PAYLOAD_TEXT);
    cr_assert_eq(conf.read_connections, 2);
    cr_assert_eq(conf.write_connections, 1);
    cr_assert_eq(conf.read_timeout_ms, 150);
    cr_assert_eq(conf.write_timeout_ms, 1800);
    cr_assert_eq(conf.fence_after_ms, 2000);
    cr_assert_eq(conf.stale_max_ms, 3600000);
    cr_assert_eq(conf.pending_max, 65536);
    cr_assert_eq(conf.clients_max, 1024);
    cr_assert_eq(conf.output_bytes_max, 64 << 20);
    cr_assert_eq(conf.log_level, 1);
    conf_release(rows, count, &conf);
}

Test(node_conf, every_field_has_one_whole_row) {
    size_t count;
    const struct conf_row *rows = node_conf_rows(&count);
    conf_check_rows(rows, count, sizeof(struct node_conf));
}

Test(node_conf, values_outside_their_range_are_refused) {
    static const char *const BAD[][2] = {{"port", "65536"},
                                         {"port", "-1"},
                                         {"cache-bytes-max", "4095kb"},
                                         {"cache-bytes-max", "2048gb"},
                                         {"key-bytes-max", "0"},
                                         {"key-bytes-max", "1025"},
                                         {"value-bytes-max", "17mb"},
                                         {"args-max", "7"},
                                         {"read-connections", "17"},
                                         {"write-connections", "0"},
                                         {"read-timeout-ms", "0"},
                                         {"fence-after-ms", "99"},
                                         {"stale-max-ms", "-1"},
                                         {"pending-max", "0"},
                                         {"clients-max", "65537"},
                                         {"output-bytes-max", "1"},
                                         {"log-level", "no"},
                                         {"payload-format", "xml"}};
    struct node_conf conf;
    size_t count;
    const struct conf_row *rows = rows_of(&count, &conf);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        conf_check_refused(rows, count, &conf, BAD[i][0], BAD[i][1]);
    conf_release(rows, count, &conf);
}

Test(node_conf, the_connection_string_is_never_shown) {
    struct node_conf conf;
    struct conf_error error;
    size_t count;
    const struct conf_row *rows = rows_of(&count, &conf);
    cr_assert(conf_set(rows, count, &conf, "conninfo", "host=db password=hunter2", &error));
    for (size_t i = 0; i < count; i++) {
        char shown[300];
        conf_get(&rows[i], &conf, shown, sizeof(shown));
        cr_assert_null(strstr(shown, "hunter2"), "%s", rows[i].name);
    }
    conf_release(rows, count, &conf);
}

Test(node_conf, the_sample_file_is_what_the_rows_say) {
    size_t count;
    const struct conf_row *rows = node_conf_rows(&count);
    conf_check_sample(rows, count, "configs/node.conf");
}
