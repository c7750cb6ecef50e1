#include "sim_client.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../common/buf.h"
#include "../../common/conn.h"
#include "../../common/resp_parse.h"
#include "../../common/resp_write.h"
#include "sim_check.h"
#include "sim_db.h"
#include "sim_fakes.h"

static void on_think(struct sim *sim, void *ctx, uint64_t arg);
static void on_connect(struct sim *sim, void *ctx, uint64_t arg);
static size_t on_read(void *ctx, const char *data, size_t len);
static void on_end(void *ctx, enum conn_end why);

static const struct conn_conf CONN_CONF = {.in_max = 64 << 20, .out_max = 64 << 20};
static const struct conn_handlers HANDLERS = {.on_read = on_read, .on_end = on_end};

/* How often each kind of request comes, out of a thousand. */
static const unsigned MIXES[SIM_MIXES_ALL][SIM_OP_KINDS] = {
    {[SIM_OP_GET] = 390,
     [SIM_OP_MGET] = 60,
     [SIM_OP_EXISTS] = 20,
     [SIM_OP_SET] = 220,
     [SIM_OP_SET_NX] = 25,
     [SIM_OP_SET_XX] = 25,
     [SIM_OP_GETSET] = 25,
     [SIM_OP_GETDEL] = 20,
     [SIM_OP_ADD] = 20,
     [SIM_OP_MSET] = 60,
     [SIM_OP_MSETNX] = 20,
     [SIM_OP_DEL] = 65,
     [SIM_OP_WATCH] = 15,
     [SIM_OP_EXEC] = 35},
    {[SIM_OP_GET] = 600, [SIM_OP_SET] = 350, [SIM_OP_DEL] = 50},
    {[SIM_OP_GET] = 500,
     [SIM_OP_MGET] = 50,
     [SIM_OP_SET] = 50,
     [SIM_OP_MSET] = 200,
     [SIM_OP_MSETNX] = 50,
     [SIM_OP_DEL] = 150},
    {[SIM_OP_GET] = 250,
     [SIM_OP_MGET] = 50,
     [SIM_OP_SET] = 80,
     [SIM_OP_MSET] = 120,
     [SIM_OP_DEL] = 50,
     [SIM_OP_WATCH] = 150,
     [SIM_OP_EXEC] = 300},
    [SIM_MIX_HOT] = {[SIM_OP_GET] = 920,
                     [SIM_OP_MGET] = 15,
                     [SIM_OP_SET] = 40,
                     [SIM_OP_MSET] = 10,
                     [SIM_OP_DEL] = 15},
    [SIM_MIX_READS] =
        {[SIM_OP_GET] = 900, [SIM_OP_SET] = 30, [SIM_OP_MSET] = 50, [SIM_OP_DEL] = 20},
    [SIM_MIX_CROSSING] = {[SIM_OP_GET] = 560,
                          [SIM_OP_MGET] = 30,
                          [SIM_OP_SET] = 80,
                          [SIM_OP_SET_NX] = 30,
                          [SIM_OP_SET_XX] = 20,
                          [SIM_OP_MSET] = 120,
                          [SIM_OP_DEL] = 160},
};

const unsigned *sim_client_mix(unsigned i) {
    return MIXES[i];
}

struct sim_client *sim_clients_new(struct sim *sim) {
    unsigned count = sim_profile(sim)->clients;
    struct sim_client *clients = sim_alloc(sim, count * sizeof(*clients));
    for (unsigned i = 0; i < count; i++) {
        struct sim_client *c = &clients[i];
        snprintf(c->name, sizeof(c->name), "c%u", i);
        c->process = (struct sim_process){.sim = sim, .name = c->name};
        c->proxy = i % SIM_PROXIES;
        c->loop = conn_loop_new((struct event_base *)&c->process);
        sim_in(sim, &c->process, sim_between(sim, 0, 2000), on_connect, c, 0);
    }
    return clients;
}

/* ---- its connection ---- */

static void on_connect(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_client *c = ctx;
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(sim_proxy_port(c->proxy))};
    if (c->conn != NULL)
        return;
    c->conn =
        conn_connect(c->loop, (const struct sockaddr *)&to, sizeof(to), &CONN_CONF, &HANDLERS, c);
    sim_in(sim, &c->process, sim_between(sim, 0, sim_profile(sim)->think_us_max), on_think, c,
           ++c->life);
}

