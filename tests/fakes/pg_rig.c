#include "pg_rig.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/clock.h"
#include "../../common/log.h"

static void fail(const char *why) {
    fprintf(stderr, "pg_rig: %s\n", why);
    abort();
}

static void on_pulse(evutil_socket_t fd, short what, void *arg) {
}

struct pg_rig *pg_rig_new(void) {
    struct pg_rig *rig = calloc(1, sizeof(*rig));
    if (rig == NULL)
        abort();
    log_set_level(LOG_LEVEL_ERROR);
    rig->base = event_base_new();
    rig->fake = pg_fake_new(rig->base);
    const struct timeval every = {0, 1000};
    rig->pulse = event_new(rig->base, -1, EV_PERSIST, on_pulse, NULL);
    if (rig->pulse == NULL || event_add(rig->pulse, &every) != 0)
        abort();
    snprintf(rig->conninfo, sizeof(rig->conninfo), "host=%s user=u dbname=d",
             pg_fake_host(rig->fake));
    rig->conf = (struct store_pg_conf){.conninfo = rig->conninfo,
                                       .table = "app.entry",
                                       .key_column = "key",
                                       .payload_column = "payload",
                                       .active_column = "active",
                                       .read_connections = 1,
                                       .write_connections = 1,
                                       .read_deadline_ms = 60000,
                                       .write_deadline_ms = 60000};
    return rig;
}

void pg_rig_free(struct pg_rig **pointer) {
    struct pg_rig *rig = *pointer;
    *pointer = NULL;
    store_pg_free(&rig->store);
    pg_fake_free(&rig->fake);
    event_free(rig->pulse);
    event_base_free(rig->base);
    for (struct pg_rig_ask *ask = rig->asks, *next; ask != NULL; ask = next) {
        next = ask->next;
        if (!ask->answered)
            fail("a request was never answered");
        free(ask);
    }
    free(rig);
}

unsigned pg_rig_connections(const struct pg_rig *rig) {
    struct store_figures figures;
    store_pg_figures(rig->store, &figures);
    return figures.connections_up;
}

void pg_rig_store(struct pg_rig *rig) {
    char error[300];
    rig->store = store_pg_new(rig->base, &rig->conf, error, sizeof(error));
    if (rig->store == NULL)
        fail(error);
    unsigned all = (unsigned)(rig->conf.read_connections + rig->conf.write_connections) + 1;
    if (!PG_UNTIL(rig, pg_rig_connections(rig) == all))
        fail("the connections did not come up");
    store_pg_trust(rig->store, "1/00000001/start");
}

int64_t pg_rig_now_ms(void) {
    return clock_mono_ms();
}

static void tick(struct pg_rig *rig, int64_t now_mono_ms) {
    if (rig->store != NULL)
        store_pg_tick(rig->store, now_mono_ms);
    if (rig->on_turn != NULL)
        rig->on_turn(rig->ctx, now_mono_ms);
}

void pg_rig_turn(struct pg_rig *rig) {
    event_base_loop(rig->base, EVLOOP_ONCE);
    tick(rig, clock_mono_ms());
}

void pg_rig_later(struct pg_rig *rig, int64_t ms) {
    tick(rig, clock_mono_ms() + ms);
}

/* ---- requests ---- */

static void copy(char *to, struct span from) {
    snprintf(to, PG_RIG_TEXT_BYTES, "%.*s", (int)from.len, from.ptr);
}

static struct pg_rig_ask *ask_new(struct pg_rig *rig) {
    struct pg_rig_ask *ask = calloc(1, sizeof(*ask));
    if (ask == NULL)
        abort();
    ask->next = rig->asks;
    rig->asks = ask;
    ask->outcome = -1;
    ask->asking = true;
    return ask;
}

static void answer(struct pg_rig_ask *ask, enum store_status status, const char *detail) {
    if (ask->asking)
        fail("a callback inside the call that started it");
    if (ask->answered)
        fail("a request was answered twice");
    ask->answered = true;
    ask->status = status;
    copy(ask->detail, span_str(detail != NULL ? detail : ""));
}

static struct pg_rig_ask *asked(struct pg_rig_ask *ask, enum store_status status) {
    ask->asking = false;
    ask->status = status;
    ask->answered = status != STORE_OK;
    return ask;
}

static void on_row(struct store_get *get, enum store_status status, const struct store_row *row,
                   const char *detail) {
    struct pg_rig_ask *ask = (struct pg_rig_ask *)get;
    answer(ask, status, detail);
    if (status != STORE_OK)
        return;
    ask->present = row->present;
    ask->cacheable = row->cacheable;
    ask->ttl_ms = row->ttl_ms;
    ask->versions[0] = row->version;
    if (row->present)
        copy(ask->value, row->payload);
}

