// needs: fakes/pg_rig.c fakes/pg_fake.c fakes/pg_message.c
/* Writes that look at the row first, at the driver. What their SQL does is tested against a real
 * PostgreSQL in tests/integration. */
#include <criterion/criterion.h>
#include <endian.h>

#include "../fakes/pg_rig.h"

static struct pg_rig *rig;

static void set_up(void) {
    rig = pg_rig_new();
    pg_rig_store(rig);
}

static void tear_down(void) {
    pg_rig_free(&rig);
}

TestSuite(store_edit, .init = set_up, .fini = tear_down);

enum { KEY, VALUE, COMPARE, EXPIRY, EXPIRY_MS, NUMBER, CONDITION, WANT_OLD };

static struct pg_fake_group *await_group(const char *session) {
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) != 0));
    struct pg_fake_group *group = pg_fake_group(rig->fake, 0);
    cr_assert_str_eq(pg_fake_session(group), session);
    return group;
}

static int64_t number(const struct pg_fake_group *group, unsigned i, unsigned param) {
    struct span bytes = pg_fake_param(group, i, param);
    uint64_t n;
    cr_assert_eq(bytes.len, sizeof(n));
    memcpy(&n, bytes.ptr, sizeof(n));
    return (int64_t)be64toh(n);
}

/* version, outcome, payload, ttl, old */
static void give(struct pg_fake_group *group, int64_t version, const char *payload) {
    pg_fake_begin(group, 5);
    pg_fake_row(group, "iitnn", version, (int64_t)STORE_OUTCOME_FINE, payload);
    pg_fake_end(group);
}

Test(store_edit, sends_what_it_was_asked) {
    struct pg_rig_ask *ask = pg_rig_edit(rig, STORE_ADD, "n", "", -5, true);
    struct pg_fake_group *group = await_group("write1");
    cr_assert_eq(pg_fake_count(group), 1);
    cr_assert_str_eq(pg_fake_param(group, 0, KEY).ptr, "n");
    cr_assert_eq(pg_fake_param(group, 0, VALUE).len, 0);
    cr_assert_eq(number(group, 0, NUMBER), -5);
    cr_assert_eq(number(group, 0, WANT_OLD), 1);
    cr_assert_str_eq(pg_fake_setting(group, 0), "50ms");
    cr_assert_str_eq(pg_fake_setting(group, 1), "0ms");
    pg_fake_begin(group, 5);
    pg_fake_row(group, "iitit", (int64_t)9, (int64_t)STORE_OUTCOME_FINE, "37", (int64_t)1500, "42");
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_OK);
    cr_assert_eq(ask->versions[0], 9);
    cr_assert_eq(ask->changed, 1);
    cr_assert_eq(ask->outcome, STORE_OUTCOME_FINE);
    cr_assert(ask->live && ask->had_old && ask->cacheable);
    cr_assert_str_eq(ask->value, "37");
    cr_assert_str_eq(ask->old, "42");
    cr_assert_eq(ask->ttl_ms, 1500);
}

Test(store_edit, tells_conditions_apart) {
    static const struct {
        enum store_op op;
        int64_t condition;
    } CASES[] = {{STORE_SET, 0},          {STORE_SET_NX, 1},      {STORE_SET_XX, 2},
                 {STORE_SET_IFEQ, 3},     {STORE_SET_VERSION, 4}, {STORE_APPEND, 1 << 20},
                 {STORE_OVERLAY, 1 << 20}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct pg_rig_ask *ask = pg_rig_edit(rig, CASES[i].op, "k", "v", 0, false);
        struct pg_fake_group *group = await_group("write1");
        cr_expect_eq(number(group, 0, CONDITION), CASES[i].condition, "case %zu", i);
        cr_expect_eq(pg_fake_param(group, 0, VALUE).len, 1, "case %zu", i);
        give(group, 1, "v");
        pg_fake_sync(group);
        cr_assert(PG_UNTIL(rig, ask->answered));
    }
}

/* By a piece of its text that no other statement has. */
Test(store_edit, every_op_has_its_statement) {
    static const struct {
        enum store_op op;
        const char *part;
    } CASES[] = {{STORE_DELETE, "live AS w, 0 AS outcome, p AS np, x AS nx, false AS na"},
                 {STORE_EXPIRE, "AS past,"},
                 {STORE_PERSIST, "live AND x IS NOT NULL AS w"},
                 {STORE_ADD_DECIMAL, "trim_scale"},
                 {STORE_APPEND, "octet_length($2)"},
                 {STORE_OVERLAY, "convert_from(overlay("},
                 {STORE_ENABLE, "v <> 0 AND NOT live AS w"},
                 {STORE_DISABLE, "a AS w, 0 AS outcome, p AS np, x AS nx, false AS na"}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct pg_rig_ask *ask = pg_rig_edit(rig, CASES[i].op, "k", "v", 0, false);
        struct pg_fake_group *group = await_group("write1");
        cr_expect_not_null(strstr(pg_fake_sql(group, 0), CASES[i].part), "case %zu: %s", i,
                           pg_fake_sql(group, 0));
        give(group, 1, "v");
        pg_fake_sync(group);
        cr_assert(PG_UNTIL(rig, ask->answered));
    }
}

