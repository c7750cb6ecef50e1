#include "counters.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../common/clock.h"
#include "../harness/caller.h"
#include "judge.h"

enum {
    THINK_US = 3000,
    RETRY_US = 20000,
    EXPIRE_ONE_IN = 8,
    OPS_MAX = 100000, /* of a thread; then it stops */
    CLOCKS_US = 5000  /* between the clock of PostgreSQL's commits and ours */
};

struct count {
    uint8_t key;
    bool is_expire, claimed;
    enum chaos_outcome outcome;
    int64_t number, invoke_us, return_us;
};

struct counter {
    struct counters *all;
    pthread_t thread;
    int index;
    struct count *ops;
    size_t count;
    char broken[200]; /* the first answer that cannot be */
};

struct counters {
    uint16_t ports[CHAOS_PROXIES];
    int ports_count, started;
    _Atomic bool stop;
    struct counter counters[COUNTERS_THREADS];
};

static void nap(int64_t us) {
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* ---- asking ---- */

static void take(struct counter *c, struct count *op, const struct resp_reply *r) {
    if (r->type == RESP_INTEGER) {
        op->outcome = CHAOS_OK;
        op->number = r->integer;
    } else if (r->type == RESP_FAILURE && chaos_error_index(r->text) != 0) {
        op->outcome = strncmp(r->text, "UNCERTAIN ", 10) == 0 ? CHAOS_UNKNOWN : CHAOS_ERROR;
    } else if (c->broken[0] == '\0') {
        snprintf(c->broken, sizeof(c->broken), "type %d, '%.100s'", (int)r->type,
                 r->text != NULL ? r->text : "");
    }
}

/* False if the connection is lost. */
static bool ask(struct counter *c, struct caller *caller) {
    struct count *op = &c->ops[c->count];
    char name[16];
    *op = (struct count){.key = (uint8_t)((c->count / 3 + (size_t)c->index) % COUNTERS_KEYS),
                         .is_expire = c->count % EXPIRE_ONE_IN == EXPIRE_ONE_IN - 1,
                         .outcome = CHAOS_UNKNOWN,
                         .invoke_us = clock_mono_us(),
                         .return_us = INT64_MAX};
    snprintf(name, sizeof(name), "n%04u", op->key);
    if (op->is_expire)
        caller_say_words(caller, "EXPIRE", name, "100000", NULL);
    else
        caller_say_words(caller, "INCR", name, NULL);
    c->count++;
    struct resp_reply *reply = caller_flush(caller) ? caller_hear(caller) : NULL;
    if (reply == NULL)
        return false;
    op->return_us = clock_mono_us();
    take(c, op, reply);
    resp_reply_free(&reply);
    return true;
}

static void *run(void *arg) {
    struct counter *c = arg;
    struct caller *caller = NULL;
    for (int turn = c->index; !atomic_load(&c->all->stop) && c->count < OPS_MAX;) {
        if (caller == NULL)
            caller = caller_open(c->all->ports[turn++ % c->all->ports_count]);
        if (caller != NULL && !ask(c, caller))
            caller_close(&caller);
        nap(caller != NULL ? THINK_US : RETRY_US);
    }
    caller_close(&caller);
    return NULL;
}

struct counters *counters_start(const uint16_t *ports, int ports_count) {
    struct counters *all = calloc(1, sizeof(*all));
    if (all == NULL)
        return NULL;
    all->ports_count = ports_count;
    memcpy(all->ports, ports, (size_t)ports_count * sizeof(*ports));
    for (int i = 0; i < COUNTERS_THREADS; i++) {
        struct counter *c = &all->counters[i];
        *c = (struct counter){.all = all, .index = i, .ops = calloc(OPS_MAX, sizeof(struct count))};
        if (c->ops == NULL || pthread_create(&c->thread, NULL, run, c) != 0) {
            counters_free(&all);
            return NULL;
        }
        all->started++;
    }
    return all;
}

void counters_stop(struct counters *all) {
    atomic_store(&all->stop, true);
    for (int i = 0; i < all->started; i++)
        pthread_join(all->counters[i].thread, NULL);
    all->started = 0;
}

void counters_free(struct counters **pointer) {
    struct counters *all = *pointer;
    *pointer = NULL;
    counters_stop(all);
    for (int i = 0; i < COUNTERS_THREADS; i++)
        free(all->counters[i].ops);
    free(all);
}

/* ---- judging ---- */

/* Who made it: the INCR that was answered with this number while it was committed. */
static struct count *maker_of(struct counters *all, unsigned key, int64_t number,
                              int64_t commit_us) {
    for (int i = 0; i < COUNTERS_THREADS; i++) {
        for (size_t k = 0; k < all->counters[i].count; k++) {
            struct count *op = &all->counters[i].ops[k];
            if (op->key == key && !op->is_expire && op->outcome == CHAOS_OK && !op->claimed &&
                op->number == number && commit_us >= op->invoke_us - CLOCKS_US &&
                commit_us <= op->return_us + CLOCKS_US)
                return op;
        }
    }
    return NULL;
}

struct tally {
    uint64_t acked, unknown, errors, made, unasked, expiries;
};

static void judge_answers(struct counters *all, struct tally *t, struct judge_result *out) {
    for (int i = 0; i < COUNTERS_THREADS; i++) {
        const struct counter *c = &all->counters[i];
        if (c->broken[0] != '\0')
            judge_note(out, JUDGE_BROKEN, "counter %d: %s", i, c->broken);
        for (size_t k = 0; k < c->count; k++) {
            const struct count *op = &c->ops[k];
            bool counts = !op->is_expire;
            t->acked += counts && op->outcome == CHAOS_OK;
            t->unknown += counts && op->outcome == CHAOS_UNKNOWN;
            t->errors += counts && op->outcome == CHAOS_ERROR;
            t->expiries += op->is_expire && op->outcome == CHAOS_OK && op->number == 1;
            if (op->is_expire && op->outcome == CHAOS_OK && op->number != 0 && op->number != 1)
                judge_note(out, JUDGE_BROKEN, "EXPIRE n%04u: %lld", op->key, (long long)op->number);
            if (counts && op->outcome == CHAOS_OK && !op->claimed)
                judge_note(out, JUDGE_LOST,
                           "INCR n%04u, answered %lld at %lld us: no state of the table's is its "
                           "own",
                           op->key, (long long)op->number, (long long)op->return_us);
        }
    }
}

/* One change after the other: each is the next number (an INCR), the same one (a time to live), or
 * the end of the row; after which it begins with 1. */
static void judge_states(struct counters *all, const PGresult *r, int64_t offset_us,
                         struct tally *t, struct judge_result *out) {
    int64_t before[COUNTERS_KEYS] = {0};
    for (int row = 0; row < PQntuples(r); row++) {
        unsigned key = (unsigned)atoi(PQgetvalue(r, row, 0) + 1) % COUNTERS_KEYS;
        int64_t number = PQgetisnull(r, row, 1) ? 0 : atoll(PQgetvalue(r, row, 1)),
                commit_us = atoll(PQgetvalue(r, row, 2)) - offset_us;
        if (number == before[key] + 1) {
            struct count *maker = maker_of(all, key, number, commit_us);
            t->made++;
            t->unasked += maker == NULL;
            if (maker != NULL)
                maker->claimed = true;
        } else if (number != 0 && number != before[key]) {
            judge_note(out, JUDGE_ORDER, "n%04u went from %lld to %lld", key,
                       (long long)before[key], (long long)number);
        }
        before[key] = number;
    }
}

void counters_judge(struct counters *all, PGconn *sql, struct judge_result *out) {
    struct tally t = {0};
    int64_t offset_us = clock_wall_us() - clock_mono_us();
    PGresult *r =
        PQexec(sql, "SELECT key, payload, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * "
                    "1000000)::bigint FROM chaos.history WHERE key ~ '^n' ORDER BY seq");
    cr_assert_eq(PQresultStatus(r), PGRES_TUPLES_OK, "%s", PQresultErrorMessage(r));
    judge_states(all, r, offset_us, &t, out);
    PQclear(r);
    judge_answers(all, &t, out);
    if (t.unasked > t.unknown)
        judge_note(out, JUDGE_FALSE,
                   "counters: %llu increments of nobody, but %llu INCRs without an answer",
                   (unsigned long long)t.unasked, (unsigned long long)t.unknown);
    fprintf(stderr,
            "  counters: increments=%llu acked=%llu failed=%llu unknown=%llu of_these_done=%llu "
            "times_to_live=%llu\n",
            (unsigned long long)t.made, (unsigned long long)t.acked, (unsigned long long)t.errors,
            (unsigned long long)t.unknown, (unsigned long long)t.unasked,
            (unsigned long long)t.expiries);
}