/* What was asked and not answered may have happened, or may still. */
static void lose(struct sim_client *c) {
    struct sim *sim = c->process.sim;
    conn_free(&c->conn);
    for (struct sim_op *op = c->first; op != NULL; op = op->next)
        op->outcome = SIM_OP_UNCERTAIN;
    c->first = c->last = NULL;
    c->open = 0;
    c->life++;
    c->watched = 0;
    c->watch_failed = false;
    for (unsigned key = 0; key < SIM_KEYS_MAX; key++)
        c->floors[key] = c->write_floors[key] = 0;
    sim_in(sim, &c->process, sim_between(sim, 100, 3000), on_connect, c, 0);
}

static void on_end(void *ctx, enum conn_end why) {
    lose(ctx);
}

void sim_client_leave(struct sim_client *c) {
    if (c->conn == NULL)
        return;
    sim_trace(c->process.sim, "%s: leaves", c->name);
    lose(c);
}

/* ---- requests ---- */

static enum sim_op_kind random_kind(struct sim *sim) {
    uint64_t draw = sim_random(sim, 1000);
    int kind = 0;
    while (kind + 1 < SIM_OP_KINDS && draw >= sim_profile(sim)->mix[kind])
        draw -= sim_profile(sim)->mix[kind++];
    return (enum sim_op_kind)kind;
}

static uint32_t random_count(struct sim *sim, enum sim_op_kind kind) {
    unsigned keys = sim_profile(sim)->keys;
    uint32_t max = keys < SIM_OP_KEYS_MAX ? keys : SIM_OP_KEYS_MAX;
    switch (kind) {
    case SIM_OP_MGET:
    case SIM_OP_MSET:
    case SIM_OP_MSETNX:
    case SIM_OP_WATCH:
    case SIM_OP_EXEC:
        return 1 + (uint32_t)sim_random(sim, max);
    case SIM_OP_EXISTS:
    case SIM_OP_DEL:
        return sim_chance(sim, 600) ? 1 : 1 + (uint32_t)sim_random(sim, max);
    default:
        return 1;
    }
}

static bool is_distinct(enum sim_op_kind kind) {
    return kind == SIM_OP_MSET || kind == SIM_OP_MSETNX || kind == SIM_OP_WATCH ||
           kind == SIM_OP_EXEC;
}

/* Keys may repeat, but not in an MSET, whose last one would win. */
static void random_keys(struct sim *sim, struct sim_op *op) {
    unsigned keys = sim_profile(sim)->keys, used = 0;
    for (uint32_t i = 0; i < op->count; i++) {
        unsigned key = (unsigned)sim_random(sim, keys);
        while (is_distinct(op->kind) && (used >> key & 1) != 0)
            key = (key + 1) % keys;
        used |= 1u << key;
        op->keys[i] = (uint8_t)key;
    }
}

static bool sets(enum sim_op_kind kind) {
    return kind == SIM_OP_SET || kind == SIM_OP_SET_NX || kind == SIM_OP_SET_XX ||
           kind == SIM_OP_GETSET || kind == SIM_OP_MSET || kind == SIM_OP_MSETNX;
}

static void write_request(struct sim *sim, struct sim_op *op) {
    static const char *const NAMES[SIM_OP_KINDS] = {
        [SIM_OP_GET] = "GET",       [SIM_OP_MGET] = "MGET",       [SIM_OP_EXISTS] = "EXISTS",
        [SIM_OP_SET] = "SET",       [SIM_OP_SET_NX] = "SET",      [SIM_OP_SET_XX] = "SET",
        [SIM_OP_GETSET] = "GETSET", [SIM_OP_GETDEL] = "GETDEL",   [SIM_OP_MSET] = "MSET",
        [SIM_OP_DEL] = "DEL",       [SIM_OP_ADD] = "INCRBYFLOAT", [SIM_OP_MSETNX] = "MSETNX",
        [SIM_OP_WATCH] = "WATCH"};
    struct span argv[2 + 2 * SIM_OP_KEYS_MAX];
    if (op->kind >= SIM_OP_KINDS || NAMES[op->kind] == NULL)
        return; /* transact() does it */
    size_t room = sim_profile(sim)->value_bytes + SIM_TEXT_BYTES;
    char *texts = sim_alloc(sim, op->count * room);
    uint32_t argc = 0;
    argv[argc++] = span_str(NAMES[op->kind]);
    for (uint32_t i = 0; i < op->count; i++) {
        argv[argc++] = sim_key(sim, op->keys[i]);
        if (op->values[i] != 0)
            argv[argc++] = sim_value_text(sim, op->values[i], texts + i * room);
    }
    if (op->kind == SIM_OP_SET_NX || op->kind == SIM_OP_SET_XX)
        argv[argc++] = op->kind == SIM_OP_SET_NX ? SPAN("NX") : SPAN("XX");
    if (op->kind == SIM_OP_ADD)
        argv[argc++] = SPAN("1");
    resp_write_request(conn_out(op->client->conn), argv, argc);
    sim_trace(sim, "%s: %s %.*s%s%s", op->client->name, NAMES[op->kind], (int)argv[1].len,
              argv[1].ptr, op->values[0] != 0 ? " " : "", op->values[0] != 0 ? argv[2].ptr : "");
    conn_send(op->client->conn);
}

