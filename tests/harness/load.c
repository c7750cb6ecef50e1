#include "load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../common/clock.h"
#include "../../common/hash.h"
#include "caller.h"
#include "expect.h"

enum { DEPTH_MAX = 64, MANY = 3 /* keys of an MGET or MSET */, KEY_BYTES = 64, VALUE_BYTES = 96 };

struct load_key {
    char name[KEY_BYTES];
    int64_t number;   /* of the last value acknowledged; 0: none, the key is absent */
    int64_t acked_ms; /* when */
    bool in_doubt;    /* a write of it had an unknown outcome */
};

/* A request under way: which keys, and which number it writes. */
struct load_ask {
    bool is_write;
    int keys_count, keys[MANY];
    int64_t number;
};

struct load_client {
    struct load *load;
    struct caller *caller;
    struct load_key *keys;
    pthread_t thread;
    int index;
    uint64_t random;
    int64_t written; /* the newest number */
    bool broken;
    struct load_result result;
};

struct load {
    struct load_conf conf;
    _Atomic uint64_t requests, errors;
    _Atomic int done;
    _Atomic bool stop;
    int started;
    struct load_client *clients;
};

static uint64_t draw(struct load_client *c, uint64_t below) { /* xorshift64* */
    c->random ^= c->random >> 12;
    c->random ^= c->random << 25;
    c->random ^= c->random >> 27;
    return (c->random * 0x2545F4914F6CDD1Du >> 33) % below;
}

/* ---- judging ---- */

static void note_error(struct load_client *c, const char *text) {
    c->result.errors++;
    atomic_fetch_add(&c->load->errors, 1);
    c->result.last_error_mono_ms = clock_mono_ms();
    snprintf(c->result.last_error, sizeof(c->result.last_error), "%s", text);
    if (c->result.first_error[0] == '\0')
        snprintf(c->result.first_error, sizeof(c->result.first_error), "%s", text);
}

static void note_wrong(struct load_client *c, const struct load_key *key, const char *what) {
    c->result.wrong++;
    if (c->result.first_wrong[0] == '\0')
        snprintf(c->result.first_wrong, sizeof(c->result.first_wrong),
                 "client %d, key %s: '%.150s', number %lld was acknowledged %lld ms ago", c->index,
                 key->name, what, (long long)key->number,
                 (long long)(clock_mono_ms() - key->acked_ms));
}

/* The number in a value of this key and client; 0 for nil; -1 for anything else. */
static int64_t number_of(const struct load_client *c, const struct load_key *key,
                         const struct resp_reply *value) {
    char head[VALUE_BYTES];
    if (value->type == RESP_NIL)
        return 0;
    int len = snprintf(head, sizeof(head), "%s|%d|", key->name, c->index);
    if (value->type != RESP_STRING || strncmp(value->text, head, (size_t)len) != 0)
        return -1;
    return atoll(value->text + len);
}

static void judge_value(struct load_client *c, const struct load_key *key,
                        const struct resp_reply *value) {
    int64_t number = number_of(c, key, value);
    bool own = number >= 0 && number <= c->written;
    if (number == key->number || (own && key->in_doubt))
        return;
    if (own && number < key->number && clock_mono_ms() - key->acked_ms < LOAD_OLD_MS)
        c->result.old++;
    else
        note_wrong(c, key, value->text != NULL ? value->text : "no string");
}

static void judge_write(struct load_client *c, const struct load_ask *ask,
                        const struct resp_reply *reply) {
    bool is_ok = reply->type == RESP_STATUS;
    bool unknown = reply->type == RESP_FAILURE && strncmp(reply->text, "UNCERTAIN", 9) == 0;
    c->result.uncertain += unknown;
    if (!is_ok && reply->type != RESP_FAILURE)
        note_wrong(c, &c->keys[ask->keys[0]], "no answer to a write");
    for (int i = 0; i < ask->keys_count; i++) {
        struct load_key *key = &c->keys[ask->keys[i]];
        key->in_doubt = key->in_doubt || unknown;
        if (!is_ok)
            continue;
        key->number = ask->number;
        key->acked_ms = clock_mono_ms();
    }
}

