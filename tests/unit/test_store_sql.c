/* The statements' texts, as they are put together; what they do is tested against a real
 * PostgreSQL in tests/integration. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../node/store_private.h"

static struct store store;

static bool make(const char *table) {
    store = (struct store){.conf = {.table = table,
                                    .key_column = "the \"key\"",
                                    .payload_column = "Pay",
                                    .active_column = "on"}};
    return store_sql_make(&store);
}

static void release(void) {
    for (int i = 0; i < STORE_SQL_STATEMENTS; i++)
        free(store.sql[i]);
    free(store.table);
    free(store.channel);
}

Test(store_sql, quotes_every_name) {
    cr_assert(make("My Schema.select"));
    cr_assert_str_eq(store.table, "\"My Schema\".\"select\"");
    cr_assert_str_eq(store.channel, "rf_My Schema_select");
    const char *get = store.sql[STORE_SQL_GET];
    cr_assert_not_null(
        strstr(get, "FROM \"My Schema\".\"select\" WHERE \"the \"\"key\"\"\" = ANY"));
    cr_assert_not_null(strstr(get, "\"on\" AND (expires_at IS NULL OR expires_at > now())"));
    cr_assert_not_null(
        strstr(store.sql[STORE_SQL_PUT], "nextval('\"My Schema\".\"select_version\"')"));
    release();
}

Test(store_sql, leaves_no_place_unfilled) {
    cr_assert(make("ringfence.entry"));
    for (int i = 0; i < STORE_SQL_STATEMENTS; i++) {
        cr_assert_not_null(store.sql[i], "statement %d", i);
        for (const char *at = store.sql[i]; (at = strchr(at, '{')) != NULL; at++)
            cr_expect_not(at[1] >= 'A' && at[1] <= 'Z' && at[2] == '}', "statement %d: %.40s", i,
                          at);
    }
    release();
}

Test(store_sql, keeps_the_braces_of_a_pattern) {
    cr_assert(make("ringfence.entry"));
    cr_assert_not_null(strstr(store.sql[STORE_SQL_EDIT_ADD], "[0-9]{0,18}"));
    release();
}

/* Each edit locks its row before it looks at it. */
Test(store_sql, every_edit_locks_the_row_first) {
    cr_assert(make("ringfence.entry"));
    for (int i = STORE_SQL_EDIT_SET; i < STORE_SQL_STATEMENTS; i++)
        cr_expect_not_null(strstr(store.sql[i], "WHERE \"the \"\"key\"\"\" = $1 FOR NO KEY UPDATE"),
                           "statement %d", i);
    cr_expect_not_null(strstr(store.sql[STORE_SQL_DELETE],
                              "ORDER BY \"the \"\"key\"\"\" FOR NO KEY "
                              "UPDATE"));
    release();
}

Test(store_sql, takes_a_name_up_to_its_bound) {
    cr_assert(make("a.12345678901234567890123456789012345678901234567890123"));
    cr_assert_leq(strlen(store.channel), 63, "a channel is an identifier");
    release();
    cr_assert_not(make("a.123456789012345678901234567890123456789012345678901234"));
    release();
}
