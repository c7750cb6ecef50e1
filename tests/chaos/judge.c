#include "judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge_private.h"
#include "monitor.h"

/* ---- what is said ---- */

static const char *const NAMES[] = {
    [JUDGE_BROKEN] = "misdelivered", [JUDGE_LOST] = "lost",       [JUDGE_FALSE] = "false_error",
    [JUDGE_TWICE] = "done_twice",    [JUDGE_TORN] = "torn",       [JUDGE_NEVER] = "never_committed",
    [JUDGE_ORDER] = "order",         [JUDGE_STALE] = "stale",     [JUDGE_NIL] = "false_nil",
    [JUDGE_CONDITION] = "condition", [JUDGE_REST] = "not_at_rest"};

const char *judge_name(enum judge_violation violation) {
    return NAMES[violation];
}

uint64_t judge_total(const struct judge_result *result) {
    uint64_t sum = 0;
    for (int i = 0; i < JUDGE_VIOLATIONS; i++)
        sum += result->violations[i];
    return sum;
}

static void note(struct judge_result *out, enum judge_violation violation, const char *text) {
    /* One of each kind before a second one of any. */
    if (out->violations[violation]++ == 0 || out->texts_count < JUDGE_TEXTS_MAX / 2) {
        if (out->texts_count < JUDGE_TEXTS_MAX)
            snprintf(out->texts[out->texts_count++], JUDGE_TEXT_BYTES, "%s: %s", NAMES[violation],
                     text);
    }
}

