#include "clients.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../common/clock.h"
#include "../../common/hash.h"
#include "../harness/caller.h"

enum { DEPTH_MAX = 5, THINK_US = 4000, RETRY_US = 20000, ABORT_ONE_IN = 400 };

struct client {
    struct clients *all;
    pthread_t thread;
    int index, turn; /* which port is next */
    uint64_t random, session;
    uint32_t written; /* the number of the newest value */
    struct caller *caller;
};

struct clients {
    struct chaos_conf conf;
    uint16_t ports[CLIENTS_PORTS_MAX];
    int ports_count, started;
    _Atomic bool stop;
    _Atomic uint64_t answered;
    struct client clients[CLIENTS_MAX];
    struct chaos_log logs[CLIENTS_MAX];
};

static void nap(int64_t us) {
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static struct chaos_log *log_of(struct client *c) {
    return &c->all->logs[c->index];
}

/* ---- asking ---- */

static enum chaos_kind draw_kind(struct client *c) {
    static const struct {
        enum chaos_kind kind;
        unsigned share;
    } SHARES[] = {{CHAOS_GET, 40},   {CHAOS_MGET, 10},   {CHAOS_EXEC_GET, 6},
                  {CHAOS_SET, 18},   {CHAOS_MSET, 6},    {CHAOS_EXEC_SET, 6},
                  {CHAOS_SET_NX, 4}, {CHAOS_SET_GET, 4}, {CHAOS_DEL, 6}};
    uint64_t n = chaos_draw(&c->random, 100);
    size_t i = 0;
    for (; n >= SHARES[i].share; i++)
        n -= SHARES[i].share;
    return SHARES[i].kind;
}

static bool is_exec(const struct chaos_op *op) {
    return op->kind == CHAOS_EXEC_GET || op->kind == CHAOS_EXEC_SET;
}

/* Distinct keys; few enough that clients meet. Where editors are at work the calm ones are theirs.
 */
static void draw_keys(struct client *c, struct chaos_op *op) {
    const struct chaos_conf *conf = &c->all->conf;
    unsigned keys = (unsigned)conf->keys;
    if (chaos_is_write(op->kind) &&
        (conf->editors > 0 || chaos_draw(&c->random, CHAOS_CALM_ONE_IN) != 0))
        keys -= (unsigned)conf->calm_keys;
    bool several = op->kind == CHAOS_MGET || op->kind == CHAOS_MSET || is_exec(op) ||
                   (op->kind == CHAOS_DEL && chaos_draw(&c->random, 4) == 0);
    unsigned count = several ? 2 + (unsigned)chaos_draw(&c->random, CHAOS_OP_KEYS - 1) : 1;
    while (op->count < count) {
        unsigned key = (unsigned)chaos_draw(&c->random, keys);
        bool there = false;
        for (unsigned i = 0; i < op->count; i++)
            there = there || op->keys[i] == key;
        if (!there)
            op->keys[op->count++] = (uint16_t)key;
    }
}

/* One command for each key, and what makes a transaction of them. */
static void say_exec(struct client *c, const struct chaos_op *op) {
    char name[16], value[CHAOS_VALUE_BYTES];
    caller_say(c->caller, (const struct span[]){SPAN("MULTI")}, 1);
    for (unsigned i = 0; i < op->count; i++) {
        chaos_key(op->keys[i], name);
        struct span argv[3] = {op->wrote != 0 ? SPAN("SET") : SPAN("GET"), span_str(name)};
        if (op->wrote != 0)
            argv[2] = span_of(value, chaos_write_value(op->keys[i], op->wrote, value));
        caller_say(c->caller, argv, op->wrote != 0 ? 3 : 2);
    }
    caller_say(c->caller, (const struct span[]){SPAN("EXEC")}, 1);
}

static void say(struct client *c, const struct chaos_op *op) {
    static const char *const WORDS[] = {
        [CHAOS_GET] = "GET",    [CHAOS_MGET] = "MGET",   [CHAOS_SET] = "SET", [CHAOS_MSET] = "MSET",
        [CHAOS_SET_NX] = "SET", [CHAOS_SET_GET] = "SET", [CHAOS_DEL] = "DEL"};
    if (is_exec(op)) {
        say_exec(c, op);
        return;
    }
    char names[CHAOS_OP_KEYS][16], values[CHAOS_OP_KEYS][CHAOS_VALUE_BYTES];
    struct span argv[2 + 2 * CHAOS_OP_KEYS];
    uint32_t argc = 0;
    argv[argc++] = span_str(WORDS[op->kind]);
    for (unsigned i = 0; i < op->count; i++) {
        chaos_key(op->keys[i], names[i]);
        argv[argc++] = span_str(names[i]);
        if (op->wrote == 0)
            continue;
        size_t len = chaos_write_value(op->keys[i], op->wrote, values[i]);
        argv[argc++] = span_of(values[i], len);
    }
    if (op->kind == CHAOS_SET_NX)
        argv[argc++] = SPAN("NX");
    if (op->kind == CHAOS_SET_GET)
        argv[argc++] = SPAN("GET");
    caller_say(c->caller, argv, argc);
}

/* ---- hearing ---- */

static void take_value(struct client *c, struct chaos_op *op, unsigned i,
                       const struct resp_reply *value) {
    if (value->type == RESP_NIL)
        op->seen[i] = 0;
    else if (value->type != RESP_STRING ||
             !chaos_read_value(op->keys[i], value->text, value->len, &op->seen[i]))
        chaos_log_broken(log_of(c), "MISDELIVERED: client %d, %s k%04u: '%.80s'", c->index,
                         chaos_kind_name(op->kind), op->keys[i],
                         value->text != NULL ? value->text : "no string");
}

static void take_failure(struct client *c, struct chaos_op *op, const char *text) {
    struct chaos_log *log = log_of(c);
    unsigned index = chaos_error_index(text);
    bool uncertain = strncmp(text, "UNCERTAIN ", 10) == 0;
    log->errors++;
    log->by_error[index]++;
    op->outcome = uncertain ? CHAOS_UNKNOWN : CHAOS_ERROR;
    if (index == 0 || (uncertain && !chaos_is_write(op->kind)))
        chaos_log_broken(log, "ERROR: client %d, %s k%04u: '%.120s'", c->index,
                         chaos_kind_name(op->kind), op->keys[0], text);
    log->unknown += op->outcome == CHAOS_UNKNOWN;
}

/* False if a request of this kind cannot be answered so. */
static bool take_answer(struct client *c, struct chaos_op *op, const struct resp_reply *r) {
    op->outcome = CHAOS_OK;
    switch ((enum chaos_kind)op->kind) {
    case CHAOS_GET:
        take_value(c, op, 0, r);
        return true;
    case CHAOS_MGET:
    case CHAOS_EXEC_GET:
        if (r->type != RESP_ARRAY || r->count != op->count)
            return false;
        for (unsigned i = 0; i < op->count; i++)
            take_value(c, op, i, r->elements[i]);
        return true;
    case CHAOS_EXEC_SET:
        if (r->type != RESP_ARRAY || r->count != op->count)
            return false;
        for (unsigned i = 0; i < op->count; i++) {
            if (r->elements[i]->type != RESP_STATUS)
                return false;
        }
        return true;
    case CHAOS_SET:
    case CHAOS_MSET:
        return r->type == RESP_STATUS;
    case CHAOS_SET_NX:
        if (r->type == RESP_NIL)
            op->outcome = CHAOS_NIL;
        return r->type == RESP_STATUS || r->type == RESP_NIL;
    case CHAOS_SET_GET:
        take_value(c, op, 0, r);
        return true;
    case CHAOS_DEL:
        op->number = r->integer;
        return r->type == RESP_INTEGER && r->integer >= 0 && r->integer <= op->count;
    case CHAOS_SQL_SET:
    case CHAOS_SQL_DELETE:
        break;
    }
    return false;
}

static void take(struct client *c, struct chaos_op *op, const struct resp_reply *r) {
    op->return_us = clock_mono_us();
    log_of(c)->replies++;
    atomic_fetch_add(&c->all->answered, 1);
    if (r->type == RESP_FAILURE)
        take_failure(c, op, r->text);
    else if (!take_answer(c, op, r))
        chaos_log_broken(log_of(c), "MISDELIVERED: client %d, %s k%04u: type %d '%.80s'", c->index,
                         chaos_kind_name(op->kind), op->keys[0], (int)r->type,
                         r->text != NULL ? r->text : "");
}

/* ---- a client's life ---- */

static bool connected(struct client *c) {
    struct clients *all = c->all;
    if (c->caller == NULL) {
        c->caller = caller_open(all->ports[c->turn++ % all->ports_count]);
        c->session++;
    }
    return c->caller != NULL;
}

/* Operations from `first` on stay as they were made: unknown, for ever. */
static void lose(struct client *c, size_t first) {
    struct chaos_log *log = log_of(c);
    caller_close(&c->caller);
    log->lost += first < log->count;
    log->unknown += log->count - first;
}

/* The answer of an operation: of a transaction, EXEC's. NULL: the connection is lost. */
static struct resp_reply *hear(struct client *c, const struct chaos_op *op) {
    for (unsigned i = 0; is_exec(op) && i <= op->count; i++) {
        struct resp_reply *said = caller_hear(c->caller);
        if (said == NULL)
            return NULL;
        if (said->type != RESP_STATUS)
            chaos_log_broken(log_of(c), "MISDELIVERED: client %d, MULTI: '%.80s'", c->index,
                             said->text != NULL ? said->text : "no status");
        resp_reply_free(&said);
    }
    return caller_hear(c->caller);
}

static void pipeline(struct client *c) {
    struct chaos_log *log = log_of(c);
    size_t first = log->count, depth = 1;
    if (chaos_draw(&c->random, 3) == 0)
        depth += chaos_draw(&c->random, DEPTH_MAX);
    int64_t now_us = clock_mono_us();
    for (size_t i = 0; i < depth; i++) {
        struct chaos_op *op = chaos_log_add(log);
        if (op == NULL)
            return;
        op->kind = (uint8_t)draw_kind(c);
        op->client = (uint8_t)c->index;
        op->session = c->session;
        op->invoke_us = now_us;
        draw_keys(c, op);
        if (chaos_is_write(op->kind) && op->kind != CHAOS_DEL)
            op->wrote = chaos_value_of((unsigned)c->index, ++c->written);
        say(c, op);
    }
    bool sent = caller_flush(c->caller);
    if (chaos_draw(&c->random, ABORT_ONE_IN) == 0) { /* leaves without its answers */
        lose(c, first);
        return;
    }
    for (size_t i = first; i < log->count; i++) {
        struct resp_reply *reply = hear(c, &log->ops[i]);
        if (reply == NULL) {
            lose(c, i);
            return;
        }
        take(c, &log->ops[i], reply);
        resp_reply_free(&reply);
    }
    if (!sent)
        lose(c, log->count);
}

static void *run(void *arg) {
    struct client *c = arg;
    while (!atomic_load(&c->all->stop)) {
        if (connected(c)) {
            pipeline(c);
            nap((int64_t)chaos_draw(&c->random, THINK_US));
        } else {
            nap(RETRY_US);
        }
    }
    caller_close(&c->caller);
    return NULL;
}

/* ---- starting and ending ---- */

struct clients *clients_start(const struct chaos_conf *conf, const uint16_t *ports,
                              int ports_count) {
    struct clients *all = calloc(1, sizeof(*all));
    if (all == NULL)
        return NULL;
    all->conf = *conf;
    all->ports_count = ports_count;
    memcpy(all->ports, ports, (size_t)ports_count * sizeof(*ports));
    for (int i = 0; i < conf->clients; i++) {
        struct client *c = &all->clients[i];
        *c = (struct client){.all = all,
                             .index = i,
                             .turn = i,
                             .random =
                                 hash_point(SPAN("client"), conf->seed * 100 + (uint64_t)i) | 1};
        if (pthread_create(&c->thread, NULL, run, c) != 0) {
            clients_free(&all);
            return NULL;
        }
        all->started++;
    }
    return all;
}

uint64_t clients_answered(const struct clients *all) {
    return atomic_load(&all->answered);
}

void clients_stop(struct clients *all) {
    atomic_store(&all->stop, true);
    for (int i = 0; i < all->started; i++)
        pthread_join(all->clients[i].thread, NULL);
    all->started = 0;
}

struct chaos_log *clients_logs(struct clients *all) {
    return all->logs;
}

void clients_free(struct clients **pointer) {
    struct clients *all = *pointer;
    *pointer = NULL;
    clients_stop(all);
    for (int i = 0; i < CLIENTS_MAX; i++)
        chaos_log_release(&all->logs[i]);
    free(all);
}
