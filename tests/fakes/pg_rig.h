/*
 * pg_rig: an event base with pg_fake in it, and, when asked for, a store over libpq that is
 * connected to it, with askers that remember their answers. A callback inside the call that started
 * it, or a second one, ends the test. Owned by the test.
 */
#ifndef RINGFENCE_PG_RIG_H
#define RINGFENCE_PG_RIG_H

#include "../../node/store.h"
#include "../../node/store_pg.h"
#include "pg_fake.h"

enum { PG_RIG_PATIENCE_MS = 10000, PG_RIG_KEYS_MAX = 4, PG_RIG_TEXT_BYTES = 300 };

struct event;
struct event_base;

struct pg_rig {
    struct event_base *base;
    struct event *pulse; /* ends a turn after a millisecond */
    struct pg_fake *fake;
    char conninfo[200];
    struct store_pg_conf conf;
    struct store *store;                             /* NULL before pg_rig_store() */
    void (*on_turn)(void *ctx, int64_t now_mono_ms); /* optional: what else has a tick */
    void *ctx;
    struct pg_rig_ask *asks; /* all of them, freed with the rig */
};

/** pg_rig_new(): one connection for reads and one for writes, deadlines of 2 s. */
struct pg_rig *pg_rig_new(void);
void pg_rig_free(struct pg_rig **rig);

/** pg_rig_store(rig): make the store, and wait until its connections are up; it trusts the fake. */
void pg_rig_store(struct pg_rig *rig);

/** pg_rig_turn(rig): one turn of the loop, and its ticks. pg_rig_later(rig, ms): ticks as they
 * would be so much later. */
void pg_rig_turn(struct pg_rig *rig);
void pg_rig_later(struct pg_rig *rig, int64_t ms);

/** pg_rig_connections(rig): of the store that are up. */
unsigned pg_rig_connections(const struct pg_rig *rig);

/** PG_UNTIL(rig, holds): turns until it holds; false after PG_RIG_PATIENCE_MS. */
#define PG_UNTIL(rig, holds)                                                                       \
    __extension__({                                                                                \
        int64_t until_ms_ = pg_rig_now_ms() + PG_RIG_PATIENCE_MS;                                  \
        while (!(holds) && pg_rig_now_ms() < until_ms_)                                            \
            pg_rig_turn(rig);                                                                      \
        (holds);                                                                                   \
    })
int64_t pg_rig_now_ms(void);

/* ---- requests; `status` is that of the answer, or of the refusal ---- */

struct pg_rig_ask {
    struct store_get get;
    struct store_write write;
    struct store_query query;
    struct store_more more;
    char texts[2 * PG_RIG_KEYS_MAX][PG_RIG_TEXT_BYTES];
    struct span keys[PG_RIG_KEYS_MAX], values[PG_RIG_KEYS_MAX];
    bool asking, answered, present, cacheable, live, had_old;
    enum store_status status;
    char value[PG_RIG_TEXT_BYTES], old[PG_RIG_TEXT_BYTES], detail[PG_RIG_TEXT_BYTES];
    uint64_t versions[PG_RIG_KEYS_MAX];
    uint32_t changed;
    int64_t ttl_ms, count;
    int outcome; /* -1: no result */
    struct pg_rig_ask *next;
};

struct pg_rig_ask *pg_rig_get(struct pg_rig *rig, const char *key);
struct pg_rig_ask *pg_rig_set(struct pg_rig *rig, const char *key, const char *value);
struct pg_rig_ask *pg_rig_mset2(struct pg_rig *rig, const char *key, const char *value,
                                const char *key2, const char *value2);
struct pg_rig_ask *pg_rig_delete(struct pg_rig *rig, const char *key);
struct pg_rig_ask *pg_rig_delete2(struct pg_rig *rig, const char *key, const char *key2);
/** pg_rig_edit(rig, op, key, value, number, want_old): a write that looks at the row first. */
struct pg_rig_ask *pg_rig_edit(struct pg_rig *rig, enum store_op op, const char *key,
                               const char *value, int64_t number, bool want_old);
struct pg_rig_ask *pg_rig_ask(struct pg_rig *rig, enum store_question question, const char *key);

#endif