static void ask(struct sim_client *c, struct sim_op *op) {
    struct sim *sim = c->process.sim;
    op->client = c;
    op->sent_us = sim_now_us(sim);
    op->moment = sim_db_moment(sim);
    for (uint32_t i = 0; i < op->count; i++) {
        if (sets(op->kind) || op->acts[i] == SIM_ACT_SET || op->acts[i] == SIM_ACT_NX)
            op->values[i] = sim_db_value(sim, op->keys[i]);
    }
    sim_check_ask(sim, op);
    *(c->last != NULL ? &c->last->next : &c->first) = op;
    c->last = op;
    c->open++;
    write_request(sim, op);
}

/* ---- transactions ---- */

static void watch(struct sim_client *c, struct sim_op *op) {
    for (uint32_t i = 0; i < op->count; i++)
        op->watched |= 1u << op->keys[i];
    c->watched = op->watched;
    c->watched_us = sim_now_us(c->process.sim);
    c->watched_from = sim_db_moment(c->process.sim);
    ask(c, op);
}

static void draw_acts(struct sim *sim, struct sim_op *op) {
    bool reads = sim_chance(sim, 400);
    for (uint32_t i = 0; i < op->count; i++)
        op->acts[i] = reads || sim_chance(sim, 250) ? SIM_ACT_GET
                      : sim_chance(sim, 800)        ? SIM_ACT_SET
                                                    : SIM_ACT_DEL;
    uint32_t together = !reads && op->count > 1 && sim_chance(sim, 300)
                            ? 2 + (uint32_t)sim_random(sim, op->count - 1)
                            : 0;
    for (uint32_t i = op->count - together; i < op->count; i++)
        op->acts[i] = SIM_ACT_NX;
    op->kind = SIM_OP_EXEC_READ;
    for (uint32_t i = 0; i < op->count; i++) {
        if (op->acts[i] != SIM_ACT_GET)
            op->kind = SIM_OP_EXEC;
    }
}

/* One of the words that leave with a transaction: its answer is only that it was heard. */
static void queue(struct sim_client *c, const struct span *argv, uint32_t argc) {
    struct sim_op *op = sim_alloc(c->process.sim, sizeof(*op));
    op->kind = SIM_OP_QUEUE;
    ask(c, op);
    resp_write_request(conn_out(c->conn), argv, argc);
}

static void queue_msetnx(struct sim_client *c, const struct sim_op *op, uint32_t from) {
    struct sim *sim = c->process.sim;
    struct span argv[1 + 2 * SIM_OP_KEYS_MAX] = {SPAN("MSETNX")};
    size_t room = sim_profile(sim)->value_bytes + SIM_TEXT_BYTES;
    char *texts = sim_alloc(sim, op->count * room);
    uint32_t argc = 1;
    for (uint32_t i = from; i < op->count; i++) {
        argv[argc++] = sim_key(sim, op->keys[i]);
        argv[argc++] = sim_value_text(sim, op->values[i], texts + i * room);
        sim_trace(sim, "%s: queues MSETNX ... %.*s v%u", c->name, (int)argv[argc - 2].len,
                  argv[argc - 2].ptr, op->values[i]);
    }
    queue(c, argv, argc);
}