void judge_note(struct judge_result *out, enum judge_violation violation, const char *format, ...) {
    char text[JUDGE_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    note(out, violation, text);
}

static double seconds(const struct judgement *j, int64_t us) {
    return us == INT64_MIN ? 0 : (double)(us - j->start_us) / 1e6;
}

void judge_against(struct judgement *j, enum judge_violation violation, const struct chaos_op *op,
                   unsigned i, const char *format, ...) {
    char text[JUDGE_TEXT_BYTES];
    const struct judge_key *key = &j->keys[op->keys[i]];
    size_t at = (size_t)snprintf(text, sizeof(text),
                                 "client %u %s k%04u, asked at %.6f s, answered "
                                 "at %.6f s: ",
                                 op->client, chaos_kind_name(op->kind), op->keys[i],
                                 seconds(j, op->invoke_us), seconds(j, op->return_us));
    va_list args;
    va_start(args, format);
    at += (size_t)vsnprintf(text + at, sizeof(text) - at, format, args);
    va_end(args);
    uint32_t floor = op->floors[i], from = floor > 3 ? floor - 3 : 0;
    at +=
        (size_t)snprintf(text + at, sizeof(text) - at, "; state %u had been seen; states:", floor);
    for (uint32_t s = from; s < key->count && s < floor + 4 && at < sizeof(text) - 120; s++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, " %u=%u#%u@%.6f%s", s,
                               (unsigned)(key->states[s].value >> 32),
                               (unsigned)key->states[s].value, seconds(j, key->states[s].commit_us),
                               key->states[s].by_node ? "" : "(sql)");
    note(j->out, violation, text);
}

/* ---- keys ---- */

static int by_value(const void *a, const void *b) {
    const struct judge_place *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void open_key(struct judge_key *key, const struct truth_key *truth) {
    key->states = truth->states;
    key->count = truth->count;
    key->places = calloc(key->count, sizeof(*key->places));
    key->unseen_us = calloc(key->count, sizeof(*key->unseen_us));
    for (uint32_t i = 0; i < key->count; i++)
        key->places[i] = (struct judge_place){.value = key->states[i].value, .at = i};
    qsort(key->places, key->count, sizeof(*key->places), by_value);
}

bool judge_find(const struct judge_key *key, chaos_value value, uint32_t from, uint32_t *out) {
    struct judge_place want = {.value = value, .at = from};
    uint32_t low = 0, high = key->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (by_value(&key->places[middle], &want) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == key->count || key->places[low].value != value)
        return false;
    *out = key->places[low].at;
    return true;
}

int64_t judge_known_us(const struct judge_key *key, uint32_t at) {
    int64_t latest_us = at == 0 ? INT64_MIN : key->states[at].commit_us + JUDGE_COMMIT_US;
    uint32_t low = 0, high = key->steps_count;
    while (low < high) { /* the first step to this floor or beyond */
        uint32_t middle = low + (high - low) / 2;
        if (key->steps[middle].floor < at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < key->steps_count && key->steps[low].since_us < latest_us)
        return key->steps[low].since_us;
    return latest_us;
}

void judge_raise(struct judgement *j, const struct chaos_op *op, unsigned i, uint32_t at,
                 bool made) {
    struct judge_key *key = &j->keys[op->keys[i]];
    uint32_t *own = &j->own[op->client][op->keys[i]];
    uint32_t *own_writes = &j->own_writes[op->client][op->keys[i]];
    *own = at > *own ? at : *own;
    if (made)
        *own_writes = at > *own_writes ? at : *own_writes;
    if (at <= key->floor)
        return;
    key->floor = at;
    if (key->steps_count == key->steps_room) {
        key->steps_room = key->steps_room * 2 + 64;
        key->steps = realloc(key->steps, key->steps_room * sizeof(*key->steps));
    }
    key->steps[key->steps_count++] = (struct judge_step){op->return_us, at};
}

/* ---- the order of events ---- */

struct event {
    int64_t at_us;
    struct chaos_op *op;
    bool is_return;
};

static int by_time(const void *a, const void *b) {
    const struct event *x = a, *y = b;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    if (x->is_return != y->is_return) /* what touches counts as being at the same time */
        return x->is_return ? 1 : -1;
    return x->op < y->op ? -1 : x->op > y->op;
}

static struct event *sort_events(struct chaos_log *const logs[], int logs_count, size_t *count) {
    size_t room = 0, n = 0;
    for (int i = 0; i < logs_count; i++)
        room += 2 * logs[i]->count;
    struct event *events = calloc(room + 1, sizeof(*events));
    for (int i = 0; i < logs_count; i++) {
        for (size_t o = 0; o < logs[i]->count; o++) {
            struct chaos_op *op = &logs[i]->ops[o];
            events[n++] = (struct event){op->invoke_us, op, false};
            if (op->return_us != INT64_MAX)
                events[n++] = (struct event){op->return_us, op, true};
        }
    }
    qsort(events, n, sizeof(*events), by_time);
    *count = n;
    return events;
}

/* ---- figures ---- */

static int by_size(const void *a, const void *b) {
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void measure_edits(struct judgement *j) {
    struct judge_result *out = j->out;
    size_t count = 0, room = 1;
    for (int k = 0; k < j->conf->keys; k++)
        room += j->keys[k].count;
    int64_t *all = calloc(room, sizeof(*all));
    for (int k = 0; k < j->conf->keys; k++) {
        for (uint32_t s = 1; s < j->keys[k].count; s++) {
            if (!j->keys[k].states[s].by_node)
                all[count++] = j->keys[k].unseen_us[s];
        }
    }
    qsort(all, count, sizeof(*all), by_size);
    out->edits = count;
    if (count != 0) {
        out->edit_p50_us = all[count / 2];
        out->edit_p99_us = all[count * 99 / 100];
        out->edit_max_us = all[count - 1];
    }
    free(all);
}

static void find_repeated(struct judgement *j) {
    for (int k = 0; k < j->conf->keys; k++) {
        const struct judge_key *key = &j->keys[k];
        for (uint32_t p = 1; p < key->count; p++) {
            const struct judge_place *a = &key->places[p - 1], *b = &key->places[p];
            if (a->value != 0 && a->value == b->value && key->states[a->at].by_node &&
                key->states[b->at].by_node)
                judge_note(j->out, JUDGE_TWICE, "k%04d has value %u#%u as state %u and %u", k,
                           (unsigned)(a->value >> 32), (unsigned)a->value, a->at, b->at);
        }
    }
}

void judge(const struct chaos_conf *conf, const struct truth *truth, struct chaos_log *const logs[],
           int logs_count, const struct monitor *monitor, struct judge_result *out) {
    struct judgement *j = calloc(1, sizeof(*j));
    size_t count;
    struct event *events = sort_events(logs, logs_count, &count);
    *j = (struct judgement){.conf = conf,
                            .monitor = monitor,
                            .out = out,
                            .start_us = count == 0 ? 0 : events[0].at_us,
                            .settle_us = (conf->fence_ms + 500) * (int64_t)1000};
    for (int k = 0; k < conf->keys; k++)
        open_key(&j->keys[k], &truth->keys[k]);
    for (size_t i = 0; i < count; i++) {
        struct chaos_op *op = events[i].op;
        if (events[i].is_return) {
            judge_returned(j, op);
            continue;
        }
        out->ops++;
        for (unsigned k = 0; k < op->count; k++)
            op->floors[k] = j->keys[op->keys[k]].floor;
    }
    for (int i = 0; i < logs_count; i++) {
        for (size_t o = 0; o < logs[i]->count; o++)
            judge_unanswered(j, &logs[i]->ops[o]);
        if (logs[i]->broken != 0) {
            judge_note(out, JUDGE_BROKEN, "%s", logs[i]->first_broken);
            out->violations[JUDGE_BROKEN] += logs[i]->broken - 1;
        }
    }
    find_repeated(j);
    measure_edits(j);
    for (int k = 0; k < conf->keys; k++) {
        free(j->keys[k].places);
        free(j->keys[k].steps);
        free(j->keys[k].unseen_us);
    }
    free(events);
    free(j);
}