static void on_ack(struct store_write *write, const struct store_ack *ack) {
    struct pg_rig_ask *ask =
        (struct pg_rig_ask *)((char *)write - offsetof(struct pg_rig_ask, write));
    answer(ask, ack->status, ack->detail);
    if (ack->status != STORE_OK)
        return;
    ask->changed = ack->changed;
    ask->cacheable = ack->cacheable;
    for (uint32_t i = 0; i < write->count; i++)
        ask->versions[i] = ack->versions[i];
    if (ack->result == NULL)
        return;
    ask->outcome = (int)ack->result->outcome;
    ask->live = ack->result->live;
    ask->ttl_ms = ack->result->ttl_ms;
    ask->had_old = ack->result->had_old;
    if (ask->live)
        copy(ask->value, ack->result->payload);
    if (ask->had_old)
        copy(ask->old, ack->result->old);
}

static void on_answer(struct store_query *query, enum store_status status,
                      const struct store_answer *a) {
    struct pg_rig_ask *ask =
        (struct pg_rig_ask *)((char *)query - offsetof(struct pg_rig_ask, query));
    answer(ask, status, NULL);
    if (status != STORE_OK)
        return;
    ask->count = a->count;
    ask->present = a->found;
    ask->live = a->live;
    ask->versions[0] = a->version;
    ask->ttl_ms = a->expires_ms;
    if (a->found)
        copy(ask->value, a->payload);
}

struct pg_rig_ask *pg_rig_get(struct pg_rig *rig, const char *key) {
    struct pg_rig_ask *ask = ask_new(rig);
    copy(ask->texts[0], span_str(key));
    ask->get = (struct store_get){.key = span_str(ask->texts[0]), .done = on_row};
    return asked(ask, store_get(rig->store, &ask->get));
}

static void add(struct pg_rig_ask *ask, const char *key, const char *value) {
    uint32_t i = ask->write.count++;
    copy(ask->texts[2 * i], span_str(key));
    copy(ask->texts[2 * i + 1], span_str(value));
    ask->keys[i] = span_str(ask->texts[2 * i]);
    ask->values[i] = span_str(ask->texts[2 * i + 1]);
}

static struct pg_rig_ask *write_new(struct pg_rig *rig, enum store_op op, const char *key,
                                    const char *value) {
    struct pg_rig_ask *ask = ask_new(rig);
    ask->write =
        (struct store_write){.op = op, .keys = ask->keys, .values = ask->values, .done = on_ack};
    add(ask, key, value);
    return ask;
}

static struct pg_rig_ask *write_it(struct pg_rig *rig, struct pg_rig_ask *ask) {
    return asked(ask, store_write(rig->store, &ask->write));
}

struct pg_rig_ask *pg_rig_set(struct pg_rig *rig, const char *key, const char *value) {
    return write_it(rig, write_new(rig, STORE_SET, key, value));
}

struct pg_rig_ask *pg_rig_mset2(struct pg_rig *rig, const char *key, const char *value,
                                const char *key2, const char *value2) {
    struct pg_rig_ask *ask = write_new(rig, STORE_SET, key, value);
    add(ask, key2, value2);
    return write_it(rig, ask);
}

struct pg_rig_ask *pg_rig_delete(struct pg_rig *rig, const char *key) {
    return write_it(rig, write_new(rig, STORE_DELETE, key, ""));
}

struct pg_rig_ask *pg_rig_delete2(struct pg_rig *rig, const char *key, const char *key2) {
    struct pg_rig_ask *ask = write_new(rig, STORE_DELETE, key, "");
    add(ask, key2, "");
    return write_it(rig, ask);
}

struct pg_rig_ask *pg_rig_edit(struct pg_rig *rig, enum store_op op, const char *key,
                               const char *value, int64_t number, bool want_old) {
    struct pg_rig_ask *ask = write_new(rig, op, key, value);
    ask->more = (struct store_more){.number = number, .bytes_max = 1 << 20};
    ask->write.more = &ask->more;
    ask->write.want_old = want_old;
    return write_it(rig, ask);
}

struct pg_rig_ask *pg_rig_ask(struct pg_rig *rig, enum store_question question, const char *key) {
    struct pg_rig_ask *ask = ask_new(rig);
    copy(ask->texts[0], span_str(key));
    ask->query = (struct store_query){
        .question = question, .key = span_str(ask->texts[0]), .done = on_answer};
    return asked(ask, store_ask(rig->store, &ask->query));
}