Test(store_edit, nothing_done_is_version_zero) {
    struct pg_rig_ask *ask = pg_rig_edit(rig, STORE_SET_XX, "k", "v", 0, false);
    struct pg_fake_group *group = await_group("write1");
    pg_fake_begin(group, 5);
    pg_fake_row(group, "iinnn", (int64_t)0, (int64_t)STORE_OUTCOME_FINE);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->versions[0], 0);
    cr_assert_eq(ask->changed, 0);
    cr_assert_not(ask->live || ask->had_old);
    cr_assert_eq(ask->ttl_ms, -1);
}

/* Two nodes must never lock in different orders. */
Test(store_edit, those_that_wait_together_go_in_the_order_of_their_keys) {
    struct pg_rig_ask *busy = pg_rig_set(rig, "busy", "1");
    struct pg_fake_group *first = await_group("write1");
    struct pg_rig_ask *c = pg_rig_edit(rig, STORE_ADD, "c", "", 3, false),
                      *a = pg_rig_edit(rig, STORE_ADD, "a", "", 1, false),
                      *b = pg_rig_edit(rig, STORE_APPEND, "b", "x", 0, false);
    pg_fake_begin(first, 2);
    pg_fake_row(first, "ti", "busy", (int64_t)1);
    pg_fake_end(first);
    pg_fake_sync(first);
    struct pg_fake_group *group = await_group("write1");
    cr_assert_eq(pg_fake_count(group), 3, "one transaction");
    static const char *const KEYS[] = {"a", "b", "c"};
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_str_eq(pg_fake_param(group, i, KEY).ptr, KEYS[i]);
        give(group, 10 + i, KEYS[i]);
    }
    for (int i = 0; i < 5; i++)
        pg_rig_turn(rig);
    cr_assert_not(a->answered, "a row was taken for a commit");
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, busy->answered && a->answered && b->answered && c->answered));
    cr_assert_eq(a->versions[0], 10);
    cr_assert_eq(b->versions[0], 11);
    cr_assert_eq(c->versions[0], 12);
    cr_assert_str_eq(c->value, "c");
}

Test(store_edit, lost_after_its_row_it_is_uncertain) {
    struct pg_rig_ask *ask = pg_rig_edit(rig, STORE_ADD, "n", "", 1, false);
    struct pg_fake_group *group = await_group("write1");
    give(group, 1, "1");
    pg_fake_cut(group);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_UNCERTAIN);
}

/* Somebody inserted the row between the look and our insert: it is looked at again. */
Test(store_edit, a_row_that_appeared_meanwhile_is_looked_at_again) {
    struct pg_rig_ask *ask = pg_rig_edit(rig, STORE_ADD, "n", "", 1, false);
    struct pg_fake_group *group = await_group("write1");
    pg_fake_error(group, "23505", "duplicate key");
    pg_fake_sync(group);
    group = await_group("slow1");
    cr_assert_str_eq(pg_fake_setting(group, 0), "5ms");
    give(group, 5, "8");
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_OK);
    cr_assert_str_eq(ask->value, "8");
}

Test(store_edit, a_transaction_that_fails_is_tried_again_edit_by_edit) {
    struct pg_rig_ask *busy = pg_rig_set(rig, "busy", "1");
    struct pg_fake_group *first = await_group("write1");
    struct pg_rig_ask *a = pg_rig_edit(rig, STORE_ADD, "a", "", 1, false),
                      *b = pg_rig_edit(rig, STORE_ADD, "b", "", 1, false);
    pg_fake_begin(first, 2);
    pg_fake_row(first, "ti", "busy", (int64_t)1);
    pg_fake_end(first);
    pg_fake_sync(first);
    struct pg_fake_group *group = await_group("write1");
    give(group, 1, "1");
    pg_fake_error(group, "23514", "violates a check");
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, pg_fake_groups(rig->fake) == 2));
    cr_assert_not(a->answered, "what was rolled back was acknowledged");
    group = await_group("slow1");
    cr_assert_eq(pg_fake_count(group), 1);
    give(group, 2, "1");
    pg_fake_sync(group);
    group = await_group("slow1");
    pg_fake_error(group, "23514", "violates a check");
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, busy->answered && a->answered && b->answered));
    cr_assert_eq(a->status, STORE_OK);
    cr_assert_eq(a->versions[0], 2);
    cr_assert_eq(b->status, STORE_REFUSED);
}

Test(store_edit, a_result_without_its_row_is_no_success) {
    struct pg_rig_ask *ask = pg_rig_edit(rig, STORE_ADD, "n", "", 1, false);
    struct pg_fake_group *group = await_group("write1");
    pg_fake_begin(group, 5);
    pg_fake_end(group);
    pg_fake_sync(group);
    cr_assert(PG_UNTIL(rig, ask->answered));
    cr_assert_eq(ask->status, STORE_REFUSED);
}
