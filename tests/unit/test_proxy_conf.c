// needs: fakes/conf_check.c
#include <criterion/criterion.h>

#include "../../common/conf.h"
#include "../../proxy/proxy_conf.h"
#include "../fakes/conf_check.h"

static const struct conf_row *rows_of(size_t *count, struct proxy_conf *conf) {
    const struct conf_row *rows = proxy_conf_rows(count);
    conf_init(rows, *count, conf);
    return rows;
}

Test(proxy_conf, defaults_are_the_documented_ones) {
    struct proxy_conf conf;
    size_t count;
    const struct conf_row *rows = rows_of(&count, &conf);
    cr_assert_str_eq(conf.bind, "localhost");
    cr_assert_eq(conf.port, 6379);
    cr_assert_not(conf.port_shared);
    cr_assert_str_eq(conf.ring_file, "configs/ring.conf");
    cr_assert_str_eq(conf.users_file, "");
    cr_assert(conf.protected_mode);
    cr_assert_eq(conf.auth_timeout_s, 10);
    cr_assert_eq(conf.unauthenticated_max, 1000);
    cr_assert_eq(conf.workers, 0);
    cr_assert_eq(conf.clients_max, 10000);
    cr_assert_eq(conf.request_timeout_ms, 200);
    cr_assert_eq(conf.write_timeout_ms, 2000);
    cr_assert_eq(conf.connect_timeout_ms, 500);
    cr_assert_eq(conf.node_retry_max_ms, 1000);
    cr_assert_eq(conf.node_probation_max_ms, 10000);
    cr_assert_eq(conf.health_interval_ms, 500);
    cr_assert_eq(conf.pipeline_max, 1024);
    cr_assert_eq(conf.node_inflight_max, 65536);
    cr_assert_eq(conf.args_max, 4096);
    cr_assert_eq(conf.key_bytes_max, 1024);
    cr_assert_eq(conf.value_bytes_max, 1 << 20);
    cr_assert_eq(conf.output_bytes_max, 64 << 20);
    cr_assert_eq(conf.drain_ms, 10000);
    cr_assert_eq(conf.client_idle_s, 0);
    cr_assert_eq(conf.slowlog_log_slower_than, 10000);
    cr_assert_eq(conf.slowlog_max_len, 128);
    cr_assert_eq(conf.hotkeys_sample, 32);
    cr_assert_eq(conf.hot_cache_bytes, 0);
    cr_assert_eq(conf.hot_cache_rate, 1000);
    cr_assert_eq(conf.hot_cache_ms, 100);
    cr_assert_not(conf.allow_debug);
    cr_assert_eq(conf.log_level, 1);
    cr_assert_str_eq(conf.compat_redis_version, "7.4.0");
    conf_release(rows, count, &conf);
}

Test(proxy_conf, every_field_has_one_whole_row) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    conf_check_rows(rows, count, sizeof(struct proxy_conf));
}

Test(proxy_conf, values_outside_their_range_are_refused) {
    static const char *const BAD[][2] = {
        {"port", "65536"},         {"port", "-1"},     {"workers", "65"},
        {"clients-max", "0"},      {"args-max", "7"},  {"request-timeout-ms", "0"},
        {"key-bytes-max", "2049"}, {"drain-ms", "-1"}, {"value-bytes-max", "17mb"},
        {"output-bytes-max", "1"}, {"log-level", "no"}};
    struct proxy_conf conf;
    size_t count;
    const struct conf_row *rows = rows_of(&count, &conf);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        conf_check_refused(rows, count, &conf, BAD[i][0], BAD[i][1]);
    conf_release(rows, count, &conf);
}

Test(proxy_conf, the_sample_file_is_what_the_rows_say) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    conf_check_sample(rows, count, "configs/proxy.conf");
}
