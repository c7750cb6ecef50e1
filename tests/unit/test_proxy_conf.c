#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../common/conf.h"
#include "../../proxy/proxy_conf.h"

static const char SAMPLE[] = "configs/proxy.conf";

static void defaults(struct proxy_conf *conf) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    conf_init(rows, count, conf);
}

Test(proxy_conf, defaults_are_the_documented_ones) {
    struct proxy_conf conf;
    defaults(&conf);
    cr_assert_str_eq(conf.bind, "localhost");
    cr_assert_eq(conf.port, 6379);
    cr_assert_str_eq(conf.ring_file, "configs/ring.conf");
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
    cr_assert_eq(conf.log_level, 1);
    cr_assert_str_eq(conf.compat_redis_version, "7.4.0");
}

Test(proxy_conf, every_field_has_exactly_one_row) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    cr_assert_eq(count * sizeof(int64_t), sizeof(struct proxy_conf));
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            cr_assert_neq(rows[i].offset, rows[j].offset, "%s and %s", rows[i].name, rows[j].name);
            cr_assert_str_neq(rows[i].name, rows[j].name);
        }
    }
}

Test(proxy_conf, every_row_says_what_it_is_for) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    for (size_t i = 0; i < count; i++) {
        cr_assert_gt(strlen(rows[i].help), 10, "%s", rows[i].name);
        cr_assert_not_null(rows[i].unit, "%s", rows[i].name);
        cr_assert(rows[i].type == CONF_STRING || rows[i].type == CONF_CHOICE ||
                      rows[i].min < rows[i].max,
                  "%s has no range", rows[i].name);
    }
}

Test(proxy_conf, values_outside_their_range_are_refused) {
    static const char *const BAD[][2] = {
        {"port", "65536"},         {"port", "-1"},     {"workers", "65"},
        {"clients-max", "0"},      {"args-max", "7"},  {"request-timeout-ms", "0"},
        {"key-bytes-max", "2049"}, {"drain-ms", "-1"}, {"value-bytes-max", "17mb"},
        {"output-bytes-max", "1"}, {"log-level", "no"}};
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    struct proxy_conf conf;
    defaults(&conf);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct conf_error error = {{0}};
        cr_assert_not(conf_set(rows, count, &conf, BAD[i][0], BAD[i][1], &error), "%s %s",
                      BAD[i][0], BAD[i][1]);
        cr_assert_not_null(strstr(error.text, BAD[i][0]), "%s", error.text);
    }
}

Test(proxy_conf, the_sample_file_is_the_defaults) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    struct proxy_conf conf, want;
    defaults(&conf);
    defaults(&want);
    struct conf_error error = {{0}};
    cr_assert(conf_load(rows, count, &conf, SAMPLE, &error), "%s", error.text);
    for (size_t i = 0; i < count; i++) {
        char got[256], expected[256];
        conf_get(&rows[i], &conf, got, sizeof(got));
        conf_get(&rows[i], &want, expected, sizeof(expected));
        cr_assert_str_eq(got, expected, "%s", rows[i].name);
    }
}

Test(proxy_conf, the_sample_file_shows_every_option_with_its_default) {
    size_t count;
    const struct conf_row *rows = proxy_conf_rows(&count);
    static char text[64 << 10];
    FILE *file = fopen(SAMPLE, "r");
    cr_assert_not_null(file, "run the tests in the repository's root");
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    for (size_t i = 0; i < count; i++) {
        char line[512];
        snprintf(line, sizeof(line), "\n# %s %s\n", rows[i].name, rows[i].initial);
        cr_assert_not_null(strstr(text, line), "%s lacks the line%s", SAMPLE, line);
        cr_assert_not_null(strstr(text, rows[i].help), "%s does not say: %s", SAMPLE, rows[i].help);
    }
}