static void transact(struct sim_client *c, struct sim_op *op) {
    static const char *const NAMES[] = {"GET", "SET", "DEL"};
    struct sim *sim = c->process.sim;
    draw_acts(sim, op);
    op->watched = c->watched;
    op->watched_us = c->watched_us;
    op->watched_from = c->watched_from;
    c->watched = 0;
    queue(c, (const struct span[]){SPAN("MULTI")}, 1);
    struct sim_op *multi = c->last;
    ask(c, op); /* its values are drawn; it is answered behind what it queues */
    c->last = multi;
    multi->next = NULL;
    c->open--;
    char *text = sim_alloc(sim, sim_profile(sim)->value_bytes + SIM_TEXT_BYTES);
    for (uint32_t i = 0; i < op->count; i++) {
        if (op->acts[i] == SIM_ACT_NX) {
            queue_msetnx(c, op, i);
            break;
        }
        struct span argv[3] = {span_str(NAMES[op->acts[i]]), sim_key(sim, op->keys[i])};
        if (op->acts[i] == SIM_ACT_SET)
            argv[2] = sim_value_text(sim, op->values[i], text);
        queue(c, argv, op->acts[i] == SIM_ACT_SET ? 3 : 2);
        sim_trace(sim, "%s: queues %s %.*s v%u", c->name, NAMES[op->acts[i]], (int)argv[1].len,
                  argv[1].ptr, op->values[i]);
    }
    c->last->next = op;
    c->last = op;
    c->open++;
    resp_write_request(conn_out(c->conn), (const struct span[]){SPAN("EXEC")}, 1);
    conn_send(c->conn);
}

static void on_think(struct sim *sim, void *ctx, uint64_t arg) {
    struct sim_client *c = ctx;
    if (c->life != arg || !sim_loading(sim))
        return;
    uint64_t more = 1 + (sim_chance(sim, 300) ? sim_random(sim, sim_profile(sim)->pipeline) : 0);
    for (; more != 0 && c->open < sim_profile(sim)->pipeline; more--) {
        struct sim_op *op = sim_alloc(sim, sizeof(*op));
        op->kind = random_kind(sim);
        op->count = random_count(sim, op->kind);
        random_keys(sim, op);
        if (op->kind == SIM_OP_EXEC)
            transact(c, op);
        else if (op->kind != SIM_OP_WATCH)
            ask(c, op);
        else if (c->watched == 0)
            watch(c, op);
    }
    sim_in(sim, &c->process, sim_between(sim, 0, sim_profile(sim)->think_us_max), on_think, c, arg);
}

void sim_client_begin(struct sim_client *c) {
    struct sim *sim = c->process.sim;
    if (c->conn != NULL) /* else it begins when it connects */
        sim_in(sim, &c->process, sim_between(sim, 0, sim_profile(sim)->think_us_max), on_think, c,
               ++c->life);
}

void sim_client_final(struct sim_client *c) {
    struct sim *sim = c->process.sim;
    if (c->conn != NULL && c->watched != 0) /* its reads would pass the caches */
        queue(c, (const struct span[]){SPAN("UNWATCH")}, 1);
    c->watched = 0;
    for (unsigned key = 0; c->conn != NULL && key < sim_profile(sim)->keys; key++) {
        struct sim_op *op = sim_alloc(sim, sizeof(*op));
        op->final = true;
        op->count = 1;
        op->keys[0] = (uint8_t)key;
        ask(c, op);
    }
}

/* ---- replies ---- */

static size_t on_read(void *ctx, const char *data, size_t len) {
    struct sim_client *c = ctx;
    struct sim *sim = c->process.sim;
    size_t used = 0, size;
    while (used < len) {
        struct resp_scan scan = {0};
        enum resp_result result = resp_scan_reply(&scan, data + used, len - used, &size);
        if (result == RESP_PARTIAL)
            break;
        struct sim_op *op = c->first;
        if (result == RESP_ERROR || op == NULL) {
            sim_violation(sim, "%s: %s", c->name,
                          op == NULL ? "a reply to nothing" : "a reply that is not RESP");
            return len;
        }
        c->first = op->next;
        if (c->first == NULL)
            c->last = NULL;
        c->open--;
        sim_check_reply(sim, op, span_of(data + used, size));
        used += size;
    }
    return used;
}