static void judge(struct load_client *c, const struct load_ask *ask,
                  const struct resp_reply *reply) {
    if (reply->type == RESP_FAILURE)
        note_error(c, reply->text);
    if (ask->is_write)
        judge_write(c, ask, reply);
    else if (reply->type == RESP_FAILURE)
        return;
    else if (ask->keys_count == 1)
        judge_value(c, &c->keys[ask->keys[0]], reply);
    else if (reply->type == RESP_ARRAY && reply->count == (size_t)ask->keys_count)
        for (int i = 0; i < ask->keys_count; i++)
            judge_value(c, &c->keys[ask->keys[i]], reply->elements[i]);
    else
        note_wrong(c, &c->keys[ask->keys[0]], "no answer to an MGET");
}

/* ---- asking ---- */

static void say(struct load_client *c, struct load_ask *ask) {
    char values[MANY][VALUE_BYTES];
    struct span argv[1 + 2 * MANY];
    uint32_t argc = 1;
    ask->is_write = draw(c, 100) < (uint64_t)c->load->conf.write_percent;
    ask->keys_count = draw(c, 4) == 0 ? MANY : 1;
    ask->number = ask->is_write ? ++c->written : 0;
    for (int i = 0; i < ask->keys_count; i++) {
        ask->keys[i] = (int)draw(c, (uint64_t)c->load->conf.keys);
        argv[argc++] = span_str(c->keys[ask->keys[i]].name);
        if (!ask->is_write)
            continue;
        snprintf(values[i], sizeof(values[i]), "%s|%d|%lld", c->keys[ask->keys[i]].name, c->index,
                 (long long)ask->number);
        argv[argc++] = span_str(values[i]);
    }
    argv[0] = ask->keys_count == 1 ? span_str(ask->is_write ? "SET" : "GET")
                                   : span_str(ask->is_write ? "MSET" : "MGET");
    caller_say(c->caller, argv, argc);
}

static void pipeline(struct load_client *c) {
    struct load_ask asks[DEPTH_MAX];
    for (int i = 0; i < c->load->conf.depth; i++)
        say(c, &asks[i]);
    caller_flush(c->caller);
    for (int i = 0; i < c->load->conf.depth; i++) {
        struct resp_reply *reply = caller_hear(c->caller);
        if (reply == NULL) {
            note_error(c, "the connection ended");
            c->broken = true;
            return;
        }
        judge(c, &asks[i], reply);
        resp_reply_free(&reply);
        c->result.requests++;
        atomic_fetch_add(&c->load->requests, 1);
    }
}

/* What is there in the end, when nothing changes any more. */
static void check_in_the_end(struct load_client *c) {
    int64_t until_ms = clock_mono_ms() + LOAD_OLD_MS;
    for (int i = 0; i < c->load->conf.keys && !c->broken; i++) {
        struct load_key *key = &c->keys[i];
        const struct resp_reply nothing = {.type = RESP_NIL};
        bool right = false;
        while (!right) {
            caller_say_words(c->caller, "GET", key->name, NULL);
            caller_flush(c->caller);
            struct resp_reply *reply = caller_hear(c->caller);
            int64_t number = number_of(c, key, reply != NULL ? reply : &nothing);
            right = number == key->number || (key->in_doubt && number >= 0);
            if (!right && clock_mono_ms() > until_ms) {
                note_wrong(c, key, reply != NULL && reply->text != NULL ? reply->text : "nothing");
                right = true;
            }
            resp_reply_free(&reply);
            if (!right)
                nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
    }
}

static void *run(void *arg) {
    struct load_client *c = arg;
    uint64_t most = c->load->conf.requests;
    while (!atomic_load(&c->load->stop) && !c->broken && (most == 0 || c->result.requests < most))
        pipeline(c);
    atomic_fetch_add(&c->load->done, 1);
    while (!atomic_load(&c->load->stop))
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    check_in_the_end(c);
    return NULL;
}

/* ---- starting and ending ---- */

static bool make_client(struct load *load, int index) {
    struct load_client *c = &load->clients[index];
    int ports = 0;
    while (ports < LOAD_PORTS_MAX && load->conf.ports[ports] != 0)
        ports++;
    c->load = load;
    c->index = index;
    c->random = hash_point(SPAN("load"), (uint64_t)index) | 1;
    c->keys = calloc((size_t)load->conf.keys, sizeof(*c->keys));
    c->caller = caller_open(load->conf.ports[index % ports]);
    if (c->keys == NULL || c->caller == NULL)
        return false;
    for (int i = 0; i < load->conf.keys; i++)
        snprintf(c->keys[i].name, KEY_BYTES, "%.24s:%d:%d:%d", load->conf.prefix, (int)getpid(),
                 index, i); /* nobody had these keys before */
    return true;
}

struct load *load_start(const struct load_conf *conf) {
    struct load *load = calloc(1, sizeof(*load));
    if (load == NULL)
        return NULL;
    load->conf = *conf;
    load->clients = calloc((size_t)conf->clients, sizeof(*load->clients));
    bool made = load->clients != NULL;
    for (int i = 0; made && i < conf->clients; i++)
        made = make_client(load, i);
    for (int i = 0; made && i < conf->clients; i++) {
        made = pthread_create(&load->clients[i].thread, NULL, run, &load->clients[i]) == 0;
        load->started += made;
    }
    if (!made) {
        struct load_result ignored;
        load_end(&load, &ignored);
    }
    return load;
}

uint64_t load_requests(const struct load *load) {
    return atomic_load(&load->requests);
}

uint64_t load_errors(const struct load *load) {
    return atomic_load(&load->errors);
}

void load_let_work(const struct load *load, uint64_t requests, int ms) {
    uint64_t until = load_requests(load) + requests;
    EVENTUALLY(ms, load_requests(load) >= until);
}

void load_let_recover(const struct load *load, uint64_t requests, int errors_ms, int ms) {
    uint64_t errors;
    int64_t until_ms = clock_mono_ms() + errors_ms;
    do {
        cr_assert_lt(clock_mono_ms(), until_ms, "errors go on");
        errors = load_errors(load);
        load_let_work(load, requests, ms);
    } while (load_errors(load) != errors);
}

int load_done(const struct load *load) {
    return atomic_load(&load->done) == load->conf.clients;
}

static void add(struct load_result *sum, const struct load_result *one) {
    sum->requests += one->requests;
    sum->errors += one->errors;
    sum->uncertain += one->uncertain;
    sum->old += one->old;
    sum->wrong += one->wrong;
    if (one->last_error_mono_ms > sum->last_error_mono_ms) {
        sum->last_error_mono_ms = one->last_error_mono_ms;
        memcpy(sum->last_error, one->last_error, sizeof(sum->last_error));
    }
    if (sum->first_error[0] == '\0')
        memcpy(sum->first_error, one->first_error, sizeof(sum->first_error));
    if (sum->first_wrong[0] == '\0')
        memcpy(sum->first_wrong, one->first_wrong, sizeof(sum->first_wrong));
}

void load_end(struct load **pointer, struct load_result *out) {
    struct load *load = *pointer;
    *pointer = NULL;
    *out = (struct load_result){0};
    atomic_store(&load->stop, true);
    for (int i = 0; i < load->started; i++)
        pthread_join(load->clients[i].thread, NULL);
    for (int i = 0; load->clients != NULL && i < load->conf.clients; i++) {
        add(out, &load->clients[i].result);
        caller_close(&load->clients[i].caller);
        free(load->clients[i].keys);
    }
    free(load->clients);
    free(load);
}
